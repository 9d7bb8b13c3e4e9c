//! Backups that broke off: going on with one, where what is whole is kept and a torn end is cut away; and removing one.

use super::damage::{Damage, Fault, ReadError};
use super::header::Header;
use super::place::{OnDisk, is_written, open_itself, partial_of};
use super::reader::Reader;
use super::trouble::being_written;
use super::writer::{Mark, Writer};
use crate::model::{BackupExtent, Exit, Failure, Side, hex_digits};
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

/// A backup that broke off, under its temporary name. No other process can go on with it as long as this is held, and nothing in
/// it is changed until [`Resumable::go_on`]. Its methods block on the disk.
pub struct BrokenOff {
    place: OnDisk,
    reader: Reader<File>,
    path: PathBuf,
    file_id: [u8; 8],
}

/// A backup that broke off, of which all but its end was read and is whole.
pub struct Resumable {
    broken: BrokenOff,
    /// Behind its last whole key.
    whole: Mark,
    /// Whether it begins with what was wanted.
    has_wanted: bool,
}

impl BrokenOff {
    /// Opens what the backup at `path` left.
    ///
    /// # Errors
    /// A usage [`Failure`]: there is none, another process is writing it, it is none that can be gone on with (a link, another
    /// user's, one that others may read or write), its beginning is damaged, or the disk fails.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let (place, contents) = opened(path)?;
        let reader = Reader::new(contents).map_err(|error| unreadable(&partial_of(path), &error))?;
        let Some(file_id) = reader.file_id() else {
            return Err(Failure::internal("a backup was read that has no id"));
        };
        Ok(Self { place, reader, path: path.to_owned(), file_id })
    }

    /// What it says of itself, by which the caller knows whether it is the same backup.
    pub fn header(&self) -> &Header {
        self.reader.header()
    }

    /// The id that each of its frames has, in hexadecimal.
    pub fn file_id(&self) -> String {
        hex_digits(&self.file_id)
    }

    /// Reads it to its last whole key. Only its end may be torn, as a process or a machine leaves it that dies while it writes.
    /// `wanted`: what it must begin with, since that was on disk.
    ///
    /// # Errors
    /// A usage [`Failure`]: it is damaged other than at its end, or the disk fails.
    pub fn read(mut self, wanted: Option<&BackupExtent>) -> Result<Resumable, Failure> {
        let partial = partial_of(&self.path);
        let reader = &mut self.reader;
        let mut whole = Mark::of(reader);
        let mut has_wanted = wanted.is_none();
        loop {
            match reader.read() {
                Ok(Some(_)) if reader.is_between_keys() => {
                    whole = Mark::of(reader);
                    has_wanted |= wanted.is_some_and(|wanted| wanted.bytes == whole.end() && *wanted == whole.extent());
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(ReadError::Damaged(damage)) => match reader.is_torn_end(&damage, wanted.is_some() && has_wanted) {
                    Ok(true) => break,
                    Ok(false) => return Err(damaged(&partial, &damage)),
                    Err(error) => return Err(error.failure(&partial)),
                },
                Err(error) => return Err(error.failure(&partial)),
            }
        }
        Ok(Resumable { broken: self, whole, has_wanted })
    }
}

impl Resumable {
    /// Bytes of it up to its last whole key.
    pub fn bytes(&self) -> u64 {
        self.whole.end()
    }

    /// Whether it begins with what was wanted.
    pub fn has_wanted(&self) -> bool {
        self.has_wanted
    }

    /// Goes on behind the last key that is whole. Nothing is changed in the file until something is written.
    pub fn go_on(self) -> Writer {
        let Self { broken: BrokenOff { place, path, file_id, .. }, whole, .. } = self;
        Writer::at(Box::new(place), &path, file_id, whole)
    }
}

/// Opens what the backup at `path` left, as one's own, and its contents.
pub(super) fn opened(path: &Path) -> Result<(OnDisk, File), Failure> {
    let partial = partial_of(path);
    if is_written(&partial) {
        return Err(being_written(&partial));
    }
    let place = OnDisk::open(path, &partial).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => being_written(&partial),
        _ => unusable(&partial, &error),
    })?;
    let contents = place.contents().map_err(|error| unusable(&partial, &error))?;
    Ok((place, contents))
}

/// What to do about a file that cannot be gone on with.
const WHOSE: &str = "It may be the only copy of keys that are gone from Redis: look whose it is, and move it away, or give another name.";

fn unusable(partial: &Path, error: &io::Error) -> Failure {
    let message = format!("the backup {} cannot be gone on with: {error}", partial.display());
    Failure::new(Exit::Usage, Side::Settings, message, WHOSE)
}

/// One whose beginning is none: nobody asked for a file to be read.
fn unreadable(partial: &Path, error: &ReadError) -> Failure {
    let failure = error.failure(partial);
    match error {
        ReadError::Damaged(Damage { fault: Fault::UnknownFormat(_), .. }) => failure,
        _ => Failure { hint: WHOSE.to_owned(), ..failure },
    }
}

/// What is behind the damage, and keys in it, may be nowhere else any more: nothing is cut away.
fn damaged(partial: &Path, damage: &Damage) -> Failure {
    let name = partial.display();
    let message =
        format!("the backup {name} is damaged {damage}: it is not gone on with, and nothing in it is changed");
    let hint = format!(
        "It may be the only copy of keys that are gone from Redis. Put a whole copy of it back; or keep it, and give another name: that \
         begins a new file. `redis2pg restore --salvage --file {name} --to URL` puts back what is whole in it."
    );
    Failure::new(Exit::Usage, Side::Settings, message, hint)
}

/// The id of what the backup at `path` left under its temporary name, in hexadecimal; `None` where there is none, or none that can be read.
pub fn broken_off_id(path: &Path) -> Option<String> {
    let file = open_itself(&partial_of(path), OpenOptions::new().read(true)).ok()?;
    Reader::new(file).ok()?.file_id().map(|id| hex_digits(&id))
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
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => {
            let message = format!("{}, of a backup that broke off, cannot be removed: {error}", partial.display());
            let hint = "Remove it by hand, or name another place for the backup.";
            Err(Failure::new(Exit::Usage, Side::Settings, message, hint))
        }
    }
}
