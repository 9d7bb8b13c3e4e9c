//! When a column of a row differs from that of its staged row, as SQL.

use crate::postgres::{distinct, exact_text, ident, literal};
use crate::sink::table::{Compare, LoadColumn};
use std::time::Duration;

/// The keys of a lineage object; left out when rows are compared.
const LINEAGE_KEYS: [&str; 5] =
    ["migrated_from_redis", "redis_key", "redis_document_id", "migration_timestamp", "redis2pg"];

/// A value of jsonb without the keys of lineage.
pub(in crate::sink) fn without_lineage(value: &str) -> String {
    let keys: Vec<String> = LINEAGE_KEYS.iter().map(|key| literal(key)).collect();
    format!(
        "CASE WHEN pg_catalog.jsonb_typeof({value}) = 'object' THEN {value} - ARRAY[{}] ELSE {value} END",
        keys.join(", ")
    )
}

/// By how much a time of expiry may be off: a TTL is measured, not stored.
const TOLERANCE: Duration = Duration::from_secs(1);

/// Whether the target's row `t` differs from the staged row `s` in a column; `None`: it is not compared.
pub(in crate::sink) fn difference(column: &LoadColumn) -> Option<String> {
    difference_beyond(column, TOLERANCE)
}

/// The same, with times of expiry that may be off by so much.
pub(in crate::sink) fn difference_beyond(column: &LoadColumn, tolerance: Duration) -> Option<String> {
    let (t, s) = (format!("t.{}", ident(&column.name)), column.staged());
    match column.compare {
        Compare::Value => Some(distinct(&t, &s)),
        Compare::Dump => Some(dump_differs(&t, &s, column.value_beside.as_deref())),
        Compare::Text => Some(format!("{} IS DISTINCT FROM {}", exact_text(&t), exact_text(&s))),
        Compare::Lineage => Some(format!("({}) IS DISTINCT FROM ({})", without_lineage(&t), without_lineage(&s))),
        Compare::Expiry => {
            let off = format!("interval '{} milliseconds'", tolerance.as_millis());
            Some(format!("NOT coalesce({t} BETWEEN {s} - {off} AND {s} + {off}, {t} IS NULL AND {s} IS NULL)"))
        }
        Compare::Never => None,
    }
}

/// The bytes at the end of a dump that are not of the key: the version of the format, 2 bytes, and a checksum over all that stands
/// before it, 8 bytes. Source: the description of DUMP, and `verifyDumpPayload` of Redis.
const FOOTER: usize = 10;

/// Whether a dump is another than the one that is there. Two that differ are of the same key all the same where
///
/// - they differ in the version of the format alone, and so in the checksum: the server was updated;
/// - both are of a set or a hash in a hash table, whose order is another after each restart of the server, and are of one length, and
///   `value`, a column that is compared by itself, has all that is in it.
fn dump_differs(t: &str, s: &str, value: Option<&str>) -> String {
    let bytes = |of: &str| format!("pg_catalog.octet_length({of})");
    let body = |of: &str| format!("pg_catalog.substr({of}, 1, greatest({} - {FOOTER}, 0))", bytes(of));
    let version = |of: &str| format!("pg_catalog.substr({of}, greatest({} - {}, 1), 2)", bytes(of), FOOTER - 1);
    let kind = |of: &str| format!("pg_catalog.substr({of}, 1, 1)");
    let equal = |one: String, other: String| format!("{one} OPERATOR(pg_catalog.=) {other}");
    let long = format!("{} > {FOOTER} AND {} > {FOOTER}", bytes(t), bytes(s));
    let mut same = vec![format!("{long} AND {} AND NOT {}", equal(body(t), body(s)), equal(version(t), version(s)))];
    // The first byte is the type in the form of an RDB file: 2 and 4 are a set and a hash as such a table.
    same.extend(value.map(|value| {
        let tables = format!(
            "({} OR {})",
            equal(kind(s), "pg_catalog.decode('02', 'hex')".into()),
            equal(kind(s), "pg_catalog.decode('04', 'hex')".into())
        );
        let alike = format!("{} AND {}", equal(kind(t), kind(s)), equal(bytes(t), bytes(s)));
        format!("s.{} IS NOT NULL AND {tables} AND {alike}", ident(value))
    }));
    format!("({} AND NOT coalesce({}, false))", distinct(t, s), same.join(" OR "))
}
