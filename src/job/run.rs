//! `run`: from settings to an exit code, with its report.

use super::link::Link;
use super::migrate::{Books as LedgerBooks, End, Migration, RejectLimit, book_earlier, wait_for_lease};
use super::pipeline::Shared;
use super::preflight::{self, Check};
use super::{audit, setup};
use crate::config::Settings;
use crate::flow::{ByteBudget, RateLimit, Stop};
use crate::ledger::{self, NewRun, RejectFilter, Start};
use crate::mapping::{MappingSpec, Pattern, specs_hash};
use crate::model::{Event, EventSender, Exit, Failure, MappingId, Reject, Side, TableName};
use crate::postgres::{Target, failure, query, table_ident};
use crate::report::{self, Books, Renderer, RunFacts, TableCount};
use crate::sink::{DryRun, Sample, Shown};
use crate::source::redis::RedisSource;
use crate::source::{Scan, Source};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Row};
use std::collections::BTreeMap;
use std::path::Path;
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
struct Learned {
    run: Option<(Uuid, Uuid)>,
    names: Vec<String>,
    tables: Vec<(MappingId, TableName, Option<TableName>)>,
    rows: BTreeMap<String, TableCount>,
    keys: TableCount,
    redis_version: Option<String>,
    postgres_version: Option<String>,
    shown: Option<Shown>,
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

/// Looks for a key that some mapping takes. None at all is most likely a mistake, and nothing is written then.
async fn find_one_key(source: &RedisSource, settings: &Settings, specs: &[MappingSpec]) -> Result<(), Failure> {
    let off = &settings.phases.skip;
    let patterns: Vec<Pattern> = (specs.iter().filter(|spec| !off.contains(&spec.name)))
        .filter_map(|spec| Pattern::parse(&spec.pattern).ok())
        .collect();
    let mut scan = source.scan(None);
    while let Some(page) = scan.next().await? {
        if page.keys.iter().any(|key| patterns.iter().any(|pattern| pattern.matches(key.as_bytes()))) {
            return Ok(());
        }
    }
    let families = source.key_families(10).await?;
    let wanted: Vec<String> = patterns.iter().map(Pattern::glob).collect();
    let there = if families.is_empty() {
        "the database holds no key".to_owned()
    } else {
        let named: Vec<String> = families.iter().map(|(family, count)| format!("{family} ({count})")).collect();
        format!("the most common in a sample are {}", named.join(", "))
    };
    Err(Failure::usage(
        Side::Redis,
        format!("no key in {} matches {}; {there}", source.display(), wanted.join(", ")),
        "Check the database number, a prefix before the keys, and --keys; --allow-empty makes this no error.",
    ))
}

enum Begun {
    Run { run: Uuid, lease: Uuid, resumed: bool },
    Stopped,
}

/// Makes the ledger where it is missing and claims the run, waiting for the lease of a process that died.
async fn start(
    settings: &Settings,
    specs: &[MappingSpec],
    source: &RedisSource,
    connection: &mut PgConnection,
    id: Uuid,
    stop: &Stop,
    events: &EventSender,
) -> Result<Begun, Failure> {
    ledger::migrate(connection).await.map_err(|error| match error {
        sqlx::migrate::MigrateError::Execute(error) | sqlx::migrate::MigrateError::ExecuteMigration(error, _) => {
            failure("making the ledger (schema redis2pg)", error)
        }
        error => Failure::postgres(format!("making the ledger (schema redis2pg): {error}"), ""),
    })?;
    let new = NewRun {
        id,
        lease: Uuid::new_v4(),
        lease_time: settings.flow.lease.0,
        source: source.identity(),
        mapping_hash: specs_hash(specs),
        mappings: specs.iter().map(|spec| (spec.name.clone(), specs_hash(std::slice::from_ref(spec)))).collect(),
        settings: settings.redacted_json().to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    loop {
        let start = ledger::start(connection, &new, settings.run.resume)
            .await
            .map_err(|error| failure("claiming the run in the ledger", error))?;
        match start {
            Start::Started(started) => {
                if settings.run.resume && !started.resumed {
                    let text = "there is no unfinished run of this source and these mappings: starting anew".to_owned();
                    let _ = events.send(Event::Notice(text)).await;
                }
                return Ok(Begun::Run { run: started.run, lease: new.lease, resumed: started.resumed });
            }
            Start::Busy { run, expires_in } if settings.run.resume => {
                let text = format!("run {run} still has its lease; it ends in {expires_in:.0?} unless it is renewed");
                let _ = events.send(Event::Notice(text)).await;
                if !wait_for_lease(expires_in, stop).await {
                    return Ok(Begun::Stopped);
                }
                // Renewed all the while: that run is alive.
                if ledger::is_busy(connection, &new).await.map_err(|error| failure("looking at the lease", error))? {
                    return Err(busy(run));
                }
            }
            Start::Busy { run, .. } => return Err(busy(run)),
            Start::OtherMapping { run, differing } => {
                return Err(Failure::usage(
                    Side::Settings,
                    format!("--resume: run {run} had other mappings; these differ: {}", differing.join(", ")),
                    "Use the mappings of that run, or start a new run without --resume.",
                ));
            }
        }
    }
}

fn busy(run: Uuid) -> Failure {
    Failure::usage(
        Side::Postgres,
        format!("run {run} is at work on these mappings; one at a time"),
        "Wait for it, or stop it. After a crash its lease ends by itself within flow.lease; --resume waits for that.",
    )
}

fn facts(settings: &Settings, learned: &Learned, (state, exit): (&str, Exit), started: jiff::Timestamp) -> RunFacts {
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
async fn close(settings: &Settings, learned: &mut Learned, finished: &mut Finished) -> Result<(), Failure> {
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

async fn write_report(settings: &Settings, dir: &Path, learned: &Learned, finished: &Finished) -> Result<(), Failure> {
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
