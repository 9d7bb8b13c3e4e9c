//! Lineage in the ledger: of the rows of a merge whose table has no room for it.

use super::merge::{Staged, set_hash_join};
use super::statements::{ORDINAL, Side, key_join, row_key};
use crate::model::Row;
use crate::postgres::query;
use crate::sink::table::Provenance;
use sqlx::Error;
use sqlx::postgres::PgConnection;
use std::collections::HashMap;

/// What is done about lineage that is there.
const REPLACE_LINEAGE: &str = "ON CONFLICT (table_name, row_key) DO UPDATE \
    SET run_id = excluded.run_id, redis_key = excluded.redis_key, redis_db = excluded.redis_db, digest = excluded.digest, \
    loaded_at = pg_catalog.now()";

impl Staged<'_> {
    /// Writes the lineage of some rows. That of `new` rows is new as well, unless somebody deleted rows
    /// that we loaded: to look for it first costs the server as much again as writing it.
    pub(super) async fn write_lineage(
        &self,
        connection: &mut PgConnection,
        ordinals: &[i32],
        new: bool,
    ) -> Result<(), Error> {
        if self.attempt.table.provenance != Provenance::Ledger || ordinals.is_empty() {
            return Ok(());
        }
        let rows: HashMap<i32, &Row> =
            ordinals.iter().filter_map(|ordinal| Some((*ordinal, self.row(*ordinal)?))).collect();
        let (mut numbers, mut keys, mut digests) = (Vec::new(), Vec::new(), Vec::new());
        for (ordinal, row) in rows {
            numbers.push(ordinal);
            keys.push(row.key.as_bytes());
            digests.push(row.digest.to_string());
        }
        // This join has no index to go by.
        set_hash_join(connection, true).await?;
        let stage = self.sql.stage.as_str();
        // The ledger knows a row as the table spells its key.
        let (stored, key) = if self.attempt.table.loose_key {
            let target = format!("JOIN {} t ON {}", self.attempt.table.rows(), key_join(self.attempt.table));
            (target, row_key(self.attempt.table, Side::Target))
        } else {
            (String::new(), row_key(self.attempt.table, Side::Staged))
        };
        let replace = if new && self.attempt.table.inserts_lineage() { "" } else { REPLACE_LINEAGE };
        query(format!(
            "INSERT INTO redis2pg.loaded (table_name, row_key, run_id, redis_key, digest, redis_db) \
             SELECT $1, {key}, $2::text::uuid, u.redis_key, u.digest, $6::int4 \
             FROM unnest($3::int4[], $4::bytea[], $5::text[]) u (ord, redis_key, digest) \
             JOIN {stage} s ON s.{ORDINAL} = u.ord {stored} {replace}"
        ))
        .bind(self.attempt.table.name.to_string())
        .bind(self.attempt.shard.run.to_string())
        .bind(numbers)
        .bind(keys)
        .bind(digests)
        .bind(self.attempt.piece.database.named())
        .execute(&mut *connection)
        .await?;
        set_hash_join(connection, false).await
    }
}
