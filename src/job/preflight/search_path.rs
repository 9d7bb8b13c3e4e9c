//! Whether somebody else may put functions where those are looked for that are called without their schema.
//!
//! A function in a schema of the search path is taken in place of one of PostgreSQL's own where its arguments fit better, and it runs with
//! the rights of whoever calls it (PostgreSQL's wiki, "A Guide to CVE-2018-1058"). What is sent from here names the schema of what it calls
//! (`postgres::query` sees to it); the tables' own triggers, checks and policies run in the same session and may not.

use crate::model::{Finding, Side};
use crate::postgres::{query, shown_ident};
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};

/// Schemas of the search path in which a role may create functions that is neither a superuser, nor this role, nor of the schema's owner.
/// Roles that cannot log in, or not into this database, do nothing by themselves.
const OPEN: &str = "SELECT n.nspname::text AS schema, pg_catalog.min(r.rolname::text) AS role, pg_catalog.count(*) AS roles \
    FROM pg_catalog.unnest(pg_catalog.current_schemas(false)) s (name) JOIN pg_catalog.pg_namespace n ON n.nspname = s.name \
    JOIN pg_catalog.pg_roles r ON r.rolcanlogin AND NOT r.rolsuper AND r.rolname <> current_user \
    WHERE pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE') \
    AND pg_catalog.has_database_privilege(r.oid, pg_catalog.current_database(), 'CONNECT') \
    AND NOT pg_catalog.pg_has_role(r.oid, n.nspowner, 'MEMBER') GROUP BY n.nspname ORDER BY n.nspname";

/// A warning for each such schema.
///
/// # Errors
/// The connection's.
pub(super) async fn judge(connection: &mut PgConnection) -> Result<Vec<Finding>, Error> {
    let open = query(OPEN).fetch_all(connection).await?;
    open.iter()
        .map(|row| {
            let (schema, role): (String, String) = (row.try_get("schema")?, row.try_get("role")?);
            let others = row.try_get::<i64, _>("roles")? - 1;
            let who = if others > 0 { format!("{role} and {others} other roles") } else { role };
            let message = format!(
                "it is in the search path, and {who} may create functions in it: triggers and checks of the tables that name no schema may call \
                 them, with the rights of whoever runs redis2pg"
            );
            let schema = shown_ident(&schema);
            let hint = format!(
                "REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC (and from roles that have it by name), or use a role whose search_path is without it."
            );
            Ok(Finding::warning(Side::Postgres, format!("schema {schema}"), message, hint))
        })
        .collect()
}
