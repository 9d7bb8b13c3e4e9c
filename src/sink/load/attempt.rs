//! One attempt at a piece of a batch: one short transaction, which happens wholly or not at all.

use super::loader::LoadOptions;
use crate::ledger::{self, Journal, ShardId};
use crate::model::{RedisKey, Reject, Row, Shape, Tally};
use crate::postgres::{CopyBuffer, copy_rows, error_line, literal, milliseconds};
use crate::sink::table::LoadTable;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Error};
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// Rows that are tried together, with the outcomes that travel with them.
#[derive(Debug, Default)]
pub(super) struct Piece {
    /// The journal's id: a new one for each piece, the same for every attempt at it.
    pub(super) id: Uuid,
    pub(super) epoch: u32,
    pub(super) rows: Vec<Row>,
    /// Outcomes that were known before the load, and the rejects behind them.
    pub(super) tally: Tally,
    pub(super) rejects: Vec<Reject>,
    /// Rejects that the load itself found in this piece.
    pub(super) found: Vec<Reject>,
    pub(super) pages: Vec<i64>,
    /// Straight COPY did not do: merge.
    pub(super) merge: bool,
    /// A foreign key failed: look for the rows without a parent.
    pub(super) orphans: bool,
    /// Its rows were part of a piece that the server kept not storing: one more attempt is enough to see it again.
    pub(super) unstored: bool,
    /// These are rejected keys, tried again: what is rejected now stays so.
    pub(super) retry: bool,
    /// Keys of a retry that have neither a row nor a reject any more.
    pub(super) gone: Vec<RedisKey>,
    /// What is known about the missing parent of a key.
    pub(super) notes: HashMap<RedisKey, String>,
}

impl Piece {
    /// A piece of other rows of the same pages, to be tried the same way.
    pub(super) fn beside(&self, rows: Vec<Row>) -> Self {
        Self {
            id: Uuid::new_v4(),
            epoch: self.epoch,
            rows,
            pages: self.pages.clone(),
            merge: self.merge,
            orphans: self.orphans,
            unstored: self.unstored,
            retry: self.retry,
            notes: self.notes.clone(),
            ..Self::default()
        }
    }
}

/// A reject found by the server's answers; `pending`: the run tries it again at the end of the phase.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) reject: Reject,
    pub(super) pending: bool,
}

/// Why an attempt did not do.
#[derive(Debug)]
pub(super) enum Missed {
    /// The server said no; `row`: the row that it blamed, by its place in the piece.
    Server { error: Error, row: Option<usize> },
    /// The ledger could not be written: no row's fault.
    Ledger(Error),
    /// The answer to COMMIT did not come.
    CommitUnknown(Error),
    /// Rows changed under us, or the server took rows and did not store them.
    Moved,
    /// The shard's lease is somebody else's.
    Fenced,
}

impl From<Error> for Missed {
    fn from(error: Error) -> Self {
        Self::Server { error, row: None }
    }
}

/// All that an attempt needs beside its connection.
pub(super) struct Attempt<'a> {
    pub(super) table: &'a LoadTable,
    pub(super) shard: ShardId,
    pub(super) options: &'a LoadOptions,
    pub(super) piece: &'a Piece,
}

impl Attempt<'_> {
    /// Tries the piece; gives what became of its sightings, once that is committed.
    pub(super) async fn run(&self, connection: &mut PgConnection, buffer: &mut CopyBuffer) -> Result<Settled, Missed> {
        let mut transaction = connection.begin().await?;
        sqlx::raw_sql(AssertSqlSafe(settings(self.options, self.shard))).execute(&mut *transaction).await?;
        if self.table.casts() {
            sqlx::raw_sql(AssertSqlSafe(TEXT_SETTINGS)).execute(&mut *transaction).await?;
        }
        if !ledger::fence(&mut transaction, self.shard).await.map_err(Missed::Ledger)? {
            return Err(Missed::Fenced);
        }
        let mut tally = self.piece.tally.clone();
        let mut lost = Vec::new();
        for (number, (shape, rows)) in by_shape(&self.piece.rows).into_iter().enumerate() {
            if self.piece.merge || !self.table.goes_straight() {
                let rows = self.probe(&mut transaction, buffer, (shape, number), rows, &mut tally).await?;
                if rows.is_empty() {
                    continue;
                }
                self.merge(&mut transaction, buffer, (shape, number), &rows, &mut tally, &mut lost).await?;
            } else {
                self.copy_straight(&mut transaction, buffer, shape, &rows).await?;
                tally.inserted += count(rows.len());
            }
        }
        let settled = self.write_ledger(&mut transaction, tally, lost).await.map_err(Missed::Ledger)?;
        settled.commit(transaction).await
    }

    async fn copy_straight(
        &self,
        connection: &mut PgConnection,
        buffer: &mut CopyBuffer,
        shape: Shape,
        rows: &[usize],
    ) -> Result<(), Missed> {
        let statement =
            format!("COPY {} ({}) FROM STDIN (FORMAT binary)", self.table.ident(), self.table.column_list(shape));
        let stored = self.copy(connection, buffer, &statement, rows, false).await?;
        if stored == rows.len() as u64 { Ok(()) } else { Err(Missed::Moved) }
    }

    /// Sends these rows of the piece.
    pub(super) async fn copy(
        &self,
        connection: &mut PgConnection,
        buffer: &mut CopyBuffer,
        statement: &str,
        rows: &[usize],
        numbered: bool,
    ) -> Result<u64, Missed> {
        let sent: Vec<&Row> = rows.iter().filter_map(|index| self.piece.rows.get(*index)).collect();
        copy_rows(connection, buffer, statement, &sent, numbered).await.map_err(|error| {
            let row = error_line(&error).and_then(|line| rows.get(line.checked_sub(1)?).copied());
            Missed::Server { error, row }
        })
    }

    /// Writes rejects and journal, in the rows' transaction.
    async fn write_ledger(
        &self,
        connection: &mut PgConnection,
        mut tally: Tally,
        lost: Vec<Lost>,
    ) -> Result<Settled, Error> {
        let piece = self.piece;
        for reject in piece.found.iter().chain(lost.iter().map(|lost| &lost.reject)) {
            tally.reject(&reject.reason);
        }
        let mut taken_back = 0;
        if piece.retry {
            let keys: Vec<&RedisKey> = (piece.rows.iter().map(|row| &row.key))
                .chain(piece.rejects.iter().chain(&piece.found).map(|reject| &reject.key))
                .chain(&piece.gone)
                .collect();
            for (reason, count) in ledger::resolve(connection, self.shard, &self.table.mapping, &keys).await? {
                tally.take_back(&reason, count);
                taken_back += count;
            }
        }
        let pending = lost.iter().filter(|lost| lost.pending).count();
        let rejects: Vec<(&Reject, bool)> = (piece.rejects.iter().chain(&piece.found).map(|reject| (reject, false)))
            .chain(lost.iter().map(|lost| (&lost.reject, lost.pending)))
            .collect();
        if !piece.retry && (self.options.resumed || !rejects.is_empty()) {
            // A key that this run has rejected already is one reject, seen again. In a resumed run it may have been
            // mended since: then it has a row now, and is no reject any more.
            let mended = piece.rows.iter().map(|row| &row.key).filter(|_| self.options.resumed);
            let keys: Vec<&RedisKey> = rejects.iter().map(|(reject, _)| &reject.key).chain(mended).collect();
            for (reason, count) in ledger::resolve(connection, self.shard, &self.table.mapping, &keys).await? {
                tally.take_back(&reason, count);
                tally.duplicates += count;
            }
        }
        let place = (self.table.mapping.as_str(), &self.table.name);
        ledger::record_rejects(connection, self.shard, place, &rejects, self.options.value_cap).await?;
        let journal = Journal {
            id: piece.id,
            epoch: piece.epoch,
            mapping: &self.table.mapping,
            table: &self.table.name,
            fingerprint: &self.table.fingerprint,
            pages: &piece.pages,
            tally: &tally,
        };
        ledger::write_journal(connection, self.shard, &journal).await?;
        Ok(Settled { tally, pending: count(pending) - taken_back })
    }
}

/// What became of a piece's sightings.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) tally: Tally,
    /// How many of its rejects are tried again by the run itself; a second try takes them back.
    pub(super) pending: i64,
}

impl Settled {
    async fn commit(self, transaction: sqlx::Transaction<'_, sqlx::Postgres>) -> Result<Self, Missed> {
        match transaction.commit().await {
            Ok(()) => Ok(self),
            // The server itself refused, such as for a deferred foreign key: nothing happened.
            Err(error @ Error::Database(_)) => Err(error.into()),
            Err(error) => Err(Missed::CommitUnknown(error)),
        }
    }
}

/// Set where values are read from text and compared as text: neither may depend on the session, nor lose a digit.
const TEXT_SETTINGS: &str = "SET LOCAL timezone = 'UTC'; SET LOCAL datestyle = 'ISO, YMD'; \
     SET LOCAL intervalstyle = 'postgres'; SET LOCAL extra_float_digits = 1; SET LOCAL xmloption = 'content'";

/// Set for the transaction only: a pooler hands the connection to others afterwards.
///
/// A client that hangs must not hold its locks, and the shard's lease with them, for ever. Notices are off: a trigger
/// that raises one for each row fills both socket buffers while we only send.
///
/// Joins go by index look-up, row by row in the order of the key: a hash join would read the whole target for every
/// batch, and more so the longer the run lasts.
fn settings(options: &LoadOptions, shard: ShardId) -> String {
    let compression = options
        .compression
        .as_ref()
        .map(|method| format!("SET LOCAL default_toast_compression = {};", literal(method)))
        .unwrap_or_default();
    format!(
        "SET LOCAL work_mem = '64MB'; SET LOCAL jit = off; SET LOCAL enable_hashjoin = off; \
         SET LOCAL enable_mergejoin = off; SET LOCAL client_min_messages = error; \
         SET LOCAL idle_in_transaction_session_timeout = {}; SET LOCAL application_name = {}; \
         SET LOCAL lock_timeout = {}; SET LOCAL statement_timeout = {}; {compression}",
        milliseconds(options.idle_timeout),
        literal(&ledger::holder_name(shard.lease)),
        milliseconds(options.lock_timeout),
        milliseconds(options.statement_timeout),
    )
}

/// The places of the rows of each shape, in order.
fn by_shape(rows: &[Row]) -> BTreeMap<Shape, Vec<usize>> {
    let mut groups = BTreeMap::<Shape, Vec<usize>>::new();
    for (index, row) in rows.iter().enumerate() {
        groups.entry(row.shape).or_default().push(index);
    }
    groups
}

/// A number of rows, for the books.
pub(super) fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
