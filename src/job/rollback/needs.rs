//! Images that lack a row which they refer to, in a dry run, and the images that they wait for.

use super::apply::{STATEMENT_TIMEOUT, code};
use super::ask::ask;
use super::survey::unless_of_a_value;
use super::work::Work;
use crate::model::Failure;
use crate::postgres::{Verdict, verdict};
use crate::sink::undo::{Need, Reference, Undo, UndoTable};
use sqlx::Error;
use sqlx::postgres::PgConnection;
use std::collections::HashMap;

/// What images wait for: by their keys the images of other rows, each with its table and the foreign key.
pub(super) type Parents = HashMap<String, Vec<(String, String, String)>>;

/// By table and foreign key: the images whose parents are known by their values alone, with the keys of those. `None`: they are too many, or a value
/// cannot be read, and each page is asked about by itself.
pub(super) type ByValue = HashMap<(String, String), Option<HashMap<String, Vec<String>>>>;

impl Work<'_> {
    /// Those of some images that lack a row which they refer to, each with the foreign key; and those that may have it once other images
    /// are put back.
    pub(super) async fn parents(
        &mut self,
        undo: Undo<'_>,
        keys: &[String],
    ) -> Result<(HashMap<String, String>, Parents), Failure> {
        let (mut missing, mut waiting) = (HashMap::new(), Parents::new());
        for reference in &undo.table.references {
            for Need { key, parent } in self.needs(undo, reference, keys).await? {
                match parent {
                    Some(parent) => {
                        let wanted = (reference.table.to_string(), parent, reference.name.clone());
                        waiting.entry(key).or_default().push(wanted);
                    }
                    None => drop(missing.insert(key, reference.name.clone())),
                }
            }
        }
        Ok((missing, waiting))
    }

    async fn needs(&mut self, undo: Undo<'_>, reference: &Reference, keys: &[String]) -> Result<Vec<Need>, Failure> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let plan = self.plan;
        // Of a table without images none can come back.
        let parent = plan.steps.iter().map(|step| &step.table).find(|table| table.run.table == reference.table);
        let parent = parent.filter(|table| plan.imaged.contains(&table.name()));
        let texts: Vec<&str> = keys.iter().map(String::as_str).collect();
        let question = async |connection: &mut PgConnection| {
            unless_of_a_value(undo.needs(connection, (reference, parent), &texts).await)
        };
        let mut needs = ask((&mut self.link, &self.options), "looking for the parents of rows", question).await?;
        let Some(parent) = parent.filter(|parent| undo.needs_values(reference, parent)) else { return Ok(needs) };
        let open: Vec<String> = needs.extract_if(.., |need| need.parent.is_none()).map(|need| need.key).collect();
        if open.is_empty() {
            return Ok(needs);
        }
        let mut found = self.by_value(undo, (reference, parent), &open).await?;
        for key in open {
            match found.remove(&key) {
                Some(parents) => {
                    needs.extend(parents.into_iter().map(|parent| Need { key: key.clone(), parent: Some(parent) }));
                }
                None => needs.push(Need { key, parent: None }),
            }
        }
        Ok(needs)
    }

    /// Of some images those whose parents are found by their values. All of the table are asked about at once, the first time that it matters: for
    /// each page by itself all images of the parents would be read.
    async fn by_value(
        &mut self,
        undo: Undo<'_>,
        (reference, parent): (&Reference, &UndoTable),
        keys: &[String],
    ) -> Result<HashMap<String, Vec<String>>, Failure> {
        let (what, of) = ("looking for the parents of rows", (undo.table.name(), reference.name.clone()));
        if !self.by_value.contains_key(&of) {
            let most = self.foresight.room();
            let question = async |connection: &mut PgConnection| match undo
                .all_needs_by_value(connection, (reference, parent), most)
                .await
            {
                Err(error) if verdict(&error) == Verdict::Row || code(&error) == STATEMENT_TIMEOUT => Ok(None),
                found => Ok::<_, Error>(Some(found?).filter(|found| found.len() < most)),
            };
            let found = ask((&mut self.link, &self.options), what, question).await?;
            self.foresight.remember(found.as_ref().map_or(0, Vec::len));
            self.by_value.insert(of.clone(), found.map(by_child));
        }
        if let Some(Some(known)) = self.by_value.get(&of) {
            return Ok(keys.iter().filter_map(|key| Some((key.clone(), known.get(key)?.clone()))).collect());
        }
        let texts: Vec<&str> = keys.iter().map(String::as_str).collect();
        let question = async |connection: &mut PgConnection| {
            unless_of_a_value(undo.needs_by_value(connection, (reference, parent), &texts).await)
        };
        Ok(by_child(ask((&mut self.link, &self.options), what, question).await?))
    }
}

fn by_child(pairs: Vec<(String, String)>) -> HashMap<String, Vec<String>> {
    let mut found: HashMap<String, Vec<String>> = HashMap::new();
    pairs.into_iter().for_each(|(child, parent)| found.entry(child).or_default().push(parent));
    found
}
