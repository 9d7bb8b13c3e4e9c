//! Rows whose keys are gone from Redis: deleted in short transactions of their own, once a run has loaded all that it found.
//!
//! Each row is looked at again under a lock: whether its key is gone still, which the one who calls asks Redis, whether the row
//! is still as a run of this source wrote it, and whether another row refers to it that does not go with it. What is deleted leaves an image.

use super::attempt::{Missed, settings};
use super::gone::delete_rows;
use super::loader::{Loader, is_journal};
use super::locked::lock;
use super::together::{Together, own_parents};
use super::writers::Writers;
use crate::flow::Backoff;
use crate::ledger::{self, Journal};
use crate::model::{Event, Failure, GoneRow, MappingId, Tally};
use crate::postgres::{Verdict, answered, failure, is_not_supported, script, verdict};
use crate::sink::ownership::TEXT_SETTINGS;
use crate::sink::table::LoadTable;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error};
use uuid::Uuid;

/// What became of rows whose keys are gone.
#[derive(Clone, Debug, Default)]
pub struct GoneCounts {
    /// They were deleted.
    pub deleted: i64,
    /// Somebody else changed or deleted them since.
    pub changed: i64,
    /// Another row refers to them.
    pub referred: i64,
    /// The keys of these.
    pub waiting: Vec<String>,
    /// The server did not delete them.
    pub refused: i64,
    /// What it said, of the first that it refused by an error.
    pub said: Option<String>,
}

impl GoneCounts {
    /// Adds others to these.
    pub fn add(&mut self, other: Self) {
        self.deleted += other.deleted;
        self.changed += other.changed;
        self.referred += other.referred;
        self.waiting.extend(other.waiting);
        self.refused += other.refused;
        self.said = self.said.take().or(other.said);
    }
}

/// What trying some rows came to.
enum Tried {
    Done(GoneCounts),
    /// The server refuses one of them.
    Refused(Error),
}

impl Loader {
    /// Deletes rows of a mapping, by their keys as the ledger writes them, that runs among `runs` wrote last and that no
    /// other row refers to but these. Returns once that is committed.
    ///
    /// `still` says which of some rows' keys are gone still. It is asked under the locks, each time that the rows are tried: they
    /// may have been waited for, and a key may have come back meanwhile.
    ///
    /// Not cancel-safe, as [`Self::load`].
    ///
    /// # Errors
    /// As [`Self::load`], and those of `still`.
    pub async fn delete_gone(
        &mut self,
        mapping: MappingId,
        rows: Vec<String>,
        (runs, still): (&[String], &impl AsyncFn(&[String]) -> Result<Vec<String>, Failure>),
    ) -> Result<GoneCounts, Failure> {
        let tables = self.writers.tables.clone();
        let table = tables
            .get(usize::from(mapping.0))
            .ok_or_else(|| Failure::internal("rows name a mapping that there is not"))?;
        let (mut pieces, mut total) = (vec![rows], GoneCounts::default());
        while let Some(mut rows) = pieces.pop() {
            match self.settle_rows(table, &rows, (runs, still)).await? {
                Tried::Done(counts) => {
                    let event = Event::Settled { mapping, tally: tally(table, &counts), bytes: 0, pending: 0 };
                    let _ = self.writers.events.send(event).await;
                    total.add(counts);
                }
                Tried::Refused(error) if rows.len() < 2 => {
                    total.add(GoneCounts { refused: 1, said: Some(error.to_string()), ..GoneCounts::default() });
                }
                // One of them is at fault: it is found by halves.
                Tried::Refused(_) => {
                    let rest = rows.split_off(rows.len() / 2);
                    pieces.extend([rest, rows]);
                }
            }
        }
        Ok(total)
    }

    /// Tries rows until that is committed, or one of them is refused.
    async fn settle_rows(
        &mut self,
        table: &LoadTable,
        rows: &[String],
        (runs, still): (&[String], &impl AsyncFn(&[String]) -> Result<Vec<String>, Failure>),
    ) -> Result<Tried, Failure> {
        let mut backoff = Backoff::until(self.writers.options.retry_deadline);
        let id = Uuid::now_v7();
        let mut counts = GoneCounts::default();
        loop {
            let missed = match self.attempt_rows((table, id), (rows, runs, still), &mut counts).await {
                Ok(()) => return Ok(Tried::Done(counts)),
                Err(missed) => missed,
            };
            let error = match missed {
                Missed::Fenced => return Err(ledger::taken_over()),
                Missed::Asked(failure) => return Err(failure),
                Missed::Moved => continue,
                Missed::CommitUnknown { error, .. } => error,
                Missed::Ledger(error) if is_journal(&error) || verdict(&error) == Verdict::Transient => error,
                Missed::Ledger(error) => return Err(failure("writing the ledger", error)),
                Missed::Server { error, .. } | Missed::Gone(error) => match verdict(&error) {
                    Verdict::Transient => error,
                    Verdict::Systemic if is_not_supported(&error) => return Ok(Tried::Refused(error)),
                    Verdict::Systemic => return Err(failure(&format!("deleting from {}", table.name), error)),
                    Verdict::Row | Verdict::Unique | Verdict::ForeignKey => return Ok(Tried::Refused(error)),
                },
            };
            if let Some(tally) = self.lost_commit(&mut backoff, error, id).await? {
                counts.deleted = tally.deleted_gone.get(GoneRow::Deleted.name()).copied().unwrap_or(0);
                return Ok(Tried::Done(counts));
            }
        }
    }

    async fn attempt_rows(
        &mut self,
        (table, id): (&LoadTable, Uuid),
        (rows, runs, still): (&[String], &[String], &impl AsyncFn(&[String]) -> Result<Vec<String>, Failure>),
        counts: &mut GoneCounts,
    ) -> Result<(), Missed> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => self.writers.target.try_connect().await?,
        };
        let options = &self.writers.options;
        let running = self.delete_some(&mut connection, (table, id), (rows, runs, still), counts);
        let result = answered(options.limits.silence(), running)
            .await
            .unwrap_or_else(|error| Err(Missed::CommitUnknown { error, groups: Default::default() }));
        self.settled = result.is_ok();
        self.connection = Some(connection);
        result
    }

    /// One transaction.
    async fn delete_some(
        &self,
        connection: &mut PgConnection,
        (table, id): (&LoadTable, Uuid),
        (rows, runs, still): (&[String], &[String], &impl AsyncFn(&[String]) -> Result<Vec<String>, Failure>),
        counts: &mut GoneCounts,
    ) -> Result<(), Missed> {
        *counts = GoneCounts::default();
        let mut transaction = connection.begin().await?;
        let set = settings(&self.writers.options, self.shard) + TEXT_SETTINGS;
        script(set).execute(&mut *transaction).await?;
        if !ledger::fence(&mut transaction, self.shard).await.map_err(Missed::Ledger)? {
            return Err(Missed::Fenced);
        }
        lock(&mut transaction, table, rows).await?;
        let left = still(rows).await.map_err(Missed::Asked)?;
        let taken = self.delete_together(&mut transaction, table, (&left, runs), counts).await?;
        let journal = Journal {
            id,
            epoch: 0,
            mapping: &table.mapping,
            table: &table.name,
            fingerprint: &table.fingerprint,
            pages: &[],
            tally: &tally(table, counts),
            images: taken,
        };
        ledger::write_journal(&mut transaction, self.shard, &journal).await.map_err(Missed::Ledger)?;
        match transaction.commit().await {
            Ok(()) => Ok(()),
            Err(error @ Error::Database(_)) => Err(error.into()),
            Err(error) => Err(Missed::CommitUnknown { error, groups: Default::default() }),
        }
    }
}

impl Writers {
    /// Whether rows of a mapping's table may refer to one another.
    pub fn has_families(&self, mapping: MappingId) -> bool {
        let table = self.tables.get(usize::from(mapping.0));
        table.is_some_and(|table| table.referrers.iter().any(|referrer| referrer.is_own && referrer.readable))
    }

    /// Of some rows of a mapping, by their keys as the ledger writes them: each with a row of its table that it refers to, in a transaction
    /// of its own.
    ///
    /// # Errors
    /// The server's.
    pub async fn own_parents(
        &self,
        connection: &mut PgConnection,
        mapping: MappingId,
        rows: &[String],
    ) -> Result<Vec<(String, String)>, Error> {
        let Some(table) = self.tables.get(usize::from(mapping.0)) else { return Ok(Vec::new()) };
        let mut transaction = connection.begin().await?;
        script(TEXT_SETTINGS).execute(&mut *transaction).await?;
        let found = own_parents(&mut transaction, table, rows).await?;
        transaction.commit().await?;
        Ok(found)
    }
}

impl Loader {
    /// Deletes all of some rows that can go; they are locked already. Gives how many images were taken.
    async fn delete_together(
        &self,
        connection: &mut PgConnection,
        table: &LoadTable,
        (rows, runs): (&[String], &[String]),
        counts: &mut GoneCounts,
    ) -> Result<u64, Missed> {
        let (mut together, others) = Together::look(connection, table, (rows, runs)).await?;
        let run = self.shard.run.to_string();
        counts.changed += others;
        let taken = loop {
            let (delete, images) = together.going(&run);
            let linked = together.are_linked();
            if linked {
                script("SAVEPOINT redis2pg_together").execute(&mut *connection).await?;
            }
            let (gone, taken) = delete_rows(connection, (table, self.shard.run), &delete, &images).await?;
            let left = delete.iter().filter(|row| !gone.contains(**row));
            let left: Vec<String> = left.map(|row| (*row).to_owned()).collect();
            counts.refused += left.len() as i64;
            // The rows that one refers to which stays must not go, and nothing may be made of it by a foreign key's action.
            if linked && !left.is_empty() {
                let back = "ROLLBACK TO SAVEPOINT redis2pg_together; RELEASE SAVEPOINT redis2pg_together";
                script(back).execute(&mut *connection).await?;
                together.refuse(&left);
                continue;
            }
            counts.deleted += gone.len() as i64;
            break taken;
        };
        counts.waiting = together.into_referred();
        counts.referred = counts.waiting.len() as i64;
        Ok(taken)
    }
}

/// What the books are told: what is kept is told once, when all has been looked at.
fn tally(table: &LoadTable, counts: &GoneCounts) -> Tally {
    let mut tally = Tally::default();
    tally.gone(GoneRow::Deleted, counts.deleted, table.explodes);
    tally
}
