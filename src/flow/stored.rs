//! Values too large for memory, set aside in unlinked temporary files while they are read.
//!
//! Owns the writing and what is learned on the way: the hash, whether the bytes are UTF-8, the first byte 0. The file has
//! no name, so nothing is left behind however the process ends.

use crate::model::{Exit, Failure, Side, Stored};
use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use std::fs::File;
use std::io::{self, Write};

/// So many of the first bytes stay in memory: more than any magic number needs.
const HEAD: usize = 64;

/// A value on its way into a file.
#[derive(Debug)]
pub struct StoredWriter {
    file: File,
    len: u64,
    hash: Sha256,
    utf8: Utf8Check,
    nul: Option<u64>,
    head: Vec<u8>,
}

impl StoredWriter {
    /// An empty value in the system's directory for temporary files.
    ///
    /// # Errors
    /// [`Failure`] (usage) where no temporary file can be made.
    pub fn new() -> Result<Self, Failure> {
        let file = tempfile::tempfile().map_err(|error| unwritable("cannot be made", error))?;
        Ok(Self { file, len: 0, hash: Sha256::new(), utf8: Utf8Check::default(), nul: None, head: Vec::new() })
    }

    /// Bytes so far.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Appends bytes. Blocks on the disk.
    ///
    /// # Errors
    /// [`Failure`] (usage) where they cannot be written, such as on a full disk.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file.write_all(bytes).map_err(|error| unwritable("cannot be written", error))?;
        self.hash.update(bytes);
        self.utf8.push(bytes);
        if self.nul.is_none() {
            self.nul = memchr::memchr(0, bytes).map(|at| self.len + at as u64);
        }
        let missing = HEAD.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(bytes.get(..missing).unwrap_or_default());
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Ends the value.
    pub fn finish(self) -> Stored {
        let Self { file, len, hash, utf8, nul, head } = self;
        let sha256 = hash.finalize().into();
        Stored { file, len, sha256, invalid_utf8: utf8.finish(), nul, head: Bytes::from(head) }
    }
}

fn unwritable(what: &str, error: io::Error) -> Failure {
    let message = format!("a temporary file for a large value {what}: {error}");
    let hint = "Values beyond a twelfth of flow.memory pass through files in the directory for temporary files: make room \
                there, or set TMPDIR to a directory that has room.";
    Failure::new(Exit::Usage, Side::Settings, message, hint)
}

/// Whether bytes that come in pieces are UTF-8 as a whole.
#[derive(Debug, Default)]
struct Utf8Check {
    /// Bytes checked before `open`.
    at: u64,
    /// The beginning of a character whose end has not come yet; at most three bytes.
    open: Vec<u8>,
    fault: Option<u64>,
}

impl Utf8Check {
    fn push(&mut self, mut bytes: &[u8]) {
        while !self.open.is_empty() && self.fault.is_none() {
            let Some((first, rest)) = bytes.split_first() else { return };
            self.open.push(*first);
            bytes = rest;
            match std::str::from_utf8(&self.open) {
                Ok(_) => {
                    self.at += self.open.len() as u64;
                    self.open.clear();
                }
                Err(error) if error.error_len().is_none() => {}
                Err(_) => self.fault = Some(self.at),
            }
        }
        if self.fault.is_some() {
            return;
        }
        match std::str::from_utf8(bytes) {
            Ok(_) => self.at += bytes.len() as u64,
            Err(error) => {
                self.at += error.valid_up_to() as u64;
                match error.error_len() {
                    Some(_) => self.fault = Some(self.at),
                    None => self.open.extend_from_slice(bytes.get(error.valid_up_to()..).unwrap_or_default()),
                }
            }
        }
    }

    fn finish(self) -> Option<u64> {
        self.fault.or((!self.open.is_empty()).then_some(self.at))
    }
}

#[cfg(test)]
mod tests {
    use super::StoredWriter;
    use crate::model::{Digest, Stored, sha256_hex};
    use std::os::unix::fs::FileExt;

    fn stored(pieces: &[&[u8]]) -> Stored {
        let mut writer = StoredWriter::new().unwrap();
        pieces.iter().for_each(|piece| writer.push(piece).unwrap());
        writer.finish()
    }

    #[test]
    fn what_is_stored_comes_back_with_its_length_and_hash() {
        let whole: Vec<u8> = (0..200_000_u32).map(|i| (i % 251) as u8).collect();
        let pieces: Vec<&[u8]> = whole.chunks(7_777).collect();
        let stored = stored(&pieces);
        let mut read = vec![0; whole.len()];
        stored.file.read_exact_at(&mut read, 0).unwrap();
        assert_eq!(read, whole);
        assert_eq!(stored.digest(), Digest::of(&whole));
        assert_eq!(stored.withheld().sha256, sha256_hex(&whole));
        assert_eq!((stored.len, stored.nul, stored.head.as_ref()), (200_000, Some(0), &whole[..64]));
    }

    #[test]
    fn text_is_judged_as_if_it_were_whole_wherever_it_is_cut() {
        let texts: [&[u8]; 8] = [
            "aé€😀z".as_bytes(),
            b"ab\xff",
            b"ab\xe2\x82",
            b"ab\xe2\x82z",
            b"\xf0\x9f\x98",
            b"\xc3\xc3\xa9",
            b"a\xed\xa0\x80",
            b"\x80",
        ];
        for text in texts {
            let whole = std::str::from_utf8(text).err().map(|error| error.valid_up_to() as u64);
            for first in 0..=text.len() {
                for second in first..=text.len() {
                    let stored = stored(&[&text[..first], &text[first..second], &text[second..]]);
                    assert_eq!(stored.invalid_utf8, whole, "{text:?} cut at {first} and {second}");
                }
            }
        }
        assert_eq!(stored(&[b"abc", b"d\0e\0"]).nul, Some(4));
    }
}
