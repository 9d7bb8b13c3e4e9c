//! The SQL of what a comparison asks the ledger of keys and rows that the staging table alone does not tell.

use crate::model::Database;
use crate::postgres::ident;
use crate::sink::load::key_record::key_record;
use crate::sink::load::origin::{is_surely_in_ledger, may_be_in_ledger};
use crate::sink::load::statements::{ORDINAL, Side, Statements, key_join, row_key};
use crate::sink::ownership::{owner, owner_of};
use crate::sink::table::LoadTable;
use uuid::Uuid;

/// For the ordinals `$2`, each of a row of the key in `$3` at its place, made from a value of the digest in `$4`: whether the ledger has the
/// lineage of this row, made from this key, whether of any row of the key, and whether of one that was made from this very value, as
/// `(ord, was_there, key_was_there, of_value)`. The last is not asked of keys that are several rows. `$1`: the table's name in the ledger.
///
/// A row that is in doubt was there; a key that is in doubt was not: either way the element counts as missing.
pub(super) fn were_there((table, database, run): (&LoadTable, Database, Uuid), sql: &Statements) -> String {
    let (may, surely) = (may_be_in_ledger(database), is_surely_in_ledger(database, run));
    let (was_there, of_ledger) = if table.loose_key {
        (
            "w.ord IS NOT NULL".to_owned(),
            format!(" LEFT JOIN ({}) w ON w.ord = u.ord", by_value(table, &sql.stage, &may)),
        )
    } else {
        let by_key = format!(
            "EXISTS (SELECT FROM (SELECT * FROM redis2pg.loaded l WHERE l.table_name = $1 AND l.row_key = {} OFFSET 0) l \
             WHERE l.table_name = $1 AND l.redis_key = u.key AND {may} OFFSET 0)",
            row_key(table, Side::Staged)
        );
        (by_key, String::new())
    };
    let of_value = match table.explodes {
        true => "false".to_owned(),
        false => format!(
            "EXISTS (SELECT FROM redis2pg.loaded l WHERE l.table_name = $1 AND l.redis_key = u.key AND {surely} AND l.digest = u.digest OFFSET 0)"
        ),
    };
    // Asked once for each key: it may have very many rows.
    format!(
        "SELECT u.ord, {was_there} AS was_there, k.key_was_there, {of_value} AS of_value \
         FROM ROWS FROM (pg_catalog.unnest($2::int4[]), pg_catalog.unnest($3::bytea[]), pg_catalog.unnest($4::text[])) u (ord, key, digest) \
         JOIN {} s ON s.{ORDINAL} = u.ord JOIN (SELECT d.key, EXISTS (SELECT FROM redis2pg.loaded l \
         WHERE l.table_name = $1 AND l.redis_key = d.key AND {surely} OFFSET 0) AS key_was_there \
         FROM (SELECT DISTINCT g.key FROM pg_catalog.unnest($3::bytea[]) g (key)) d OFFSET 0) k ON k.key = u.key{of_ledger}",
        sql.stage
    )
}

/// The ordinals among `$2` of rows that the ledger has, where it spells a key as the table did and the staged row may not. What it has of
/// the keys is read once, and joined by all that has to be equal: a row for each element of a key and each row that the ledger has of it, as
/// a planner that knows nothing of either may like, would be rows times elements.
fn by_value(table: &LoadTable, stage: &str, may: &str) -> String {
    let keys: Vec<String> =
        table.columns.iter().take(table.key_columns).map(|key| format!("p.{}", ident(&key.name))).collect();
    format!(
        "WITH s AS MATERIALIZED (SELECT s.*, g.key AS redis2pg_key FROM {stage} s JOIN \
         ROWS FROM (pg_catalog.unnest($2::int4[]), pg_catalog.unnest($3::bytea[])) g (ord, key) ON g.ord = s.{ORDINAL}), \
         t AS MATERIALIZED (SELECT d.key AS redis2pg_key, {} FROM (SELECT DISTINCT e.key FROM pg_catalog.unnest($3::bytea[]) e (key)) d \
         CROSS JOIN LATERAL (SELECT l.row_key FROM redis2pg.loaded l WHERE l.table_name = $1 AND l.redis_key = d.key AND {may} OFFSET 0) l \
         CROSS JOIN LATERAL {}) \
         SELECT DISTINCT s.{ORDINAL} AS ord FROM s JOIN t ON t.redis2pg_key = s.redis2pg_key AND {}",
        keys.join(", "),
        key_record(table, "l.row_key", "p"),
        key_join(table)
    )
}

/// How many rows there are of each of the keys `$2` that nobody changed since some run wrote them, by that run, by the ledger's
/// lineage. `$1`: the table's name in the ledger; `here`: whether lineage `l` is of this database of the run's source: another cache may
/// have a key of the same name, whose rows are its own.
pub(super) fn rows_of_keys(table: &LoadTable, here: &str) -> String {
    let (key, rows) = (key_record(table, "l.row_key", "s"), table.rows());
    format!(
        "SELECT k.place - 1 AS place, o.run, pg_catalog.count(DISTINCT (t.tableoid::text, t.ctid::text)) AS rows \
         FROM pg_catalog.unnest($2::bytea[]) WITH ORDINALITY k (key, place) \
         JOIN redis2pg.loaded l ON l.table_name = $1 AND l.redis_key = k.key AND {here} \
         CROSS JOIN LATERAL {key} JOIN {rows} t ON {} \
         CROSS JOIN LATERAL (SELECT {} AS run OFFSET 0) o WHERE o.run IS NOT NULL GROUP BY 1, 2",
        key_join(table),
        owner("t.xmin", "$1", Some("l.run_id::text")),
    )
}

/// The places, from 0, of those row keys `$2` whose rows are there and were written by one of the runs `$3`, each with the parent check whose
/// row is missing: `orphan`, an expression. `$1`: the table's name in the ledger.
pub(super) fn still_owned(table: &LoadTable, orphan: &str) -> String {
    let (key, rows) = (key_record(table, "k.row_key::jsonb", "s"), table.rows());
    format!(
        "SELECT k.place - 1 AS place, {orphan} AS orphan FROM pg_catalog.unnest($2::text[]) WITH ORDINALITY k (row_key, place) \
         CROSS JOIN LATERAL {key} JOIN {rows} t ON {} \
         WHERE {} = ANY ($3)",
        key_join(table),
        owner_of(table, "$1"),
    )
}
