//! To which rows those refer that a dry run has found to stay: each of them is asked for once, before it matters.

use super::ask::ask;
use super::kept_keys::Key;
use super::work::{Mode, Work};
use crate::model::{Failure, KeptReason};
use crate::postgres::IncomingKey;
use crate::sink::undo::{RowOrigin, Undo, UndoTable};
use sqlx::postgres::PgConnection;
use std::collections::{BTreeSet, HashMap, HashSet};

/// Rows that one statement asks for.
const ROWS: usize = 5000;

const WHAT: &str = "looking for rows that those refer to which stay";

/// Which of those that are new are asked for.
#[derive(Clone, Copy)]
pub(super) enum Due<'t> {
    /// All.
    All,
    /// Those that may refer to rows of this table, which is gone through.
    Of(&'t UndoTable),
    /// Those of which there are so many that they would take room; this table is gone through.
    Many(&'t UndoTable),
}

impl Work<'_> {
    /// Asks for them.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn follow(&mut self, due: Due<'_>) -> Result<(), Failure> {
        let refers = |name: &str| match due {
            Due::All => true,
            Due::Of(table) => table.referrers.iter().any(|referrer| referrer.table.to_string() == name),
            Due::Many(_) => false,
        };
        let plan = self.plan;
        while let Some(fresh) = self.foresight.staying.take_fresh(ROWS, refers) {
            let is_it = |table: &&UndoTable| {
                table.name() == fresh.table
                    && table.run.key_columns.iter().cloned().collect::<BTreeSet<_>>() == fresh.columns
            };
            let tables = || plan.steps.iter().map(|step| &step.table);
            let Some(of) = tables().find(is_it) else { continue };
            for step in &plan.steps {
                let referrers = step.table.referrers.iter().enumerate();
                for (place, referrer) in referrers.filter(|(_, by)| by.readable && by.table == of.run.table) {
                    let undo = self.undo(step);
                    let question = async |connection: &mut PgConnection| {
                        undo.referred_by(connection, (referrer, of), &fresh.keys).await
                    };
                    let found = ask((&mut self.link, &self.options), WHAT, question).await?;
                    self.hold((undo, due), (place, referrer), (&fresh.keys, found)).await?;
                }
            }
        }
        Ok(())
    }

    /// Notes rows to which those refer that stay. Those that were counted as deleted are kept, and what they refer to stays too.
    async fn hold(
        &mut self,
        (undo, due): (Undo<'_>, Due<'_>),
        (place, referrer): (usize, &IncomingKey),
        (keys, found): (&[String], Vec<(String, String)>),
    ) -> Result<(), Failure> {
        let mut stays: HashSet<&str> = keys.iter().map(String::as_str).collect();
        let mut fallen = Vec::new();
        for (child, parent) in &found {
            // What comes behind a row that is not known to stay is asked for once it is.
            if stays.contains(child.as_str()) && self.foresight.hold(undo.table, place, parent) {
                fallen.push(parent.as_str());
                stays.extend(referrer.is_own.then_some(parent.as_str()));
            }
        }
        if fallen.is_empty() {
            return Ok(());
        }
        let question = async |connection: &mut PgConnection| undo.origins(connection, &fallen).await;
        let origins = ask((&mut self.link, &self.options), WHAT, question).await?;
        let of = |RowOrigin { row_key, redis_key, database }| Some((row_key, (redis_key?, database)));
        let keys: HashMap<String, Key> = origins.into_iter().filter_map(of).collect();
        let name = undo.table.name();
        self.books.not_deleted(&name, fallen.len());
        for row in fallen {
            let row = (row, keys.get(row));
            let detail = referrer.table.to_string();
            match due {
                Due::Of(table) | Due::Many(table) if std::ptr::eq(table, undo.table) => {
                    self.keep(&name, Mode::Survey, row, KeptReason::ReferredTo, detail)?;
                }
                _ => self.keep_of_other(&name, row, KeptReason::ReferredTo, detail)?,
            }
        }
        Ok(())
    }
}
