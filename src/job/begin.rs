//! What comes before a run: a look at both ends, and then the claim that makes this process the only one that works at it.
//! The first contact fails at once; after it a server that goes away is waited for.

use super::backup;
use super::databases::Opened;
use super::link::{Link, Trouble};
use super::look::{self, Looked, Looker, Source, TargetEnd, stamp};
use super::mapping_specs::place;
use super::preflight::redis::Found;
use super::preflight::{Check, Checked};
use super::retry::{Retry, RetryRequest};
use super::run::Learned;
use super::run_tables;
use super::setup::Ends;
use crate::config::Settings;
use crate::flow::Stop;
use crate::ledger::{self, NewRun, Outstanding, Shard, Start};
use crate::mapping::{MappingSpec, specs_hash};
use crate::model::{Event, EventSender, Failure, Side};
use crate::source::ServerClock;
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
    /// Whether a cleanup has deleted keys of any Redis.
    pub(super) after_cleanup: bool,
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
    let id = Uuid::now_v7();
    let dry = settings.run.dry_run;
    let mut stamp = stamp(settings, &id.to_string());
    // Whatever forbids the run is said before the first thing is written.
    let how = if dry { Check::Dry } else { Check::Rehearsal };
    let looker = Looker { settings, stop, events, stamp: &stamp, how, ahead: false, seek: request.is_none() };
    let look = look::Ends { specs: &ends.specs, source: Some(&ends.source), target: Some(&ends.target) };
    let Looked { source, target, troubles } = looker.look(&look).await;
    learned.look(source.as_ref(), target.as_ref());
    learned.findings = troubles.sorted(settings, &ends.specs).findings;
    let warnings = troubles.verdict(settings, &ends.specs)?;
    if stop.requested() {
        return Ok(None);
    }
    // Where nothing is critical, both ends were reached, and the tables were understood.
    let (Some(Source { redis, found }), Some(TargetEnd { mut link, server, checked: Some(checked) })) =
        (source, target)
    else {
        return Err(Failure::internal("an end was not reached, and nothing says why"));
    };
    let Found { databases, clock, .. } = found;
    let mut retry = None;
    if let Some(request) = request {
        let found = Retry::find(&mut link, (settings, ends), request, stop).await?;
        let now = (redis.identity(), databases.as_slice(), hashes(&ends.specs));
        if !found.announce(now, events, learned).await? {
            return Ok(None);
        }
        retry = Some(Arc::new(found));
    }
    if !dry && request.is_none() && settings.run.backup.is_some() {
        let run = to_be(&mut link, settings, &new_run(settings, &ends.specs, redis.identity(), id)).await?;
        if !backup::before_run(settings, &redis, &databases, run, (stop, events)).await? {
            return Ok(None);
        }
    }
    let (claim, mut checked) = if dry {
        (Claim { run: id, lease: id, resumed: false }, checked)
    } else {
        let retry_of = retry.as_ref().map(|retry| retry.of().run);
        let new = NewRun { retry_of, ..new_run(settings, &ends.specs, redis.identity(), id) };
        let Some(claim) = claim(&mut link, settings, &new, stop, events).await? else { return Ok(None) };
        learned.run = Some((claim.run, claim.lease));
        stamp.run_id = claim.run.to_string();
        if claim.resumed {
            let run = async |connection: &mut _| ledger::show_run(connection, Some(&stamp.run_id)).await;
            let run = link.read("reading when the run began", run).await?;
            learned.began = run.map(|run| run.started_at);
        }
        stamp.server_version = redis.version().map(str::to_owned);
        let real = look::check(&mut link, (settings, &ends.specs), &stamp, &server, Check::Real).await;
        let mut real = real.map_err(|failure| placed(failure, settings, &ends.specs))?;
        // Where the answer to the COMMIT was lost, a second attempt finds the tables made.
        if real.created.tables.is_empty() {
            real.created = checked.created;
        }
        run_tables::write(&mut link, settings, claim, (&real, &ends.specs)).await?;
        (claim, real)
    };
    checked.warnings = warnings;
    let shards = async |connection: &mut _| ledger::load_all_if(connection, claim.run, claim.resumed).await;
    let shards = link.read("reading how far the run got", shards).await?;
    let any = async |connection: &mut PgConnection| if dry { Ok(false) } else { ledger::any_cleaned(connection).await };
    let after_cleanup = link.read("looking for cleanups", any).await?;
    if !learned.databases.contains(&redis.database()) {
        redis.close().await;
    }
    Ok(Some(Begun { databases, clock, link, claim, retry, checked, shards, after_cleanup }))
}

/// The id that the run will have: its own, or that of the run which it goes on with.
async fn to_be(link: &mut Link, settings: &Settings, new: &NewRun) -> Result<Uuid, Failure> {
    if !settings.run.resume {
        return Ok(new.id);
    }
    // One of an earlier version cannot be asked: the run gets a backup of its own.
    let current = async |connection: &mut PgConnection| {
        let there = ledger::exists(connection).await?;
        Ok::<_, sqlx::Error>(there && ledger::outstanding(connection).await? == Outstanding::Nothing)
    };
    if !link.read("looking for the ledger", current).await? {
        return Ok(new.id);
    }
    let resumed = async |connection: &mut _| ledger::to_resume(connection, new).await;
    Ok(link.read("looking for the run to resume", resumed).await?.unwrap_or(new.id))
}

/// The hash of each mapping, by name.
fn hashes(specs: &[MappingSpec]) -> BTreeMap<String, String> {
    specs.iter().map(|spec| (spec.name.clone(), specs_hash(std::slice::from_ref(spec)))).collect()
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
                if link.read("looking at the lease", is_busy).await? {
                    return Err(busy(run, false));
                }
            }
            Start::Busy { run, .. } => return Err(busy(run, new.retry_of.is_some())),
            Start::HalfUndone { run } => {
                let message = format!("--resume: a rollback of run {run} has begun, and is not at its end");
                let hint = format!(
                    "Let it come to its end: redis2pg rollback --run {run}. Or start a new run without --resume; the rows of the old one \
                     that it finds unchanged are still deleted when that rollback goes on."
                );
                return Err(Failure::usage(Side::Settings, message, hint));
            }
            Start::Cleaning { cleanup, expires_in } => return Err(cleaning(&cleanup, expires_in)),
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
pub(super) async fn migrate(connection: &mut PgConnection) -> Result<(), Trouble> {
    ledger::migrate(connection).await.map_err(|error| match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => Trouble::Server(error),
        error => {
            let hint = "A newer redis2pg may have made it: use that one. Otherwise look whether the role owns what is in the schema.";
            Failure::postgres(format!("making the ledger (schema redis2pg): {error}"), hint).into()
        },
    })
}

/// A cleanup deletes keys of the Redis that would be read.
fn cleaning(cleanup: &str, expires_in: Duration) -> Failure {
    Failure::usage(
        Side::Postgres,
        format!("cleanup {cleanup} is deleting keys of this Redis"),
        format!("Wait for it, or stop it. After a crash its lease ends by itself, in {expires_in:.0?}."),
    )
}

fn busy(run: Uuid, retries: bool) -> Failure {
    let then = if retries { "run it again then." } else { "--resume waits for that." };
    Failure::usage(
        Side::Postgres,
        format!("run {run} is at work on these mappings; one at a time"),
        format!("Wait for it, or stop it. After a crash its lease ends by itself within flow.lease; {then}"),
    )
}

/// Waits for the lease of a process that died, where it is asked to resume; such a lease ends by itself.
async fn wait_for_lease(left: Duration, stop: &Stop) -> bool {
    tokio::select! {
        () = tokio::time::sleep(left + Duration::from_millis(200)) => true,
        () = stop.wait_drain() => false,
    }
}
