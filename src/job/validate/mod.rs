//! `validate`, and what a run does of it at its end: Redis is read once more through the same stages, and compared with what
//! PostgreSQL holds.

mod aside;
mod begin;
mod chosen;
mod emptied;
mod findings;
mod gone_rows;
mod left_out;
mod rest;
mod rounds;
mod sought;
mod state;

pub(super) use begin::{Ready, begin};
pub(super) use findings::Findings;
pub(super) use left_out::LeftOut;
pub(super) use rounds::Rounds;

use super::databases::Reached;
use super::key_list::KeyList;
use super::link::Link;
use super::migrate::End;
use crate::config::Settings;
use crate::flow::Stop;
use crate::ledger::{self, Recorded};
use crate::model::{Discrepancy, Event, EventSender, Exit, Failure, MappingId, Side, Validation};
use crate::report::{self, DifferencesFile, Renderer, ValidationFacts};
use findings::Taken;
use sqlx::postgres::PgConnection;
use std::sync::Arc;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Events waiting to be counted and shown.
const EVENTS: usize = 1024;

/// What somebody wants to validate.
#[derive(Clone, Debug, Default)]
pub struct ValidateRequest {
    /// The run, or the beginning of its id; `None`: the latest of the same source and mappings.
    pub run: Option<String>,
    /// These mappings only; all where there are none.
    pub phases: Vec<String>,
    /// What the run exits with otherwise, where this is its end.
    pub(super) run_before: Option<Exit>,
    /// Whether keys are to be deleted that are equal.
    pub(super) cleans: bool,
}

impl ValidateRequest {
    /// A run by its id or the beginning of it, and some mappings by name.
    pub fn new(run: Option<String>, phases: Vec<String>) -> Self {
        Self { run, phases, ..Self::default() }
    }
}

/// What a validation came to.
pub struct Validated {
    /// What to exit with.
    pub exit: Exit,
    /// Why it did not go to its end, if it did not.
    pub failure: Option<Failure>,
    /// What was found, where anything was looked at.
    pub validation: Option<Validation>,
    /// What the report says beside it.
    pub facts: ValidationFacts,
}

/// Compares what Redis holds with the rows of a run, and writes the report. Ends by itself or when `stop` is raised.
pub async fn validate(settings: &Settings, request: &ValidateRequest, renderer: Renderer, stop: Stop) -> Validated {
    let (events, shown) = mpsc::channel(EVENTS);
    let drive = tokio::spawn(report::drive(shown, renderer.of_validation()));
    let keys = match &settings.run.keys_from {
        Some(path) => KeyList::open(path, &stop).await.map(|keys| Some(Arc::new(keys))),
        None => Ok(None),
    };
    let found = match keys {
        Ok(keys) => look(settings, request, (keys, None), &stop, events).await,
        Err(failure) => {
            // Nobody will send any: else they would be waited for without end.
            drop(events);
            Looked { validation: None, failure: Some(failure) }
        }
    };
    let notices = drive.await.map(|books| books.notices().0.to_vec()).unwrap_or_default();
    let (exit, failure) = judge(&found);
    let Looked { validation, failure: earlier } = found;
    let failure = earlier.or(failure);
    let error = failure.as_ref().map(super::close::said);
    let facts = ValidationFacts { exit_code: exit.code(), error, settings: settings.redacted_json(), notices };
    let mut validated = Validated { exit, failure, validation, facts };
    if let Some(dir) = &settings.run.report
        && let Err(error) = report::write_validation(dir, &validated.facts, validated.validation.as_ref())
    {
        let failure = super::close::report_unwritable(dir, &error);
        validated.exit = validated.exit.or_worse(failure.exit);
        validated.failure.get_or_insert(failure);
    }
    validated
}

/// Validates a run at its end, over its connections to Redis: gives what was found, and what a person was told meanwhile.
pub(super) async fn at_end(
    settings: &Settings,
    (run, exit): (Uuid, Exit),
    source: (Option<Arc<KeyList>>, Option<Reached>),
    (renderer, stop): (Renderer, &Stop),
) -> (Looked, Vec<String>) {
    let (events, shown) = mpsc::channel(EVENTS);
    let drive = tokio::spawn(report::drive(shown, renderer));
    let request = ValidateRequest { run: Some(run.to_string()), run_before: Some(exit), ..ValidateRequest::default() };
    let found = look(settings, &request, source, stop, events).await;
    (found, drive.await.map(|books| books.notices().0.to_vec()).unwrap_or_default())
}

/// What was found, and why no more.
pub(super) struct Looked {
    pub(super) validation: Option<Validation>,
    pub(super) failure: Option<Failure>,
}

impl Looked {
    /// What it comes to, by itself.
    pub(super) fn exit(&self) -> Exit {
        match (&self.failure, &self.validation) {
            (Some(failure), _) => failure.exit,
            (None, Some(validation)) if !validation.complete => Exit::Stopped,
            (None, Some(validation)) if validation.passed() == Some(false) => Exit::Differences,
            (None, Some(_)) => Exit::Done,
            (None, None) => Exit::Stopped,
        }
    }
}

/// What to exit with. Nothing that matches is a mistake in the settings, unless a part of the keys was looked at.
fn judge(found: &Looked) -> (Exit, Option<Failure>) {
    let exit = found.exit();
    if exit == Exit::Done && found.validation.as_ref().is_some_and(|validation| validation.nothing) {
        let failure = Failure::usage(
            Side::Settings,
            "no key that was listed matches a mapping, and the run has no rows",
            "Check --from, --to and --keys; --allow-empty makes this no error.",
        );
        return (failure.exit, Some(failure));
    }
    (exit, None)
}

/// Whether there was nothing to look at, and that is a mistake.
fn is_of_nothing(settings: &Settings, validation: &Validation) -> bool {
    let total = validation.total();
    let nothing = validation.complete && total.source_keys == 0 && total.keys.total() == 0;
    nothing && settings.validation.sample.is_all() && !settings.run.allow_empty
}

/// Compares; what was found is kept in the ledger.
async fn look(
    settings: &Settings,
    request: &ValidateRequest,
    (keys, reached): (Option<Arc<KeyList>>, Option<Reached>),
    stop: &Stop,
    events: EventSender,
) -> Looked {
    let started = now();
    let refused = |failure| Looked { validation: None, failure };
    let mut ready = match begin(settings, (request, reached), stop, &events).await {
        Ok(Some(ready)) => ready,
        Ok(None) => return refused(None),
        Err(failure) => return refused(Some(failure)),
    };
    let file = match open_file(settings) {
        Ok(file) => file,
        Err(failure) => return refused(Some(failure)),
    };
    let names: Arc<[String]> = ready.checked.plan.mappings().map(|(_, mapping)| mapping.name().to_owned()).collect();
    let (run, resumed) = (ready.chosen.run.of.run.to_string(), false);
    let _ = events.send(Event::RunStarted { run, mappings: names.clone(), resumed }).await;
    let findings = Findings::new(names.clone(), events.clone(), ready.chosen.left_out.clone(), file);
    let ended = compare(&mut ready, keys, &findings, (events.clone(), stop)).await;
    let mut validation = taken(&ready, &names, &findings);
    validation.started = started;
    for text in &validation.warnings {
        let _ = events.send(Event::Notice(format!("warning: {text}"))).await;
    }
    let failure = match ended {
        Ok((end, rounds)) => {
            (validation.complete, validation.rounds) = (end == End::Complete, rounds);
            None
        }
        Err(failure) => Some(failure),
    };
    let failure = failure.or_else(|| finish_file(settings, &findings));
    validation.nothing = request.run_before.is_none() && is_of_nothing(settings, &validation);
    let mut found = Looked { validation: Some(validation), failure };
    let exit = request.run_before.map(|before| before.or_worse(found.exit()));
    if let Some(validation) = &mut found.validation
        && !validation.nothing
        && let Err(why) = record(&mut ready.link, (&ready.settings, ready.chosen.run.of.run), validation, exit).await
    {
        validation.untold.push(format!("what was found is not kept in the ledger: {why}"));
    }
    found
}

async fn compare(
    ready: &mut Ready,
    keys: Option<Arc<KeyList>>,
    findings: &Findings,
    ends: (EventSender, &Stop),
) -> Result<(End, u64), Failure> {
    let rounds = Rounds::new(ready, keys, findings.clone(), ends)?.lighter();
    let ended = all(&rounds, ready, findings).await;
    for base in rounds.shared.bases.iter() {
        crate::source::redis::RedisSource::close(&base.source).await;
    }
    ended
}

/// The rounds, and then the rows whose keys are gone.
async fn all(rounds: &Rounds, ready: &mut Ready, findings: &Findings) -> Result<(End, u64), Failure> {
    let mut link = ready.beside();
    let sums = rest::sums_wanted(rounds, ready, &mut link).await?;
    let (mut end, count) = rounds.run(ready, sums).await?;
    if end == End::Complete {
        end = rest::look_at_rows(rounds, ready, &mut link).await?;
    }
    findings.give_up_seeking()?;
    Ok((end, count))
}

/// What was found so far.
fn taken(ready: &Ready, names: &[String], findings: &Findings) -> Validation {
    let settings = &ready.settings.validation;
    let name = |id: MappingId| names.get(usize::from(id.0)).cloned().unwrap_or_default();
    let Taken { counts, shown, full, unsought, asked } = findings.take();
    let parts = [("content", settings.content), ("relationships", settings.relationships)];
    let mut untold = ready.chosen.untold.clone();
    if full {
        let text = "more keys were not equal than flow.spill_limit lets be looked at again: the others count as they were found first";
        untold.push(text.to_owned());
    }
    untold.extend(sought::said(unsought));
    Validation {
        run: ready.chosen.run.of.run.to_string(),
        ended: now(),
        parts: parts.into_iter().filter(|(_, on)| *on).map(|(name, _)| name).collect(),
        sample: (!settings.sample.is_all()).then(|| settings.sample.to_string()),
        pattern: ready.settings.run.keys.clone(),
        strict: settings.strict,
        warnings: emptied::warnings(ready.settings.run.delete_gone_limit, &asked),
        mappings: counts.into_iter().map(|(id, counts)| (name(id), counts)).collect(),
        discrepancies: shown.into_iter().map(|found: Discrepancy| (name(found.mapping), found)).collect(),
        untold,
        ..Validation::default()
    }
}

fn open_file(settings: &Settings) -> Result<Option<DifferencesFile>, Failure> {
    let Some(dir) = &settings.run.report else { return Ok(None) };
    DifferencesFile::create(dir).map(Some).map_err(|error| super::close::report_unwritable(dir, &error))
}

fn finish_file(settings: &Settings, findings: &Findings) -> Option<Failure> {
    let (dir, file) = (settings.run.report.as_ref()?, findings.take_file()?);
    file.finish().err().map(|error| super::close::report_unwritable(dir, &error))
}

/// Keeps what was found in the ledger.
async fn record(
    link: &mut Link,
    (settings, run): (&Settings, Uuid),
    validation: &Validation,
    exit: Option<Exit>,
) -> Result<(), Failure> {
    let counts = serde_json::to_string(&validation.mappings).unwrap_or_else(|_| "{}".to_owned());
    let recorded = Recorded {
        id: Uuid::now_v7(),
        run,
        started: &validation.started,
        ended: &validation.ended,
        parts: &validation.parts,
        sample: validation.sample.as_deref(),
        keys: settings.run.keys.as_deref(),
        strict: validation.strict,
        complete: validation.complete,
        passed: validation.passed(),
        counts: &counts,
        exit_code: exit.map(Exit::code),
    };
    let write = async |connection: &mut PgConnection| ledger::record_validation(connection, &recorded).await;
    link.call("keeping what the validation found", write).await
}

fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}
