//! What the run inserted: gone through slice by slice of the table.

use super::apply::Task;
use super::ask::ask;
use super::follow::Due;
use super::kept_keys::Key;
use super::plan::Step;
use super::work::{BATCH, Mode, Work};
use crate::job::link::Link;
use crate::model::{Failure, KeptReason};
use crate::sink::undo::{Undo, Whose};
use crate::sink::{Extent, OwnedReader, OwnedRow};
use sqlx::postgres::PgConnection;
use std::collections::HashMap;

impl Work<'_> {
    /// What was inserted by the run. From the end of the table: rows that refer to others of the table mostly come after them.
    pub(super) async fn rows(&mut self, step: &Step, mode: Mode) -> Result<usize, Failure> {
        let reader = OwnedReader::told(&step.table.run, &[self.run], !step.table.mixed);
        let extent = async |connection: &mut PgConnection| reader.extent(connection).await;
        let extent = self.link.read("reading the table", extent).await?;
        let mut ahead = std::mem::replace(&mut self.ahead, self.link.another());
        let done = self.slices(step, mode, (&reader, &extent), &mut ahead).await;
        self.ahead = ahead;
        done
    }

    /// Reads each slice while the one before it is worked through. A row that changes in between is looked at once more when it
    /// is locked.
    async fn slices(
        &mut self,
        step: &Step,
        mode: Mode,
        (reader, extent): (&OwnedReader, &Extent),
        ahead: &mut Link,
    ) -> Result<usize, Failure> {
        let (mut moved, mut rows) = (0, Vec::new());
        let numbers = (0..extent.slices()).rev().map(Some).chain([None]);
        for number in numbers {
            let next = async {
                let Some(number) = number else { return Ok(Vec::new()) };
                let read = async |connection: &mut PgConnection| reader.read(connection, extent, number).await;
                ahead.read("reading the run's rows", read).await
            };
            let (done, next) = tokio::join!(self.slice(step, mode, &rows), next);
            moved += done?;
            rows = next?;
        }
        Ok(moved)
    }

    async fn slice(&mut self, step: &Step, mode: Mode, rows: &[OwnedRow]) -> Result<usize, Failure> {
        let mut moved = 0;
        for part in rows.chunks(BATCH) {
            moved += self.part(step, mode, part).await?;
            self.told(&step.table, mode).await?;
        }
        if rows.is_empty() {
            self.told(&step.table, mode).await?;
        }
        Ok(moved)
    }

    async fn part(&mut self, step: &Step, mode: Mode, rows: &[OwnedRow]) -> Result<usize, Failure> {
        let (undo, name) = (self.undo(step), step.table.name());
        let keys_of: HashMap<String, Key> = rows
            .iter()
            .filter_map(|row| Some((row.row_key.clone(), (row.redis_key.clone()?, row.redis_db.clone()))))
            .collect();
        let mut free = Vec::new();
        for row_key in self.going(step, mode, rows, &keys_of).await? {
            if self.stays_with_its_key(mode, keys_of.get(&row_key)) {
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
            free.retain(|key| !referred.contains_key(key));
            let waiting = self.wait_in_rings(undo, &free, &keys_of).await?;
            self.books.deleted(&name, free.len() - waiting);
            if !self.rings.has(&name) {
                self.foresight.go(undo.table, &free);
            }
        }
        for (row_key, by) in referred {
            self.keep(&name, mode, (&row_key, keys_of.get(&row_key)), KeptReason::ReferredTo, by)?;
        }
        Ok(0)
    }

    /// The rows that the run inserted, and that nobody changed since.
    async fn going(
        &mut self,
        step: &Step,
        mode: Mode,
        rows: &[OwnedRow],
        keys_of: &HashMap<String, Key>,
    ) -> Result<Vec<String>, Failure> {
        let run = self.run.to_string();
        let is_ours = |row: &&OwnedRow| row.owner.as_deref() == Some(&run);
        let (ours, others): (Vec<&OwnedRow>, Vec<&OwnedRow>) = rows.iter().partition(is_ours);
        let mut going = Vec::new();
        // A row with an image was dealt with by that. A deletion looks for itself which have one; of the others it is asked.
        let asked: Vec<&OwnedRow> = if mode == Mode::Apply && !step.table.run.explodes {
            going.extend(ours.iter().map(|row| row.row_key.clone()));
            others
        } else {
            ours.into_iter().chain(others).collect()
        };
        let found = self.without_image(self.undo(step), &asked).await?;
        for row in asked {
            match found.get(&row.row_key) {
                Some(Whose::Ambiguous(why)) => {
                    let key = (row.row_key.as_str(), keys_of.get(&row.row_key));
                    self.keep(&step.table.name(), mode, key, KeptReason::Ambiguous, (*why).to_owned())?;
                }
                Some(Whose::Others(writer)) if !self.force => {
                    let key = (row.row_key.as_str(), keys_of.get(&row.row_key));
                    let detail = self.own.detail(Some(*writer), String::new());
                    self.keep(&step.table.name(), mode, key, KeptReason::Changed, detail)?;
                }
                Some(_) => going.push(row.row_key.clone()),
                None => {}
            }
        }
        Ok(going)
    }

    async fn without_image(&mut self, undo: Undo<'_>, rows: &[&OwnedRow]) -> Result<HashMap<String, Whose>, Failure> {
        if rows.is_empty() {
            return Ok(HashMap::new());
        }
        let keys = rows.iter().map(|row| row.row_key.as_str()).collect::<Vec<_>>();
        let question = async |connection: &mut PgConnection| undo.without_image(connection, &keys, false).await;
        ask((&mut self.link, &self.options), "judging the run's rows", question).await
    }

    async fn referred_to(&mut self, undo: Undo<'_>, keys: &[String]) -> Result<HashMap<String, String>, Failure> {
        if keys.is_empty() {
            return Ok(HashMap::new());
        }
        self.follow(Due::Of(undo.table)).await?;
        let keys = keys.iter().map(String::as_str).collect::<Vec<_>>();
        let ahead = Some(&self.foresight.staying);
        let question = async |connection: &mut PgConnection| undo.referred_to(connection, &keys, ahead).await;
        ask((&mut self.link, &self.options), "looking for rows that refer to the run's", question).await
    }
}
