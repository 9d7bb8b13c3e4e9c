//! What a person should know of the run's tables before and after its rows are taken back.

use super::plan::{Plan, Step};
use crate::job::link::Link;
use crate::ledger::{self, LineagePlace};
use crate::model::{Failure, RollbackAccount};
use crate::sink::undo::UndoTable;
use sqlx::postgres::PgConnection;
use std::collections::BTreeSet;
use uuid::Uuid;

/// What the tables themselves make known.
pub(super) fn of_tables(steps: &[Step]) -> Vec<String> {
    let tables = || steps.iter().filter(|step| step.rows).map(|step| &step.table);
    let mut notices: Vec<String> = tables().filter_map(blind).collect();
    notices.extend(tables().filter(|table| table.row_security).map(|table| {
        let table = table.name();
        format!("{table}: row-level security may hide rows of the run from this role; those stay, and are not counted")
    }));
    let circle: Vec<String> = in_a_circle(steps).into_iter().collect();
    if !circle.is_empty() {
        notices.push(format!(
            "{}: these tables refer to one another in a circle; rows that do so are kept, since each is referred to",
            circle.join(", ")
        ));
    }
    notices
}

/// Foreign keys without an index: each deleted row costs a scan of the table that has one.
pub(super) fn unindexed(steps: &[Step]) -> Vec<String> {
    let mut notices = Vec::new();
    for table in steps.iter().filter(|step| step.rows).map(|step| &step.table) {
        for referrer in table.referrers.iter().filter(|referrer| !referrer.indexed) {
            let columns: Vec<&str> = referrer.columns.iter().map(|(own, ..)| own.as_str()).collect();
            notices.push(format!(
                "{} refers to {} by ({}), and no index begins with these columns: each row that is deleted costs a scan of it. Make the \
                 index first where it is large",
                referrer.table,
                table.name(),
                columns.join(", ")
            ));
        }
    }
    notices
}

/// Where rows that others changed since leave no trace.
fn blind(table: &UndoTable) -> Option<String> {
    let blind = match &table.run.lineage {
        LineagePlace::Nowhere => true,
        LineagePlace::Columns { run, .. } => run.is_none(),
        LineagePlace::Object { .. } | LineagePlace::Ledger => false,
    };
    blind.then(|| {
        format!("{}: its lineage names no run: rows that the run inserted and somebody changed since are kept, and not counted", table.name())
    })
}

/// The tables that refer to one another in a circle, and those between two circles.
pub(super) fn in_a_circle(steps: &[Step]) -> BTreeSet<String> {
    let refers = |from: &Step, to: &Step| {
        let name = &from.table.run.table;
        *name != to.table.run.table && to.table.referrers.iter().any(|referrer| referrer.table == *name)
    };
    let mut left: Vec<&Step> = steps.iter().collect();
    loop {
        let is_between = |step: &&&Step| {
            left.iter().any(|other| refers(step, other)) && left.iter().any(|other| refers(other, step))
        };
        let still: Vec<&Step> = left.iter().filter(is_between).copied().collect();
        if still.len() == left.len() {
            return left.into_iter().map(|step| step.table.name()).collect();
        }
        left = still;
    }
}

/// Tables of which the journal says that the run inserted more rows than were found.
///
/// # Errors
/// The server's.
pub(super) async fn missing(
    link: &mut Link,
    (plan, run): (&Plan, Uuid),
    (account, planned): (&RollbackAccount, bool),
) -> Result<Vec<String>, Failure> {
    let mut notices = Vec::new();
    for table in plan.steps.iter().filter(|step| step.rows).map(|step| &step.table) {
        let (name, explodes) = (table.name(), table.run.explodes);
        let count =
            async |connection: &mut PgConnection| ledger::inserted_rows(connection, (run, &name), explodes).await;
        let (inserted, deleted) = link.read("counting what the run inserted", count).await?;
        let found = account.tables.get(&name).map_or(0, |table| table.deleted + table.kept());
        // The account of a dry run has nothing of what was done before it.
        let before = if planned { plan.before.tables.get(&name).map_or(0, |table| table.deleted) } else { 0 };
        // What it deleted may have been its own.
        let missing =
            inserted.saturating_sub(i64::try_from(found + before).unwrap_or(i64::MAX)).saturating_sub(deleted);
        if missing > 0 {
            notices.push(format!(
                "{name}: {missing} or more of the {inserted} rows that the run inserted were not found: somebody, or a later run, deleted them, or they are in a \
                 partition that was detached since, or hidden from this role"
            ));
        }
    }
    Ok(notices)
}
