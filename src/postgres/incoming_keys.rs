//! The foreign keys that lead to a table: what deleting one of its rows would fail at, delete or change.

use super::key_operators::{Collating, key_operators};
use super::sql::{query, table_ident};
use crate::model::TableName;
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};

/// A foreign key that refers to the table, or to one of its partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IncomingKey {
    /// The table that has it.
    pub table: TableName,
    /// Its columns, each with the column that it refers to and the operator between them, as SQL: that one's value
    /// stands before the operator.
    pub columns: Vec<(String, String, String)>,
    /// Whether the role sees all rows of that table: it may read the columns, and row-level security hides none.
    pub readable: bool,
    /// Whether that table is the table itself, or one of its partitions.
    pub is_own: bool,
    /// Whether an index of that table begins with its columns, in whatever order.
    pub indexed: bool,
    /// Whether that table is partitioned: then the rows of its partitions refer too. Rows of tables that inherit from an ordinary one do not.
    pub partitioned: bool,
}

impl IncomingKey {
    /// The rows that refer by it, for FROM.
    pub fn rows(&self) -> String {
        format!("{}{}", if self.partitioned { "" } else { "ONLY " }, table_ident(&self.table))
    }
}

/// Every foreign key of the catalog that leads to the table or to one of its partitions, whatever it does on deletion. One
/// that the server made for a partition, of one that is looked at already, says nothing new. A table that inherits from the table is another
/// one, whose rows are somebody else's.
pub(super) async fn read_incoming_keys(connection: &mut PgConnection, oid: i64) -> Result<Vec<IncomingKey>, Error> {
    let operators = key_operators(Collating::Referring);
    let rows = query(format!(
        "WITH RECURSIVE parts AS (SELECT $1::oid AS oid \
         UNION SELECT i.inhrelid FROM parts p JOIN pg_catalog.pg_inherits i ON i.inhparent = p.oid \
         JOIN pg_catalog.pg_class h ON h.oid = i.inhrelid AND h.relispartition) \
         SELECT n.nspname::text AS schema, c.relname::text AS name, k.conrelid IN (SELECT oid FROM parts) AS is_own, \
         c.relkind = 'p' AS partitioned, \
         pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND NOT pg_catalog.row_security_active(c.oid) AND NOT EXISTS \
           (SELECT FROM pg_catalog.unnest(k.conkey) u (num) WHERE NOT pg_catalog.has_column_privilege(k.conrelid, u.num, \
           'SELECT')) AS readable, \
         EXISTS (SELECT FROM pg_catalog.pg_index x WHERE x.indrelid = k.conrelid AND x.indisvalid AND x.indpred IS NULL \
           AND (x.indkey::int2[])[0:pg_catalog.cardinality(k.conkey) - 1] @> k.conkey) AS indexed, \
         ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY u (num, place) \
               JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num ORDER BY place) AS own, \
         ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY u (num, place) \
               JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.num ORDER BY place) AS referred, \
         {operators} AS operators \
         FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE k.contype = 'f' AND k.confrelid IN (SELECT oid FROM parts) AND NOT EXISTS \
           (SELECT FROM pg_catalog.pg_constraint p WHERE p.oid = k.conparentid AND p.confrelid IN (SELECT oid FROM parts))",
    ))
    .bind(oid)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let (own, referred): (Vec<String>, Vec<String>) = (row.try_get("own")?, row.try_get("referred")?);
            let operators: Vec<String> = row.try_get("operators")?;
            let columns = own.into_iter().zip(referred).zip(operators);
            Ok(IncomingKey {
                table: TableName { schema: row.try_get("schema")?, table: row.try_get("name")? },
                columns: columns.map(|((own, of), operator)| (own, of, operator)).collect(),
                readable: row.try_get("readable")?,
                is_own: row.try_get("is_own")?,
                indexed: row.try_get("indexed")?,
                partitioned: row.try_get("partitioned")?,
            })
        })
        .collect()
}
