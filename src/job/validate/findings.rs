//! What is found while keys are compared: counted, shown, or set aside to be looked at again.
//!
//! A cache that is alive changes between the look at a key and the look at its row. So what is not equal is read again in
//! further rounds, and counts by what the last one says. Shared by the writers of a pass.

use super::LeftOut;
use super::aside::{Again, Aside};
use super::gone_rows::GoneKey;
use super::state::{AskedOf, MetSlices, State};
use crate::model::{
    Class, Database, Discrepancy, Event, EventSender, Failure, MappingCounts, MappingId, SkipReason, Tally,
};
use crate::report::DifferencesFile;
use crate::sink::{Compared, Comparison};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What was found so far. Cheap to clone.
#[derive(Clone)]
pub(in crate::job) struct Findings {
    state: Arc<Mutex<State>>,
    names: Arc<[String]>,
    events: EventSender,
    /// The keys that the run never read.
    left_out: LeftOut,
}

/// What was found in all.
pub(super) struct Taken {
    pub(super) counts: BTreeMap<MappingId, MappingCounts>,
    /// Some of the keys that are not equal.
    pub(super) shown: Vec<Discrepancy>,
    /// Whether keys were counted as they were found first.
    pub(super) full: bool,
    /// Keys whose values would be rejected now, and which were not looked for among the rows of the run.
    pub(super) unsought: u64,
    /// The rows whose keys were asked for.
    pub(super) asked: AskedOf,
}

impl Findings {
    /// Nothing yet. `file`: where each discrepancy is written.
    pub(in crate::job) fn new(
        names: Arc<[String]>,
        events: EventSender,
        left_out: LeftOut,
        file: Option<DifferencesFile>,
    ) -> Self {
        Self { state: Arc::new(Mutex::new(State { file, ..State::default() })), names, events, left_out }
    }

    /// Begins a round. `room`: bytes of keys that are set aside for the next one; `None`: it is the last.
    pub(super) fn begin(&self, room: Option<u64>) {
        self.state().aside = room.map(Aside::new);
    }

    /// Ends a round: gives what is looked at again, and how many keys that are.
    ///
    /// # Errors
    /// The disk gave way: nobody knows which keys they were.
    pub(super) fn end(&self) -> Result<(Again, u64), Failure> {
        let aside = self.state().aside.take();
        aside.map_or_else(|| Ok((Again::default(), 0)), Aside::finish)
    }

    /// Books what a batch came to.
    ///
    /// # Errors
    /// The disk gave way.
    pub(in crate::job) async fn book(
        &self,
        (mapping, database): (MappingId, Database),
        comparison: Comparison,
    ) -> Result<(), Failure> {
        let settled =
            comparison.equal.0 + comparison.others.len() as i64 + comparison.passed_over.values().sum::<i64>();
        self.note(mapping, database, comparison)?;
        // For the bars: what became of them is told at the end.
        let tally = Tally { unchanged: settled, ..Tally::default() };
        let _ = self.events.send(Event::Settled { mapping, tally, bytes: 0, pending: 0 }).await;
        Ok(())
    }

    fn note(&self, mapping: MappingId, database: Database, comparison: Comparison) -> Result<(), Failure> {
        let mut state = self.state();
        let counts = state.counts.entry(mapping).or_default();
        let (keys, rows) = comparison.equal;
        counts.keys.add(Class::Equal, keys);
        counts.rows.add(Class::Equal, rows);
        counts.rows.add(Class::Cleaned, comparison.cleaned);
        counts.source_keys += keys;
        for (reason, count) in comparison.passed_over {
            counts.source_keys += count;
            *counts.passed_over.entry(reason).or_default() += count;
        }
        let met = state.met.entry(mapping).or_default();
        for (slice, sum) in comparison.sums {
            *met.entry(slice).or_default().entry(database.number).or_default() += sum;
        }
        for compared in comparison.others {
            if !state.set_aside(mapping, database, &compared)? {
                self.count(&mut state, (mapping, database.number), compared)?;
            }
        }
        Ok(())
    }

    /// Counts a key by what it is found to be.
    pub(super) fn count(
        &self,
        state: &mut State,
        (mapping, database): (MappingId, u8),
        mut key: Compared,
    ) -> Result<(), Failure> {
        if key.refused > 0 {
            match state.seek((mapping, database), key) {
                Some(unsought) => key = unsought,
                None => return Ok(()),
            }
        }
        let counts = state.counts.entry(mapping).or_default();
        counts.source_keys += 1;
        if key.class == Class::Missing && !key.lost && key.is_without_rows() && self.left_out.may_be(&key.key) {
            *counts.passed_over.entry(SkipReason::Excluded.code().to_owned()).or_default() += 1;
            return Ok(());
        }
        counts.keys.add(key.class, 1);
        counts.rows.add_all(&key.rows);
        key.columns.iter().for_each(|column| *counts.columns.entry(column.clone()).or_default() += 1);
        if key.class == Class::Equal {
            return Ok(());
        }
        state.show(&self.names, discrepancy((mapping, database), key))
    }

    /// Books rows whose key is gone from a database. `found`: the key, and the class that it was counted as before, unless that holds.
    ///
    /// # Errors
    /// The report cannot be written.
    pub(super) fn gone(
        &self,
        found: Option<(Discrepancy, Option<Class>)>,
        of: (MappingId, u8),
        gone: &GoneKey,
    ) -> Result<(), Failure> {
        let mut state = self.state();
        let counts = state.counts.entry(of.0).or_default();
        counts.rows.add_all(&gone.rows);
        if gone.extra > 0 {
            state.asked.entry(of).or_default().1 += gone.extra;
        }
        let Some((found, before)) = found else { return Ok(()) };
        let counts = state.counts.entry(of.0).or_default();
        before.into_iter().for_each(|before| counts.keys.add(before, -1));
        counts.keys.add(found.class, 1);
        state.show(&self.names, found)
    }

    /// The rows of a mapping that were met.
    pub(super) fn met(&self, mapping: MappingId) -> MetSlices {
        self.state().met.get(&mapping).cloned().unwrap_or_default()
    }

    /// Notes that a database was asked for the keys of so many rows.
    pub(super) fn asked(&self, mapping: MappingId, database: u8, rows: i64) {
        self.state().asked.entry((mapping, database)).or_default().0 += rows;
    }

    /// Notes how many rows a mapping's table has, and how many of them are the run's.
    pub(super) fn rows(&self, mapping: MappingId, target: Option<i64>, owned: Option<i64>) {
        let mut state = self.state();
        let counts = state.counts.entry(mapping).or_default();
        (counts.target_rows, counts.owned_rows) = (target, owned);
    }

    /// Takes what was found.
    pub(super) fn take(&self) -> Taken {
        let mut state = self.state();
        let (counts, shown) = (std::mem::take(&mut state.counts), std::mem::take(&mut state.shown));
        let (full, unsought) = (state.full, state.unsought);
        Taken { counts, shown, full, unsought, asked: std::mem::take(&mut state.asked) }
    }

    /// Takes the file of discrepancies.
    pub(super) fn take_file(&self) -> Option<DifferencesFile> {
        self.state().file.take()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn discrepancy((mapping, database): (MappingId, u8), key: Compared) -> Discrepancy {
    let Compared { key, class, element, detail, columns, values, .. } = key;
    Discrepancy { mapping, database, key: key.detached(), class, element, detail, columns, values }
}

#[cfg(test)]
mod tests {
    use super::{Findings, GoneKey, LeftOut, Taken, discrepancy};
    use crate::model::{Class, Database, MappingId, RedisKey};
    use crate::sink::{Compared, Comparison};
    use tokio::sync::mpsc;

    fn compared(key: &str, class: Class) -> Compared {
        Compared::of(RedisKey::new(key.to_owned()), class)
    }

    fn findings(left_out: LeftOut) -> Findings {
        let (events, _) = mpsc::channel(1);
        Findings::new(["documents".to_owned()].into(), events, left_out, None)
    }

    fn book(findings: &Findings, others: Vec<Compared>) {
        let comparison = Comparison { equal: (2, 2), others, ..Comparison::default() };
        findings.note(MappingId(0), Database::only(0), comparison).unwrap();
    }

    #[test]
    fn what_is_not_equal_is_looked_at_again_and_counts_by_the_last_round() {
        let findings = findings(LeftOut::None);
        findings.begin(Some(1000));
        let twice = || compared("a", Class::Missing);
        book(&findings, vec![twice(), twice(), compared("b", Class::Rejected)]);
        let (mut again, count) = findings.end().unwrap();
        assert_eq!(count, 1, "the same key once, and a known reject not at all");
        let keys = again.0.get_mut(&0).unwrap().next_page(10).unwrap().unwrap();
        assert_eq!(keys, [(MappingId(0), RedisKey::new("a"))]);
        findings.begin(None);
        book(&findings, vec![compared("a", Class::Stale)]);
        assert_eq!(findings.end().unwrap().1, 0);
        let Taken { counts, shown, full, .. } = findings.take();
        let counts = &counts[&MappingId(0)];
        let of = |class| counts.keys.get(class);
        assert_eq!((of(Class::Equal), of(Class::Missing), of(Class::Stale), of(Class::Rejected)), (4, 0, 1, 1));
        assert_eq!((counts.source_keys, shown.len(), full), (6, 2, false));
    }

    #[test]
    fn what_there_is_no_room_for_counts_as_it_was_found() {
        let findings = findings(LeftOut::None);
        findings.begin(Some(8));
        book(&findings, vec![compared("a", Class::Missing), compared("b", Class::Missing)]);
        assert_eq!(findings.end().unwrap().1, 1);
        let Taken { counts, full, .. } = findings.take();
        assert_eq!((counts[&MappingId(0)].keys.get(Class::Missing), full), (1, true));
    }

    #[test]
    fn a_key_that_is_gone_counts_once_by_what_is_found_of_it_last() {
        let (findings, of) = (findings(LeftOut::None), (MappingId(0), 0));
        let rows = |class| {
            let mut gone = GoneKey::default();
            gone.extra = 1;
            gone.rows.add(class, 1);
            gone
        };
        let found = |class, before| Some((discrepancy(of, compared("a", class)), before));
        findings.gone(found(Class::Extra, None), of, &rows(Class::Extra)).unwrap();
        findings.gone(found(Class::Orphaned, Some(Class::Extra)), of, &rows(Class::Orphaned)).unwrap();
        findings.gone(None, of, &rows(Class::Extra)).unwrap();
        let Taken { counts, asked, .. } = findings.take();
        let counts = &counts[&MappingId(0)];
        assert_eq!((counts.keys.get(Class::Extra), counts.keys.get(Class::Orphaned)), (0, 1));
        assert_eq!((counts.rows.get(Class::Extra), counts.rows.get(Class::Orphaned)), (2, 1));
        assert_eq!(asked[&of], (0, 3));
    }

    #[test]
    fn of_a_partial_run_a_key_without_rows_is_excluded() {
        let findings = findings(LeftOut::Some);
        book(&findings, vec![compared("a", Class::Missing), compared("b", Class::Different)]);
        let Taken { counts, .. } = findings.take();
        let counts = &counts[&MappingId(0)];
        assert_eq!((counts.keys.get(Class::Missing), counts.keys.get(Class::Different)), (0, 1));
        assert_eq!((counts.passed_over["excluded"], counts.source_keys), (1, 4));
    }

    #[test]
    fn of_a_run_of_a_pattern_the_keys_that_it_took_are_not_excluded() {
        let findings = findings(LeftOut::ButFor("a*".to_owned()));
        book(&findings, ["ab", "b", "c"].map(|key| compared(key, Class::Missing)).into());
        let Taken { counts, .. } = findings.take();
        let counts = &counts[&MappingId(0)];
        assert_eq!((counts.keys.get(Class::Missing), counts.passed_over["excluded"]), (1, 2));
    }
}
