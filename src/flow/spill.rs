//! Keys of later phases, kept aside in an unlinked temporary file during the first scan.
//!
//! Owns the file and its bound. The file has no name, so nothing is left behind however the process ends.

use crate::model::{Failure, MappingId, RedisKey, Side};
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};

/// Bytes written and read at a time.
const BUFFER: usize = 64 * 1024;
/// Bytes before each key: the mapping's id (2) and the key's length (4).
const HEAD: usize = 6;

/// Keys set aside, each with the mapping that it belongs to. Memory stays flat; the file is bounded.
#[derive(Debug)]
pub struct KeySpill {
    file: Option<BufWriter<File>>,
    bytes: u64,
    max_bytes: u64,
    keys: u64,
}

impl KeySpill {
    /// A spill of at most `max_bytes` in the system's directory for temporary files.
    ///
    /// # Errors
    /// Where no temporary file can be made.
    pub fn new(max_bytes: u64) -> Result<Self, Failure> {
        let file = tempfile::tempfile().map_err(|error| {
            let message = format!("no temporary file can be made for keys that are looked at later: {error}");
            let hint = "Make the directory for temporary files usable, or set TMPDIR to one that is.";
            Failure::usage(Side::Settings, message, hint)
        })?;
        Ok(Self { file: Some(BufWriter::with_capacity(BUFFER, file)), bytes: 0, max_bytes, keys: 0 })
    }

    /// Keeps one key. Returns whether it was kept: once one was not, none is, and the keyspace is to be scanned again.
    /// A full disk counts as an overflow too: the spill only saves a scan, so it is no reason to end a run.
    pub fn push(&mut self, mapping: MappingId, key: &RedisKey) -> bool {
        let key = key.as_bytes();
        let size = (HEAD + key.len()) as u64;
        let Some(file) = &mut self.file else { return false };
        if self.bytes + size > self.max_bytes || write(file, mapping, key).is_err() {
            self.overflow();
            return false;
        }
        self.bytes += size;
        self.keys += 1;
        true
    }

    /// Whether a key was turned away.
    pub fn overflowed(&self) -> bool {
        self.file.is_none()
    }

    /// How many bytes are kept.
    pub fn bytes(&self) -> u64 {
        if self.overflowed() { 0 } else { self.bytes }
    }

    /// How many keys are kept.
    pub fn keys(&self) -> u64 {
        self.keys
    }

    /// Ends writing. `None` where it overflowed: what was kept is not all.
    pub fn finish(mut self) -> Option<KeyReader> {
        let mut file = self.file.take()?.into_inner().ok()?;
        file.rewind().ok()?;
        Some(KeyReader { file: BufReader::with_capacity(BUFFER, file), left: self.keys })
    }

    fn overflow(&mut self) {
        // Taken apart without the last write; the space on disk is free at once.
        if let Some(file) = self.file.take() {
            drop(file.into_parts());
        }
        self.keys = 0;
    }
}

fn write(file: &mut impl Write, mapping: MappingId, key: &[u8]) -> io::Result<()> {
    let length = u32::try_from(key.len()).map_err(io::Error::other)?;
    file.write_all(&mapping.0.to_le_bytes())?;
    file.write_all(&length.to_le_bytes())?;
    file.write_all(key)
}

/// Reads back what was set aside, in the order in which it was.
#[derive(Debug)]
pub struct KeyReader {
    file: BufReader<File>,
    left: u64,
}

impl KeyReader {
    /// Up to `count` keys; `None` at the end.
    ///
    /// # Errors
    /// [`Failure`] (internal) where the file can't be read.
    pub fn next_page(&mut self, count: usize) -> Result<Option<Vec<(MappingId, RedisKey)>>, Failure> {
        let count = usize::try_from(self.left).unwrap_or(usize::MAX).min(count.max(1));
        let mut page = Vec::with_capacity(count);
        for _ in 0..count {
            let entry = self.read_one().map_err(|error| {
                Failure::internal("could not read back the keys that were set aside for later phases").because(error)
            })?;
            page.push(entry);
        }
        self.left -= count as u64;
        Ok(if page.is_empty() { None } else { Some(page) })
    }

    fn read_one(&mut self) -> io::Result<(MappingId, RedisKey)> {
        let (mut mapping, mut length) = ([0; 2], [0; 4]);
        self.file.read_exact(&mut mapping)?;
        self.file.read_exact(&mut length)?;
        let mut key = vec![0; u32::from_le_bytes(length) as usize];
        self.file.read_exact(&mut key)?;
        Ok((MappingId(u16::from_le_bytes(mapping)), RedisKey::new(key)))
    }
}

#[cfg(test)]
mod tests {
    use super::KeySpill;
    use crate::model::{MappingId, RedisKey};

    #[test]
    fn keys_come_back_in_order_with_their_mappings() {
        let mut spill = KeySpill::new(1 << 20).unwrap();
        for i in 0..5000_u16 {
            let key = if i == 7 { RedisKey::new(&b"\xff\x00"[..]) } else { RedisKey::new(format!("key:{i}")) };
            assert!(spill.push(MappingId(i), &key));
        }
        assert!(spill.push(MappingId(9), &RedisKey::new(&b""[..])));
        assert_eq!(spill.keys(), 5001);
        let mut reader = spill.finish().unwrap();
        let mut all = Vec::new();
        while let Some(page) = reader.next_page(999).unwrap() {
            assert!(page.len() <= 999);
            all.extend(page);
        }
        assert_eq!(all.len(), 5001);
        assert_eq!(all[7], (MappingId(7), RedisKey::new(&b"\xff\x00"[..])));
        assert_eq!(all[4999], (MappingId(4999), RedisKey::new("key:4999")));
        assert_eq!(all[5000].1.as_bytes(), b"");
    }

    #[test]
    fn an_overflow_stays_one() {
        let mut spill = KeySpill::new(20).unwrap();
        assert!(spill.push(MappingId(0), &RedisKey::new("0123456789")));
        assert!(!spill.push(MappingId(0), &RedisKey::new("0123456789")));
        assert!(spill.overflowed());
        assert!(!spill.push(MappingId(0), &RedisKey::new("")), "though this one would have fitted");
        assert!(spill.finish().is_none());
    }

    #[test]
    fn nothing_kept_is_nothing_read() {
        assert!(KeySpill::new(100).unwrap().finish().unwrap().next_page(10).unwrap().is_none());
    }
}
