//! Asking the server, for as long as it may come back: what fails and may pass is tried again.

use super::attempt::{self, Attempt, Refused};
use super::met::without_parent;
use super::rows_of_key::{self, RowsOfKey};
use super::statements::orphan;
use super::{CompareOptions, Comparer, in_ledger};
use crate::flow::Backoff;
use crate::ledger::{self, ShardId};
use crate::model::{Database, Event, Exit, Failure, RedisKey, Row, Side};
use crate::postgres::{Target, Verdict, answered, failure, query, script, verdict};
use crate::sink::load::origin::is_surely_in_ledger;
use crate::sink::ownership::TEXT_SETTINGS;
use crate::sink::table::LoadTable;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Connection, Error, Row as _};
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};
use uuid::Uuid;

impl Comparer {
    /// Tries until the server answers.
    pub(super) async fn look(
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
        let attempt = Attempt { table, database, run: self.run.run, options: &self.options, rows };
        let running = attempt.run(connection, &mut self.buffer);
        answered(within(&self.options), running).await.unwrap_or_else(|error| Err(error.into()))
    }

    /// The rows that there are of each of these keys, by their places.
    pub(super) async fn rows_of(
        &mut self,
        table: &LoadTable,
        database: Database,
        keys: &[RedisKey],
    ) -> Result<HashMap<usize, RowsOfKey>, Failure> {
        let (name, here) = (table.name.to_string(), is_surely_in_ledger(database, self.run.run));
        let (settings, sql) = (attempt::settings(&self.options), in_ledger::rows_of_keys(table, &here));
        let mut backoff = Backoff::until(self.options.retry_deadline);
        loop {
            let asked = async {
                let connection = connected(&mut self.connection, &self.target).await?;
                rows_of_key::read(connection, (&settings, &sql), &name, keys).await
            };
            match answered(within(&self.options), asked).await.unwrap_or_else(Err) {
                Ok(rows) => return Ok(rows),
                Err(error) => self.pause(&mut backoff, "counting the rows of keys", error).await?,
            }
        }
    }

    /// Which of some keys a cleanup deleted, each with a run after which, by their places.
    pub(super) async fn cleaned(
        &mut self,
        database: Database,
        keys: &[(RedisKey, String)],
    ) -> Result<HashSet<usize>, Failure> {
        let of = (self.run.run, database.number);
        let mut backoff = Backoff::until(self.options.retry_deadline);
        loop {
            let asked = async {
                let connection = connected(&mut self.connection, &self.target).await?;
                ledger::cleaned_of_source(connection, of, keys).await
            };
            match answered(within(&self.options), asked).await.unwrap_or_else(Err) {
                Ok(places) => return Ok(places),
                Err(error) => self.pause(&mut backoff, "looking for keys that a cleanup deleted", error).await?,
            }
        }
    }

    /// The open rejects of the run among these keys.
    pub(super) async fn known(
        &mut self,
        of: (&str, Database),
        keys: &[RedisKey],
    ) -> Result<HashMap<RedisKey, ledger::Known>, Failure> {
        // Of a retry's shard, rejects are known whichever mapping takes their keys now.
        let shard = ShardId { run: Uuid::nil(), phase: 0, shard: 0, lease: Uuid::nil(), retry_of: Some(self.run) };
        let mut backoff = Backoff::until(self.options.retry_deadline);
        let elements = self.options.ledger_is_current;
        loop {
            let asked = async {
                let connection = connected(&mut self.connection, &self.target).await?;
                ledger::known(connection, shard, of, keys, elements).await
            };
            match answered(within(&self.options), asked).await.unwrap_or_else(Err) {
                Ok(known) => {
                    let open = known.into_iter().filter(|known| !known.closed);
                    return Ok(open.map(|known| (known.key.clone(), known)).collect());
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
    options.limits.silence()
}

/// A row that is there as one of the runs wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StillOwned {
    /// Its place among those that were asked for.
    pub place: usize,
    /// That a row is missing which it refers to, for people.
    pub orphaned: Option<String>,
}

/// Which of some rows, by their keys as the ledger writes them, are there as one of the runs wrote them. `relationships`: whether it is
/// looked for the rows that they refer to.
///
/// # Errors
/// The server's.
pub async fn still_owned(
    connection: &mut PgConnection,
    (table, relationships): (&LoadTable, bool),
    row_keys: &[String],
    runs: &[String],
) -> Result<Vec<StillOwned>, Error> {
    let mut transaction = connection.begin().await?;
    let settings = format!("SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off; {TEXT_SETTINGS}");
    script(settings).execute(&mut *transaction).await?;
    let rows = query(in_ledger::still_owned(table, &orphan(table, relationships)))
        .bind(table.name.to_string())
        .bind(row_keys)
        .bind(runs)
        .fetch_all(&mut *transaction)
        .await?;
    transaction.rollback().await?;
    let found = |row: &PgRow| {
        let check = row.try_get::<Option<i32>, _>("orphan")?.and_then(|check| usize::try_from(check).ok());
        let place = usize::try_from(row.try_get::<i64, _>("place")?).unwrap_or(usize::MAX);
        Ok(StillOwned { place, orphaned: check.and_then(|check| without_parent(table, check)) })
    };
    rows.iter().map(found).collect()
}
