//! The comparison's end: says of each key of a batch what its rows in PostgreSQL are to it. Nothing is written there but the
//! staging table, which the transaction takes back.
//!
//! Expected rows go into a staging table, as a merge would send them, and one statement says what each of them meets
//! (`statements`); what follows from that says `met`. One attempt is one transaction (`attempt`), read-only from the moment that its
//! staging tables are made. Keys that are several rows are put together in `keys`.

mod attempt;
mod keys;
mod met;
mod statements;

use self::attempt::{Attempt, Refused};
use self::keys::OpenKeys;
use super::batch::{Batch, deduplicate, each_once};
use super::table::LoadTable;
use crate::flow::{Backoff, Stop};
use crate::ledger::{self, RetryOf, ShardId};
use crate::model::{
    Class, ClassCounts, ColumnValues, Database, Event, EventSender, Exit, Failure, Group, RedisKey, Reject, Row, Side,
};
use crate::postgres::{CopyBuffer, Target, Verdict, answered, failure, query, silence, verdict};
use crate::sink::ownership::TEXT_SETTINGS;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, Connection, Error, Row as _};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How rows are compared.
#[derive(Clone, Debug)]
pub struct CompareOptions {
    /// Whether columns are compared, beyond whether there is a row.
    pub content: bool,
    /// Whether it is looked for the rows that a row refers to.
    pub relationships: bool,
    /// By how much a time of expiry may be off.
    pub ttl_tolerance: Duration,
    /// Rows of a batch at most whose values are read for people.
    pub shown: usize,
    /// How long a statement waits for a lock.
    pub lock_timeout: Duration,
    /// How long a statement may take; zero: as long as it takes.
    pub statement_timeout: Duration,
    /// How long the server lets a transaction of ours stand idle.
    pub idle_timeout: Duration,
    /// For how long a batch is tried again after errors that may pass.
    pub retry_deadline: Duration,
    /// The role may not make temporary tables: staging tables are made in the ledger's schema.
    pub unlogged_stage: bool,
}

/// One key that is not plainly equal.
#[derive(Clone, Debug)]
pub struct Compared {
    /// The key.
    pub key: RedisKey,
    /// What it is found to be: the worst of its rows.
    pub class: Class,
    /// Its rows by class; one that is not there counts as missing or rejected.
    pub rows: ClassCounts,
    /// A sentence for people; empty where the class says all.
    pub detail: String,
    /// The names of the columns that differ.
    pub columns: Vec<String>,
    /// Their values, where they were read.
    pub values: Vec<ColumnValues>,
    /// How many of its rows are missing as their values would be rejected now. A key of which no row is there has one
    /// all the same, where a row of the run names it.
    pub refused: i64,
}

/// What a batch came to.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Keys that are equal, and their rows.
    pub equal: (i64, i64),
    /// The others.
    pub others: Vec<Compared>,
    /// Keys of the batch that were passed over, by reason.
    pub passed_over: BTreeMap<String, i64>,
}

/// One comparer, with a connection of its own.
pub struct Comparer {
    target: Target,
    tables: Arc<[LoadTable]>,
    options: CompareOptions,
    /// The run whose rejects are known.
    run: RetryOf,
    events: EventSender,
    stop: Stop,
    connection: Option<PgConnection>,
    buffer: CopyBuffer,
    open: OpenKeys,
}

impl Comparer {
    /// Connects with its first batch.
    pub fn new(
        target: Target,
        tables: Arc<[LoadTable]>,
        options: CompareOptions,
        run: RetryOf,
        (events, stop): (EventSender, Stop),
    ) -> Self {
        let (connection, buffer, open) = (None, CopyBuffer::default(), OpenKeys::default());
        Self { target, tables, options, run, events, stop, connection, buffer, open }
    }

    /// Compares a batch.
    ///
    /// # Errors
    /// The server is gone for longer than the retry deadline, or refuses everything.
    pub async fn compare(&mut self, batch: Batch) -> Result<Comparison, Failure> {
        let tables = self.tables.clone();
        let table = tables
            .get(usize::from(batch.mapping.0))
            .ok_or_else(|| Failure::internal("a batch names a mapping that there is not"))?;
        let (database, mut tally) = (batch.database, batch.tally);
        let rejects = each_once(batch.rejects, &mut tally);
        let kept = deduplicate(batch.rows);
        let rows: Vec<Row> = kept.rows.into_iter().chain(kept.rivals).collect();
        let mut comparison = Comparison { passed_over: tally.skipped, ..Comparison::default() };
        for (rows, found) in self.look_all(table, database, rows).await? {
            self.open.book((table, database), rows, found, &mut comparison);
        }
        for reject in rejects {
            comparison.others.push(refused(reject));
        }
        if table.explodes {
            self.close(table, database, batch.closed, &mut comparison).await?;
        }
        self.excuse_known(table, database, &mut comparison).await?;
        Ok(comparison)
    }

    /// What the rows meet, in as many attempts as it takes: rows that the server cannot even stage are told apart.
    async fn look_all(
        &mut self,
        table: &LoadTable,
        database: Database,
        rows: Vec<Row>,
    ) -> Result<Vec<(Vec<Row>, attempt::Found)>, Failure> {
        let mut all = Vec::new();
        let mut pieces = attempt::by_shapes(rows);
        while let Some(mut rows) = pieces.pop() {
            match self.look(table, database, &rows).await? {
                Ok(found) => all.push((rows, found)),
                Err(Refused { row, error }) => {
                    let culprit = row.or((rows.len() == 1).then_some(0)).filter(|row| *row < rows.len());
                    match culprit {
                        Some(culprit) => {
                            let row = rows.remove(culprit);
                            let reject = super::load::refusal::refused(&row, &error);
                            all.push((vec![row], attempt::Found::refused(reject)));
                        }
                        None => pieces.push(rows.split_off(rows.len() / 2)),
                    }
                    pieces.push(rows);
                }
            }
        }
        Ok(all)
    }

    /// Tries until the server answers.
    async fn look(
        &mut self,
        table: &LoadTable,
        database: Database,
        rows: &[Row],
    ) -> Result<Result<attempt::Found, Refused>, Failure> {
        let what = format!("comparing {}", table.name);
        let mut backoff = Backoff::until(self.options.retry_deadline);
        loop {
            let error = match self.attempt(table, database, rows).await {
                Ok(found) => return Ok(Ok(found)),
                Err(refused) if verdict(&refused.error) == Verdict::Row && !rows.is_empty() => return Ok(Err(refused)),
                Err(refused) => refused.error,
            };
            self.pause(&mut backoff, &what, error).await?;
        }
    }

    async fn attempt(
        &mut self,
        table: &LoadTable,
        database: Database,
        rows: &[Row],
    ) -> Result<attempt::Found, Refused> {
        let connection = connected(&mut self.connection, &self.target).await?;
        let attempt = Attempt { table, database, options: &self.options, rows };
        let running = attempt.run(connection, &mut self.buffer);
        answered(within(&self.options), running).await.unwrap_or_else(|error| Err(error.into()))
    }

    /// How many rows there are of each key, by its place.
    async fn rows_of(
        &mut self,
        table: &LoadTable,
        database: Database,
        keys: &[Vec<u8>],
    ) -> Result<HashMap<usize, i64>, Failure> {
        let (name, here) = (table.name.to_string(), super::load::origin::is_in_ledger(database));
        let (settings, sql) = (attempt::settings(&self.options), statements::rows_of_keys(table, &here));
        let mut backoff = Backoff::until(self.options.retry_deadline);
        loop {
            let asked = async {
                let connection = connected(&mut self.connection, &self.target).await?;
                keys::rows_of(connection, (&settings, &sql), &name, keys).await
            };
            match answered(within(&self.options), asked).await.unwrap_or_else(Err) {
                Ok(rows) => return Ok(rows),
                Err(error) => self.pause(&mut backoff, "counting the rows of keys", error).await?,
            }
        }
    }

    /// The open rejects of the run among these keys, each with its reason.
    async fn known(&mut self, of: (&str, Database), keys: &[RedisKey]) -> Result<HashMap<RedisKey, String>, Failure> {
        // Of a retry's shard, rejects are known whichever mapping takes their keys now.
        let shard = ShardId { run: Uuid::nil(), phase: 0, shard: 0, lease: Uuid::nil(), retry_of: Some(self.run) };
        let mut backoff = Backoff::until(self.options.retry_deadline);
        loop {
            let asked = async {
                let connection = connected(&mut self.connection, &self.target).await?;
                ledger::known(connection, shard, of, keys).await
            };
            match answered(within(&self.options), asked).await.unwrap_or_else(Err) {
                Ok(known) => {
                    let open = known.into_iter().filter(|known| !known.closed);
                    return Ok(open.map(|known| (known.key, known.reason)).collect());
                }
                Err(error) => self.pause(&mut backoff, "reading the rejects", error).await?,
            }
        }
    }

    /// Waits before the next attempt.
    async fn pause(&mut self, backoff: &mut Backoff, what: &str, error: Error) -> Result<(), Failure> {
        if verdict(&error) != Verdict::Transient {
            return Err(failure(what, error));
        }
        self.connection = None;
        let Some(pause) = backoff.pause(Instant::now()) else {
            return Err(failure(&format!("{what}, after trying again until target.retry_deadline"), error));
        };
        let text = format!("PostgreSQL: {what}: {error}; trying again in {pause:.1?}");
        let _ = self.events.send(Event::Notice(text)).await;
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = self.stop.wait_cut() => {
                let message = format!("stopped while {what} was to be tried again after: {error}");
                Err(Failure::new(Exit::Stopped, Side::Postgres, message, "Validate again."))
            }
        }
    }

    /// Ends the keys whose last rows were in this batch or before it.
    async fn close(
        &mut self,
        table: &LoadTable,
        database: Database,
        closed: Vec<Arc<Group>>,
        comparison: &mut Comparison,
    ) -> Result<(), Failure> {
        let mut ended: Vec<keys::Ended> = closed.iter().map(|group| self.open.end(group)).collect();
        if table.deletes_gone() && !ended.is_empty() {
            let keys: Vec<Vec<u8>> = ended.iter().map(|ended| ended.key.as_bytes().to_vec()).collect();
            let rows = self.rows_of(table, database, &keys).await?;
            for (place, ended) in ended.iter_mut().enumerate() {
                ended.note_rows(rows.get(&place).copied().unwrap_or(0));
            }
        }
        ended.into_iter().for_each(|ended| ended.book(comparison));
        Ok(())
    }

    /// What the run knows to be rejected is not missing.
    async fn excuse_known(
        &mut self,
        table: &LoadTable,
        database: Database,
        comparison: &mut Comparison,
    ) -> Result<(), Failure> {
        let asked: Vec<RedisKey> =
            comparison.others.iter().filter(|key| key.may_be_known()).map(|key| key.key.clone()).collect();
        if asked.is_empty() {
            return Ok(());
        }
        let open = self.known((table.mapping.as_str(), database), &asked).await?;
        for key in &mut comparison.others {
            if let Some(reason) = open.get(&key.key).filter(|_| key.may_be_known()) {
                key.excuse(reason);
            }
            if key.refused > 0 && key.has_rows() {
                key.was_loaded();
            }
        }
        Ok(())
    }
}

/// The connection, made where there is none.
async fn connected<'c>(
    connection: &'c mut Option<PgConnection>,
    target: &Target,
) -> Result<&'c mut PgConnection, Error> {
    match connection {
        Some(connection) => Ok(connection),
        none => Ok(none.insert(target.try_connect().await?)),
    }
}

/// How long the server may be silent.
fn within(options: &CompareOptions) -> Option<Duration> {
    silence(options.statement_timeout, options.idle_timeout)
}

/// Which of some rows, by their keys as the ledger writes them, are there as one of the runs wrote them: their places.
///
/// # Errors
/// The server's.
pub async fn still_owned(
    connection: &mut PgConnection,
    table: &LoadTable,
    row_keys: &[String],
    runs: &[String],
) -> Result<Vec<usize>, Error> {
    let mut transaction = connection.begin().await?;
    sqlx::raw_sql(AssertSqlSafe(format!(
        "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; {TEXT_SETTINGS}"
    )))
    .execute(&mut *transaction)
    .await?;
    let rows = query(statements::still_owned(table))
        .bind(table.name.to_string())
        .bind(row_keys)
        .bind(runs)
        .fetch_all(&mut *transaction)
        .await?;
    transaction.rollback().await?;
    let place = |row: &PgRow| Ok(usize::try_from(row.try_get::<i64, _>("place")?).unwrap_or(usize::MAX));
    rows.iter().map(place).collect()
}

impl Compared {
    /// Whether it would be no surprise that the run had rejected it.
    fn may_be_known(&self) -> bool {
        self.refused > 0 || self.rows.get(Class::Missing) > 0
    }

    /// The run has rejected it, for this reason: what is not there is known.
    fn excuse(&mut self, reason: &str) {
        self.rows.turn(Class::Missing, Class::Rejected);
        self.refused = 0;
        let class = self.rows.worst().map_or(Class::Rejected, |worst| worst.max(Class::Rejected));
        if class != self.class {
            self.detail = format!("rejected: {reason}");
        }
        self.class = class;
    }

    /// It was loaded before its value became one that would be rejected.
    pub fn was_loaded(&mut self) {
        self.rows.add(Class::Missing, -self.refused);
        self.rows.add(Class::Stale, self.refused);
        self.refused = 0;
        self.class = self.rows.worst().unwrap_or(Class::Stale);
    }

    /// Whether a row of it is there.
    fn has_rows(&self) -> bool {
        self.rows.total() > self.rows.get(Class::Missing)
    }
}

/// A key whose value would be rejected now.
fn refused(reject: Reject) -> Compared {
    let mut rows = ClassCounts::default();
    rows.add(Class::Missing, 1);
    let (detail, key) = (would_be_rejected(&reject), reject.key);
    Compared { key, class: Class::Missing, rows, detail, columns: Vec::new(), values: Vec::new(), refused: 1 }
}

/// That a value would be rejected now, for people.
fn would_be_rejected(reject: &Reject) -> String {
    format!("its value would be rejected now: {}", reject.reason)
}
