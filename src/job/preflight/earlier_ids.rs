//! Rows that an older script left under other ids than a run gives: what it wrote into the column of the lineage says which key
//! of Redis they are of.

use crate::mapping::{CandidateSpec, LineageSpec, MappingSpec};
use crate::model::{ColumnType, Finding, Side};
use crate::postgres::{TableFacts, ident, query, shown_ident, shown_table, table_ident};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error, Row};

/// So many rows are looked at, those that the table holds first: an older script's are there, and a look at every row would
/// cost each run as much as reading the table.
const LOOKED_AT: u32 = 100_000;

/// In milliseconds; what is not found by then is not told.
const TIMEOUT: u32 = 5_000;

/// The column whose `redis_document_id` is the id of the row itself, where a mapping has one.
fn lineage_of_own_id<'a>(spec: &'a MappingSpec, facts: &TableFacts) -> Option<&'a str> {
    let Some(LineageSpec::Column { column, document_id }) = &spec.lineage else { return None };
    let [key] = spec.key.as_slice() else { return None };
    let is_jsonb = facts.table.column(column).is_some_and(|column| column.column_type == ColumnType::Jsonb);
    let first = spec.columns.iter().find(|known| known.name == *key)?.from.first()?;
    let of_id = match first {
        CandidateSpec::Source(source) => source == document_id,
        CandidateSpec::Table(table) => table.source.as_ref() == Some(document_id),
    };
    (is_jsonb && of_id && facts.no_table.is_none()).then_some(column)
}

/// How many such rows there are, as a warning, and the column that says so.
///
/// # Errors
/// The connection's; what the server does not let the role see, or not in time, is left out.
pub(super) async fn judge(
    connection: &mut PgConnection,
    spec: &MappingSpec,
    facts: &TableFacts,
) -> Result<Option<(String, Finding)>, Error> {
    let (Some(column), [key]) = (lineage_of_own_id(spec, facts), spec.key.as_slice()) else { return Ok(None) };
    let found = count(connection, facts, (column, key)).await?;
    Ok((found > 0).then(|| {
        let (table, id, metadata) = (shown_table(&facts.table.name), shown_ident(key), shown_ident(column));
        let message = format!(
            "{found} of its first {LOOKED_AT} rows are under other ids than a run gives: an older script wrote them, and their \
             {column}.redis_document_id is not their {key}. Documents that are in Redis are stored beside them, under the ids \
             that Redis has; children of others are given the ids of these rows (`parent_by_lineage`)"
        );
        let hint = format!(
            "SELECT {id}, {metadata}->>'redis_document_id' FROM {table} WHERE NOT {metadata} ? 'redis2pg' \
             AND {metadata}->>'redis_document_id' <> {id}::text; delete what is to be loaded anew."
        );
        (column.to_owned(), Finding::warning(Side::Postgres, facts.table.name.to_string(), message, hint))
    }))
}

/// An id that is no UUID may have been made into one of version 5, as a run does: such a row is where a run looks for it.
async fn count(connection: &mut PgConnection, facts: &TableFacts, (column, key): (&str, &str)) -> Result<i64, Error> {
    let statement = format!(
        "SELECT pg_catalog.count(*) FROM (SELECT {0} AS lineage, {1}::text AS id FROM {2} LIMIT {LOOKED_AT}) t \
         WHERE lineage ->> 'redis_document_id' <> id AND NOT lineage ? 'redis2pg' \
         AND pg_catalog.lower(lineage ->> 'redis_document_id') <> id AND NOT (id ~ '^[0-9a-f]{{8}}-[0-9a-f]{{4}}-5' \
         AND lineage ->> 'redis_document_id' !~* '^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$')",
        ident(column),
        ident(key),
        table_ident(&facts.table.name)
    );
    let mut savepoint = connection.begin().await?;
    query(format!("SET LOCAL statement_timeout = {TIMEOUT}")).execute(&mut *savepoint).await?;
    let found = query(statement).fetch_one(&mut *savepoint).await;
    savepoint.rollback().await?;
    match found {
        Ok(row) => row.try_get(0),
        Err(Error::Database(_)) => Ok(0),
        Err(error) => Err(error),
    }
}
