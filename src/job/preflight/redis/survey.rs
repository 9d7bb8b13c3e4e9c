//! Is there anything to move? A target is not touched for a keyspace that no mapping takes anything of: the database
//! number, a prefix or `--keys` is wrong then, more often than not. What the first pages hold is kept as a sample.

use super::client_prefix::Prefixed;
use crate::config::Settings;
use crate::flow::Stop;
use crate::job::databases::Opened;
use crate::mapping::{KeySet, MappingSpec, Miss, Pattern};
use crate::model::{Event, EventSender, Failure, RedisKey, Side};
use crate::source::redis::RedisSource;
use crate::source::{Scan, Source};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A search that takes longer says so; from then on each time that it took twice as long.
const QUIET: Duration = Duration::from_secs(5);
/// Pages that make the sample.
const SAMPLE_PAGES: u32 = 10;
/// Keys of each mapping that are kept of it.
const KEPT: usize = 200;
/// Prefixes that are told apart in it.
const PREFIXES: usize = 1000;

/// What the first pages of a database hold.
pub(super) struct Survey {
    source: RedisSource,
    /// The mappings that read it.
    sets: Vec<(String, KeySet)>,
    /// Which of them are switched off.
    off: Vec<bool>,
    sample: Sample,
}

/// Keys of a sample.
#[derive(Default)]
struct Sample {
    looked: u64,
    /// Some that each mapping takes, in the order of the mappings.
    taken: Vec<Vec<RedisKey>>,
    /// How many look like a mapping's behind a prefix, by mapping and prefix.
    prefixed: BTreeMap<(String, String), (Prefixed, u64)>,
    /// How many more do, by mapping, behind prefixes that there was no room for.
    unnamed: BTreeMap<String, u64>,
}

impl Sample {
    fn note(&mut self, prefixed: Prefixed) {
        let named = (prefixed.mapping().to_owned(), prefixed.begins().to_owned());
        if self.prefixed.len() >= PREFIXES && !self.prefixed.contains_key(&named) {
            *self.unnamed.entry(named.0).or_default() += 1;
        } else {
            self.prefixed.entry(named).or_insert((prefixed, 0)).1 += 1;
        }
    }
}

impl Survey {
    fn new(source: &RedisSource, on: Vec<(&MappingSpec, KeySet, bool)>) -> Self {
        let off = on.iter().map(|(_, _, off)| *off).collect();
        let sets: Vec<_> = on.into_iter().map(|(spec, set, _)| (spec.name.clone(), set)).collect();
        let sample = Sample { taken: vec![Vec::new(); sets.len()], ..Sample::default() };
        Self { source: source.clone(), sets, off, sample }
    }

    /// The database.
    pub(super) fn source(&self) -> &RedisSource {
        &self.source
    }

    /// How many keys were looked at.
    pub(super) fn looked(&self) -> u64 {
        self.sample.looked
    }

    /// Keys of the sample that the mapping takes.
    pub(super) fn taken_by(&self, mapping: &str) -> &[RedisKey] {
        let place = self.sets.iter().position(|(name, _)| name == mapping);
        place.and_then(|place| self.sample.taken.get(place)).map_or(&[], Vec::as_slice)
    }

    /// A key that some mapping takes.
    pub(super) fn example(&self) -> Option<&RedisKey> {
        self.sample.taken.iter().find_map(|keys| keys.first())
    }

    /// What looks like a mapping's behind a prefix, and how many keys do, the most first.
    pub(super) fn prefixed(&self) -> Vec<&(Prefixed, u64)> {
        let mut all: Vec<_> = self.sample.prefixed.values().collect();
        all.sort_by_key(|(_, keys)| std::cmp::Reverse(*keys));
        all
    }

    /// How many more keys look like this mapping's, behind prefixes that were not kept apart.
    pub(super) fn unnamed(&self, mapping: &str) -> u64 {
        self.sample.unnamed.get(mapping).copied().unwrap_or(0)
    }

    /// Whether a mapping that is on takes the key; what it tells goes into the sample.
    fn look(&mut self, key: &RedisKey) -> bool {
        self.sample.looked += 1;
        if let Some(place) = self.sets.iter().position(|(_, set)| set.matches(key.as_bytes())) {
            if let Some(keys) = self.sample.taken.get_mut(place).filter(|keys| keys.len() < KEPT) {
                keys.push(key.detached());
            }
            return !self.is_off(place);
        }
        // Named in an `exclude`: it is known what it is.
        if !self.sets.iter().any(|(_, set)| set.miss(key.as_bytes()) == Some(Miss::Excluded))
            && let Some(prefixed) = Prefixed::find(key, &self.sets)
        {
            self.sample.note(prefixed);
        }
        false
    }

    /// Whether a mapping that is on takes the key.
    fn takes(&self, key: &RedisKey) -> bool {
        let mut sets = self.sets.iter().enumerate();
        sets.any(|(place, (_, set))| !self.is_off(place) && set.matches(key.as_bytes()))
    }

    fn is_off(&self, place: usize) -> bool {
        self.off.get(place).copied().unwrap_or(false)
    }
}

/// Looks for a key that some mapping takes, and at the first pages of every database. Where matches are rare, all keys may
/// have to be listed. Ends early at a stop. `surveys` gets what was seen, however it ends.
///
/// # Errors
/// There is no such key; says which families of keys there are.
pub(super) async fn all(
    databases: &[Opened],
    settings: &Settings,
    (specs, own): (&[MappingSpec], u8),
    stop: &Stop,
    events: &EventSender,
    surveys: &mut Vec<Survey>,
) -> Result<(), Failure> {
    let mut found = false;
    for Opened { database, source, .. } in databases {
        let here = specs.iter().filter(|spec| spec.databases.has(database.number, own));
        let is_off = |spec: &MappingSpec| settings.phases.skip.contains(&spec.name);
        let sets: Vec<_> = here.filter_map(|spec| Some((spec, KeySet::parse(spec).ok()?, is_off(spec)))).collect();
        if sets.iter().all(|(_, _, off)| *off) {
            continue;
        }
        surveys.push(Survey::new(source, sets));
        if let Some(survey) = surveys.last_mut() {
            found |= search(source.scan(None), survey, !found, stop, (events, QUIET)).await?;
        }
        if stop.requested() {
            return Ok(());
        }
    }
    if found { Ok(()) } else { Err(nothing(surveys, settings).await?) }
}

/// Whether some key is taken: one of the sample, or if `further` of all keys.
async fn search(
    mut scan: impl Scan,
    survey: &mut impl Looks,
    further: bool,
    stop: &Stop,
    (events, mut quiet): (&EventSender, Duration),
) -> Result<bool, Failure> {
    let (since, mut seen, mut pages, mut found) = (Instant::now(), 0_usize, 0, false);
    loop {
        let page = match scan.next().await {
            Ok(Some(page)) => page,
            Ok(None) => break,
            // Keys that cannot be listed to their end are the run's affair, which loads those that can.
            Err(_) if found => break,
            Err(failure) => return Err(failure),
        };
        pages += 1;
        if pages <= SAMPLE_PAGES {
            page.keys.iter().for_each(|key| found |= survey.look(key));
        } else {
            found = found || page.keys.iter().any(|key| survey.takes(key));
        }
        if stop.requested() || pages >= SAMPLE_PAGES && (found || !further) {
            break;
        }
        seen += page.keys.len();
        if since.elapsed() >= quiet {
            quiet = since.elapsed() * 2;
            let text = format!("looking for a key that a mapping takes: {seen} keys seen");
            tracing::info!("{text}");
            let _ = events.send(Event::Notice(text)).await;
        }
    }
    Ok(found)
}

/// What looks at keys.
trait Looks {
    /// Looks at a key of the sample; whether it is taken.
    fn look(&mut self, key: &RedisKey) -> bool;
    /// Whether a further key is taken.
    fn takes(&self, key: &RedisKey) -> bool;
}

impl Looks for Survey {
    fn look(&mut self, key: &RedisKey) -> bool {
        Self::look(self, key)
    }

    fn takes(&self, key: &RedisKey) -> bool {
        Self::takes(self, key)
    }
}

/// Why there is nothing to move.
async fn nothing(surveys: &[Survey], settings: &Settings) -> Result<Failure, Failure> {
    if surveys.is_empty() {
        let why = "phases.skip switches every mapping off";
        return Ok(Failure::usage(Side::Settings, why, "Leave one of them on."));
    }
    let only = settings.run.keys.as_ref().map(|keys| format!(" and --keys {keys}")).unwrap_or_default();
    let mut said = Vec::new();
    for survey in surveys {
        let on = survey.sets.iter().enumerate().filter(|(place, _)| !survey.is_off(*place));
        let wanted: Vec<&str> = on.flat_map(|(_, (_, set))| set.patterns().map(Pattern::text)).collect();
        let (source, wanted) = (&survey.source, wanted.join(", "));
        said.push(format!("no key in {} matches {wanted}{only}; {}", source.display(), families(source).await?));
    }
    let prefixed = surveys.iter().find_map(|survey| survey.prefixed().first().map(|(prefixed, _)| prefixed));
    let hint = "Check the database number, a prefix before the keys, and --keys; --allow-empty makes this no error.";
    let hint = prefixed.map_or_else(|| hint.to_owned(), |prefixed| format!("{} {hint}", prefixed.hint(false)));
    Ok(Failure::usage(Side::Redis, said.join("; "), hint))
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
    use super::{Looks, search};
    use crate::flow::{Level, Stop};
    use crate::model::{Event, Failure, RedisKey};
    use crate::source::{Scan, ScanPage};
    use std::time::Duration;
    use tokio::sync::mpsc;

    const LONG: Duration = Duration::from_secs(60);

    /// A key a page: `a` over and over, and `b` as the last.
    struct Pages(u32);

    impl Scan for Pages {
        async fn next(&mut self) -> Result<Option<ScanPage>, Failure> {
            let Some(left) = self.0.checked_sub(1) else { return Ok(None) };
            self.0 = left;
            let keys = vec![RedisKey::new(if left == 0 { "b" } else { "a" })];
            Ok(Some(ScanPage { epoch: 0, number: 0, keys, resume_cursor: "1".into() }))
        }

        fn server_run_id(&self) -> Option<&str> {
            None
        }
    }

    /// Takes one key; counts what it looked at.
    struct Taker(&'static [u8], u32);

    impl Looks for Taker {
        fn look(&mut self, key: &RedisKey) -> bool {
            self.1 += 1;
            self.takes(key)
        }

        fn takes(&self, key: &RedisKey) -> bool {
            key.as_bytes() == self.0
        }
    }

    #[tokio::test]
    async fn a_search_that_takes_long_says_how_many_keys_it_saw() {
        let (events, mut told) = mpsc::channel(64);
        let found = search(Pages(20), &mut Taker(b"b", 0), true, &Stop::new(), (&events, Duration::ZERO)).await;
        assert!(matches!(found, Ok(true)));
        let Ok(Event::Notice(text)) = told.try_recv() else { panic!("nothing was said") };
        assert_eq!(text, "looking for a key that a mapping takes: 1 keys seen");
        let found = search(Pages(20), &mut Taker(b"c", 0), true, &Stop::new(), (&events, LONG)).await;
        assert!(matches!(found, Ok(false)));
        while let Ok(event) = told.try_recv() {
            assert!(matches!(event, Event::Notice(text) if text.contains("keys seen")));
        }
    }

    #[tokio::test]
    async fn a_sample_is_looked_at_even_where_the_first_key_is_taken_and_not_more_than_that() {
        let (events, _told) = mpsc::channel(16);
        for (takes, further, expected) in [(&b"a"[..], true, true), (b"b", false, false), (b"b", true, true)] {
            let mut taker = Taker(takes, 0);
            let found = search(Pages(30), &mut taker, further, &Stop::new(), (&events, LONG)).await;
            assert_eq!((found.ok(), taker.1), (Some(expected), 10));
        }
    }

    #[tokio::test]
    async fn a_stop_ends_the_search() {
        let (events, _told) = mpsc::channel(16);
        let stop = Stop::new();
        stop.raise(Level::Drain);
        let found = search(Pages(20), &mut Taker(b"b", 0), true, &stop, (&events, LONG)).await;
        assert!(matches!(found, Ok(false)));
    }
}
