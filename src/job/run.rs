//! `run`: from settings to an exit code, with its report.

use super::begin::{Begun, find_one_key, start};
use super::close::{close, facts, write_report};
use super::link::Link;
use super::migrate::{Books as LedgerBooks, End, Migration, RejectLimit, book_earlier};
use super::pipeline::Shared;
use super::preflight::{self, Check};
use super::setup;
use crate::config::Settings;
use crate::flow::{ByteBudget, RateLimit, Stop};
use crate::ledger;
use crate::mapping::MappingSpec;
use crate::model::{Event, EventSender, Exit, Failure, MappingId, Reject, Side, TableName};
use crate::postgres::failure;
use crate::report::{self, Books, Renderer, RunFacts, TableCount};
use crate::sink::{DryRun, Sample, Shown};
use crate::source::redis::RedisSource;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use uuid::Uuid;

/// Events waiting to be counted and shown.
const EVENTS: usize = 1024;

/// What a run came to.
pub struct Finished {
    /// What to exit with.
    pub exit: Exit,
    /// Why it did not go to its end, if it did not.
    pub failure: Option<Failure>,
    /// The state as the ledger has it.
    pub state: &'static str,
    /// The books.
    pub books: Books,
    /// What the report says beside the books.
    pub facts: RunFacts,
    /// Dry run: rows that would be loaded, by mapping.
    pub samples: BTreeMap<String, Vec<Sample>>,
    /// Dry run: rejects, by mapping.
    pub rejects: Vec<(String, Reject)>,
}

/// What a run learns on its way that its report needs.
#[derive(Default)]
pub(super) struct Learned {
    /// The run's id and its lease, once it is in the ledger.
    pub(super) run: Option<(Uuid, Uuid)>,
    /// The mappings' names, by id.
    pub(super) names: Vec<String>,
    /// Each mapping's table, and its audit log.
    pub(super) tables: Vec<(MappingId, TableName, Option<TableName>)>,
    /// Rows in the tables.
    pub(super) rows: BTreeMap<String, TableCount>,
    /// Keys in Redis.
    pub(super) keys: TableCount,
    pub(super) redis_version: Option<String>,
    pub(super) postgres_version: Option<String>,
    /// Dry run: what it shows.
    pub(super) shown: Option<Shown>,
}

/// Migrates as the settings say. Ends by itself or when `stop` is raised; always gives the books.
pub async fn run(settings: &Settings, renderer: Renderer, stop: Stop) -> Finished {
    let started = jiff::Timestamp::now();
    let (events, tapped) = mpsc::channel(EVENTS);
    let (counted, shown) = mpsc::channel(EVENTS);
    let most = match (settings.errors.stop_at_first, settings.errors.max_rejects) {
        (true, _) => Some(0),
        (false, 0) => None,
        (false, most) => Some(i64::try_from(most).unwrap_or(i64::MAX)),
    };
    let tap = tokio::spawn(tap(tapped, counted, RejectLimit { most, seen: 0, stop: stop.clone() }));
    let drive = tokio::spawn(report::drive(shown, renderer));
    let mut learned = Learned::default();
    let result = execute(settings, &stop, events, &mut learned).await;
    let _ = tap.await;
    let books = drive.await.unwrap_or_else(|_| Books::new(std::time::Instant::now()));
    let (exit, state, failure) = judge(result, &books, settings.run.allow_empty);
    let mut finished = Finished {
        exit,
        failure,
        state,
        facts: facts(settings, &learned, (state, exit), started),
        books,
        samples: BTreeMap::new(),
        rejects: Vec::new(),
    };
    if let Err(failure) = close(settings, &mut learned, &mut finished).await {
        finished.exit = finished.exit.or_worse(failure.exit);
        finished.failure.get_or_insert(failure);
    }
    finished.facts.exit = finished.exit;
    if let Some(dir) = &settings.run.report
        && let Err(failure) = write_report(settings, dir, &learned, &finished).await
    {
        finished.exit = finished.exit.or_worse(failure.exit);
        finished.failure.get_or_insert(failure);
    }
    finished
}

/// Passes events on, and looks whether there are too many rejects.
async fn tap(mut events: mpsc::Receiver<Event>, out: mpsc::Sender<Event>, mut limit: RejectLimit) {
    while let Some(event) = events.recv().await {
        let beyond = limit.look(&event);
        if out.send(event).await.is_err() {
            return;
        }
        if beyond {
            let text = "there are more rejects than errors.max_rejects allows: stopping".to_owned();
            let _ = out.send(Event::Notice(text)).await;
        }
    }
}

fn judge(result: Result<End, Failure>, books: &Books, allow_empty: bool) -> (Exit, &'static str, Option<Failure>) {
    match result {
        Err(failure) => {
            let state = if failure.exit == Exit::Stopped { "stopped" } else { "failed" };
            (failure.exit, state, Some(failure))
        }
        Ok(End::Stopped) => (Exit::Stopped, "stopped", None),
        Ok(End::Complete) if !books.balance() => {
            let failure = Failure::internal("the books do not balance: some keys have no outcome");
            (Exit::Internal, "failed", Some(failure))
        }
        Ok(End::Complete) if books.total().matched == 0 && !allow_empty => {
            let hint = "Check run.keys_from and --keys; --allow-empty makes this no error.";
            let failure = Failure::usage(Side::Settings, "no key that was listed matches a mapping", hint);
            (Exit::Usage, "failed", Some(failure))
        }
        Ok(End::Complete) if books.total().rejects() > 0 => (Exit::Rejects, "done", None),
        Ok(End::Complete) => (Exit::Done, "done", None),
    }
}

async fn execute(settings: &Settings, stop: &Stop, events: EventSender, learned: &mut Learned) -> Result<End, Failure> {
    let specs = setup::mappings(settings)?;
    let target = setup::target(settings)?;
    let source_settings = setup::source_settings(settings)?;
    let mut connection = target.connect().await?;
    let server = preflight::look(&mut connection).await?;
    learned.postgres_version = Some(server.version.clone());
    let source = RedisSource::connect(&source_settings, Some(events.clone())).await?;
    learned.redis_version = source.version().map(str::to_owned);
    learned.keys.before = source.dbsize().await.ok().and_then(|keys| i64::try_from(keys).ok());
    if !settings.run.allow_empty && settings.run.keys_from.is_none() {
        find_one_key(&source, settings, &specs).await?;
    }

    let dry = settings.run.dry_run;
    let id = Uuid::now_v7();
    if !dry {
        // Whatever forbids the run is said before the first thing is written.
        preflight::check(&mut connection, settings, &specs, &id.to_string(), server.clone(), Check::Rehearsal).await?;
    }
    let started =
        if dry { None } else { Some(start(settings, &specs, &source, &mut connection, id, stop, &events).await?) };
    let (run, lease, resumed) = match &started {
        Some(Begun::Run { run, lease, resumed }) => (*run, *lease, *resumed),
        Some(Begun::Stopped) => return Ok(End::Stopped),
        None => (id, id, false),
    };
    if !dry {
        learned.run = Some((run, lease));
    }
    let check = if dry { Check::Dry } else { Check::Real };
    let checked = preflight::check(&mut connection, settings, &specs, &run.to_string(), server, check).await?;
    for warning in &checked.warnings {
        let _ = events.send(Event::Notice(warning.to_string())).await;
    }
    learned.names = checked.plan.mappings().map(|(_, mapping)| mapping.name().to_owned()).collect();
    learned.tables = checked
        .plan
        .mappings()
        .zip(&specs)
        .map(|((id, mapping), spec)| (id, mapping.table().clone(), audit_table(spec)))
        .collect();
    let mappings = learned.names.clone().into();
    let _ = events.send(Event::RunStarted { run: run.to_string(), mappings, resumed }).await;

    let mut options = setup::load_options(settings);
    options.unlogged_stage = !checked.server.may_make_temporary;
    let tables: Arc<[_]> = checked.tables.into();
    let sample_rows = usize::try_from(settings.run.sample_rows).unwrap_or(0);
    let dry_run = dry.then(|| DryRun::new(tables.clone(), events.clone(), sample_rows));
    learned.shown = dry_run.as_ref().map(DryRun::shown);
    let shards = ledger::load_all_if(&mut connection, run, resumed)
        .await
        .map_err(|error| failure("reading how far the run got", error))?;
    let link = Link::new(target.clone(), connection, settings.target.retry_deadline.0, events.clone());
    let expected = learned.keys.before.and_then(|keys| u64::try_from(keys).ok());
    let mut migration = Migration {
        shared: Shared {
            source,
            plan: Arc::new(checked.plan),
            budget: ByteBudget::new(settings.flow.memory.0),
            rate: Arc::new(RateLimit::new(
                some(settings.flow.max_keys_per_second),
                some(settings.flow.max_bytes_per_second.0),
            )),
            stop: stop.clone(),
            events,
        },
        settings,
        target,
        tables,
        options,
        expected,
        ledger: (!dry).then_some(LedgerBooks { run, lease, link, shards }),
        dry: dry_run,
    };
    if resumed {
        book_earlier(&mut migration).await?;
    }
    let end = migration.run().await;
    learned.keys.after = migration.shared.source.dbsize().await.ok().and_then(|keys| i64::try_from(keys).ok());
    migration.shared.source.close().await;
    end
}

fn some(value: u64) -> Option<u64> {
    (value > 0).then_some(value)
}

fn audit_table(spec: &MappingSpec) -> Option<TableName> {
    let (schema, table) = spec.audit.as_deref()?.split_once('.')?;
    Some(TableName { schema: schema.to_owned(), table: table.to_owned() })
}
