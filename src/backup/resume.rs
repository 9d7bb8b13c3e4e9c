//! Backups that broke off: going on with one, where what is whole is kept and a torn end is cut away; and removing one.

use super::damage::{Damage, ReadError};
use super::header::Header;
use super::place::{OnDisk, Place, is_written, partial_of};
use super::reader::Reader;
use super::writer::{Mark, Writer, being_written};
use crate::model::{Exit, Failure, Side};
use std::path::Path;

impl Writer {
    /// Goes on with the backup at `path` that broke off: behind the last key that is whole in the file with the temporary name.
    /// Gives its header, by which the caller knows whether it is the same backup. Only the end of a file may be torn, as a process
    /// or a machine leaves it that dies while it writes.
    ///
    /// # Errors
    /// A usage [`Failure`]: there is none, another process is writing it, it is none that can be gone on with (a link, another
    /// user's, one that others may read or write), it is damaged other than at its end, or the disk fails.
    pub fn resume(path: &Path) -> Result<(Self, Header), Failure> {
        let partial = partial_of(path);
        let unusable = |error: &std::io::Error| {
            let message = format!("the backup {} cannot be gone on with: {error}", partial.display());
            let hint = "It may be the only copy of keys that are gone from Redis: look whose it is, and move it away, or give another name.";
            Failure::new(Exit::Usage, Side::Settings, message, hint)
        };
        if is_written(&partial) {
            return Err(being_written(&partial));
        }
        let mut place = OnDisk::open(path, &partial).map_err(|error| unusable(&error))?;
        let contents = place.contents().map_err(|error| unusable(&error))?;
        let mut reader = Reader::new(contents).map_err(|error| error.failure(&partial))?;
        let header = reader.header().clone();
        let mut whole = Mark::of(&reader);
        loop {
            match reader.read() {
                Ok(Some(_)) if reader.is_between_keys() => whole = Mark::of(&reader),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(ReadError::Damaged(damage)) => match reader.is_torn_end(&damage) {
                    Ok(true) => break,
                    Ok(false) => return Err(damaged(&partial, &damage)),
                    Err(error) => return Err(error.failure(&partial)),
                },
                Err(error) => return Err(error.failure(&partial)),
            }
        }
        let Some(file_id) = reader.file_id() else {
            return Err(Failure::internal("a backup was read that has no id"));
        };
        place.truncate(whole.end()).map_err(|error| unusable(&error))?;
        Ok((Self::at(Box::new(place), path, file_id, whole), header))
    }
}

/// What is behind the damage, and keys in it, may be nowhere else any more: nothing is cut away.
fn damaged(partial: &Path, damage: &Damage) -> Failure {
    let name = partial.display();
    let message =
        format!("the backup {name} is damaged {damage}: it is not gone on with, and nothing in it is changed");
    let hint = format!(
        "It may be the only copy of keys that are gone from Redis. Move it away and keep it: the same command then begins a new file, \
         or give another name. `redis2pg restore --salvage --file {name} --to URL` puts back what is whole in it."
    );
    Failure::new(Exit::Usage, Side::Settings, message, hint)
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
