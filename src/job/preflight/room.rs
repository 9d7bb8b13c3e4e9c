//! Whether there is room for what a run writes, as far as that can be seen from here: what holds WAL back, and how much is
//! free in the file systems of a server on this machine. What cannot be seen is not said.

use crate::model::{Finding, Side, TableName};
use crate::postgres::{literal, query};
use sqlx::postgres::{PgArguments, PgConnection, PgRow, Postgres};
use sqlx::query::Query;
use sqlx::{Connection, Error, Row};
use std::fs;
use std::path::{Path, PathBuf};

/// Below this even a small run may fill a file system: WAL grows by segments of 16 MiB, and each writer sends batches of MiBs.
const LOW: u64 = 256 << 20;

/// Everything that is to be seen of the room.
///
/// # Errors
/// The connection's; what the server does not tell this role is left out.
pub(super) async fn judge(connection: &mut PgConnection, tables: &[TableName]) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for row in told(connection, query(ARCHIVER)).await? {
        findings.push(archiver(&row)?);
    }
    for row in told(connection, query(SLOTS)).await? {
        findings.push(slot(&row)?);
    }
    let (schemas, names): (Vec<&str>, Vec<&str>) =
        tables.iter().map(|table| (table.schema.as_str(), table.table.as_str())).unzip();
    if let Some(row) = told(connection, query(PLACES).bind(schemas).bind(names)).await?.first() {
        findings.extend(free_space(row)?);
    }
    Ok(findings)
}

/// Archiving that fails: its last failure came after its last success.
const ARCHIVER: &str = "SELECT last_failed_wal, pg_catalog.to_char(last_failed_time, 'YYYY-MM-DD HH24:MI') AS at \
    FROM pg_catalog.pg_stat_archiver WHERE pg_catalog.current_setting('archive_mode') <> 'off' \
    AND last_failed_time > coalesce(last_archived_time, '-infinity')";

/// Slots that nobody reads from and that hold WAL.
const SLOTS: &str = "SELECT slot_name::text AS name, \
    pg_catalog.pg_size_pretty(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), restart_lsn)) AS held, \
    nullif(pg_catalog.current_setting('max_slot_wal_keep_size', true), '-1') AS bound \
    FROM pg_catalog.pg_replication_slots WHERE NOT active AND restart_lsn IS NOT NULL ORDER BY slot_name";

/// Where the server's files are and what says that it runs here, for roles that are told; `$1`, `$2`: the tables'
/// schemas and names.
const PLACES: &str = "SELECT pg_catalog.current_setting('data_directory') AS data, \
    extract(epoch FROM pg_catalog.pg_postmaster_start_time())::bigint AS started, \
    greatest(pg_catalog.pg_size_bytes(pg_catalog.current_setting('max_wal_size')), \
             pg_catalog.pg_size_bytes(coalesce(pg_catalog.current_setting('wal_keep_size', true), '0'))) AS wal, \
    ARRAY(SELECT pg_catalog.pg_tablespace_location(s.oid) FROM pg_catalog.pg_tablespace s WHERE s.oid IN \
      (SELECT coalesce(nullif(c.reltablespace, 0), d.dattablespace) FROM unnest($1::text[], $2::text[]) t (schema, name) \
       JOIN pg_catalog.pg_namespace n ON n.nspname = t.schema \
       JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = t.name \
       JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database()) \
      AND pg_catalog.pg_tablespace_location(s.oid) <> '') AS spaces \
    WHERE pg_catalog.pg_has_role('pg_read_all_settings', 'USAGE')";

/// The rows of a question; none where the role may not ask it, or this server does not know it.
async fn told(connection: &mut PgConnection, question: Query<'_, Postgres, PgArguments>) -> Result<Vec<PgRow>, Error> {
    let mut savepoint = connection.begin().await?;
    let answer = question.fetch_all(&mut *savepoint).await;
    savepoint.rollback().await?;
    match answer {
        Err(Error::Database(error)) if error.code().is_some_and(|code| code.starts_with("42")) => Ok(Vec::new()),
        answer => answer,
    }
}

fn archiver(row: &PgRow) -> Result<Finding, Error> {
    let (file, at): (Option<String>, String) = (row.try_get("last_failed_wal")?, row.try_get("at")?);
    let message = format!(
        "archiving fails (last for {} at {at}): until it works again, all WAL that the run writes stays in pg_wal",
        file.unwrap_or_default()
    );
    let hint = "See the server's log, mend archive_command or archive_library, and watch: SELECT * FROM pg_catalog.pg_stat_archiver.";
    Ok(Finding::warning(Side::Postgres, "archive_command", message, hint))
}

fn slot(row: &PgRow) -> Result<Finding, Error> {
    let (name, held): (String, Option<String>) = (row.try_get("name")?, row.try_get("held")?);
    let held = held.unwrap_or_default();
    let bound: Option<String> = row.try_get("bound")?;
    let message = match bound {
        None => {
            format!("nobody reads from it, and it holds {held} of WAL: all that the run writes stays on disk with it")
        }
        Some(bound) => format!(
            "nobody reads from it, and it holds {held} of WAL: beyond max_slot_wal_keep_size ({bound}) the run makes it \
             useless for whoever comes back to it"
        ),
    };
    let hint = format!(
        "Let its reader catch up first, or, where nobody will: SELECT pg_drop_replication_slot({}).",
        literal(&name)
    );
    Ok(Finding::warning(Side::Postgres, format!("replication slot {name}"), message, hint))
}

/// Of a server whose files are here.
fn free_space(row: &PgRow) -> Result<Vec<Finding>, Error> {
    let data = PathBuf::from(row.try_get::<String, _>("data")?);
    if !is_here(&data, row.try_get("started")?) {
        return Ok(Vec::new());
    }
    let wal = data.join("pg_wal");
    let growth = u64::try_from(row.try_get::<i64, _>("wal")?).unwrap_or(0).saturating_sub(size_of_files(&wal));
    let mut findings = Vec::new();
    if let Some(free) = free(&wal).filter(|free| *free < growth) {
        let message = format!(
            "{} are free where it is, and WAL may grow by {} before it is recycled (max_wal_size, wal_keep_size)",
            megabytes(free),
            megabytes(growth)
        );
        let hint = "Make room, or lower the setting: ALTER SYSTEM SET max_wal_size = …, SELECT pg_reload_conf().";
        findings.push(Finding::warning(Side::Postgres, "pg_wal", message, hint));
    }
    let spaces: Vec<String> = row.try_get("spaces")?;
    for place in std::iter::once(data).chain(spaces.into_iter().map(PathBuf::from)) {
        if let Some(free) = free(&place).filter(|free| *free < LOW) {
            let message = format!("{} are free in its file system", megabytes(free));
            let hint = "Make room: a run that fills it stops, and goes on with --resume.";
            findings.push(Finding::warning(Side::Postgres, place.display().to_string(), message, hint));
        }
    }
    Ok(findings)
}

/// Whether the server that runs in that directory is the one that we talk to: a tunnel leads elsewhere from any address.
fn is_here(data: &Path, started: i64) -> bool {
    let file = fs::read_to_string(data.join("postmaster.pid")).unwrap_or_default();
    // Its third line is when the postmaster began.
    let written = file.lines().nth(2).and_then(|line| line.trim().parse::<i64>().ok());
    written.is_some_and(|written| written.abs_diff(started) <= 2)
}

fn size_of_files(dir: &Path) -> u64 {
    let files = fs::read_dir(dir).into_iter().flatten().flatten();
    files.filter_map(|file| file.metadata().ok()).map(|facts| facts.len()).sum()
}

/// The bytes that are free for the server in a place's file system.
fn free(place: &Path) -> Option<u64> {
    let facts = rustix::fs::statvfs(place).ok()?;
    Some(facts.f_bavail.saturating_mul(facts.f_frsize))
}

fn megabytes(bytes: u64) -> String {
    format!("{} MiB", bytes >> 20)
}
