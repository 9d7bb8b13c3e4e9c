//! The books: a tally for each mapping and in total, with timings, from the events of a run. No I/O, no clock of its
//! own: each event comes with its time.

use crate::model::{Event, MappingId, Tally, Unmatched};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Notices that are kept for the report; the log has all of them.
const NOTICES_KEPT: usize = 100;

/// What one stage of the pipeline got through.
#[derive(Clone, Debug, Default)]
pub struct Stage {
    /// Keys (scan) or sightings with an outcome (load); 0 where the stage counts bytes alone.
    pub items: u64,
    /// Bytes; 0 where the stage counts items alone.
    pub bytes: u64,
    last: Option<Instant>,
}

impl Stage {
    fn note(&mut self, items: u64, bytes: u64, now: Instant) {
        self.items += items;
        self.bytes += bytes;
        self.last = Some(now);
    }

    /// From the start of the run to the last thing that the stage did.
    pub fn time_since(&self, start: Instant) -> Duration {
        self.last.map_or(Duration::ZERO, |last| last.saturating_duration_since(start))
    }
}

/// What this attempt at a run did for a mapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Sightings that it gave an outcome; those of earlier attempts are in the tally alone.
    pub settled: u64,
    /// Bytes sent to PostgreSQL.
    pub bytes: u64,
    /// From the mapping's first event to its last.
    pub time: Duration,
}

/// One pass over the keyspace.
#[derive(Clone, Debug)]
pub struct Phase {
    /// Its number, from 1.
    pub number: u32,
    /// The mappings that it loads.
    pub mappings: Vec<MappingId>,
    /// How many keys it looks at, where that is known.
    pub expected: Option<u64>,
    /// Keys looked at so far.
    pub scanned: u64,
    /// When it began.
    pub started: Instant,
    /// When it ended; `None` while it runs, or where the run ended in it.
    pub ended: Option<Instant>,
}

/// What was counted for one mapping.
#[derive(Clone, Debug, Default)]
struct Account {
    tally: Tally,
    /// Of this attempt; a second try that takes rejects back counts below zero.
    settled: i64,
    bytes: u64,
    first: Option<Instant>,
    last: Option<Instant>,
}

/// Everything that a run counted.
#[derive(Clone, Debug)]
pub struct Books {
    run: Option<String>,
    resumed: bool,
    names: Arc<[String]>,
    accounts: Vec<Account>,
    unmatched: Unmatched,
    phases: Vec<Phase>,
    scan: Stage,
    read: Stage,
    load: Stage,
    in_flight: u64,
    in_flight_max: u64,
    notices: Vec<String>,
    notices_left_out: u64,
    started: Instant,
    now: Instant,
}

impl Books {
    /// Empty books, opened at `now`.
    pub fn new(now: Instant) -> Self {
        Self {
            run: None,
            resumed: false,
            names: Arc::new([]),
            accounts: Vec::new(),
            unmatched: Unmatched::default(),
            phases: Vec::new(),
            scan: Stage::default(),
            read: Stage::default(),
            load: Stage::default(),
            in_flight: 0,
            in_flight_max: 0,
            notices: Vec::new(),
            notices_left_out: 0,
            started: now,
            now,
        }
    }

    /// Books one event that happened at `now`.
    pub fn apply(&mut self, event: &Event, now: Instant) {
        self.now = self.now.max(now);
        match event {
            Event::RunStarted { run, mappings, resumed } => {
                self.run = Some(run.clone());
                self.names = mappings.clone();
                self.resumed = *resumed;
                if self.accounts.len() < mappings.len() {
                    self.accounts.resize_with(mappings.len(), Account::default);
                }
            }
            Event::PhaseStarted { phase, mappings, expected } => self.phases.push(Phase {
                number: *phase,
                mappings: mappings.clone(),
                expected: *expected,
                scanned: 0,
                started: now,
                ended: None,
            }),
            Event::Listed { matched, scanned } => self.listed(matched, *scanned, now),
            Event::Unread { mapping, keys } => {
                let account = self.account(*mapping, now);
                account.tally.scanned -= signed(*keys);
                account.tally.matched -= signed(*keys);
            }
            Event::Unmatched(unmatched) => self.unmatched.add((**unmatched).clone()),
            Event::Read { bytes } => self.read.note(0, *bytes, now),
            Event::Settled { mapping, tally, bytes, .. } => {
                self.load.note(u64::try_from(tally.settled()).unwrap_or(0), *bytes, now);
                let account = self.account(*mapping, now);
                account.tally.add(tally);
                account.settled += tally.settled();
                account.bytes += bytes;
            }
            // No speed of this attempt: the stages and the work of the mapping say nothing of it.
            Event::Earlier { mapping, tally } => self.account(*mapping, now).tally.add(tally),
            Event::InFlight { bytes } => {
                self.in_flight = *bytes;
                self.in_flight_max = self.in_flight_max.max(*bytes);
            }
            Event::PhaseEnded { phase } => {
                if let Some(phase) = self.phases.iter_mut().rev().find(|known| known.number == *phase) {
                    phase.ended = Some(now);
                }
            }
            Event::Notice(text) if self.notices.len() < NOTICES_KEPT => self.notices.push(text.clone()),
            Event::Notice(_) => self.notices_left_out += 1,
        }
    }

    fn listed(&mut self, matched: &[(MappingId, u64)], scanned: u64, now: Instant) {
        self.scan.note(scanned, 0, now);
        if let Some(phase) = self.phases.last_mut() {
            phase.scanned += scanned;
        }
        for (mapping, count) in matched {
            let account = self.account(*mapping, now);
            account.tally.scanned += signed(*count);
            account.tally.matched += signed(*count);
        }
    }

    fn account(&mut self, mapping: MappingId, now: Instant) -> &mut Account {
        let index = usize::from(mapping.0);
        if self.accounts.len() <= index {
            self.accounts.resize_with(index + 1, Account::default);
        }
        let account = &mut self.accounts[index];
        account.first.get_or_insert(now);
        account.last = Some(now);
        account
    }

    /// The run's id, once it has one.
    pub fn run(&self) -> Option<&str> {
        self.run.as_deref()
    }

    /// Whether the run went on with an earlier one.
    pub fn resumed(&self) -> bool {
        self.resumed
    }

    /// A mapping's name; `mapping N` for one that was never announced.
    pub fn name(&self, mapping: MappingId) -> String {
        self.names.get(usize::from(mapping.0)).cloned().unwrap_or_else(|| format!("mapping {}", mapping.0))
    }

    /// The mappings, in order.
    pub fn mappings(&self) -> impl Iterator<Item = MappingId> + '_ {
        (0..self.accounts.len()).filter_map(|index| u16::try_from(index).ok()).map(MappingId)
    }

    /// One mapping's tally; `None` for one that was never heard of.
    pub fn tally(&self, mapping: MappingId) -> Option<&Tally> {
        self.accounts.get(usize::from(mapping.0)).map(|account| &account.tally)
    }

    /// What this attempt did for a mapping.
    pub fn work(&self, mapping: MappingId) -> Work {
        self.accounts.get(usize::from(mapping.0)).map_or_else(Work::default, |account| {
            let time = account.first.zip(account.last).map(|(first, last)| last.saturating_duration_since(first));
            let settled = u64::try_from(account.settled).unwrap_or(0);
            Work { settled, bytes: account.bytes, time: time.unwrap_or_default() }
        })
    }

    /// The tally of the whole run.
    pub fn total(&self) -> Tally {
        let unmatched = signed(self.unmatched.keys);
        let mut total = Tally { scanned: unmatched, unmatched, ..Tally::default() };
        for account in &self.accounts {
            total.add(&account.tally);
        }
        total
    }

    /// The keys that no mapping took; none while the run goes on.
    pub fn unmatched(&self) -> &Unmatched {
        &self.unmatched
    }

    /// Whether every sighting of every mapping has exactly one outcome. False while a run goes on, or was stopped.
    pub fn balance(&self) -> bool {
        self.accounts.iter().all(|account| account.tally.balances())
    }

    /// The phases so far.
    pub fn phases(&self) -> &[Phase] {
        &self.phases
    }

    /// Scan, read and load, by name.
    pub fn stages(&self) -> [(&'static str, &Stage); 3] {
        [("scan", &self.scan), ("read", &self.read), ("load", &self.load)]
    }

    /// Bytes in flight now, and the most there were.
    pub fn in_flight(&self) -> (u64, u64) {
        (self.in_flight, self.in_flight_max)
    }

    /// The first hundred notices, and how many more there were.
    pub fn notices(&self) -> (&[String], u64) {
        (&self.notices, self.notices_left_out)
    }

    /// When the books were opened.
    pub fn started(&self) -> Instant {
        self.started
    }

    /// From the opening of the books to the last event.
    pub fn elapsed(&self) -> Duration {
        self.now.saturating_duration_since(self.started)
    }

    /// Lets time pass without an event.
    pub fn pass(&mut self, now: Instant) {
        self.now = self.now.max(now);
    }
}

/// `count` a second; 0 where no time has passed.
pub(super) fn rate(count: u64, time: Duration) -> f64 {
    let seconds = time.as_secs_f64();
    // Counts beyond 2^53 would lose digits that no rate needs.
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{Books, Work};
    use crate::model::{Event, MappingId, RedisKey, Tally, Unmatched};
    use std::time::{Duration, Instant};

    fn settled(mapping: u16, tally: Tally) -> Event {
        Event::Settled { mapping: MappingId(mapping), tally, bytes: 100, pending: 0 }
    }

    #[test]
    fn books_balance_exactly_when_every_sighting_has_an_outcome() {
        let start = Instant::now();
        let mut books = Books::new(start);
        let names = ["documents".to_owned(), "sessions".to_owned()];
        books.apply(&Event::RunStarted { run: "r1".into(), mappings: names.into(), resumed: false }, start);
        books.apply(&Event::PhaseStarted { phase: 1, mappings: vec![MappingId(0)], expected: Some(9) }, start);
        let listed = Event::Listed { matched: vec![(MappingId(0), 3)], scanned: 9 };
        books.apply(&listed, start);
        books.apply(&settled(0, Tally { inserted: 2, ..Tally::default() }), start);
        assert!(!books.balance(), "one of three has no outcome");
        let mut rejected = Tally::default();
        rejected.reject("json_syntax");
        books.apply(&settled(0, rejected), start + Duration::from_secs(2));
        assert!(books.balance());
        let listed = Event::Listed { matched: vec![(MappingId(1), 2)], scanned: 9 };
        books.apply(&listed, start + Duration::from_secs(3));
        let keys = ["a", "b", "c", "d"].map(RedisKey::new);
        let unmatched = Unmatched::count(keys.iter().map(|key| (key, false)));
        books.apply(&Event::Unmatched(Box::new(unmatched)), start);
        assert!(!books.balance(), "sessions are open");
        books.apply(&settled(1, Tally { unchanged: 2, ..Tally::default() }), start + Duration::from_secs(4));
        assert!(books.balance());

        let total = books.total();
        assert!(total.balances());
        assert_eq!((total.scanned, total.matched, total.unmatched, total.rejects()), (9, 5, 4, 1));
        assert_eq!(books.work(MappingId(0)), Work { settled: 3, bytes: 200, time: Duration::from_secs(2) });
        assert_eq!(books.phases()[0].scanned, 18);
        assert_eq!(books.elapsed(), Duration::from_secs(4));
    }

    #[test]
    fn what_earlier_attempts_settled_is_in_the_tally_and_in_no_speed() {
        let now = Instant::now();
        let mut books = Books::new(now);
        books.apply(&Event::Listed { matched: vec![(MappingId(0), 7)], scanned: 0 }, now);
        let tally = Tally { inserted: 7, ..Tally::default() };
        books.apply(&Event::Earlier { mapping: MappingId(0), tally }, now);
        books.apply(&Event::Listed { matched: vec![(MappingId(0), 2)], scanned: 2 }, now);
        books.apply(&settled(0, Tally { inserted: 2, ..Tally::default() }), now + Duration::from_secs(1));
        assert_eq!(books.total().inserted, 9);
        assert_eq!(books.work(MappingId(0)).settled, 2);
        assert_eq!(books.stages()[2].1.items, 2);
        assert!(books.balance());
    }

    #[test]
    fn an_outcome_on_the_wrong_mapping_is_not_balanced_by_the_total() {
        let now = Instant::now();
        let mut books = Books::new(now);
        books.apply(&Event::Listed { matched: vec![(MappingId(0), 1), (MappingId(1), 1)], scanned: 2 }, now);
        books.apply(&settled(0, Tally { inserted: 2, ..Tally::default() }), now);
        assert!(books.total().balances());
        assert!(!books.balance());
    }

    #[test]
    fn the_most_in_flight_is_kept() {
        let now = Instant::now();
        let mut books = Books::new(now);
        for bytes in [5, 9, 2] {
            books.apply(&Event::InFlight { bytes }, now);
        }
        assert_eq!(books.in_flight(), (2, 9));
    }
}
