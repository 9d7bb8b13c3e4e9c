//! The file of keys of `run.keys_from`, which each phase reads from its beginning.
//!
//! A pipe can be read once only: it is copied first, into a temporary file without a name.

use crate::flow::Stop;
use crate::model::{Exit, Failure, Side};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};
use tokio::sync::oneshot;

/// Where the keys are.
pub(super) enum KeyList {
    File(PathBuf),
    Copy(File),
}

impl KeyList {
    /// Looks at the path; copies what is no plain file. Ends early at a stop, however long the other end of a pipe waits.
    ///
    /// # Errors
    /// What cannot be read; a stop.
    pub(super) async fn open(path: &Path, stop: &Stop) -> Result<Self, Failure> {
        let facts = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        if facts.is_file() {
            return Ok(Self::File(path.to_owned()));
        }
        let (done, copied) = oneshot::channel();
        let from = path.to_owned();
        // A thread of its own: opening a pipe waits for its other end, and nothing can end that wait but the process's end.
        std::thread::spawn(move || done.send(copy(&from)));
        tokio::select! {
            copied = copied => match copied {
                Ok(copied) => copied.map(Self::Copy).map_err(|trouble| trouble.said(path)),
                Err(_) => Err(Failure::internal("copying run.keys_from broke off")),
            },
            () = stop.wait_drain() => Err(Failure::new(
                Exit::Stopped,
                Side::Settings,
                format!("stopped while reading run.keys_from from {}", path.display()),
                "Nothing was written.",
            )),
        }
    }

    /// The lines from the first one on.
    ///
    /// # Errors
    /// What cannot be read.
    pub(super) fn lines(&self) -> Result<Box<dyn BufRead + Send>, Failure> {
        let file = match self {
            Self::File(path) => File::open(path).map_err(|error| unreadable(path, &error))?,
            Self::Copy(copy) => {
                let again = copy.try_clone().and_then(|mut copy| copy.rewind().map(|()| copy));
                again.map_err(|error| CopyTrouble::Disk(error).said(Path::new("a pipe")))?
            }
        };
        Ok(Box::new(BufReader::new(file)))
    }
}

/// Which end of a copy failed.
#[derive(Debug)]
enum CopyTrouble {
    /// The list.
    List(io::Error),
    /// The temporary file.
    Disk(io::Error),
}

impl CopyTrouble {
    /// In words for a person; `path` is the list's.
    fn said(&self, path: &Path) -> Failure {
        let error = match self {
            Self::List(error) => return unreadable(path, error),
            Self::Disk(error) => error,
        };
        let (path, dir) = (path.display(), std::env::temp_dir());
        let message = format!(
            "run.keys_from: {path} is no plain file, and its copy in the directory for temporary files ({}) failed: {error}",
            dir.display()
        );
        let hint =
            "Make room on that disk, set TMPDIR to a directory with room, or name a plain file, which is not copied.";
        Failure::usage(Side::Settings, message, hint)
    }
}

fn copy(path: &Path) -> Result<File, CopyTrouble> {
    // Before the list is opened: a pipe waits for its other end.
    let mut copy = tempfile::tempfile().map_err(CopyTrouble::Disk)?;
    copy_all(File::open(path).map_err(CopyTrouble::List)?, &mut copy)?;
    Ok(copy)
}

fn copy_all(from: impl Read, mut to: impl Write) -> Result<(), CopyTrouble> {
    let mut from = BufReader::with_capacity(64 * 1024, from);
    loop {
        let read = match from.fill_buf() {
            Ok([]) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(CopyTrouble::List(error)),
        };
        to.write_all(read).map_err(CopyTrouble::Disk)?;
        let count = read.len();
        from.consume(count);
    }
}

/// Why the list cannot be read, for a person.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let message = format!("run.keys_from: {} cannot be read: {error}", path.display());
    Failure::usage(Side::Settings, message, "Name a file with one key a line.")
}

#[cfg(test)]
mod tests {
    use super::{CopyTrouble, copy_all};
    use std::io::{self, Read};
    use std::path::Path;

    /// A disk without room.
    struct Full;

    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A list whose other end breaks off.
    struct Broken;

    impl io::Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }

    #[test]
    fn a_copy_holds_all_that_was_read() {
        let keys = "document:1\n".repeat(20_000);
        let mut copy = Vec::new();
        copy_all(keys.as_bytes(), &mut copy).unwrap();
        assert_eq!(copy, keys.as_bytes());
    }

    #[test]
    fn a_full_disk_and_a_broken_list_are_told_apart() {
        let full = copy_all(&b"document:1\n"[..], Full).unwrap_err();
        assert!(matches!(full, CopyTrouble::Disk(_)), "{full:?}");
        let failure = full.said(Path::new("/dev/stdin"));
        assert!(failure.message.contains("/dev/stdin") && failure.hint.contains("TMPDIR"), "{failure}");
        let broken = copy_all(b"document:1\n".chain(Broken), io::sink()).unwrap_err();
        assert!(broken.said(Path::new("keys")).message.contains("keys cannot be read"), "{broken:?}");
    }
}
