//! The file of keys of `run.keys_from`, which each phase reads from its beginning.
//!
//! A pipe can be read once only: it is copied first, into a temporary file without a name.

use crate::flow::Stop;
use crate::model::{Exit, Failure, RedisKey, Side};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};
use tokio::sync::oneshot;

/// The keys that somebody listed.
pub(super) struct KeyList {
    place: Place,
    ends: LineEnds,
}

/// Where the keys are.
enum Place {
    File(PathBuf),
    Copy(File),
}

/// How many lines end in which way. A last line without a line break is not among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct LineEnds {
    /// In a carriage return and a line feed.
    crlf: u64,
    /// In a line feed alone.
    lf: u64,
}

impl LineEnds {
    /// Whether the lines are those of Windows: then the carriage return belongs to the line's end, else to the key.
    fn windows(self) -> bool {
        self.crlf > 0 && self.lf == 0
    }
}

/// A list of keys while it is read.
pub(super) struct KeyLines {
    lines: Box<dyn BufRead + Send>,
    windows: bool,
    line: Vec<u8>,
}

impl KeyList {
    /// Looks at the path; copies what is no plain file. Ends early at a stop, however long the other end of a pipe waits.
    ///
    /// # Errors
    /// What cannot be read; a stop.
    pub(super) async fn open(path: &Path, stop: &Stop) -> Result<Self, Failure> {
        let facts = std::fs::metadata(path).map_err(|error| unreadable(path, &error))?;
        let (done, looked) = oneshot::channel();
        let from = path.to_owned();
        // A thread of its own: opening a pipe waits for its other end, and nothing can end that wait but the process's end.
        std::thread::spawn(move || done.send(if facts.is_file() { look(from) } else { copy(&from) }));
        tokio::select! {
            looked = looked => match looked {
                Ok(looked) => looked.map_err(|trouble| trouble.said(path)),
                Err(_) => Err(Failure::internal("reading run.keys_from broke off")),
            },
            () = stop.wait_drain() => Err(Failure::new(
                Exit::Stopped,
                Side::Settings,
                format!("stopped while reading run.keys_from from {}", path.display()),
                "Nothing was written.",
            )),
        }
    }

    /// What a person should know of the carriage returns in it.
    pub(super) fn notice(&self) -> Option<String> {
        let LineEnds { crlf, lf } = self.ends;
        match (crlf, lf) {
            (0, _) => None,
            (_, 0) => {
                Some("run.keys_from: every line ends in CR LF, as on Windows: the CR is not part of a key".into())
            }
            _ => Some(format!(
                "run.keys_from: {crlf} of {} lines end in CR LF, and the CR is part of their keys, since the others have none",
                crlf + lf
            )),
        }
    }

    /// The keys from the first one on.
    ///
    /// # Errors
    /// What cannot be read.
    pub(super) fn lines(&self) -> Result<KeyLines, Failure> {
        let file = match &self.place {
            Place::File(path) => File::open(path).map_err(|error| unreadable(path, &error))?,
            Place::Copy(copy) => {
                let again = copy.try_clone().and_then(|mut copy| copy.rewind().map(|()| copy));
                again.map_err(|error| CopyTrouble::Disk(error).said(Path::new("a pipe")))?
            }
        };
        Ok(KeyLines { lines: Box::new(BufReader::new(file)), windows: self.ends.windows(), line: Vec::new() })
    }
}

impl KeyLines {
    /// The next keys, at most so many; none after the last. Empty lines are passed over.
    ///
    /// # Errors
    /// What cannot be read.
    pub(super) fn next_page(&mut self, most: usize) -> Result<Option<Vec<RedisKey>>, Failure> {
        let mut keys = Vec::new();
        while keys.len() < most {
            self.line.clear();
            let read = self.lines.read_until(b'\n', &mut self.line).map_err(|error| {
                Failure::usage(Side::Settings, format!("run.keys_from: cannot be read: {error}"), "Check the file.")
            })?;
            if read == 0 {
                break;
            }
            let whole = self.line.strip_suffix(b"\r\n").filter(|_| self.windows);
            let key = whole.or(self.line.strip_suffix(b"\n")).unwrap_or(&self.line);
            if !key.is_empty() {
                keys.push(RedisKey::new(key.to_vec()));
            }
        }
        Ok((!keys.is_empty()).then_some(keys))
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

fn look(path: PathBuf) -> Result<KeyList, CopyTrouble> {
    let file = File::open(&path).map_err(CopyTrouble::List)?;
    let ends = line_ends(BufReader::with_capacity(64 * 1024, file)).map_err(CopyTrouble::List)?;
    Ok(KeyList { place: Place::File(path), ends })
}

/// How the lines end.
fn line_ends(mut from: impl BufRead) -> io::Result<LineEnds> {
    let (mut ends, mut last) = (LineEnds::default(), 0);
    loop {
        let chunk = match from.fill_buf() {
            Ok([]) => return Ok(ends),
            Ok(chunk) => chunk,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        for at in memchr::memchr_iter(b'\n', chunk) {
            // The byte before may be the last one of the chunk before.
            let before = at.checked_sub(1).and_then(|before| chunk.get(before)).unwrap_or(&last);
            match before {
                b'\r' => ends.crlf += 1,
                _ => ends.lf += 1,
            }
        }
        last = chunk.last().copied().unwrap_or(last);
        let count = chunk.len();
        from.consume(count);
    }
}

fn copy(path: &Path) -> Result<KeyList, CopyTrouble> {
    // Before the list is opened: a pipe waits for its other end.
    let mut copy = tempfile::tempfile().map_err(CopyTrouble::Disk)?;
    copy_all(File::open(path).map_err(CopyTrouble::List)?, &mut copy)?;
    copy.rewind().map_err(CopyTrouble::Disk)?;
    let ends = line_ends(BufReader::with_capacity(64 * 1024, &copy)).map_err(CopyTrouble::Disk)?;
    Ok(KeyList { place: Place::Copy(copy), ends })
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
    use super::{CopyTrouble, KeyLines, LineEnds, copy_all, line_ends};
    use std::io::{self, BufReader, Cursor, Read};
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
    fn a_carriage_return_ends_a_line_only_where_it_ends_all() {
        let keys = |text: &'static str| {
            let ends = line_ends(BufReader::with_capacity(3, text.as_bytes())).unwrap();
            let lines = Box::new(Cursor::new(text));
            let mut lines = KeyLines { lines, windows: ends.windows(), line: Vec::new() };
            let mut all = Vec::new();
            while let Some(page) = lines.next_page(2).unwrap() {
                all.extend(page.iter().map(|key| String::from_utf8(key.as_bytes().to_vec()).unwrap()));
            }
            (ends, all)
        };
        assert_eq!(
            keys("a\r\nbc\r\n\r\nd"),
            (LineEnds { crlf: 3, lf: 0 }, ["a", "bc", "d"].map(String::from).to_vec())
        );
        assert_eq!(
            keys("a\r\nb\nc\r\n"),
            (LineEnds { crlf: 2, lf: 1 }, ["a\r", "b", "c\r"].map(String::from).to_vec())
        );
        assert_eq!(
            keys("a\n\nb\rc\nd\r"),
            (LineEnds { crlf: 0, lf: 3 }, ["a", "b\rc", "d\r"].map(String::from).to_vec())
        );
        assert_eq!(keys(""), (LineEnds::default(), Vec::new()));
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
