//! The rights that making tables takes, and the statements that give those that the role lacks.

use crate::model::TableName;
use crate::postgres::{query, shown_ident, shown_table};
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};
use std::collections::BTreeSet;

/// For each schema of `$1`: the role, the database, the schema, whether it is missing, and the rights to make something there.
const OF_SCHEMAS: &str = "SELECT current_user::text AS role, pg_catalog.current_database()::text AS database, s.name AS schema, \
       n.oid IS NULL AS missing, pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE') AS may_make_schema, \
       coalesce(pg_catalog.has_schema_privilege(n.oid, 'CREATE'), false) AS may_create, \
       coalesce(pg_catalog.has_schema_privilege(n.oid, 'USAGE'), false) AS may_use \
     FROM (SELECT DISTINCT pg_catalog.unnest($1::text[]) AS name) s LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = s.name ORDER BY 3";

/// Those among the tables `$1`, `$2` that no foreign key of the role's may refer to.
const UNREFERRED: &str = "SELECT n.nspname::text, c.relname::text FROM unnest($1::text[], $2::text[]) t (schema, name) \
     JOIN pg_catalog.pg_namespace n ON n.nspname = t.schema \
     JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.name AND c.relkind IN ('r', 'p') \
     WHERE NOT pg_catalog.has_table_privilege(c.oid, 'REFERENCES') ORDER BY 1, 2";

/// Whether the role may make a table there: the right that it lacks, as `CREATE ON SCHEMA app`, with the statement that gives it.
pub(super) struct Lacking {
    pub(super) right: String,
    pub(super) grant: String,
}

/// The rights that the role lacks to make tables in these schemas, with foreign keys to tables that are there.
///
/// # Errors
/// The server's.
pub(super) async fn lacking_to_make(
    connection: &mut PgConnection,
    schemas: &BTreeSet<&str>,
    parents: &[TableName],
) -> Result<Vec<Lacking>, Error> {
    let schemas: Vec<&str> = schemas.iter().copied().collect();
    let rows = query(OF_SCHEMAS).bind(schemas).fetch_all(&mut *connection).await?;
    let (mut found, mut role) = (Vec::new(), String::new());
    for row in rows {
        role = shown_ident(row.try_get("role")?);
        let (database, schema) = (shown_ident(row.try_get("database")?), shown_ident(row.try_get("schema")?));
        if row.try_get("missing")? {
            if !row.try_get::<bool, _>("may_make_schema")? {
                found.push(lacking("CREATE", format!("DATABASE {database}"), &role));
            }
            continue;
        }
        let rights = [("CREATE", row.try_get("may_create")?), ("USAGE", row.try_get("may_use")?)];
        let missing: Vec<&str> = rights.iter().filter(|(_, has): &&(_, bool)| !has).map(|(name, _)| *name).collect();
        if !missing.is_empty() {
            found.push(lacking(&missing.join(", "), format!("SCHEMA {schema}"), &role));
        }
    }
    let (schemas, names): (Vec<&str>, Vec<&str>) =
        parents.iter().map(|table| (table.schema.as_str(), table.table.as_str())).unzip();
    for row in query(UNREFERRED).bind(schemas).bind(names).fetch_all(connection).await? {
        let table = TableName { schema: row.try_get(0)?, table: row.try_get(1)? };
        found.push(lacking("REFERENCES", shown_table(&table), &role));
    }
    Ok(found)
}

fn lacking(rights: &str, on: String, role: &str) -> Lacking {
    let right = format!("{rights} ON {on}");
    Lacking { grant: format!("GRANT {right} TO {role}"), right }
}

/// What the role lacks, in words that follow what could not be made; nothing where it lacks nothing.
pub(super) fn in_words(lacking: &[Lacking]) -> String {
    let rights: Vec<&str> = lacking.iter().map(|lacking| lacking.right.as_str()).collect();
    if rights.is_empty() { String::new() } else { format!("; the role lacks {}", rights.join(", ")) }
}

/// The statements that give it, each a sentence; `otherwise` follows them.
pub(super) fn grants(lacking: &[Lacking], otherwise: &str) -> String {
    let grants: Vec<&str> = lacking.iter().map(|lacking| lacking.grant.as_str()).collect();
    if grants.is_empty() { format!("{otherwise}.") } else { format!("{}. Or {otherwise}.", grants.join("; ")) }
}
