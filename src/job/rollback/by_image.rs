//! What the run changed or deleted: gone through by its before-images.

use super::apply::Task;
use super::kept_keys::Key;
use super::plan::Step;
use super::work::{Mode, Work};
use crate::model::{Failure, KeptReason};
use crate::sink::undo::{Group, JudgedImage, Undo, prepare};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error};
use std::collections::{BTreeMap, HashMap};

impl Work<'_> {
    /// What was changed or deleted by the run.
    pub(super) async fn images(&mut self, step: &Step, mode: Mode) -> Result<usize, Failure> {
        let (undo, name) = (self.undo(step), step.table.name());
        let (mut after, mut moved) = (None::<String>, 0);
        loop {
            let page = self.page(undo, after.as_deref()).await?;
            let Some(last) = page.last() else { return Ok(moved) };
            after = Some(last.row_key.clone());
            let mut keys_of: HashMap<String, Key> = HashMap::new();
            let mut groups: BTreeMap<Group, Vec<String>> = BTreeMap::new();
            for JudgedImage { row_key, redis_key, group, why } in page {
                if let Some((reason, detail)) = why {
                    self.keep(&name, mode, (&row_key, redis_key.as_ref()), reason, detail)?;
                } else if self.stays_with_its_key(mode, redis_key.as_ref()) {
                    self.keep(&name, mode, (&row_key, redis_key.as_ref()), KeptReason::KeyKept, String::new())?;
                } else {
                    keys_of.extend(redis_key.map(|key| (row_key.clone(), key)));
                    groups.entry(group).or_default().push(row_key);
                }
            }
            for (group, keys) in groups {
                moved += self.restore(undo, mode, &group, (keys, &keys_of)).await?;
            }
            self.told(&name)?;
        }
    }

    async fn page(&mut self, undo: Undo<'_>, after: Option<&str>) -> Result<Vec<JudgedImage>, Failure> {
        let options = &self.options;
        let judge = async |connection: &mut PgConnection| {
            let mut transaction = connection.begin().await?;
            prepare(&mut transaction, options, "redis2pg").await?;
            let page = undo.judge_images(&mut transaction, after).await?;
            transaction.commit().await?;
            Ok::<_, Error>(page)
        };
        self.link.call("reading the before-images", judge).await
    }

    async fn restore(
        &mut self,
        undo: Undo<'_>,
        mode: Mode,
        group: &Group,
        (keys, keys_of): (Vec<String>, &HashMap<String, Key>),
    ) -> Result<usize, Failure> {
        let name = undo.table.name();
        match mode {
            Mode::Gather => Ok(0),
            Mode::Survey => {
                let referred = self.moved(undo, group, &keys).await?;
                self.books.restored(&name, keys.len() - referred.len());
                for (row_key, by) in referred {
                    self.keep(&name, mode, (&row_key, keys_of.get(&row_key)), KeptReason::ReferredTo, by)?;
                }
                Ok(0)
            }
            Mode::Apply => {
                let undone = self.apply(undo, Task::Restore(group), keys).await?;
                let moved = undone.done.len();
                self.books.restored(&name, moved);
                self.keep_all(&name, undone, keys_of)?;
                Ok(moved)
            }
        }
    }

    async fn moved(
        &mut self,
        undo: Undo<'_>,
        group: &Group,
        keys: &[String],
    ) -> Result<HashMap<String, String>, Failure> {
        if !group.there {
            return Ok(HashMap::new());
        }
        let (keys, options) = (keys.iter().map(String::as_str).collect::<Vec<_>>(), &self.options);
        let ask = async |connection: &mut PgConnection| {
            let mut transaction = connection.begin().await?;
            prepare(&mut transaction, options, "redis2pg").await?;
            let found = undo.moved(&mut transaction, group, &keys).await?;
            transaction.commit().await?;
            Ok::<_, Error>(found)
        };
        self.link.call("looking for rows that refer to the run's", ask).await
    }
}
