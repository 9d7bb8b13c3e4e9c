//! A retry: a run whose keys are the open rejects of another one. What it takes is read from the ledger page by page, and
//! so is the value of a key that has gone from Redis.

use super::link::{Link, Waits};
use super::pipeline::Shared;
use super::setup::Ends;
use crate::config::Settings;
use crate::flow::Stop;
use crate::ledger::{self, KeptValue, OpenKey, Origin, RetryFilter, RetryOf};
use crate::mapping::Mapping;
use crate::model::{Database, Failure, Fetched, MappingId, Record, RedisKey, RedisType, Side, UnixMillis, ValueWanted};
use crate::source::ServerClock;
use sqlx::postgres::PgConnection;
use std::sync::Arc;
use tokio::sync::Mutex;

/// What somebody wants to retry.
#[derive(Clone, Debug, Default)]
pub struct RetryRequest {
    /// The run, or the beginning of its id; `None`: the latest that is no retry.
    pub run: Option<String>,
    /// Which of its open rejects.
    pub filter: RetryFilter,
}

/// The rejects that a run takes. Shared by its stages.
pub(super) struct Retry {
    pub(super) origin: Origin,
    filter: RetryFilter,
    /// The keys that are named and have no open reject.
    pub(super) unheld: Vec<RedisKey>,
    /// The last reject that there was when the retry began: what it finds itself it does not take.
    until: i64,
    link: Mutex<Link>,
}

/// The open rejects of one database, page by page.
pub(super) struct OpenKeys {
    retry: Arc<Retry>,
    database: Database,
    after: i64,
}

impl Retry {
    /// Finds the run that is meant. `link` is the run's own; reading beside the load takes a connection more.
    ///
    /// # Errors
    /// There is no such run, or somebody is at work on it.
    pub(super) async fn find(
        link: &mut Link,
        (settings, ends): (&Settings, &Ends),
        request: &RetryRequest,
        stop: &Stop,
    ) -> Result<Self, Failure> {
        for (name, given) in
            [("run.keys", settings.run.keys.is_some()), ("run.keys_from", settings.run.keys_from.is_some())]
        {
            if given {
                let message = format!("{name} is of runs that list Redis; a retry takes the keys of rejects");
                return Err(Failure::usage(Side::Settings, message, "Name the keys: redis2pg rejects retry KEY …"));
            }
        }
        let there = async |connection: &mut PgConnection| ledger::exists(connection).await;
        if !link.read("looking for the ledger", there).await? {
            return Err(super::ledger::without_ledger());
        }
        let wanted = request.run.as_deref();
        if let Some(id) = wanted {
            let named = async |connection: &mut PgConnection| ledger::runs_named(connection, id).await;
            super::ledger::names_one(id, &link.read("looking for the run to retry", named).await?)?;
        }
        let find = async |connection: &mut PgConnection| ledger::origin(connection, wanted).await;
        let origin = link.read("looking for the run to retry", find).await?;
        let origin = origin.ok_or_else(|| super::ledger::no_such_run(wanted))?;
        if origin.is_alive {
            let message = format!("run {} is still at work: its rejects are its own until it ends", origin.of.run);
            let hint = "Wait for it, or stop it. After a crash its lease ends by itself within flow.lease.";
            return Err(Failure::usage(Side::Postgres, message, hint));
        }
        if origin.is_undone {
            let message =
                format!("run {} is rolled back: its rejects are taken with their keys by a new run", origin.of.run);
            return Err(Failure::usage(
                Side::Postgres,
                message,
                "Start a run; `rejects show` and `export` still read them.",
            ));
        }
        let run = origin.of.run;
        let mut filter = request.filter.clone();
        let ask = async |link: &mut Link, filter: &RetryFilter| {
            let unheld = async |connection: &mut PgConnection| ledger::unheld(connection, run, filter).await;
            link.read("reading the rejects", unheld).await
        };
        let mut unheld = ask(link, &filter).await?;
        if filter.read_printed(&unheld.keys) {
            unheld = ask(link, &filter).await?;
        }
        for (what, named, held) in [
            ("the reason", &request.filter.reason, unheld.has_reason),
            ("the mapping", &request.filter.mapping, unheld.has_mapping),
        ] {
            if let Some(name) = named.as_ref().filter(|_| !held) {
                let message = format!("run {run} has no rejects of {what} {name}");
                let hint = format!("See `redis2pg rejects list --run {run}`.");
                return Err(Failure::usage(Side::Settings, message, hint));
            }
        }
        let last = async |connection: &mut PgConnection| ledger::last_reject(connection, run).await;
        let until = link.read("reading the rejects", last).await?;
        let beside = Link::anew(ends.target.clone(), Waits::new(settings), stop.clone());
        Ok(Self { origin, filter, unheld: unheld.keys, until, link: Mutex::new(beside) })
    }

    /// The run whose rejects these are.
    pub(super) fn of(&self) -> RetryOf {
        self.origin.of
    }

    /// How many open rejects it takes, and how many there are in all.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn open(&self) -> Result<(i64, i64), Failure> {
        let taken = self.count(&self.filter).await?;
        let all = RetryFilter::default();
        Ok((taken, if self.filter.is_partial() { self.count(&all).await? } else { taken }))
    }

    /// How many are of keys in other databases than these.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn elsewhere(&self, databases: &[Database]) -> Result<i64, Failure> {
        let (of, mut link) = (self.of(), self.link.lock().await);
        let count = async |connection: &mut PgConnection| ledger::open_elsewhere(connection, of, databases).await;
        link.read("counting the open rejects", count).await
    }

    async fn count(&self, filter: &RetryFilter) -> Result<i64, Failure> {
        let (run, mut link) = (self.of().run, self.link.lock().await);
        let count = async |connection: &mut PgConnection| ledger::open_count(connection, run, filter).await;
        link.read("counting the open rejects", count).await
    }

    /// The open rejects of a database.
    pub(super) fn keys(self: &Arc<Self>, database: Database) -> OpenKeys {
        OpenKeys { retry: self.clone(), database, after: 0 }
    }

    /// Looks for what the ledger kept of keys that have gone from Redis: as many from their front as fit in `max_bytes`, at
    /// least one. A key whose value was not kept, or not as its mapping wants it now, has gone.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn kept(
        &self,
        (mapping, database): (&Mapping, Database),
        keys: &[RedisKey],
        max_bytes: usize,
        clock: Option<ServerClock>,
    ) -> Result<Vec<Fetched>, Failure> {
        let max_bytes = i64::try_from(max_bytes).unwrap_or(i64::MAX);
        let kept = self.kept_values(database, keys, max_bytes).await?;
        let now = clock.map(|clock| clock.now());
        let fetched = keys.iter().zip(kept).map(|(key, kept)| {
            kept.and_then(|kept| record(key, kept, mapping, now)).unwrap_or_else(|| Fetched::Gone(key.clone()))
        });
        Ok(fetched.collect())
    }

    async fn kept_values(
        &self,
        database: Database,
        keys: &[RedisKey],
        max_bytes: i64,
    ) -> Result<Vec<Option<KeptValue>>, Failure> {
        let mut link = self.link.lock().await;
        let mut backoff = link.backoff();
        loop {
            let attempt = async {
                let mut connection = link.take().await?;
                let of = (self.of(), database);
                let read = link.answer(ledger::kept_values(&mut connection, of, keys, max_bytes)).await?;
                link.keep(connection);
                Ok(read)
            };
            match attempt.await {
                Ok(read) => return Ok(read),
                Err(error) => link.wait(&mut backoff, "reading values kept with rejects", error).await?,
            }
        }
    }

    async fn page(&self, database: Database, after: i64, most: i64) -> Result<Vec<OpenKey>, Failure> {
        let mut link = self.link.lock().await;
        let mut backoff = link.backoff();
        loop {
            let attempt = async {
                let mut connection = link.take().await?;
                let (of, between) = ((self.of(), database), (after, self.until));
                let page = ledger::open_page(&mut connection, of, &self.filter, between, most);
                let page = link.answer(page).await?;
                link.keep(connection);
                Ok(page)
            };
            match attempt.await {
                Ok(page) => return Ok(page),
                Err(error) => link.wait(&mut backoff, "reading the open rejects", error).await?,
            }
        }
    }

    /// The same for what was read of some keys: what has gone is looked for here. Ends before the first that does not fit.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn fill<S>(
        &self,
        shared: &Shared<S>,
        mapping: MappingId,
        mut records: Vec<Fetched>,
        max_bytes: usize,
    ) -> Result<Vec<Fetched>, Failure> {
        let is_gone = |fetched: &Fetched| matches!(fetched, Fetched::Gone(_));
        let gone: Vec<RedisKey> = records.iter().filter(|fetched| is_gone(fetched)).map(|f| f.key().clone()).collect();
        if gone.is_empty() {
            return Ok(records);
        }
        let of = (shared.plan.mapping(mapping), shared.database);
        let mut kept = self.kept(of, &gone, max_bytes, shared.clock).await?.into_iter();
        for place in 0..records.len() {
            let Some(fetched) = records.get_mut(place).filter(|fetched| is_gone(fetched)) else { continue };
            match kept.next() {
                Some(kept) => *fetched = kept,
                None => {
                    records.truncate(place);
                    break;
                }
            }
        }
        Ok(records)
    }
}

impl OpenKeys {
    /// The next keys, at most so many; none after the last.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn next_page(&mut self, most: usize) -> Result<Option<Vec<RedisKey>>, Failure> {
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let page = self.retry.page(self.database, self.after, most).await?;
        let Some(last) = page.last() else { return Ok(None) };
        self.after = last.id;
        Ok(Some(page.into_iter().map(|open| open.key).collect()))
    }
}

/// What was kept, as if it had been read; `None` where it is not what the mapping wants.
fn record(key: &RedisKey, kept: KeptValue, mapping: &Mapping, now: Option<UnixMillis>) -> Option<Fetched> {
    let KeptValue { redis_type, value, expires_at, mut facts, is_whole } = kept;
    let (redis_type, wanted) = (RedisType::named(&redis_type), mapping.wanted());
    // An older ledger does not say whether the value is all of it, or an element.
    let certain = is_whole || redis_type.is_whole() && !mapping.explodes();
    if !certain || !wanted.types.has(redis_type) || wanted.dump && facts.dump.is_none() {
        return None;
    }
    facts.without_value = match wanted.value {
        ValueWanted::Always if facts.without_value => return None,
        ValueWanted::Never => true,
        _ => facts.without_value,
    };
    let value = value.or_else(|| facts.without_value.then(bytes::Bytes::new))?;
    facts.ttl = expires_at.zip(now).map(|(at, now)| at.saturating_sub(now).max(0)).filter(|_| wanted.ttl);
    // The time left is that of now, not that of the reading.
    if let Some(fields) = facts.fields.as_mut().filter(|fields| fields.now.is_some()) {
        fields.now = now.or(fields.now);
    }
    let facts = Some(Arc::new(facts));
    Some(Fetched::Record(Record { key: key.clone(), redis_type, value, stored: None, slice: None, expires_at, facts }))
}
