//! The comparison's end: says of each key of a batch what its rows in PostgreSQL are to it. Nothing is written there but the
//! staging table, which the transaction takes back.
//!
//! Expected rows go into a staging table, as a merge would send them, and one statement says what each of them meets
//! (`statements`); what follows from that says `met`. One attempt is one transaction (`attempt`), read-only from the moment that its
//! staging tables are made; `asking` tries it again where the server went away. Keys that are several rows are put together in `keys`.

mod asking;
mod attempt;
mod keys;
mod met;
mod proof;
mod statements;

pub use self::asking::still_owned;
use self::attempt::Refused;
use self::keys::OpenKeys;
pub use self::proof::{Proof, Proven, Unproven};
use super::batch::{Batch, deduplicate, each_once};
use super::table::LoadTable;
use crate::flow::Stop;
use crate::ledger::RetryOf;
use crate::model::{Class, ClassCounts, ColumnValues, Database, EventSender, Failure, Group, RedisKey, Reject, Row};
use crate::postgres::{CopyBuffer, Target};
use sqlx::postgres::PgConnection;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Reasons of rejects that only writing finds: the value maps as it should.
const FOUND_BY_WRITING: [&str; 10] = [
    "check",
    "exclusion",
    "foreign_key",
    "key_collision",
    "missing_parent",
    "not_null",
    "not_stored",
    "refused",
    "row_security",
    "unique",
];

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
    /// What must be true of a key beside that it is equal, where it is to be deleted from Redis; `None`: nothing is.
    pub proof: Option<Proof>,
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
    /// Keys that were read once more in the same batch: they count by the last reading.
    pub duplicates: i64,
    /// With [`CompareOptions::proof`]: those of the equal keys that may go.
    pub proven: Vec<Proven>,
    /// With [`CompareOptions::proof`]: the other equal keys.
    pub unproven: Vec<(RedisKey, Unproven)>,
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
        let duplicates = kept.duplicates + tally.duplicates;
        let mut comparison = Comparison { passed_over: tally.skipped, duplicates, ..Comparison::default() };
        for (rows, found) in self.look_all(table, database, rows).await? {
            self.open.book((table, database), self.options.proof.as_ref(), (rows, found), &mut comparison);
        }
        for reject in rejects {
            comparison.others.push(refused(reject));
        }
        if table.explodes {
            self.close(table, database, batch.closed, &mut comparison).await?;
        }
        self.excuse_known(table, database, &mut comparison).await?;
        self.keep_rejected(table, database, &mut comparison).await?;
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
        let mut pieces = attempt::by_stages(table, rows);
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

    /// Ends the keys whose last rows were in this batch or before it.
    async fn close(
        &mut self,
        table: &LoadTable,
        database: Database,
        closed: Vec<Arc<Group>>,
        comparison: &mut Comparison,
    ) -> Result<(), Failure> {
        let mut ended: Vec<keys::Ended> = closed.into_iter().map(|group| self.open.end(group)).collect();
        if table.deletes_gone() && !ended.is_empty() {
            let keys: Vec<Vec<u8>> = ended.iter().map(|ended| ended.key.as_bytes().to_vec()).collect();
            let rows = self.rows_of(table, database, &keys).await?;
            for (place, ended) in ended.iter_mut().enumerate() {
                ended.note_rows(rows.get(&place).copied().unwrap_or(0));
            }
        }
        let proves = self.options.proof.is_some();
        ended.into_iter().for_each(|ended| ended.book(proves, comparison));
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
                key.excuse(reason, table.explodes);
            }
            if key.class > Class::Rejected && key.refused > 0 && key.has_rows() {
                key.was_loaded();
            }
        }
        Ok(())
    }
}

impl Compared {
    /// Whether it would be no surprise that the run had rejected it.
    fn may_be_known(&self) -> bool {
        self.refused > 0 || self.rows.get(Class::Missing) > 0
    }

    /// The run has rejected it, for this reason: what is not there is known. Of a key that is several rows those alone are that
    /// would be rejected now, and those of a reason that only writing finds: any other row was there once, or should be.
    fn excuse(&mut self, reason: &str, explodes: bool) {
        let missing = self.rows.get(Class::Missing);
        let known = if explodes && !FOUND_BY_WRITING.contains(&reason) { self.refused.min(missing) } else { missing };
        self.rows.add(Class::Missing, -known);
        self.rows.add(Class::Rejected, known);
        if explodes && self.has_rows() {
            self.refused = 0;
        }
        let class = self.rows.worst().map_or(Class::Rejected, |worst| worst.max(Class::Rejected));
        if class == Class::Missing {
            self.refused = 0;
            self.detail = format!("{} of its elements have no row", missing - known);
        } else if class != self.class {
            self.detail = format!("known of the run: {reason}");
        }
        self.class = class;
    }

    /// It was loaded before its value became one that would be rejected.
    pub fn was_loaded(&mut self) {
        let rejected = self.refused.min(self.rows.get(Class::Rejected));
        self.rows.add(Class::Rejected, -rejected);
        self.rows.add(Class::Missing, rejected - self.refused);
        self.rows.add(Class::Stale, self.refused);
        if rejected > 0 {
            self.detail = format!("a row of it is there, and its value would be rejected now ({})", self.detail);
        }
        self.refused = 0;
        self.class = self.rows.worst().unwrap_or(Class::Stale);
    }

    /// Whether a row of it is there.
    fn has_rows(&self) -> bool {
        self.rows.total() > self.rows.get(Class::Missing) + self.rows.get(Class::Rejected)
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
