//! How a table is partitioned, and whether its partitions take every row.

use super::sql::query;
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};

/// How a table is partitioned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partitioning {
    /// By what, such as `RANGE (day)`.
    pub by: String,
    /// The columns that every unique index must have then.
    pub columns: Vec<String>,
    /// Whether it is by hash: there is no default partition then.
    pub by_hash: bool,
    /// Whether a partition is there that can hold a row.
    pub has_partitions: bool,
    /// Whether no row can be without a partition: there is a default one, or one for each hash.
    pub takes_all: bool,
}

/// How table `$1` is partitioned.
const PARTITIONING: &str = "SELECT pg_catalog.pg_get_partkeydef(p.partrelid) AS by, p.partstrat = 'h' AS by_hash, \
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = p.partrelid AND a.attnum > 0 \
             AND a.attnum = ANY (p.partattrs::int2[])) AS columns, \
       EXISTS (SELECT FROM pg_catalog.pg_partition_tree(p.partrelid::regclass) WHERE isleaf) AS has_partitions, \
       CASE WHEN p.partstrat = 'h' THEN \
         (SELECT coalesce(pg_catalog.sum(1 / substring(pg_catalog.pg_get_expr(c.relpartbound, c.oid) \
         FROM 'modulus ([0-9]+)')::numeric), 0) > 0.999999 \
          FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = p.partrelid) \
         ELSE p.partdefid <> 0 END AS takes_all \
     FROM pg_catalog.pg_partitioned_table p WHERE p.partrelid = $1::oid";

/// How a table is partitioned; `None` where it is not.
///
/// # Errors
/// The server's.
pub(super) async fn read_partitioning(
    connection: &mut PgConnection,
    table: i64,
) -> Result<Option<Partitioning>, Error> {
    let Some(row) = query(PARTITIONING).bind(table).fetch_optional(connection).await? else { return Ok(None) };
    Ok(Some(Partitioning {
        by: row.try_get("by")?,
        columns: row.try_get("columns")?,
        by_hash: row.try_get("by_hash")?,
        has_partitions: row.try_get("has_partitions")?,
        takes_all: row.try_get("takes_all")?,
    }))
}
