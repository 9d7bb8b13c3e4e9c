//! What comes after a run: its end in the ledger, the application's audit log, and the report.

use super::run::{Finished, Learned};
use super::{audit, setup};
use crate::config::Settings;
use crate::ledger::{self, RejectFilter};
use crate::model::{Exit, Failure, MappingId, Side, TableName};
use crate::postgres::{Target, failure, query, table_ident};
use crate::report::{self, RunFacts, TableCount};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row};
use std::path::Path;
use uuid::Uuid;

/// What the report says beside the books.
pub(super) fn facts(
    settings: &Settings,
    learned: &Learned,
    (state, exit): (&str, Exit),
    started: jiff::Timestamp,
) -> RunFacts {
    RunFacts {
        state: state.to_owned(),
        exit,
        dry_run: settings.run.dry_run,
        settings: settings.redacted_json(),
        started: started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        ended: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        source_keys: learned.keys,
        target_rows: learned.rows.clone(),
        redis_version: learned.redis_version.clone(),
        postgres_version: learned.postgres_version.clone(),
        toast_compression: setup::compression(settings),
    }
}

/// Writes the end into the ledger and the application's audit log.
pub(super) async fn close(settings: &Settings, learned: &mut Learned, finished: &mut Finished) -> Result<(), Failure> {
    if let Some(shown) = learned.shown.take() {
        let (samples, rejects) = (shown.take_samples(), shown.take_rejects());
        let name = |id: MappingId| learned.names.get(usize::from(id.0)).cloned().unwrap_or_default();
        finished.samples = samples.into_iter().map(|(id, samples)| (name(id), samples)).collect();
        finished.rejects = rejects.into_iter().map(|(id, reject)| (name(id), reject)).collect();
    }
    let Some((run, lease)) = learned.run else { return Ok(()) };
    let outcome = close_ledger(&setup::target(settings)?, learned, finished, (run, lease)).await;
    finished.facts.target_rows = learned.rows.clone();
    outcome
}

async fn close_ledger(
    target: &Target,
    learned: &mut Learned,
    finished: &Finished,
    (run, lease): (Uuid, Uuid),
) -> Result<(), Failure> {
    let said = |error| failure("closing the run in the ledger", error);
    let mut connection = target.connect().await?;
    let tally = serde_json::to_string(&finished.books.total()).unwrap_or_else(|_| "{}".to_owned());
    let error = finished.failure.as_ref().map(ToString::to_string);
    let end = (finished.state, finished.exit.code());
    if !ledger::finish(&mut connection, (run, lease), end, error.as_deref(), &tally).await.map_err(said)? {
        // The run is somebody else's now, and so is its place in the audit log.
        return Ok(());
    }
    let text = run.to_string();
    let entries: Vec<audit::Entry<'_>> = learned
        .tables
        .iter()
        .filter_map(|(id, table, audit)| {
            let tally = finished.books.tally(*id).filter(|tally| tally.matched > 0)?;
            Some(audit::Entry { audit: audit.as_ref()?, table, run: &text, tally })
        })
        .collect();
    audit::write(&mut connection, &entries).await.map_err(|error| failure("writing the audit log", error))?;
    let tables: Vec<TableName> = learned.tables.iter().map(|(_, table, _)| table.clone()).collect();
    for table in tables {
        let after = estimate(&mut connection, &table).await.ok();
        learned.rows.insert(table.to_string(), TableCount { before: None, after });
    }
    Ok(())
}

/// The rows of a table, by the server's statistics.
async fn estimate(connection: &mut PgConnection, table: &TableName) -> Result<i64, sqlx::Error> {
    let mut transaction = connection.begin().await?;
    // A count(*) would read, and after a load rewrite, every page of what may be a very large table.
    let count = query("SELECT coalesce(pg_stat_get_live_tuples(to_regclass($1)), 0)")
        .bind(table_ident(table))
        .fetch_one(&mut *transaction)
        .await?
        .try_get(0)?;
    transaction.commit().await?;
    Ok(count)
}

/// Writes the report's files, the rejects among them.
pub(super) async fn write_report(
    settings: &Settings,
    dir: &Path,
    learned: &Learned,
    finished: &Finished,
) -> Result<(), Failure> {
    let said = |error: std::io::Error| {
        let message = format!("run.report: {} cannot be written: {error}", dir.display());
        Failure::usage(Side::Settings, message, "Check the directory and its rights.")
    };
    report::write_report(dir, &finished.facts, &finished.books).map_err(said)?;
    let mut file = report::RejectsFile::create(dir, settings.errors.value_cap.0).map_err(said)?;
    for (mapping, reject) in &finished.rejects {
        file.write(mapping, reject).map_err(said)?;
    }
    if let Some((run, _)) = learned.run {
        let mut connection = setup::target(settings)?.connect().await?;
        let mut filter = RejectFilter { run: Some(run.to_string()), limit: 1000, ..RejectFilter::default() };
        loop {
            let page = ledger::list_rejects(&mut connection, &filter)
                .await
                .map_err(|error| failure("reading the rejects", error))?;
            let Some(last) = page.last() else { break };
            filter.after = last.id;
            for entry in &page {
                file.write(&entry.mapping, &super::ledger::reject(entry)).map_err(said)?;
            }
        }
    }
    file.finish().map_err(said)
}
