//! The SQL of what a comparison asks the ledger of keys and rows that the staging table alone does not tell.

use crate::model::Database;
use crate::sink::load::origin::{is_surely_in_ledger, may_be_in_ledger};
use crate::sink::load::statements::{ORDINAL, Side, Statements, key_join, row_key};
use crate::sink::ownership::{owner, owner_of};
use crate::sink::table::LoadTable;
use uuid::Uuid;

/// For the ordinals `$2`, each of a row of the key in `$3` at its place: whether the ledger has the lineage of this row, made from
/// this key, and whether of any row of the key, as `(ord, was_there, key_was_there)`. `$1`: the table's name in the ledger.
///
/// A row that is in doubt was there; a key that is in doubt was not: either way the element counts as missing.
pub(super) fn were_there((table, database, run): (&LoadTable, Database, Uuid), sql: &Statements) -> String {
    let (may, surely) = (may_be_in_ledger(database), is_surely_in_ledger(database, run));
    let of_key = "l.table_name = $1 AND l.redis_key = u.key";
    let was_there = if table.loose_key {
        // The ledger spells a key as the table did.
        format!(
            "EXISTS (SELECT FROM redis2pg.loaded l CROSS JOIN LATERAL pg_catalog.jsonb_populate_record(NULL::{}, l.row_key) t \
             WHERE {of_key} AND {} AND {may} OFFSET 0)",
            table.ident(),
            key_join(table)
        )
    } else {
        format!(
            "EXISTS (SELECT FROM (SELECT * FROM redis2pg.loaded l WHERE l.table_name = $1 AND l.row_key = {} OFFSET 0) l \
             WHERE {of_key} AND {may} OFFSET 0)",
            row_key(table, Side::Staged)
        )
    };
    // Asked once for each key: it may have very many rows.
    format!(
        "SELECT u.ord, {was_there} AS was_there, k.key_was_there FROM unnest($2::int4[], $3::bytea[]) u (ord, key) \
         JOIN {} s ON s.{ORDINAL} = u.ord JOIN (SELECT d.key, EXISTS (SELECT FROM redis2pg.loaded l \
         WHERE l.table_name = $1 AND l.redis_key = d.key AND {surely} OFFSET 0) AS key_was_there \
         FROM (SELECT DISTINCT g.key FROM pg_catalog.unnest($3::bytea[]) g (key)) d OFFSET 0) k ON k.key = u.key",
        sql.stage
    )
}

/// How many rows there are of each of the keys `$2` that nobody changed since some run wrote them, by that run, by the ledger's
/// lineage. `$1`: the table's name in the ledger; `here`: whether lineage `l` is of this database of the run's source: another cache may
/// have a key of the same name, whose rows are its own.
pub(super) fn rows_of_keys(table: &LoadTable, here: &str) -> String {
    let (target, rows) = (table.ident(), table.rows());
    format!(
        "SELECT k.place - 1 AS place, o.run, pg_catalog.count(DISTINCT (t.tableoid::text, t.ctid::text)) AS rows \
         FROM pg_catalog.unnest($2::bytea[]) WITH ORDINALITY k (key, place) \
         JOIN redis2pg.loaded l ON l.table_name = $1 AND l.redis_key = k.key AND {here} \
         CROSS JOIN LATERAL pg_catalog.jsonb_populate_record(NULL::{target}, l.row_key) s JOIN {rows} t ON {} \
         CROSS JOIN LATERAL (SELECT {} AS run OFFSET 0) o WHERE o.run IS NOT NULL GROUP BY 1, 2",
        key_join(table),
        owner("t.xmin", "$1", Some("l.run_id::text")),
    )
}

/// The places, from 0, of those row keys `$2` whose rows are there and were written by one of the runs `$3`. `$1`: the
/// table's name in the ledger.
pub(super) fn still_owned(table: &LoadTable) -> String {
    let (target, rows) = (table.ident(), table.rows());
    format!(
        "SELECT k.place - 1 AS place FROM pg_catalog.unnest($2::text[]) WITH ORDINALITY k (row_key, place) \
         CROSS JOIN LATERAL pg_catalog.jsonb_populate_record(NULL::{target}, k.row_key::jsonb) s JOIN {rows} t ON {} \
         WHERE {} = ANY ($3)",
        key_join(table),
        owner_of(table, "$1"),
    )
}
