//! What the run inserted and another run wrote since: it is that one's to take back, and is told here.

use super::ask::ask;
use super::plan::Step;
use super::work::{Mode, Work};
use crate::model::{Failure, KeptReason};
use crate::sink::undo::Overwritten;
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
        for run in ask((&mut self.link, &self.options), WHAT, question).await? {
            let mut after = None::<String>;
            loop {
                let question =
                    async |connection: &mut PgConnection| undo.overwritten(connection, &run, after.as_deref()).await;
                let (page, last) = ask((&mut self.link, &self.options), WHAT, question).await?;
                for Overwritten { row_key, redis_key, by, kept } in page {
                    let detail = if kept { format!("{by}, whose rollback kept it") } else { by };
                    self.tell_kept(&name, (&row_key, redis_key.as_ref()), KeptReason::OtherRun, detail)?;
                }
                self.told(&step.table, mode).await?;
                if last.is_none() {
                    break;
                }
                after = last;
            }
        }
        Ok(())
    }
}
