//! What must be true of a key before it may be deleted from Redis, beside that its rows are equal: each row's lineage names the
//! key and a run that counts, its columns give back what the value says, and no reject of the key is open.

use super::met::Met;
use super::{Comparer, Comparison};
use crate::model::{
    ContentDigest, Database, Failure, Group, ROUNDED, Record, RedisKey, RedisType, Row, SERVER_READS, UnixMillis,
};
use crate::postgres::ident;
use crate::sink::load::columns::Columns;
use crate::sink::table::{Compare, LoadTable, Provenance};
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
    /// A column of a row of it does not give back what its value says: the type rounds it, or cuts some of it off.
    Rounded,
    /// It makes no row: nothing in PostgreSQL says that it was there.
    NoRow,
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

    /// Whether a column of an equal row does not give back what the value says, or may not. `None`: as the server shows it, every
    /// value that only it reads is as it was sent.
    pub(super) fn is_rounded(met: Option<&Self>, row: &Row) -> bool {
        let tells = |what: &'static str| row.altered.contains(&what);
        tells(ROUNDED) || tells(SERVER_READS) && met.is_some_and(|met| met.respelled)
    }

    /// What keeps the key of an equal row from being deleted.
    pub(super) fn doubt(met: Option<&Self>, table: &LoadTable, (row, database): (&Row, Database)) -> Option<Unproven> {
        if !Self::proves(met, table, (row, database)) {
            return Some(Unproven::NoLineage);
        }
        Self::is_rounded(met, row).then_some(Unproven::Rounded)
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

/// The repairs that were made of a row's values, by name.
pub(super) fn repairs(row: &Row) -> impl Iterator<Item = &'static str> + use<> {
    row.altered.clone().into_iter().filter(|name| ![ROUNDED, SERVER_READS].contains(name))
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
