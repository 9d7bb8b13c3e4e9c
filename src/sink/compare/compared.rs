//! What a key is found to be, once it is known what the run knows of it. Pure.

use super::rowless::{Rowless, Why};
use super::worst::Worst;
use crate::ledger::Known;
use crate::model::{Class, ClassCounts, ColumnValues, RedisKey, Reject};

/// Reasons of rejects that only writing finds: the value maps as it should.
const FOUND_BY_WRITING: [&str; 10] = [
    "check",
    "exclusion",
    "foreign_key",
    "key_collision",
    "missing_parent",
    "not_null",
    "not_stored",
    "refused",
    "row_security",
    "unique",
];

/// One key that is not plainly equal.
#[derive(Clone, Debug)]
pub struct Compared {
    /// The key.
    pub key: RedisKey,
    /// What it is found to be: the worst of its rows.
    pub class: Class,
    /// Its rows by class; one that is not there counts as missing or rejected.
    pub rows: ClassCounts,
    /// Where it is several rows: the element of the worst one, for people, such as `field "size"`.
    pub element: Option<String>,
    /// A sentence for people; empty where the class says all.
    pub detail: String,
    /// The names of the columns that differ.
    pub columns: Vec<String>,
    /// The names of the columns that differ in any row of it, where that is all that is wrong with its rows; none otherwise.
    pub differing: Vec<String>,
    /// Their values, where they were read.
    pub values: Vec<ColumnValues>,
    /// How many of its rows are missing as their values would be rejected now. A key of which no row is there has one
    /// all the same, where a row of the run names it.
    pub refused: i64,
    /// Where it is several rows: the elements without one, but for those that would be rejected now; until it is told of them.
    pub(super) rowless: Rowless,
    /// Where it is several rows: whether some of them count with another reading of it.
    pub(super) has_twin: bool,
    /// Where it is one row: whether that is not there, no run wrote it, and another row that a run made of the key is.
    pub(super) moved: bool,
    /// Whether a row of it that a run wrote is lost, where it is several rows.
    pub lost: bool,
    /// Where an element that would be rejected now is told of: the worst of the others, which is told of once those are known.
    pub(super) excused: Option<Worst>,
}

impl Compared {
    /// A key that is one row of this class.
    pub fn of(key: RedisKey, class: Class) -> Self {
        let (mut rows, rowless) = (ClassCounts::default(), Rowless::default());
        rows.add(class, 1);
        let (element, detail, columns, values) = (None, String::new(), Vec::new(), Vec::new());
        let (differing, refused, has_twin, moved, lost) = (Vec::new(), 0, false, false, false);
        let excused = None;
        Self {
            key,
            class,
            rows,
            element,
            detail,
            columns,
            differing,
            values,
            refused,
            rowless,
            has_twin,
            moved,
            lost,
            excused,
        }
    }

    /// Whether it would be no surprise that the run had rejected it.
    pub(super) fn may_be_known(&self) -> bool {
        self.refused > 0 || self.rows.get(Class::Missing) > 0 || self.rowless.any_differing()
    }

    /// The run has rejected it: what is not there is known. Of a key that is several rows those elements alone are that it rejected, and
    /// those that would be rejected now.
    pub(super) fn excuse(&mut self, known: &Known, explodes: bool) {
        let (missing, reason) = (self.rows.get(Class::Missing), known.reason.as_str());
        let excused = if explodes {
            self.rowless.is_known();
            let by_writing = FOUND_BY_WRITING.contains(&reason);
            self.refused.min(missing) + self.rowless.excuse(known.elements.as_deref(), by_writing)
        } else {
            missing
        };
        self.rows.add(Class::Missing, -excused);
        self.rows.add(Class::Rejected, excused);
        if let Some(elements) = known.elements.as_ref().filter(|_| reason == "key_collision") {
            for class in self.rowless.excuse_differing(elements) {
                self.differing.clear();
                self.rows.add(class, -1);
                self.rows.add(Class::Rejected, 1);
            }
        }
        if explodes && self.has_rows() {
            self.refused = 0;
        }
        let class = self.rows.worst().map_or(Class::Rejected, |worst| worst.max(Class::Rejected));
        if class == Class::Missing {
            self.refused = 0;
        } else if class == Class::Rejected && class != self.class {
            (self.element, self.columns, self.values) = (None, Vec::new(), Vec::new());
            self.detail = format!("known of the run: {reason}");
        }
        self.class = class;
        self.tell_excused();
    }

    /// Tells of the worst element that would not be rejected, where the key counts by that.
    fn tell_excused(&mut self) {
        let Some(Worst { judged, element, columns, values }) =
            self.excused.take_if(|worst| worst.judged.class == self.class)
        else {
            return;
        };
        (self.element, self.detail, self.columns, self.values) = (element, judged.detail, columns, values);
    }

    /// Says which elements have no row, and why. Those that the key got after the run are no loss: it has changed. `ended`: whether
    /// the run went to its end; else it may not have come to them.
    pub(super) fn tell_rowless(&mut self, ended: bool) {
        let mut rowless = std::mem::take(&mut self.rowless);
        if rowless.len() == 0 {
            return;
        }
        self.lost = rowless.any_lost();
        let (new, first) = if ended { rowless.take_new() } else { (0, None) };
        self.rows.add(Class::Missing, -new);
        self.rows.add(Class::Stale, new);
        self.class = self.rows.worst().unwrap_or(Class::Missing);
        let others = |count: i64| if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
        if let (Class::Missing, Some(worst)) = (self.class, rowless.worst()) {
            let detail = match worst.why {
                Why::Lost => format!("a run wrote its row, and it is gone{}", others(rowless.len())),
                _ => worst.detail.clone(),
            };
            (self.element, self.detail) = (Some(worst.name.clone()), detail);
        } else if self.class == Class::Stale && new > 0 {
            let detail = match new {
                1 => "an element of it came after the run".to_owned(),
                _ => format!("{new} elements of it came after the run"),
            };
            (self.element, self.detail) = (first, detail);
        }
    }

    /// It was loaded before its value became one that would be rejected.
    pub fn was_loaded(&mut self) {
        let rejected = self.refused.min(self.rows.get(Class::Rejected));
        self.rows.add(Class::Rejected, -rejected);
        self.rows.add(Class::Missing, rejected - self.refused);
        self.rows.add(Class::Stale, self.refused);
        if rejected > 0 {
            self.detail = format!("a row of it is there, and its value would be rejected now ({})", self.detail);
        }
        self.refused = 0;
        self.class = self.rows.worst().unwrap_or(Class::Stale);
        if self.class != Class::Stale {
            self.tell_excused();
        }
    }

    /// Whether all of its rows are missing; those of a key of its name that a cleanup deleted are not its own.
    pub fn is_without_rows(&self) -> bool {
        self.rows.get(Class::Missing) + self.rows.get(Class::Cleaned) == self.rows.total()
    }

    /// Whether a row of it is there; those of a key of its name that a cleanup deleted are not its own.
    pub(super) fn has_rows(&self) -> bool {
        let others: i64 =
            [Class::Missing, Class::Rejected, Class::Cleaned].iter().map(|class| self.rows.get(*class)).sum();
        self.has_twin || self.rows.total() > others
    }
}

/// A key whose value would be rejected now.
pub(super) fn refused(reject: Reject) -> Compared {
    let detail = would_be_rejected(&reject);
    Compared { detail, refused: 1, ..Compared::of(reject.key, Class::Missing) }
}

/// That a value would be rejected now, for people.
pub(super) fn would_be_rejected(reject: &Reject) -> String {
    format!("its value would be rejected now: {}", reject.reason)
}
