//! What a retry says of the run that it retries: how many of its rejects are open, and what its counts do not show.

use super::databases::Opened;
use super::pipeline::STORED_VALUE;
use super::retry::Retry;
use super::run::{Finished, Learned};
use crate::model::{Counts, Database, Event, EventSender, Failure, SkipReason, Tally};
use std::collections::BTreeMap;
use uuid::Uuid;

/// The most keys that a notice names.
const NAMED: usize = 10;

/// A run whose rejects are retried.
#[derive(Clone, Copy, Debug)]
pub(super) struct Retried {
    pub(super) run: Uuid,
    /// How many of its rejects are open.
    pub(super) open: i64,
}

impl Retry {
    /// Says what is retried, and what is not as it was: the source, its databases that are read, and the hashes of the
    /// mappings as they are now. `false`: there is nothing to take.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn announce(
        &self,
        (source, databases, hashes): (String, &[Opened], BTreeMap<String, String>),
        events: &EventSender,
        learned: &mut Learned,
    ) -> Result<bool, Failure> {
        let (origin, run) = (&self.origin, self.of().run);
        let (taken, open) = self.open().await?;
        if !self.unheld.is_empty() {
            let text = format!(
                "{} of the named keys have no open reject in run {run}: {}",
                self.unheld.len(),
                self.named_unheld()
            );
            let _ = events.send(Event::Notice(text)).await;
        }
        learned.retried = Some(Retried { run, open });
        if taken == 0 {
            return Ok(false);
        }
        let mut notices = vec![format!("retrying {taken} open rejects of run {run}")];
        let differing = origin.differing(&hashes);
        if !differing.is_empty() {
            notices.push(format!("run {run} had other mappings; these differ now: {}", differing.join(", ")));
        }
        if origin.source != source {
            notices.push(format!("run {run} read from {}; this retry reads from {source}", origin.source));
        }
        let read: Vec<Database> = databases.iter().map(|opened| opened.database).collect();
        let elsewhere = self.elsewhere(&read).await?;
        if elsewhere > 0 {
            notices
                .push(format!("{elsewhere} keys are in databases that no mapping reads now: their rejects stay open"));
        }
        for text in notices {
            let _ = events.send(Event::Notice(text)).await;
        }
        Ok(true)
    }
}

impl Retry {
    /// The keys that have no open reject: the first of them.
    fn named_unheld(&self) -> String {
        let named: Vec<String> = self.unheld.iter().take(NAMED).map(ToString::to_string).collect();
        named.join(", ") + if self.unheld.len() > NAMED { ", …" } else { "" }
    }
}

/// How many rejects a dry run would close.
pub(super) fn closing(tally: &Tally) -> i64 {
    let left = SkipReason::ALL.into_iter().filter(|reason| reason.leaves_open());
    let left: i64 = left.filter_map(|reason| tally.skipped.get(reason.code())).sum();
    tally.matched - tally.rejects() - left
}

/// Says of a retry what a person would not see in its counts.
pub(super) fn tell_end(finished: &mut Finished) {
    if finished.facts.retry.is_none() {
        return;
    }
    let total = finished.books.total();
    let count = |counts: &Counts, name: &str| counts.get(name).copied().unwrap_or(0);
    let (kept, gone) = (count(&total.altered, STORED_VALUE), count(&total.skipped, SkipReason::Gone.code()));
    if kept > 0 {
        finished.notice(format!("{kept} keys have gone from Redis: the values kept with their rejects were taken"));
    }
    let newer = count(&total.skipped, SkipReason::ExistsNewer.code());
    if newer > 0 {
        let why = "their rows are another run's since, or somebody else's";
        finished.notice(format!("{newer} keys were left as they are in PostgreSQL: {why}; their rejects are closed"));
    }
    if gone > 0 {
        let why = "they have gone from Redis, and the ledger has no whole value of them that their mapping could take";
        finished.notice(format!("{gone} keys cannot be loaded: {why}; their rejects stay open"));
    }
    if total.unmatched > 0 {
        finished.notice(format!("{} keys are of no mapping now: their rejects stay open", total.unmatched));
    }
}
