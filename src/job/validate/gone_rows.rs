//! Rows of the run whose keys are gone from Redis.
//!
//! A key that is gone is asked for once more, a little later, and so is its row: an application that deletes both does not do
//! it at once.

use super::rest::Rest;
use crate::job::expiry::{Expiry, read};
use crate::job::link::Link;
use crate::ledger;
use crate::model::{Class, ClassCounts, Discrepancy, Failure, MappingId, RedisKey};
use crate::sink::{LoadTable, StillOwned, still_owned};
use sqlx::postgres::PgConnection;
use std::collections::{BTreeMap, HashMap};
use std::hash::BuildHasher;
use std::time::Duration;

/// How long a key that is gone is given to come back.
const PAUSE: Duration = Duration::from_millis(300);
/// Keys that are known by their hashes, so that each counts once though its rows lie apart.
const TOLD_APART: usize = 500_000;

/// A row whose key is gone.
pub(super) struct Gone {
    pub(super) key: RedisKey,
    pub(super) row_key: String,
    pub(super) expires_at: Option<String>,
    /// The run that wrote it.
    pub(super) run: String,
}

/// By database.
pub(super) type ByDatabase<T> = BTreeMap<u8, Vec<T>>;

/// What is found of a key that is gone.
#[derive(Default)]
pub(super) struct GoneKey {
    /// Its rows, by class.
    pub(super) rows: ClassCounts,
    /// Rows of it that it should have taken along: it neither expired nor was cleaned.
    pub(super) extra: i64,
    /// Why it is gone, for people.
    why: &'static str,
    /// Which row is missing that one of its rows refers to, for people.
    orphaned: Option<String>,
}

impl GoneKey {
    /// Adds a row, of the class that its key makes it; where it refers to a row that is missing, that is worse.
    fn add(&mut self, class: Class, orphaned: Option<String>) {
        self.why = match class {
            Class::Expired => "the key has expired",
            Class::Cleaned => "a cleanup has deleted the key",
            _ => "the key is gone",
        };
        self.extra += i64::from(class == Class::Extra);
        self.rows.add(if orphaned.is_some() { Class::Orphaned } else { class }, 1);
        self.orphaned = self.orphaned.take().or(orphaned);
    }

    fn class(&self) -> Class {
        self.rows.worst().unwrap_or(Class::Extra)
    }

    fn detail(&self) -> String {
        match &self.orphaned {
            Some(orphaned) => format!("{orphaned}; {}", self.why),
            None => self.why.to_owned(),
        }
    }
}

impl Rest<'_> {
    /// Looks at keys that are gone once more, and at their rows, and books what stays so.
    pub(super) async fn settle(
        &mut self,
        (id, table): (MappingId, &LoadTable),
        gone: ByDatabase<Gone>,
        link: &mut Link,
    ) -> Result<(), Failure> {
        if gone.is_empty() {
            return Ok(());
        }
        self.pause().await;
        for (number, rows) in gone {
            let rows = self.absent(number, rows).await?;
            let keys: Vec<String> = rows.iter().map(|row| row.row_key.clone()).collect();
            let mut there = self.still_owned(table, &keys, link).await?;
            if there.values().any(Option::is_some) {
                // Whoever deletes a parent may be about to delete its children.
                self.pause().await;
                there = self.still_owned(table, &keys, link).await?;
            }
            let asked: Vec<(RedisKey, String)> = rows.iter().map(|row| (row.key.clone(), row.run.clone())).collect();
            let source = &self.ready.chosen.run.source;
            let cleaned =
                async |connection: &mut PgConnection| ledger::cleaned_among(connection, (source, number), &asked).await;
            let cleaned = link.read("looking for keys that a cleanup deleted", cleaned).await?;
            let mut by_key = BTreeMap::<RedisKey, GoneKey>::new();
            for (place, row) in rows.into_iter().enumerate() {
                let Some(orphaned) = there.remove(&place) else { continue };
                let clock = self.rounds.shared.clock.as_ref();
                let class = match () {
                    () if cleaned.contains(&place) => Class::Cleaned,
                    () if read(row.expires_at.as_deref(), clock) == Expiry::Passed => Class::Expired,
                    () => Class::Extra,
                };
                by_key.entry(row.key).or_default().add(class, orphaned);
            }
            for (key, found) in by_key {
                self.book((id, number), key, &found)?;
            }
        }
        Ok(())
    }

    async fn pause(&self) {
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = self.rounds.shared.stop.wait_drain() => {}
        }
    }

    /// The places of those rows that are there as they were, each with what is missing that it refers to.
    async fn still_owned(
        &self,
        table: &LoadTable,
        keys: &[String],
        link: &mut Link,
    ) -> Result<HashMap<usize, Option<String>>, Failure> {
        let of = (table, self.rounds.options.relationships);
        let there = async |connection: &mut PgConnection| still_owned(connection, of, keys, &self.runs).await;
        let there = link.read("looking at rows whose keys are gone", there).await?;
        Ok(there.into_iter().map(|StillOwned { place, orphaned }| (place, orphaned)).collect())
    }

    /// Books a key, or more rows of it: it counts once, by the worst of them.
    fn book(&mut self, (mapping, database): (MappingId, u8), key: RedisKey, gone: &GoneKey) -> Result<(), Failure> {
        let (class, hash) = (gone.class(), self.hasher.hash_one((mapping, database, &key)));
        let before = self.counted.get(&hash).copied();
        let counts = before.is_none_or(|before| before < class);
        if counts && (before.is_some() || self.counted.len() < TOLD_APART) {
            self.counted.insert(hash, class);
        }
        let (columns, values, detail) = (Vec::new(), Vec::new(), gone.detail());
        let found =
            Discrepancy { mapping, database, key: key.detached(), class, element: None, detail, columns, values };
        self.findings().gone(counts.then_some((found, before)), (mapping, database), gone)
    }
}

#[cfg(test)]
mod tests {
    use super::GoneKey;
    use crate::model::Class;

    #[test]
    fn a_key_is_the_worst_of_its_rows_and_one_that_expired_is_not_extra() {
        let mut key = GoneKey::default();
        key.add(Class::Expired, None);
        assert_eq!((key.class(), key.extra, key.detail().as_str()), (Class::Expired, 0, "the key has expired"));
        key.add(Class::Expired, Some("of refers to a row of docs that is not there".to_owned()));
        assert_eq!((key.class(), key.extra), (Class::Orphaned, 0));
        assert_eq!(key.detail(), "of refers to a row of docs that is not there; the key has expired");
        assert_eq!((key.rows.get(Class::Expired), key.rows.get(Class::Orphaned)), (1, 1));
    }

    #[test]
    fn an_orphan_whose_key_was_deleted_counts_among_the_rows_that_a_run_would_delete() {
        let mut key = GoneKey::default();
        key.add(Class::Extra, Some("of refers to a row of docs that is not there".to_owned()));
        assert_eq!((key.class(), key.extra), (Class::Orphaned, 1));
    }
}
