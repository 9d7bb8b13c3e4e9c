//! Listing: pages of keys, each key given to its mapping. Keys of later phases are set aside, so that one scan serves
//! all phases where they fit.

use super::partition::worker;
use super::sample::Sample;
use super::{PassEnd, Shared, contains, unmatched};
use crate::flow::{KeyReader, KeySpill, PagePart, Watermark};
use crate::job::key_list::KeyLines;
use crate::job::retry::OpenKeys;
use crate::mapping::Plan;
use crate::model::{Event, Failure, MappingId, RedisKey, Side, SkipReason, Tally};
use crate::source::{Scan, Source};
use std::collections::HashMap;
use tokio::sync::mpsc;

/// Keys a page, where no server says how many.
const PAGE: usize = 1000;

/// Where keys come from.
pub(in crate::job) enum Listing<C> {
    /// SCAN.
    Scan(C),
    /// A file with a key a line.
    File(KeyLines),
    /// Keys that an earlier phase set aside.
    SetAside(KeyReader),
    /// The open rejects of another run.
    Rejects(OpenKeys),
}

/// Which keys of a listing this pass takes.
pub(in crate::job) struct Scope {
    /// The mappings of this phase.
    pub(in crate::job) now: Vec<MappingId>,
    /// The mappings of later phases.
    pub(in crate::job) later: Vec<MappingId>,
    /// Mappings that are switched off: nothing takes their keys.
    pub(in crate::job) off: Vec<MappingId>,
    /// At most so many keys of each mapping.
    pub(in crate::job) limit: Option<u64>,
    /// The keys that it takes among those of its mappings; the others are as if they were not there.
    pub(in crate::job) sample: Sample,
    /// Where keys of later phases go.
    pub(in crate::job) spill: Option<KeySpill>,
}

/// Keys by the mapping that takes them.
type ByMapping = Vec<(MappingId, Vec<RedisKey>)>;

/// The keys of one page that this pass takes, as far as they go through one lane.
pub(super) struct Listed {
    pub(super) part: PagePart,
    pub(super) epoch: u32,
    pub(super) keys: ByMapping,
}

struct Page {
    epoch: u32,
    number: u64,
    keys: Vec<(Option<MappingId>, RedisKey)>,
    next_cursor: String,
}

pub(super) async fn run<S: Source>(
    shared: Shared<S>,
    mut listing: Listing<S::Scan>,
    mut scope: Scope,
    watermark: Watermark,
    lanes: Vec<mpsc::Sender<Listed>>,
) -> Result<PassEnd, Failure> {
    let mut number = 0;
    let mut taken = HashMap::new();
    let mut epoch = None;
    loop {
        if shared.stop.requested() {
            return Ok(PassEnd { complete: false, set_aside: None });
        }
        let Some(page) = next_page(&shared, &mut listing, &mut number).await? else {
            return Ok(PassEnd { complete: true, set_aside: scope.spill.filter(|spill| !spill.overflowed()) });
        };
        if epoch.is_some_and(|epoch| epoch != page.epoch) {
            // What was set aside came from a keyspace that is no more: the later phases scan for themselves.
            scope.spill = None;
        }
        epoch = Some(page.epoch);
        if let Listing::Scan(scan) = &listing {
            watermark.enter(page.epoch, scan.server_run_id());
        }
        let place = (page.epoch, page.number);
        let (scanned, next_cursor) = (page.keys.len() as u64, page.next_cursor.clone());
        let Sorted { keys, unmatched, excluded } = sort(page, &mut scope, &mut taken);
        let unmatched = unmatched::count(&shared.plan, &scope.off, &unmatched);
        let part = watermark.page(place, next_cursor, unmatched);
        let matched = (keys.iter().map(|(mapping, keys)| (*mapping, keys.len() as u64)))
            .chain(excluded.iter().map(|(mapping, count)| (*mapping, *count)))
            .collect();
        let _ = shared.events.send(Event::Listed { matched, scanned }).await;
        for (mapping, count) in excluded {
            let mut tally = Tally::default();
            tally.skip(SkipReason::Excluded.code(), i64::try_from(count).unwrap_or(i64::MAX));
            let _ = shared.events.send(Event::Settled { mapping, tally, bytes: 0, pending: 0 }).await;
        }
        for (lane, keys) in lanes.iter().zip(by_lane(keys, lanes.len())).filter(|(_, keys)| !keys.is_empty()) {
            if lane.send(Listed { part: part.split(), epoch: place.0, keys }).await.is_err() {
                return Ok(PassEnd { complete: false, set_aside: None });
            }
        }
        // What came of the page travels in the lanes; nothing is left here.
        part.settle();
        if full(&scope, &taken) {
            return Ok(PassEnd { complete: true, set_aside: None });
        }
    }
}

async fn next_page<S: Source>(
    shared: &Shared<S>,
    listing: &mut Listing<S::Scan>,
    number: &mut u64,
) -> Result<Option<Page>, Failure> {
    let keys = match listing {
        Listing::Scan(scan) => {
            let Some(page) = scan.next().await? else { return Ok(None) };
            let keys = classify(&shared.plan, page.keys)?;
            return Ok(Some(Page { epoch: page.epoch, number: page.number, keys, next_cursor: page.resume_cursor }));
        }
        Listing::File(lines) => lines.next_page(PAGE)?.map(|keys| classify(&shared.plan, keys)).transpose()?,
        Listing::Rejects(open) => open.next_page(PAGE).await?.map(|keys| classify(&shared.plan, keys)).transpose()?,
        Listing::SetAside(keys) => {
            keys.next_page(PAGE)?.map(|page| page.into_iter().map(|(id, key)| (Some(id), key)).collect())
        }
    };
    Ok(keys.map(|keys| {
        *number += 1;
        Page { epoch: 0, number: *number - 1, keys, next_cursor: "0".to_owned() }
    }))
}

/// Gives each key to its mapping.
///
/// # Errors
/// Two mappings take a key, which could not be known before.
fn classify(plan: &Plan, keys: Vec<RedisKey>) -> Result<Vec<(Option<MappingId>, RedisKey)>, Failure> {
    let classify = |key: RedisKey| {
        let mapping = plan.classify(key.as_bytes());
        match mapping.and_then(|mapping| plan.dispute(key.as_bytes(), mapping)) {
            Some(why) => Err(disputed(&key, &why)),
            None => Ok((mapping, key)),
        }
    };
    keys.into_iter().map(classify).collect()
}

#[cold]
fn disputed(key: &RedisKey, why: &str) -> Failure {
    let hint = "Nothing was loaded for this key. Make the patterns exclude each other, or name it in `exclude` of one.";
    Failure::usage(Side::Settings, format!("the key {key} {why}"), hint)
}

/// What a page holds for this pass.
struct Sorted {
    keys: ByMapping,
    /// Keys that no mapping takes, each with whether one would that is switched off.
    unmatched: Vec<(RedisKey, bool)>,
    /// Keys beyond the limit.
    excluded: HashMap<MappingId, u64>,
}

fn sort(page: Page, scope: &mut Scope, taken: &mut HashMap<MappingId, u64>) -> Sorted {
    let mut unmatched = Vec::new();
    let mut excluded = HashMap::new();
    let mut by_mapping = ByMapping::new();
    for (mapping, key) in page.keys {
        if !scope.sample.takes(&key) {
            continue;
        }
        let mapping = match mapping {
            Some(mapping) if !contains(&scope.off, mapping) => mapping,
            off => {
                unmatched.push((key, off.is_some()));
                continue;
            }
        };
        if contains(&scope.now, mapping) {
            let count = taken.entry(mapping).or_default();
            if scope.limit.is_some_and(|limit| *count >= limit) {
                *excluded.entry(mapping).or_default() += 1;
                continue;
            }
            *count += 1;
            match by_mapping.iter_mut().find(|(id, _)| *id == mapping) {
                Some((_, keys)) => keys.push(key),
                None => by_mapping.push((mapping, vec![key])),
            }
        } else if contains(&scope.later, mapping)
            && let Some(spill) = &mut scope.spill
            && !spill.push(mapping, &key)
        {
            scope.spill = None;
        }
    }
    Sorted { keys: by_mapping, unmatched, excluded }
}

/// Shares the keys out among lanes.
fn by_lane(keys: ByMapping, lanes: usize) -> Vec<ByMapping> {
    let mut shares: Vec<ByMapping> = (0..lanes).map(|_| ByMapping::new()).collect();
    for (mapping, keys) in keys {
        let room = keys.len() / lanes.max(1) + 16;
        let mut parts: Vec<Vec<RedisKey>> = (0..lanes).map(|_| Vec::with_capacity(room)).collect();
        for key in keys {
            if let Some(part) = parts.get_mut(worker(key.as_bytes(), lanes)) {
                part.push(key);
            }
        }
        let filled = shares.iter_mut().zip(parts).filter(|(_, part)| !part.is_empty());
        filled.for_each(|(share, part)| share.push((mapping, part)));
    }
    shares
}

fn full(scope: &Scope, taken: &HashMap<MappingId, u64>) -> bool {
    scope.limit.is_some_and(|limit| scope.now.iter().all(|id| taken.get(id).is_some_and(|count| *count >= limit)))
}
