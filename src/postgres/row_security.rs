//! Row-level security, as it is for our role.

use super::sql::query;
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};

/// What row-level security does to our role in a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowSecurity {
    /// Whether it applies: COPY into the table is then refused by the server. The rest is of interest only then.
    pub applies: bool,
    /// Whether a permissive policy lets us insert rows at all.
    pub may_insert: bool,
    /// The policies that may hide rows from us when they are read, by name; `None`: no policy lets us read any.
    pub hiding: Option<Vec<String>>,
    /// The restrictive policies that are for us, by name: what they refuse, no other policy allows.
    pub restrictive: Vec<RestrictivePolicy>,
}

/// A restrictive policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestrictivePolicy {
    /// Its name.
    pub name: String,
    /// What it is for: `ALL`, `SELECT`, `INSERT`, `UPDATE` or `DELETE`.
    pub command: String,
    /// What a row must be.
    pub condition: String,
    /// Whether it refuses every row that is inserted.
    pub refuses_all: bool,
}

/// Whether it applies to table `$1`, and whether a policy lets us insert.
const APPLIES: &str = "SELECT pg_catalog.row_security_active($1::oid) AS applies, \
       EXISTS (SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = $1::oid AND p.polpermissive AND p.polcmd IN ('*', 'a') \
               AND (p.polroles = '{0}' OR EXISTS (SELECT FROM pg_catalog.unnest(p.polroles) r WHERE pg_catalog.pg_has_role(r, 'USAGE')))) \
         AS may_insert";

/// The restrictive policies of table `$1` that are for us. What a new row must be is WITH CHECK, and USING where there is none.
const RESTRICTIVE: &str = "SELECT p.polname::text AS name, \
       CASE p.polcmd WHEN '*' THEN 'ALL' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' \
         ELSE 'SELECT' END AS command, \
       coalesce(pg_catalog.pg_get_expr(coalesce(p.polwithcheck, p.polqual), p.polrelid), 'true') AS condition, \
       p.polcmd IN ('*', 'a') AS inserts \
     FROM pg_catalog.pg_policy p WHERE p.polrelid = $1::oid AND NOT p.polpermissive \
     AND (p.polroles = '{0}' OR EXISTS (SELECT FROM pg_catalog.unnest(p.polroles) r WHERE pg_catalog.pg_has_role(r, 'USAGE'))) ORDER BY 1";

/// The policies of table `$1` that are for us when rows are read: a row is seen that one of the permissive ones and all restrictive ones let
/// through.
const READING: &str = "SELECT p.polname::text AS name, p.polpermissive AS permissive, \
       coalesce(pg_catalog.pg_get_expr(p.polqual, p.polrelid), 'true') = 'true' AS shows_all \
     FROM pg_catalog.pg_policy p WHERE p.polrelid = $1::oid AND p.polcmd IN ('*', 'r') \
     AND (p.polroles = '{0}' OR EXISTS (SELECT FROM pg_catalog.unnest(p.polroles) r WHERE pg_catalog.pg_has_role(r, 'USAGE'))) ORDER BY 1";

/// What row-level security does to our role in a table.
///
/// # Errors
/// The server's.
pub(super) async fn read_row_security(connection: &mut PgConnection, table: i64) -> Result<RowSecurity, Error> {
    let row = query(APPLIES).bind(table).fetch_one(&mut *connection).await?;
    let applies: bool = row.try_get("applies")?;
    if !applies {
        return Ok(RowSecurity::default());
    }
    let hiding = read_hiding(connection, table).await?;
    let policies = query(RESTRICTIVE).bind(table).fetch_all(connection).await?;
    let policy = |row: &sqlx::postgres::PgRow| {
        let (condition, inserts): (String, bool) = (row.try_get("condition")?, row.try_get("inserts")?);
        let refuses_all = inserts && condition == "false";
        Ok(RestrictivePolicy { name: row.try_get("name")?, command: row.try_get("command")?, condition, refuses_all })
    };
    let restrictive = policies.iter().map(policy).collect::<Result<_, Error>>()?;
    Ok(RowSecurity { applies, may_insert: row.try_get("may_insert")?, hiding, restrictive })
}

async fn read_hiding(connection: &mut PgConnection, table: i64) -> Result<Option<Vec<String>>, Error> {
    let (mut permissive, mut restrictive, mut shows_all) = (Vec::new(), Vec::new(), false);
    for row in query(READING).bind(table).fetch_all(connection).await? {
        let (name, all): (String, bool) = (row.try_get("name")?, row.try_get("shows_all")?);
        if row.try_get("permissive")? {
            shows_all |= all;
            permissive.push(name);
        } else if !all {
            restrictive.push(name);
        }
    }
    if permissive.is_empty() {
        return Ok(None);
    }
    if !shows_all {
        restrictive.append(&mut permissive);
    }
    Ok(Some(restrictive))
}
