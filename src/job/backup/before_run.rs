//! The backup that a run makes before its first write.

use super::header;
use super::take::Taking;
use crate::backup::remove_broken_off;
use crate::config::Settings;
use crate::flow::Stop;
use crate::job::databases::Opened;
use crate::job::key_list::KeyList;
use crate::model::{Event, EventSender, Exit, Failure, Side};
use crate::source::redis::RedisSource;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

/// Backs up the databases that a run reads into the directory that the settings name, where they name one: all keys that match
/// `run.keys`, or those of `run.keys_from`. A run that is resumed and has its backup makes no other. Gives false where a stop
/// was asked for.
///
/// # Errors
/// The backup cannot be made; the run must not begin.
pub(in crate::job) async fn before_run(
    settings: &Settings,
    redis: &RedisSource,
    databases: &[Opened],
    run: Uuid,
    (stop, events): (&Stop, &EventSender),
) -> Result<bool, Failure> {
    let Some(dir) = &settings.run.backup else { return Ok(true) };
    let file = file_in(dir, run);
    if file.exists() {
        tell(events, format!("the backup of this run is there already: {}", file.display())).await;
        return Ok(true);
    }
    make(dir, sync).map_err(|error| no_directory(dir, &error))?;
    // The run wrote nothing and took nothing out of Redis: a new one is made of what is there.
    if remove_broken_off(&file)? {
        tell(events, format!("an earlier attempt at {} broke off: it is made anew", file.display())).await;
    }
    tell(events, format!("backing up Redis before the first write: {}", file.display())).await;
    let keys = match &settings.run.keys_from {
        Some(path) => Some(Arc::new(KeyList::open(path, stop).await?)),
        None => None,
    };
    let sources: Vec<RedisSource> = databases.iter().map(|opened| opened.source.clone()).collect();
    let (header, untold) = header(redis, "run", &sources.iter().collect::<Vec<_>>(), settings).await?;
    for notice in untold {
        tell(events, notice).await;
    }
    let taking = Taking::new(settings, stop.clone(), sources, keys);
    let complete = taking.take(&file, &header).await.map_err(|failure| {
        let hint = format!("The run has not begun, since its backup (run.backup) failed. {}", failure.hint);
        Failure { hint: hint.trim_end().to_owned(), ..failure }
    })?;
    let account = taking.account();
    if !complete {
        tell(events, format!("the backup did not come to its end; what was written is in {}.partial", file.display()))
            .await;
    }
    if complete {
        let (kept, left_out) = (account.kept(), account.left_out());
        tell(events, format!("backed up {kept} keys ({} bytes): {}", account.file_bytes, file.display())).await;
        if left_out > 0 {
            let some: Vec<String> = account.samples.iter().take(3).map(|one| one.key.to_string()).collect();
            tell(events, format!("{left_out} keys are not in the backup, such as {}", some.join(", "))).await;
        }
    }
    Ok(complete)
}

/// Makes a directory, and those above it that are missing. `sync` waits until a directory is on disk, here those with the new names: a
/// backup is lost with the name of its directory.
fn make(dir: &Path, mut sync: impl FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    let is_missing = |dir: &&Path| !dir.as_os_str().is_empty() && dir.symlink_metadata().is_err();
    let missing: Vec<&Path> = dir.ancestors().take_while(is_missing).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    // From above: none is on disk without those that it is in.
    missing.iter().rev().try_for_each(|dir| sync(above(dir)))
}

/// The directory that has a directory's name.
fn above(dir: &Path) -> &Path {
    dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn sync(dir: &Path) -> io::Result<()> {
    match File::open(dir) {
        Ok(dir) => dir.sync_all(),
        // One may be made in it all the same.
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        Err(error) => Err(error),
    }
}

/// The file of a run's backup.
fn file_in(dir: &Path, run: Uuid) -> PathBuf {
    dir.join(format!("redis2pg-{run}.backup"))
}

async fn tell(events: &EventSender, text: String) {
    let _ = events.send(Event::Notice(text)).await;
}

fn no_directory(dir: &Path, error: &io::Error) -> Failure {
    let message = format!("run.backup: the directory {} cannot be made: {error}", dir.display());
    Failure::new(Exit::Usage, Side::Settings, message, "Name a directory that can be written.")
}

#[cfg(test)]
mod tests {
    use super::make;
    use std::io;
    use std::path::{Path, PathBuf};

    #[test]
    fn the_name_of_each_directory_that_is_made_is_brought_to_disk() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let made = |dir: &Path| {
            let mut synced: Vec<PathBuf> = Vec::new();
            let sync = |above: &Path| {
                assert!(dir.is_dir() && above.is_dir(), "{}", above.display());
                synced.push(above.to_owned());
                Ok(())
            };
            make(dir, sync).unwrap();
            synced
        };
        assert_eq!(made(&root.join("a/b/c")), [root.to_owned(), root.join("a"), root.join("a/b")]);
        assert_eq!(made(&root.join("a/b/d")), [root.join("a/b")]);
        assert_eq!(made(&root.join("a/b")), Vec::<PathBuf>::new());
        let failed = make(&root.join("e"), |_| Err(io::ErrorKind::StorageFull.into()));
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::StorageFull);
    }
}
