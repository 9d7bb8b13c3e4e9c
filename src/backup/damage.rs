//! Why a file cannot be read, and where that is.

use crate::model::{Exit, Failure, Side};
use std::fmt;
use std::io;
use std::path::Path;

/// What is wrong with a file, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The byte at which the piece begins that is wrong.
    pub offset: u64,
    /// What is wrong.
    pub fault: Fault,
}

/// What is wrong with a piece of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The file does not begin as a backup does.
    NotABackup,
    /// There is nothing in the file.
    Empty,
    /// It is of a version of the format that is not known here.
    UnknownFormat(u32),
    /// The file ends at this byte, within a piece.
    Cut(u64),
    /// The file ends without its end mark: the backup was not finished.
    NotFinished,
    /// No piece begins here.
    NoFrame,
    /// The checksum of a piece is not that of its bytes.
    Checksum,
    /// Pieces are missing before this one, or it is of another file.
    Sequence,
    /// Parts of a key are missing.
    Parts,
    /// The checksum is right, and yet the content is none.
    Content(&'static str),
    /// There are not as many keys as the end mark says.
    Counts,
    /// There is something behind the end mark.
    Trailing,
    /// Pieces that are wrong lie one over the other, as no damage leaves them: nothing behind this one was read.
    Overlapping,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotABackup => f.write_str("it is no backup of redis2pg"),
            Self::Empty => f.write_str("it is empty"),
            Self::UnknownFormat(format) => write!(f, "the format's version {format} is not known to this redis2pg"),
            Self::Cut(end) => write!(f, "the file ends at byte {end}, before this piece does"),
            Self::NotFinished => {
                f.write_str("the end mark is missing: the backup was not finished, or the file was cut")
            }
            Self::NoFrame => f.write_str("no piece of a backup begins here"),
            Self::Checksum => f.write_str("the checksum does not fit the bytes"),
            Self::Sequence => f.write_str("pieces are missing before this one, or it is of another file"),
            Self::Parts => f.write_str("parts of a key are missing"),
            Self::Content(what) => f.write_str(what),
            Self::Counts => f.write_str("there are not as many keys as the end mark says"),
            Self::Trailing => f.write_str("there is something behind the end mark"),
            Self::Overlapping => f.write_str(
                "pieces that are wrong lie one over the other, as no damage leaves them: what follows is given up",
            ),
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at byte {}: {}", self.offset, self.fault)
    }
}

/// Why reading a file ended.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is damaged.
    #[error("{0}")]
    Damaged(Damage),
}

/// What to do where a file is none that can be read.
const WHICH: &str =
    "Name a file that `redis2pg backup`, `run --backup` or `cleanup --backup` wrote: of one that broke off, F.partial.";

impl ReadError {
    pub(super) fn at(offset: u64, fault: Fault) -> Self {
        Self::Damaged(Damage { offset, fault })
    }

    /// What a user is told, with the file's name.
    pub fn failure(&self, path: &Path) -> Failure {
        let usage = |message, hint| Failure::new(Exit::Usage, Side::Settings, message, hint);
        let path = path.display();
        match self {
            Self::Io(error) => usage(format!("the backup {path} cannot be read: {error}"), WHICH),
            Self::Damaged(damage @ Damage { fault: Fault::NotABackup, .. }) => {
                usage(format!("{path} is no backup of redis2pg (byte {})", damage.offset), WHICH)
            }
            Self::Damaged(Damage { fault: Fault::Empty, .. }) => {
                usage(format!("{path} is no backup of redis2pg: it is empty (byte 0)"), WHICH)
            }
            Self::Damaged(damage @ Damage { fault: Fault::UnknownFormat(_), .. }) => usage(
                format!("the backup {path}: {}", damage.fault),
                "Use the version of redis2pg that wrote it, or a newer one.",
            ),
            Self::Damaged(damage) => usage(
                format!("the backup {path} is damaged {damage}"),
                "`redis2pg restore --salvage` puts back what is whole in it.",
            ),
        }
    }
}
