//! The file of keys of `run.keys_from`, which each phase reads from its beginning.
//!
//! A pipe can be read once only: it is copied first, into a temporary file without a name.

use crate::flow::Stop;
use crate::model::{Exit, Failure, Side};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek};
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
                Ok(copied) => copied.map(Self::Copy).map_err(|error| unreadable(path, &error)),
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
                again.map_err(|error| unreadable(Path::new("the copy of a pipe"), &error))?
            }
        };
        Ok(Box::new(BufReader::new(file)))
    }
}

fn copy(path: &Path) -> io::Result<File> {
    let mut copy = tempfile::tempfile()?;
    io::copy(&mut File::open(path)?, &mut copy)?;
    Ok(copy)
}

/// Why the list cannot be read, for a person.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    let message = format!("run.keys_from: {} cannot be read: {error}", path.display());
    Failure::usage(Side::Settings, message, "Name a file with one key a line.")
}
