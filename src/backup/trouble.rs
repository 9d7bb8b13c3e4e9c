//! What is told where a backup cannot be written.

use super::place::is_written;
use crate::model::{Exit, Failure, Side};
use std::io;
use std::path::Path;

pub(super) fn usage(message: String, hint: &str) -> Failure {
    Failure::new(Exit::Usage, Side::Settings, message, hint)
}

pub(super) fn exists(path: &Path) -> Failure {
    let message = format!("{} is there already, and a backup never overwrites a file", path.display());
    usage(message, if path.is_file() { "Give another name, or move it away." } else { "Give the name of a file." })
}

pub(super) fn partial_exists(partial: &Path) -> Failure {
    if is_written(partial) {
        return being_written(partial);
    }
    let name = partial.display();
    let message = format!("{name} is there: it is what a backup left that broke off");
    usage(message, &format!("To make the backup anew, remove that file, or give another name. {}", salvaged(partial)))
}

pub(super) fn being_written(partial: &Path) -> Failure {
    usage(
        format!("{} is being written by another process", partial.display()),
        "Wait for its end, or give another name.",
    )
}

/// What to do with a file that broke off.
fn salvaged(partial: &Path) -> String {
    format!(
        "The keys that are whole in it can be put back: redis2pg restore --salvage --file {} --to URL",
        partial.display()
    )
}

pub(super) fn unwritable(partial: &Path, error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::NotFound {
        return usage(
            format!(
                "{} was removed while it was written, or another file is in its place: nothing is left of this backup under that name",
                partial.display()
            ),
            "Run the same command again, where nobody removes the file.",
        );
    }
    let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let room = if full { "The disk is full: make room, or write the backup elsewhere. " } else { "" };
    usage(
        format!("the backup {} cannot be written: {error}", partial.display()),
        &format!("{room}Remove that file before another attempt. {}", salvaged(partial)),
    )
}

/// That not even the header of a file could be written, which is removed.
pub(super) fn begun_in_vain(failure: Failure) -> Failure {
    let hint = "Nothing is left of it. Make room, or look after the disk, and run the same command again; or give another name.";
    Failure { hint: hint.to_owned(), ..failure }
}
