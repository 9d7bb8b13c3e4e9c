//! Partitioned tables: whether there is a partition for the rows.

use super::Check;
use crate::model::{Finding, Side};
use crate::postgres::{TableFacts, shown_ident, shown_table};

/// That no partition takes a row, or that one need not. A dry run puts none in, and its rows are only warned of.
pub(super) fn judge(facts: &TableFacts, check: Check) -> Option<Finding> {
    // Where no row is to be stored, none needs a place.
    let partitioning = facts.partitioning.as_ref().filter(|_| check != Check::Compare)?;
    let partitioning = Some(partitioning).filter(|found| !found.takes_all || !found.has_partitions)?;
    let (name, by) = (facts.table.name.to_string(), &partitioning.by);
    let (table, schema) = (shown_table(&facts.table.name), shown_ident(&facts.table.name.schema));
    let partition = format!("{schema}.{}", shown_ident(&format!("{}_default", facts.table.name.table)));
    let rest = match partitioning.by_hash {
        true => {
            "one for each remainder: CREATE TABLE … PARTITION OF … FOR VALUES WITH (MODULUS …, REMAINDER …)".to_owned()
        }
        false => format!("one for all others: CREATE TABLE {partition} PARTITION OF {table} DEFAULT"),
    };
    if partitioning.has_partitions {
        let message = format!(
            "it is partitioned by {by} and has {}: a row that no partition takes is rejected (`check`)",
            if partitioning.by_hash { "not a partition for each remainder" } else { "no default partition" }
        );
        return Some(Finding::warning(
            Side::Postgres,
            name,
            message,
            format!("Where rows may lie elsewhere, make {rest}."),
        ));
    }
    let message = format!("it is partitioned by {by} and has no partition that holds rows: every row would be refused");
    let hint = format!("Make the partitions that the rows belong in, or {rest}.");
    Some(match check {
        Check::Dry | Check::Compare => Finding::warning(Side::Postgres, name, message, hint),
        Check::Rehearsal | Check::Real => Finding::critical(Side::Postgres, name, message, hint),
    })
}
