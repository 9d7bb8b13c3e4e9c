//! Readings of a key that take several transactions: the ledger notes the row of each element until the reading ends. Who
//! asks which rows are gone, or whether a row has its element already, is told by it.

use super::attempt::Attempt;
use super::origin::is_surely_in_ledger;
use super::statements::{Side, key_join, row_key};
use crate::model::Group;
use crate::postgres::{literal, query};
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row as _};
use std::sync::Arc;

impl Attempt<'_> {
    /// The readings with rows here that go on in another transaction.
    pub(super) fn tracked(&self, ending: &[Arc<Group>]) -> Vec<Arc<Group>> {
        let mut tracked: Vec<Arc<Group>> = Vec::new();
        for group in self.piece.rows.iter().filter_map(|row| row.group.as_ref()) {
            let known = |others: &[Arc<Group>]| others.iter().rev().any(|other| Arc::ptr_eq(other, group));
            let closed = || self.piece.closed.iter().any(|other| Arc::ptr_eq(other, group));
            if self.is_tracked(group) && !known(&tracked) && !known(ending) && !closed() {
                tracked.push(group.clone());
            }
        }
        tracked
    }

    /// Whether the rows of a reading are noted until it ends: it takes several transactions, and may leave rows behind.
    pub(super) fn is_tracked(&self, group: &Group) -> bool {
        self.is_in_parts(group) && group.had_rows.get().copied().unwrap_or(true)
    }

    /// Whether the rows of a reading come in several transactions.
    pub(super) fn is_in_parts(&self, group: &Group) -> bool {
        self.piece.split || group.sliced
    }

    /// Learns, before the first row of a reading that takes several transactions is written, whether there are any of
    /// its key: if not, none can be left behind.
    pub(super) async fn learn_rows(&self, connection: &mut PgConnection) -> Result<(), Error> {
        if !self.table.deletes_gone() {
            return Ok(());
        }
        let mut new: Vec<&Arc<Group>> = Vec::new();
        for group in self.piece.rows.iter().filter_map(|row| row.group.as_ref()) {
            let unknown = self.is_in_parts(group) && group.had_rows.get().is_none();
            if unknown && !new.iter().rev().any(|known| Arc::ptr_eq(known, group)) {
                new.push(group);
            }
        }
        if new.is_empty() {
            return Ok(());
        }
        let keys: Vec<&[u8]> = new.iter().map(|group| group.key.as_bytes()).collect();
        let rows = query(format!(
            "SELECT EXISTS (SELECT FROM redis2pg.loaded l WHERE l.table_name = $1 AND l.redis_key = k.key AND {}) \
             FROM pg_catalog.unnest($2::bytea[]) WITH ORDINALITY k (key, place) ORDER BY place",
            is_surely_in_ledger(self.piece.database, self.shard.run)
        ))
        .bind(self.table.name.to_string())
        .bind(keys)
        .fetch_all(connection)
        .await?;
        for (row, group) in rows.iter().zip(new) {
            // Set already only by an earlier attempt at the same piece, which saw the same.
            let _ = group.had_rows.set(row.try_get(0)?);
        }
        Ok(())
    }

    /// Forgets the rows of the readings that end here.
    pub(super) async fn forget(&self, connection: &mut PgConnection) -> Result<(), Error> {
        let closed = self.piece.closed.iter().filter(|group| self.is_tracked(group));
        let ids: Vec<String> = closed.map(|group| group.id.to_string()).collect();
        if !ids.is_empty() {
            query("DELETE FROM redis2pg.seen WHERE reading = ANY ($1::text[]::uuid[])")
                .bind(ids)
                .execute(connection)
                .await?;
        }
        Ok(())
    }

    /// Notes the rows of the readings that go on, behind the first `ended`. `lost`: of
    /// several elements for one row some may be rejected; the one that has it is noted.
    pub(super) async fn note(
        &self,
        connection: &mut PgConnection,
        (present, lost): (&str, bool),
        (readings, ended): (&[Arc<Group>], usize),
    ) -> Result<(), Error> {
        let ids: Vec<String> = readings.iter().map(|group| group.id.to_string()).collect();
        if readings.len() > ended {
            let row_key = row_key(self.table, Side::Target);
            let order = format!(
                "ORDER BY (s.redis2pg_digest = (SELECT l.digest FROM redis2pg.loaded l WHERE l.table_name = {} \
                 AND l.row_key = {row_key})) DESC NULLS LAST",
                literal(&self.table.name.to_string())
            );
            query(format!(
                "INSERT INTO redis2pg.seen (run_id, reading, row_key, digest) \
                 SELECT $1::text::uuid, ($2::text[])[s.redis2pg_reading + 1]::uuid, {row_key}, s.redis2pg_digest \
                 FROM {present} s JOIN {} t ON {} WHERE s.redis2pg_reading >= $3 {} \
                 ON CONFLICT DO NOTHING",
                self.table.rows(),
                key_join(self.table),
                if lost { order.as_str() } else { "" }
            ))
            .bind(self.shard.run.to_string())
            .bind(&ids)
            .bind(ended as i32)
            .execute(&mut *connection)
            .await?;
        }
        if self.options.staging.outlives() {
            query(format!("DROP TABLE {present}")).execute(connection).await?;
        }
        Ok(())
    }
}
