//! The account of a cleanup: each key that was listed gets its outcome here, once. Shared by what compares and what deletes; what
//! it holds is in `state`.

mod state;

use super::{lost, reason};
use crate::job::validate::LeftOut;
use crate::model::{CleanupAccount, Database, Failure, KeptKey, MappingId, RedisKey, Shape, SkipReason, Unmatched};
use crate::report::KeptKeysFile;
use crate::sink::{Comparison, Proven};
use crate::source::redis::{GroupCounts, UnlinkOutcome};
use state::State;
use std::collections::{BTreeMap, HashSet};
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Kept keys that are known by their hashes, so that one which SCAN gives twice counts once: some MiB of them.
const TOLD_APART: usize = 500_000;

/// Where keys are of.
pub(super) type Of = (MappingId, Database);

/// The account. Cheap to clone.
#[derive(Clone)]
pub(in crate::job) struct Account {
    state: Arc<Mutex<State>>,
    names: Arc<[String]>,
    columns: Arc<[Columns]>,
    /// The keys that the run never read.
    left_out: LeftOut,
    dry_run: bool,
}

/// The columns of a mapping, by name.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    /// All of them, by their places in the mapping.
    pub(super) all: Vec<String>,
    /// Those whose changes a run ignores, and which are compared all the same.
    pub(super) ignored: Vec<String>,
}

/// What the account came to.
pub(super) struct Taken {
    pub(super) total: CleanupAccount,
    pub(super) mappings: BTreeMap<String, CleanupAccount>,
    pub(super) shown: Vec<KeptKey>,
    pub(super) file: Option<KeptKeysFile>,
    /// Keys of which it is not known whether they are gone.
    pub(super) unknown: i64,
    /// What is to be known of the keys, in sentences.
    pub(super) notes: Vec<String>,
}

impl Account {
    /// Nothing yet. `names`: the mappings, and `columns` those of each; `file`: where each kept key is written.
    pub(super) fn new(
        (names, columns): (Arc<[String]>, Vec<Columns>),
        (left_out, dry_run): (LeftOut, bool),
        file: Option<KeptKeysFile>,
    ) -> Self {
        let state = Arc::new(Mutex::new(State { file, ..State::default() }));
        Self { state, names, columns: columns.into(), left_out, dry_run }
    }

    /// Books what a batch came to; gives the keys that may go, each once. Of a dry run none goes: they are counted.
    ///
    /// # Errors
    /// The report cannot be written.
    pub(super) fn compared(&self, of: Of, comparison: Comparison) -> Result<Vec<Proven>, Failure> {
        let Comparison { others, passed_over, duplicates, proven, unproven, repaired, .. } = comparison;
        let none = Columns::default();
        let columns = self.columns.get(usize::from(of.0.0)).unwrap_or(&none);
        for compared in others {
            self.state().note_ignored(of.0, &compared.differing, &columns.ignored);
            let (reason, detail) = reason::of_compared(&compared, &self.left_out);
            self.keep(of, compared.key, reason, detail)?;
        }
        for (key, why) in unproven {
            self.state().note_unproven(of.0, why);
            let (reason, detail) = reason::of_unproven(why, &columns.all);
            self.keep(of, key, reason, detail)?;
        }
        let mut state = self.state();
        state.note_repaired(of.0, repaired);
        for (reason, count) in passed_over {
            let account = state.of(of.0);
            let is_gone = [SkipReason::Gone, SkipReason::Orphan].iter().any(|gone| gone.code() == reason);
            if is_gone {
                account.gone += count;
            } else {
                account.keep(&reason, count);
            }
        }
        let before = proven.len();
        let mut seen = HashSet::new();
        let hash = |state: &State, key: &RedisKey| state.hasher.hash_one((of.0, of.1.number, key));
        let go: Vec<Proven> = proven
            .into_iter()
            .filter(|proven| {
                let hash = hash(&state, proven.key());
                !state.kept.contains(&hash) && seen.insert(hash)
            })
            .collect();
        let account = state.of(of.0);
        account.duplicates += duplicates + (before - go.len()) as i64;
        Ok(go)
    }

    /// Books keys of a dry run that would be deleted.
    pub(super) fn would_delete(&self, of: Of, count: usize) {
        self.state().of(of.0).would_delete += count as i64;
    }

    /// Whether nothing is deleted.
    pub(super) fn is_dry(&self) -> bool {
        self.dry_run
    }

    /// Books what became of a key that was to go.
    ///
    /// # Errors
    /// The report cannot be written.
    pub(super) fn unlinked(&self, of: Of, key: RedisKey, outcome: UnlinkOutcome) -> Result<(), Failure> {
        if let Some((reason, detail)) = reason::of_outcome(outcome) {
            return self.keep(of, key, reason, detail.to_owned());
        }
        let mut state = self.state();
        let account = state.of(of.0);
        match outcome {
            UnlinkOutcome::Deleted => account.deleted += 1,
            _ => account.gone += 1,
        }
        account.unconfirmed += i64::from(outcome == UnlinkOutcome::Unconfirmed);
        Ok(())
    }

    /// Counts a key of which it is not known whether it is gone: what was to delete it failed.
    pub(super) fn lose_sight(&self, of: Of) {
        *self.state().unknown.entry(of.0).or_default() += 1;
    }

    /// Counts groups that go with their streams.
    pub(super) fn lose_groups(&self, of: Of, counts: GroupCounts) {
        self.state().groups.entry(of.0).or_default().add(counts);
    }

    /// Whether keys are gone by this cleanup, or may be.
    pub(super) fn has_deleted(&self) -> bool {
        let state = self.state();
        state.unknown.values().any(|count| *count > 0)
            || state.mappings.values().any(|account| account.deleted + account.unconfirmed > 0)
    }

    /// Whether keys were left because a stop or a failure came before them.
    pub(super) fn is_cut_short(&self) -> bool {
        self.state().mappings.values().any(|account| account.kept.contains_key(reason::NOT_REACHED))
    }

    /// Books a key that stays.
    ///
    /// # Errors
    /// The report cannot be written.
    pub(super) fn keep(&self, of: Of, key: RedisKey, reason: &'static str, detail: String) -> Result<(), Failure> {
        let mut state = self.state();
        let hash = state.hasher.hash_one((of.0, of.1.number, &key));
        if state.kept.contains(&hash) {
            state.of(of.0).duplicates += 1;
            return Ok(());
        }
        if state.kept.len() < TOLD_APART {
            state.kept.insert(hash);
        }
        state.of(of.0).keep(reason, 1);
        let mapping = self.names.get(usize::from(of.0.0)).cloned().unwrap_or_default();
        state.show(of.0, KeptKey { mapping, database: of.1.number, key: key.detached(), reason, detail })
    }

    /// Takes all of it. `listed`: how many keys of each mapping were listed, and how many of them are beyond a limit; `keys`: how
    /// many that no mapping takes, of which `unmatched` tells more. Where it is not `complete`, a stop or a failure came before
    /// all listed keys of which nothing is known.
    pub(super) fn take(
        &self,
        listed: &BTreeMap<MappingId, (i64, i64)>,
        (keys, unmatched): (i64, &Unmatched),
        complete: bool,
    ) -> Taken {
        let mut state = self.state();
        for (id, (count, excluded)) in listed {
            let unknown = state.unknown.get(id).copied().unwrap_or_default();
            let account = state.of(*id);
            account.listed += count;
            account.keep(reason::EXCLUDED, *excluded);
            if !complete {
                account.keep(reason::NOT_REACHED, (account.without_outcome() - unknown).max(0));
            }
        }
        let signed = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let (refused, apart) = (signed(unmatched.shape_refused), signed(unmatched.set_apart));
        let mut total = CleanupAccount { listed: keys, ..CleanupAccount::default() };
        total.keep(reason::SHAPE_REFUSED, refused);
        total.keep(reason::EXCLUDED, apart);
        total.keep(reason::UNMATCHED, keys - refused - apart);
        let mappings = std::mem::take(&mut state.mappings);
        mappings.values().for_each(|account| total.add(account));
        let name = |id: MappingId| self.names.get(usize::from(id.0)).cloned().unwrap_or_default();
        let mappings: BTreeMap<String, CleanupAccount> =
            mappings.into_iter().map(|(id, account)| (name(id), account)).collect();
        let mut notes = lost::repaired(std::mem::take(&mut state.repaired), name);
        notes.extend(lost::groups(std::mem::take(&mut state.groups), name));
        let rounded =
            std::mem::take(&mut state.rounded).into_iter().map(|(id, columns)| (name(id), self.named(id, columns)));
        let rounded = rounded.collect();
        notes.extend(lost::for_good(mappings.iter().map(|(name, account)| (name.as_str(), account)), &rounded));
        notes.extend(lost::ignored(std::mem::take(&mut state.ignored), name));
        let (shown, file) = (std::mem::take(&mut state.shown), state.file.take());
        Taken { total, mappings, shown, file, unknown: state.unknown.values().sum(), notes }
    }

    /// The names of some columns of a mapping.
    fn named(&self, mapping: MappingId, places: Shape) -> Vec<String> {
        let all = self.columns.get(usize::from(mapping.0)).map_or(&[][..], |columns| columns.all.as_slice());
        places.places().filter_map(|place| all.get(place).cloned()).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Account, LeftOut, reason};
    use crate::model::{Class, Database, MappingId, RedisKey, Unmatched};
    use crate::sink::{Compared, Comparison, Unproven};
    use crate::source::redis::UnlinkOutcome;

    const OF: (MappingId, Database) = (MappingId(0), Database::only(0));

    fn account(partial: bool) -> Account {
        let left_out = if partial { LeftOut::Some } else { LeftOut::None };
        Account::new((["documents".to_owned()].into(), Vec::new()), (left_out, false), None)
    }

    fn other(key: &str, class: Class) -> Compared {
        Compared::of(RedisKey::new(key.to_owned()), class)
    }

    #[test]
    fn each_key_has_one_outcome_and_one_that_is_met_again_is_a_duplicate() {
        let account = account(false);
        let comparison = Comparison {
            others: vec![other("a", Class::Stale), other("a", Class::Missing), other("b", Class::Missing)],
            passed_over: [("gone".to_owned(), 2), ("expired".to_owned(), 1)].into(),
            duplicates: 1,
            unproven: vec![(RedisKey::new("c"), Unproven::NoLineage)],
            ..Comparison::default()
        };
        assert!(account.compared(OF, comparison).unwrap().is_empty());
        let outcomes =
            [UnlinkOutcome::Deleted, UnlinkOutcome::Changed, UnlinkOutcome::Gone, UnlinkOutcome::Unconfirmed];
        let keys = ["d", "e", "f", "g"].map(RedisKey::new);
        keys.into_iter().zip(outcomes).for_each(|(key, outcome)| account.unlinked(OF, key, outcome).unwrap());
        let others = ["x:1", "x:2", "o:1", "o:2", "o:3", "o:4"].map(RedisKey::new);
        let mut unmatched = Unmatched::count(others.iter().map(|key| (key, key.as_bytes().starts_with(b"x"))));
        unmatched.shape_refused = 1;
        let taken = account.take(&[(MappingId(0), (12, 0))].into(), (6, &unmatched), true);
        let total = taken.total;
        assert!(total.balances(), "{total:?}");
        assert_eq!((total.listed, total.deleted, total.gone, total.unconfirmed, total.duplicates), (18, 1, 4, 1, 2));
        let kept: Vec<(&str, i64)> = total.kept.iter().map(|(reason, count)| (reason.as_str(), *count)).collect();
        let expected = [
            ("changed", 1),
            ("excluded", 2),
            ("expired", 1),
            ("missing", 1),
            ("no_lineage", 1),
            ("shape_refused", 1),
            ("stale", 1),
            ("unmatched", 3),
        ];
        assert_eq!(kept, expected);
        assert_eq!(taken.shown.len(), 4);
    }

    #[test]
    fn of_a_part_a_key_without_rows_may_be_one_that_was_never_read() {
        let account = account(true);
        let others = vec![other("a", Class::Missing), other("b", Class::Different)];
        account.compared(OF, Comparison { others, ..Comparison::default() }).unwrap();
        let kept = account.take(&[].into(), (0, &Unmatched::default()), true).total.kept;
        assert_eq!((kept[reason::EXCLUDED], kept["different"]), (1, 1));
    }
}
