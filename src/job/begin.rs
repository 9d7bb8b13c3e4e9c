//! What comes before a run: both ends answer, there is something to move, nothing forbids it, and this process may do
//! it. The first contact fails at once; after it a server that goes away is waited for.

use super::databases::{self, Opened};
use super::field_ttl;
use super::first_key::find_one_key;
use super::link::{Link, Trouble, Waits};
use super::mapping_specs::place;
use super::preflight::{self, Check, Checked, Created, Server};
use super::retry::{Retry, RetryRequest};
use super::run::Learned;
use super::setup::Ends;
use crate::config::Settings;
use crate::flow::Stop;
use crate::ledger::{self, NewRun, Shard, Start};
use crate::mapping::{Mapping, MappingSpec, RunStamp, specs_hash};
use crate::model::{Event, EventSender, Failure, FieldTimes, Side};
use crate::postgres::{answered, failure};
use crate::source::ServerClock;
use crate::source::redis::RedisSource;
use sqlx::migrate::MigrateError;
use sqlx::postgres::PgConnection;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A run that may go.
pub(super) struct Begun {
    /// The databases that are read.
    pub(super) databases: Vec<Opened>,
    /// Redis's clock, where it is told.
    pub(super) clock: Option<ServerClock>,
    pub(super) link: Link,
    pub(super) claim: Claim,
    /// The rejects of another run that this one takes.
    pub(super) retry: Option<Arc<Retry>>,
    pub(super) checked: Checked,
    /// Shards of an earlier attempt at this run.
    pub(super) shards: Vec<Shard>,
}

/// The run that this process may work at.
#[derive(Clone, Copy)]
pub(super) struct Claim {
    pub(super) run: Uuid,
    pub(super) lease: Uuid,
    pub(super) resumed: bool,
}

/// Does all that comes before the first key. `None`: a stop was asked for, or there is nothing to retry.
///
/// # Errors
/// Whatever forbids the run.
pub(super) async fn begin(
    (settings, request): (&Settings, Option<&RetryRequest>),
    ends: &Ends,
    stop: &Stop,
    events: &EventSender,
    learned: &mut Learned,
) -> Result<Option<Begun>, Failure> {
    let mut connection = ends.target.connect().await?;
    let waits = Waits::new(settings);
    let server = answered(waits.silence, preflight::look(&mut connection))
        .await
        .map_err(|error| failure("looking at the server", error))??;
    learned.postgres_version = Some(server.version.clone());
    let source = RedisSource::connect(&ends.source, Some(events.clone())).await?;
    learned.redis_version = source.version().map(str::to_owned);
    let databases = databases::open(&source, &ends.specs, events).await;
    let databases = databases.map_err(|failure| placed(failure, settings, &ends.specs))?;
    let clock = read_clock(&source, &ends.specs).await?;
    let mut link = Link::new(ends.target.clone(), connection, waits, stop.clone(), events.clone());
    learned.keys.before = databases::count(databases.iter().map(|opened| opened.keys));
    learned.databases = databases.iter().map(|opened| opened.database.number).collect();
    let mut retry = None;
    if let Some(request) = request {
        let found = Retry::find(&mut link, (settings, ends), request, stop).await?;
        let now = (source.identity(), databases.as_slice(), hashes(&ends.specs));
        if !found.announce(now, events, learned).await? {
            return Ok(None);
        }
        retry = Some(Arc::new(found));
    } else if !settings.run.allow_empty && settings.run.keys_from.is_none() {
        find_one_key(&databases, settings, (&ends.specs, source.database()), stop, events).await?;
    }
    if stop.requested() {
        return Ok(None);
    }
    let id = Uuid::now_v7();
    let stamp = RunStamp {
        database: source.database(),
        server_version: source.version().map(str::to_owned),
        ..RunStamp::default()
    };
    let mut check = Checking { settings, specs: &ends.specs, stamp, server, clock };
    let mut rehearsed = Created::default();
    let claim = if settings.run.dry_run {
        Claim { run: id, lease: id, resumed: false }
    } else {
        // Whatever forbids the run is said before the first thing is written.
        rehearsed = check.run(&mut link, id, Check::Rehearsal).await?.created;
        let retry_of = retry.as_ref().map(|retry| retry.of().run);
        let new = NewRun { retry_of, ..new_run(settings, &ends.specs, source.identity(), id) };
        let Some(claim) = claim(&mut link, settings, &new, stop, events).await? else { return Ok(None) };
        learned.run = Some((claim.run, claim.lease));
        claim
    };
    let how = if settings.run.dry_run { Check::Dry } else { Check::Real };
    let mut checked = check.run(&mut link, claim.run, how).await?;
    checked.warnings.extend(field_ttl::judge(&databases, &checked.plan).await?);
    // Where the answer to the COMMIT was lost, a second attempt finds the tables made.
    if checked.created.tables.is_empty() {
        checked.created = rehearsed;
    }
    let shards = async |connection: &mut _| ledger::load_all_if(connection, claim.run, claim.resumed).await;
    let shards = link.call("reading how far the run got", shards).await?;
    if !learned.databases.contains(&source.database()) {
        source.close().await;
    }
    Ok(Some(Begun { databases, clock, link, claim, retry, checked, shards }))
}

/// The hash of each mapping, by name.
fn hashes(specs: &[MappingSpec]) -> BTreeMap<String, String> {
    specs.iter().map(|spec| (spec.name.clone(), specs_hash(std::slice::from_ref(spec)))).collect()
}

/// Redis's clock; a mapping that goes by the time that keys have left cannot do without it.
async fn read_clock(source: &RedisSource, specs: &[MappingSpec]) -> Result<Option<ServerClock>, Failure> {
    let clock = source.clock().await?;
    match specs.iter().find(|spec| clock.is_none() && spec.min_ttl.is_some()) {
        Some(spec) => Err(without_clock(&spec.name, "min_ttl")),
        None => Ok(clock),
    }
}

/// The source of a mapping that is worked out from Redis's clock for each key.
fn timed_by(mapping: &Mapping) -> Option<&'static str> {
    let wanted = mapping.wanted();
    match wanted.fields {
        _ if wanted.ttl => Some("redis.ttl"),
        FieldTimes::ExpiryAndTtl => Some("element.ttl"),
        _ => None,
    }
}

/// What a mapping asks for takes a clock that nobody may read.
fn without_clock(mapping: &str, what: &str) -> Failure {
    let message = format!("the user may not ask for the time (TIME), and mapping {mapping} has `{what}`");
    Failure::usage(Side::Redis, message, format!("Let it: ACL SETUSER … +time. Or take `{what}` out."))
}

/// What a check of the target goes by.
struct Checking<'a> {
    settings: &'a Settings,
    specs: &'a [MappingSpec],
    /// What is known of Redis.
    stamp: RunStamp,
    server: Server,
    /// Redis's clock, where it may be asked for.
    clock: Option<ServerClock>,
}

impl Checking<'_> {
    async fn run(&mut self, link: &mut Link, run: Uuid, how: Check) -> Result<Checked, Failure> {
        let stamp = RunStamp { run_id: run.to_string(), ..self.stamp.clone() };
        let check = async |connection: &mut PgConnection| {
            preflight::check(connection, self.settings, self.specs, &stamp, self.server.clone(), how).await
        };
        let checked = link.call("reading the target's tables", check).await;
        let checked = checked.map_err(|failure| placed(failure, self.settings, self.specs))?;
        let timed = checked.plan.mappings().find_map(|(_, mapping)| Some((mapping, timed_by(mapping)?)));
        match timed.filter(|_| self.clock.is_none()) {
            Some((mapping, source)) => Err(without_clock(mapping.name(), source)),
            None => Ok(checked),
        }
    }
}

/// The failure, with the line of what is wrong with a mapping or a column.
fn placed(mut failure: Failure, settings: &Settings, specs: &[MappingSpec]) -> Failure {
    failure.findings.iter_mut().for_each(|finding| {
        place(finding, settings, specs);
    });
    failure
}

fn new_run(settings: &Settings, specs: &[MappingSpec], source: String, id: Uuid) -> NewRun {
    NewRun {
        id,
        lease: Uuid::new_v4(),
        lease_time: settings.flow.lease.0,
        source,
        mapping_hash: specs_hash(specs),
        mappings: hashes(specs),
        settings: settings.redacted_json().to_string(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        retry_of: None,
    }
}

/// Makes the ledger where it is missing and claims the run, waiting for the lease of a process that died.
async fn claim(
    link: &mut Link,
    settings: &Settings,
    new: &NewRun,
    stop: &Stop,
    events: &EventSender,
) -> Result<Option<Claim>, Failure> {
    link.call("making the ledger (schema redis2pg)", migrate).await?;
    loop {
        // A retry is run again.
        let resume = settings.run.resume && new.retry_of.is_none();
        let start = async |connection: &mut _| ledger::start(connection, new, resume).await;
        match link.call("claiming the run in the ledger", start).await? {
            Start::Started(started) => {
                if resume && !started.resumed {
                    let text = "there is no unfinished run of this source and these mappings: starting anew".to_owned();
                    let _ = events.send(Event::Notice(text)).await;
                }
                return Ok(Some(Claim { run: started.run, lease: new.lease, resumed: started.resumed }));
            }
            Start::Busy { run, expires_in } if resume => {
                let text = format!("run {run} still has its lease; it ends in {expires_in:.0?} unless it is renewed");
                let _ = events.send(Event::Notice(text)).await;
                if !wait_for_lease(expires_in, stop).await {
                    return Ok(None);
                }
                // Renewed all the while: that run is alive.
                let is_busy = async |connection: &mut _| ledger::is_busy(connection, new).await;
                if link.call("looking at the lease", is_busy).await? {
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

/// Makes the ledger, or brings it up to date.
async fn migrate(connection: &mut PgConnection) -> Result<(), Trouble> {
    ledger::migrate(connection).await.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => Trouble::Server(error),
        error => Failure::postgres(format!("making the ledger (schema redis2pg): {error}"), "").into(),
    })
}

fn busy(run: Uuid) -> Failure {
    Failure::usage(
        Side::Postgres,
        format!("run {run} is at work on these mappings; one at a time"),
        "Wait for it, or stop it. After a crash its lease ends by itself within flow.lease; --resume waits for that.",
    )
}

/// Waits for the lease of a process that died, where it is asked to resume; such a lease ends by itself.
async fn wait_for_lease(left: Duration, stop: &Stop) -> bool {
    tokio::select! {
        () = tokio::time::sleep(left + Duration::from_millis(200)) => true,
        () = stop.wait_drain() => false,
    }
}
