//! The probe: rows that are in the table as they would be written, known without sending them.
//!
//! A second run over data that hardly changed would send, parse and compress every row only to find it equal. A row's
//! lineage names the key and the digest of the value that it was made from, and the journal says whether anybody wrote
//! it since and what made it. The same mapping makes the same row of the same value: then there is nothing to compare
//! but the time of expiry, which changes without the value.

use super::attempt::{Attempt, Missed};
use super::book::Book;
use super::difference::difference;
use super::origin::{is_in_ledger, is_of};
use super::statements::{ORDINAL, Side, key_join, records_expiry, row_key};
use crate::model::{Database, Row, RowOutcome, Shape};
use crate::postgres::{CopyBuffer, copy_tuples, ident, push_field, query};
use crate::sink::table::{Compare, LoadTable, Provenance};
use sqlx::Row as _;
use sqlx::postgres::PgConnection;
use std::sync::atomic::{AtomicU32, Ordering};

/// A batch of fewer rows is sent as it is.
const WORTH: usize = 50;
/// Probing pays where at least one row in so many is found.
const RARE: usize = 8;
/// Where it did not pay, it is tried again after so many batches.
const PAUSE: u32 = 16;

/// Whether probing pays for a table: shared by its writers.
#[derive(Debug, Default)]
pub struct ProbeGauge {
    skip: AtomicU32,
}

impl ProbeGauge {
    fn due(&self) -> bool {
        self.skip.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |skip| skip.checked_sub(1)).is_err()
    }

    fn learn(&self, found: usize, rows: usize) {
        if found < rows / RARE {
            self.skip.store(PAUSE, Ordering::Relaxed);
        }
    }
}

impl Attempt<'_> {
    /// Books the rows that are there already; gives the others.
    pub(super) async fn probe(
        &self,
        connection: &mut PgConnection,
        buffer: &mut CopyBuffer,
        (shape, number): (Shape, usize),
        rows: Vec<usize>,
        book: &mut Book<'_>,
    ) -> Result<Vec<usize>, Missed> {
        let table = self.table;
        let Some(gauge) = table.probe.as_ref().filter(|_| !self.options.staging.outlives()) else { return Ok(rows) };
        // A value from a file is worth a question by itself.
        let stored = rows.iter().filter_map(|at| self.piece.rows.get(*at)).any(|row| row.stored.is_some());
        if !stored && (rows.len() < WORTH || !gauge.due()) {
            return Ok(rows);
        }
        let sql = Statements::build(table, self.piece.database, (shape, number));
        query(&sql.create).execute(&mut *connection).await?;
        let entries = rows.iter().zip(0_i32..).filter_map(|(at, ordinal)| Some((self.piece.rows.get(*at)?, ordinal)));
        let columns = sql.columns;
        copy_tuples(connection, buffer, &sql.copy, entries, |chunk, (row, ordinal)| {
            push(chunk, table, columns, row, ordinal)
        })
        .await
        .map_err(|error| Missed::Server { error, row: None })?;
        let found =
            query(&sql.find).bind(table.name.to_string()).bind(&table.fingerprint).fetch_all(&mut *connection).await?;
        let mut there = vec![false; rows.len()];
        let this_run = self.shard.run.to_string();
        for row in &found {
            let (owner, ordinals): (String, Vec<i32>) = (row.try_get("owner")?, row.try_get("ordinals")?);
            let outcome = if owner == this_run { RowOutcome::Duplicate } else { RowOutcome::Unchanged };
            for ordinal in ordinals.into_iter().filter_map(|ordinal| usize::try_from(ordinal).ok()) {
                if let (Some(there), Some(place)) = (there.get_mut(ordinal), rows.get(ordinal))
                    && !std::mem::replace(there, true)
                {
                    book.row(*place, outcome);
                }
            }
        }
        let count = there.iter().filter(|there| **there).count();
        gauge.learn(count, rows.len());
        Ok(rows.into_iter().zip(there).filter(|(_, there)| !there).map(|(at, _)| at).collect())
    }
}

struct Statements {
    create: String,
    copy: String,
    /// How many columns the probe's table has.
    columns: i16,
    /// The ordinals of the rows that are there, for each run that wrote them. `$1`: the table's name in the ledger;
    /// `$2`: the fingerprint of what makes the rows.
    find: String,
}

impl Statements {
    fn build(table: &LoadTable, database: Database, (shape, number): (Shape, usize)) -> Self {
        let stage = format!("redis2pg_probe_{number}");
        let expiries: Vec<String> = expiries(table, shape).map(|index| ident(&table.columns[index].name)).collect();
        let mut columns: Vec<String> = table.key_idents().collect();
        columns.extend_from_slice(&expiries);
        let named = columns.join(", ");
        let mut columns = named.clone();
        // The lineage records a life that the key was given since.
        let (mut made_expiry, mut recorded) = ("", "");
        if records_expiry(table) {
            columns.push_str(", redis2pg_expires");
            made_expiry = ", false AS redis2pg_expires";
            recorded = " AND NOT (s.redis2pg_expires AND m.made ->> 'expires_at' IS NULL)";
        }
        // The ledger has keys as bytes, and they need not be text there.
        let key_type = if matches!(table.provenance, Provenance::Ledger) { "bytea" } else { "text" };
        let same_expiry: String = table
            .present(shape)
            .filter(|(_, column)| column.compare == Compare::Expiry)
            .filter_map(|(_, column)| difference(column))
            .map(|differs| format!(" AND NOT ({differs})"))
            .collect();
        Self {
            create: format!(
                "CREATE TEMPORARY TABLE {stage} ON COMMIT DROP AS SELECT 0::int4 AS {ORDINAL}, ''::{key_type} AS redis2pg_key, \
                 ''::text AS redis2pg_digest, {named}{made_expiry} FROM {} WITH NO DATA",
                table.ident()
            ),
            copy: format!(
                "COPY pg_temp.{stage} ({ORDINAL}, redis2pg_key, redis2pg_digest, {columns}) FROM STDIN (FORMAT binary)"
            ),
            columns: (3 + table.key_columns + expiries.len() + usize::from(records_expiry(table))) as i16,
            find: format!(
                "SELECT o.run_id::text AS owner, pg_catalog.array_agg(s.{ORDINAL}) AS ordinals FROM pg_temp.{stage} s JOIN {} t ON {} \
                 CROSS JOIN LATERAL (SELECT b.run_id, b.fingerprint FROM redis2pg.batches b \
                 WHERE (b.xid & 4294967295) = t.xmin::text::bigint AND b.xmin = t.xmin AND b.table_name = $1 \
                 ORDER BY b.xid DESC LIMIT 1) o {}WHERE o.fingerprint = $2 AND {}{same_expiry}{recorded} GROUP BY 1",
                table.rows(),
                key_join(table),
                made(table),
                same_source(table, database),
            ),
        }
    }
}

/// A join of what the lineage object says of the making of the row: taken out of it once, and not for each of its parts.
fn made(table: &LoadTable) -> String {
    let object = match table.provenance {
        Provenance::Object(object) => table.of_target(object),
        _ => None,
    };
    let join = |lineage| format!("CROSS JOIN LATERAL (SELECT {lineage} -> 'redis2pg' AS made OFFSET 0) m ");
    object.map(join).unwrap_or_default()
}

/// Whether the row was made from this key and this value.
fn same_source(table: &LoadTable, database: Database) -> String {
    let same = |key: String, digest: String, named: &str| {
        let here = is_of(database, named, "o.run_id");
        format!("{key} = s.redis2pg_key AND {digest} = s.redis2pg_digest AND {here}")
    };
    let unknown = || "false".to_owned();
    match table.provenance {
        Provenance::Object(object) => table.of_target(object).map_or_else(unknown, |lineage| {
            same(format!("{lineage} ->> 'redis_key'"), "m.made ->> 'digest'".to_owned(), "m.made ->> 'database'")
        }),
        Provenance::Columns { key, digest, database, .. } => {
            let named = database.and_then(|index| table.of_target(index)).map(|column| format!("{column}::text"));
            let named = named.as_deref().unwrap_or("NULL::text");
            let unfolded = |index: usize| Some(table.columns.get(index)?.unfolded(table.of_target(index)?));
            let columns = unfolded(key).zip(unfolded(digest));
            columns.map_or_else(unknown, |(key, digest)| same(key, digest, named))
        }
        Provenance::Nowhere => unknown(),
        // By the row, one look-up each, whatever the statistics say: of a Redis key there may be a million rows.
        Provenance::Ledger => format!(
            "EXISTS (SELECT 1 FROM redis2pg.loaded l WHERE l.table_name = $1 AND l.row_key = {} \
             AND l.redis_key IS NOT DISTINCT FROM s.redis2pg_key AND l.digest = s.redis2pg_digest AND {} OFFSET 0)",
            row_key(table, Side::Target),
            is_in_ledger(database)
        ),
    }
}

/// The columns that change while the value stays.
fn expiries(table: &LoadTable, shape: Shape) -> impl Iterator<Item = usize> + '_ {
    table.present(shape).filter(|(_, column)| column.compare == Compare::Expiry).map(|(index, _)| index)
}

fn push(chunk: &mut Vec<u8>, table: &LoadTable, columns: i16, row: &Row, ordinal: i32) {
    chunk.extend_from_slice(&columns.to_be_bytes());
    push_field(chunk, &ordinal.to_be_bytes());
    push_field(chunk, row.key.as_bytes());
    push_field(chunk, &row.digest.hex());
    chunk.extend_from_slice(row.identity());
    for index in expiries(table, row.shape) {
        match row.field(index) {
            Some(field) => push_field(chunk, field),
            None => chunk.extend_from_slice(&(-1_i32).to_be_bytes()),
        }
    }
    if records_expiry(table) {
        push_field(chunk, &[u8::from(row.expires_at.is_some())]);
    }
}

#[cfg(test)]
mod tests {
    use super::{PAUSE, ProbeGauge};

    #[test]
    fn a_probe_that_finds_little_is_left_out_for_a_while() {
        let gauge = ProbeGauge::default();
        assert!(gauge.due());
        gauge.learn(90, 100);
        assert!(gauge.due());
        gauge.learn(1, 100);
        let skipped = (0..100).take_while(|_| !gauge.due()).count();
        assert_eq!(skipped, PAUSE as usize);
        assert!(gauge.due());
    }
}
