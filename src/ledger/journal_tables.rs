//! What the journal of a run says of its tables: which they are, for runs of earlier versions, and how many rows it inserted.

use crate::postgres::query;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error, Row};
use uuid::Uuid;

/// A table that a run wrote to, as its journal names it, and what the catalog knows of it: for runs of earlier versions, which
/// did not tell of their tables.
#[derive(Clone, Debug)]
pub struct JournalTable {
    /// As in the journal.
    pub name: String,
    /// The table, where there is one of that name.
    pub table: Option<(String, String)>,
    /// A mapping that wrote to it.
    pub mapping: String,
    /// Its primary key.
    pub primary_key: Vec<String>,
    /// Whether the ledger has lineage of its rows.
    pub has_lineage: bool,
    /// Whether it has a jsonb column named `metadata`.
    pub has_metadata: bool,
}

/// The tables that the journal of a run names.
///
/// # Errors
/// The server's.
pub async fn journal_tables(connection: &mut PgConnection, run: Uuid) -> Result<Vec<JournalTable>, Error> {
    let mut transaction = connection.begin().await?;
    let rows = query(
        "SELECT b.table_name, b.mapping, n.nspname::text AS schema, c.relname::text AS name, \
         ARRAY(SELECT a.attname::text FROM pg_catalog.pg_index x, pg_catalog.unnest(x.indkey) WITH ORDINALITY k (num, place), \
               pg_catalog.pg_attribute a WHERE x.indrelid = c.oid AND x.indisprimary AND a.attrelid = c.oid \
               AND a.attnum = k.num ORDER BY k.place) AS primary_key, \
         EXISTS (SELECT FROM redis2pg.loaded l WHERE l.table_name = b.table_name) AS has_lineage, \
         EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'metadata' \
                 AND a.atttypid = 'jsonb'::regtype AND NOT a.attisdropped) AS has_metadata \
         FROM (SELECT table_name, pg_catalog.min(mapping) AS mapping FROM redis2pg.batches WHERE run_id = $1::text::uuid \
               GROUP BY table_name) b \
         LEFT JOIN (pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace) \
         ON n.nspname || '.' || c.relname = b.table_name AND c.relkind IN ('r', 'p') ORDER BY 1",
    )
    .bind(run.to_string())
    .fetch_all(&mut *transaction)
    .await?;
    transaction.commit().await?;
    rows.iter()
        .map(|row| {
            let (schema, name): (Option<String>, Option<String>) = (row.try_get("schema")?, row.try_get("name")?);
            Ok(JournalTable {
                name: row.try_get("table_name")?,
                table: schema.zip(name),
                mapping: row.try_get("mapping")?,
                primary_key: row.try_get("primary_key")?,
                has_lineage: row.try_get("has_lineage")?,
                has_metadata: row.try_get("has_metadata")?,
            })
        })
        .collect()
}

/// How many rows a run inserted into a table by its journal, and how many it deleted, its own or others'. `explodes`: a key is
/// several rows.
///
/// # Errors
/// The server's.
pub async fn inserted_rows(
    connection: &mut PgConnection,
    (run, table): (Uuid, &str),
    explodes: bool,
) -> Result<(i64, i64), Error> {
    let of = if explodes { "b.tally -> 'rows'" } else { "b.tally" };
    let mut transaction = connection.begin().await?;
    let row = query(format!(
        "SELECT coalesce(pg_catalog.sum(({of} ->> 'inserted')::bigint), 0)::bigint, \
         coalesce(pg_catalog.sum(coalesce((b.tally -> 'deleted_gone' ->> 'deleted')::bigint, \
         (b.tally -> 'rows' ->> 'deleted')::bigint)), 0)::bigint \
         FROM redis2pg.batches b WHERE b.run_id = $1::text::uuid AND b.table_name = $2"
    ))
    .bind(run.to_string())
    .bind(table)
    .fetch_one(&mut *transaction)
    .await?;
    transaction.commit().await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}
