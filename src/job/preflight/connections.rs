//! How many connections the role and the database are allowed, beside what a run opens.

use crate::model::{Finding, Side};
use crate::postgres::{ident, query};
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};

/// A run's connections beside those of its writers: its own, and the one that renews the lease.
const BESIDE_WRITERS: u64 = 2;

/// A limit on connections, from the server.
struct Limit {
    /// `ROLE` or `DATABASE`.
    kind: &'static str,
    name: String,
    allowed: u64,
}

/// A warning for each limit that a run with so many writers goes beyond. No more than a warning: a pooler in between opens
/// connections of its own number.
///
/// # Errors
/// The server's.
pub(super) async fn judge(connection: &mut PgConnection, writers: u64) -> Result<Vec<Finding>, Error> {
    let needed = writers.max(1) + BESIDE_WRITERS;
    let limits = read_limits(connection).await?;
    Ok(limits.iter().filter(|limit| limit.allowed < needed).map(|limit| finding(limit, needed)).collect())
}

/// The limits that there are. Neither counts for a superuser.
async fn read_limits(connection: &mut PgConnection) -> Result<Vec<Limit>, Error> {
    let row = query(
        "SELECT r.rolname::text, r.rolconnlimit, d.datname::text, d.datconnlimit \
         FROM pg_catalog.pg_roles r, pg_catalog.pg_database d \
         WHERE r.rolname = session_user AND NOT r.rolsuper AND d.datname = pg_catalog.current_database()",
    )
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(Vec::new()) };
    let (role, of_role): (String, i32) = (row.try_get(0)?, row.try_get(1)?);
    let (database, of_database): (String, i32) = (row.try_get(2)?, row.try_get(3)?);
    // Below zero there is no limit.
    let limit = |kind, name, allowed: i32| Some(Limit { kind, name, allowed: u64::try_from(allowed).ok()? });
    let limits = [limit("ROLE", role, of_role), limit("DATABASE", database, of_database)];
    Ok(limits.into_iter().flatten().collect())
}

fn finding(Limit { kind, name, allowed }: &Limit, needed: u64) -> Finding {
    let subject = format!("{} {name}", kind.to_lowercase());
    let message =
        format!("allows {allowed} connections at a time; a run opens {needed} (flow.writers + {BESIDE_WRITERS})");
    let lower = match allowed.checked_sub(BESIDE_WRITERS) {
        None | Some(0) => String::new(),
        Some(writers) => format!("Lower flow.writers to {writers}, or raise the limit: "),
    };
    let raise = format!("ALTER {kind} {} CONNECTION LIMIT {needed}.", ident(name));
    Finding::warning(Side::Postgres, subject, message, format!("{lower}{raise} Behind a pooler it may do no harm."))
}
