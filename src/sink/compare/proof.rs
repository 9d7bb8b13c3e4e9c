//! What must be true of a key before it may be deleted from Redis, beside that its rows are equal: each row's lineage names the
//! key and a run that counts, its columns give back what the value says, and no reject of the key is open.

use super::met::Met;
use super::{Comparer, Comparison};
use crate::model::{ContentDigest, Database, Failure, Group, Record, RedisKey, RedisType, Row, Shape, UnixMillis};
use crate::postgres::{exact_text, ident};
use crate::sink::load::columns::Columns;
use crate::sink::table::{Compare, LoadColumn, LoadTable, Provenance};
use std::collections::HashSet;
use std::sync::Arc;

/// What is asked of the rows of keys that are to go.
#[derive(Clone, Debug)]
pub struct Proof {
    /// The runs that count, as text.
    pub runs: Arc<[String]>,
    /// Whether rejects of the run are open: then each key is looked for among them.
    pub rejects: bool,
}

/// A key that may go, with what it held when its rows were compared.
#[derive(Clone, Debug)]
pub enum Proven {
    /// As it was read, in one piece.
    Read(Record),
    /// It came in slices.
    Sliced {
        /// The key.
        key: RedisKey,
        /// Its type.
        redis_type: RedisType,
        /// When it expires, as far as it was asked for.
        expires_at: Option<UnixMillis>,
        /// What all slices together held.
        content: ContentDigest,
    },
}

/// Why an equal key may not go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unproven {
    /// A row of it does not say that a run which counts made it of this key.
    NoLineage,
    /// These columns of rows of it do not give back what their values say: the type rounds them, or cuts some of them off.
    Rounded(Shape),
    /// It makes no row: nothing in PostgreSQL says that it was there.
    NoRow,
    /// Elements of it are equal, and so one row: how many there are says only the key.
    EqualElements,
    /// Nothing tells what it held as a whole.
    NotRead,
    /// A reject of it is open.
    Rejected,
}

impl Proven {
    /// A key of several rows, all of which are equal; `None` where it is not known what it held.
    pub(super) fn of_group(group: &Group) -> Option<Self> {
        let sliced = || {
            let content = *group.content.get()?;
            let (key, redis_type, expires_at) = (group.key.clone(), group.redis_type, group.expires_at());
            Some(Self::Sliced { key, redis_type, expires_at, content })
        };
        group.record().map(Self::Read).or_else(sliced)
    }

    /// The key.
    pub fn key(&self) -> &RedisKey {
        match self {
            Self::Read(record) => &record.key,
            Self::Sliced { key, .. } => key,
        }
    }
}

impl Met {
    /// Whether the lineage of the row that an equal row met names its key and a run that counts. `None`: the server gave nothing
    /// back, as of all rows of which that is so.
    pub(super) fn proves(met: Option<&Self>, table: &LoadTable, (row, database): (&Row, Database)) -> bool {
        if table.provenance == Provenance::Nowhere {
            return false;
        }
        met.is_none_or(|met| {
            let is_here = met.redis_db.as_ref().is_none_or(|number| *number == database.number.to_string());
            met.there && met.counts && is_here && met.redis_key.as_deref() == Some(row.key.as_bytes())
        })
    }

    /// The columns of an equal row that do not give back what the value says, or may not. `None`: as the server shows it, every value
    /// that only it reads is as it was sent.
    pub(super) fn rounded(met: Option<&Self>, row: &Row) -> Shape {
        let respelled = met.map_or(Shape::default(), |met| met.respelled);
        Shape(row.losses.rounded.0 | row.losses.server_reads.0 & respelled.0)
    }

    /// What keeps the key of an equal row from being deleted.
    pub(super) fn doubt(met: Option<&Self>, table: &LoadTable, (row, database): (&Row, Database)) -> Option<Unproven> {
        if !Self::proves(met, table, (row, database)) {
            return Some(Unproven::NoLineage);
        }
        Some(Self::rounded(met, row)).filter(|rounded| rounded.columns() > 0).map(Unproven::Rounded)
    }
}

impl Unproven {
    /// What keeps a key of several rows, where one of them says the one and another the other: the first, but columns of all.
    pub(super) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Rounded(some), Self::Rounded(more)) => Self::Rounded(Shape(some.0 | more.0)),
            (first, _) => first,
        }
    }
}

/// SQL for the places of columns that a staged row lacks, and in which the target's row has a value: since the load the value has gone
/// from the key, and with the key nothing would tell that. A table's own default makes such values too: those columns are left out.
pub(super) fn lacking(table: &LoadTable, columns: Columns) -> impl Iterator<Item = String> {
    let others = table.columns.iter().enumerate().skip(table.key_columns);
    others.filter(|(_, column)| !column.has_default && column.compare != Compare::Never).filter_map(
        move |(index, column)| {
            let lacks = match columns.all.has(index) {
                true => format!("NOT ({}) AND ", columns.condition(index)?),
                false => String::new(),
            };
            Some(format!("CASE WHEN {lacks}t.{} IS DISTINCT FROM NULL THEN {index} END", ident(&column.name)))
        },
    )
}

/// The columns in which the target's row shows a value that the server read otherwise than it was sent, by their places; NULL: none.
pub(super) fn respelled(table: &LoadTable, columns: Columns) -> String {
    let test = |(index, column): (usize, &LoadColumn)| {
        let (name, has) = (ident(&column.name), columns.condition(index));
        let has = has.map(|has| format!("{has} AND ")).unwrap_or_default();
        let shown = exact_text(&format!("t.{name}"));
        format!("CASE WHEN {has}s.{name} IS DISTINCT FROM {shown} THEN {index} END")
    };
    let read = table.present(columns.all).filter(|(_, column)| column.cast.is_some());
    let tests: Vec<String> = read.map(test).collect();
    match tests.as_slice() {
        [] => "NULL::int4[]".to_owned(),
        tests => format!("nullif(pg_catalog.array_remove(ARRAY[{}]::int4[], NULL), '{{}}')", tests.join(", ")),
    }
}

impl Comparer {
    /// Takes the keys out of those that may go of which a reject is open.
    pub(super) async fn keep_rejected(
        &mut self,
        table: &LoadTable,
        database: Database,
        comparison: &mut Comparison,
    ) -> Result<(), Failure> {
        let looks = self.options.proof.as_ref().is_some_and(|proof| proof.rejects);
        if !looks || comparison.proven.is_empty() {
            return Ok(());
        }
        let keys: Vec<RedisKey> = comparison.proven.iter().map(|proven| proven.key().clone()).collect();
        let known: HashSet<RedisKey> =
            self.known((table.mapping.as_str(), database), &keys).await?.into_keys().collect();
        let (rejected, proven): (Vec<_>, Vec<_>) =
            std::mem::take(&mut comparison.proven).into_iter().partition(|proven| known.contains(proven.key()));
        comparison.proven = proven;
        let rejected = rejected.into_iter().map(|proven| (proven.key().clone(), Unproven::Rejected));
        comparison.unproven.extend(rejected);
        Ok(())
    }
}
