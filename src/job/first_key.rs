//! Is there anything to move? A target is not touched for a keyspace that no mapping takes anything of: the database
//! number, a prefix or `--keys` is wrong then, more often than not.

use super::client_prefix::Prefixed;
use super::databases::Opened;
use crate::config::Settings;
use crate::flow::Stop;
use crate::mapping::{KeySet, MappingSpec, Pattern};
use crate::model::{Event, EventSender, Failure, RedisKey, Side};
use crate::source::redis::RedisSource;
use crate::source::{Scan, Source};
use std::time::{Duration, Instant};

/// A search that takes longer says so; from then on each time that it took twice as long.
const QUIET: Duration = Duration::from_secs(5);

/// Looks for a key that some mapping takes. Where matches are rare, all keys may have to be listed. Ends early at a
/// stop.
///
/// # Errors
/// There is no such key; says which families of keys there are.
pub(super) async fn find_one_key(
    databases: &[Opened],
    settings: &Settings,
    (specs, own): (&[MappingSpec], u8),
    stop: &Stop,
    events: &EventSender,
) -> Result<(), Failure> {
    let off = &settings.phases.skip;
    let (mut prefixed, mut nothing) = (None, Vec::new());
    for Opened { database, source, .. } in databases {
        let on = specs.iter().filter(|spec| !off.contains(&spec.name) && spec.databases.has(database.number, own));
        let sets: Vec<(&str, KeySet)> =
            on.filter_map(|spec| Some((spec.name.as_str(), KeySet::parse(spec).ok()?))).collect();
        if sets.is_empty() {
            continue;
        }
        let takes = |key: &RedisKey| {
            let taken = sets.iter().any(|(_, set)| set.matches(key.as_bytes()));
            if !taken && prefixed.is_none() {
                prefixed = Prefixed::find(key, &sets);
            }
            taken
        };
        if search(source.scan(None), takes, stop, events, QUIET).await? || stop.requested() {
            return Ok(());
        }
        let wanted: Vec<String> = sets.iter().flat_map(|(_, set)| set.patterns().map(Pattern::glob)).collect();
        nothing.push((source, wanted.join(", ")));
    }
    let only = settings.run.keys.as_ref().map(|keys| format!(" and --keys {keys}")).unwrap_or_default();
    if nothing.is_empty() {
        let why = "phases.skip switches every mapping off";
        return Err(Failure::usage(Side::Settings, why, "Leave one of them on."));
    }
    let mut said = Vec::new();
    for (source, wanted) in nothing {
        said.push(format!("no key in {} matches {wanted}{only}; {}", source.display(), families(source).await?));
    }
    let hint = "Check the database number, a prefix before the keys, and --keys; --allow-empty makes this no error.";
    let hint = prefixed.map_or_else(|| hint.to_owned(), |prefixed| format!("{prefixed} {hint}"));
    Err(Failure::usage(Side::Redis, said.join("; "), hint))
}

/// Whether some key is taken.
async fn search(
    mut scan: impl Scan,
    mut takes: impl FnMut(&RedisKey) -> bool,
    stop: &Stop,
    events: &EventSender,
    mut quiet: Duration,
) -> Result<bool, Failure> {
    let (since, mut seen) = (Instant::now(), 0_usize);
    while let Some(page) = scan.next().await? {
        if page.keys.iter().any(&mut takes) {
            return Ok(true);
        }
        if stop.requested() {
            return Ok(false);
        }
        seen += page.keys.len();
        if since.elapsed() >= quiet {
            quiet = since.elapsed() * 2;
            let text = format!("looking for a key that a mapping takes: {seen} keys seen");
            tracing::info!("{text}");
            let _ = events.send(Event::Notice(text)).await;
        }
    }
    Ok(false)
}

/// What there is instead.
async fn families(source: &RedisSource) -> Result<String, Failure> {
    let families = source.key_families(10).await?;
    if families.is_empty() {
        return Ok("the database holds no key".to_owned());
    }
    let named: Vec<String> = families.iter().map(|(family, count)| format!("{family} ({count})")).collect();
    Ok(format!("the most common in a sample are {}", named.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::search;
    use crate::flow::{Level, Stop};
    use crate::model::{Event, Failure, RedisKey};
    use crate::source::{Scan, ScanPage};
    use std::time::Duration;
    use tokio::sync::mpsc;

    /// A key a page.
    struct Pages(std::vec::IntoIter<&'static str>);

    impl Scan for Pages {
        async fn next(&mut self) -> Result<Option<ScanPage>, Failure> {
            let page =
                |key| ScanPage { epoch: 0, number: 0, keys: vec![RedisKey::new(key)], resume_cursor: "1".into() };
            Ok(self.0.next().map(page))
        }

        fn server_run_id(&self) -> Option<&str> {
            None
        }
    }

    fn pages() -> Pages {
        Pages(vec!["a:1", "a:2", "a:3", "b:1"].into_iter())
    }

    fn is_last(key: &RedisKey) -> bool {
        key.as_bytes() == b"b:1"
    }

    #[tokio::test]
    async fn a_search_that_takes_long_says_how_many_keys_it_saw() {
        let (events, mut told) = mpsc::channel(16);
        let found = search(pages(), is_last, &Stop::new(), &events, Duration::ZERO).await;
        assert!(matches!(found, Ok(true)));
        let Ok(Event::Notice(text)) = told.try_recv() else { panic!("nothing was said") };
        assert_eq!(text, "looking for a key that a mapping takes: 1 keys seen");
        let found = search(pages(), |_| false, &Stop::new(), &events, Duration::from_secs(60)).await;
        assert!(matches!(found, Ok(false)));
        while let Ok(event) = told.try_recv() {
            assert!(matches!(event, Event::Notice(text) if text.contains("keys seen")));
        }
    }

    #[tokio::test]
    async fn a_stop_ends_the_search() {
        let (events, _told) = mpsc::channel(16);
        let stop = Stop::new();
        stop.raise(Level::Drain);
        let found = search(pages(), is_last, &stop, &events, Duration::from_secs(60)).await;
        assert!(matches!(found, Ok(false)));
    }
}
