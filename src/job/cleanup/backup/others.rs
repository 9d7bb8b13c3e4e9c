//! Backups of earlier cleanups that did not come to their end: what they hold is in no other. Each is told as long as it is there, and where
//! it is not there any more once.

use super::broke_off;
use crate::backup;
use crate::ledger::CleanupFile;
use crate::model::Failure;
use std::io;
use std::path::Path;
use tokio::task::spawn_blocking;

/// Backups of others that are told one by one.
const TOLD: usize = 3;

/// What is said of other backups.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in super::super) struct Others {
    pub(in super::super) notes: Vec<String>,
    /// The ids of those among them that are not there any more: once that has been said they are not waited for.
    pub(in super::super) missed: Vec<String>,
}

/// Looks for backups of this Redis, beside the one with this id, that are not at their end. What is in them is not in that one.
///
/// # Errors
/// None but those of this program.
pub(in super::super) async fn unfinished_others(known: Vec<CleanupFile>, id: String) -> Result<Others, Failure> {
    spawn_blocking(move || look(&known, &id)).await.map_err(broke_off)
}

fn look(known: &[CleanupFile], id: &str) -> Others {
    let others = known.iter().filter(|file| file.id != id);
    let unfinished: Vec<(&CleanupFile, State)> = others.filter_map(|file| Some((file, State::of(file)?))).collect();
    let mut found = Others::default();
    for (file, state) in unfinished.iter().take(TOLD) {
        found.notes.push(state.said(file));
        if *state == State::Missed {
            found.missed.push(file.id.clone());
        }
    }
    let more = unfinished.get(TOLD..).unwrap_or_default();
    if !more.is_empty() {
        let keys: i64 = more.iter().map(|(file, _)| file.keys).sum();
        found.notes.push(format!(
            "{} more backups of earlier cleanups are not at their end: the entries of {keys} keys are in those, and not in this",
            more.len()
        ));
    }
    found
}

/// What became of a backup that is not at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// It is where it was, or another file is.
    Unfinished,
    /// It has its end mark, and not its name.
    Unnamed,
    /// There is nothing where it was.
    Missed,
}

impl State {
    /// `None`: it has its name, or nobody waits for it any more.
    fn of(file: &CleanupFile) -> Option<Self> {
        let path = Path::new(&file.path);
        let is_there = || backup::broken_off_id(path).is_some_and(|id| id == file.id);
        if file.is_whole || file.is_forgone {
            let state = if file.is_whole { Self::Unnamed } else { Self::Unfinished };
            return is_there().then_some(state);
        }
        let is_gone = match backup::partial_of(path).symlink_metadata() {
            Ok(_) => false,
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        };
        Some(if is_gone { Self::Missed } else { Self::Unfinished })
    }

    fn said(self, file: &CleanupFile) -> String {
        let (name, keys) = (backup::partial_of(Path::new(&file.path)), file.keys);
        let (name, lacks) = (name.display(), format!("the entries of {keys} keys are in that one, and not in this"));
        let command = format!("`redis2pg cleanup --run {} --backup {}`", file.run, file.path);
        match self {
            Self::Unfinished => format!(
                "{name} is a backup of an earlier cleanup that is not at its end: {lacks}. {command}, with the other \
                 settings as they were, ends it; who moves it away is told of that once"
            ),
            Self::Unnamed => format!(
                "{name} is a backup of an earlier cleanup that has not got its name: {lacks}. {command}, with the other \
                 settings as they were, gives it that"
            ),
            Self::Missed => format!(
                "{name} is not there any more on this machine, a backup of an earlier cleanup that was not at its end: {lacks}. A cleanup \
                 that comes to its end says so for the last time"
            ),
        }
    }
}
