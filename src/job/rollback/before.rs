//! What is asked of the before-images before the first row moves.

use super::ask::{Page, ask, ask_of_images};
use super::plan::Plan;
use crate::config::Settings;
use crate::job::link::Link;
use crate::job::setup;
use crate::model::{Failure, Finding, Side};
use crate::postgres::{shown_list, shown_table};
use crate::sink::LoadOptions;
use crate::sink::undo::Undo;
use sqlx::postgres::PgConnection;
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
    if undo.table.columns.iter().all(|column| column.may_update) {
        return Ok(BTreeSet::new());
    }
    let question = async |connection: &mut PgConnection, page: Page<'_>| undo.not_granted(connection, page).await;
    let what = "comparing rows with their before-images";
    Ok(ask_of_images((link, options), what, undo, question).await?.into_iter().collect())
}

/// Columns that the role may not give a new row and would have to.
async fn not_insertable(link: &mut Link, options: &LoadOptions, undo: Undo<'_>) -> Result<BTreeSet<String>, Failure> {
    let question = async |connection: &mut PgConnection| undo.not_insertable(connection).await;
    let columns = ask((link, options), "looking for before-images of deleted rows", question).await?;
    Ok(columns.into_iter().collect())
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
    let question = async |connection: &mut PgConnection, page: Page<'_>| undo.written_again(connection, page).await;
    let what = "looking for rows that a later run wrote again";
    Ok(latest_first(ask_of_images((link, options), what, undo, question).await?))
}

/// The later runs whose before-images refer to rows of this one, each with how many: the latest first.
///
/// # Errors
/// The server's.
pub(super) async fn awaited(
    link: &mut Link,
    options: &LoadOptions,
    undo: Undo<'_>,
) -> Result<Vec<(String, i64)>, Failure> {
    let mut found = Vec::new();
    for referrer in &undo.table.referrers {
        let question = async |connection: &mut PgConnection| undo.awaited_by(connection, referrer).await;
        let what = "looking for before-images of later runs that refer to rows of this one";
        found.extend(ask((link, options), what, question).await?);
    }
    Ok(latest_first(found))
}

/// Runs, each with when it began and how many rows, put together.
fn latest_first(found: Vec<(String, i64, i64)>) -> Vec<(String, i64)> {
    let mut runs: HashMap<String, (i64, i64)> = HashMap::new();
    for (run, began, rows) in found {
        runs.entry(run).or_insert((began, 0)).1 += rows;
    }
    let mut runs: Vec<(String, (i64, i64))> = runs.into_iter().collect();
    runs.sort_by_key(|(_, (began, _))| std::cmp::Reverse(*began));
    runs.into_iter().map(|(run, (_, rows))| (run, rows)).collect()
}
