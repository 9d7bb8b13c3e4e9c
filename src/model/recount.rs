//! Rows of a key that a run comes to a second time: each is counted once.

use super::{Counts, RowOutcome};

/// What is left of both counts where it is the same rows: `first`, and `now` at the second time. A row that the run had
/// written is found as a duplicate then, and keeps its first outcome; one that has changed in between has its last.
pub fn recount(first: &Counts, now: &Counts) -> Counts {
    let (mut first, mut now) = (first.clone(), now.clone());
    let mut counted = Counts::new();
    // What the second time calls the rows of the first.
    let same = |outcome: RowOutcome| match outcome {
        RowOutcome::Inserted | RowOutcome::Updated => RowOutcome::Duplicate,
        other => other,
    };
    for outcome in RowOutcome::STANDING {
        let (before, again) = (outcome.name(), same(outcome).name());
        let met = count(&first, before).min(count(&now, again));
        take(&mut first, before, met);
        take(&mut now, again, met);
        *counted.entry(before.to_owned()).or_default() += met;
    }
    for outcome in RowOutcome::STANDING {
        let changed = [RowOutcome::Updated, RowOutcome::Newer, RowOutcome::Kept];
        // Of several readings in one batch it is the last that writes.
        let later = if outcome == RowOutcome::Duplicate { &RowOutcome::STANDING[..] } else { &changed };
        for later in later.iter().map(|later| later.name()) {
            let met = count(&first, outcome.name()).min(count(&now, later));
            take(&mut first, outcome.name(), met);
            take(&mut now, later, met);
            *counted.entry(later.to_owned()).or_default() += met;
        }
    }
    for (outcome, rest) in first.into_iter().chain(now) {
        *counted.entry(outcome).or_default() += rest;
    }
    counted.retain(|_, count| *count != 0);
    counted
}

fn count(counts: &Counts, outcome: &str) -> i64 {
    counts.get(outcome).copied().unwrap_or_default()
}

fn take(counts: &mut Counts, outcome: &str, by: i64) {
    if let Some(count) = counts.get_mut(outcome) {
        *count -= by;
    }
}

#[cfg(test)]
mod tests {
    use super::recount;
    use crate::model::Counts;

    fn counts(rows: &[(&str, i64)]) -> Counts {
        rows.iter().map(|(outcome, count)| ((*outcome).to_owned(), *count)).collect()
    }

    #[test]
    fn a_row_that_is_met_again_is_counted_once_as_what_it_was_first() {
        let once = |first: &[(&str, i64)], now: &[(&str, i64)]| recount(&counts(first), &counts(now));
        assert_eq!(once(&[("inserted", 8)], &[("duplicates", 8), ("inserted", 2)]), counts(&[("inserted", 10)]));
        assert_eq!(
            once(&[("unchanged", 3)], &[("unchanged", 3), ("updated", 1)]),
            counts(&[("unchanged", 3), ("updated", 1)])
        );
        let both = once(&[("inserted", 2), ("updated", 3), ("kept", 1)], &[("duplicates", 5), ("kept", 1)]);
        assert_eq!(both, counts(&[("inserted", 2), ("updated", 3), ("kept", 1)]));
        assert_eq!(once(&[], &[("inserted", 1)]), counts(&[("inserted", 1)]));
        assert_eq!(once(&[("duplicates", 2)], &[("inserted", 2)]), counts(&[("inserted", 2)]));
    }

    #[test]
    fn a_row_that_changed_in_between_counts_as_what_it_became() {
        assert_eq!(
            recount(&counts(&[("inserted", 4)]), &counts(&[("duplicates", 3), ("updated", 1)])),
            counts(&[("inserted", 3), ("updated", 1)])
        );
        // What is gone was there, and was deleted.
        assert_eq!(
            recount(&counts(&[("inserted", 1)]), &counts(&[("deleted", 1)])),
            counts(&[("deleted", 1), ("inserted", 1)])
        );
    }
}
