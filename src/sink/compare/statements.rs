//! The SQL of a comparison, for one staging table: what each staged row meets, and the values that differ.

use super::CompareOptions;
use super::proof::{lacking, respelled};
use crate::model::{Database, Shape};
use crate::postgres::{distinct, ident, table_ident};
use crate::sink::load::columns::Columns;
use crate::sink::load::difference::{difference_beyond, without_lineage};
use crate::sink::load::origin::{is_surely_in_ledger, of_row};
use crate::sink::load::statements::{ORDINAL, Side, Statements, key_join, redis_key, row_key};
use crate::sink::owned::{hash, slice};
use crate::sink::ownership::{named_run, owner};
use crate::sink::table::{Compare, LoadColumn, LoadTable, ParentCheck, Provenance};
use uuid::Uuid;

/// Characters of a value that are shown.
const SHOWN: usize = 200;

/// For each staged row that is not plainly equal: its ordinal, whether there is a row, and what it is told by. `$1`: the
/// table's name in the ledger; `$2`, where keys are to be deleted: the runs that count. Then rows whose lineage names none of those
/// are given too, and such as have a value that the server shows otherwise than it was sent.
///
/// A row that was made from another key may be equal all the same, so that those are given too.
pub(super) fn compare(
    (table, database, run): (&LoadTable, Database, Uuid),
    sql: &Statements,
    options: &CompareOptions,
) -> String {
    let parts = Parts::of((table, database, run), sql, options);
    let columns: Vec<String> = parts.told_by.iter().map(|(name, _, value)| format!("{value} AS {name}")).collect();
    format!(
        "SELECT s.{ORDINAL} AS ord, {} FROM {}CROSS JOIN LATERAL (SELECT {} AS run OFFSET 0) o WHERE {}",
        columns.join(", "),
        parts.met,
        parts.owner,
        parts.told
    )
}

/// The same, and by slice of the table, see [`crate::sink::Extent`], the rows that staged rows of their own keys meet and that one of
/// the runs `$2` wrote, as `(slice, rows, hash)`: of the one answer NULL is what the other has. `step`: pages of a slice.
///
/// Both are of one look at the rows: to find them again by their keys took 2.1 s beside the 4.8 s of the comparison itself.
pub(super) fn compare_and_sum(
    (table, database, run): (&LoadTable, Database, Uuid),
    sql: &Statements,
    options: &CompareOptions,
    step: u64,
) -> String {
    let parts = Parts::of((table, database, run), sql, options);
    let keys = table.columns.iter().take(table.key_columns).map(|column| column.name.as_str());
    // What tells of a row is looked up for those alone that are told of.
    let looked_up: Vec<String> =
        parts.told_by.iter().map(|(name, _, value)| format!("CASE WHEN k.told THEN {value} END AS {name}")).collect();
    let names: Vec<String> = parts.told_by.iter().map(|(name, ..)| format!("m.{name}")).collect();
    let nothing: Vec<String> = parts.told_by.iter().map(|(_, kind, _)| format!("NULL::{kind}")).collect();
    format!(
        "WITH m AS MATERIALIZED (SELECT s.{ORDINAL} AS ord, {}, k.told, t.xmin AS writer, \
         CASE WHEN NOT f.other_key THEN {} END AS slice, CASE WHEN NOT f.other_key THEN {} END AS hash \
         FROM {}CROSS JOIN LATERAL (SELECT {} AS told OFFSET 0) k \
         CROSS JOIN LATERAL (SELECT CASE WHEN k.told THEN {} END AS run OFFSET 0) o) \
         SELECT m.ord, {}, NULL::bigint AS slice, NULL::bigint AS rows, NULL::text AS hash FROM m WHERE m.told \
         UNION ALL SELECT NULL::int4, {}, g.slice, pg_catalog.sum(g.rows)::bigint, pg_catalog.sum(g.hash)::text \
         FROM (SELECT m.slice, m.writer, pg_catalog.count(*) AS rows, pg_catalog.sum(m.hash) AS hash FROM m \
         WHERE m.slice IS NOT NULL GROUP BY 1, 2) g \
         WHERE {} = ANY ($2) GROUP BY g.slice",
        looked_up.join(", "),
        slice(step),
        hash(keys),
        parts.met,
        parts.told,
        parts.owner,
        names.join(", "),
        nothing.join(", "),
        owner("g.writer", "$1", None),
    )
}

/// What a comparison is put together of.
struct Parts {
    /// What a row is told by: name, type and value. `o.run` is its owner.
    told_by: [(&'static str, &'static str, String); 11],
    /// The staged rows `s`, each with the row `t` that it meets, what there is to say of both, `f`, and the ledger's lineage `l`, if the table's is there.
    met: String,
    /// Whether a row is told of.
    told: String,
    /// The run that wrote the row.
    owner: String,
}

impl Parts {
    fn of((table, database, run): (&LoadTable, Database, Uuid), sql: &Statements, options: &CompareOptions) -> Self {
        let shape = sql.columns.all;
        let named = named_run(table, "$1", Some("l.run_id::text"));
        let (counts, uncounted, respelled) = match options.proof {
            Some(_) => {
                let (counts, uncounted) = counting(named.as_deref());
                (counts, uncounted, respelled(table, sql.columns))
            }
            None => ("NULL::bool".to_owned(), String::new(), "NULL::int4[]".to_owned()),
        };
        let facts = format!(
            "SELECT {} AS differs, {} AS orphan, {} AS other_key, {respelled} AS respelled OFFSET 0",
            differs(table, sql.columns, options),
            orphan(table, options.relationships),
            other_key(table, shape)
        );
        let counted = table.deletes_gone() || table.tells_left_rows();
        let of_source = if counted { is_surely_in_ledger(database, run) } else { "NULL::bool".to_owned() };
        let lineage = lineage_of_target(table);
        Self {
            told_by: [
                ("there", "bool", "t.ctid IS NOT NULL".to_owned()),
                ("differs", "int4[]", "f.differs".to_owned()),
                ("orphan", "int4", "f.orphan".to_owned()),
                ("redis_key", "bytea", redis_key(table)),
                ("digest", "text", digest(table)),
                ("expiry_moved", "bool", expiry_moved(table, shape)),
                ("owner", "text", "o.run".to_owned()),
                ("redis_db", "text", of_row(table, database, "o.run")),
                ("counts", "bool", counts),
                ("of_source", "bool", of_source),
                ("respelled", "int4[]", "f.respelled".to_owned()),
            ],
            met: format!(
                "{} s LEFT JOIN {} t ON {} CROSS JOIN LATERAL ({facts}) f {lineage}",
                sql.stage,
                table.rows(),
                key_join(table)
            ),
            told: format!(
                "(t.ctid IS NULL OR pg_catalog.cardinality(f.differs) > 0 OR f.orphan IS NOT NULL OR f.other_key OR f.respelled IS NOT NULL{uncounted})"
            ),
            owner: owner("t.xmin", "$1", named.as_deref()),
        }
    }
}

/// Whether one of the runs that count made the row, by the name of it in its lineage or else by who wrote it; and how rows are picked of
/// which that is not so.
fn counting(named: Option<&str>) -> (String, String) {
    let counts = format!("coalesce({}, o.run) = ANY ($2::text[])", named.unwrap_or("NULL"));
    // Most lineages name a run: who wrote the row is looked up for the others alone.
    let uncounted = match named {
        Some(named) => format!(" OR ({named} = ANY ($2::text[])) IS NOT TRUE"),
        None => format!(" OR ({counts}) IS NOT TRUE"),
    };
    (counts, uncounted)
}

/// Joins the target's row `t` with its lineage `l`, where the ledger has it.
fn lineage_of_target(table: &LoadTable) -> String {
    match table.provenance {
        Provenance::Ledger => format!(
            "LEFT JOIN LATERAL (SELECT l.redis_key, l.redis_db, l.digest, l.run_id FROM redis2pg.loaded l \
             WHERE l.table_name = $1 AND l.row_key = {} OFFSET 0) l ON true ",
            row_key(table, Side::Target)
        ),
        _ => String::new(),
    }
}

/// The columns that differ, among those that the row has, as an array of their places.
fn differs(table: &LoadTable, columns: Columns, options: &CompareOptions) -> String {
    let compared = table.present(columns.all).skip(table.key_columns).filter(|_| options.content);
    let lacking = options.proof.iter().flat_map(|_| lacking(table, columns));
    let cases: Vec<String> = compared
        .filter_map(|(index, column)| {
            let differs = difference_beyond(column, options.ttl_tolerance)?;
            let has = columns.condition(index).map(|has| format!("{has} AND ")).unwrap_or_default();
            Some(format!("CASE WHEN {has}({differs}){} THEN {index} END", but_for_adopted(table, index, column)))
        })
        .chain(lacking)
        .collect();
    match cases.as_slice() {
        [] => "'{}'::int4[]".to_owned(),
        cases => format!("pg_catalog.array_remove(ARRAY[{}]::int4[], NULL)", cases.join(", ")),
    }
}

/// A reference may lead to a row that an older script left under another id, where the one it should lead to is not there:
/// then the run gave the child that one.
fn but_for_adopted(table: &LoadTable, index: usize, column: &LoadColumn) -> String {
    let adopted = |check: &ParentCheck| {
        let lineage = check.lineage.as_ref()?;
        let (parent, key, same) = (table_ident(&check.table), ident(&check.key), &check.equality);
        Some(format!(
            " AND NOT (EXISTS (SELECT FROM {parent} p WHERE p.{key} {same} t.{} AND p.{} ->> 'redis_document_id' IS NOT NULL \
             OFFSET 0) AND NOT EXISTS (SELECT FROM {parent} p WHERE p.{key} {same} {} OFFSET 0))",
            ident(&column.name),
            ident(lineage),
            column.staged()
        ))
    };
    table.parents.iter().filter(|check| check.column == index).filter_map(adopted).collect()
}

/// The first parent check whose row is missing that the target's row refers to; NULL: none. `relationships`: whether it is looked for them.
pub(super) fn orphan(table: &LoadTable, relationships: bool) -> String {
    let checks = table.parents.iter().enumerate().filter(|_| relationships);
    let cases: Vec<String> = checks
        .filter_map(|(index, check)| {
            let column = table.columns.get(check.column)?;
            let reference = format!("t.{}", ident(&column.name));
            Some(format!(
                "WHEN {reference} IS NOT NULL AND NOT EXISTS (SELECT FROM {} p WHERE p.{} {} {reference} OFFSET 0) THEN {index}",
                table_ident(&check.table),
                ident(&check.key),
                check.equality
            ))
        })
        .collect();
    if cases.is_empty() { "NULL::int4".to_owned() } else { format!("CASE {} END", cases.join(" ")) }
}

/// Whether the target's row may have been made from another key than the staged row.
fn other_key(table: &LoadTable, shape: Shape) -> String {
    let pair = |index: usize| {
        let column = table.columns.get(index).filter(|_| shape.has(index))?;
        Some((column.unfolded(format!("t.{}", ident(&column.name))), column.unfolded(column.staged())))
    };
    let distinct = |pairs: Vec<(String, String)>| {
        let tests: Vec<String> = pairs.iter().map(|(t, s)| distinct(t, s)).collect();
        tests.join(" OR ")
    };
    match table.provenance {
        Provenance::Object(index) => pair(index).map_or_else(
            || "true".to_owned(),
            |(t, s)| {
                let part = |path: &str| (format!("({t} {path})"), format!("({s} {path})"));
                distinct(vec![part("->> 'redis_key'"), part("-> 'redis2pg' ->> 'database'")])
            },
        ),
        Provenance::Columns { key, database, .. } => {
            distinct(std::iter::once(key).chain(database).filter_map(pair).collect())
        }
        // The staged row does not have its key.
        Provenance::Ledger => "true".to_owned(),
        Provenance::Nowhere => "false".to_owned(),
    }
}

/// The digest of the value that the target's row was made from, as text.
fn digest(table: &LoadTable) -> String {
    let nothing = || "NULL::text".to_owned();
    match table.provenance {
        Provenance::Object(index) => {
            table.of_target(index).map_or_else(nothing, |t| format!("{t} -> 'redis2pg' ->> 'digest'"))
        }
        Provenance::Columns { digest, .. } => table.of_target(digest).map_or_else(nothing, |t| format!("{t}::text")),
        Provenance::Ledger => "l.digest".to_owned(),
        Provenance::Nowhere => nothing(),
    }
}

/// Whether lineage names another time of expiry than the key has now.
fn expiry_moved(table: &LoadTable, shape: Shape) -> String {
    let Provenance::Object(index) = table.provenance else { return "true".to_owned() };
    let Some(column) = table.columns.get(index).filter(|_| shape.has(index)) else { return "true".to_owned() };
    let told = |of: String| format!("{of} -> 'redis2pg' ->> 'expires_at'");
    format!("{} IS DISTINCT FROM {}", told(format!("t.{}", ident(&column.name))), told(column.staged()))
}

/// For the ordinals `$1`: the values of all compared columns, as `(ord, expected, found)`, arrays of texts in the order of
/// [`compared`].
pub(super) fn values(table: &LoadTable, sql: &Statements) -> String {
    let shape = sql.columns.all;
    let shown = |column: &LoadColumn, value: String| {
        let value = if column.compare == Compare::Lineage { without_lineage(&value) } else { value };
        format!("pg_catalog.left(({value})::text, {SHOWN})")
    };
    let all = |of: &dyn Fn(&LoadColumn) -> String| {
        let values: Vec<String> = compared(table, shape).map(|(_, column)| shown(column, of(column))).collect();
        format!("ARRAY[{}]::text[]", values.join(", "))
    };
    format!(
        "SELECT s.{ORDINAL} AS ord, {} AS expected, {} AS found FROM {} s JOIN {} t ON {} WHERE s.{ORDINAL} = ANY ($1)",
        all(&LoadColumn::staged),
        all(&|column| format!("t.{}", ident(&column.name))),
        sql.stage,
        table.rows(),
        key_join(table)
    )
}

/// The columns that are compared, with their places in the mapping.
pub(super) fn compared(table: &LoadTable, shape: Shape) -> impl Iterator<Item = (usize, &LoadColumn)> {
    table.present(shape).skip(table.key_columns).filter(|(_, column)| column.compare != Compare::Never)
}
