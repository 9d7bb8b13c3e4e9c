//! What an image holds and a statement cannot write: columns that the table lacks by now, and those that the role, or nobody,
//! may change. An image of which a value was not written would be gone with that value.

use super::{Undo, UndoColumn};
use crate::postgres::{exact_text, ident, literal, query};
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};
use std::collections::HashMap;

/// Images that are looked at by one statement where nothing is put back.
const PAGE: i64 = 5000;

impl Undo<'_> {
    /// The key of the last image of the page behind `after`; `None`: it goes to the end.
    ///
    /// # Errors
    /// The server's.
    pub async fn page_end(&self, connection: &mut PgConnection, after: Option<&str>) -> Result<Option<String>, Error> {
        let row = query(format!(
            "SELECT i.row_key::text FROM redis2pg.before_images i WHERE i.run_id = $1::text::uuid AND i.table_name = $2 \
             AND ($3::text IS NULL OR i.row_key > $3::text::jsonb) ORDER BY i.row_key OFFSET {} LIMIT 1",
            PAGE - 1
        ))
        .bind(self.run.to_string())
        .bind(self.table.name())
        .bind(after)
        .fetch_optional(connection)
        .await?;
        row.map(|row| row.try_get(0)).transpose()
    }

    /// Columns that the role may not change, and that a row of the page of images has otherwise than its image.
    ///
    /// # Errors
    /// The server's.
    pub async fn not_granted(
        &self,
        connection: &mut PgConnection,
        (after, last): (Option<&str>, Option<&str>),
    ) -> Result<Vec<String>, Error> {
        let Some(differing) = differing(self.table.columns.iter().filter(|column| !column.may_update)) else {
            return Ok(Vec::new());
        };
        let table = self.table;
        let ours = if self.force { "true".to_owned() } else { format!("{} = $1", table.owner()) };
        let rows = query(format!(
            "SELECT DISTINCT c.name FROM redis2pg.before_images i CROSS JOIN LATERAL {} JOIN {} t ON {} \
             CROSS JOIN LATERAL pg_catalog.unnest({differing}) c (name) WHERE i.run_id = $1::text::uuid \
             AND i.table_name = $2 AND c.name IS NOT NULL AND {ours} \
             AND ($3::text IS NULL OR i.row_key > $3::text::jsonb) AND ($4::text IS NULL OR i.row_key <= $4::text::jsonb)",
            table.key_record("i.row_key"),
            table.only(),
            table.key_join(),
        ))
        .bind(self.run.to_string())
        .bind(table.name())
        .bind(after)
        .bind(last)
        .fetch_all(connection)
        .await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }

    /// Columns that the role may not give a value in a new row, and that images of rows to be inserted have.
    ///
    /// # Errors
    /// The server's.
    pub async fn not_insertable(&self, connection: &mut PgConnection) -> Result<Vec<String>, Error> {
        let columns = self.table.columns.iter().filter(|column| column.insertable && !column.may_insert);
        let columns: Vec<&str> = columns.map(|column| column.name.as_str()).collect();
        if columns.is_empty() {
            return Ok(Vec::new());
        }
        let rows = query(
            "SELECT c.name FROM pg_catalog.unnest($3::text[]) c (name) WHERE EXISTS (SELECT FROM redis2pg.before_images i \
             WHERE i.run_id = $1::text::uuid AND i.table_name = $2 AND (i.deleted OR $4) AND i.image ? c.name)",
        )
        .bind(self.run.to_string())
        .bind(self.table.name())
        .bind(columns)
        .bind(self.force)
        .fetch_all(connection)
        .await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }

    /// Those of some rows that are there and differ from their images in columns which an update cannot set, each with these.
    ///
    /// # Errors
    /// The server's.
    pub async fn unwritable(
        &self,
        connection: &mut PgConnection,
        keys: &[&str],
    ) -> Result<HashMap<String, String>, Error> {
        let fixed = self.table.columns.iter().filter(|column| !column.updatable);
        let Some(differing) = differing(fixed).filter(|_| !keys.is_empty()) else { return Ok(HashMap::new()) };
        let table = self.table;
        let rows = query(format!(
            "SELECT r.key, d.names FROM {} CROSS JOIN LATERAL {} JOIN {} t ON {} CROSS JOIN LATERAL \
             (SELECT pg_catalog.array_remove({differing}, NULL) AS names) d WHERE pg_catalog.cardinality(d.names) > 0",
            self.images(),
            table.key_record("i.row_key"),
            table.only(),
            table.key_join(),
        ))
        .bind(keys)
        .bind(self.run.to_string())
        .fetch_all(connection)
        .await?;
        let said = |names: Vec<String>| format!("{} cannot be changed", named(&names));
        rows.iter().map(|row| Ok((row.try_get(0)?, said(row.try_get(1)?)))).collect()
    }
}

/// The names of those columns in which row `t` is not as image `i` has it, among NULLs: an expression of type text[]. What no
/// statement sets is left out. Compared as the image was made, so that no value of it need be read as its type.
fn differing<'c>(columns: impl Iterator<Item = &'c UndoColumn>) -> Option<String> {
    let names = columns.filter(|column| column.insertable).map(|column| {
        let (name, key) = (ident(&column.name), literal(&column.name));
        format!(
            "CASE WHEN i.image ? {key} AND CASE WHEN i.exact ? {key} THEN {} IS DISTINCT FROM i.exact ->> {key} \
             ELSE coalesce(pg_catalog.to_jsonb(t.{name}), 'null')::text IS DISTINCT FROM (i.image -> {key})::text END THEN {key} END",
            exact_text(&format!("t.{name}"))
        )
    });
    let names: Vec<String> = names.collect();
    (!names.is_empty()).then(|| format!("ARRAY[{}]::text[]", names.join(", ")))
}

/// What is said of columns that the table lacks.
pub(super) fn lost(columns: &[String]) -> String {
    format!("the table has no {} any more", named(columns))
}

fn named(columns: &[String]) -> String {
    let word = if columns.len() == 1 { "column" } else { "columns" };
    format!("{word} {}", columns.join(", "))
}

#[cfg(test)]
mod tests {
    use super::lost;

    #[test]
    fn lost_columns_are_named() {
        assert_eq!(lost(&["n".to_owned()]), "the table has no column n any more");
        assert_eq!(lost(&["a".to_owned(), "b".to_owned()]), "the table has no columns a, b any more");
    }
}
