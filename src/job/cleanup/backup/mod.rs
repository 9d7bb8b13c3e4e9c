//! The backup of a cleanup: each key is in the file, and the file on disk, before the key goes.

mod held;
mod opening;
mod others;
mod reading;
mod rights;
mod saving;
mod standing;

pub(super) use others::unfinished_others;
pub(super) use rights::may_save;

use crate::backup::{Sealed, Writer};
use crate::model::{CleanupBackup, Failure};
use crate::source::redis::RedisSource;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

/// The file. Cheap to clone.
#[derive(Clone)]
pub(super) struct Backup {
    path: PathBuf,
    /// The id of the file.
    id: Arc<str>,
    /// `None` once it is finished, or has failed.
    writer: Arc<Mutex<Option<Writer>>>,
    /// Where keys are read once more. By connections for large values of their own: those of the comparison are held until what it
    /// reads is taken, and what is to be deleted waits for the backup by then.
    sources: Arc<BTreeMap<u8, RedisSource>>,
    /// Whether it goes on with the file of a cleanup that broke off.
    resumed: bool,
    /// Whether it was tried to give the file its name: what has it before that is something else, such as the file itself, renamed by hand.
    published: Arc<AtomicBool>,
}

impl Backup {
    fn of(path: &Path, writer: Writer, sources: BTreeMap<u8, RedisSource>) -> Self {
        let (id, writer) = (writer.file_id().into(), Arc::new(Mutex::new(Some(writer))));
        let sources = sources.into_iter().map(|(number, source)| (number, source.with_own_reader())).collect();
        Self {
            path: path.to_owned(),
            id,
            writer,
            sources: Arc::new(sources),
            resumed: false,
            published: Arc::default(),
        }
    }

    /// Whether small values are read many at a time, of all types.
    pub(super) fn reads_pages(&self) -> bool {
        self.sources.values().all(RedisSource::reads_pages)
    }

    /// Closes the connections of its own. Nothing is read any more.
    pub(super) async fn hang_up(&self) {
        for source in self.sources.values() {
            source.close_reader().await;
        }
    }

    /// The id of the file, in hexadecimal.
    pub(super) fn file_id(&self) -> &str {
        &self.id
    }

    /// Ends the file, but for its name.
    ///
    /// # Errors
    /// It cannot be: what was written stays under its temporary name.
    pub(super) async fn seal(&self) -> Result<Sealed, Failure> {
        let writer = self.writer.lock().await.take().ok_or_else(over)?;
        let sealed = spawn_blocking(move || writer.seal()).await.map_err(broke_off)?;
        sealed.map_err(|failure| self.advised(failure))
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// It cannot be: what was written stays under its temporary name.
    pub(super) async fn publish(&self, sealed: Sealed) -> Result<CleanupBackup, Failure> {
        self.published.store(true, Ordering::Relaxed);
        let published = spawn_blocking(move || sealed.publish()).await.map_err(broke_off)?;
        let keys = published.map_err(|failure| self.advised(failure))?;
        let keys = i64::try_from(keys.total()).unwrap_or(i64::MAX);
        Ok(CleanupBackup { path: self.path.display().to_string(), keys, complete: true })
    }

    /// Leaves the file under its temporary name, for the same command to go on with: all keys that may be gone were on disk before
    /// they went. One without a key is removed, and `None` then.
    pub(super) async fn leave(&self) -> Option<CleanupBackup> {
        let writer = self.writer.lock().await.take();
        let keys = writer.as_ref().map_or(0, |writer| writer.keys().total());
        if let Some(writer) = writer.filter(|_| keys == 0 && !self.resumed)
            && matches!(spawn_blocking(move || writer.discard()).await, Ok(Ok(())))
        {
            return None;
        }
        Some(self.unfinished(i64::try_from(keys).unwrap_or(i64::MAX)))
    }

    /// Whether it goes on with the file of a cleanup that broke off.
    pub(super) fn is_resumed(&self) -> bool {
        self.resumed
    }

    /// Takes back a file of which nothing came.
    pub(super) async fn abandon(&self) {
        let writer = self.writer.lock().await.take();
        if let Some(writer) = writer.filter(|_| !self.resumed) {
            let _ = spawn_blocking(move || writer.discard()).await;
        }
    }
}

fn over() -> Failure {
    Failure::internal("a backup was written to after its end")
}

fn broke_off(error: tokio::task::JoinError) -> Failure {
    Failure::internal(format!("the writing of the backup broke off: {error}"))
}

#[cfg(test)]
mod tests {
    use super::Backup;
    use crate::backup::{Header, Place, Writer};
    use crate::flow::{Level, Stop};
    use crate::model::{RedisKey, RedisType};
    use crate::source::redis::{Candidate, Content};
    use bytes::Bytes;
    use std::collections::BTreeMap;
    use std::io;
    use std::path::Path;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    /// What was done to a file, in order.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<&'static str>>>);

    impl Log {
        fn note(&self, what: &'static str) -> io::Result<()> {
            self.0.lock().unwrap().push(what);
            Ok(())
        }
    }

    impl Place for Log {
        fn write(&mut self, _: &[u8]) -> io::Result<()> {
            self.note("write")
        }

        fn sync(&mut self) -> io::Result<()> {
            self.note("sync")
        }

        fn truncate(&mut self, _: u64) -> io::Result<()> {
            self.note("truncate")
        }

        fn discard(&mut self) -> io::Result<()> {
            self.note("discard")
        }

        fn publish(&mut self) -> io::Result<()> {
            self.note("publish")
        }
    }

    fn candidate(key: &'static str) -> Candidate {
        Candidate {
            key: RedisKey::new(key),
            redis_type: RedisType::String,
            expires_at: Some(None),
            content: Content::Exact(Bytes::from_static(b"v")),
        }
    }

    /// Whoever gets the keys back may delete them: by then nothing of them is anywhere but on disk.
    #[tokio::test]
    async fn keys_that_may_go_were_written_and_then_flushed() {
        let log = Log::default();
        let writer = Writer::begin(Box::new(log.clone()), Path::new("/b"), &Header::default()).unwrap();
        let backup = Backup::of(Path::new("/b"), writer, BTreeMap::new());
        for _ in 0..2 {
            log.0.lock().unwrap().clear();
            let saved = backup.save((0, vec![candidate("a"), candidate("b")]), &Stop::new()).await.unwrap().unwrap();
            assert_eq!((saved.on_disk.len(), saved.stayed.len()), (2, 0));
            let extent = backup.with(&Stop::new(), |writer| Ok(writer.bytes())).await.unwrap();
            assert_eq!(saved.extent.map(|extent| extent.bytes), Some(extent), "what is told to be on disk");
            let done = log.0.lock().unwrap().clone();
            assert_eq!((done.first(), done.last()), (Some(&"write"), Some(&"sync")), "{done:?}");
        }
    }

    /// Whoever holds the file may be writing a key for an hour.
    #[tokio::test]
    async fn a_cut_ends_the_waiting_for_the_file() {
        let writer = Writer::begin(Box::new(Log::default()), Path::new("/b"), &Header::default()).unwrap();
        let (backup, stop) = (Backup::of(Path::new("/b"), writer, BTreeMap::new()), Stop::new());
        let _held = backup.writer.clone().lock_owned().await;
        let saving = backup.save((0, vec![candidate("a")]), &stop);
        let cut = async {
            stop.raise(Level::Drain);
            tokio::task::yield_now().await;
            stop.raise(Level::Cut);
        };
        let ended = async { tokio::join!(saving, cut).0 };
        let saved = tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
        assert!(saved.unwrap().is_none());
    }
}
