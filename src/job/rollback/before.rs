//! What is asked of the before-images before the first row moves: page by page, since there may be any number of them.

use super::plan::Plan;
use crate::config::Settings;
use crate::job::link::Link;
use crate::job::setup;
use crate::model::{Failure, Finding, Side};
use crate::postgres::{shown_list, shown_table};
use crate::sink::LoadOptions;
use crate::sink::undo::{Undo, prepare};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error};
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// Refuses where the role lacks a right that putting rows back takes: half of a row is not put back, and an image of which a value
/// was not written would be gone with it.
///
/// # Errors
/// The server's; a right is missing.
pub(super) async fn rights(
    link: &mut Link,
    settings: &Settings,
    plan: &Plan,
    (run, force): (Uuid, bool),
) -> Result<(), Failure> {
    let options = setup::load_options(settings);
    let mut findings = Vec::new();
    for step in &plan.steps {
        let (undo, name) = (Undo { table: &step.table, run, force, retries: false }, step.table.name());
        if !step.table.may_lock {
            let hint = format!("GRANT UPDATE ON {} to the role that rolls back.", shown_table(&step.table.run.table));
            findings.push(Finding::critical(Side::Postgres, name, "the role may not update rows of it", hint));
            continue;
        }
        for (right, columns) in [
            ("UPDATE", not_granted(link, &options, undo).await?),
            ("INSERT", not_insertable(link, &options, undo).await?),
        ] {
            if !columns.is_empty() {
                let columns = shown_list(&columns.into_iter().collect::<Vec<String>>());
                let message = format!("the role may not write ({columns}), and before-images have other values there");
                let table = shown_table(&step.table.run.table);
                let hint = format!("GRANT {right} ({columns}) ON {table} to the role that rolls back.");
                findings.push(Finding::critical(Side::Postgres, name.clone(), message, hint));
            }
        }
    }
    if findings.is_empty() { Ok(()) } else { Err(Failure::findings(findings)) }
}

/// Columns that the role may not change and would have to.
async fn not_granted(link: &mut Link, options: &LoadOptions, undo: Undo<'_>) -> Result<BTreeSet<String>, Failure> {
    let mut found = BTreeSet::new();
    if undo.table.columns.iter().all(|column| column.may_update) {
        return Ok(found);
    }
    let (mut after, mut end) = (None::<String>, false);
    while !end {
        let (behind, options) = (after.as_deref(), &options);
        let ask = async |connection: &mut PgConnection| {
            let mut transaction = connection.begin().await?;
            prepare(&mut transaction, options, "redis2pg").await?;
            let last = undo.page_end(&mut transaction, behind).await?;
            let columns = undo.not_granted(&mut transaction, (behind, last.as_deref())).await?;
            transaction.commit().await?;
            Ok::<_, Error>((last, columns))
        };
        let (last, columns) = link.call("comparing rows with their before-images", ask).await?;
        found.extend(columns);
        (end, after) = (last.is_none(), last);
    }
    Ok(found)
}

/// Columns that the role may not give a new row and would have to.
async fn not_insertable(link: &mut Link, options: &LoadOptions, undo: Undo<'_>) -> Result<BTreeSet<String>, Failure> {
    let ask = async |connection: &mut PgConnection| {
        let mut transaction = connection.begin().await?;
        prepare(&mut transaction, options, "redis2pg").await?;
        let columns = undo.not_insertable(&mut transaction).await?;
        transaction.commit().await?;
        Ok::<_, Error>(columns)
    };
    Ok(link.call("looking for before-images of deleted rows", ask).await?.into_iter().collect())
}

/// The later runs that wrote rows again which this run had deleted, each with how many: the latest first.
///
/// # Errors
/// The server's.
pub(super) async fn written_again(
    link: &mut Link,
    options: &LoadOptions,
    undo: Undo<'_>,
) -> Result<Vec<(String, i64)>, Failure> {
    let mut runs: HashMap<String, (i64, i64)> = HashMap::new();
    let (mut after, mut end) = (None::<String>, false);
    while !end {
        let (behind, options) = (after.as_deref(), &options);
        let ask = async |connection: &mut PgConnection| {
            let mut transaction = connection.begin().await?;
            prepare(&mut transaction, options, "redis2pg").await?;
            let last = undo.page_end(&mut transaction, behind).await?;
            let again = undo.written_again(&mut transaction, (behind, last.as_deref())).await?;
            transaction.commit().await?;
            Ok::<_, Error>((last, again))
        };
        let (last, again) = link.call("looking for rows that a later run wrote again", ask).await?;
        for (run, began, rows) in again {
            runs.entry(run).or_insert((began, 0)).1 += rows;
        }
        (end, after) = (last.is_none(), last);
    }
    let mut runs: Vec<(String, (i64, i64))> = runs.into_iter().collect();
    runs.sort_by_key(|(_, (began, _))| std::cmp::Reverse(*began));
    Ok(runs.into_iter().map(|(run, (_, rows))| (run, rows)).collect())
}
