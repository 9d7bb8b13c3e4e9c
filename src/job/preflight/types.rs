//! The types that a mapping states for its columns, against those of the table.

use super::create::unknown_type;
use crate::mapping::MappingSpec;
use crate::model::{Finding, Side, TableName};
use crate::postgres::{TypeName, query, resolve};
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};
use std::collections::HashMap;

/// A finding for each column of the table that has another type than its mapping states.
///
/// # Errors
/// The server's.
pub(super) async fn judge_types(
    connection: &mut PgConnection,
    spec: &MappingSpec,
    table: &TableName,
) -> Result<Vec<Finding>, Error> {
    let stated = |column: &crate::mapping::ColumnSpec| {
        Some((column.name.clone(), TypeName::parse(column.sql_type.as_deref()?).ok()?))
    };
    let stated: Vec<(String, TypeName)> = spec.columns.iter().filter_map(stated).collect();
    if stated.is_empty() {
        return Ok(Vec::new());
    }
    let actual = read_types(connection, table).await?;
    let mut findings = Vec::new();
    for (column, stated) in stated {
        // A column that is not there is found when the plan is made.
        let Some((oid, written)) = actual.get(&column) else { continue };
        let subject = format!("{table}.{column}");
        let known = match resolve(connection, &stated).await? {
            Ok(known) => known,
            Err(why) => {
                findings.push(unknown_type(subject, &stated.sql(), &why));
                continue;
            }
        };
        let same = known.oid == *oid
            && TypeName::parse(written).is_ok_and(|actual| stated.same_modifiers(&actual, &known.name));
        if !same {
            let message = format!("the mapping says `type = \"{}\"`, and the column is {written}", stated.sql());
            findings.push(Finding::critical(Side::Postgres, subject, message, "Change one of the two."));
        }
    }
    Ok(findings)
}

/// The OID and the name of each column's type.
async fn read_types(connection: &mut PgConnection, table: &TableName) -> Result<HashMap<String, (i64, String)>, Error> {
    let rows = query(
        "SELECT a.attname::text, a.atttypid::bigint, pg_catalog.format_type(a.atttypid, a.atttypmod) \
         FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped",
    )
    .bind(&table.schema)
    .bind(&table.table)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, (row.try_get(1)?, row.try_get(2)?)))).collect()
}
