//! The journal: one row a committed batch, written in the rows' own transaction.

use super::shards::ShardId;
use crate::model::{TableName, Tally};
use crate::postgres::query;
use futures::TryStreamExt;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error, Row};
use std::collections::BTreeMap;
use uuid::Uuid;

/// What a batch writes of itself.
#[derive(Clone, Debug)]
pub struct Journal<'a> {
    /// Made by the client for each batch: a COMMIT whose answer was lost is settled by looking for it.
    pub id: Uuid,
    /// The scan of the shard that its pages belong to.
    pub epoch: u32,
    /// The mapping's name.
    pub mapping: &'a str,
    /// The target table.
    pub table: &'a TableName,
    /// What made its rows of their values: the mapping, its columns and the tool's version. The same fingerprint makes
    /// the same row of the same value.
    pub fingerprint: &'a str,
    /// The pages that it settles, or helps to settle.
    pub pages: &'a [i64],
    /// What became of its sightings.
    pub tally: &'a Tally,
    /// How many before-images it took.
    pub images: u64,
}

/// Writes the journal row, with the transaction's id.
///
/// # Errors
/// The server's.
pub async fn write_journal(connection: &mut PgConnection, shard: ShardId, journal: &Journal<'_>) -> Result<(), Error> {
    query(
        "INSERT INTO redis2pg.batches (id, run_id, phase, shard, epoch, mapping, table_name, fingerprint, xid, \
         pages, tally, images) VALUES ($1::text::uuid, $2::text::uuid, $3, $4, $5, $6, $7, $8, \
         pg_catalog.pg_current_xact_id()::text::bigint, $9, $10::text::jsonb, $11)",
    )
    .bind(journal.id.to_string())
    .bind(shard.run.to_string())
    .bind(shard.phase.cast_signed())
    .bind(shard.shard.cast_signed())
    .bind(journal.epoch.cast_signed())
    .bind(journal.mapping)
    .bind(journal.table.to_string())
    .bind(journal.fingerprint)
    .bind(journal.pages)
    .bind(serde_json::to_string(journal.tally).map_err(|error| Error::Encode(error.into()))?)
    .bind(journal.images.cast_signed())
    .execute(connection)
    .await?;
    Ok(())
}

/// Whether the batch is in the journal: then its COMMIT happened, whatever became of the answer. Gives its tally.
///
/// # Errors
/// The server's.
pub async fn is_committed(connection: &mut PgConnection, batch: Uuid) -> Result<Option<Tally>, Error> {
    let mut transaction = connection.begin().await?;
    let row = query("SELECT tally::text FROM redis2pg.batches WHERE id = $1::text::uuid")
        .bind(batch.to_string())
        .fetch_optional(&mut *transaction)
        .await?;
    transaction.commit().await?;
    row.map(|row| tally(row.try_get(0)?)).transpose()
}

/// What a run has done so far, by mapping.
///
/// # Errors
/// The server's.
pub async fn totals(connection: &mut PgConnection, run: Uuid) -> Result<BTreeMap<String, Tally>, Error> {
    let mut transaction = connection.begin().await?;
    let mut totals = BTreeMap::<String, Tally>::new();
    let statement = query("SELECT mapping, tally::text AS tally FROM redis2pg.batches WHERE run_id = $1::text::uuid")
        .bind(run.to_string());
    let mut rows = statement.fetch(&mut *transaction);
    while let Some(row) = rows.try_next().await? {
        totals.entry(row.try_get("mapping")?).or_default().add(&tally(row.try_get("tally")?)?);
    }
    drop(rows);
    transaction.commit().await?;
    Ok(totals)
}

fn tally(text: &str) -> Result<Tally, Error> {
    serde_json::from_str(text).map_err(|error| Error::Decode(error.into()))
}
