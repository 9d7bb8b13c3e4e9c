//! Tables that are not there any more as the run knew them: refused, or left out.

use crate::job::link::Link;
use crate::ledger::{self, RunTable};
use crate::model::{Failure, Finding, Side, TableName};
use sqlx::postgres::PgConnection;
use std::collections::BTreeSet;

/// What is found missing of the run's tables.
#[derive(Debug, Default)]
pub(super) struct Gone {
    /// Those that somebody dropped: no row of the run is left in them.
    dropped: BTreeSet<TableName>,
    /// The others, each with what is wrong.
    missing: Vec<(TableName, Finding)>,
}

impl Gone {
    /// Notes a table of which the key columns `keys` are not found under its name.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn note(&mut self, link: &mut Link, table: &RunTable, keys: &[String]) -> Result<(), Failure> {
        let name = &table.table;
        if let Some(oid) = table.created_oid {
            let ask = async |connection: &mut PgConnection| ledger::present_name(connection, oid).await;
            match link.read("looking for a table that the run made", ask).await? {
                None => {
                    self.dropped.insert(name.clone());
                    return Ok(());
                }
                Some(now) if now != *name => {
                    let message = format!("the table that the run made is named {now} now");
                    let hint = "Give it its name back, or use --force to leave it out.";
                    self.missing.push((name.clone(), critical(name, message, hint)));
                    return Ok(());
                }
                Some(_) => {}
            }
        }
        let message = format!("the table or its key columns ({}) are gone", keys.join(", "));
        let hint = "Put them back, or use --force to leave this table out.";
        self.missing.push((name.clone(), critical(name, message, hint)));
        Ok(())
    }

    /// The tables that are left out for this time, and notices of all that are not looked at.
    ///
    /// # Errors
    /// Without `force`, those that are missing.
    pub(super) fn settle(self, force: bool) -> Result<(BTreeSet<TableName>, Vec<String>), Failure> {
        if !force && !self.missing.is_empty() {
            return Err(Failure::findings(self.missing.into_iter().map(|(_, finding)| finding).collect()));
        }
        let mut notices: Vec<String> = self
            .dropped
            .iter()
            .map(|table| format!("{table}: the table that the run made was dropped; left out"))
            .collect();
        notices.extend(self.missing.iter().map(|(table, finding)| format!("{table}: {}; left out", finding.message)));
        Ok((self.missing.into_iter().map(|(table, _)| table).collect(), notices))
    }
}

fn critical(table: &TableName, message: String, hint: &str) -> Finding {
    Finding::critical(Side::Postgres, table.to_string(), message, hint)
}
