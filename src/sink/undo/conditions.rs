//! What the table asks of each row that is put back, and that may have come since the row was there.

use crate::model::TableName;
use crate::postgres::{TableFacts, ident, query};
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};

/// A unique index on plain columns.
#[derive(Clone, Debug)]
pub struct Place {
    /// Its name, which is its constraint's where it has one.
    pub name: String,
    /// Its columns, each with the equality of its type, as SQL.
    pub columns: Vec<(String, String)>,
}

/// A condition that each row of the table has to meet: of a CHECK constraint or a NOT NULL.
#[derive(Clone, Debug)]
pub struct Condition {
    /// What the server says where a row does not meet it.
    pub said: String,
    /// The columns that it looks at.
    pub columns: Vec<String>,
    /// The condition, over columns without a table before them.
    pub sql: String,
    /// Whether a new row that is given no value does not meet it: the column has no default.
    pub needs_value: bool,
}

/// The unique indexes beside that of the key.
pub(super) fn places(facts: &TableFacts, key: &[String]) -> Vec<Place> {
    let plain = facts.indexes.iter().filter(|index| !index.exclusion && index.valid && index.condition.is_none());
    let column = |name: &Option<String>| {
        let column = facts.table.column(name.as_ref()?)?;
        Some((column.name.clone(), column.column_type.equality().to_owned()))
    };
    let place = |index: &crate::postgres::UniqueIndex| {
        Some(Place { name: index.name.clone(), columns: index.key.iter().map(column).collect::<Option<_>>()? })
    };
    plain.filter(|index| !index.is_on(key)).filter_map(place).collect()
}

/// Reads the conditions, but for those that speak of the row as a whole.
///
/// # Errors
/// The server's.
pub(super) async fn read_conditions(connection: &mut PgConnection, table: &TableName) -> Result<Vec<Condition>, Error> {
    let rows = query(
        "SELECT k.conname::text AS name, false AS needs_value, pg_catalog.pg_get_expr(k.conbin, k.conrelid) AS sql, \
         ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)) AS columns \
         FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 AND k.contype = 'c' \
         AND NOT coalesce(0 = ANY (k.conkey), false) \
         AND coalesce((pg_catalog.to_jsonb(k) ->> 'conenforced')::boolean, true) \
         UNION ALL SELECT NULL, NOT a.atthasdef AND a.attidentity = '', NULL, ARRAY[a.attname::text] FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 \
         AND a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull",
    )
    .bind(&table.schema)
    .bind(&table.table)
    .fetch_all(connection)
    .await?;
    let mut conditions = Vec::new();
    for row in &rows {
        let (name, sql): (Option<String>, Option<String>) = (row.try_get("name")?, row.try_get("sql")?);
        let (columns, needs_value): (Vec<String>, bool) = (row.try_get("columns")?, row.try_get("needs_value")?);
        let relation = &table.table;
        conditions.push(match (name, sql) {
            (Some(name), Some(sql)) => {
                let said = format!("new row for relation \"{relation}\" violates check constraint \"{name}\" (SQLSTATE 23514)");
                Condition { said, columns, sql, needs_value }
            }
            _ => {
                let column = columns.concat();
                let said = format!(
                    "null value in column \"{column}\" of relation \"{relation}\" violates not-null constraint (SQLSTATE 23502)"
                );
                Condition { said, sql: format!("{} IS NOT NULL", ident(&column)), columns, needs_value }
            }
        });
    }
    Ok(conditions)
}
