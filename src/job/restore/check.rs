//! The file, read to its end before anything is written.

use super::{Backup, Chosen, Progress};
use crate::backup::{Entry, Found, Header, KeyCounts, Lost};
use crate::flow::Stop;
use crate::model::{Exit, Failure, RedisType, Side};
use std::collections::BTreeSet;

/// Damaged stretches that are told.
const TOLD: usize = 100;

/// What is in the file, as far as it was asked for.
#[derive(Debug, Default)]
pub(super) struct Checked {
    pub(super) header: Header,
    /// The keys that are whole.
    pub(super) keys: KeyCounts,
    /// Keys of which a part is missing.
    pub(super) torn: u64,
    /// Types that may have to be made by commands.
    pub(super) built: BTreeSet<RedisType>,
    /// What is damaged.
    pub(super) damage: Vec<String>,
}

impl Checked {
    /// Keys that will have an outcome.
    pub(super) fn matched(&self) -> u64 {
        self.keys.total() + self.torn
    }

    pub(super) fn take(&mut self, entry: &Entry) {
        self.keys.count(entry);
        let redis_type = entry.redis_type();
        if redis_type != RedisType::String || !entry.part.is_whole() {
            self.built.insert(redis_type);
        }
    }

    pub(super) fn lost(&mut self, lost: &Lost, chosen: &Chosen<'_>) {
        let torn = lost.torn.as_ref().filter(|(database, key)| chosen.has(*database, key));
        self.torn += u64::from(torn.is_some());
        match self.damage.len() {
            TOLD => self.damage.push("and more".to_owned()),
            told if told < TOLD => {
                self.damage.push(format!("{}; reading goes on at byte {}", lost.damage, lost.to));
            }
            _ => {}
        }
    }
}

/// Reads the file to its end.
///
/// # Errors
/// It cannot be read, or is damaged and is not to be salvaged; a stop was asked for.
pub(super) fn check(
    backup: &Backup<'_>,
    chosen: &Chosen<'_>,
    stop: &Stop,
    tell: &mut dyn FnMut(&Progress),
) -> Result<Checked, Failure> {
    let mut checked = Checked::default();
    let header = read(backup, stop, tell, |found| match found {
        Found::Entry { entry, .. } if chosen.has(entry.database, &entry.key) => checked.take(&entry),
        Found::Entry { .. } => {}
        Found::Lost(lost) => checked.lost(&lost, chosen),
    })?;
    checked.header = header;
    Ok(checked)
}

/// Tells all that is found in the file; gives its header.
pub(super) fn read(
    backup: &Backup<'_>,
    stop: &Stop,
    tell: &mut dyn FnMut(&Progress),
    mut found: impl FnMut(Found),
) -> Result<Header, Failure> {
    // Reading a file blocks; what else there is to do meanwhile is done elsewhere.
    tokio::task::block_in_place(|| {
        let (mut reader, of) = (backup.reader()?, backup.bytes());
        while let Some(one) = reader.read().map_err(|error| backup.failure(&error))? {
            found(one);
            tell(&Progress::Checking { bytes: reader.position(), of });
            if stop.requested() {
                let message = "stopped while the file was checked; nothing was written";
                return Err(Failure::new(Exit::Stopped, Side::Settings, message, "Run the same command again."));
            }
        }
        Ok(reader.header().clone())
    })
}
