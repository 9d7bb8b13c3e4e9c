//! References as the target's table knows them: which of them lead to a row that is there.

use crate::model::{ColumnType, Row};
use crate::postgres::{Limits, ident, query, table_ident};
use crate::sink::ParentCheck;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row as _};
use std::collections::BTreeSet;

/// Which of these keys, as text, the parent's table has. None where there is no such table yet.
pub(super) async fn rows_of(
    (connection, limits): (&mut PgConnection, Limits),
    check: &ParentCheck,
    column_type: &ColumnType,
    texts: &[&str],
) -> Result<BTreeSet<String>, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    limits.set(&mut transaction).await?;
    let exists: bool = query("SELECT pg_catalog.to_regclass($1) IS NOT NULL")
        .bind(table_ident(&check.table))
        .fetch_one(&mut *transaction)
        .await?
        .try_get(0)?;
    let mut found = BTreeSet::new();
    if exists {
        let key = ident(&check.key);
        // The parameter is cast where the types are known to agree, so that the key's index is of use.
        let condition = match column_type {
            ColumnType::Uuid => format!("p.{key} = ANY ($1::text[]::uuid[])"),
            ColumnType::Int2 | ColumnType::Int4 | ColumnType::Int8 => format!("p.{key} = ANY ($1::text[]::bigint[])"),
            _ => format!("p.{key}::text = ANY ($1)"),
        };
        let text = format!("SELECT p.{key}::text AS key FROM {} p WHERE {condition}", table_ident(&check.table));
        let rows = query(text).bind(texts).fetch_all(&mut *transaction).await?;
        found = rows.iter().map(|row| row.try_get("key")).collect::<Result<_, _>>()?;
    }
    transaction.rollback().await?;
    Ok(found)
}

/// Whether a reference of this type can be written as text here.
pub(super) fn has_text(column_type: &ColumnType) -> bool {
    use ColumnType::{Enum, Int2, Int4, Int8, Text, Uuid, Varchar};
    matches!(column_type, Uuid | Int2 | Int4 | Int8 | Text | Varchar(_) | Enum(_))
}

/// The text of a column that refers to a parent.
pub(super) fn reference(row: &Row, column: usize, column_type: &ColumnType) -> Option<String> {
    let field = row.field(column)?;
    match column_type {
        ColumnType::Uuid => uuid::Uuid::from_slice(field).ok().map(|id| id.to_string()),
        ColumnType::Int2 => Some(i16::from_be_bytes(field.try_into().ok()?).to_string()),
        ColumnType::Int4 => Some(i32::from_be_bytes(field.try_into().ok()?).to_string()),
        ColumnType::Int8 => Some(i64::from_be_bytes(field.try_into().ok()?).to_string()),
        ColumnType::Text | ColumnType::Varchar(_) | ColumnType::Enum(_) => String::from_utf8(field.to_vec()).ok(),
        _ => None,
    }
}
