//! The two ends of a file: its preamble and header, and its end mark.

use super::super::FORMAT;
use super::super::damage::{Damage, Fault, ReadError};
use super::super::frame::Kind;
use super::super::header::{EndMark, Header};
use super::super::preamble::{self, PREAMBLE};
use super::super::summary::Summary;
use super::Reader;
use std::io::{Read, Seek};

impl<R: Read + Seek> Reader<R> {
    pub(super) fn read_header(&mut self) -> Result<(), ReadError> {
        let (mut first, behind) = (Vec::new(), PREAMBLE as u64);
        self.frames.inner.by_ref().take(behind).read_to_end(&mut first)?;
        if let Err(fault) = preamble::check(&first) {
            // What is followed by a header is a backup, whatever its first bytes are.
            let is_one = fault == Fault::NotABackup && self.frames.has_header_at(behind)?;
            return Err(ReadError::at(0, if is_one { Fault::Checksum } else { fault }));
        }
        self.frames.at = behind;
        let (head, content) = self.frames.next()?;
        match head.kind {
            Kind::Header => self.take_header(behind, &content),
            _ => Err(ReadError::at(behind, Fault::Content("there is no header"))),
        }
    }

    pub(super) fn take_header(&mut self, from: u64, content: &[u8]) -> Result<(), ReadError> {
        let header: Option<Header> = serde_json::from_slice(content).ok();
        self.header = header.ok_or(ReadError::at(from, Fault::Content("the header cannot be read")))?;
        match self.header.format {
            FORMAT => Ok(()),
            other => Err(ReadError::at(from, Fault::UnknownFormat(other))),
        }
    }

    /// Whether damage that was met is the end of a file whose writing broke off: within a piece, with nothing of the file behind
    /// it. Room that a file system made, and lost power before it was written to, is the same. `unsynced`: whether no more than
    /// what comes before it was ever known to be on disk: behind that there may be anything then, since pages get there in any order.
    ///
    /// # Errors
    /// It cannot be read.
    pub(in super::super) fn is_torn_end(&mut self, damage: &Damage, unsynced: bool) -> Result<bool, ReadError> {
        let torn = match damage.fault {
            Fault::NotFinished | Fault::Cut(_) => true,
            Fault::NoFrame | Fault::Checksum if unsynced => true,
            Fault::NoFrame => self.frames.is_zero_from(damage.offset)?,
            _ => false,
        };
        Ok(torn && !self.frames.find(damage.offset)?)
    }

    pub(super) fn check_end(&mut self, from: u64, content: &[u8]) -> Result<(), ReadError> {
        let end: EndMark = serde_json::from_slice(content)
            .map_err(|_| ReadError::at(from, Fault::Content("the end mark cannot be read")))?;
        if self.parts.is_open() {
            return Err(ReadError::at(from, Fault::Parts));
        }
        let Summary { blocks, bytes, keys, .. } = &self.summary;
        let same = end.blocks == *blocks && end.bytes == *bytes && end.keys == *keys;
        if !same && self.salvage.as_ref().is_none_or(|salvage| !salvage.lost) {
            return Err(ReadError::at(from, Fault::Counts));
        }
        self.summary.complete = same;
        if self.frames.inner.read(&mut [0])? > 0 {
            return Err(ReadError::at(self.frames.at, Fault::Trailing));
        }
        Ok(())
    }
}
