//! Going on behind damage.

use super::super::damage::{Damage, Fault, ReadError};
use super::super::input::Input;
use super::{Found, Lost, Reader};
use bytes::Bytes;
use std::io::{Read, Seek};

/// How it goes on behind damage.
#[derive(Debug, Default)]
pub(super) struct Salvage {
    /// Damage that was met before the first entry was asked for.
    pub(super) before: Option<Damage>,
    /// Whether anything was lost: counts say nothing then.
    pub(super) lost: bool,
}

impl<R: Read + Seek> Reader<R> {
    /// As [`Reader::new`], going on behind damage.
    ///
    /// # Errors
    /// It cannot be read. That it is no backup, or of an unknown version, is told by the first [`Reader::read`].
    pub fn salvage(inner: R) -> Result<Self, ReadError> {
        let mut reader = Self::at_the_start(inner);
        let before = match reader.read_header() {
            Ok(()) => None,
            Err(ReadError::Damaged(damage)) => Some(damage),
            Err(error) => return Err(error),
        };
        reader.salvage = Some(Salvage { before, lost: false });
        reader.frames.gaps = true;
        Ok(reader)
    }

    /// Goes on behind damage.
    pub(super) fn skip(&mut self, damage: Damage) -> Result<Found, ReadError> {
        let in_content = matches!(damage.fault, Fault::Content(_) | Fault::Parts) && self.frames.at > damage.offset;
        let ends = matches!(damage.fault, Fault::NotFinished | Fault::Counts | Fault::Trailing | Fault::Overlapping);
        let is_other = matches!(damage.fault, Fault::UnknownFormat(_));
        if matches!(damage.fault, Fault::Content(_)) {
            self.block = Input::new(Bytes::new());
        }
        if !in_content && !ends && !is_other {
            self.ended |= !self.frames.find(damage.offset)?;
        }
        self.ended |= ends || is_other;
        if is_other || self.ended && matches!(damage.fault, Fault::NotABackup | Fault::Empty) {
            return Err(ReadError::Damaged(damage));
        }
        let torn = self.parts.give_up();
        self.salvage = Some(Salvage { before: None, lost: true });
        Ok(Found::Lost(Lost { damage, to: self.frames.at, torn }))
    }
}
