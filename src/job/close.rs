//! What comes after a run: its end in the ledger, the application's audit log, and the report. The run had started, so
//! a server that is restarting just now is waited for; what is done twice for it counts once.

use super::analyze::analyze;
use super::ledger::{PAGE, PAGE_BYTES};
use super::link::{Link, Waits};
use super::look::as_findings;
use super::retried::Retried;
use super::run::{Finished, Learned};
use super::sequences::{Told, move_on};
use super::{audit, cleanup, setup, validate};
use crate::config::{Settings, scrub};
use crate::flow::Stop;
use crate::ledger::{self, Finish, RejectFilter, RunEnd};
use crate::model::{Event, Exit, Failure, Finding, GoneRow, MappingId, Severity, Side, TableName, Validation};
use crate::postgres::{Verdict, estimate_rows, failure, verdict};
use crate::report::{self, Books, RejectLine, Renderer, RetryFacts, RunFacts};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};
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
        error: None,
        findings: learned.findings.clone(),
        dry_run: settings.run.dry_run,
        settings: settings.redacted_json(),
        started: started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        ended: jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        window: None,
        source_databases: learned.databases.clone(),
        source_keys: learned.keys,
        target_rows: learned.rows.clone(),
        redis_version: learned.redis_version.clone(),
        postgres_version: learned.postgres_version.clone(),
        tables_made: learned.created.0.clone(),
        made_by: learned.created.1.clone(),
        toast_compression: setup::compression(settings),
        validation: None,
        cleanup: None,
        retry: learned.retried.map(|Retried { run, open }| RetryFacts { of: run.to_string(), open }),
    }
}

/// When Redis was read, by this machine's clock: from the first page of the first phase, of an earlier attempt at the run
/// where it was resumed, to the end of the last one.
pub(super) fn window(books: &Books, learned: &Learned) -> Option<(String, String)> {
    let (now, clock) = (Instant::now(), jiff::Timestamp::now());
    let ago = |then: Instant| clock.checked_sub(now.saturating_duration_since(then)).unwrap_or(clock);
    let text = |time: jiff::Timestamp| time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string();
    let (first, last) = (books.phases().first()?, books.phases().last()?);
    let from = learned.began.clone().unwrap_or_else(|| text(ago(first.started)));
    Some((from, text(ago(last.ended.unwrap_or(now)))))
}

/// Closes the run and writes its report. A step that fails is told, and does not keep the others from being done.
pub(super) async fn close(
    settings: &Settings,
    (renderer, stop): (Renderer, &Stop),
    mut learned: Learned,
    finished: &mut Finished,
) {
    show(&mut learned, finished);
    finished.explain();
    // A retry that took nothing has no run of its own; the rejects that it left open are reported all the same.
    let is_kept = learned.run.is_some() || learned.retried.is_some() && !settings.run.dry_run;
    let mut link = match is_kept.then(|| link(settings, stop, finished)).transpose() {
        Ok(link) => link,
        Err(failure) => {
            finished.note(failure);
            None
        }
    };
    if let (Some(link), Some(run)) = (&mut link, learned.run) {
        match close_ledger(link, settings, &learned, finished, run).await {
            Ok(()) => {
                move_sequences(link, settings, &learned, finished).await;
                refresh_statistics(link, settings, &learned, finished).await;
                validate_run(settings, &mut learned, (run.0, renderer, stop), finished).await;
                clean_up(settings, &learned, (run.0, stop), finished).await;
                count_rows(link, &mut learned).await;
            }
            Err(failure) => finished.note(failure),
        }
        finished.facts.target_rows = learned.rows.clone();
    }
    if let Some(reached) = learned.reached.take() {
        reached.close().await;
    }
    if let Some(dir) = &settings.run.report
        && let Err(failure) = write_report(settings, dir, link.as_mut(), &learned, finished).await
    {
        finished.note(failure);
    }
}

impl Finished {
    /// Something went wrong at the end, perhaps after something else.
    fn note(&mut self, failure: Failure) {
        self.exit = self.exit.or_worse(failure.exit);
        self.facts.exit = self.exit;
        self.failure.get_or_insert(failure);
        self.explain();
    }

    /// Why it failed, in words and as findings: those of its failure, or one that says what it says where none does yet.
    fn explain(&mut self) {
        let Some(failure) = &self.failure else { return };
        self.facts.error = Some(said(failure));
        let findings = &mut self.facts.findings;
        let is_told = findings.iter().any(|finding| finding.severity == Severity::Critical);
        if !is_told || !failure.findings.is_empty() {
            let more = as_findings("run", failure).into_iter().filter(|finding| !findings.contains(finding));
            let more: Vec<Finding> = more.collect();
            findings.extend(more);
            findings.sort_by_key(|finding| Reverse(finding.severity));
        }
    }

    /// A notice that comes when the events are over.
    pub(super) fn notice(&mut self, text: String) {
        tracing::warn!("{text}");
        self.keep(text);
    }

    /// What is as it should be and worth knowing.
    fn inform(&mut self, text: String) {
        tracing::info!("{text}");
        self.keep(text);
    }

    fn keep(&mut self, text: String) {
        let now = self.books.started() + self.books.elapsed();
        self.books.apply(&Event::Notice(text), now);
    }
}

/// A failure in one line, without what was typed: a message may quote a URL.
pub(super) fn said(failure: &Failure) -> String {
    let findings = failure.findings.iter().map(|finding| {
        let place = finding.place.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
        format!("{}{place}: {}", finding.subject, finding.message)
    });
    let all: Vec<String> = std::iter::once(failure.to_string()).chain(findings).collect();
    scrub(&all.join("; ")).into_owned()
}

/// A connection of its own: the run's went with the run.
fn link(settings: &Settings, stop: &Stop, finished: &Finished) -> Result<Link, Failure> {
    // A server that the run failed by has been waited for already.
    let failed = finished.failure.as_ref().is_some_and(|failure| failure.exit == Exit::Postgres);
    let mut waits = Waits::new(settings);
    if failed {
        waits.retry = Duration::ZERO;
    }
    Ok(Link::anew(setup::target(settings)?, waits, stop.clone()))
}

/// Names what a dry run shows.
fn show(learned: &mut Learned, finished: &mut Finished) {
    let Some(shown) = learned.shown.take() else { return };
    let name = |id: MappingId| learned.names.get(usize::from(id.0)).cloned().unwrap_or_default();
    finished.samples = shown.take_samples().into_iter().map(|(id, samples)| (name(id), samples)).collect();
    finished.rejects = shown.take_rejects().into_iter().map(|(id, reject)| (name(id), reject)).collect();
}

/// Writes the end into the ledger and the application's audit log, in one transaction.
async fn close_ledger(
    link: &mut Link,
    settings: &Settings,
    learned: &Learned,
    finished: &mut Finished,
    run: (Uuid, Uuid),
) -> Result<(), Failure> {
    let mut end = RunEnd {
        state: finished.state,
        exit_code: finished.exit.code(),
        error: finished.failure.as_ref().map(said).or_else(|| finished.limit.clone()),
        tally: serde_json::to_string(&finished.books.total()).unwrap_or_else(|_| "{}".to_owned()),
    };
    let lease_time = settings.flow.lease.0;
    let written = write_end(link, (run, lease_time), &end, &entries(learned, finished, &run.0.to_string())).await?;
    let lost = match written {
        Ok(finish) => finish == Finish::Lost,
        // The audit log is the application's; that it cannot be written must not leave the run open.
        Err(refused) => {
            end.exit_code = finished.exit.or_worse(refused.exit).code();
            end.error.get_or_insert_with(|| said(&refused));
            finished.note(refused);
            write_end(link, (run, lease_time), &end, &[]).await?.is_ok_and(|finish| finish == Finish::Lost)
        }
    };
    if lost {
        finished.notice("another process has this run now: its end is not written here".to_owned());
    }
    Ok(())
}

/// What the audit log gets: a row for each table that the run had keys for, and one for each that it deleted rows of.
fn entries<'a>(learned: &'a Learned, finished: &'a Finished, run: &'a str) -> Vec<audit::Entry<'a>> {
    let tables = learned.tables.iter();
    tables
        .filter_map(|(id, table, audit)| Some((table, audit.as_ref()?, finished.books.tally(*id)?)))
        .flat_map(|(table, audit, tally)| {
            let migrated = (tally.matched > 0).then_some(audit::Done::Migrated(tally));
            let gone = &tally.deleted_gone;
            let deleted = gone.contains_key(GoneRow::Deleted.name()).then_some(audit::Done::DeletedGone(gone));
            migrated.into_iter().chain(deleted).map(move |what| audit::Entry { audit, table, run, what })
        })
        .collect()
}

/// Gives what became of it, or why the audit log cannot be written; nothing is written then.
async fn write_end(
    link: &mut Link,
    (run, lease_time): ((Uuid, Uuid), Duration),
    end: &RunEnd,
    entries: &[audit::Entry<'_>],
) -> Result<Result<Finish, Failure>, Failure> {
    let write = async |connection: &mut PgConnection| -> Result<_, Error> {
        let mut transaction = ledger::begin_held(connection, run.1, lease_time).await?;
        let finish = ledger::finish(&mut transaction, run, end).await?;
        if finish == Finish::Written
            && let Err(error) = audit::write(&mut transaction, entries).await
        {
            if verdict(&error) == Verdict::Transient {
                return Err(error);
            }
            transaction.rollback().await?;
            return Ok(Err(failure("writing the audit log", error)));
        }
        transaction.commit().await?;
        Ok(Ok(finish))
    };
    link.call("closing the run in the ledger", write).await
}

/// Moves the sequences of written columns past what is in the tables, however the run ended and whatever it loaded: an earlier
/// attempt may have been killed. Not doing it costs no row: it is told.
async fn move_sequences(link: &mut Link, settings: &Settings, learned: &Learned, finished: &mut Finished) {
    for (table, columns) in &learned.columns {
        match move_on(link, (table, columns), settings).await {
            Ok(told) => told.into_iter().for_each(|told| match told {
                Told::Moved(text) => finished.inform(text),
                Told::Left(text) => finished.notice(text),
            }),
            Err(failure) => finished.notice(format!("the sequences of {table} were not looked at: {failure}")),
        }
    }
}

/// Analyzes the tables that got rows, once all are loaded. Not doing it costs no row: it is told, and that is all.
async fn refresh_statistics(link: &mut Link, settings: &Settings, learned: &Learned, finished: &mut Finished) {
    if finished.state != "done" {
        return;
    }
    let got_rows = |id: MappingId| finished.books.tally(id).is_some_and(|tally| tally.inserted + tally.updated > 0);
    let tables = learned.tables.iter().filter(|(id, _, _)| got_rows(*id));
    let tables: BTreeMap<String, &TableName> = tables.map(|(_, table, _)| (table.to_string(), table)).collect();
    for (name, table) in tables {
        match analyze(link, table, settings).await {
            Ok(true) => {}
            Ok(false) => finished.notice(format!("{name} was not analyzed: the role does not own it")),
            Err(failure) => finished.notice(format!("{name} was not analyzed: {failure}")),
        }
    }
}

/// Compares what Redis holds with what was loaded, where that is wanted: of a run that came to its end. A retry took some keys
/// only, and which is not known any more.
async fn validate_run(
    settings: &Settings,
    learned: &mut Learned,
    (run, renderer, stop): (Uuid, Renderer, &Stop),
    finished: &mut Finished,
) {
    let wanted = settings.validation.after_run && learned.retried.is_none();
    if !wanted || finished.state != "done" || finished.failure.is_some() {
        return;
    }
    let source = (learned.listed.clone(), learned.reached.take());
    let (found, notices) = validate::at_end(settings, (run, finished.exit), source, (renderer, stop)).await;
    notices.into_iter().for_each(|notice| finished.keep(notice));
    let exit = found.exit();
    if let Some(failure) = found.failure {
        finished.note(failure);
    } else if exit == Exit::Stopped {
        finished.notice(format!("the validation was stopped: redis2pg validate --run {run}"));
    }
    finished.exit = finished.exit.or_worse(exit);
    finished.facts.exit = finished.exit;
    finished.facts.validation = found.validation;
}

/// Deletes the keys from Redis that PostgreSQL holds, where that is wanted: once the validation of this very run has passed.
async fn clean_up(settings: &Settings, learned: &Learned, (run, stop): (Uuid, &Stop), finished: &mut Finished) {
    if !settings.cleanup.after_run || finished.state != "done" || learned.retried.is_some() {
        return;
    }
    let passed = finished.facts.validation.as_ref().and_then(Validation::passed) == Some(true);
    let is_clean = passed && finished.failure.is_none() && matches!(finished.exit, Exit::Done | Exit::Rejects);
    if !is_clean {
        finished
            .notice("cleanup.after_run: no key is deleted from Redis, since the validation has not passed".to_owned());
        return;
    }
    if !settings.run.yes {
        let text = "cleanup.after_run: no key is deleted from Redis without --yes";
        finished.notice(format!("{text}; redis2pg cleanup --run {run} does it"));
        return;
    }
    tracing::info!("cleaning up after run {run}");
    let (found, notices) = cleanup::at_end(settings, run, learned.listed.clone(), stop).await;
    notices.into_iter().for_each(|notice| finished.notice(notice));
    let exit = found.exit();
    if let Some(failure) = found.failure {
        finished.note(failure);
    } else if exit == Exit::Stopped {
        finished.notice(format!("the cleanup was stopped: redis2pg cleanup --run {run}"));
    }
    finished.exit = finished.exit.or_worse(exit);
    finished.facts.exit = finished.exit;
    finished.facts.cleanup = found.cleanup;
}

/// Learns how many rows the tables have now.
async fn count_rows(link: &mut Link, learned: &mut Learned) {
    for (_, table, _) in &learned.tables {
        let count = async |connection: &mut PgConnection| {
            let mut transaction = connection.begin().await?;
            let count = estimate_rows(&mut transaction, table).await?;
            transaction.commit().await?;
            Ok::<_, Error>(count)
        };
        learned.rows.entry(table.to_string()).or_default().after = link.read("counting rows", count).await.ok();
    }
}

/// The report's directory, or a file in it, cannot be written.
pub(super) fn report_unwritable(dir: &Path, error: &std::io::Error) -> Failure {
    let message = format!("run.report: {} cannot be written: {error}", dir.display());
    Failure::usage(Side::Settings, message, "Check the directory and its rights.")
}

/// Writes the report's files, the rejects among them.
async fn write_report(
    settings: &Settings,
    dir: &Path,
    link: Option<&mut Link>,
    learned: &Learned,
    finished: &Finished,
) -> Result<(), Failure> {
    let said = |error| report_unwritable(dir, &error);
    report::write_report(dir, &finished.facts, &finished.books).map_err(said)?;
    let mut file = report::RejectsFile::create(dir, settings.errors.value_cap.0).map_err(said)?;
    for (mapping, reject) in &finished.rejects {
        file.write(&RejectLine { mapping, reject, withheld: None, standing: None }).map_err(said)?;
    }
    // Those of a retry belong to the run that it retries.
    let run = learned.retried.map(|retried| retried.run).or(learned.run.map(|(run, _)| run));
    if let (Some(link), Some(run)) = (link, run) {
        let mut filter = RejectFilter { run: Some(run.to_string()), limit: PAGE, ..RejectFilter::default() };
        loop {
            let page = async |connection: &mut _| ledger::list_rejects(connection, &filter, PAGE_BYTES).await;
            let page = link.read("reading the rejects", page).await?;
            let Some(last) = page.last() else { break };
            filter.after = last.id;
            for kept in page.into_iter().map(super::ledger::kept) {
                file.write(&kept.line()).map_err(said)?;
            }
        }
    }
    file.finish().map_err(said)
}
