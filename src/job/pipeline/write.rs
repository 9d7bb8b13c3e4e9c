//! Writing: one task a writer, taking batches in order.

use super::outlet::Inlet;
use crate::flow::{PagePart, Stop};
use crate::job::cleanup::Sorter;
use crate::job::dry_parents::DryParents;
use crate::job::validate::Findings;
use crate::model::Failure;
use crate::sink::{Comparer, DryRun, Loader};
use crate::source::Source;

/// The end of the pipeline.
pub(in crate::job) enum Writer<S> {
    /// Loads into PostgreSQL.
    Load(Box<Loader>),
    /// Judges and writes nothing.
    Dry(DryRun, Box<DryParents<S>>),
    /// Compares with what PostgreSQL holds.
    Compare(Box<Comparer>, Findings),
    /// Compares, and hands on what may be deleted from Redis.
    Clean(Box<Comparer>, Sorter),
}

impl<S: Source> Writer<S> {
    /// Takes batches until there are no more, or until a cut. What is not taken leaves its pages open.
    pub(super) async fn run(mut self, mut batches: Inlet, stop: Stop) -> Result<(), Failure> {
        while let Some(batch) = batches.next().await {
            if stop.cut() {
                return Ok(());
            }
            match &mut self {
                Self::Load(loader) => loader.load(batch).await?,
                Self::Dry(dry, parents) => {
                    let batch = parents.check(batch).await?;
                    dry.judge(batch).await?;
                }
                Self::Compare(comparer, findings) => {
                    let of = (batch.mapping, batch.database);
                    let comparison = comparer.compare(batch).await?;
                    findings.book(of, comparison).await?;
                }
                Self::Clean(comparer, sorter) => {
                    let of = (batch.mapping, batch.database);
                    let mut batch = batch;
                    let (pages, mut memory) = (std::mem::take(&mut batch.pages), std::mem::take(&mut batch.memory));
                    let mut parts = sorter.parts(batch).into_iter().peekable();
                    while let Some(part) = parts.next() {
                        tokio::select! {
                            () = sorter.room() => {}
                            () = stop.wait_cut() => return Ok(()),
                        }
                        let comparison = comparer.compare(part).await?;
                        // Parts are deleted in their order: all is held until the last one is.
                        let memory = if parts.peek().is_none() { std::mem::take(&mut memory) } else { Vec::new() };
                        sorter.take(of, comparison, memory).await?;
                    }
                    // What no mapping took of them is told by the watermark.
                    pages.into_iter().for_each(PagePart::settle);
                }
            }
        }
        Ok(())
    }
}
