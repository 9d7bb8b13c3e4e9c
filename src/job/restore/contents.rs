//! What is in a backup, without a Redis.

use super::check::{Checked, read};
use super::{Backup, Chosen, Progress, RestoreRequest};
use crate::backup::{Entry, Found, Header, KeyCounts};
use crate::config::Settings;
use crate::flow::Stop;
use crate::model::Failure;

/// What is in a backup.
#[derive(Clone, Debug)]
pub struct BackupContents {
    /// What it says of itself.
    pub header: Header,
    /// The keys that were asked for and are whole, by database and type.
    pub keys: KeyCounts,
    /// Entries behind which another of the same key stands, among those keys; a restore leaves them out.
    pub superseded: u64,
    /// Keys of which a part is missing.
    pub torn: u64,
    /// What is damaged.
    pub damage: Vec<String>,
}

/// Reads a backup to its end and tells what is in it; `key` hears of each key that was asked for, with its last part.
///
/// # Errors
/// It cannot be read, or is damaged and is not to be salvaged; a stop was asked for.
pub fn contents(
    settings: &Settings,
    request: &RestoreRequest,
    stop: &Stop,
    tell: &mut dyn FnMut(&Progress),
    key: &mut dyn FnMut(&Entry),
) -> Result<BackupContents, Failure> {
    let backup = Backup::open(request)?;
    let chosen = Chosen { pattern: settings.run.keys.as_deref(), database: request.database };
    let mut checked = Checked::default();
    let header = read(&backup, stop, tell, |found| {
        match found {
            Found::Entry { entry, .. } if chosen.has(entry.database, &entry.key) => {
                checked.take(&entry)?;
                if entry.part.last {
                    key(&entry);
                }
            }
            Found::Entry { .. } => {}
            Found::Lost(lost) => checked.lost(&lost, &chosen),
        }
        Ok(())
    })?;
    let Checked { header, keys, torn, damage, superseded, .. } = checked.finish(header)?;
    Ok(BackupContents { header, keys, superseded: superseded.count(), torn, damage })
}
