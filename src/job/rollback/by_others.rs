//! What the run inserted and another run wrote since: it is that one's to take back, and is told here.

use super::ask::ask;
use super::plan::Step;
use super::work::{Mode, Work};
use crate::model::{Failure, KeptReason};
use sqlx::postgres::PgConnection;

const WHAT: &str = "looking for rows that another run wrote since";

impl Work<'_> {
    /// Counts them as kept. Nothing else hangs on that: the table itself says that they are not the run's, and a key of several rows may be
    /// half that one's, so that each run takes back its own.
    ///
    /// # Errors
    /// The server's; a stop.
    pub(super) async fn overwritten(&mut self, step: &Step, mode: Mode) -> Result<(), Failure> {
        let (undo, name) = (self.undo(step), step.table.name());
        let question = async |connection: &mut PgConnection| undo.overwriters(connection).await;
        for (by, kept_them) in ask((&mut self.link, &self.options), WHAT, question).await? {
            let detail = if kept_them { format!("{by}, whose rollback kept it") } else { by.clone() };
            let mut after = None::<String>;
            loop {
                let question =
                    async |connection: &mut PgConnection| undo.overwritten(connection, &by, after.as_deref()).await;
                let page = ask((&mut self.link, &self.options), WHAT, question).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.row_key.clone());
                for row in &page {
                    let row = (row.row_key.as_str(), row.redis_key.as_ref());
                    self.tell_kept(&name, row, KeptReason::OtherRun, detail.clone())?;
                }
                self.told(&step.table, mode).await?;
            }
        }
        Ok(())
    }
}
