//! The logical databases that a run reads: which they are, and a connection to each.

use crate::mapping::{Databases, MappingSpec, Plan};
use crate::model::{Database, Event, EventSender, Exit, Failure, Finding, Side};
use crate::source::ServerClock;
use crate::source::redis::RedisSource;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A database that a run reads, as its passes work with it.
#[derive(Clone)]
pub(super) struct Base<S> {
    pub(super) database: Database,
    pub(super) source: S,
    /// The plan for its keys.
    pub(super) plan: Arc<Plan>,
    /// Keys that a scan will list, about.
    pub(super) expected: Option<u64>,
}

/// A database that a run reads, connected to.
pub(super) struct Opened {
    pub(super) database: Database,
    pub(super) source: RedisSource,
    /// How many keys it holds, where that is told.
    pub(super) keys: Option<u64>,
}

/// Redis as a run has reached it, for what follows the run. The servers of a cluster are known as they are now, which the URL need
/// not tell any more.
pub(super) struct Reached {
    pub(super) databases: Vec<Opened>,
    /// Redis's clock, where it is told.
    pub(super) clock: Option<ServerClock>,
}

impl Reached {
    /// Closes the connections.
    pub(super) async fn close(self) {
        for opened in self.databases {
            opened.source.close().await;
        }
    }
}

/// Connects to every database that some mapping reads, in ascending order. `source` is the source's own.
///
/// # Errors
/// Findings about the mappings that name a database that there is not, or that the user may not select; `all` was asked
/// for and the server does not tell which hold keys; a server that is gone.
pub(super) async fn open(
    source: &RedisSource,
    specs: &[MappingSpec],
    events: &EventSender,
) -> Result<Vec<Opened>, Failure> {
    let own = source.database();
    let mut numbers = BTreeSet::new();
    for spec in specs {
        match &spec.databases {
            Databases::Own => numbers.extend([own]),
            Databases::These(these) => numbers.extend(these),
            Databases::All => numbers.extend([own]),
        }
    }
    if specs.iter().any(|spec| spec.databases == Databases::All) {
        numbers.extend(source.filled_databases().await?);
        let named: Vec<String> = numbers.iter().map(u8::to_string).collect();
        let text =
            format!("`databases = \"all\"`: those that hold keys now, and the source's own: {}", named.join(", "));
        let _ = events.send(Event::Notice(text)).await;
    }
    let alone = numbers.iter().eq([&own]);
    let (mut opened, mut findings) = (Vec::new(), Vec::new());
    for number in numbers {
        let connected = if number == own { Ok(source.clone()) } else { source.with_database(number).await };
        match connected {
            Ok(source) => {
                let keys = source.dbsize().await.ok();
                opened.push(Opened { database: Database { number, own: number == own, alone }, source, keys });
            }
            Err(failure) => findings.extend(refused(failure, number, specs)?),
        }
    }
    if findings.is_empty() { Ok(opened) } else { Err(Failure::findings(findings)) }
}

/// What there is to say of each mapping that names a database which cannot be had.
///
/// # Errors
/// The failure itself, where the settings are not at fault or no mapping names that database.
fn refused(failure: Failure, number: u8, specs: &[MappingSpec]) -> Result<Vec<Finding>, Failure> {
    let names = |spec: &&MappingSpec| matches!(&spec.databases, Databases::These(these) if these.contains(&number));
    let naming = specs.iter().filter(|spec| !spec.unmatched && failure.exit == Exit::Usage).filter(names);
    let finding = |spec: &MappingSpec| {
        let subject = format!("mapping {}: databases", spec.name);
        Finding::critical(Side::Redis, subject, failure.message.clone(), failure.hint.clone())
    };
    let findings: Vec<Finding> = naming.map(finding).collect();
    if findings.is_empty() { Err(failure) } else { Ok(findings) }
}

/// How many keys they hold together; `None` where one does not tell.
pub(super) fn count(keys: impl Iterator<Item = Option<u64>>) -> Option<i64> {
    keys.sum::<Option<u64>>().and_then(|keys| i64::try_from(keys).ok())
}
