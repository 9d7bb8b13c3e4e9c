//! What is told of a row, and of a key by its worst one.

use super::differing::Differing;
use super::met::{Judged, Met};
use super::{Compared, would_be_rejected};
use crate::model::{Class, ColumnValues, Database, ElementOf, RedisKey, Reject, Row};
use crate::sink::table::LoadTable;

/// What is told of a key: what its worst row is.
#[derive(Clone, Debug)]
pub(super) struct Worst {
    pub(super) judged: Judged,
    /// The element that it is of, where the key is several rows.
    pub(super) element: Option<String>,
    pub(super) columns: Vec<String>,
    pub(super) values: Vec<ColumnValues>,
}

impl Worst {
    /// What is told of a row, of those that are not equal: what it met, or why the server refuses it, and values that differ.
    pub(super) fn of(
        (table, database): (&LoadTable, Database),
        row: &Row,
        (met, refused, values): (Option<&Met>, Option<&Reject>, Vec<ColumnValues>),
    ) -> Self {
        let judged = match (met, refused) {
            (_, Some(reject)) => Judged::because(Class::Missing, would_be_rejected(reject)),
            (Some(met), None) => met.judge(table, row, database),
            (None, None) => Judged::of(Class::Equal),
        };
        // Another key's row says nothing of this one's content.
        let Some(met) = met.filter(|met| met.other_key(row, database).is_none()) else { return Self::plain(judged) };
        let name = |index: &usize| table.columns.get(*index).map(|column| column.name.clone());
        Self { judged, element: None, columns: met.differs.iter().filter_map(name).collect(), values }
    }

    pub(super) fn plain(judged: Judged) -> Self {
        Self { judged, element: None, columns: Vec::new(), values: Vec::new() }
    }

    /// The name of the row's element, where it will be told.
    pub(super) fn element_of(&self, row: &Row) -> Option<String> {
        (self.judged.class > Class::Equal).then(|| name(row))
    }

    /// A key that is this one row, which met this.
    pub(super) fn into_only(self, key: RedisKey, met: Option<&Met>, refused: bool) -> Compared {
        let mut differing = Differing::default();
        differing.note(&self.judged, met, &self.columns);
        Compared { differing: differing.columns(), ..self.into_key(key, refused) }
    }

    /// A key whose worst row this is.
    pub(super) fn into_key(self, key: RedisKey, refused: bool) -> Compared {
        let Judged { class, detail } = self.judged;
        let Self { element, columns, values, .. } = self;
        Compared { element, detail, columns, values, refused: i64::from(refused), ..Compared::of(key, class) }
    }
}

/// How people are told of a row's element.
pub(super) fn name(row: &Row) -> String {
    ElementOf { redis_type: row.redis_type, bytes: &row.value, index: row.element }.name()
}
