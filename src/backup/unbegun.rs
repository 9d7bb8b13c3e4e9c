//! A backup that broke off before its header was whole, as a full disk or `kill -9` leaves it: no key can be in it.

use super::damage::{Damage, Fault, ReadError};
use super::header::Header;
use super::place::{OnDisk, Place, partial_of};
use super::reader::{Found, Reader};
use super::resume::opened;
use super::writer::Writer;
use crate::model::Failure;
use std::path::{Path, PathBuf};

/// Such a file, under its temporary name. No other process can write to it as long as this is held, and nothing in it is changed
/// until [`Unbegun::begin`]. Its methods block on the disk.
pub struct Unbegun {
    place: OnDisk,
    path: PathBuf,
}

impl Unbegun {
    /// Opens what the backup at `path` left, where that is one; `None` where it is anything else, a damaged backup included.
    ///
    /// # Errors
    /// A usage [`Failure`], as that of [`BrokenOff::open`](super::BrokenOff::open): there is none, another process is writing it, it is
    /// none of its own, or the disk fails.
    pub fn open(path: &Path) -> Result<Option<Self>, Failure> {
        let (place, contents) = opened(path)?;
        let Err(ReadError::Damaged(damage)) = Reader::new(contents) else { return Ok(None) };
        let is_unbegun = is_short(&damage) && !has_keys(&place).map_err(|error| error.failure(&partial_of(path)))?;
        Ok(is_unbegun.then(|| Self { place, path: path.to_owned() }))
    }

    /// Begins the backup anew in the same file.
    ///
    /// # Errors
    /// A usage [`Failure`]: the disk is full, or fails. Nothing is left of the file then.
    pub fn begin(mut self, header: &Header) -> Result<Writer, Failure> {
        self.place.truncate(0).map_err(|error| super::trouble::unwritable(&partial_of(&self.path), &error))?;
        Writer::begin(Box::new(self.place), &self.path, header)
    }
}

/// Whether the file ends where the header was still to come. One with other bytes in the place of a header is damaged.
fn is_short(damage: &Damage) -> bool {
    matches!(damage.fault, Fault::Empty | Fault::Cut(_) | Fault::NotFinished)
}

/// Whether a key can be had of it all the same: a header that has lost bytes may seem to end beyond the end of the file.
fn has_keys(place: &OnDisk) -> Result<bool, ReadError> {
    let mut reader = Reader::salvage(place.contents()?)?;
    loop {
        match reader.read() {
            Ok(Some(Found::Entry { .. })) => return Ok(true),
            Ok(Some(Found::Lost(_))) => {}
            Ok(None) | Err(ReadError::Damaged(_)) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}
