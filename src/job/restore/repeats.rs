//! Keys that stand in a file more than once, where a scan listed them twice or a cleanup was gone on with: the last of their
//! entries is the newest, and counts.
//!
//! The keys of a file may be too many to remember. A hash of each is kept, sorted in runs in a temporary file without a name;
//! merging the runs brings the same keys together.

use crate::model::{Failure, RedisKey, Side};
use sha2::{Digest, Sha256};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

/// Keys of a run: it is sorted in memory, 24 bytes a key.
const RUN: usize = 1 << 19;
/// Keys of a run that are read at once when runs are merged.
const READ: usize = 4_096;
/// Bytes of a key in a run.
const SIZE: usize = 24;

/// A key as it is kept: half a SHA-256 of its database and bytes, and the place of its entry among those of the file.
type Mark = [u64; 3];

/// The keys of a file, taken in one after the other.
#[derive(Debug)]
pub(super) struct Repeats {
    run: Vec<Mark>,
    /// Keys of a run.
    most: usize,
    file: Option<File>,
    /// How many keys each run in the file has.
    runs: Vec<usize>,
}

impl Default for Repeats {
    fn default() -> Self {
        Self::with_runs(RUN)
    }
}

impl Repeats {
    fn with_runs(most: usize) -> Self {
        Self { run: Vec::new(), most, file: None, runs: Vec::new() }
    }

    /// Takes in a key, whose entry is this one of the file.
    ///
    /// # Errors
    /// The temporary file cannot be written.
    pub(super) fn take(&mut self, database: u8, key: &RedisKey, place: u64) -> Result<(), Failure> {
        let digest = Sha256::new().chain_update([database]).chain_update(key.as_bytes()).finalize();
        let [first, second, ..] = digest.as_chunks::<8>().0 else {
            return Err(Failure::internal("a SHA-256 is too short"));
        };
        self.run.push([u64::from_be_bytes(*first), u64::from_be_bytes(*second), place]);
        if self.run.len() == self.most {
            self.put_aside().map_err(|error| unusable(&error))?;
        }
        Ok(())
    }

    /// Sorts a run, and puts it into the file.
    fn put_aside(&mut self) -> io::Result<()> {
        self.run.sort_unstable();
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile()?),
        };
        let bytes: Vec<u8> = self.run.iter().flatten().flat_map(|number| number.to_be_bytes()).collect();
        file.write_all(&bytes)?;
        self.runs.push(self.run.len());
        self.run.clear();
        Ok(())
    }

    /// The entries behind which another of the same key stands.
    ///
    /// # Errors
    /// The temporary file cannot be written or read.
    pub(super) fn finish(mut self) -> Result<Superseded, Failure> {
        let mut found = Superseded::default();
        if self.file.is_none() {
            self.run.sort_unstable();
            found.take(self.run.into_iter());
            return Ok(found);
        }
        self.merge(&mut found).map_err(|error| unusable(&error))?;
        Ok(found)
    }

    fn merge(&mut self, found: &mut Superseded) -> io::Result<()> {
        self.put_aside()?;
        let Some(file) = &self.file else { return Ok(()) };
        let mut runs: Vec<Run<'_>> = Vec::with_capacity(self.runs.len());
        let mut at = 0;
        for keys in &self.runs {
            runs.push(Run { file, at, left: *keys, ready: VecDeque::new() });
            at += (keys * SIZE) as u64;
        }
        let mut next = BinaryHeap::new();
        for (number, run) in runs.iter_mut().enumerate() {
            next.extend(run.next()?.map(|mark| Reverse((mark, number))));
        }
        let mut before: Option<Mark> = None;
        while let Some(Reverse((mark, number))) = next.pop() {
            found.pair(before, mark);
            before = Some(mark);
            let run = runs.get_mut(number).map_or(Ok(None), Run::next)?;
            next.extend(run.map(|mark| Reverse((mark, number))));
        }
        Ok(())
    }
}

/// A run that is read back.
struct Run<'a> {
    file: &'a File,
    at: u64,
    left: usize,
    ready: VecDeque<Mark>,
}

impl Run<'_> {
    fn next(&mut self) -> io::Result<Option<Mark>> {
        if self.ready.is_empty() && self.left > 0 {
            let mut bytes = vec![0; self.left.min(READ) * SIZE];
            self.file.read_exact_at(&mut bytes, self.at)?;
            let numbers: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|eight| u64::from_be_bytes(*eight)).collect();
            self.ready.extend(numbers.as_chunks::<3>().0.iter().copied());
            self.at += bytes.len() as u64;
            self.left -= self.ready.len();
        }
        Ok(self.ready.pop_front())
    }
}

/// Entries behind which another of the same key stands: a bit for each, up to the last of them.
#[derive(Debug, Default)]
pub(super) struct Superseded {
    bits: Vec<u64>,
    count: u64,
}

impl Superseded {
    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// Whether this entry of the file is one.
    pub(super) fn has(&self, place: u64) -> bool {
        let word = usize::try_from(place / 64).ok().and_then(|word| self.bits.get(word));
        word.is_some_and(|word| word >> (place % 64) & 1 == 1)
    }

    fn take(&mut self, sorted: impl Iterator<Item = Mark>) {
        let mut before = None;
        for mark in sorted {
            self.pair(before, mark);
            before = Some(mark);
        }
    }

    /// Two that follow each other when all are sorted.
    fn pair(&mut self, before: Option<Mark>, mark: Mark) {
        let ([first, second, place], [next_first, next_second, _]) = (before.unwrap_or_default(), mark);
        if before.is_some() && (first, second) == (next_first, next_second) {
            let word = usize::try_from(place / 64).unwrap_or(usize::MAX);
            if self.bits.len() <= word {
                self.bits.resize(word + 1, 0);
            }
            self.bits.iter_mut().skip(word).take(1).for_each(|word| *word |= 1 << (place % 64));
            self.count += 1;
        }
    }
}

fn unusable(error: &io::Error) -> Failure {
    let message =
        format!("keys that stand in the file twice are looked for in a temporary file, which failed: {error}");
    let hint =
        "Make room in the directory for temporary files, or set TMPDIR to one with 24 bytes for each key of the file.";
    Failure::usage(Side::Settings, message, hint)
}

#[cfg(test)]
mod tests {
    use super::Repeats;
    use crate::model::RedisKey;
    use std::collections::HashMap;

    #[test]
    fn all_but_the_last_entry_of_a_key_are_found_in_memory_and_in_runs() {
        // Some keys once, some up to seven times, some of one name in two databases.
        let keys: Vec<(u8, RedisKey)> = (0..3_000_u64)
            .map(|n| (if n % 5 == 0 { 3 } else { 0 }, RedisKey::new(format!("key:{}", n * n % 1_009 % (n % 700 + 1)))))
            .collect();
        let last: HashMap<_, _> = keys.iter().enumerate().map(|(place, key)| (key.clone(), place)).collect();
        for most in [7, 100, 1_500, 3_000, 3_001] {
            let mut repeats = Repeats::with_runs(most);
            for (place, (database, key)) in keys.iter().enumerate() {
                repeats.take(*database, key, place as u64).unwrap();
            }
            let found = repeats.finish().unwrap();
            assert_eq!(found.count(), (keys.len() - last.len()) as u64, "{most}");
            for (place, key) in keys.iter().enumerate() {
                assert_eq!(found.has(place as u64), last[key] != place, "{most}: {place}");
            }
            assert!(found.count() > 500 && !found.has(1 << 40));
        }
        assert_eq!(Repeats::default().finish().unwrap().count(), 0);
    }
}
