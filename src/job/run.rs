//! `run`: from settings to an exit code, with its report.

use super::begin::{Begun, begin};
use super::close::{close, facts, window};
use super::databases::{self, Base, Opened, Reached};
use super::delete_gone::delete_gone;
use super::key_list::KeyList;
use super::limit::{RejectLimit, tap};
use super::look;
use super::migrate::{Books as LedgerBooks, End, Migration, book_earlier};
use super::pipeline::Shared;
use super::retried::{Retried, closing, tell_end};
use super::retry::RetryRequest;
use super::setup::{self, Ends};
use super::{overwritten, run_tables};
use crate::config::{Settings, UnmatchedKeys};
use crate::flow::{ByteBudget, RateLimit, Stop};
use crate::mapping::MappingSpec;
use crate::model::{Event, EventSender, Exit, Failure, Finding, MappingId, Reject, Side, TableName};
use crate::report::{self, Books, Renderer, RunFacts, TableCount};
use crate::sink::{DryRun, Sample, Shown, Writers};
use crate::source::redis::RedisSource;
use std::collections::{BTreeMap, BTreeSet};
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
    /// Why a limit of its own stopped it, if one did.
    pub limit: Option<String>,
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
    /// When an earlier attempt at the run began, where there was one.
    pub(super) began: Option<String>,
    /// The mappings' names, by id.
    pub(super) names: Vec<String>,
    /// Each mapping's table, and its audit log.
    pub(super) tables: Vec<(MappingId, TableName, Option<TableName>)>,
    /// The columns of each table that mappings write.
    pub(super) columns: BTreeMap<TableName, BTreeSet<String>>,
    /// Rows in the tables.
    pub(super) rows: BTreeMap<String, TableCount>,
    /// Keys in Redis.
    pub(super) keys: TableCount,
    /// The databases of Redis that are read.
    pub(super) databases: Vec<u8>,
    pub(super) redis_version: Option<String>,
    pub(super) postgres_version: Option<String>,
    /// The tables that were made, or would be, and the statements for it.
    pub(super) created: (Vec<String>, Vec<String>),
    /// What the look at the ends found.
    pub(super) findings: Vec<Finding>,
    /// The run whose rejects are retried.
    pub(super) retried: Option<Retried>,
    /// Dry run: what it shows.
    pub(super) shown: Option<Shown>,
    /// The keys that were listed instead of Redis's.
    pub(super) listed: Option<Arc<KeyList>>,
    /// Redis, for the validation at the end.
    pub(super) reached: Option<Reached>,
}

/// Migrates as the settings say. Ends by itself or when `stop` is raised; always gives the books.
pub async fn run(settings: &Settings, renderer: Renderer, stop: Stop) -> Finished {
    work(settings, None, renderer, stop).await
}

/// Takes the open rejects of an earlier run once more, as the settings say now; otherwise as [`run`].
pub async fn retry(settings: &Settings, request: &RetryRequest, renderer: Renderer, stop: Stop) -> Finished {
    work(settings, Some(request), renderer, stop).await
}

async fn work(settings: &Settings, request: Option<&RetryRequest>, renderer: Renderer, stop: Stop) -> Finished {
    let started = jiff::Timestamp::now();
    let (events, tapped) = mpsc::channel(EVENTS);
    let (counted, shown) = mpsc::channel(EVENTS);
    let limit = Arc::new(RejectLimit::new(settings, stop.clone()));
    let tap = tokio::spawn(tap(tapped, counted, limit.clone()));
    let of_validation = renderer.of_validation();
    let drive = tokio::spawn(report::drive(shown, renderer));
    let mut learned = Learned::default();
    let result = execute((settings, request), (&stop, &limit), events, &mut learned).await;
    let crossed = tap.await.unwrap_or_default();
    let books = drive.await.unwrap_or_else(|_| Books::new(std::time::Instant::now()));
    if let (Some(retried), true) = (&mut learned.retried, settings.run.dry_run) {
        retried.open -= closing(&books.total());
    }
    let (exit, state, failure) = judge(result, &books, crossed.is_some(), (settings, learned.retried));
    let mut finished = Finished {
        exit,
        failure,
        state,
        limit: crossed,
        facts: RunFacts { window: window(&books, &learned), ..facts(settings, &learned, (state, exit), started) },
        books,
        samples: BTreeMap::new(),
        rejects: Vec::new(),
    };
    tell_end(&mut finished);
    overwritten::tell(&mut finished, learned.run.map(|(run, _)| run));
    close(settings, (of_validation, &stop), learned, &mut finished).await;
    finished
}

fn judge(
    result: Result<End, Failure>,
    books: &Books,
    crossed: bool,
    (settings, retried): (&Settings, Option<Retried>),
) -> (Exit, &'static str, Option<Failure>) {
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
        // All keys had been listed when there were too many rejects: what the exit code says must not hang on that.
        Ok(End::Complete) if crossed => (Exit::Stopped, "stopped", None),
        // Whatever this retry took: what is open of that run is not done.
        Ok(End::Complete) if retried.is_some_and(|retried| retried.open > 0) => (Exit::Rejects, "done", None),
        Ok(End::Complete) if retried.is_some() => (Exit::Done, "done", None),
        Ok(End::Complete) if books.total().matched == 0 && !settings.run.allow_empty => {
            let hint = "Check run.keys_from and --keys; --allow-empty makes this no error.";
            let failure = Failure::usage(Side::Settings, "no key that was listed matches a mapping", hint);
            (Exit::Usage, "failed", Some(failure))
        }
        Ok(End::Complete) if settings.run.unmatched == UnmatchedKeys::Error && books.unmatched().unexplained() > 0 => {
            (Exit::Usage, "failed", Some(unmatched(books)))
        }
        Ok(End::Complete) if books.total().rejects() > 0 => (Exit::Rejects, "done", None),
        Ok(End::Complete) => (Exit::Done, "done", None),
    }
}

/// Some keys are nobody's, and that is an error here.
fn unmatched(books: &Books) -> Failure {
    let unmatched = books.unmatched();
    let families = unmatched.families(10, |family| family.keys.saturating_sub(family.set_apart));
    let named: Vec<String> =
        families.iter().map(|(family, keys)| format!("{} ({keys})", report::named_family(family))).collect();
    let message =
        format!("{} keys match no mapping; the most common are {}", unmatched.unexplained(), named.join(", "));
    let hint = "All other keys have their outcome. Map these, name them in `exclude` of a mapping, or set run.unmatched to ignore.";
    Failure::usage(Side::Redis, message, hint)
}

async fn execute(
    (settings, request): (&Settings, Option<&RetryRequest>),
    (stop, limit): (&Stop, &Arc<RejectLimit>),
    events: EventSender,
    learned: &mut Learned,
) -> Result<End, Failure> {
    let ends = match setup::ends(settings) {
        Ok(ends) => ends,
        Err(troubles) => {
            learned.findings = troubles.sorted(settings, &[]).findings;
            return Err(troubles.refusal(settings));
        }
    };
    let keys = match &settings.run.keys_from {
        Some(path) => Some(Arc::new(KeyList::open(path, stop).await?)),
        None => None,
    };
    learned.listed = keys.clone();
    let Some(begun) = begin((settings, request), &ends, stop, &events, learned).await? else {
        return Ok(if stop.requested() { End::Stopped } else { End::Complete });
    };
    if let Some(text) = keys.as_ref().and_then(|keys| keys.notice()) {
        let _ = events.send(Event::Notice(text)).await;
    }
    for warning in &begun.checked.warnings {
        let _ = events.send(Event::Notice(warning.to_string())).await;
    }
    let judged = || begun.checked.plan.mappings().any(|(_, mapping)| mapping.judges_expiry());
    if begun.clock.is_none() && judged() {
        let text = "Redis does not tell its time (TIME is refused): no key is skipped as expired".to_owned();
        let _ = events.send(Event::Notice(text)).await;
    }
    learned.learn(&begun, &ends.specs);
    let tables = run_tables::of(&begun.checked, &ends.specs);
    let (run, resumed) = (begun.claim.run.to_string(), begun.claim.resumed);
    let _ = events.send(Event::RunStarted { run, mappings: learned.names.clone().into(), resumed }).await;
    let mut migration = migration(settings, (ends, keys), begun, (stop, limit), events, learned)?;
    if resumed {
        book_earlier(&mut migration).await?;
    }
    let mut end = migration.run().await;
    if settings.run.delete_gone && matches!(end, Ok(End::Complete)) {
        let source = migration.shared.source.identity();
        // A stop that came with the last key leaves this to a resume.
        end = match stop.requested() {
            true => Ok(End::Stopped),
            false => Box::pin(delete_gone(&mut migration, &source, &tables)).await,
        };
    }
    let end = end.map_err(|failure| goes_on(failure, settings.run.dry_run, request.is_some()));
    if let (Some(retry), Some(retried), true) = (&migration.shared.retry, &mut learned.retried, end.is_ok()) {
        retried.open = retry.open().await?.1;
    }
    // A Redis that is gone has been waited for already.
    if !matches!(&end, Err(failure) if failure.side == Side::Redis) {
        let mut keys = Vec::new();
        for base in migration.shared.bases.iter() {
            keys.push(base.source.dbsize().await.ok());
        }
        learned.keys.after = databases::count(keys.into_iter());
    }
    let reached = reached(&migration.shared);
    if matches!(end, Ok(End::Complete)) && settings.validation.after_run {
        learned.reached = Some(reached);
    } else {
        reached.close().await;
    }
    end
}

/// The connections of a run at its end.
fn reached(shared: &Shared<RedisSource>) -> Reached {
    let opened = |Base { database, source, expected, .. }: Base<_>| Opened { database, source, keys: expected };
    Reached { databases: shared.bases.iter().cloned().map(opened).collect(), clock: shared.clock }
}

/// The failure of a Redis that went away under a run: how the run goes on is known here alone.
fn goes_on(failure: Failure, dry_run: bool, retries: bool) -> Failure {
    if dry_run || failure.exit != Exit::Redis {
        return failure;
    }
    let how = if retries { "the same command takes what is still open" } else { "--resume goes on from there" };
    let hint = format!("{} What was loaded is safe: {how}.", failure.hint);
    Failure { hint: hint.trim_start().to_owned(), ..failure }
}

impl Learned {
    /// What the look at the ends told, however it ended.
    pub(super) fn look(&mut self, source: Option<&look::Source>, target: Option<&look::TargetEnd>) {
        self.postgres_version = target.map(|target| target.server.version.clone());
        let Some(look::Source { redis, found }) = source else { return };
        self.redis_version = redis.version().map(str::to_owned);
        if !found.databases.is_empty() {
            self.keys.before = databases::count(found.databases.iter().map(|opened| opened.keys));
        }
        self.databases = found.databases.iter().map(|opened| opened.database.number).collect();
    }

    fn learn(&mut self, begun: &Begun, specs: &[MappingSpec]) {
        let mappings = || begun.checked.plan.mappings();
        let created = &begun.checked.created;
        let tables = created.tables.iter().map(TableName::to_string).collect();
        self.created = (tables, created.statements.clone());
        self.names = mappings().map(|(_, mapping)| mapping.name().to_owned()).collect();
        self.tables = (mappings().zip(specs))
            .map(|((id, mapping), spec)| (id, mapping.table().clone(), spec.audit_table().ok().flatten()))
            .collect();
        for (_, mapping) in mappings() {
            let columns = self.columns.entry(mapping.table().clone()).or_default();
            columns.extend(mapping.columns().iter().map(|column| column.name.clone()));
        }
        self.rows = (self.tables.iter().zip(&begun.checked.rows))
            .map(|((_, table, _), rows)| (table.to_string(), TableCount { before: Some(*rows), after: None }))
            .collect();
    }
}

/// Puts together what the phases work with.
fn migration<'a>(
    settings: &'a Settings,
    (ends, keys): (Ends, Option<Arc<KeyList>>),
    begun: Begun,
    (stop, limit): (&Stop, &Arc<RejectLimit>),
    events: EventSender,
    learned: &mut Learned,
) -> Result<Migration<'a, RedisSource>, Failure> {
    let Begun { databases, clock, link, claim, retry, checked, shards, after_cleanup } = begun;
    let retry_of = retry.as_ref().map(|retry| retry.of());
    let mut options = setup::load_options(settings);
    options.staging = checked.server.staging;
    options.resumed = claim.resumed;
    options.after_cleanup = after_cleanup;
    let tables: Arc<[_]> = checked.tables.into();
    let sample_rows = usize::try_from(settings.run.sample_rows).unwrap_or(0);
    let dry = settings.run.dry_run.then(|| DryRun::new(tables.clone(), events.clone(), sample_rows));
    learned.shown = dry.as_ref().map(DryRun::shown);
    let flow = &settings.flow;
    let rate = RateLimit::new(some(flow.max_keys_per_second), some(flow.max_bytes_per_second.0));
    let writers = Writers::new(ends.target.clone(), tables.clone(), options, events.clone(), stop.clone());
    let bases = databases.into_iter().map(|Opened { database, source, keys }| {
        let plan = Arc::new(checked.plan.within(database));
        Base { database, source, plan, expected: keys }
    });
    let bases: Arc<[_]> = bases.collect();
    let first = bases.first().cloned().ok_or_else(|| Failure::internal("no mapping reads any database"))?;
    Ok(Migration {
        shared: Shared {
            source: first.source,
            plan: first.plan,
            database: first.database,
            bases,
            budget: ByteBudget::new(flow.memory.0),
            rate: Arc::new(rate),
            hashes: false,
            clock,
            retry,
            stop: stop.clone(),
            limit: limit.clone(),
            events,
        },
        settings,
        target: ends.target,
        tables,
        writers,
        keys,
        ledger: dry.is_none().then_some(LedgerBooks {
            run: claim.run,
            lease: claim.lease,
            lease_time: settings.flow.lease.0,
            link,
            retry_of,
            shards,
        }),
        dry,
    })
}

fn some(value: u64) -> Option<u64> {
    (value > 0).then_some(value)
}
