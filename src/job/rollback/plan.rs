//! Which tables are gone through, and in which order.

use super::gone::Gone;
use super::notices;
use crate::job::link::Link;
use crate::ledger::{self, JournalTable, LineagePlace, RunTable, Undoable};
use crate::model::{Failure, Finding, RollbackAccount, Side, TableAccount, TableName};
use crate::postgres::shown_table;
use crate::sink::undo::UndoTable;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// One way through a table.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) table: UndoTable,
    /// Whether its rows without an image are looked for here: once for each table.
    pub(super) rows: bool,
}

/// The tables of the run.
#[derive(Debug)]
pub(super) struct Plan {
    /// Children before parents.
    pub(super) steps: Vec<Step>,
    /// The tables of which the run has before-images, as `schema.table`.
    pub(super) imaged: BTreeSet<String>,
    /// The tables that the run made, children first, each with its OID then.
    pub(super) created: Vec<(TableName, i64)>,
    /// The tables that are not looked at this time.
    pub(super) left_out: BTreeSet<TableName>,
    /// Each table's audit log.
    pub(super) audits: BTreeMap<TableName, TableName>,
    pub(super) notices: Vec<String>,
    /// What an earlier rollback of the run did that came to its end: the audit logs have it.
    pub(super) audited: RollbackAccount,
    /// What was done before this attempt, to an end or not.
    pub(super) before: RollbackAccount,
}

impl Plan {
    /// Reads the tables.
    ///
    /// # Errors
    /// The server's; a table that has gone or is named otherwise, or its key columns, unless `force`; a run whose images are gone.
    pub(super) async fn make(link: &mut Link, found: &Undoable, force: bool) -> Result<Self, Failure> {
        let run = found.run;
        let told = async |connection: &mut PgConnection| ledger::run_tables(connection, run).await;
        let mut tables = link.read("reading the run's tables", told).await?;
        let images = async |connection: &mut PgConnection| ledger::image_tables(connection, run).await;
        let images = link.read("counting the before-images", images).await?;
        if !force {
            // An image goes in the transaction that counts its row as restored: the sum holds at any time.
            let there: i64 = images.iter().map(|(_, _, count)| count).sum();
            let served = i64::try_from(found.account.totals().1).unwrap_or(i64::MAX);
            let unnoted = there == 0 && served == 0 && found.updated_unnoted;
            let missing = found.noted.saturating_sub(there.saturating_add(served)).max(i64::from(unnoted));
            if missing > 0 {
                return Err(without_images(run, there));
            }
        }
        let mut notices = Vec::new();
        let guessed = tables.is_empty();
        if guessed {
            tables = from_journal(link, run, &images, &mut notices).await?;
        }
        let mut gone = Gone::default();
        let mut steps = Vec::new();
        for table in distinct(&tables, &images) {
            let all: Vec<Vec<String>> = table.all_keys;
            // The ledger knows a row by the key of the mapping that loaded it.
            let mixed = guessed || table.mixed || all.len() > 1 && table.run.lineage == LineagePlace::Ledger;
            for (number, keys) in all.iter().enumerate() {
                let wanted = RunTable { key_columns: keys.clone(), ..table.run.clone() };
                let read = async |connection: &mut PgConnection| {
                    let mut transaction = connection.begin().await?;
                    let read = UndoTable::read(&mut transaction, &wanted, &all, mixed).await?;
                    transaction.commit().await?;
                    Ok::<_, Error>(read)
                };
                match link.read("reading the run's tables", read).await? {
                    Some(table) if !table.may_delete => {
                        let hint =
                            format!("GRANT DELETE ON {} to the role that rolls back.", shown_table(&table.run.table));
                        let message = "the role may not delete rows of it";
                        let finding = Finding::critical(Side::Postgres, wanted.table.to_string(), message, hint);
                        return Err(Failure::findings(vec![finding]));
                    }
                    Some(table) => steps.push(Step { table, rows: number == 0 }),
                    None => gone.note(link, &wanted, keys).await?,
                }
            }
        }
        let (left_out, told) = gone.settle(force)?;
        notices.extend(told);
        notices.extend(notices::of_tables(&steps));
        notices.extend(notices::unindexed(&steps));
        let unchanged = async |connection: &mut PgConnection| ledger::found_unchanged(connection, run).await;
        let unchanged = link.read("looking for runs that came after it", unchanged).await?;
        notices.extend(unchanged.iter().map(|(later, rows)| {
            format!("run {later}, which came later, found {rows} rows of these tables unchanged: those that this run wrote are taken back all the same")
        }));
        let steps = children_first(steps);
        let oid = |table: &TableName| tables.iter().find(|told| told.table == *table)?.created_oid;
        let is_dropped =
            |table: &TableName| found.account.tables.get(&table.to_string()).is_some_and(TableAccount::is_dropped);
        let created = steps.iter().filter(|step| step.rows).map(|step| &step.table.run.table);
        let created = created.filter(|table| !is_dropped(table));
        Ok(Self {
            created: created.filter_map(|table| Some((table.clone(), oid(table)?))).collect(),
            audits: tables.iter().filter_map(|told| Some((told.table.clone(), told.audit.clone()?))).collect(),
            imaged: images.iter().map(|(table, ..)| table.clone()).collect(),
            steps,
            left_out,
            notices,
            audited: if found.rolled_back_at.is_some() { found.account.clone() } else { RollbackAccount::default() },
            before: found.account.clone(),
        })
    }
}

fn without_images(run: Uuid, there: i64) -> Failure {
    let message =
        format!("not all before-images of run {run} are there any more ({there} are): they may have been deleted");
    let hint = "Without them, rows that it changed look like rows that it inserted, and would be deleted. --force does so, and takes \
                rows back that others changed.";
    Failure::usage(Side::Postgres, message, hint)
}

/// A table with the key columns of every mapping that loads it.
pub(super) struct Distinct {
    pub(super) run: RunTable,
    pub(super) all_keys: Vec<Vec<String>>,
    /// Whether its mappings keep lineage at several places.
    pub(super) mixed: bool,
}

/// The tables, each once; keys that only before-images have are added.
pub(super) fn distinct(tables: &[RunTable], images: &[(String, Vec<String>, i64)]) -> Vec<Distinct> {
    let mut found: Vec<Distinct> = Vec::new();
    let sorted = |keys: &[String]| keys.iter().cloned().collect::<BTreeSet<String>>();
    for told in tables {
        match found.iter_mut().find(|known| known.run.table == told.table) {
            Some(known) => {
                known.mixed |= known.run.lineage != told.lineage;
                if !known.all_keys.iter().any(|keys| sorted(keys) == sorted(&told.key_columns)) {
                    known.all_keys.push(told.key_columns.clone());
                }
                known.run.explodes |= told.explodes;
            }
            None => found.push(Distinct { run: told.clone(), all_keys: vec![told.key_columns.clone()], mixed: false }),
        }
    }
    // An earlier attempt may have had other keys.
    for (name, keys, _) in images {
        let of_table = found.iter_mut().find(|known| known.run.table.to_string() == *name);
        if let Some(known) = of_table
            && !known.all_keys.iter().any(|known| sorted(known) == sorted(keys))
        {
            known.all_keys.push(keys.clone());
        }
    }
    found
}

/// What is known of the tables of a run of an earlier version.
async fn from_journal(
    link: &mut Link,
    run: Uuid,
    images: &[(String, Vec<String>, i64)],
    notices: &mut Vec<String>,
) -> Result<Vec<RunTable>, Failure> {
    let read = async |connection: &mut PgConnection| ledger::journal_tables(connection, run).await;
    let found = link.read("reading the run's tables", read).await?;
    let mut tables = Vec::new();
    for table in found {
        let JournalTable { name, table, mapping, primary_key, has_lineage, has_metadata } = table;
        let Some((schema, part)) = table else {
            notices.push(format!("{name}: the table is gone; left out"));
            continue;
        };
        let keys = images.iter().find(|(of, _, _)| *of == name).map_or(primary_key, |(_, keys, _)| keys.clone());
        let lineage = if has_lineage {
            LineagePlace::Ledger
        } else if has_metadata {
            LineagePlace::Object { column: "metadata".to_owned() }
        } else {
            LineagePlace::Nowhere
        };
        notices.push(format!(
            "{name}: an earlier version noted nothing of the run's tables; its key is taken to be ({}), and no audit log is written",
            keys.join(", ")
        ));
        tables.push(RunTable {
            mapping,
            table: TableName { schema, table: part },
            key_columns: keys,
            explodes: lineage == LineagePlace::Ledger,
            lineage,
            expiry: None,
            created_oid: None,
            audit: None,
        });
    }
    Ok(tables)
}

/// A table comes before those that it refers to; where they refer to one another in a circle, in any order.
fn children_first(mut steps: Vec<Step>) -> Vec<Step> {
    let mut ordered: Vec<Step> = Vec::new();
    while !steps.is_empty() {
        let free = steps.iter().position(|step| {
            let waits_for = |other: &Step| {
                let name = &other.table.run.table;
                *name != step.table.run.table && step.table.referrers.iter().any(|referrer| referrer.table == *name)
            };
            !steps.iter().any(waits_for)
        });
        ordered.push(steps.remove(free.unwrap_or(0)));
    }
    ordered
}
