//! Under which name the file is, and what to do about one that could not be written or ended. What it holds may be gone from Redis: nobody
//! is told to remove it.

use super::Backup;
use crate::backup::{self, broken_off_id};
use crate::model::{CleanupBackup, Exit, Failure, Side};
use std::fs::File;
use std::path::Path;
use std::sync::atomic::Ordering;

/// Where the file is.
enum Standing {
    /// It has its name.
    Named,
    /// It has its temporary name.
    Begun,
    /// It has neither: somebody removed it, moved it away, or put another one in its place.
    Gone,
}

impl Backup {
    fn standing(&self) -> Standing {
        let partial = backup::partial_of(&self.path);
        // What had the name before it was tried to give it to this one is something else, such as the file itself, renamed by hand.
        if self.published.load(Ordering::Relaxed) && self.path.exists() && !partial.exists() {
            return Standing::Named;
        }
        let is_its_own = broken_off_id(&self.path).is_some_and(|id| id == self.file_id());
        // What cannot be opened now, for the lack of file descriptors, say, is not gone.
        let is_unreadable = || partial.is_file() && File::open(&partial).is_err();
        if is_its_own || is_unreadable() { Standing::Begun } else { Standing::Gone }
    }

    /// Whether the file has its name.
    pub(in super::super) fn is_named(&self) -> bool {
        matches!(self.standing(), Standing::Named)
    }

    /// A failure of the file, with what to do about it.
    pub(super) fn advised(&self, failure: Failure) -> Failure {
        advised(failure, || match self.standing() {
            Standing::Begun => keep(&self.path),
            Standing::Gone => GONE.to_owned(),
            Standing::Named => NAMED.to_owned(),
        })
    }

    /// What is told of a file that could not be ended. One that has its name is whole all the same.
    pub(in super::super) fn unfinished(&self, keys: i64) -> CleanupBackup {
        let complete = self.is_named();
        let path = if complete { self.path.clone() } else { backup::partial_of(&self.path) };
        CleanupBackup { path: path.display().to_string(), keys, complete }
    }

    /// What is to be known of the file, as it is told at the end; `deleted`: how many keys went by it in this cleanup.
    pub(in super::super) fn note(&self, told: &CleanupBackup, deleted: i64) -> Option<String> {
        let CleanupBackup { path, keys, complete } = told;
        let others = if self.is_resumed() { ", and those that the ones before it deleted" } else { "" };
        let among = format!("{keys} keys, among them the {deleted} that this cleanup deleted from Redis{others}");
        match (complete, self.standing()) {
            (true, _) => self.is_resumed().then(|| {
                "the backup has what an interrupted cleanup wrote, too: a key that it wrote and did not delete is in it twice"
                    .to_owned()
            }),
            (false, Standing::Gone) => Some(format!(
                "the backup is not at its end, and its file is not at {path} any more: it was removed, moved away, or replaced. It holds \
                 {among}. Where it was moved, put it back under that name: the same command goes on with it; `redis2pg restore --salvage` \
                 reads it"
            )),
            (false, _) => Some(format!(
                "the backup is not at its end: {path} holds {among}. Do not remove it: the same command goes on with it, and gives it its \
                 name at the end; `redis2pg restore --salvage` reads it"
            )),
        }
    }
}

/// A failure with the advice, where it is one of the file. One of Redis, such as a right that is missing, says itself what to do.
pub(super) fn advised(failure: Failure, advice: impl FnOnce() -> String) -> Failure {
    match (failure.exit, failure.side) {
        (Exit::Usage, Side::Settings) => Failure { hint: advice(), ..failure },
        _ => failure,
    }
}

/// What to do where something is under the temporary name of the file at `path`.
pub(super) fn keep(path: &Path) -> String {
    format!(
        "Make room, or move away what is in its place: the same command goes on with {}. Do not remove that: it holds the keys \
         that are deleted from Redis.",
        backup::partial_of(path).display()
    )
}

/// What to do where it has its name.
const NAMED: &str =
    "The backup is whole and has its name; whether that is on the disk is not known. Look after the disk.";
/// What to do where the file is not there any more.
const GONE: &str = "The entries of the keys that went before are in that file: where it was moved, put it back under that name, and the same \
                    command goes on with it. Otherwise give another name, in a directory that nobody clears.";

#[cfg(test)]
mod tests {
    use crate::backup::{Header, Writer, partial_of};
    use crate::job::cleanup::backup::Backup;
    use crate::model::{Failure, Side};
    use std::collections::BTreeMap;

    #[test]
    fn what_to_do_about_the_file_is_said_of_the_file_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("b");
        let partial = partial_of(&path);
        let writer =
            || Writer::create(&path, &Header::new("cleanup", "redis://h:1/0", "2026-11-26T07:00:00Z")).unwrap();
        let backup = Backup::of(&path, writer(), BTreeMap::new());
        let hint = |side| backup.advised(Failure::usage(side, "no", "Grant it.")).hint;
        let note = || backup.note(&backup.unfinished(7), 5).unwrap();
        assert_eq!(hint(Side::Redis), "Grant it.");
        assert!(hint(Side::Settings).contains("Make room"));
        assert!(note().contains("holds 7 keys, among them the 5") && note().contains("Do not remove it"));
        let is_gone = || {
            assert!(hint(Side::Settings).contains("put it back under that name"));
            assert!(note().contains("is not at") && !note().contains("Do not remove"), "{}", note());
            assert!(!backup.unfinished(1).complete);
        };
        // Renamed by hand it has its name, and no end.
        std::fs::rename(&partial, &path).unwrap();
        is_gone();
        // Another one is in its place, such as that of another backup, or what holds nothing yet.
        for other in ["", "other"] {
            std::fs::write(&partial, other).unwrap();
            is_gone();
        }
        std::fs::remove_file(&partial).unwrap();
        std::fs::rename(&path, dir.path().join("moved")).unwrap();
        let _other = writer();
        is_gone();
    }
}
