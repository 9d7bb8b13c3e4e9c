//! Undo: the rows of one run in one table are judged, taken out, and put back as they were.
//!
//! `table` is the table as the catalog has it, with what refers to it. `images` goes through the before-images of the run,
//! `restore` puts rows back by them, `delete` takes out what the run inserted, `overwritten` finds what of that another run wrote since, and `awaited` to what of it images of later runs refer. `references` are the foreign keys that the table has
//! itself, `family` the rows that others need to be put back, `writable` what of an image can be written, `moved` what others refer to by a value that would change;
//! `origin` tells the Redis keys of rows. What a dry run asks beside these is in `ahead`, with what images need (`needs`), what the table asks of rows (`conditions`), the rows that are known
//! to stay (`staying`) and to which they refer (`held`), and, of tables in a circle, which row `waits` for which.
//! Nothing of a row travels but its key: the server compares and restores.

mod ahead;
mod awaited;
mod conditions;
mod delete;
mod family;
mod held;
mod images;
mod moved;
mod needs;
mod origin;
mod overwritten;
mod references;
mod restore;
mod staying;
mod table;
mod waits;
mod writable;

pub use conditions::{Condition, Place};
pub use delete::Whose;
pub use family::{Lack, Way};
pub use images::{JudgedImage, Which};
pub use needs::Need;
pub use origin::RowOrigin;
pub use overwritten::Overwritten;
pub use references::Reference;
pub use restore::Group;
pub use staying::{Fresh, Staying};
pub use table::{UndoColumn, UndoTable};
pub use waits::Wait;

use crate::model::KeptReason;
use crate::postgres::{READ_COMMITTED, literal, script};
use crate::sink::load::LoadOptions;
use crate::sink::ownership::TEXT_SETTINGS;
use sqlx::Error;
use sqlx::postgres::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// What is undone of a table.
#[derive(Clone, Copy, Debug)]
pub struct Undo<'a> {
    /// The table.
    pub table: &'a UndoTable,
    /// The run.
    pub run: Uuid,
    /// Whether rows that were changed or deleted since are taken back too.
    pub force: bool,
    /// Whether the run retried rejects of another one, which are open again where its rows go.
    pub retries: bool,
}

/// What a batch came to.
#[derive(Clone, Debug, Default)]
pub struct Undone {
    /// The keys of the rows that were deleted or restored.
    pub done: Vec<String>,
    /// Those that were not, and why.
    pub kept: Vec<(String, KeptReason, String)>,
    /// Of those that were changed, the lower half of the id of the transaction that wrote them last.
    pub writers: HashMap<String, i64>,
}

impl Undone {
    /// Whether the server took a statement and left a row as it was, or made something else of it.
    pub fn is_swallowed(&self) -> bool {
        self.kept.iter().any(|(_, reason, _)| *reason == KeptReason::NotDone)
    }

    /// Keeps those of some rows of which something was found, for that reason; gives the others.
    fn keep_of<'k>(&mut self, keys: Vec<&'k str>, reason: KeptReason, found: &HashMap<String, String>) -> Vec<&'k str> {
        let (stay, free): (Vec<&str>, Vec<&str>) = keys.into_iter().partition(|key| found.contains_key(*key));
        self.kept.extend(stay.into_iter().map(|key| (key.to_owned(), reason, found[key].clone())));
        free
    }

    /// Adds what another batch came to.
    pub fn append(&mut self, mut other: Self) {
        self.done.append(&mut other.done);
        self.kept.append(&mut other.kept);
        self.writers.extend(other.writers);
    }
}

/// Sets what holds for a transaction of a rollback: like one of the load, with keys spelled as the ledger has them.
///
/// # Errors
/// The server's.
pub async fn prepare(connection: &mut PgConnection, options: &LoadOptions, holder: &str) -> Result<(), Error> {
    let settings = format!(
        "{READ_COMMITTED}SET LOCAL work_mem = '64MB'; SET LOCAL jit = off; SET LOCAL client_min_messages = error; \
         SET LOCAL application_name = {}; {}{TEXT_SETTINGS}",
        literal(holder),
        options.limits.statements(),
    );
    script(settings).execute(connection).await.map(|_| ())
}
