//! Rows that were read from another source than this run's: they may be another cache's, under the same ids.

use crate::ledger::{LastSource, last_sources};
use crate::mapping::{CandidateSpec, Databases, MappingSpec};
use crate::model::{Finding, Side};
use sqlx::Error;
use sqlx::postgres::PgConnection;
use std::collections::BTreeMap;
use std::time::Duration;

/// A warning for each other source that mappings were last read from. `source`: this run's, as the ledger names it.
///
/// # Errors
/// The connection's; a ledger that cannot be read says nothing.
pub(in crate::job) async fn judge(
    connection: &mut PgConnection,
    specs: &[MappingSpec],
    source: &str,
    lock_timeout: Duration,
) -> Result<Vec<Finding>, Error> {
    let named = specs.iter().filter_map(|spec| Some((spec.name.clone(), spec.table_name().ok()?.to_string())));
    let (mappings, tables): (Vec<String>, Vec<String>) = named.unzip();
    let mut others: BTreeMap<String, Vec<LastSource>> = BTreeMap::new();
    for last in last_sources(connection, (&mappings, &tables), lock_timeout).await? {
        let spec = specs.iter().find(|spec| spec.name == last.mapping);
        if last.source != source && !spec.is_some_and(|spec| is_told_apart(spec, &last.source, source)) {
            others.entry(last.source.clone()).or_default().push(last);
        }
    }
    Ok(others.into_iter().map(|(other, of)| told(&other, &of, source)).collect())
}

/// Whether rows of two databases of one server are told apart, or are the same, since the mapping names its databases.
fn is_told_apart(spec: &MappingSpec, one: &str, other: &str) -> bool {
    let place = |source: &str| source.rsplit_once('/').map(|(place, _)| place.to_owned());
    place(one) == place(other) && (spec.databases != Databases::Own || has_database_in_key(spec))
}

fn has_database_in_key(spec: &MappingSpec) -> bool {
    let mut key = spec.columns.iter().filter(|column| spec.key.contains(&column.name));
    key.any(|column| {
        column.from.iter().any(|from| match from {
            CandidateSpec::Source(source) => source == "redis.db",
            CandidateSpec::Table(table) => table.source.as_deref() == Some("redis.db"),
        })
    })
}

fn told(other: &str, of: &[LastSource], source: &str) -> Finding {
    let names: Vec<&str> = of.iter().map(|last| last.mapping.as_str()).collect();
    let when = of.iter().map(|last| last.started_at.as_str()).max().unwrap_or_default();
    let message = format!(
        "mappings were read from another source by their last run ({other}, {when}) than by this one ({source}): {}. Rows under \
         the same ids are taken for the same cache's and updated",
        names.join(", ")
    );
    let hint = "Nothing is to be done where the cache has moved. Where they are two caches, map `redis.db` or a constant into the \
                key, or use other tables.";
    Finding::warning(Side::Postgres, "earlier runs", message, hint)
}
