//! The comparison's end: says of each key of a batch what its rows in PostgreSQL are to it. Nothing is written there but the
//! staging table, which the transaction takes back.
//!
//! Expected rows go into a staging table, as a merge would send them, and one statement says what each of them meets
//! (`statements`, and what only the ledger knows `in_ledger`); what follows from that says `met`. One attempt is one transaction (`attempt`, of rows that `stages` lets go together), read-only from the moment that its
//! staging tables are made; `asking` tries it again where the server went away. Keys that are several rows are put together in `keys`, by their `worst` rows,
//! why elements of theirs have no row says `rowless`, which rows they have beside `rows_of_key`, and whether it is columns alone that
//! differ `differing`. Which rows keys that are one row left behind is in `left_rows`. What a key is found to be, with what the run knows of it, is in `compared`.

mod asking;
mod attempt;
mod compared;
mod differing;
mod in_ledger;
mod keys;
mod left_rows;
mod met;
mod proof;
mod rowless;
mod rows_of_key;
mod stages;
mod statements;
mod worst;

pub use self::asking::{StillOwned, still_owned};
use self::attempt::Refused;
pub use self::compared::Compared;
use self::compared::{refused, would_be_rejected};
use self::keys::{Ended, OpenKeys};
pub use self::proof::{Proof, Proven, Unproven};
use self::rows_of_key::RowsOfKey;
use super::batch::{Batch, deduplicate, each_once};
use super::load::StagingTables;
use super::owned::{SliceSums, SumsWanted};
use super::table::LoadTable;
use crate::flow::Stop;
use crate::ledger::RetryOf;
use crate::model::{Class, Database, EventSender, Failure, Group, Moment, RedisKey, Row};
use crate::postgres::{CopyBuffer, Limits, Target};
use sqlx::postgres::PgConnection;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

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
    /// What bounds its transactions.
    pub limits: Limits,
    /// For how long a batch is tried again after errors that may pass.
    pub retry_deadline: Duration,
    /// How staging tables are made.
    pub staging: StagingTables,
    /// Whether the run went to its end: else it may have left elements of a key out.
    pub run_has_ended: bool,
    /// Whether the ledger knows which elements were rejected.
    pub ledger_is_current: bool,
    /// What is to be summed up of the rows that are met.
    pub sums: Option<Arc<SumsWanted>>,
    /// What must be true of a key beside that it is equal, where it is to be deleted from Redis; `None`: nothing is.
    pub proof: Option<Proof>,
}

/// What a batch came to.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Keys that are equal, and their rows.
    pub equal: (i64, i64),
    /// Rows beside those of equal keys: a cleanup deleted a key of the same name, and they are of that one.
    pub cleaned: i64,
    /// The others.
    pub others: Vec<Compared>,
    /// When PostgreSQL was first asked what the rows meet. Before that they were sent there, which takes long for large ones.
    pub began: Option<Moment>,
    /// Keys of the batch that were passed over, by reason.
    pub passed_over: BTreeMap<String, i64>,
    /// The rows that were met, as far as that was wanted.
    pub sums: SliceSums,
    /// Keys that were read once more in the same batch: they count by the last reading.
    pub duplicates: i64,
    /// With [`CompareOptions::proof`]: those of the equal keys that may go.
    pub proven: Vec<Proven>,
    /// With [`CompareOptions::proof`]: the other equal keys.
    pub unproven: Vec<(RedisKey, Unproven)>,
    /// With [`CompareOptions::proof`]: how many of those that may go, by repair, have other values in their rows than they hold
    /// themselves, as a repair has made others of them. A key with several repairs counts for each.
    pub repaired: BTreeMap<&'static str, i64>,
}

impl Comparison {
    /// Counts the repairs of a key that may go, each once.
    fn note_repairs(&mut self, repairs: impl Iterator<Item = &'static str>) {
        for repair in repairs.collect::<BTreeSet<_>>() {
            *self.repaired.entry(repair).or_default() += 1;
        }
    }
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
        // Counted first, since that takes long for a key of very many rows, while the comparison of the last ones would grow old.
        let mut counted = self.count_rows(table, database, &batch.closed).await?;
        let of_single = self.count_of_single(table, database, &rows).await?;
        let since = Moment::now();
        let looked = self.look_all(table, database, rows).await?;
        let left = self.left_rows(database, &looked, of_single).await?;
        for (rows, mut found) in looked {
            comparison.began = comparison.began.into_iter().chain(found.began).reduce(Moment::earlier);
            for (slice, sum) in std::mem::take(&mut found.sums) {
                *comparison.sums.entry(slice).or_default() += sum;
            }
            let judging = (self.options.proof.as_ref(), &left);
            self.open.book((table, database), judging, (rows, found), &mut comparison);
        }
        comparison.began.get_or_insert(since);
        for reject in rejects {
            comparison.others.push(refused(reject));
        }
        if table.explodes {
            let ended: Vec<Ended> = batch.closed.into_iter().map(|group| self.open.end(group)).collect();
            self.note_cleaned(database, &ended, &mut counted).await?;
            self.close(ended, &counted, &mut comparison);
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
        let mut pieces = stages::by_stages(table, rows);
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

    /// The rows that there are of keys whose last rows are in this batch or came before it, by their places.
    async fn count_rows(
        &mut self,
        table: &LoadTable,
        database: Database,
        closed: &[Arc<Group>],
    ) -> Result<HashMap<usize, RowsOfKey>, Failure> {
        if !table.explodes || !table.deletes_gone() || closed.is_empty() {
            return Ok(HashMap::new());
        }
        let keys: Vec<RedisKey> = closed.iter().map(|group| group.key.clone()).collect();
        self.rows_of(table, database, &keys).await
    }

    /// Learns of keys with rows beside those that they make now after which of their runs a cleanup deleted them. Of others it need not be
    /// known: so it is asked in the moment in which it counts, whenever that cleanup was, and where no key has such rows, not at all.
    async fn note_cleaned(
        &mut self,
        database: Database,
        ended: &[Ended],
        counted: &mut HashMap<usize, RowsOfKey>,
    ) -> Result<(), Failure> {
        let (mut places, mut asked) = (Vec::new(), Vec::new());
        for (place, ended) in ended.iter().enumerate() {
            let Some(rows) = counted.get(&place).filter(|rows| ended.has_others(rows)) else { continue };
            places.extend(rows.runs().map(|_| place));
            asked.extend(rows.runs().map(|run| (ended.key().clone(), run.clone())));
        }
        if asked.is_empty() {
            return Ok(());
        }
        for cleaned in self.cleaned(database, &asked).await? {
            let rows = places.get(cleaned).and_then(|place| counted.get_mut(place));
            if let (Some(rows), Some((_, run))) = (rows, asked.get(cleaned)) {
                rows.note_cleaned(run.clone());
            }
        }
        Ok(())
    }

    /// Books the keys whose last rows were in this batch or before it.
    fn close(&self, ended: Vec<Ended>, counted: &HashMap<usize, RowsOfKey>, comparison: &mut Comparison) {
        for (place, mut ended) in ended.into_iter().enumerate() {
            counted.get(&place).into_iter().for_each(|rows| ended.note_rows(rows));
            ended.book(self.options.proof.is_some(), comparison);
        }
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
        let known = self.known((table.mapping.as_str(), database), &asked).await?;
        for key in &mut comparison.others {
            if let Some(known) = known.get(&key.key).filter(|_| key.may_be_known()) {
                key.excuse(known, table.explodes);
            }
            if key.class > Class::Rejected && key.refused > 0 && key.has_rows() {
                key.was_loaded();
            }
            key.tell_moved();
            key.tell_rowless(self.options.run_has_ended);
        }
        Ok(())
    }
}
