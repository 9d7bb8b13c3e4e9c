//! Runs of which each wrote last what another one changed or deleted: none of them can be the first that is taken back.

use super::before;
use super::plan::{Distinct, distinct};
use crate::config::Settings;
use crate::job::link::Link;
use crate::job::setup;
use crate::ledger::{self, LineagePlace, RunTable};
use crate::model::Failure;
use crate::sink::undo::{Undo, UndoTable};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error};
use std::collections::{BTreeSet, HashMap, HashSet};
use uuid::Uuid;

/// So many runs are gone through for one; behind more of them no circle is looked for.
const RUNS: usize = 100;

/// Those among later runs that cannot go first either: they, or what has to go before them, wait for `run`. What the ledger alone tells
/// is asked at once; rows that were written again are looked for in the tables of each run.
///
/// # Errors
/// The server's.
pub(super) async fn of(
    link: &mut Link,
    settings: &Settings,
    run: Uuid,
    later: &[(String, i64)],
) -> Result<BTreeSet<String>, Failure> {
    let ids: Vec<String> = later.iter().map(|(run, _)| run.clone()).collect();
    let ask = async |connection: &mut PgConnection| ledger::in_a_circle(connection, run, &ids).await;
    let found = link.read("looking for runs that changed rows of one another", ask).await?;
    let mut circle: BTreeSet<String> = found.into_iter().collect();
    let mut known = HashMap::new();
    for id in ids {
        if circle.contains(&id) {
            continue;
        }
        // Where one of them can go first, nobody has to know of the others.
        if !waits_for(link, settings, (&id, run), &mut known).await? {
            break;
        }
        circle.insert(id);
    }
    Ok(circle)
}

/// Whether a run, or one that has to be taken back before it, waits for `run`.
///
/// `known`: what was found out of runs before.
async fn waits_for(
    link: &mut Link,
    settings: &Settings,
    (id, run): (&str, Uuid),
    known: &mut HashMap<String, Vec<String>>,
) -> Result<bool, Failure> {
    let (mut seen, mut open) = (HashSet::from([id.to_owned()]), vec![id.to_owned()]);
    while let Some(next) = open.pop() {
        if !known.contains_key(&next) {
            let firsts = firsts(link, settings, &next).await?;
            known.insert(next.clone(), firsts);
        }
        for first in known.get(&next).into_iter().flatten() {
            if *first == run.to_string() {
                return Ok(true);
            }
            if seen.len() < RUNS && seen.insert(first.clone()) {
                open.push(first.clone());
            }
        }
    }
    Ok(false)
}

/// The runs that have to be taken back before one. A table of it that cannot be read, or not any more, tells of none: then `run` is
/// refused, as it would be without a circle.
async fn firsts(link: &mut Link, settings: &Settings, id: &str) -> Result<Vec<String>, Failure> {
    let Ok(run) = Uuid::parse_str(id) else { return Ok(Vec::new()) };
    let changed = async |connection: &mut PgConnection| ledger::changed_by(connection, run).await;
    let mut firsts = link.read("looking for runs that came after it", changed).await?;
    let options = setup::load_options(settings);
    for table in tables(link, run).await? {
        let undo = Undo { table: &table, run, force: false, retries: false };
        match before::written_again(link, &options, undo).await {
            Ok(mut again) => firsts.append(&mut again),
            Err(failure) => tracing::debug!("run {id}, {}: {failure}", table.name()),
        }
    }
    Ok(firsts.into_iter().map(|(run, _)| run).collect())
}

/// The tables of a run of which it has images, as far as they are there.
async fn tables(link: &mut Link, run: Uuid) -> Result<Vec<UndoTable>, Failure> {
    let told = async |connection: &mut PgConnection| ledger::run_tables(connection, run).await;
    let told = link.read("reading a run's tables", told).await?;
    let images = async |connection: &mut PgConnection| ledger::image_tables(connection, run).await;
    let images = link.read("counting before-images", images).await?;
    let mut tables = Vec::new();
    for Distinct { run: table, all_keys, mixed } in distinct(&told, &images) {
        if !images.iter().any(|(name, ..)| *name == table.table.to_string()) {
            continue;
        }
        let mixed = mixed || all_keys.len() > 1 && table.lineage == LineagePlace::Ledger;
        for keys in &all_keys {
            let wanted = RunTable { key_columns: keys.clone(), ..table.clone() };
            let read = async |connection: &mut PgConnection| {
                let mut transaction = connection.begin().await?;
                let read = UndoTable::read(&mut transaction, &wanted, &all_keys, mixed).await?;
                transaction.commit().await?;
                Ok::<_, Error>(read)
            };
            tables.extend(link.read("reading a run's tables", read).await?);
        }
    }
    Ok(tables)
}
