//! The way through the tables: rounds, until nothing more moves.

use super::apply::{Means, Task, apply};
use super::books::Books;
use super::follow::Due;
use super::foresee::Foresight;
use super::kept_keys::{KeptKeys, Key};
use super::needs::ByValue;
use super::notices::in_a_circle;
use super::own_writes::OwnWrites;
use super::pace::Pace;
use super::plan::{Plan, Step};
use super::rings::Rings;
use super::{Held, Progress, stopped};
use crate::config::Settings;
use crate::flow::Stop;
use crate::job::link::Link;
use crate::job::setup;
use crate::ledger::Undoable;
use crate::model::{Failure, KeptReason, KeptRow};
use crate::sink::LoadOptions;
use crate::sink::undo::{Undo, UndoTable, Undone};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Rows that are deleted in one transaction, at most.
pub(super) const BATCH: usize = 1000;

/// With which number it begins where each deleted row costs a scan of a table that refers to it.
const SLOW_BATCH: usize = 50;

/// How a table is gone through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Nothing is done: it is learned which keys of several rows stay.
    Gather,
    /// Nothing is done: it is counted what would be.
    Survey,
    /// It is done.
    Apply,
}

/// A rollback at work.
pub(super) struct Work<'a> {
    pub(super) link: Link,
    /// Reads what comes next, while the other connection is at work.
    pub(super) ahead: Link,
    pub(super) options: LoadOptions,
    pub(super) plan: &'a Plan,
    pub(super) run: Uuid,
    /// Whether the run retried rejects of another one.
    retries: bool,
    held: Option<Held>,
    stop: &'a Stop,
    pub(super) force: bool,
    pub(super) books: Books,
    pub(super) kept_keys: KeptKeys,
    /// What a dry run knows by now.
    pub(super) foresight: Foresight,
    pub(super) rings: Rings,
    pub(super) by_value: ByValue,
    /// All images of a table were read for the parents of a page, and nothing came of it.
    pub(super) fruitless: bool,
    /// The transactions of this attempt.
    pub(super) own: OwnWrites,
    /// How many rows of the table at hand are deleted at once, and how many are put back.
    paces: (Pace, Pace),
    tell: &'a mut dyn FnMut(&Progress),
}

impl<'a> Work<'a> {
    pub(super) fn new(
        settings: &Settings,
        link: Link,
        (plan, found, held): (&'a Plan, &Undoable, Option<Held>),
        (stop, force): (&'a Stop, bool),
        books: Books,
        tell: &'a mut dyn FnMut(&Progress),
    ) -> Self {
        let (ahead, options) = (link.another(), setup::load_options(settings));
        let (run, retries) = (found.run, found.retries);
        let (kept_keys, own, foresight) = (KeptKeys::new(false), OwnWrites::default(), Foresight::default());
        let (paces, rings) = ((Pace::new(BATCH, BATCH), Pace::new(usize::MAX, usize::MAX)), Rings::default());
        Self {
            link,
            ahead,
            options,
            plan,
            run,
            retries,
            held,
            stop,
            force,
            books,
            kept_keys,
            foresight,
            rings,
            by_value: ByValue::default(),
            fruitless: false,
            own,
            paces,
            tell,
        }
    }

    pub(super) fn end(self) -> (Link, Books) {
        (self.link, self.books)
    }

    /// Goes through all tables, and again through those where something was kept that may go once others are gone.
    pub(super) async fn run(&mut self) -> Result<(), Failure> {
        if self.held.is_none() {
            return self.survey().await;
        }
        self.foresight = Foresight::new(self.plan);
        let circle = in_a_circle(&self.plan.steps);
        let mut again: Option<HashSet<String>> = None;
        loop {
            let (mut moved, mut begun) = (0, HashSet::new());
            again.iter().flatten().for_each(|name| self.foresight.staying.settle(name, false));
            for step in &self.plan.steps {
                let name = step.table.name();
                if again.as_ref().is_some_and(|again| !again.contains(&name)) {
                    continue;
                }
                self.books.begin(&name, begun.insert(name.clone()))?;
                self.begin(step);
                if step.table.run.explodes {
                    self.pass(step, Mode::Gather).await?;
                }
                moved += self.pass(step, Mode::Apply).await?;
                // What a row that is left there refers to stays with all of its key. In a circle it may go in a later round.
                if !circle.contains(&name) {
                    self.foresight.staying.settle(&name, true);
                }
            }
            let left: HashSet<String> = begun.into_iter().filter(|name| self.books.may_go_on(name)).collect();
            if moved == 0 || left.is_empty() {
                return Ok(());
            }
            again = Some(left);
        }
    }

    /// Begins with a table.
    pub(super) fn begin(&mut self, step: &Step) {
        self.kept_keys = KeptKeys::new(step.table.run.explodes);
        self.fruitless = false;
        // Of rows that refer to others of the table, as many as can be go at once.
        let is_slow = step.table.referrers.iter().any(|referrer| !referrer.indexed && !referrer.is_own);
        let first = if is_slow { SLOW_BATCH } else { BATCH };
        self.paces = (Pace::new(first, BATCH), Pace::new(usize::MAX, usize::MAX));
    }

    /// Goes through a table; gives how many rows it did.
    pub(super) async fn pass(&mut self, step: &Step, mode: Mode) -> Result<usize, Failure> {
        if mode == Mode::Apply {
            self.overwritten(step, mode).await?;
        }
        let mut moved = self.images(step, mode).await?;
        if step.rows {
            moved += self.rows(step, mode).await?;
        }
        Ok(moved)
    }

    pub(super) fn undo<'s>(&self, step: &'s Step) -> Undo<'s> {
        Undo { table: &step.table, run: self.run, force: self.force, retries: self.retries }
    }

    pub(super) async fn apply(&mut self, undo: Undo<'_>, task: Task<'_>, keys: Vec<String>) -> Result<Undone, Failure> {
        let Some(held) = self.held.filter(|_| !keys.is_empty()) else { return Ok(Undone::default()) };
        let pace = match task {
            Task::Delete => &mut self.paces.0,
            Task::Restore(_) => &mut self.paces.1,
        };
        let (link, own, options, stop) = (&mut self.link, &mut self.own, &self.options, self.stop);
        apply(Means { link, options, held, stop, pace, own }, undo, task, keys).await
    }

    /// Whether a row of a key of several rows stays since another one does.
    pub(super) fn stays_with_its_key(&self, mode: Mode, key: Option<&Key>) -> bool {
        mode != Mode::Gather && key.is_some_and(|key| self.kept_keys.has(key))
    }

    pub(super) fn keep_all(
        &mut self,
        table: &str,
        undone: Undone,
        keys_of: &HashMap<String, Key>,
    ) -> Result<(), Failure> {
        for (row_key, reason, detail) in undone.kept {
            self.keep(table, Mode::Apply, (&row_key, keys_of.get(&row_key)), reason, detail)?;
        }
        Ok(())
    }

    pub(super) fn keep(
        &mut self,
        table: &str,
        mode: Mode,
        (row_key, key): (&str, Option<&Key>),
        reason: KeptReason,
        detail: String,
    ) -> Result<(), Failure> {
        if mode == Mode::Survey {
            self.foresight.keep(table, row_key, reason);
        }
        self.note_kept(table, mode, (row_key, key), reason, detail)
    }

    /// The same, but for what a dry run knows of the row.
    pub(super) fn note_kept(
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
        if mode == Mode::Gather { Ok(()) } else { self.tell_kept(table, (row_key, key), reason, detail) }
    }

    /// Keeps a row of another table than the one that a dry run goes through: it says nothing of the keys of that one.
    pub(super) fn keep_of_other(
        &mut self,
        table: &str,
        row: (&str, Option<&Key>),
        reason: KeptReason,
        detail: String,
    ) -> Result<(), Failure> {
        self.foresight.keep(table, row.0, reason);
        self.tell_kept(table, row, reason, detail)
    }

    pub(super) fn tell_kept(
        &mut self,
        table: &str,
        (row_key, key): (&str, Option<&Key>),
        reason: KeptReason,
        detail: String,
    ) -> Result<(), Failure> {
        let redis_key = key.map(|key| key.0.clone());
        self.books.keep(table, KeptRow { row_key: row_key.to_owned(), redis_key, reason, detail })
    }

    /// Between batches.
    pub(super) async fn told(&mut self, table: &UndoTable, mode: Mode) -> Result<(), Failure> {
        if mode == Mode::Survey {
            self.follow(Due::Many(table)).await?;
        }
        (self.tell)(&self.books.progress(&table.name()));
        if self.stop.requested() { Err(stopped()) } else { Ok(()) }
    }
}
