//! The ledger's own tables, made and upgraded by migrations.

use super::shards::{end_where_idle, idle_timeout};
use crate::postgres::query;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error, Row, SqlSafeStr};
use std::time::Duration;

/// Every migration, oldest first. One that was released is never edited.
fn migrations() -> Vec<Migration> {
    let texts = [
        ("ledger", include_str!("../../migrations/ledger/0001_ledger.sql")),
        ("unmatched keys", include_str!("../../migrations/ledger/0002_unmatched_keys.sql")),
        ("several_rows", include_str!("../../migrations/ledger/0003_several_rows.sql")),
        ("databases", include_str!("../../migrations/ledger/0004_databases.sql")),
        ("rows of rejects", include_str!("../../migrations/ledger/0005_rows_of_rejects.sql")),
        ("elements seen", include_str!("../../migrations/ledger/0006_elements_seen.sql")),
        ("retries", include_str!("../../migrations/ledger/0007_retries.sql")),
        ("rollback", include_str!("../../migrations/ledger/0008_rollback.sql")),
        ("validation", include_str!("../../migrations/ledger/0009_validation.sql")),
        ("rejected elements", include_str!("../../migrations/ledger/0010_rejected_elements.sql")),
        ("rivals of rejects", include_str!("../../migrations/ledger/0011_rivals_of_rejects.sql")),
        ("cleanup", include_str!("../../migrations/ledger/0012_cleanup.sql")),
        ("backup extent", include_str!("../../migrations/ledger/0013_backup_extent.sql")),
        ("backup forgone", include_str!("../../migrations/ledger/0014_backup_forgone.sql")),
        ("keys made anew", include_str!("../../migrations/ledger/0015_keys_made_anew.sql")),
    ];
    let migration = |(version, (name, text)): (i64, (&'static str, &'static str))| {
        Migration::new(version, name.into(), MigrationType::Simple, text.into_sql_str(), false)
    };
    (1..).zip(texts).map(migration).collect()
}

/// Held while the ledger is migrated and while a run claims its lease; any constant will do.
pub(super) const LOCK: i64 = 0x7265_6469_7332_7067;

/// Brings the ledger up to date. Everything happens in one transaction; where nothing is to be done nothing is
/// written, so that a role without CREATE can use a ledger that somebody else made.
///
/// # Errors
/// The server's, a missing right to create the schema among them.
pub async fn migrate(connection: &mut PgConnection) -> Result<(), MigrateError> {
    let mut transaction = connection.begin().await?;
    end_where_idle(&mut transaction, idle_timeout(Duration::ZERO)).await?;
    query("SELECT pg_catalog.pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *transaction).await?;
    let migrations = migrations();
    if !is_current(&mut transaction, migrations.len()).await? {
        // Not by IF NOT EXISTS, which wants the right to make schemas all the same.
        if !has_schema(&mut transaction).await? {
            query("CREATE SCHEMA redis2pg").execute(&mut *transaction).await?;
        }
        let mut migrator = Migrator::with_migrations(migrations);
        // Not the default `_sqlx_migrations` on the search_path: that may be the application's own.
        migrator.dangerous_set_table_name("redis2pg._migrations");
        // The migrator's lock belongs to a session, which a pooler does not keep; ours belongs to the transaction.
        migrator.set_locking(false);
        migrator.run(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(())
}

/// What a ledger lacks. Its version is the number of migrations that made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outstanding {
    /// Nothing.
    Nothing,
    /// There is none.
    Everything,
    /// So many migrations.
    Migrations(usize),
    /// Nothing: a newer redis2pg made it, by so many migrations more than this one knows.
    Newer(usize),
    /// The role may not read what it is.
    Unknown,
}

/// The version of the ledger that this program makes.
pub fn version() -> usize {
    migrations().len()
}

/// The last so many migrations, as `0007 retries`.
pub fn last_migrations(count: usize) -> Vec<String> {
    let all = migrations();
    let last = all.iter().skip(all.len().saturating_sub(count));
    last.map(|migration| format!("{:04} {}", migration.version, migration.description.replace('_', " "))).collect()
}

/// What the next run has to make of the ledger. The schema must be there, and the role may use it.
///
/// # Errors
/// The server's.
pub async fn outstanding(connection: &mut PgConnection) -> Result<Outstanding, Error> {
    let readable: Option<bool> =
        query("SELECT pg_catalog.has_table_privilege(pg_catalog.to_regclass('redis2pg._migrations'), 'SELECT')")
            .fetch_one(&mut *connection)
            .await?
            .try_get(0)?;
    Ok(match readable {
        None => Outstanding::Everything,
        Some(false) => Outstanding::Unknown,
        Some(true) => {
            let (applied, known) = (applied(connection).await?, version());
            match applied.abs_diff(known) {
                0 => Outstanding::Nothing,
                count if applied < known => Outstanding::Migrations(count),
                count => Outstanding::Newer(count),
            }
        }
    })
}

async fn has_schema(connection: &mut PgConnection) -> Result<bool, Error> {
    query("SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'redis2pg')")
        .fetch_one(connection)
        .await?
        .try_get(0)
}

/// Whether there is a ledger in this database.
///
/// # Errors
/// The server's.
pub async fn exists(connection: &mut PgConnection) -> Result<bool, Error> {
    let mut transaction = connection.begin().await?;
    let there = query("SELECT pg_catalog.to_regclass('redis2pg.runs') IS NOT NULL")
        .fetch_one(&mut *transaction)
        .await?
        .try_get(0);
    transaction.commit().await?;
    there
}

async fn is_current(connection: &mut PgConnection, wanted: usize) -> Result<bool, Error> {
    let known: bool = query("SELECT pg_catalog.to_regclass('redis2pg._migrations') IS NOT NULL")
        .fetch_one(&mut *connection)
        .await?
        .try_get(0)?;
    if !known {
        return Ok(false);
    }
    Ok(applied(connection).await? >= wanted)
}

/// How many migrations have been applied.
async fn applied(connection: &mut PgConnection) -> Result<usize, Error> {
    let applied: i64 = query("SELECT pg_catalog.count(*) FROM redis2pg._migrations WHERE success")
        .fetch_one(connection)
        .await?
        .try_get(0)?;
    Ok(usize::try_from(applied).unwrap_or(0))
}
