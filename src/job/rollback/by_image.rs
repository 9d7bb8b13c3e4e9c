//! What the run changed or deleted: gone through by its before-images.

use super::apply::{STATEMENT_TIMEOUT, Task, code};
use super::ask::ask;
use super::follow::Due;
use super::kept_keys::Key;
use super::order::in_order;
use super::plan::Step;
use super::work::{Mode, Work};
use crate::model::{Failure, KeptReason};
use crate::postgres::{Verdict, verdict};
use crate::sink::undo::{Group, JudgedImage, Lack, Undo, Way, Which};
use sqlx::postgres::PgConnection;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Images that may be put back.
#[derive(Default)]
pub(super) struct Free {
    groups: BTreeMap<Group, Vec<String>>,
    /// The Redis keys that they are of.
    pub(super) keys_of: HashMap<String, Key>,
    /// Those that come with others, since these need them: what is kept of them is told where it is their turn.
    ancestors: HashSet<String>,
}

impl Free {
    fn insert(&mut self, image: JudgedImage) {
        let JudgedImage { row_key, redis_key, group, .. } = image;
        self.keys_of.extend(redis_key.map(|key| (row_key.clone(), key)));
        self.groups.entry(group).or_default().push(row_key);
    }
}

impl Work<'_> {
    /// What was changed or deleted by the run.
    pub(super) async fn images(&mut self, step: &Step, mode: Mode) -> Result<usize, Failure> {
        let (undo, name) = (self.undo(step), step.table.name());
        let (mut after, mut moved) = (None::<String>, 0);
        loop {
            let page = self.judge(undo, Which::After(after.as_deref())).await?;
            let Some(last) = page.last() else { return Ok(moved) };
            after = Some(last.row_key.clone());
            let mut free = Free::default();
            for image in page {
                let key = (image.row_key.as_str(), image.redis_key.as_ref());
                if let Some((reason, detail)) = image.why {
                    let detail = match reason {
                        KeptReason::Changed => self.own.detail(image.writer, detail),
                        _ => detail,
                    };
                    self.keep(&name, mode, key, reason, detail)?;
                } else if self.stays_with_its_key(mode, image.redis_key.as_ref()) {
                    self.keep(&name, mode, key, KeptReason::KeyKept, String::new())?;
                } else {
                    free.insert(image);
                }
            }
            let batches = match mode {
                Mode::Apply if undo.has_families() => self.families(undo, &mut free).await?,
                _ => std::mem::take(&mut free.groups).into_iter().collect(),
            };
            for (group, keys) in batches {
                moved += self.restore(undo, mode, &group, (keys, &free)).await?;
            }
            self.told(undo.table, mode).await?;
        }
    }

    /// Adds what rows need to be put back, and gives all in the order that they need.
    async fn families(&mut self, undo: Undo<'_>, free: &mut Free) -> Result<Vec<(Group, Vec<String>)>, Failure> {
        let keys: Vec<String> = free.groups.values().flatten().cloned().collect();
        let mut lacks = self.lacks(undo, &keys).await?;
        for way in undo.ways(&lacks) {
            // A page for whose sake all images were read and that found nothing is not the last such: further rounds do without.
            if way == Way::Values && self.fruitless {
                continue;
            }
            let above = self.ancestors(undo, &keys, way).await?;
            let before = free.ancestors.len();
            for image in self.judge(undo, Which::Keys(&above)).await? {
                if image.why.is_none() && !self.stays_with_its_key(Mode::Apply, image.redis_key.as_ref()) {
                    free.ancestors.insert(image.row_key.clone());
                    free.insert(image);
                }
            }
            self.fruitless |= way == Way::Values && free.ancestors.len() == before;
        }
        if !free.ancestors.is_empty() {
            let keys: Vec<String> = free.groups.values().flatten().cloned().collect();
            lacks = self.lacks(undo, &keys).await?;
        }
        Ok(in_order(std::mem::take(&mut free.groups), &lacks))
    }

    /// Nothing, where a value cannot be read as its type any more, see [`Self::lacks`], or where the server gives up looking: it only
    /// helps to put rows back in one go.
    async fn ancestors(&mut self, undo: Undo<'_>, keys: &[String], way: Way) -> Result<Vec<String>, Failure> {
        let keys = keys.iter().map(String::as_str).collect::<Vec<_>>();
        let question = async |connection: &mut PgConnection| match undo.ancestors(connection, &keys, way).await {
            Err(error) if verdict(&error) == Verdict::Row || code(&error) == STATEMENT_TIMEOUT => Ok(Vec::new()),
            found => found,
        };
        ask((&mut self.link, &self.options), "looking for the parents of rows", question).await
    }

    /// Nothing, where a value cannot be read as its type any more: the order is not known then, and the server's refusals tell.
    async fn lacks(&mut self, undo: Undo<'_>, keys: &[String]) -> Result<Vec<Lack>, Failure> {
        let keys = keys.iter().map(String::as_str).collect::<Vec<_>>();
        let question = async |connection: &mut PgConnection| match undo.lacks(connection, &keys).await {
            Err(error) if verdict(&error) == Verdict::Row => Ok(Vec::new()),
            lacks => lacks,
        };
        ask((&mut self.link, &self.options), "looking for the parents of rows", question).await
    }

    async fn judge(&mut self, undo: Undo<'_>, which: Which<'_>) -> Result<Vec<JudgedImage>, Failure> {
        if let Which::Keys([]) = which {
            return Ok(Vec::new());
        }
        let question = async |connection: &mut PgConnection| undo.judge_images(connection, which).await;
        ask((&mut self.link, &self.options), "reading the before-images", question).await
    }

    async fn restore(
        &mut self,
        undo: Undo<'_>,
        mode: Mode,
        group: &Group,
        (keys, free): (Vec<String>, &Free),
    ) -> Result<usize, Failure> {
        let name = undo.table.name();
        match mode {
            Mode::Gather => Ok(0),
            Mode::Survey => self.foresee(undo, group, (keys, free)).await.map(|()| 0),
            Mode::Apply => {
                let mut undone = self.apply(undo, Task::Restore(group), keys).await?;
                let moved = undone.done.len();
                self.books.restored(&name, moved);
                self.books.left_out(&name, &group.lost, moved);
                undone.kept.retain(|(key, ..)| !free.ancestors.contains(key));
                self.keep_all(&name, undone, &free.keys_of)?;
                Ok(moved)
            }
        }
    }

    /// Those of some rows that others refer to by a value which would change, as far as a dry run knows.
    pub(super) async fn moved(
        &mut self,
        undo: Undo<'_>,
        group: &Group,
        keys: &[String],
    ) -> Result<HashMap<String, String>, Failure> {
        self.follow(Due::Of(undo.table)).await?;
        let keys = keys.iter().map(String::as_str).collect::<Vec<_>>();
        let ahead = Some(&self.foresight.staying);
        let question = async |connection: &mut PgConnection| undo.moved(connection, group, &keys, ahead).await;
        ask((&mut self.link, &self.options), "looking for rows that refer to the run's", question).await
    }
}
