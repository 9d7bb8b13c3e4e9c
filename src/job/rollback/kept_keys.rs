//! Which keys of several rows stay, since a row of them does.

use crate::model::{Failure, Side};
use std::collections::HashSet;
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufReader, BufWriter, Error, Read, Seek, SeekFrom, Write};

/// Keys that are remembered, in 64 MiB; beyond that all others stay too.
const KEYS: usize = 4_000_000;

/// So many keys stay in memory while other tables are gone through; more go into a file.
const ASIDE: usize = 100_000;

/// A Redis key and its database.
pub(super) type Key = (Vec<u8>, Option<String>);

/// The hashes of those keys: 64 bits, so that one in 10¹² keys stays for nothing.
pub(super) struct KeptKeys {
    /// Whether keys are several rows at all.
    on: bool,
    hashes: HashSet<u64>,
    hasher: RandomState,
    full: bool,
}

/// The same while other tables are gone through.
pub(super) struct Aside {
    keys: KeptKeys,
    /// The hashes that are not in memory, and how many they are.
    file: Option<(File, usize)>,
}

impl KeptKeys {
    pub(super) fn new(on: bool) -> Self {
        Self { on, hashes: HashSet::new(), hasher: RandomState::new(), full: false }
    }

    pub(super) fn insert(&mut self, key: &Key) {
        if self.on && !self.full {
            self.hashes.insert(self.hasher.hash_one(key));
            self.full = self.hashes.len() >= KEYS;
        }
    }

    pub(super) fn has(&self, key: &Key) -> bool {
        self.full || self.hashes.contains(&self.hasher.hash_one(key))
    }

    /// Sets them aside: many in a file, where one can be made.
    pub(super) fn set_aside(mut self) -> Aside {
        let mut file = None;
        if self.hashes.len() > ASIDE {
            match written(&self.hashes) {
                Ok(written) => file = Some((written, std::mem::take(&mut self.hashes).len())),
                Err(error) => {
                    tracing::warn!("keys of several rows stay in memory: no temporary file can be written ({error})")
                }
            }
        }
        Aside { keys: self, file }
    }
}

impl Aside {
    pub(super) fn insert(&mut self, key: &Key) {
        self.keys.insert(key);
    }

    /// Takes them up again.
    ///
    /// # Errors
    /// The file cannot be read any more.
    pub(super) fn taken_up(self) -> Result<KeptKeys, Failure> {
        let Self { mut keys, file } = self;
        if let Some((file, count)) = file {
            read(file, count, &mut keys.hashes).map_err(|error| {
                let message = format!("a temporary file with keys of several rows cannot be read any more: {error}");
                Failure::usage(Side::Settings, message, "Look at the directory for temporary files (TMPDIR).")
            })?;
            keys.full |= keys.hashes.len() >= KEYS;
        }
        Ok(keys)
    }
}

fn written(hashes: &HashSet<u64>) -> Result<File, Error> {
    let mut file = BufWriter::new(tempfile::tempfile()?);
    for hash in hashes {
        file.write_all(&hash.to_le_bytes())?;
    }
    file.into_inner().map_err(std::io::IntoInnerError::into_error)
}

fn read(mut file: File, count: usize, hashes: &mut HashSet<u64>) -> Result<(), Error> {
    file.seek(SeekFrom::Start(0))?;
    let (mut file, mut bytes) = (BufReader::new(file), [0; 8]);
    for _ in 0..count {
        file.read_exact(&mut bytes)?;
        hashes.insert(u64::from_le_bytes(bytes));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{ASIDE, KeptKeys, Key};

    fn key(number: usize) -> Key {
        (number.to_string().into_bytes(), None)
    }

    #[test]
    fn many_keys_are_in_a_file_while_other_tables_are_gone_through() {
        let mut keys = KeptKeys::new(true);
        (0..=ASIDE).for_each(|number| keys.insert(&key(number)));
        let mut aside = keys.set_aside();
        assert!(aside.file.is_some() && aside.keys.hashes.is_empty());
        aside.insert(&key(ASIDE + 1));
        let keys = aside.taken_up().unwrap();
        assert!((0..ASIDE + 2).all(|number| keys.has(&key(number))) && !keys.has(&key(ASIDE + 2)));
        assert!(keys.set_aside().taken_up().unwrap().has(&key(7)), "as often as tables are gone over");
    }

    #[test]
    fn few_stay_where_they_are() {
        let mut keys = KeptKeys::new(true);
        keys.insert(&key(1));
        let aside = keys.set_aside();
        assert!(aside.file.is_none() && aside.taken_up().unwrap().has(&key(1)));
    }
}
