//! Rows put together to their keys: a key that is several rows may come in several batches, and has one class.

use super::attempt::Found;
use super::differing::Differing;
use super::left_rows::LeftRows;
use super::met::{Judged, Met};
use super::proof::{Proof, Proven, Unproven};
use super::rowless::{Element, Rowless, Why};
use super::rows_of_key::{Others, RowsOfKey};
use super::worst::{Worst, name};
use super::{Compared, Comparison, would_be_rejected};
use crate::model::{Class, ClassCounts, Database, Digest, Group, RedisKey, Row};
use crate::sink::table::LoadTable;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use uuid::Uuid;

/// Readings of keys that are several rows, until their last row was compared.
#[derive(Debug, Default)]
pub(super) struct OpenKeys(HashMap<Uuid, Open>);

/// What is known of a reading.
#[derive(Debug, Default)]
struct Open {
    rows: ClassCounts,
    /// Of the worst row so far, but for those that are not there.
    worst: Option<Worst>,
    /// The first of the elements that would be rejected now.
    rejected: Option<Worst>,
    /// Elements that map as they should and have no row.
    rowless: Rowless,
    /// Rows that are there and of this key by the ledger, by the run that wrote them.
    of_key: BTreeMap<String, i64>,
    /// Elements that would be rejected now.
    refused: i64,
    /// What keeps it from being deleted, where all its rows are equal.
    doubt: Option<Unproven>,
    /// The columns in which rows differ, where nothing else is wrong.
    differing: Differing,
    /// The repairs that were made in its rows.
    repairs: BTreeSet<&'static str>,
}

impl OpenKeys {
    /// Books what the rows of one attempt met.
    pub(super) fn book(
        &mut self,
        (table, database): (&LoadTable, Database),
        (proof, left): (Option<&Proof>, &LeftRows),
        (rows, mut found): (Vec<Row>, Found),
        comparison: &mut Comparison,
    ) {
        for (place, row) in rows.into_iter().enumerate() {
            let (met, refused) = (found.met.remove(&place), found.refused.remove(&place));
            let values = found.values.remove(&place).unwrap_or_default();
            let worst = Worst::of((table, database), &row, (met.as_ref(), refused.as_ref(), values));
            let doubt = proof.and_then(|_| Met::doubt(met.as_ref(), table, (&row, database)));
            match &row.group {
                Some(group) => {
                    let open = self.0.entry(group.id).or_default();
                    open.note_met(met.as_ref().and_then(|met| met.run_of_key(&row)));
                    open.doubt = open.doubt.into_iter().chain(doubt).reduce(Unproven::and);
                    open.repairs.extend(row.altered.iter().copied());
                    open.differing.note(&worst.judged, met.as_ref(), &worst.columns);
                    match met.filter(|_| worst.judged.class == Class::Missing && refused.is_none()) {
                        Some(met) => open.add_rowless(&met, &row, worst.judged),
                        None => open.add(Worst { element: worst.element_of(&row), ..worst }, &row, refused.is_some()),
                    }
                }
                None if worst.judged.class == Class::Equal && left.of(&row.key).extra == 0 => {
                    comparison.cleaned += left.of(&row.key).kept;
                    comparison.book_single(row, (proof.is_some(), doubt));
                }
                None => {
                    let others = left.of(&row.key);
                    let key = worst.into_only(row.key, met.as_ref(), refused.is_some());
                    comparison.others.push(key.beside(others, met.as_ref()));
                }
            }
        }
    }

    /// Ends a reading.
    pub(super) fn end(&mut self, group: Arc<Group>) -> Ended {
        let mut open = self.0.remove(&group.id).unwrap_or_default();
        let settled = group.with(None);
        // SCAN listed the key twice: rows of this reading count with the later one.
        let has_twin = settled.in_ledger() > 0;
        let reject = settled.end().reject;
        if let Some((reject, _)) = &reject {
            open.differing.spoil();
            open.refused += 1;
            open.rows.add(Class::Missing, 1);
            let judged = Judged::because(Class::Missing, would_be_rejected(reject));
            let worst = Worst { element: reject.element().map(str::to_owned), ..Worst::plain(judged) };
            open.rejected.get_or_insert(worst);
        }
        Ended { key: group.key.clone(), open, has_twin, group }
    }
}

impl Comparison {
    /// Books a key of one row that is equal. `proves`: also whether it may go, which `doubt` keeps it from.
    fn book_single(&mut self, row: Row, (proves, doubt): (bool, Option<Unproven>)) {
        self.equal = (self.equal.0 + 1, self.equal.1 + 1);
        match doubt {
            _ if !proves => {}
            None => {
                self.note_repairs(row.altered.iter().copied());
                self.proven.extend(row.into_record().map(Proven::Read));
            }
            Some(doubt) => self.unproven.push((row.key, doubt)),
        }
    }
}

impl Met {
    /// The run that wrote the row, if it is there, and of this key of the run's source by the ledger's lineage, which tells of all
    /// rows.
    pub(super) fn run_of_key(&self, row: &Row) -> Option<&str> {
        let is_of_key = self.there && self.of_source && self.redis_key.as_deref() == Some(row.key.as_bytes());
        self.owner.as_deref().filter(|_| is_of_key)
    }
}

impl Open {
    /// Notes a row that is there, which this run wrote.
    fn note_met(&mut self, run: Option<&str>) {
        let Some(run) = run else { return };
        match self.of_key.get_mut(run) {
            Some(rows) => *rows += 1,
            None => {
                self.of_key.insert(run.to_owned(), 1);
            }
        }
    }

    /// Adds an element that has no row of its own, though its value maps as it should.
    fn add_rowless(&mut self, met: &Met, row: &Row, judged: Judged) {
        self.rows.add(Class::Missing, 1);
        let why = match met {
            Met { there: true, .. } => Why::Taken,
            Met { was_there: true, .. } => Why::Lost,
            _ => Why::New,
        };
        if met.key_was_there {
            self.rowless.is_known();
        }
        self.rowless.add(Element { why, digest: Digest::of(&row.value), name: name(row), detail: judged.detail });
    }

    fn add(&mut self, worst: Worst, row: &Row, refused: bool) {
        self.rows.add(worst.judged.class, 1);
        if matches!(worst.judged.class, Class::Newer | Class::Stale | Class::Different) {
            self.rowless.add_differing(Digest::of(&row.value), worst.judged.class);
        }
        self.refused += i64::from(refused);
        if refused {
            self.rejected.get_or_insert(worst);
        } else if worst.judged.class > Class::Equal {
            self.tell(worst);
        }
    }

    /// Remembers the first of the worst.
    fn tell(&mut self, worst: Worst) {
        if self.worst.as_ref().is_none_or(|known| known.judged.class < worst.judged.class) {
            self.worst = Some(worst);
        }
    }
}

/// A reading that came to its end.
#[derive(Debug)]
pub(super) struct Ended {
    key: RedisKey,
    open: Open,
    /// Whether some of its rows count with a later reading.
    has_twin: bool,
    group: Arc<Group>,
}

impl Ended {
    /// The key.
    pub(super) fn key(&self) -> &RedisKey {
        &self.key
    }

    /// Whether the key has rows that it did not make again.
    pub(super) fn has_others(&self, rows: &RowsOfKey) -> bool {
        !self.has_twin && rows.beside(&self.open.of_key).extra > 0
    }

    /// The rows of the key that there are: those that it did not make again are of elements that are gone, of an earlier time of elements
    /// that would be rejected now, or of a key of its name that a cleanup deleted.
    pub(super) fn note_rows(&mut self, rows: &RowsOfKey) {
        if self.has_twin {
            return;
        }
        let Others { kept, extra } = rows.beside(&self.open.of_key);
        self.open.rows.add(Class::Cleaned, kept);
        let earlier = extra.min(self.open.refused);
        if earlier > 0 {
            self.open.differing.spoil();
            self.open.refused -= earlier;
            self.open.rows.add(Class::Missing, -earlier);
            self.open.rows.add(Class::Stale, earlier);
            let (element, why) = self.open.rejected.as_ref().map_or((None, String::new()), |rejected| {
                (rejected.element.clone(), format!(": {}", rejected.judged.detail))
            });
            let judged = Judged::because(Class::Stale, format!("{earlier} of its rows are of an earlier time{why}"));
            self.open.tell(Worst { element, ..Worst::plain(judged) });
        }
        let extra = extra - earlier;
        if extra > 0 {
            self.open.differing.spoil();
            self.open.rows.add(Class::Extra, extra);
            let detail = format!("{extra} of its rows are of elements that it does not have any more");
            self.open.tell(Worst::plain(Judged::because(Class::Extra, detail)));
        }
    }

    /// Books the key. `proves`: also whether it may go.
    pub(super) fn book(self, proves: bool, comparison: &mut Comparison) {
        let Self { key, open, has_twin, group, .. } = self;
        let Open { rows, worst, rejected, rowless, refused, doubt, repairs, differing, .. } = open;
        if worst.is_none() && rejected.is_none() && rowless.len() == 0 {
            if proves && has_twin {
                // The later reading tells whether it may go.
                comparison.duplicates += 1;
                return;
            }
            comparison.equal.0 += 1;
            comparison.equal.1 += rows.get(Class::Equal);
            comparison.cleaned += rows.get(Class::Cleaned);
            if proves {
                let none = (rows.get(Class::Equal) == 0).then_some(Unproven::NoRow);
                let equal = group.may_have_equal_elements().then_some(Unproven::EqualElements);
                match none.or(doubt).or(equal).map_or_else(|| Proven::of_group(&group).ok_or(Unproven::NotRead), Err) {
                    Ok(proven) => {
                        comparison.note_repairs(repairs.into_iter());
                        comparison.proven.push(proven);
                    }
                    Err(why) => comparison.unproven.push((key, why)),
                }
            }
            return;
        }
        let class = rows.worst().unwrap_or(Class::Equal);
        let (told, excused) = match rejected {
            Some(rejected) if class == Class::Missing => (Some(rejected), worst),
            _ => (worst, None),
        };
        let told = told.unwrap_or_else(|| Worst::plain(Judged::of(Class::Equal)));
        let differing = differing.columns();
        let key = told.into_key(key, false);
        comparison.others.push(Compared { class, rows, refused, rowless, has_twin, differing, excused, ..key });
    }
}

#[cfg(test)]
mod tests {
    use super::OpenKeys;
    use crate::model::{Class, Group, RedisKey, Reject, RowOutcome};
    use crate::sink::compare::Comparison;
    use crate::sink::compare::rows_of_key::RowsOfKey;
    use std::sync::Arc;

    /// A key that was listed twice within a batch, one element of which is rejected.
    #[test]
    fn a_reading_whose_rows_count_with_a_later_one_has_rows() {
        for rejected in [false, true] {
            let group = Arc::new(Group::new(RedisKey::new("k"), false));
            group.settle_rows(RowOutcome::Duplicate, 2);
            if rejected {
                group.reject(Reject::new(RedisKey::new("k"), "integer", "no integer", None));
            }
            let (mut open, mut comparison) = (OpenKeys::default(), Comparison::default());
            let mut ended = open.end(group);
            ended.note_rows(&RowsOfKey::default());
            ended.book(false, &mut comparison);
            let found: Vec<(Class, bool)> = comparison.others.iter().map(|key| (key.class, key.has_rows())).collect();
            let expected = if rejected { vec![(Class::Missing, true)] } else { Vec::new() };
            assert_eq!((found, comparison.equal), (expected, (i64::from(!rejected), 0)));
        }
    }
}
