//! The file, read to its end before anything is written.

use super::repeats::{Repeats, Superseded};
use super::{Backup, Chosen, Progress};
use crate::backup::{Entry, Found, Header, KeyCounts, Logical, Lost};
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
    /// Whether fields of hashes expire.
    pub(super) field_expiry: bool,
    /// Entries behind which another of the same key stands.
    pub(super) superseded: Superseded,
    /// What is damaged.
    pub(super) damage: Vec<String>,
    repeats: Repeats,
    /// Keys that have begun so far.
    begun: u64,
}

impl Checked {
    /// Keys that will have an outcome.
    pub(super) fn matched(&self) -> u64 {
        self.keys.total() + self.torn
    }

    /// Takes in an entry that was asked for.
    ///
    /// # Errors
    /// There is no room to look for keys that are there twice.
    pub(super) fn take(&mut self, entry: &Entry) -> Result<(), Failure> {
        self.keys.count(entry);
        let redis_type = entry.redis_type();
        if redis_type != RedisType::String || !entry.part.is_whole() {
            self.built.insert(redis_type);
        }
        // A hash in parts has times also where no field expires.
        self.field_expiry |= match &entry.logical {
            Some(Logical::Hash { expiries: Some(times), .. }) => times.iter().any(|at| *at >= 0),
            _ => false,
        };
        self.begun += u64::from(entry.part.is_first());
        if entry.part.last {
            // One that is torn supersedes none.
            self.repeats.take(entry.database, &entry.key, self.begun.saturating_sub(1))?;
        }
        Ok(())
    }

    /// Ends it.
    ///
    /// # Errors
    /// There is no room to look for keys that are there twice.
    pub(super) fn finish(self, header: Header) -> Result<Self, Failure> {
        let Self { repeats, .. } = self;
        Ok(Self { header, superseded: repeats.finish()?, repeats: Repeats::default(), ..self })
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
    let header = read(backup, stop, tell, |found| {
        match found {
            Found::Entry { entry, .. } if chosen.has(entry.database, &entry.key) => checked.take(&entry)?,
            Found::Entry { .. } => {}
            Found::Lost(lost) => checked.lost(&lost, chosen),
        }
        Ok(())
    })?;
    checked.finish(header)
}

/// Tells all that is found in the file; gives its header.
pub(super) fn read(
    backup: &Backup<'_>,
    stop: &Stop,
    tell: &mut dyn FnMut(&Progress),
    mut found: impl FnMut(Found) -> Result<(), Failure>,
) -> Result<Header, Failure> {
    // Reading a file blocks; what else there is to do meanwhile is done elsewhere.
    tokio::task::block_in_place(|| {
        let (mut reader, of) = (backup.reader()?, backup.bytes());
        while let Some(one) = reader.read().map_err(|error| backup.failure(&error))? {
            found(one)?;
            tell(&Progress::Checking { bytes: reader.position(), of });
            if stop.requested() {
                let message = "stopped while the file was checked; nothing was written";
                return Err(Failure::new(Exit::Stopped, Side::Settings, message, "Run the same command again."));
            }
        }
        Ok(reader.header().clone())
    })
}

#[cfg(test)]
mod tests {
    use super::Checked;
    use crate::backup::{Entry, Logical, Part};
    use crate::model::{Packer, RedisKey};

    #[test]
    fn a_hash_none_of_whose_fields_expires_takes_no_right_to_set_their_times() {
        let takes = |expiries: Option<Vec<i64>>| {
            let items = [&b"a"[..], b"1", b"b", b"2"].into_iter().collect::<Packer>().finish();
            let entry = Entry {
                database: 0,
                key: RedisKey::new("hash"),
                type_name: "hash".into(),
                expires_at: None,
                part: Part { number: 0, last: true },
                dump: None,
                logical: Some(Logical::Hash { items, expiries }),
            };
            let mut checked = Checked::default();
            checked.take(&entry).unwrap();
            checked.field_expiry
        };
        assert!(!takes(None) && !takes(Some(vec![-1, -1])));
        assert!(takes(Some(vec![-1, 5])));
    }
}
