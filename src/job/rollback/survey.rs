//! The way of a dry run through the tables: nothing is done, and what would be is counted. Images come first in all tables, since rows
//! that come back and rows that do not decide what else stays; it is gone over once more where that reaches back.

use super::ask::ask;
use super::by_image::Free;
use super::follow::Due;
use super::foresee::{Foresight, Waiting};
use super::kept_keys::{Aside, KeptKeys, Key};
use super::needs::ByValue;
use super::notices::in_a_circle;
use super::plan::Step;
use super::rings::Rings;
use super::work::{Mode, Work};
use crate::model::{Failure, KeptReason};
use crate::postgres::{Verdict, said, verdict};
use crate::sink::undo::{Group, Undo};
use sqlx::Error;
use sqlx::postgres::PgConnection;
use std::collections::{HashMap, HashSet};

/// So often all tables are gone over at most.
const PASSES: usize = 16;

impl Work<'_> {
    /// Counts what would be done.
    ///
    /// # Errors
    /// The server's; a stop.
    pub(super) async fn survey(&mut self) -> Result<(), Failure> {
        self.foresight = Foresight::new(self.plan);
        self.rings = Rings::new(in_a_circle(&self.plan.steps));
        self.by_value = ByValue::default();
        for _ in 0..PASSES {
            self.survey_all().await?;
            if !self.foresight.reaches_back(self.plan) {
                return Ok(());
            }
        }
        self.books.falls_short();
        Ok(())
    }

    async fn survey_all(&mut self) -> Result<(), Failure> {
        let plan = self.plan;
        self.foresight.begin();
        self.books.restart();
        let (mut begun, mut kept_keys) = (HashSet::new(), Vec::new());
        for step in &plan.steps {
            let name = step.table.name();
            self.books.begin(&name, begun.insert(name.clone()))?;
            self.begin(step);
            if step.table.run.explodes || plan.imaged.contains(&name) {
                self.foresight.look_at(&name);
            }
            if step.table.run.explodes {
                self.pass(step, Mode::Gather).await?;
            }
            self.overwritten(step, Mode::Survey).await?;
            self.images(step, Mode::Survey).await?;
            let keys = std::mem::replace(&mut self.kept_keys, KeptKeys::new(false));
            kept_keys.push(keys.set_aside());
        }
        self.settle(&mut kept_keys)?;
        for (step, keys) in plan.steps.iter().zip(kept_keys).filter(|(step, _)| step.rows) {
            self.foresight.look_at(&step.table.name());
            self.kept_keys = keys.taken_up()?;
            self.rows(step, Mode::Survey).await?;
        }
        self.settle_rings()?;
        self.follow(Due::All).await?;
        if self.foresight.falls_short {
            self.books.falls_short();
        }
        Ok(())
    }

    /// Counts the images that waited for others.
    fn settle(&mut self, kept_keys: &mut [Aside]) -> Result<(), Failure> {
        let (come, stay) = self.foresight.settle();
        let name = |step: usize| self.plan.steps.get(step).map(|step| step.table.name()).unwrap_or_default();
        for waiting in come {
            self.books.restored(&name(waiting.place.0), 1);
            self.books.left_out(&name(waiting.place.0), &waiting.group.lost, 1);
        }
        let stay: Vec<(String, Waiting, String)> =
            stay.into_iter().map(|(waiting, constraint)| (name(waiting.place.0), waiting, constraint)).collect();
        for (name, Waiting { place: (step, row_key), redis_key, group, .. }, constraint) in stay {
            if let (Some(key), Some(keys)) = (&redis_key, kept_keys.get_mut(step)) {
                keys.insert(key);
            }
            self.keep_image(&name, &group, (&row_key, redis_key.as_ref()), KeptReason::MissingParent, constraint)?;
        }
        Ok(())
    }

    /// Counts images of a group that are free: what the server would refuse is kept, as far as that is told without trying, in the order in
    /// which it would say so.
    pub(super) async fn foresee(
        &mut self,
        undo: Undo<'_>,
        group: &Group,
        (keys, free): (Vec<String>, &Free),
    ) -> Result<(), Failure> {
        let mut left = keys;
        let found = self.unreadable(undo, group, &left).await?;
        self.keep_found((undo, group), (&mut left, free), KeptReason::Refused, &found)?;
        if group.there {
            let unwritable = self.of_images(&left, async |connection, keys| undo.unwritable(connection, keys).await);
            let found = unwritable.await?;
            self.keep_found((undo, group), (&mut left, free), KeptReason::Refused, &found)?;
            let found = self.moved(undo, group, &left).await?;
            self.keep_found((undo, group), (&mut left, free), KeptReason::ReferredTo, &found)?;
        }
        let (missing, mut waiting) = self.parents(undo, &left).await?;
        self.keep_found((undo, group), (&mut left, free), KeptReason::MissingParent, &missing)?;
        let unmet = self.of_images(&left, async |connection, keys| undo.unmet(connection, group, keys).await);
        let found = unmet.await?;
        self.keep_found((undo, group), (&mut left, free), KeptReason::Refused, &found)?;
        let found = self.taken(undo, group, &left).await?;
        self.keep_found((undo, group), (&mut left, free), KeptReason::PlaceTaken, &found)?;
        let (name, step) = (undo.table.name(), self.place_of(undo));
        for key in left {
            if let Some(parents) = waiting.remove(&key) {
                let redis_key = free.keys_of.get(&key).cloned();
                let waiting = Waiting { place: (step, key), redis_key, group: group.clone(), parents };
                if self.foresight.wait(&name, waiting) {
                    continue;
                }
            }
            self.books.restored(&name, 1);
            self.books.left_out(&name, &group.lost, 1);
        }
        Ok(())
    }

    /// The table's place among the steps.
    fn place_of(&self, undo: Undo<'_>) -> usize {
        self.plan.steps.iter().position(|step: &Step| std::ptr::eq(&step.table, undo.table)).unwrap_or_default()
    }

    /// Keeps those of some images of which something was found.
    fn keep_found(
        &mut self,
        (undo, group): (Undo<'_>, &Group),
        (left, free): (&mut Vec<String>, &Free),
        reason: KeptReason,
        found: &HashMap<String, String>,
    ) -> Result<(), Failure> {
        let name = undo.table.name();
        for key in left.extract_if(.., |key| found.contains_key(key)) {
            let detail = found.get(&key).cloned().unwrap_or_default();
            self.keep_image(&name, group, (&key, free.keys_of.get(&key)), reason, detail)?;
        }
        Ok(())
    }

    /// Keeps the row of an image as it is, if it is there.
    fn keep_image(
        &mut self,
        name: &str,
        group: &Group,
        row: (&str, Option<&Key>),
        reason: KeptReason,
        detail: String,
    ) -> Result<(), Failure> {
        if group.there {
            return self.keep(name, Mode::Survey, row, reason, detail);
        }
        self.foresight.keep_away(name, row.0);
        self.note_kept(name, Mode::Survey, row, reason, detail)
    }

    /// Those of some images of which a value cannot be read as its type any more, each with what the server says.
    async fn unreadable(
        &mut self,
        undo: Undo<'_>,
        group: &Group,
        keys: &[String],
    ) -> Result<HashMap<String, String>, Failure> {
        let (mut found, mut parts) = (HashMap::new(), vec![keys.iter().map(String::as_str).collect::<Vec<_>>()]);
        while let Some(mut part) = parts.pop() {
            let question = async |connection: &mut PgConnection| match undo.readable(connection, group, &part).await {
                Err(error) if verdict(&error) == Verdict::Row => Ok(Some(said(&error))),
                done => done.map(|()| None),
            };
            let Some(why) = ask((&mut self.link, &self.options), "reading the before-images", question).await? else {
                continue;
            };
            if let [key] = part.as_slice() {
                found.insert((*key).to_owned(), why);
            } else {
                parts.push(part.split_off(part.len() / 2));
                parts.push(part);
            }
        }
        Ok(found)
    }

    async fn taken(
        &mut self,
        undo: Undo<'_>,
        group: &Group,
        keys: &[String],
    ) -> Result<HashMap<String, String>, Failure> {
        let texts: Vec<&str> = keys.iter().map(String::as_str).collect();
        let staying = &self.foresight.staying;
        let question = async |connection: &mut PgConnection| undo.taken(connection, (group, staying), &texts).await;
        ask((&mut self.link, &self.options), "looking for rows with the same values", question).await
    }

    /// Asks of some images; nothing is known where the server cannot work with a value.
    async fn of_images(
        &mut self,
        keys: &[String],
        question: impl AsyncFn(&mut PgConnection, &[&str]) -> Result<HashMap<String, String>, Error>,
    ) -> Result<HashMap<String, String>, Failure> {
        let texts: Vec<&str> = keys.iter().map(String::as_str).collect();
        let question = async |connection: &mut PgConnection| unless_of_a_value(question(connection, &texts).await);
        ask((&mut self.link, &self.options), "comparing rows with their before-images", question).await
    }
}

/// Nothing, where the server speaks of a value.
pub(super) fn unless_of_a_value<T: Default>(answer: Result<T, Error>) -> Result<T, Error> {
    match answer {
        Err(error) if verdict(&error) == Verdict::Row => Ok(T::default()),
        answer => answer,
    }
}
