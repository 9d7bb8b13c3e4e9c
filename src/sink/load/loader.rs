//! A writer: takes batches in order and decides what an error means.

use super::attempt::{Attempt, Missed, Piece, Settled};
use super::writers::Writers;
use crate::ledger::{self, ShardId};
use crate::model::{Event, Exit, Failure, Reject, Row, Side, Tally};
use crate::postgres::{CopyBuffer, Verdict, failure, verdict};
use crate::sink::batch::{Batch, Deduplicated, deduplicate, each_once};
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
    /// How long a statement waits for a lock.
    pub lock_timeout: Duration,
    /// How long a statement may take; zero: as long as it takes.
    pub statement_timeout: Duration,
    /// How long the server lets a transaction of ours stand idle before it ends it, and the locks with it.
    pub idle_timeout: Duration,
    /// `default_toast_compression` for what is loaded; `None`: the server's.
    pub compression: Option<String>,
    /// For how long a batch is tried again after errors that may pass.
    pub retry_deadline: Duration,
    /// Whether an earlier attempt at the run may have rejected keys that are loaded now.
    pub resumed: bool,
    /// The role may not make temporary tables: staging tables are made in the ledger's schema.
    pub unlogged_stage: bool,
}

/// So often a batch is repeated because rows moved under it, before single rows are looked at.
const MOVES: u32 = 5;

/// One writer, with a connection of its own.
pub struct Loader {
    writers: Writers,
    shard: ShardId,
    connection: Option<PgConnection>,
    /// Whether the connection is in order and in no transaction.
    settled: bool,
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
        let mut pieces = first_pieces(batch, &pages);
        while let Some(piece) = pieces.pop() {
            let bytes = piece.rows.iter().map(|row| row.encoded_len() as u64).sum();
            match self.settle(table, piece).await? {
                Tried::Done(Settled { tally, pending }) => {
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
        let mut patience = Patience::new(self.writers.options.retry_deadline);
        let mut moves = 0;
        loop {
            let straight = table.goes_straight() && !piece.merge;
            let missed = match self.attempt(table, &piece).await {
                Ok(settled) => return Ok(Tried::Done(settled)),
                Err(missed) => missed,
            };
            let unknown = match missed {
                Missed::Fenced => return Err(fenced()),
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
                Missed::CommitUnknown(error) => error,
                Missed::Ledger(error) if is_journal(&error) || verdict(&error) == Verdict::Transient => error,
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
            if let Some(tally) = self.lost_commit(&mut patience, unknown, piece.id).await? {
                return Ok(Tried::Done(Settled { tally, pending: 0 }));
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
        if self.writers.options.statement_timeout.is_zero() {
            let result = running.await;
            self.settled = result.is_ok();
            return result;
        }
        // A server that vanished without a word answers nothing, its own timeouts included. The connection is given up
        // then, never used again half-way; whether it came to the COMMIT is looked up.
        match tokio::time::timeout(
            self.writers.options.statement_timeout * 2 + self.writers.options.idle_timeout,
            running,
        )
        .await
        {
            Ok(result) => {
                self.settled = result.is_ok();
                result
            }
            Err(_) => Err(Missed::CommitUnknown(Error::Io(std::io::Error::new(
                std::io::ErrorKind::TimedOut,
                "the server does not answer any more",
            )))),
        }
    }

    /// After an error that may pass: waits, connects anew, and looks whether the piece was committed all the same.
    async fn lost_commit(
        &mut self,
        patience: &mut Patience,
        error: Error,
        piece: Uuid,
    ) -> Result<Option<Tally>, Failure> {
        let mut error = error;
        loop {
            self.connection = None;
            let Some(pause) = patience.pause() else {
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
    Done(Settled),
    Again(Vec<Piece>),
}

/// What is tried first, last of all. Keys that map to one row come in pieces of their own, each after the one before:
/// the table then says whose the row is, as it does for keys of different batches.
fn first_pieces(batch: Batch, pages: &[crate::flow::PagePart]) -> Vec<Piece> {
    let Deduplicated { rows, duplicates, mut rivals } = deduplicate(batch.rows);
    let mut tally = batch.tally;
    tally.duplicates += duplicates;
    let rejects = each_once(batch.rejects, &mut tally);
    let mut pieces = vec![Piece {
        id: Uuid::new_v4(),
        epoch: batch.epoch,
        rows,
        tally,
        rejects,
        pages: pages.iter().map(|page| page.number().cast_signed()).collect(),
        retry: batch.retry,
        gone: batch.gone,
        notes: batch.notes,
        ..Piece::default()
    }];
    while !rivals.is_empty() {
        let next = deduplicate(rivals);
        let mut piece = pieces.first().map_or_else(Piece::default, |first| first.beside(next.rows));
        piece.merge = true;
        piece.tally.duplicates = next.duplicates;
        pieces.push(piece);
        rivals = next.rivals;
    }
    pieces.reverse();
    pieces
}

/// Sets the row at fault aside, or halves the piece to come nearer to it. `reject` says why the row is refused.
fn isolate(mut piece: Piece, row: Option<usize>, reject: impl Fn(&Row) -> Reject) -> Vec<Piece> {
    piece.merge = true;
    let culprit = row.or((piece.rows.len() == 1).then_some(0)).filter(|row| *row < piece.rows.len());
    if let Some(culprit) = culprit {
        let row = piece.rows.remove(culprit);
        piece.found.push(reject(&row));
        return vec![piece];
    }
    let half = piece.rows.split_off(piece.rows.len() / 2);
    let second = piece.beside(half);
    vec![piece, second]
}

/// A row that the server refused, in the server's words.
pub(super) fn refused(row: &Row, error: &Error) -> Reject {
    let Some(database) = error.as_database_error() else { return not_stored(row) };
    let code = database.code().unwrap_or_default().into_owned();
    let reason = match code.as_str() {
        "22001" => "too_long",
        "22003" => "out_of_range",
        "23502" => "not_null",
        "23503" => "foreign_key",
        "23505" => "unique",
        "23514" => "check",
        "23P01" => "exclusion",
        _ => "refused",
    };
    let constraint = database.constraint().map(|name| format!(" (constraint {name})")).unwrap_or_default();
    let detail = format!("PostgreSQL: {}{constraint}", database.message());
    let mut reject = Reject::new(row.key.clone(), reason, detail, Some(row.value.clone()));
    reject.sqlstate = Some(code);
    reject.column = database
        .try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
        .and_then(|error| error.column())
        .map(str::to_owned);
    reject
}

fn not_stored(row: &Row) -> Reject {
    let detail = "the server took the row and did not store it; a trigger or a rule may drop it";
    Reject::new(row.key.clone(), "not_stored", detail, Some(row.value.clone()))
}

/// Whether the unique violation is of our own journal: an earlier attempt was committed after all.
fn is_journal(error: &Error) -> bool {
    error.as_database_error().and_then(|error| error.constraint()) == Some("batches_pkey")
}

fn describe(error: &Error) -> String {
    match error.as_database_error() {
        Some(database) => database.message().to_owned(),
        None => error.to_string(),
    }
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

fn fenced() -> Failure {
    Failure::new(
        Exit::Stopped,
        Side::Postgres,
        "another process took this run over; nothing more is written here",
        "Look at `redis2pg runs list`. If this process was suspended for long, that is why.",
    )
}

/// Growing pauses until a deadline, counted from the first failure.
struct Patience {
    deadline: Duration,
    first: Option<Instant>,
    next: Duration,
}

impl Patience {
    fn new(deadline: Duration) -> Self {
        Self { deadline, first: None, next: Duration::from_millis(100) }
    }

    fn pause(&mut self) -> Option<Duration> {
        let first = *self.first.get_or_insert_with(Instant::now);
        if first.elapsed() >= self.deadline {
            return None;
        }
        let pause = self.next;
        self.next = (self.next * 2).min(Duration::from_secs(5));
        Some(pause)
    }
}
