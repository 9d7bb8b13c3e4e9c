//! The way through the tables: rounds, until nothing more moves.

use super::apply::{Task, apply};
use super::books::Books;
use super::plan::{Plan, Step};
use super::{Held, Progress, stopped};
use crate::config::Settings;
use crate::flow::Stop;
use crate::job::link::Link;
use crate::job::setup;
use crate::model::{Failure, KeptReason, KeptRow};
use crate::sink::undo::{Group, JudgedImage, Undo, Undone, prepare};
use crate::sink::{LoadOptions, OwnedReader, OwnedRow};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use uuid::Uuid;

/// Rows that are deleted in one transaction.
const BATCH: usize = 1000;

/// Keys of several rows that stay are remembered up to so many, in 64 MiB; beyond that all others stay too.
const KEPT_KEYS: usize = 4_000_000;

/// A Redis key and its database.
type Key = (Vec<u8>, Option<String>);

/// How a table is gone through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// Nothing is done: it is learned which keys of several rows stay.
    Gather,
    /// Nothing is done: it is counted what would be.
    Survey,
    /// It is done.
    Apply,
}

/// A rollback at work.
pub(super) struct Work<'a> {
    link: Link,
    options: LoadOptions,
    plan: &'a Plan,
    run: Uuid,
    held: Option<Held>,
    stop: &'a Stop,
    force: bool,
    books: Books,
    kept_keys: KeptKeys,
    tell: &'a mut dyn FnMut(&Progress),
}

/// The hashes of keys of which a row stays: 64 bits, so that one in 10¹² keys stays for nothing.
#[derive(Default)]
struct KeptKeys {
    hashes: HashSet<u64>,
    hasher: RandomState,
    full: bool,
}

impl KeptKeys {
    fn insert(&mut self, key: &Key) {
        self.full |= self.hashes.len() >= KEPT_KEYS;
        if !self.full {
            self.hashes.insert(self.hasher.hash_one(key));
        }
    }

    fn has(&self, key: &Key) -> bool {
        self.full || self.hashes.contains(&self.hasher.hash_one(key))
    }
}

impl<'a> Work<'a> {
    pub(super) fn new(
        settings: &Settings,
        link: Link,
        (plan, run, held): (&'a Plan, Uuid, Option<Held>),
        (stop, force): (&'a Stop, bool),
        books: Books,
        tell: &'a mut dyn FnMut(&Progress),
    ) -> Self {
        let options = setup::load_options(settings);
        Self { link, options, plan, run, held, stop, force, books, kept_keys: KeptKeys::default(), tell }
    }

    pub(super) fn end(self) -> (Link, Books) {
        (self.link, self.books)
    }

    /// Goes through all tables, and again through those where something was kept that may go once others are gone.
    pub(super) async fn run(&mut self) -> Result<(), Failure> {
        let mode = if self.held.is_some() { Mode::Apply } else { Mode::Survey };
        let mut again: Option<HashSet<String>> = None;
        loop {
            let (mut moved, mut begun) = (0, HashSet::new());
            for step in &self.plan.steps {
                let name = step.table.name();
                if again.as_ref().is_some_and(|again| !again.contains(&name)) {
                    continue;
                }
                self.books.begin(&name, begun.insert(name.clone()))?;
                moved += self.step(step, mode).await?;
            }
            let left: HashSet<String> = begun.into_iter().filter(|name| self.books.may_go_on(name)).collect();
            if mode == Mode::Survey || moved == 0 || left.is_empty() {
                return Ok(());
            }
            again = Some(left);
        }
    }

    /// Goes through a table; gives how many rows it did.
    async fn step(&mut self, step: &Step, mode: Mode) -> Result<usize, Failure> {
        self.kept_keys = KeptKeys::default();
        if step.table.run.explodes {
            self.pass(step, Mode::Gather).await?;
        }
        self.pass(step, mode).await
    }

    async fn pass(&mut self, step: &Step, mode: Mode) -> Result<usize, Failure> {
        let mut moved = self.images(step, mode).await?;
        if step.rows {
            moved += self.rows(step, mode).await?;
        }
        Ok(moved)
    }

    fn undo<'s>(&self, step: &'s Step) -> Undo<'s> {
        Undo { table: &step.table, run: self.run, force: self.force }
    }

    /// What was changed or deleted by the run.
    async fn images(&mut self, step: &Step, mode: Mode) -> Result<usize, Failure> {
        let (undo, name) = (self.undo(step), step.table.name());
        let (mut after, mut moved) = (None::<String>, 0);
        loop {
            let judge = {
                let options = &self.options;
                let after = after.as_deref();
                async move |connection: &mut PgConnection| {
                    let mut transaction = connection.begin().await?;
                    prepare(&mut transaction, options, "redis2pg").await?;
                    let page = undo.judge_images(&mut transaction, after).await?;
                    transaction.commit().await?;
                    Ok::<_, Error>(page)
                }
            };
            let page = self.link.call("reading the before-images", judge).await?;
            let Some(last) = page.last() else { return Ok(moved) };
            after = Some(last.row_key.clone());
            let mut keys_of: HashMap<String, Key> = HashMap::new();
            let mut groups: BTreeMap<Group, Vec<String>> = BTreeMap::new();
            for JudgedImage { row_key, redis_key, group, why } in page {
                if let Some((reason, detail)) = why {
                    self.keep(&name, mode, (&row_key, redis_key.as_ref()), reason, detail)?;
                } else if self.stays_with_its_key(step, mode, redis_key.as_ref()) {
                    self.keep(&name, mode, (&row_key, redis_key.as_ref()), KeptReason::KeyKept, String::new())?;
                } else {
                    keys_of.extend(redis_key.map(|key| (row_key.clone(), key)));
                    groups.entry(group).or_default().push(row_key);
                }
            }
            for (group, keys) in groups {
                if mode == Mode::Survey {
                    self.books.restored(&name, keys.len());
                }
                if mode == Mode::Apply {
                    let undone = self.apply(undo, Task::Restore(&group), keys).await?;
                    self.books.restored(&name, undone.done.len());
                    moved += undone.done.len();
                    self.keep_all(&name, undone, &keys_of)?;
                }
            }
            self.told(&name)?;
        }
    }

    /// What was inserted by the run. From the end of the table: rows that refer to others of the table mostly come after them.
    async fn rows(&mut self, step: &Step, mode: Mode) -> Result<usize, Failure> {
        let name = step.table.name();
        let reader = OwnedReader::new(&step.table.run, &[self.run]);
        let extent = async |connection: &mut PgConnection| reader.extent(connection).await;
        let extent = self.link.call("reading the table", extent).await?;
        let mut moved = 0;
        for number in (0..extent.slices()).rev() {
            let read = async |connection: &mut PgConnection| reader.read(connection, &extent, number).await;
            let rows = self.link.call("reading the run's rows", read).await?;
            for part in rows.chunks(BATCH) {
                moved += self.part(step, mode, part).await?;
                self.told(&name)?;
            }
            if rows.is_empty() {
                self.told(&name)?;
            }
        }
        Ok(moved)
    }

    async fn part(&mut self, step: &Step, mode: Mode, rows: &[OwnedRow]) -> Result<usize, Failure> {
        let (undo, name, run) = (self.undo(step), step.table.name(), self.run.to_string());
        let keys_of: HashMap<String, Key> = rows
            .iter()
            .filter_map(|row| Some((row.row_key.clone(), (row.redis_key.clone()?, row.redis_db.clone()))))
            .collect();
        // A deletion looks for itself which rows have an image, and were dealt with by it. Of the others it is asked here.
        let looks = mode == Mode::Apply && !step.table.run.explodes;
        let is_ours = |row: &&OwnedRow| row.owner.as_deref() == Some(&run);
        let (ours, others): (Vec<&OwnedRow>, Vec<&OwnedRow>) = rows.iter().partition(is_ours);
        let mut going: Vec<String> = Vec::new();
        let asked: Vec<&OwnedRow> = if looks { others } else { ours.iter().copied().chain(others).collect() };
        let found = self.without_image(undo, &asked).await?;
        for row in &asked {
            match found.get(&row.row_key) {
                Some(false) if !self.force => {
                    let key = (row.row_key.as_str(), keys_of.get(&row.row_key));
                    self.keep(&name, mode, key, KeptReason::Changed, String::new())?;
                }
                Some(_) => going.push(row.row_key.clone()),
                None => {}
            }
        }
        if looks {
            going.extend(ours.iter().map(|row| row.row_key.clone()));
        }
        let mut free = Vec::new();
        for row_key in going {
            if self.stays_with_its_key(step, mode, keys_of.get(&row_key)) {
                let key = (row_key.as_str(), keys_of.get(&row_key));
                self.keep(&name, mode, key, KeptReason::KeyKept, String::new())?;
            } else {
                free.push(row_key);
            }
        }
        if mode == Mode::Apply {
            let undone = self.apply(undo, Task::Delete, free).await?;
            let moved = undone.done.len();
            self.books.deleted(&name, moved);
            self.keep_all(&name, undone, &keys_of)?;
            return Ok(moved);
        }
        let referred = self.referred_to(undo, &free).await?;
        if mode == Mode::Survey {
            self.books.deleted(&name, free.len() - referred.len());
        }
        for (row_key, by) in referred {
            self.keep(&name, mode, (&row_key, keys_of.get(&row_key)), KeptReason::ReferredTo, by)?;
        }
        Ok(0)
    }

    async fn without_image(&mut self, undo: Undo<'_>, rows: &[&OwnedRow]) -> Result<HashMap<String, bool>, Failure> {
        if rows.is_empty() {
            return Ok(HashMap::new());
        }
        let (keys, options) = (rows.iter().map(|row| row.row_key.as_str()).collect::<Vec<_>>(), &self.options);
        let ask = async |connection: &mut PgConnection| {
            let mut transaction = connection.begin().await?;
            prepare(&mut transaction, options, "redis2pg").await?;
            let found = undo.without_image(&mut transaction, &keys, false).await?;
            transaction.commit().await?;
            Ok::<_, Error>(found)
        };
        self.link.call("judging the run's rows", ask).await
    }

    async fn referred_to(&mut self, undo: Undo<'_>, keys: &[String]) -> Result<HashMap<String, String>, Failure> {
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        let (keys, options) = (keys.iter().map(String::as_str).collect::<Vec<_>>(), &self.options);
        let ask = async |connection: &mut PgConnection| {
            let mut transaction = connection.begin().await?;
            prepare(&mut transaction, options, "redis2pg").await?;
            let found = undo.referred_to(&mut transaction, &keys, true).await?;
            transaction.commit().await?;
            Ok::<_, Error>(found)
        };
        self.link.call("looking for rows that refer to the run's", ask).await
    }

    async fn apply(&mut self, undo: Undo<'_>, task: Task<'_>, keys: Vec<String>) -> Result<Undone, Failure> {
        let Some(held) = self.held.filter(|_| !keys.is_empty()) else { return Ok(Undone::default()) };
        apply(&mut self.link, (&self.options, held), undo, task, keys).await
    }

    /// Whether a row of a key of several rows stays since another one does.
    fn stays_with_its_key(&self, step: &Step, mode: Mode, key: Option<&Key>) -> bool {
        mode != Mode::Gather && step.table.run.explodes && key.is_some_and(|key| self.kept_keys.has(key))
    }

    fn keep_all(&mut self, table: &str, undone: Undone, keys_of: &HashMap<String, Key>) -> Result<(), Failure> {
        for (row_key, reason, detail) in undone.kept {
            self.keep(table, Mode::Apply, (&row_key, keys_of.get(&row_key)), reason, detail)?;
        }
        Ok(())
    }

    fn keep(
        &mut self,
        table: &str,
        mode: Mode,
        (row_key, key): (&str, Option<&Key>),
        reason: KeptReason,
        detail: String,
    ) -> Result<(), Failure> {
        if let Some(key) = key {
            self.kept_keys.insert(key);
        }
        if mode == Mode::Gather {
            return Ok(());
        }
        let redis_key = key.map(|key| key.0.clone());
        self.books.keep(table, KeptRow { row_key: row_key.to_owned(), redis_key, reason, detail })
    }

    /// Between batches.
    fn told(&mut self, table: &str) -> Result<(), Failure> {
        (self.tell)(&self.books.progress(table));
        if self.stop.requested() { Err(stopped()) } else { Ok(()) }
    }
}
