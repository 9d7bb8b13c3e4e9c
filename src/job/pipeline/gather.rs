//! Gathering: rows go to writers by the hash of their target key, so that two reads of one key stay in order, and are
//! closed into batches by rows, bytes, age or pressure.
//!
//! Pressure is a writer without work while reading waits for memory: the open batches that hold the memory would wait
//! for rows for ever. While all writers are at work nothing is closed early: they will give memory back, and a batch
//! that is closed sooner than it can be loaded is only smaller.

use super::outlet::{Closed, Outlet};
use super::partition::worker;
use super::transform::Mapped;
use super::{BatchLimits, Shared};
use crate::flow::{ByteBudget, PagePart, Permit};
use crate::model::{Database, Event, Failure, MappingId, Row, Tally};
use crate::sink::Batch;
use crate::source::Source;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{Notify, mpsc};
use tokio::time::{MissedTickBehavior, interval};

struct Open {
    batch: Batch,
    bytes: usize,
    since: Instant,
    /// Batches are closed at 70% to 130% of the limit, so that writers do not commit in step.
    rows_limit: usize,
    /// Whether any row's value is in a file. Files are not counted as memory: such a batch waits for no further rows, so
    /// that only as many files are there as batches are under way.
    stored: bool,
}

struct Gather {
    open: HashMap<(MappingId, usize), Open>,
    /// The database that all of it is from.
    database: Database,
    outlets: Vec<Outlet>,
    /// Told whenever a writer is done with a batch.
    finished: Arc<Notify>,
    limits: BatchLimits,
    jitter: u64,
}

pub(super) async fn run<S: Source>(
    shared: Shared<S>,
    mut mapped: mpsc::Receiver<Mapped>,
    (outlets, finished): (Vec<Outlet>, Arc<Notify>),
    limits: BatchLimits,
) -> Result<(), Failure> {
    let (open, database, jitter) = (HashMap::new(), shared.database, 0x9e37_79b9_7f4a_7c15);
    let mut gather = Gather { open, database, outlets, finished, limits, jitter };
    let mut tick = interval(limits.age.min(std::time::Duration::from_millis(250)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let closed = tokio::select! {
            biased;
            next = mapped.recv() => match next {
                Some(mapped) => gather.take(mapped).await,
                None => break,
            },
            key = gather.wanted(&shared.budget), if !gather.open.is_empty() => gather.close(key).await,
            _ = tick.tick() => {
                let _ = shared.events.send(Event::InFlight { bytes: shared.budget.in_flight() }).await;
                gather.close_old().await
            }
        };
        if closed.is_err() || shared.stop.cut() {
            return Ok(());
        }
    }
    let keys: Vec<_> = gather.open.keys().copied().collect();
    for key in keys {
        if gather.close(key).await.is_err() {
            break;
        }
    }
    Ok(())
}

impl Gather {
    async fn take(&mut self, mapped: Mapped) -> Result<(), Closed> {
        let Mapped { mapping, epoch, made, gone, left, permit, part } = mapped;
        let writers = self.outlets.len();
        // What has no row has no order to keep: the first writer takes it.
        let settled = !made.rejects.is_empty() || made.tally != Tally::default();
        if settled {
            let open = self.open(mapping, epoch, 0).await?;
            open.batch.tally.add(&made.tally);
            open.batch.rejects.extend(made.rejects);
            open.batch.gone.extend(gone);
            open.batch.left.extend(left);
            open.hold(&part, &permit);
        }
        let mut closed = made.closed;
        for (writer, rows) in by_writer(made.rows, writers).into_iter().enumerate() {
            let ended: Vec<_> =
                closed.extract_if(.., |group| worker(group.key.as_bytes(), writers) == writer).collect();
            if rows.is_empty() && ended.is_empty() {
                continue;
            }
            let open = self.open(mapping, epoch, writer).await?;
            open.bytes += rows.iter().map(Row::memory).sum::<usize>();
            open.stored |= rows.iter().any(|row| row.stored.is_some());
            open.batch.rows.extend(rows);
            open.batch.closed.extend(ended);
            if writer > 0 || !settled {
                open.hold(&part, &permit);
            }
        }
        part.settle();
        for writer in 0..writers {
            if self.open.get(&(mapping, writer)).is_some_and(|open| open.is_full(&self.limits)) {
                self.close((mapping, writer)).await?;
            }
        }
        Ok(())
    }

    /// The open batch of a mapping and writer. One of another epoch is closed first: its pages are another scan's.
    async fn open(&mut self, mapping: MappingId, epoch: u32, writer: usize) -> Result<&mut Open, Closed> {
        if self.open.get(&(mapping, writer)).is_some_and(|open| open.batch.epoch != epoch) {
            self.close((mapping, writer)).await?;
        }
        let (rows_limit, database) = (self.jittered(), self.database);
        Ok(self.open.entry((mapping, writer)).or_insert_with(|| Open {
            batch: Batch { mapping, database, epoch, ..Batch::default() },
            bytes: 0,
            since: Instant::now(),
            rows_limit,
            stored: false,
        }))
    }

    fn jittered(&mut self) -> usize {
        // xorshift: any spread will do.
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
        let percent = 70 + self.jitter % 61;
        (self.limits.rows as u64 * percent / 100).max(1) as usize
    }

    async fn close(&mut self, key: (MappingId, usize)) -> Result<(), Closed> {
        let Some(open) = self.open.remove(&key) else { return Ok(()) };
        let Some(outlet) = self.outlets.get(key.1) else { return Err(Closed) };
        outlet.send(open.batch).await
    }

    /// Waits until reading waits for memory while a writer has nothing to do: its largest open batch. Cancel-safe.
    async fn wanted(&self, budget: &ByteBudget) -> (MappingId, usize) {
        loop {
            budget.pressured().await;
            let idle = |writer: usize| self.outlets.get(writer).is_none_or(Outlet::is_idle);
            let open = self.open.iter().filter(|((_, writer), _)| idle(*writer));
            if let Some((key, _)) = open.max_by_key(|(_, open)| open.bytes) {
                return *key;
            }
            self.finished.notified().await;
        }
    }

    async fn close_old(&mut self) -> Result<(), Closed> {
        let age = self.limits.age;
        let old: Vec<_> =
            self.open.iter().filter(|(_, open)| open.since.elapsed() >= age).map(|(key, _)| *key).collect();
        for key in old {
            self.close(key).await?;
        }
        Ok(())
    }
}

impl Open {
    fn hold(&mut self, part: &PagePart, permit: &Arc<Permit>) {
        self.batch.pages.push(part.split());
        self.batch.memory.push(permit.clone());
    }

    fn is_full(&self, limits: &BatchLimits) -> bool {
        self.batch.rows.len() >= self.rows_limit
            || self.batch.rejects.len() >= self.rows_limit
            || self.batch.gone.len() + self.batch.left.len() >= self.rows_limit
            || self.batch.closed.len() >= self.rows_limit
            || self.bytes >= limits.bytes
            || self.stored
    }
}

/// What says which writer a row goes to.
fn home(row: &Row) -> &[u8] {
    if row.group.is_some() { row.key.as_bytes() } else { row.identity() }
}

/// Shares rows out by the hash of their identity; those of one key that is taken apart go together, by the key's.
fn by_writer(rows: Vec<Row>, writers: usize) -> Vec<Vec<Row>> {
    let mut shares: Vec<Vec<Row>> = (0..writers).map(|_| Vec::with_capacity(rows.len() / writers + 1)).collect();
    for row in rows {
        if let Some(share) = shares.get_mut(worker(home(&row), writers)) {
            share.push(row);
        }
    }
    shares
}
