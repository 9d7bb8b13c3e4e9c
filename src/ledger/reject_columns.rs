//! The columns of rejects as they are written: some hundred at a time, each column an array.

use super::rejects::Rejected;
use super::shards::ShardId;
use crate::model::{Database, Replay, TableName, sha256_hex};
use crate::postgres::query;
use bytes::Bytes;
use sqlx::postgres::PgConnection;
use sqlx::{Error, Postgres};

/// Rejects, column by column.
#[derive(Default)]
pub(super) struct Columns {
    key: Vec<Vec<u8>>,
    redis_type: Vec<String>,
    reason: Vec<String>,
    detail: Vec<String>,
    path: Vec<Option<String>>,
    column: Vec<Option<String>>,
    sqlstate: Vec<Option<String>>,
    value: Vec<Option<Vec<u8>>>,
    size: Vec<Option<i64>>,
    hash: Vec<Option<String>>,
    state: Vec<String>,
    rows: Vec<Option<String>>,
    part: Vec<Option<bool>>,
    whole: Vec<Option<Vec<u8>>>,
    dump: Vec<Option<Vec<u8>>>,
    expires_at: Vec<Option<i64>>,
    facts: Vec<Option<String>>,
    elements: Vec<Option<Vec<u8>>>,
    /// Whether what it was judged by is what the ledger has: then that stays as it is.
    from_ledger: Vec<bool>,
    rivals: Vec<Option<String>>,
}

/// The arrays, as a table `u`.
const GIVEN: &str = "unnest($6::bytea[], $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], \
    $13::bytea[], $14::bigint[], $15::text[], $16::text[], $17::text[]::jsonb[], $18::boolean[], $19::bytea[], \
    $20::bytea[], $21::bigint[], $22::text[]::jsonb[], $23::bytea[], $24::boolean[], $26::text[]::jsonb[]) \
    u (key, redis_type, reason, detail, path, column_name, sqlstate, value, value_size, value_hash, state, rows, value_part, \
    whole_value, dump, expires_at_ms, facts, elements, from_ledger, rivals)";

/// What a reading says of the value.
const VALUE: [&str; 8] =
    ["value", "value_size", "value_hash", "value_part", "whole_value", "dump", "expires_at_ms", "facts"];
/// What is said of the key, and of the judgement.
const JUDGED: [&str; 10] =
    ["redis_type", "reason", "detail", "path", "column_name", "sqlstate", "state", "rows", "elements", "rivals"];

impl Columns {
    /// Adds a reject.
    ///
    /// # Errors
    /// What cannot be written as JSON.
    pub(super) fn push(&mut self, rejected: &Rejected<'_>, value_cap: usize) -> Result<(), Error> {
        let Rejected { reject, pending, rows } = rejected;
        let json = |error: serde_json::Error| Error::Encode(error.into());
        let rows = (!rows.is_empty()).then(|| serde_json::to_string(rows)).transpose();
        self.rows.push(rows.map_err(json)?);
        self.key.push(reject.key.as_bytes().to_vec());
        self.redis_type.push(reject.redis_type.to_string());
        self.reason.push(reject.reason.to_string());
        // PostgreSQL's text cannot hold a NUL.
        self.detail.push(reject.detail.replace('\0', "\u{fffd}"));
        self.path.push(reject.path.as_ref().map(|path| path.replace('\0', "\u{fffd}")));
        self.column.push(reject.column.clone());
        self.sqlstate.push(reject.sqlstate.clone());
        let capped = |value: Option<&Bytes>| value.filter(|value| value.len() <= value_cap).map(|value| value.to_vec());
        let value = reject.value.as_ref();
        self.value.push(capped(value));
        let withheld = reject.withheld.as_ref();
        let size = value.map(|value| value.len().try_into().unwrap_or(i64::MAX));
        self.size.push(size.or(withheld.map(|withheld| withheld.bytes)));
        let hash = value.map(|value| sha256_hex(value));
        self.hash.push(hash.or_else(|| withheld.map(|withheld| withheld.sha256.clone())));
        self.state.push(if *pending { "pending" } else { "open" }.to_owned());
        let replay = reject.replay.as_deref();
        let facts = replay.and_then(|replay| replay.facts.as_deref());
        self.part.push(replay.map(|replay| replay.part));
        self.whole.push(capped(replay.and_then(|replay| replay.whole.as_ref())));
        self.dump.push(capped(facts.and_then(|facts| facts.dump.as_ref())));
        self.expires_at.push(replay.and_then(|replay| replay.expires_at));
        // The times of a large hash's fields are as large as its value: they are of use with all of it only.
        let all = replay.and_then(|replay| replay.whole.as_ref()).or(value);
        let kept = all.is_none_or(|all| all.len() <= value_cap);
        let facts = facts.filter(|_| kept).map(serde_json::to_string).transpose();
        self.facts.push(facts.map_err(json)?);
        self.elements.push(replay.and_then(|replay| replay.elements.as_ref()).map(|elements| elements.to_vec()));
        self.from_ledger.push(replay.is_some_and(Replay::is_from_ledger));
        let rivals = reject.rivals.as_deref().map(|rivals| rivals.names().collect::<Vec<_>>());
        self.rivals.push(rivals.map(|names| serde_json::to_string(&names)).transpose().map_err(json)?);
        Ok(())
    }

    /// Writes them: in a retry over those of the same keys first.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn write(
        &self,
        connection: &mut PgConnection,
        shard: ShardId,
        of: (&str, &TableName, Database),
    ) -> Result<(), Error> {
        let mut unless = "";
        if shard.retry_of.is_some() {
            self.bound(&update(), shard, of).execute(&mut *connection).await?;
            unless = " WHERE NOT EXISTS (SELECT FROM redis2pg.rejects x WHERE x.run_id = $1::text::uuid \
                      AND x.key_hash = pg_catalog.sha256(u.key) AND coalesce(x.redis_db, -1) = coalesce($5::int4, -1) \
                      AND x.key_hash = ANY (ARRAY(SELECT pg_catalog.sha256(k) FROM pg_catalog.unnest($6::bytea[]) k)))";
        }
        self.bound(&insert(unless), shard, of).execute(connection).await?;
        Ok(())
    }

    fn bound<'q>(
        &'q self,
        statement: &str,
        shard: ShardId,
        (mapping, table, database): (&'q str, &TableName, Database),
    ) -> sqlx::query::Query<'q, Postgres, sqlx::postgres::PgArguments> {
        query(statement.to_owned())
            .bind(shard.home().to_string())
            .bind(shard.phase.cast_signed())
            .bind(mapping)
            .bind(table.to_string())
            .bind(shard.named(database))
            .bind(&self.key)
            .bind(&self.redis_type)
            .bind(&self.reason)
            .bind(&self.detail)
            .bind(&self.path)
            .bind(&self.column)
            .bind(&self.sqlstate)
            .bind(&self.value)
            .bind(&self.size)
            .bind(&self.hash)
            .bind(&self.state)
            .bind(&self.rows)
            .bind(&self.part)
            .bind(&self.whole)
            .bind(&self.dump)
            .bind(&self.expires_at)
            .bind(&self.facts)
            .bind(&self.elements)
            .bind(&self.from_ledger)
            .bind(shard.counter())
            .bind(&self.rivals)
    }
}

/// `name = prefix.name` for each.
fn assigned<'a>(names: impl IntoIterator<Item = &'a &'a str>, from: impl Fn(&str) -> String) -> String {
    names.into_iter().map(|name| format!("{name} = {}", from(name))).collect::<Vec<_>>().join(", ")
}

/// Writes over the rejects of the retried run.
fn update() -> String {
    let judged = assigned(&JUDGED, |name| format!("u.{name}"));
    let value = assigned(&VALUE, |name| format!("CASE WHEN u.from_ledger THEN r.{name} ELSE u.{name} END"));
    format!(
        "UPDATE redis2pg.rejects r SET phase = $2, mapping = $3, table_name = $4, {judged}, {value}, closed_at = NULL, \
         closed_by = NULL, counted_by = $25::text::uuid, tried_by = $25::text::uuid, tried_at = pg_catalog.now(), \
         attempts = r.attempts + (r.tried_by IS DISTINCT FROM $25::text::uuid)::int4 FROM {GIVEN} \
         WHERE r.run_id = $1::text::uuid AND r.key_hash = pg_catalog.sha256(u.key) \
         AND coalesce(r.redis_db, -1) = coalesce($5::int4, -1) \
         AND r.key_hash = ANY (ARRAY(SELECT pg_catalog.sha256(k) FROM pg_catalog.unnest($6::bytea[]) k))"
    )
}

fn insert(unless: &str) -> String {
    let names: Vec<&str> = JUDGED.iter().chain(&VALUE).copied().collect();
    let given: Vec<String> = names.iter().map(|name| format!("u.{name}")).collect();
    let over = assigned(&names, |name| format!("excluded.{name}"));
    format!(
        "INSERT INTO redis2pg.rejects (run_id, phase, mapping, table_name, redis_db, found_by, counted_by, key, {}) \
         SELECT $1::text::uuid, $2, $3, $4, $5::int4, $25::text::uuid, $25::text::uuid, u.key, {} FROM {GIVEN}{unless} \
         ON CONFLICT (run_id, mapping, key_hash, (coalesce(redis_db, -1))) DO UPDATE SET {over}, \
         found_by = excluded.found_by, counted_by = excluded.counted_by, closed_at = NULL, closed_by = NULL",
        names.join(", "),
        given.join(", ")
    )
}
