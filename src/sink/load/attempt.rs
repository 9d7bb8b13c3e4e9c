//! One attempt at a piece of a batch: one short transaction, which happens wholly or not at all.

use super::book::{Book, Groups};
use super::columns::{Columns, grouped, kept_apart_in_copy, kept_apart_in_stage, send};
use super::loader::LoadOptions;
use super::piece::Piece;
use super::settled::Settled;
use crate::ledger::{self, ShardId};
use crate::model::{Failure, Reject, Row, RowOutcome};
use crate::postgres::{CopyBuffer, READ_COMMITTED, error_line, literal, script};
use crate::sink::ownership::TEXT_SETTINGS;
use crate::sink::table::{LoadTable, Provenance};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error};

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
    /// A row whose element is gone is not let go, or there can be no image of it.
    Gone(Error),
    /// The ledger could not be written: no row's fault.
    Ledger(Error),
    /// The answer to COMMIT did not come.
    CommitUnknown { error: Error, groups: Groups },
    /// Rows changed under us, or the server took rows and did not store them.
    Moved,
    /// The shard's lease is somebody else's.
    Fenced,
    /// Redis, asked in between, failed.
    Asked(Failure),
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
        script(settings(self.options, self.shard)).execute(&mut *transaction).await?;
        if self.table.casts() || self.table.provenance == Provenance::Ledger {
            script(TEXT_SETTINGS).execute(&mut *transaction).await?;
        }
        if !ledger::fence(&mut transaction, self.shard).await.map_err(Missed::Ledger)? {
            return Err(Missed::Fenced);
        }
        self.learn_rows(&mut transaction).await.map_err(Missed::Ledger)?;
        let mut book = Book::new(&self.piece.rows, self.piece.tally.clone());
        self.find_outdated(&mut transaction, &mut book).await.map_err(Missed::Ledger)?;
        let merge = self.piece.merge || !self.table.goes_straight();
        let apart = if merge { kept_apart_in_stage(self.table) } else { kept_apart_in_copy(self.table) };
        for (number, rows) in grouped(&self.piece.rows, apart).into_iter().enumerate() {
            let rows = self.without_outdated(rows, &mut book);
            if rows.is_empty() {
                continue;
            }
            if merge {
                // Of the columns, those matter here that the rows all have or all lack.
                let shape = self.columns(&rows).all;
                let rows = self.probe(&mut transaction, buffer, (shape, number), rows, &mut book).await?;
                if rows.is_empty() {
                    continue;
                }
                self.merge(&mut transaction, buffer, number, &rows, &mut book).await?;
            } else {
                self.copy_straight(&mut transaction, buffer, &rows).await?;
                book.rows(&rows, RowOutcome::Inserted);
            }
        }
        self.settle_gone(&mut transaction, buffer, &mut book).await?;
        let settled = self.write_ledger(&mut transaction, book).await.map_err(Missed::Ledger)?;
        settled.commit(transaction).await
    }

    async fn copy_straight(
        &self,
        connection: &mut PgConnection,
        buffer: &mut CopyBuffer,
        rows: &[usize],
    ) -> Result<(), Missed> {
        let columns = self.table.column_list(self.columns(rows).all);
        let statement = format!("COPY {} ({columns}) FROM STDIN (FORMAT binary)", self.table.ident());
        let stored = self.copy(connection, buffer, &statement, rows, false).await?;
        if stored == rows.len() as u64 { Ok(()) } else { Err(Missed::Moved) }
    }

    /// The columns of these rows of the piece.
    pub(super) fn columns(&self, rows: &[usize]) -> Columns {
        Columns::of(rows.iter().filter_map(|index| self.piece.rows.get(*index)))
    }

    /// Sends these rows of the piece; to a staging table, each with its shape where they are of several.
    pub(super) async fn copy(
        &self,
        connection: &mut PgConnection,
        buffer: &mut CopyBuffer,
        statement: &str,
        rows: &[usize],
        numbered: bool,
    ) -> Result<u64, Missed> {
        let sent: Vec<&Row> = rows.iter().filter_map(|index| self.piece.rows.get(*index)).collect();
        let copied = send(connection, buffer, statement, (&sent, self.columns(rows)), numbered).await;
        copied.map_err(|error| {
            let row = error_line(&error).and_then(|line| rows.get(line.checked_sub(1)?).copied());
            Missed::Server { error, row }
        })
    }
}

/// Set for the transaction only: a pooler hands the connection to others afterwards.
///
/// A client that hangs must not hold its locks, and the shard's lease with them, for ever. Notices are off: a trigger
/// that raises one for each row fills both socket buffers while we only send.
///
/// Once a lock is held, a new statement sees what was committed while it was waited for: not so where the role's default is a
/// stricter isolation.
///
/// Joins go by index look-up, row by row in the order of the key: a hash join would read the whole target for every
/// batch, and more so the longer the run lasts.
pub(super) fn settings(options: &LoadOptions, shard: ShardId) -> String {
    let compression = options
        .compression
        .as_ref()
        .map(|method| format!("SET LOCAL default_toast_compression = {};", literal(method)))
        .unwrap_or_default();
    format!(
        "{READ_COMMITTED}SET LOCAL work_mem = '64MB'; SET LOCAL jit = off; SET LOCAL enable_hashjoin = off; \
         SET LOCAL enable_mergejoin = off; SET LOCAL client_min_messages = error; \
         SET LOCAL application_name = {}; {}{compression}",
        literal(&ledger::holder_name(shard.lease)),
        options.limits.statements(),
    )
}
