//! Where a backup is written: a file with a temporary name, that gets its own when it is whole.

use rustix::fs::OFlags;
use std::ffi::OsString;
use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tempfile::TempPath;

/// How long a lock is waited for: whoever only looks whether a file is written has it for a moment.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
/// How often a lock is asked for.
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// What a writer does to its file, in the order in which it must be done.
pub(crate) trait Place: Send {
    /// Appends bytes.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Waits until all that was written is on disk, in the file that has its temporary name.
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
        lock(&file, LOCK_PATIENCE)?;
        still_named(&file, partial)?;
        let mut place = Self { file, partial: partial.to_owned(), path: path.to_owned() };
        if let Err(error) = place.sync_directory() {
            // Nothing is in it, and it would be in the way.
            let _ = place.discard();
            return Err(error);
        }
        Ok(place)
    }

    /// Opens the file under its temporary name, to go on with it: only where nobody else can have made it, or can read what is
    /// written to it.
    pub(super) fn open(path: &Path, partial: &Path) -> io::Result<Self> {
        let file = open_itself(partial, OpenOptions::new().read(true).write(true))?;
        check_own(&file, partial)?;
        lock(&file, LOCK_PATIENCE)?;
        still_named(&file, partial)?;
        let place = Self { file, partial: partial.to_owned(), path: path.to_owned() };
        // Whoever made it may have been killed before its name was on disk, or it was copied back here.
        place.sync_directory()?;
        Ok(place)
    }

    /// What is in it, from its beginning.
    pub(super) fn contents(&self) -> io::Result<File> {
        let mut file = self.file.try_clone()?;
        file.rewind()?;
        Ok(file)
    }

    /// What is synced must be found again after a power failure, and so must its name.
    fn sync_directory(&self) -> io::Result<()> {
        File::open(directory_of(&self.path))?.sync_all()
    }

    /// What is written to a file that has lost its name is nowhere, and whatever has the name by now is somebody else's.
    ///
    /// # Errors
    /// `NotFound`: the temporary name is not this file's any more.
    fn check_named(&self) -> io::Result<()> {
        match has_name(&self.file, &self.partial)? {
            Some(_) => Ok(()),
            None => Err(io::Error::new(io::ErrorKind::NotFound, "the name is not this file's any more")),
        }
    }
}

impl Place for OnDisk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.check_named()
    }

    fn truncate(&mut self, end: u64) -> io::Result<()> {
        self.file.set_len(end)?;
        self.file.seek(SeekFrom::Start(end)).map(drop)
    }

    fn discard(&mut self) -> io::Result<()> {
        self.check_named()?;
        std::fs::remove_file(&self.partial)
    }

    fn publish(&mut self) -> io::Result<()> {
        self.check_named()?;
        let partial = TempPath::try_from_path(&self.partial)?;
        if let Err(failed) = partial.persist_noclobber(&self.path) {
            // It would be removed otherwise.
            failed.path.keep().map_err(|kept| kept.error)?;
            return Err(failed.error);
        }
        self.sync_directory()
    }
}

/// Locks a file as long as it is open: so others see that somebody is at it, and neither remove it nor go on with it. Some file
/// systems have no locks.
///
/// # Errors
/// `WouldBlock`: another process has it all that time.
fn lock(file: &File, patience: Duration) -> io::Result<()> {
    let since = Instant::now();
    while let Err(TryLockError::WouldBlock) = file.try_lock() {
        if since.elapsed() >= patience {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, "another process is writing it"));
        }
        sleep(LOCK_PAUSE);
    }
    Ok(())
}

/// Whoever had the lock while it was waited for may have given the file its own name, or removed it: what is written to it then is in a backup that
/// is whole, or nowhere.
///
/// # Errors
/// `WouldBlock`: somebody did.
fn still_named(file: &File, partial: &Path) -> io::Result<()> {
    match has_name(file, partial)? {
        Some(own) if own.nlink() == 1 => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::WouldBlock, "another process has finished with it meanwhile")),
    }
}

/// What is known of the file, where it has this name, whether or not others too; `None` where nothing has the name, or another file.
fn has_name(file: &File, name: &Path) -> io::Result<Option<Metadata>> {
    let own = file.metadata()?;
    match name.symlink_metadata() {
        Ok(named) if (named.dev(), named.ino()) == (own.dev(), own.ino()) => Ok(Some(own)),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether somebody is writing the file of that name.
pub(super) fn is_written(partial: &Path) -> bool {
    open_itself(partial, OpenOptions::new().read(true))
        .is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// Opens what has this name: not what a link names, and without waiting for whoever has the other end of a pipe.
pub(super) fn open_itself(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let opened = options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed()).open(path);
    opened.map_err(|error| match path.symlink_metadata() {
        Ok(facts) if facts.is_symlink() => io::Error::other("it is a symbolic link"),
        _ => error,
    })
}

/// Whether values may be written to it as to a file that was just made.
fn check_own(file: &File, path: &Path) -> io::Result<()> {
    let facts = file.metadata()?;
    let wrong = |what: String| Err(io::Error::other(what));
    if !facts.is_file() {
        return wrong("it is no ordinary file".to_owned());
    }
    if facts.nlink() != 1 {
        return wrong("it has another name as well (a hard link)".to_owned());
    }
    if facts.mode() & 0o077 != 0 {
        return wrong(format!("others may read or write it: its mode is {:04o}, not 0600", facts.mode() & 0o7777));
    }
    // Whose file it would be, were it made now: a file system over the network may not go by this process's number.
    let own = tempfile::tempfile_in(directory_of(path))?.metadata()?.uid();
    if facts.uid() != own {
        return wrong("it belongs to another user".to_owned());
    }
    Ok(())
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// The name that a backup has until it is whole: its own with `.partial` behind it.
pub fn partial_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".partial");
    name.into()
}

#[cfg(test)]
mod tests {
    use super::{OnDisk, Place, lock, partial_of};
    use std::fs::File;
    use std::io;
    use std::thread::{scope, sleep};
    use std::time::Duration;

    /// Whoever looks whether a file is written has it for a moment, and a file that stayed without its lock could be removed.
    #[test]
    fn a_lock_is_waited_for_and_never_done_without() {
        let own = tempfile::NamedTempFile::new().unwrap();
        let other = File::open(own.path()).unwrap();
        other.lock_shared().unwrap();
        let failed = lock(own.as_file(), Duration::from_millis(50)).unwrap_err();
        assert_eq!(failed.kind(), io::ErrorKind::WouldBlock);
        scope(|scope| {
            scope.spawn(move || {
                sleep(Duration::from_millis(100));
                drop(other);
            });
            lock(own.as_file(), Duration::from_secs(60)).unwrap();
        });
        assert!(File::open(own.path()).unwrap().try_lock_shared().is_err());
    }

    /// Two that go on with one file: the first ends it while the second waits for its lock.
    #[test]
    fn a_file_that_got_its_name_or_went_while_its_lock_was_waited_for_is_not_written_to() {
        for publish in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("backup");
            let partial = partial_of(&path);
            let mut first = OnDisk::create(&path, &partial).unwrap();
            let second = scope(|scope| {
                let second = scope.spawn(|| OnDisk::open(&path, &partial).map(drop));
                sleep(Duration::from_millis(200));
                if publish { first.publish() } else { first.discard() }.unwrap();
                drop(first);
                second.join().unwrap()
            });
            assert_eq!(second.unwrap_err().kind(), io::ErrorKind::WouldBlock, "{publish}");
        }
    }

    /// Somebody removes it, or moves it away, and another backup begins one of its own under the name.
    #[test]
    fn a_file_that_lost_its_name_is_not_on_disk_and_another_under_it_is_left_alone() {
        for replaced in [false, true] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("backup");
            let partial = partial_of(&path);
            let mut first = OnDisk::create(&path, &partial).unwrap();
            first.write(b"first").unwrap();
            first.sync().unwrap();
            std::fs::hard_link(&partial, dir.path().join("snapshot")).unwrap();
            first.sync().unwrap();
            std::fs::remove_file(&partial).unwrap();
            let second = replaced.then(|| {
                let mut second = OnDisk::create(&path, &partial).unwrap();
                second.write(b"second").unwrap();
                second
            });
            for failed in [first.sync(), first.publish(), first.discard()] {
                assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::NotFound, "{replaced}");
            }
            assert!(!path.exists() && partial.exists() == replaced);
            if let Some(mut second) = second {
                second.sync().unwrap();
                second.publish().unwrap();
                assert_eq!(std::fs::read(&path).unwrap(), b"second");
            }
        }
    }
}
