//! Where a backup is written: a file with a temporary name, that gets its own when it is whole.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tempfile::TempPath;

/// What a writer does to its file, in the order in which it must be done.
pub(crate) trait Place: Send {
    /// Appends bytes.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Waits until all that was written is on disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Forgets what is behind this byte.
    fn truncate(&mut self, end: u64) -> io::Result<()>;
    /// Removes the file.
    fn discard(&mut self) -> io::Result<()>;
    /// Gives the file its name, which nobody else may have by now, and waits until that is on disk.
    fn publish(&mut self) -> io::Result<()>;
}

/// A file in a directory.
pub(super) struct OnDisk {
    file: File,
    partial: PathBuf,
    path: PathBuf,
}

impl OnDisk {
    /// Makes the file under its temporary name: mode 0600, and nobody may have made it before.
    pub(super) fn create(path: &Path, partial: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(partial)?;
        // Held as long as the file is open: so others see that somebody is at it. Some file systems have no locks.
        let _ = file.try_lock();
        let place = Self { file, partial: partial.to_owned(), path: path.to_owned() };
        // What is synced must be found again after a power failure, and so must its name.
        place.sync_directory()?;
        Ok(place)
    }

    /// Opens the file under its temporary name, to go on with it.
    pub(super) fn open(path: &Path, partial: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).open(partial)?;
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(io::Error::other("another process is writing it"));
        }
        Ok(Self { file, partial: partial.to_owned(), path: path.to_owned() })
    }

    /// Cuts away what is behind this byte.
    pub(super) fn cut(&mut self, end: u64) -> io::Result<()> {
        self.truncate(end)
    }

    fn sync_directory(&self) -> io::Result<()> {
        let parent = self.path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Place for OnDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&mut self, end: u64) -> io::Result<()> {
        self.file.set_len(end)?;
        self.file.seek(SeekFrom::Start(end)).map(drop)
    }

    fn discard(&mut self) -> io::Result<()> {
        std::fs::remove_file(&self.partial)
    }

    fn publish(&mut self) -> io::Result<()> {
        let partial = TempPath::try_from_path(&self.partial)?;
        if let Err(failed) = partial.persist_noclobber(&self.path) {
            // It would be removed otherwise.
            failed.path.keep().map_err(|kept| kept.error)?;
            return Err(failed.error);
        }
        self.sync_directory()
    }
}

/// Whether somebody is writing the file of that name.
pub(super) fn is_written(partial: &Path) -> bool {
    File::open(partial).is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// The name that a backup has until it is whole: its own with `.partial` behind it.
pub fn partial_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".partial");
    name.into()
}
