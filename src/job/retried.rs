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
            notices.push(format!(
                "{} in databases that no mapping reads now: rejects stay open",
                keys(elsewhere, ["is", "are"])
            ));
        }
        for text in notices {
            let _ = events.send(Event::Notice(text)).await;
        }
        Ok(true)
    }

    /// The keys that have no open reject: the first of them.
    fn named_unheld(&self) -> String {
        let named: Vec<String> = self.unheld.iter().take(NAMED).map(ToString::to_string).collect();
        named.join(", ") + if self.unheld.len() > NAMED { ", …" } else { "" }
    }
}

/// A number of keys and the verb for one, or for several.
fn keys(count: i64, [one, several]: [&str; 2]) -> String {
    if count == 1 { format!("1 key {one}") } else { format!("{count} keys {several}") }
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
    if finished.facts.dry_run && total.matched > 0 {
        let text = "a dry run does not look at rows that are there, but for parents: the retry may reject more as key_collision or exists, \
                    and leave newer rows alone";
        finished.notice(text.to_owned());
    }
    let count = |counts: &Counts, name: &str| counts.get(name).copied().unwrap_or(0);
    let (kept, gone) = (count(&total.altered, STORED_VALUE), count(&total.skipped, SkipReason::Gone.code()));
    if kept > 0 {
        finished.notice(format!(
            "{} gone from Redis: the values kept with rejects were taken",
            keys(kept, ["has", "have"])
        ));
    }
    let newer = count(&total.skipped, SkipReason::ExistsNewer.code());
    if newer > 0 {
        let why = "what is there is another run's since, or somebody else's";
        let left = keys(newer, ["was", "were"]);
        finished.notice(format!("{left} left as PostgreSQL has them: {why}; rejects are closed"));
    }
    if gone > 0 {
        let why = "not in Redis any more, and the ledger has no whole value that the mapping could take";
        finished.notice(format!("{} loaded: {why}; rejects stay open", keys(gone, ["cannot be"; 2])));
    }
    if total.unmatched > 0 {
        finished.notice(format!("{} of no mapping now: rejects stay open", keys(total.unmatched, ["is", "are"])));
    }
}
