//! What comes before a run: is there anything to move, and may this process move it?

use super::migrate::wait_for_lease;
use crate::config::Settings;
use crate::flow::Stop;
use crate::ledger::{self, NewRun, Start};
use crate::mapping::{MappingSpec, Pattern, specs_hash};
use crate::model::{Event, EventSender, Failure, Side};
use crate::postgres::failure;
use crate::source::redis::RedisSource;
use crate::source::{Scan, Source};
use sqlx::postgres::PgConnection;
use uuid::Uuid;

/// Looks for a key that some mapping takes. None at all is most likely a mistake, and nothing is written then.
pub(super) async fn find_one_key(
    source: &RedisSource,
    settings: &Settings,
    specs: &[MappingSpec],
) -> Result<(), Failure> {
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

/// What claiming the run came to.
pub(super) enum Begun {
    /// It is ours.
    Run { run: Uuid, lease: Uuid, resumed: bool },
    /// A stop was asked for while it waited.
    Stopped,
}

/// Makes the ledger where it is missing and claims the run, waiting for the lease of a process that died.
pub(super) async fn start(
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
