//! To which rows those refer that a dry run has found to stay: each of them is asked for once, before it matters.

use super::ask::ask;
use super::work::Work;
use crate::model::Failure;
use crate::sink::undo::UndoTable;
use sqlx::postgres::PgConnection;
use std::collections::BTreeSet;

/// Rows that one statement asks for.
const ROWS: usize = 5000;

impl Work<'_> {
    /// Asks for those that are new, as far as they may refer to rows of a table; `None`: for all.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn follow(&mut self, table: Option<&UndoTable>) -> Result<(), Failure> {
        let refers = |name: &str| {
            table.is_none_or(|table| table.referrers.iter().any(|referrer| referrer.table.to_string() == name))
        };
        let plan = self.plan;
        while let Some(fresh) = self.foresight.staying.take_fresh(ROWS, refers) {
            let is_it = |table: &&UndoTable| {
                table.name() == fresh.table
                    && table.run.key_columns.iter().cloned().collect::<BTreeSet<_>>() == fresh.columns
            };
            let tables = || plan.steps.iter().map(|step| &step.table);
            let Some(of) = tables().find(is_it) else { continue };
            for step in &plan.steps {
                let referrers = step.table.referrers.iter().enumerate();
                for (place, referrer) in referrers.filter(|(_, by)| by.readable && by.table == of.run.table) {
                    let undo = self.undo(step);
                    let question = async |connection: &mut PgConnection| {
                        undo.referred_by(connection, (referrer, of), &fresh.keys).await
                    };
                    let what = "looking for rows that those refer to which stay";
                    for key in ask((&mut self.link, &self.options), what, question).await? {
                        self.foresight.hold(&step.table, place, &key);
                    }
                }
            }
        }
        Ok(())
    }
}
