//! A writer: takes batches in order and decides what an error means.

use super::attempt::{Attempt, Missed};
use super::book::Groups;
use super::columns::kept_apart_in_stage;
use super::piece::{Piece, first_pieces, isolate};
use super::refusal::{not_stored, refused};
use super::settled::Settled;
use super::staging::StagingTables;
use super::writers::Writers;
use crate::flow::Backoff;
use crate::ledger::{self, ShardId};
use crate::model::{Event, Exit, Failure, Side, Tally};
use crate::postgres::{CopyBuffer, Limits, Verdict, answered, describe, failure, verdict};
use crate::sink::batch::Batch;
use crate::sink::table::LoadTable;
use sqlx::Error;
use sqlx::postgres::PgConnection;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How a writer loads.
#[derive(Clone, Debug)]
pub struct LoadOptions {
    /// Values above so many bytes are kept with their reject as size and hash only.
    pub value_cap: usize,
    /// What bounds its transactions.
    pub limits: Limits,
    /// `default_toast_compression` for what is loaded; `None`: the server's.
    pub compression: Option<String>,
    /// For how long a batch is tried again after errors that may pass.
    pub retry_deadline: Duration,
    /// Whether an earlier attempt at the run may have rejected keys that are loaded now.
    pub resumed: bool,
    /// How staging tables are made.
    pub staging: StagingTables,
    /// Whether a cleanup has deleted keys: then it is looked whether rows that are overwritten are of such a key.
    pub after_cleanup: bool,
}

/// So often a batch is repeated because rows moved under it, before single rows are looked at.
const MOVES: u32 = 5;

/// One writer, with a connection of its own.
pub struct Loader {
    pub(super) writers: Writers,
    pub(super) shard: ShardId,
    pub(super) connection: Option<PgConnection>,
    /// Whether the connection is in order and in no transaction.
    pub(super) settled: bool,
    buffer: CopyBuffer,
}

/// The connection is kept for the next phase, unless it was left in the middle of something.
impl Drop for Loader {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take().filter(|_| self.settled) {
            self.writers.keep(connection);
        }
    }
}

impl Loader {
    pub(super) fn new(writers: Writers, shard: ShardId, connection: Option<PgConnection>) -> Self {
        Self { writers, shard, connection, settled: true, buffer: CopyBuffer::default() }
    }

    /// Loads a batch: returns once every sighting in it has its outcome in a committed transaction.
    ///
    /// Not cancel-safe: a batch that is dropped half-way may be committed in part (in whole pieces, each in the
    /// journal), and its pages stay open.
    ///
    /// # Errors
    /// What ends the run: the server is gone for longer than the retry deadline, refuses everything, or the shard's
    /// lease was taken over.
    pub async fn load(&mut self, mut batch: Batch) -> Result<(), Failure> {
        let tables = self.writers.tables.clone();
        let table = tables
            .get(usize::from(batch.mapping.0))
            .ok_or_else(|| Failure::internal("a batch names a mapping that there is not"))?;
        let (pages, memory) = (std::mem::take(&mut batch.pages), std::mem::take(&mut batch.memory));
        // The last is tried first: halves of a split piece are pushed in reverse.
        let mut pieces = first_pieces(batch, &pages, kept_apart_in_stage(table));
        while let Some(piece) = pieces.pop() {
            let bytes = piece.rows.iter().map(|row| row.encoded_len() as u64).sum();
            match self.settle(table, piece).await? {
                Tried::Done(settled) => {
                    settled.settle_groups();
                    let Settled { tally, pending, .. } = *settled;
                    // The receiver lives as long as the run; were it gone, there would be nobody to tell.
                    let _ = self.writers.events.send(Event::Settled { mapping: table.id, tally, bytes, pending }).await;
                }
                Tried::Again(more) => pieces.extend(more.into_iter().rev()),
            }
        }
        drop(memory);
        for page in pages {
            page.settle();
        }
        Ok(())
    }

    /// Tries a piece until it is committed, or until it has to be cut up.
    async fn settle(&mut self, table: &LoadTable, mut piece: Piece) -> Result<Tried, Failure> {
        let mut backoff = Backoff::until(self.writers.options.retry_deadline);
        let mut moves = 0;
        let mut in_doubt = Groups::new();
        loop {
            let straight = table.goes_straight() && !piece.merge;
            // Asked for before the attempt: another writer may change it meanwhile.
            let inserts_lineage = table.inserts_lineage();
            let missed = match self.attempt(table, &piece).await {
                Ok(settled) => return Ok(Tried::Done(Box::new(settled))),
                Err(missed) => missed,
            };
            let unknown = match missed {
                Missed::Fenced => return Err(ledger::taken_over()),
                Missed::Asked(failure) => return Err(failure),
                Missed::Moved if straight => {
                    piece.merge = true;
                    continue;
                }
                Missed::Moved => {
                    moves += 1;
                    if (moves == MOVES || piece.unstored) && !piece.rows.is_empty() {
                        piece.unstored = true;
                        return Ok(Tried::Again(isolate(piece, None, not_stored)));
                    }
                    continue;
                }
                Missed::Gone(_) if !piece.singly => {
                    piece.singly = true;
                    continue;
                }
                Missed::Gone(error) => return Err(failure(&format!("deleting from {}", table.name), error)),
                Missed::CommitUnknown { error, groups } => {
                    in_doubt = groups;
                    error
                }
                Missed::Ledger(error) if is_journal(&error) || verdict(&error) == Verdict::Transient => error,
                // The rows are new in the table, and were there once.
                Missed::Ledger(error) if is_lineage(&error) && inserts_lineage => {
                    table.stop_inserting_lineage();
                    continue;
                }
                Missed::Ledger(error) => return Err(failure("writing the ledger", error)),
                Missed::Server { error, row } => match verdict(&error) {
                    Verdict::Transient => error,
                    Verdict::Systemic => return Err(failure(&format!("loading {}", table.name), error)),
                    Verdict::Unique if straight => {
                        table.stop_going_straight();
                        piece.merge = true;
                        continue;
                    }
                    Verdict::ForeignKey if !piece.orphans => {
                        table.expect_disorder();
                        piece.orphans = true;
                        piece.merge = true;
                        continue;
                    }
                    Verdict::Row | Verdict::Unique | Verdict::ForeignKey if straight => {
                        piece.merge = true;
                        continue;
                    }
                    Verdict::Row | Verdict::Unique | Verdict::ForeignKey if piece.rows.is_empty() => {
                        return Err(failure(&format!("loading {}", table.name), error));
                    }
                    Verdict::Row | Verdict::Unique | Verdict::ForeignKey => {
                        return Ok(Tried::Again(isolate(piece, row, |row| refused(row, &error))));
                    }
                },
            };
            if let Some(tally) = self.lost_commit(&mut backoff, unknown, piece.id).await? {
                // The journal does not know of them.
                let tally = Tally { noted: piece.noted(), ..tally };
                return Ok(Tried::Done(Box::new(Settled::found(tally, in_doubt))));
            }
        }
    }

    async fn attempt(&mut self, table: &LoadTable, piece: &Piece) -> Result<Settled, Missed> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(self.writers.target.try_connect().await?),
        };
        self.settled = false;
        let attempt = Attempt { table, shard: self.shard, options: &self.writers.options, piece };
        let running = attempt.run(connection, &mut self.buffer);
        let silence = self.writers.options.limits.silence();
        // Whether a server that fell silent came to the COMMIT is looked up.
        let result = answered(silence, running)
            .await
            .unwrap_or_else(|error| Err(Missed::CommitUnknown { error, groups: Groups::new() }));
        self.settled = result.is_ok();
        result
    }

    /// After an error that may pass: waits, connects anew, and looks whether the piece was committed all the same.
    pub(super) async fn lost_commit(
        &mut self,
        backoff: &mut Backoff,
        error: Error,
        piece: Uuid,
    ) -> Result<Option<Tally>, Failure> {
        let mut error = error;
        loop {
            self.connection = None;
            let Some(pause) = backoff.pause(Instant::now()) else {
                return Err(failure("loading, after trying again until target.retry_deadline", error));
            };
            let _ = self
                .writers
                .events
                .send(Event::Notice(format!("PostgreSQL: {}; trying again in {pause:.1?}", describe(&error))))
                .await;
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.writers.stop.wait_cut() => return Err(cut("loading", &error)),
            }
            let answer = async {
                let mut connection = self.writers.target.try_connect().await?;
                let committed = ledger::is_committed(&mut connection, piece).await?;
                self.connection = Some(connection);
                Ok(committed)
            };
            match answer.await {
                Ok(committed) => return Ok(committed),
                Err(again) if verdict(&again) == Verdict::Transient => error = again,
                Err(fatal) => return Err(failure("connecting again", fatal)),
            }
        }
    }
}

/// What settling a piece came to.
enum Tried {
    Done(Box<Settled>),
    Again(Vec<Piece>),
}

/// Whether the unique violation is of our own journal: an earlier attempt was committed after all.
pub(super) fn is_journal(error: &Error) -> bool {
    error.as_database_error().and_then(|error| error.constraint()) == Some("batches_pkey")
}

/// Whether the unique violation is of the lineage of a row.
fn is_lineage(error: &Error) -> bool {
    error.as_database_error().and_then(|error| error.constraint()) == Some("loaded_pkey")
}

/// A second signal ends the wait for a server; it is the signal that ended the run, not the server.
fn cut(what: &str, error: &Error) -> Failure {
    Failure::new(
        Exit::Stopped,
        Side::Postgres,
        format!("stopped while {what} was to be tried again after: {}", describe(error)),
        "Go on with --resume.",
    )
}
