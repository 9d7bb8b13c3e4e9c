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
use std::fs::DirBuilder;
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
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| no_directory(dir, &error))?;
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
