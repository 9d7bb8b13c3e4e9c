//! Locks that the check wants and does not get: it asks for none that the application would notice, and waits for none long.

use crate::job::link::Trouble;
use crate::model::{Failure, TableName};
use crate::postgres::{query, shown_table};
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};
use std::fmt::Display;

/// Whether an error says that a lock was not given in time.
fn is_of_lock(error: &Error) -> bool {
    // lock_not_available
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == "55P03")
}

/// An error that is not of a lock. One that is ends the check: asking again and again would hold up the application just as well.
/// `tables` are those of which one was locked; the transaction must be in order, so that it can be asked who has the lock.
///
/// # Errors
/// That the lock was not given, and by whom, as far as the server tells.
pub(super) async fn given_up(
    connection: &mut PgConnection,
    what: impl Display,
    tables: &[TableName],
    error: Error,
) -> Result<Error, Trouble> {
    if !is_of_lock(&error) {
        return Ok(error);
    }
    let holders = holders(connection, tables).await?;
    let by = if holders.is_empty() { String::new() } else { format!(": {}", holders.join("; ")) };
    let message = format!("looking at {what}: another transaction held a lock for longer than target.lock_timeout{by}");
    let hint = "Wait until that transaction ends (pg_stat_activity, pg_locks), or raise target.lock_timeout: as long as it waits, \
                the application's statements wait behind it.";
    Err(Failure::postgres(message, hint).into())
}

/// Who has or wants locks on the tables `$1`, `$2` that others have to wait for, the strongest first.
const HOLDERS: &str = "SELECT l.pid, a.application_name AS application, a.usename::text AS role, l.granted, \
       pg_catalog.upper(pg_catalog.regexp_replace(pg_catalog.replace(l.mode, 'Lock', ''), '([a-z])([A-Z])', '\\1 \\2', 'g')) AS mode, \
       n.nspname::text AS schema, c.relname::text AS name \
     FROM unnest($1::text[], $2::text[]) t (schema, name) JOIN pg_catalog.pg_namespace n ON n.nspname = t.schema \
     JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.name \
     JOIN pg_catalog.pg_locks l ON l.locktype = 'relation' AND l.relation = c.oid \
       AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) \
     LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid \
     WHERE l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid() AND l.mode NOT IN ('AccessShareLock', 'RowShareLock') \
     ORDER BY pg_catalog.array_position('{AccessExclusiveLock,ExclusiveLock,ShareRowExclusiveLock,ShareLock,ShareUpdateExclusiveLock}', \
       l.mode), l.granted DESC, l.pid LIMIT 3";

/// Who has the locks. A transaction that has ended by now is not found.
async fn holders(connection: &mut PgConnection, tables: &[TableName]) -> Result<Vec<String>, Error> {
    let (schemas, names): (Vec<&str>, Vec<&str>) =
        tables.iter().map(|table| (table.schema.as_str(), table.table.as_str())).unzip();
    let rows = query(HOLDERS).bind(schemas).bind(names).fetch_all(connection).await?;
    let mut found = Vec::new();
    for row in rows {
        let table = TableName { schema: row.try_get("schema")?, table: row.try_get("name")? };
        let pid: Option<i32> = row.try_get("pid")?;
        let who = pid.map_or("a prepared transaction".to_owned(), |pid| format!("pid {pid}"));
        let named = |column, word| {
            let name: Option<String> = row.try_get(column)?;
            let name = name.filter(|name| !name.is_empty());
            Ok::<_, Error>(name.map(|name| format!(", {word} {name}")).unwrap_or_default())
        };
        let (application, role) = (named("application", "application")?, named("role", "role")?);
        let (mode, table): (String, _) = (row.try_get("mode")?, shown_table(&table));
        let how = if row.try_get("granted")? { "locked by" } else { "a lock is waited for by" };
        found.push(format!("{how} {who}{application}{role} ({mode} on {table})"));
    }
    Ok(found)
}
