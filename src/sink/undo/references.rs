//! The foreign keys that the table has itself: what a row that is put back needs to be there.

use crate::model::TableName;
use crate::postgres::{Collating, key_operators, query, table_ident};
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};

/// A foreign key of the table.
#[derive(Clone, Debug)]
pub struct Reference {
    /// The constraint's name.
    pub name: String,
    /// The table that it refers to.
    pub table: TableName,
    /// The same as SQL: `ONLY`, but for a partitioned one.
    pub parent: String,
    /// Whether that is the table itself.
    pub is_own: bool,
    /// Its columns, each with the column that it refers to and the operator between them, as SQL: that one's value
    /// stands before the operator.
    pub columns: Vec<(String, String, String)>,
}

/// Reads those whose parents the role sees, all of them, and that the server keeps: it tells of the others itself.
pub(super) async fn read_references(connection: &mut PgConnection, table: &TableName) -> Result<Vec<Reference>, Error> {
    let operators = key_operators(Collating::Referred);
    let rows = query(format!(
        "SELECT k.conname::text AS name, n.nspname::text AS schema, p.relname::text AS parent, p.relkind = 'p' AS is_whole, \
         k.confrelid = k.conrelid AS is_own, \
         ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(k.conkey) WITH ORDINALITY u (num, place) \
               JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.num ORDER BY place) AS own, \
         ARRAY(SELECT a.attname::text FROM pg_catalog.unnest(k.confkey) WITH ORDINALITY u (num, place) \
               JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.num ORDER BY place) AS referred, \
         {operators} AS operators \
         FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid \
         JOIN pg_catalog.pg_namespace own ON own.oid = c.relnamespace \
         JOIN pg_catalog.pg_class p ON p.oid = k.confrelid JOIN pg_catalog.pg_namespace n ON n.oid = p.relnamespace \
         WHERE k.contype = 'f' AND own.nspname = $1 AND c.relname = $2 \
         AND coalesce((pg_catalog.to_jsonb(k) ->> 'conenforced')::boolean, true) \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint w WHERE w.oid = k.conparentid AND w.conrelid = k.conrelid) \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger g WHERE g.tgconstraint = k.oid AND g.tgrelid = k.conrelid AND g.tgenabled = 'D') \
         AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND NOT pg_catalog.row_security_active(p.oid) AND NOT EXISTS \
           (SELECT FROM pg_catalog.unnest(k.confkey) u (num) WHERE NOT pg_catalog.has_column_privilege(k.confrelid, u.num, 'SELECT')) \
         ORDER BY k.conname",
    ))
    .bind(&table.schema)
    .bind(&table.table)
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let (own, referred): (Vec<String>, Vec<String>) = (row.try_get("own")?, row.try_get("referred")?);
            let operators: Vec<String> = row.try_get("operators")?;
            let table = TableName { schema: row.try_get("schema")?, table: row.try_get("parent")? };
            let parent = table_ident(&table);
            let is_whole: bool = row.try_get("is_whole")?;
            Ok(Reference {
                name: row.try_get("name")?,
                table,
                parent: if is_whole { parent } else { format!("ONLY {parent}") },
                is_own: row.try_get("is_own")?,
                columns: own.into_iter().zip(referred).zip(operators).map(|((own, of), by)| (own, of, by)).collect(),
            })
        })
        .collect()
}
