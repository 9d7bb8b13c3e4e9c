//! The books of a run. The unit is a sighting: one key in one SCAN reply.

use super::{GoneRow, RedisKey};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Counts by reason code.
pub type Counts = BTreeMap<String, i64>;

/// What became of the sightings of a run, a mapping or a batch.
///
/// `scanned = matched + unmatched`, and
/// `matched = inserted + updated + unchanged + duplicates + Σ rejected + Σ skipped + would_load`.
/// Signed, since a retry takes back a reject that an earlier batch booked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Tally {
    /// Sightings of any key.
    pub scanned: i64,
    /// Sightings that a mapping took.
    pub matched: i64,
    /// Sightings that no mapping took.
    pub unmatched: i64,
    /// New rows.
    pub inserted: i64,
    /// Rows that were this tool's and differed.
    pub updated: i64,
    /// Rows that were there already and equal.
    pub unchanged: i64,
    /// Sightings with nothing new: again in one batch, or the row is this run's already and equal.
    pub duplicates: i64,
    /// Rejects by reason.
    pub rejected: Counts,
    /// Skipped on purpose, by reason.
    pub skipped: Counts,
    /// Repairs that were asked for, by name, in rows that are stored. Beside the outcome, not one.
    pub altered: Counts,
    /// Dry run: what would have been loaded.
    pub would_load: i64,
    /// Of mappings that make several rows of a key: what became of the rows, by outcome. Beside the keys.
    #[serde(skip_serializing_if = "Counts::is_empty")]
    pub rows: Counts,
    /// Rows of this tool whose keys are gone from Redis, by what became of them: see [`super::GoneRow`]. Beside the keys,
    /// which are no sightings.
    #[serde(skip_serializing_if = "Counts::is_empty")]
    pub deleted_gone: Counts,
    /// Rows that were overwritten although a cleanup had deleted their key since they were written: what they had is in their
    /// before-images alone. Beside the outcomes.
    #[serde(skip_serializing_if = "is_zero")]
    pub overwritten_cleaned: i64,
    /// The first key of such a row, as far as this process knows.
    #[serde(skip)]
    pub first_overwritten: Option<RedisKey>,
    /// Rejects among them that were noted when their value was mapped, before they had an outcome. Of this process only.
    #[serde(skip)]
    pub noted: i64,
}

impl Tally {
    /// Books one reject.
    pub fn reject(&mut self, reason: &str) {
        bump(&mut self.rejected, reason, 1);
    }

    /// Takes `count` rejects back: their keys are judged anew.
    pub fn take_back(&mut self, reason: &str, count: i64) {
        bump(&mut self.rejected, reason, -count);
    }

    /// Books `count` skipped sightings.
    pub fn skip(&mut self, reason: &str, count: i64) {
        bump(&mut self.skipped, reason, count);
    }

    /// Books one repair.
    pub fn alter(&mut self, repair: &str) {
        bump(&mut self.altered, repair, 1);
    }

    /// Takes back repairs that an earlier reading of their key has booked.
    pub fn take_back_repairs(&mut self, repairs: &Counts) {
        for (repair, count) in repairs {
            bump(&mut self.altered, repair, -count);
        }
    }

    /// Books rows whose keys are gone from Redis. `several`: the mapping makes several rows of a key.
    pub fn gone(&mut self, what: GoneRow, rows: i64, several: bool) {
        if rows == 0 {
            return;
        }
        bump(&mut self.deleted_gone, what.name(), rows);
        if let Some(outcome) = what.outcome().filter(|_| several) {
            bump(&mut self.rows, outcome.name(), rows);
        }
    }

    /// Books a row that is overwritten although a cleanup had deleted its key.
    pub fn overwrite_cleaned(&mut self, key: &RedisKey) {
        self.overwritten_cleaned += 1;
        self.first_overwritten.get_or_insert_with(|| key.detached());
    }

    /// Counts rows of a key that the run came to again, where `first` was counted before and `now` is in here.
    pub fn recount_rows(&mut self, first: &Counts, now: &Counts) {
        for (outcome, count) in super::recount(first, now) {
            bump(&mut self.rows, &outcome, count);
        }
        for (outcome, count) in first.iter().chain(now) {
            bump(&mut self.rows, outcome, -count);
        }
    }

    /// The number of rejects.
    pub fn rejects(&self) -> i64 {
        self.rejected.values().sum()
    }

    /// The number skipped.
    pub fn skips(&self) -> i64 {
        self.skipped.values().sum()
    }

    /// The sightings that have an outcome.
    pub fn settled(&self) -> i64 {
        self.inserted
            + self.updated
            + self.unchanged
            + self.duplicates
            + self.rejects()
            + self.skips()
            + self.would_load
    }

    /// Adds another tally to this one.
    pub fn add(&mut self, other: &Self) {
        self.scanned += other.scanned;
        self.matched += other.matched;
        self.unmatched += other.unmatched;
        self.inserted += other.inserted;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
        self.duplicates += other.duplicates;
        self.would_load += other.would_load;
        self.noted += other.noted;
        self.overwritten_cleaned += other.overwritten_cleaned;
        if self.first_overwritten.is_none() {
            self.first_overwritten.clone_from(&other.first_overwritten);
        }
        for (mine, theirs) in [
            (&mut self.rejected, &other.rejected),
            (&mut self.skipped, &other.skipped),
            (&mut self.altered, &other.altered),
            (&mut self.rows, &other.rows),
            (&mut self.deleted_gone, &other.deleted_gone),
        ] {
            for (reason, count) in theirs {
                bump(mine, reason, *count);
            }
        }
    }

    /// Whether the books balance.
    pub fn balances(&self) -> bool {
        self.scanned == self.matched + self.unmatched && self.matched == self.settled()
    }
}

fn is_zero(count: &i64) -> bool {
    *count == 0
}

fn bump(counts: &mut Counts, reason: &str, by: i64) {
    match counts.get_mut(reason) {
        Some(count) => *count += by,
        None => {
            counts.insert(reason.to_owned(), by);
        }
    }
    if counts.get(reason) == Some(&0) {
        counts.remove(reason);
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn a_sighting_without_an_outcome_unbalances_the_books() {
        let mut tally = Tally { scanned: 4, matched: 3, unmatched: 1, inserted: 1, ..Tally::default() };
        tally.reject("json_syntax");
        assert!(!tally.balances());
        tally.skip("gone", 1);
        assert!(tally.balances());
    }

    #[test]
    fn a_retry_takes_back_its_reject() {
        let mut tally = Tally { scanned: 1, matched: 1, ..Tally::default() };
        tally.reject("missing_parent");
        let mut correction = Tally { inserted: 1, ..Tally::default() };
        correction.rejected.insert("missing_parent".into(), -1);
        tally.add(&correction);
        assert!(tally.rejected.is_empty());
        assert!(tally.balances());
    }
}
