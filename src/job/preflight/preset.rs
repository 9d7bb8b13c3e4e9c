//! The preset's tables: made where one is missing.

use super::Created;
use super::{locks, rights};
use crate::config::Settings;
use crate::job::link::Trouble;
use crate::job::setup;
use crate::model::{Finding, Side, TableName};
use crate::postgres::{Verdict, missing_tables, published_script, query, verdict};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error, Row};

/// The statements that make the preset's tables, where a run would.
pub(super) fn statements(settings: &Settings) -> Option<&'static str> {
    let schema = settings.run.preset.as_deref().and_then(setup::preset_schema);
    schema.filter(|_| settings.target.create_schema)
}

/// Makes the preset's tables where one of `names` is missing. That the server refuses to is a finding, and then none is made.
///
/// # Errors
/// The server's, where it says nothing of the tables.
pub(super) async fn make_missing(
    connection: &mut PgConnection,
    settings: &Settings,
    names: &[TableName],
) -> Result<Created, Trouble> {
    let Some(schema) = statements(settings) else { return Ok(Created::default()) };
    let missing = missing_tables(connection, names).await?;
    if missing.is_empty() {
        return Ok(Created::default());
    }
    let before = tables_beside(connection, names).await?;
    let mut savepoint = connection.begin().await?;
    match published_script(schema).execute(&mut *savepoint).await {
        Ok(_) => savepoint.commit().await?,
        Err(error) => {
            savepoint.rollback().await?;
            let parents = parents(schema, &before);
            let there = parents.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let what = format!("{there}, to make the preset's other tables");
            let error = locks::given_up(connection, what, &parents, error).await?;
            let schemas = missing.iter().map(|name| name.schema.as_str()).collect();
            let lacking = rights::lacking_to_make(connection, &schemas, &parents).await?;
            let mut finding =
                refused(error, "the preset's tables", rights::grants(&lacking, "create the tables first"))?;
            finding.message.push_str(&rights::in_words(&lacking));
            return Ok(Created { tables: names.to_vec(), findings: vec![finding], ..Created::default() });
        }
    }
    let after = tables_beside(connection, names).await?;
    let tables = after.into_iter().filter(|table| !before.contains(table)).collect();
    Ok(Created { tables, ..Created::default() })
}

/// Those of the tables that are there to which a table refers that is yet to be made.
fn parents(schema: &str, there: &[TableName]) -> Vec<TableName> {
    let is_there = |name: &str| there.iter().any(|table| table.to_string() == name);
    let child = |at: usize| {
        let made = schema.get(..at).and_then(|before| before.rsplit_once("CREATE TABLE "));
        made.and_then(|(_, child)| child.split_whitespace().next())
    };
    let referred = |parent: &&TableName| {
        let references = format!("REFERENCES {parent} ");
        schema.match_indices(&references).filter_map(|(at, _)| child(at)).any(|child| !is_there(child))
    };
    there.iter().filter(referred).cloned().collect()
}

/// What the server did not make, and why; an error that is of the server itself stays one.
pub(super) fn refused(error: Error, what: &str, hint: impl Into<String>) -> Result<Finding, Trouble> {
    let Some(database) = error.as_database_error() else { return Err(error.into()) };
    let code = database.code().unwrap_or_default();
    // 53: out of resources, 58: its disk fails.
    if verdict(&error) == Verdict::Transient || code.starts_with("53") || code.starts_with("58") {
        return Err(error.into());
    }
    let message = format!("cannot be made: {} (SQLSTATE {code})", database.message());
    Ok(Finding::critical(Side::Postgres, what, message, hint))
}

/// All tables of the schemas that these are in.
async fn tables_beside(connection: &mut PgConnection, names: &[TableName]) -> Result<Vec<TableName>, Error> {
    let schemas: Vec<&str> = names.iter().map(|name| name.schema.as_str()).collect();
    let rows = query(
        "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'p') ORDER BY c.oid",
    )
    .bind(schemas)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok(TableName { schema: row.try_get(0)?, table: row.try_get(1)? })).collect()
}

#[cfg(test)]
mod tests {
    use super::parents;
    use crate::job::setup::preset_schema;
    use crate::model::TableName;

    #[test]
    fn only_parents_of_what_is_made_are_referred_to() {
        let schema = preset_schema("contract-reviewer").unwrap();
        let tables = |names: &[&str]| -> Vec<TableName> {
            names.iter().map(|name| TableName { schema: "document_hub".into(), table: (*name).into() }).collect()
        };
        assert_eq!(parents(schema, &tables(&["sessions", "documents"])), tables(&["documents"]));
        assert_eq!(parents(schema, &tables(&["documents", "analysis_results"])), []);
        assert_eq!(parents(schema, &tables(&["sessions"])), []);
    }
}
