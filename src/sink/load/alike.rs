//! Elements of one key that are one row: to the database, however they are spelled, or by what the mapping makes of them. The
//! first has the row, whether the other comes with it or in a later slice of the key.

use super::book::Book;
use super::decide::Existing;
use super::merge::{Staged, set_hash_join};
use super::origin::is_in_ledger;
use super::statements::{ORDINAL, Side, key_join, row_key};
use crate::model::{Group, RedisType, Row};
use crate::postgres::query;
use crate::sink::table::Provenance;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Error, Row as _};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use uuid::Uuid;

impl Staged<'_> {
    /// Sets aside elements of one key that are one row to the database, though they are spelled differently.
    pub(super) async fn alike(
        &self,
        connection: &mut PgConnection,
        out: &BTreeSet<i32>,
        book: &mut Book<'_>,
    ) -> Result<BTreeSet<i32>, Error> {
        let mut found = BTreeSet::new();
        if !self.attempt.table.explodes || !self.attempt.table.loose_key {
            return Ok(found);
        }
        for row in query(&self.sql.alike).fetch_all(connection).await? {
            let (ordinal, first): (i32, i32) = (row.try_get("ord")?, row.try_get("first")?);
            let group = |ordinal| self.row(ordinal).and_then(|row| row.group.as_ref());
            let of_one_reading = group(ordinal).zip(group(first)).is_some_and(|(a, b)| Arc::ptr_eq(a, b));
            if of_one_reading && !out.contains(&ordinal) && found.insert(ordinal) {
                self.lose_alike(ordinal, book);
            }
        }
        Ok(found)
    }

    /// Sets aside elements of a key whose row another element of it has, in the same reading: one that came in an earlier
    /// transaction, with another shape, or is left out here since its row is as it would be written.
    pub(super) async fn met_before(
        &self,
        connection: &mut PgConnection,
        existing: &BTreeMap<i32, Existing>,
        out: &BTreeSet<i32>,
        book: &mut Book<'_>,
    ) -> Result<BTreeSet<i32>, Error> {
        let mut found = BTreeSet::new();
        let attempt = self.attempt;
        let asked: Vec<(i32, &Arc<Group>)> = (existing.keys())
            .filter(|ordinal| attempt.table.explodes && !out.contains(ordinal))
            .filter_map(|ordinal| Some((*ordinal, self.row(*ordinal)?.group.as_ref()?)))
            .collect();
        if asked.is_empty() {
            return Ok(found);
        }
        set_hash_join(connection, true).await?;
        let rows = query(self.met())
            .bind(attempt.table.name.to_string())
            .bind(asked.iter().map(|(ordinal, _)| *ordinal).collect::<Vec<_>>())
            .bind(asked.iter().map(|(_, group)| group.id.to_string()).collect::<Vec<_>>())
            .bind(asked.iter().map(|(_, group)| group.key.as_bytes()).collect::<Vec<_>>())
            .fetch_all(&mut *connection)
            .await?;
        set_hash_join(connection, false).await?;
        let settled = book.elements();
        for met in &rows {
            let ordinal: i32 = met.try_get("ord")?;
            let Some((row, judged)) = self.row(ordinal).zip(existing.get(&ordinal)) else { continue };
            if is_another((row, judged), met, &settled)? && found.insert(ordinal) {
                self.lose_alike(ordinal, book);
            }
        }
        Ok(found)
    }

    /// What is known of the target's rows that staged rows meet: the digest of the element that had it earlier in this
    /// reading, that of the element of the key which it was made from, and whether its key is spelled otherwise. `$1`: the
    /// table's name in the ledger; `$2`, `$3`, `$4`: ordinals, readings and keys.
    fn met(&self) -> String {
        let table = self.attempt.table;
        let digest = match table.provenance {
            Provenance::Ledger => format!(
                "(SELECT l.digest FROM redis2pg.loaded l WHERE l.table_name = $1 AND l.row_key = t.row_key \
                 AND l.redis_key = s.redis2pg_source AND {})",
                is_in_ledger(self.attempt.piece.database)
            ),
            // The parameter is there all the same.
            _ => "nullif($1::text, $1)".to_owned(),
        };
        // The staged rows have no index to go by; the target's are looked up one by one.
        format!(
            "SELECT s.{ORDINAL} AS ord, (SELECT n.digest FROM redis2pg.seen n \
             WHERE n.reading = s.redis2pg_reading AND n.row_key = t.row_key) AS seen, \
             {digest} AS made_from, t.row_key IS DISTINCT FROM {} AS spelled_otherwise \
             FROM (SELECT s.*, u.reading::uuid AS redis2pg_reading, u.key AS redis2pg_source \
             FROM unnest($2::int4[], $3::text[], $4::bytea[]) u (ord, reading, key) \
             JOIN {} s ON s.{ORDINAL} = u.ord OFFSET 0) s \
             CROSS JOIN LATERAL (SELECT {} AS row_key FROM {} t WHERE {} OFFSET 0) t",
            row_key(table, Side::Staged),
            self.sql.stage,
            row_key(table, Side::Target),
            table.rows(),
            key_join(table),
        )
    }

    fn lose_alike(&self, ordinal: i32, book: &mut Book<'_>) {
        let detail = "another element of the same key maps to the same row".to_owned();
        self.lose(ordinal, self.reject(ordinal, "key_collision", detail), false, book);
    }
}

/// Whether the row that is there is that of another element of the same reading. `settled`: those that have
/// their row in this transaction.
fn is_another((row, judged): (&Row, &Existing), met: &PgRow, settled: &HashSet<(Uuid, String)>) -> Result<bool, Error> {
    let (seen, made_from): (Option<String>, Option<String>) = (met.try_get("seen")?, met.try_get("made_from")?);
    let Some(group) = &row.group else { return Ok(false) };
    // Where there was no row of the key before this reading, the reading itself made it.
    let fresh = group.had_rows.get() == Some(&false);
    let made_from = made_from.filter(|digest| fresh || settled.contains(&(group.id, digest.clone())));
    let Some(digest) = seen.or(made_from) else { return Ok(false) };
    // A cursor may give an element twice. Equal elements at two places of a list are one row, as they would be at once.
    let has_place = matches!(row.redis_type, RedisType::String | RedisType::Json | RedisType::List);
    let same = has_place && !judged.differs && !met.try_get::<bool, _>("spelled_otherwise")?;
    Ok(digest != row.digest.to_string() && !same)
}
