//! Backups that broke off: going on with one, where what is whole is kept and what is torn is cut away; and removing one.

use super::damage::ReadError;
use super::header::Header;
use super::place::{OnDisk, is_written, partial_of};
use super::reader::Reader;
use super::writer::{Mark, Writer, being_written};
use crate::model::{Exit, Failure, Side};
use std::path::Path;

impl Writer {
    /// Goes on with the backup at `path` that broke off: behind the last key that is whole in the file with the temporary name.
    /// Gives its header, by which the caller knows whether it is the same backup.
    ///
    /// # Errors
    /// A usage [`Failure`]: there is none, another process is writing it, it is none that can be gone on with, or the disk
    /// fails.
    pub fn resume(path: &Path) -> Result<(Self, Header), Failure> {
        let partial = partial_of(path);
        let unusable = |error: &std::io::Error| {
            let message = format!("the backup {} cannot be gone on with: {error}", partial.display());
            Failure::new(Exit::Usage, Side::Settings, message, "")
        };
        let mut place = OnDisk::open(path, &partial).map_err(|error| unusable(&error))?;
        let mut reader = Reader::open(&partial)?;
        let header = reader.header().clone();
        let mut whole = Mark::of(&reader);
        loop {
            match reader.read() {
                Ok(Some(_)) if reader.is_between_keys() => whole = Mark::of(&reader),
                Ok(Some(_)) => {}
                Ok(None) | Err(ReadError::Damaged(_)) => break,
                Err(error) => return Err(error.failure(&partial)),
            }
        }
        let Some(file_id) = reader.file_id() else {
            return Err(Failure::internal("a backup was read that has no id"));
        };
        place.cut(whole.end()).map_err(|error| unusable(&error))?;
        Ok((Self::at(Box::new(place), path, file_id, whole), header))
    }
}

/// Removes what a backup at `path` left that broke off, under its temporary name; false where there is none.
///
/// # Errors
/// A usage [`Failure`]: another process is writing it, or it cannot be removed.
pub fn remove_broken_off(path: &Path) -> Result<bool, Failure> {
    let partial = partial_of(path);
    if is_written(&partial) {
        return Err(being_written(&partial));
    }
    match std::fs::remove_file(&partial) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => {
            let message = format!("{}, of a backup that broke off, cannot be removed: {error}", partial.display());
            Err(Failure::new(Exit::Usage, Side::Settings, message, ""))
        }
    }
}
