//! The database that a row was made from, as SQL.
//!
//! Lineage names the database unless it is the own one of the run's source. What names none is therefore of the own
//! database of the run that wrote it, which the ledger knows. A run that reads its source's own database alone takes such
//! a row for its own all the same: the cache may have moved to another database since. So it does with rows that were read
//! from another server: it updates them, and deletes none of them.

use crate::model::Database;
use crate::postgres::query;
use crate::sink::table::{LoadTable, Provenance};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error, Row};
use std::collections::HashMap;
use uuid::Uuid;

/// The number, as text, of the database that the target's row `t` was made from; NULL where it need not be known.
/// `run`: the run that wrote the row, as an expression; `l`: its lineage, where the ledger has it.
pub(in crate::sink) fn of_row(table: &LoadTable, database: Database, run: &str) -> String {
    let nothing = || "NULL::text".to_owned();
    let named = match table.provenance {
        Provenance::Object(object) => {
            table.of_target(object).map_or_else(nothing, |t| format!("{t} -> 'redis2pg' ->> 'database'"))
        }
        Provenance::Columns { database, .. } => {
            database.and_then(|index| table.of_target(index)).map_or_else(nothing, |t| format!("{t}::text"))
        }
        Provenance::Ledger => "l.redis_db::text".to_owned(),
        Provenance::Nowhere => return nothing(),
    };
    known(&named, database, run)
}

/// Whether a row is of this database, as a condition. `named`: the number that its lineage names, as text; `run`: the run
/// that wrote it, as an expression.
pub(in crate::sink) fn is_of(database: Database, named: &str, run: &str) -> String {
    let number = database.number;
    format!("coalesce({}, '{number}') = '{number}'", known(named, database, run))
}

/// Whether the lineage `l` in the ledger is of keys of this database, as a condition.
pub(in crate::sink) fn is_in_ledger(database: Database) -> String {
    is_of(database, "l.redis_db::text", "l.run_id")
}

/// Whether the lineage `l` in the ledger is of keys of this database of the source of this run for certain, as a
/// condition: what is left behind of those is deleted, so that here no run takes rows of another cache for its own.
/// `run`: this run.
pub(in crate::sink) fn is_surely_in_ledger(database: Database, run: Uuid) -> String {
    // Sets that are looked into, not one look for each row.
    format!(
        "({} AND l.run_id IN (SELECT r.id FROM redis2pg.runs r WHERE {} = \
         (SELECT {} FROM redis2pg.runs o WHERE o.id = '{run}')))",
        is_written_as(database),
        place("r.source"),
        place("o.source")
    )
}

/// Whether the lineage `l` in the ledger may be of a row that keys of this database make now, as a condition: beside those
/// that are so for certain, what a run takes for its own.
pub(in crate::sink) fn may_be_in_ledger(database: Database) -> String {
    if database.alone { is_in_ledger(database) } else { is_written_as(database) }
}

/// Whether the lineage `l` is of a database of this number, wherever that was.
fn is_written_as(database: Database) -> String {
    let number = database.number;
    format!(
        "(l.redis_db = {number} OR l.redis_db IS NULL AND l.run_id IN (SELECT r.id FROM redis2pg.runs r \
         WHERE coalesce(substring(r.source FROM '[0-9]+$'), '{number}') = '{number}'))"
    )
}

/// A source without its database: host and port, the path of the socket, or the cluster's name.
fn place(source: &str) -> String {
    format!("pg_catalog.regexp_replace({source}, '/[0-9]+$', '')")
}

/// A run that read from the same server or cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceRun {
    /// Its id.
    pub run: Uuid,
    /// The own database of its source, which its rows are of that name none; `None` where that is not known.
    pub database: Option<u8>,
}

/// The runs that read from the server or cluster of this source, whichever database: as [`is_surely_in_ledger`] has it.
/// `source`: as in [`crate::ledger::NewRun::source`].
///
/// # Errors
/// The server's.
pub async fn runs_of_source(connection: &mut PgConnection, source: &str) -> Result<Vec<SourceRun>, Error> {
    let mut transaction = connection.begin().await?;
    let sql = format!(
        "SELECT r.id::text AS id, substring(r.source FROM '[0-9]+$') AS database FROM redis2pg.runs r WHERE {} = {}",
        place("r.source"),
        place("$1::text")
    );
    let rows = query(sql).bind(source).fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    let run = |row: &sqlx::postgres::PgRow| {
        let run = Uuid::parse_str(row.try_get("id")?).map_err(|error| Error::Decode(error.into()))?;
        let database: Option<String> = row.try_get("database")?;
        Ok(SourceRun { run, database: database.and_then(|number| number.parse().ok()) })
    };
    rows.iter().map(run).collect()
}

/// The runs that read from another server or cluster, each with its source.
///
/// # Errors
/// The server's.
pub async fn runs_elsewhere(connection: &mut PgConnection, source: &str) -> Result<HashMap<Uuid, String>, Error> {
    let mut transaction = connection.begin().await?;
    let sql = format!(
        "SELECT r.id::text AS id, r.source FROM redis2pg.runs r WHERE {} IS DISTINCT FROM {}",
        place("r.source"),
        place("$1::text")
    );
    let rows = query(sql).bind(source).fetch_all(&mut *transaction).await?;
    transaction.commit().await?;
    let run = |row: &sqlx::postgres::PgRow| {
        let run = Uuid::parse_str(row.try_get("id")?).map_err(|error| Error::Decode(error.into()))?;
        Ok((run, row.try_get("source")?))
    };
    rows.iter().map(run).collect()
}

fn known(named: &str, database: Database, run: &str) -> String {
    if database.alone {
        return named.to_owned();
    }
    format!(
        "coalesce({named}, (SELECT substring(r.source FROM '[0-9]+$') FROM redis2pg.runs r WHERE r.id = ({run})::uuid))"
    )
}
