//! The server itself: whether it takes writes, and what the role may do in its database.

use crate::model::{Failure, Finding, Side};
use crate::postgres::{failure, query};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error, Row};

/// What the server says of itself.
#[derive(Clone, Debug)]
pub(in crate::job) struct Server {
    pub(in crate::job) version: String,
    pub(in crate::job) may_make_temporary: bool,
    /// Whether the schema of the ledger can be used or made.
    pub(in crate::job) ledger: bool,
    /// Whether tables can be made in that schema, for staging where there are no temporary ones.
    pub(in crate::job) stage: bool,
}

/// Looks at the server: a target that cannot be written is refused before anything is read.
///
/// # Errors
/// It is read-only, or does not answer.
pub(in crate::job) async fn look(connection: &mut PgConnection) -> Result<Server, Failure> {
    let said = |error| failure("looking at the server", error);
    let mut transaction = connection.begin().await.map_err(said)?;
    let row = query(
        "SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS standby, \
         current_setting('transaction_read_only') = 'on' AS read_only, \
         has_database_privilege(current_database(), 'TEMP') AS temporary, \
         CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'redis2pg') \
              THEN has_schema_privilege('redis2pg', 'USAGE') \
              ELSE has_database_privilege(current_database(), 'CREATE') END AS ledger, \
         CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'redis2pg') \
              THEN has_schema_privilege('redis2pg', 'CREATE') \
              ELSE has_database_privilege(current_database(), 'CREATE') END AS stage, \
         current_setting('server_encoding') AS encoding",
    )
    .fetch_one(&mut *transaction)
    .await
    .map_err(said)?;
    transaction.commit().await.map_err(said)?;
    let get = |error: Error| failure("looking at the server", error);
    if row.try_get("standby").map_err(get)? {
        let hint = "Point target.url / --to at the primary.";
        return Err(Failure::postgres("the server is a read-only standby", hint));
    }
    if row.try_get("read_only").map_err(get)? {
        let hint = "Unset default_transaction_read_only for this role and database, or point --to elsewhere.";
        return Err(Failure::postgres("the server takes no writes: transactions are read-only", hint));
    }
    let encoding: String = row.try_get("encoding").map_err(get)?;
    if encoding != "UTF8" {
        let message = format!("the database's encoding is {encoding}; JSON text can hold what it cannot");
        return Err(Failure::usage(Side::Postgres, message, "Use a database with encoding UTF8."));
    }
    Ok(Server {
        version: row.try_get("version").map_err(get)?,
        may_make_temporary: row.try_get("temporary").map_err(get)?,
        ledger: row.try_get("ledger").map_err(get)?,
        stage: row.try_get("stage").map_err(get)?,
    })
}

/// What the role lacks beside its rights on the tables.
pub(super) fn judge_server(server: &Server) -> Option<Finding> {
    let (message, hint) = if !server.ledger {
        (
            "the role may neither use nor create it; the ledger lives there",
            "GRANT CREATE ON DATABASE … TO the role, or let a superuser run once and GRANT USAGE.",
        )
    } else if !server.may_make_temporary && !server.stage {
        (
            "the role may make no temporary tables, and no tables in this schema, where staging tables go then",
            "GRANT TEMPORARY ON DATABASE … TO the role, or GRANT CREATE ON SCHEMA redis2pg TO the role.",
        )
    } else {
        return None;
    };
    Some(Finding::critical(Side::Postgres, "schema redis2pg", message, hint))
}
