//! The end of the pipeline of a cleanup: of each batch that was compared, the keys that may go are handed on to be deleted,
//! with the memory that they hold. Deletion runs beside the comparison.

use super::account::{Account, Of};
use super::pace::Age;
use super::reason;
use crate::flow::Permit;
use crate::mapping::{Mapping, Plan};
use crate::model::{Event, EventSender, Failure, MappingId, RedisKey, RedisType, Tally};
use crate::sink::{Batch, Comparison, Proven};
use crate::source::redis::{Candidate, Content, RedisSource};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Why a list stays whose rows are known by the places of their elements.
const PUSHED: &str = "what is pushed after its deletion would begin at place 0, and take the place of its rows";

/// Rows that are compared together at most where the backup reads each key by itself: a batch must not wait for seconds. Of keys that
/// are several rows, a batch has fewer keys.
const ONE_BY_ONE: usize = 100;
const OF_SEVERAL: usize = 500;

/// Keys that are to be deleted.
pub(super) struct Work {
    pub(super) of: Of,
    pub(super) candidates: Vec<Candidate>,
    /// How old their comparison is; of a key whose rows came in several batches, that of the last ones.
    pub(super) age: Age,
    /// The memory of what they were read as, given back once they are settled.
    pub(super) memory: Vec<Arc<Permit>>,
}

/// Sorts what was compared. One for each writer of the pipeline, with one that deletes behind it.
#[derive(Clone)]
pub(in crate::job) struct Sorter {
    account: Account,
    /// Where keys go that are to be deleted; `None` in a dry run.
    out: Option<mpsc::Sender<Work>>,
    asked: Arc<Asked>,
    /// Rows that are compared together at most: else what is compared would grow old.
    together: usize,
    events: EventSender,
}

impl Sorter {
    pub(super) fn new(
        account: Account,
        out: Option<mpsc::Sender<Work>>,
        (asked, together): (Arc<Asked>, usize),
        events: EventSender,
    ) -> Self {
        Self { account, out, asked, together, events }
    }

    /// A batch in parts that are compared one after the other.
    pub(in crate::job) fn parts(&self, batch: Batch) -> Vec<Batch> {
        let most = self.asked.together.get(usize::from(batch.mapping.0)).copied().unwrap_or(usize::MAX);
        batch.parts(self.together.min(most))
    }

    /// Waits until there is room for what a batch comes to: what waits for its deletion grows old.
    pub(in crate::job) async fn room(&self) {
        if let Some(out) = &self.out {
            // Where deletion has ended there is no room; who hands something on hears of it.
            let _ = out.reserve().await;
        }
    }

    /// Takes what a batch came to.
    ///
    /// # Errors
    /// The report cannot be written; what deletes has failed, and says why itself.
    pub(in crate::job) async fn take(
        &self,
        of: Of,
        comparison: Comparison,
        memory: Vec<Arc<Permit>>,
    ) -> Result<(), Failure> {
        let passed: i64 = comparison.passed_over.values().sum();
        let settled = comparison.equal.0 + comparison.others.len() as i64 + passed + comparison.duplicates;
        let age = comparison.began.map_or_else(Age::begun, Age::of);
        let proven = self.account.compared(of, comparison)?;
        let timed = self.asked.timed.get(usize::from(of.0.0)).copied().unwrap_or(true);
        let mut candidates = Vec::with_capacity(proven.len());
        for proven in proven {
            let key = proven.key().clone();
            match candidate(proven, timed) {
                Some(candidate) if self.asked.stays(of.0, candidate.redis_type) => {
                    self.account.keep(of, key, reason::POSITIONAL, PUSHED.to_owned())?;
                }
                Some(candidate) => candidates.push(candidate),
                None => self.account.keep(of, key, reason::NOT_READ, "what it holds was not read".to_owned())?,
            }
        }
        self.count_groups(of, &candidates).await?;
        if self.account.is_dry() {
            self.account.would_delete(of, candidates.len());
        } else if let Some(out) = self.out.as_ref().filter(|_| !candidates.is_empty()) {
            let gone = out.send(Work { of, candidates, age, memory }).await.is_err();
            if gone {
                return Err(Failure::internal("the deletion of keys has ended before the comparison"));
            }
        }
        // For the bars: what became of them is told at the end.
        let tally = Tally { unchanged: settled, ..Tally::default() };
        let _ = self.events.send(Event::Settled { mapping: of.0, tally, bytes: 0, pending: 0 }).await;
        Ok(())
    }

    /// Counts the groups of streams that are to go, and what is pending in them: no column has that.
    async fn count_groups(&self, of: Of, candidates: &[Candidate]) -> Result<(), Failure> {
        let streams = candidates.iter().filter(|candidate| candidate.redis_type == RedisType::Stream);
        let streams: Vec<RedisKey> = streams.map(|candidate| candidate.key.clone()).collect();
        let source = self.asked.sources.get(&of.1.number);
        let asks = !streams.is_empty() && self.asked.groups.get(usize::from(of.0.0)).copied().unwrap_or(true);
        if let Some(source) = source.filter(|_| asks) {
            let counts = Box::pin(source.group_counts(&streams)).await?;
            self.account.lose_groups(of, counts);
        }
        Ok(())
    }
}

/// What is asked of each mapping's keys beside what was compared.
#[derive(Default)]
pub(super) struct Asked {
    /// For each mapping, whether it keeps the time of expiry: then that is compared too.
    pub(super) timed: Vec<bool>,
    /// For each, whether streams' groups are lost with them.
    pub(super) groups: Vec<bool>,
    /// For each, whether its lists stay, since their rows are known by the places of their elements.
    pub(super) positional: Vec<bool>,
    /// For each, how many of its rows are compared together at most.
    pub(super) together: Vec<usize>,
    /// Where the keys of each database are.
    pub(super) sources: BTreeMap<u8, RedisSource>,
}

impl Asked {
    /// What is asked of the keys of a plan; `positional`: the mappings whose lists may go wherever their rows are; `slowly`: whether
    /// each key that is no string is read by itself before it goes.
    pub(super) fn of(plan: &Plan, (positional, slowly): (&[String], bool), sources: BTreeMap<u8, RedisSource>) -> Self {
        let has_others = |mapping: &Mapping| mapping.wanted().types.only() != Some(RedisType::String);
        let together = |mapping: &Mapping| match mapping.explodes() {
            _ if !slowly || !has_others(mapping) => usize::MAX,
            true => OF_SEVERAL,
            false => ONE_BY_ONE,
        };
        let may_go = |mapping: &Mapping| positional.iter().any(|name| name == mapping.name());
        Self {
            timed: plan.mappings().map(|(_, mapping)| mapping.wanted().expiry).collect(),
            groups: plan.mappings().map(|(_, mapping)| !mapping.keeps_dump()).collect(),
            positional: plan.mappings().map(|(_, mapping)| mapping.knows_by_place() && !may_go(mapping)).collect(),
            together: plan.mappings().map(|(_, mapping)| together(mapping)).collect(),
            sources,
        }
    }

    /// Whether a key of this type stays although its rows are equal.
    fn stays(&self, mapping: MappingId, redis_type: RedisType) -> bool {
        redis_type == RedisType::List && self.positional.get(usize::from(mapping.0)).copied().unwrap_or(true)
    }
}

/// What is to be deleted, with what it must still hold then; `None` where that is not known.
fn candidate(proven: Proven, timed: bool) -> Option<Candidate> {
    let (key, redis_type, expires_at, content) = match proven {
        Proven::Read(record) => {
            let content = Content::of_record(&record)?;
            (record.key, record.redis_type, record.expires_at, content)
        }
        Proven::Sliced { key, redis_type, expires_at, content } => {
            (key, redis_type, expires_at, Content::Digest(content))
        }
    };
    Some(Candidate { key, redis_type, expires_at: timed.then_some(expires_at), content })
}
