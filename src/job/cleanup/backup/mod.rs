//! The backup of a cleanup: each key is in the file, and the file on disk, before the key goes.

mod held;
mod opening;
mod others;
mod reading;

pub(super) use others::unfinished_others;

use crate::backup::{self, Entry, Logical, Part, Sealed, Writer};
use crate::model::{BackupExtent, CleanupBackup, Exit, Failure, RedisKey, RedisType};
use crate::source::redis::{Candidate, Content, RedisSource, UnlinkOutcome};
use futures::future::BoxFuture;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

/// Bytes of values that are read at once.
const READ: usize = 16 << 20;

/// Keys that stay, or are gone, as of an attempt to delete them.
pub(super) type Stayed = Vec<(RedisKey, UnlinkOutcome)>;

/// What became of keys that were to be written.
#[derive(Default)]
pub(super) struct Saved {
    /// Those that are on disk as they were compared: they may go.
    pub(super) on_disk: Vec<Candidate>,
    /// Those that are not as they were compared any more.
    pub(super) stayed: Stayed,
    /// Those that cannot be kept, each with why.
    pub(super) unreadable: Vec<(RedisKey, String)>,
    /// How far the file is on disk, with all of them.
    pub(super) extent: Option<BackupExtent>,
}

/// The file. Cheap to clone.
#[derive(Clone)]
pub(super) struct Backup {
    path: PathBuf,
    /// `None` once it is finished, or has failed.
    writer: Arc<Mutex<Option<Writer>>>,
    sources: Arc<BTreeMap<u8, RedisSource>>,
    /// Whether it goes on with the file of a cleanup that broke off.
    resumed: bool,
}

impl Backup {
    fn of(path: &Path, writer: Writer, sources: BTreeMap<u8, RedisSource>) -> Self {
        let writer = Arc::new(Mutex::new(Some(writer)));
        Self { path: path.to_owned(), writer, sources: Arc::new(sources), resumed: false }
    }

    /// Writes keys of a database, and waits until they are on disk.
    ///
    /// # Errors
    /// The file cannot be written; Redis is gone.
    pub(super) async fn save(&self, database: u8, candidates: Vec<Candidate>) -> Result<Saved, Failure> {
        self.save_all(database, candidates).await.map_err(|failure| self.is_needed(failure))
    }

    async fn save_all(&self, database: u8, candidates: Vec<Candidate>) -> Result<Saved, Failure> {
        let (plain, others): (Vec<_>, Vec<_>) = candidates.into_iter().partition(is_plain);
        let entries: Vec<Entry> = plain.iter().filter_map(|candidate| plain_entry(database, candidate)).collect();
        self.append(entries).await?;
        let mut saved = Saved { on_disk: plain, ..Saved::default() };
        if !others.is_empty() {
            let source = self.sources.get(&database);
            let source = source.ok_or_else(|| Failure::internal("keys of a database that was not opened"))?;
            self.save_read(source, others, &mut saved).await?;
        }
        saved.extent = Some(self.with(Writer::sync).await?);
        Ok(saved)
    }

    /// The same, boxed: what goes on within is large, and would be part of every task that deletes.
    pub(super) fn saving(&self, database: u8, candidates: Vec<Candidate>) -> BoxFuture<'_, Result<Saved, Failure>> {
        Box::pin(self.save(database, candidates))
    }

    async fn append(&self, entries: Vec<Entry>) -> Result<(), Failure> {
        if entries.is_empty() {
            return Ok(());
        }
        let blocks = spawn_blocking(move || backup::encode(&entries)).await.map_err(broke_off)??;
        self.with(move |writer| blocks.iter().try_for_each(|block| writer.append(block))).await
    }

    /// Does something that blocks on the disk.
    async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Writer) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let mut writer = self.writer.clone().lock_owned().await;
        let done = spawn_blocking(move || match writer.as_mut() {
            Some(writer) => work(writer),
            None => Err(over()),
        });
        done.await.map_err(broke_off)?
    }

    /// The id of the file; empty once it is over.
    pub(super) async fn file_id(&self) -> String {
        self.writer.lock().await.as_ref().map(Writer::file_id).unwrap_or_default()
    }

    /// Ends the file, but for its name.
    ///
    /// # Errors
    /// It cannot be: what was written stays under its temporary name.
    pub(super) async fn seal(&self) -> Result<Sealed, Failure> {
        let writer = self.writer.lock().await.take().ok_or_else(over)?;
        let sealed = spawn_blocking(move || writer.seal()).await.map_err(broke_off)?;
        sealed.map_err(|failure| self.is_needed(failure))
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// It cannot be: what was written stays under its temporary name.
    pub(super) async fn publish(&self, sealed: Sealed) -> Result<CleanupBackup, Failure> {
        let published = spawn_blocking(move || sealed.publish()).await.map_err(broke_off)?;
        let keys = published.map_err(|failure| self.is_needed(failure))?;
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

    /// Whether the file has its name.
    pub(super) fn is_named(&self) -> bool {
        self.path.exists() && !backup::partial_of(&self.path).exists()
    }

    /// A failure of the file. What it holds may be gone from Redis: nobody is told to remove it.
    fn is_needed(&self, failure: Failure) -> Failure {
        if failure.exit != Exit::Usage {
            return failure;
        }
        if self.is_named() {
            let hint =
                "The backup is whole and has its name; whether that is on the disk is not known. Look after the disk.";
            return Failure { hint: hint.to_owned(), ..failure };
        }
        let partial = backup::partial_of(&self.path).display().to_string();
        let hint = format!(
            "Make room, or move away what is in its place: the same command goes on with {partial}. Do not remove that: it holds the \
             keys that are deleted from Redis."
        );
        Failure { hint, ..failure }
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

    /// What is told of a file that could not be ended. One that has its name is whole all the same.
    pub(super) fn unfinished(&self, keys: i64) -> CleanupBackup {
        let complete = self.is_named();
        let path = if complete { self.path.clone() } else { backup::partial_of(&self.path) };
        CleanupBackup { path: path.display().to_string(), keys, complete }
    }
}

fn over() -> Failure {
    Failure::internal("a backup was written to after its end")
}

/// Whether the bytes that were compared are all there is to keep.
fn is_plain(candidate: &Candidate) -> bool {
    candidate.redis_type == RedisType::String
        && candidate.expires_at.is_some()
        && matches!(candidate.content, Content::Exact(_))
}

fn plain_entry(database: u8, candidate: &Candidate) -> Option<Entry> {
    let Content::Exact(bytes) = &candidate.content else { return None };
    Some(Entry {
        database,
        key: candidate.key.clone(),
        type_name: Cow::Borrowed(RedisType::String.name()),
        expires_at: candidate.expires_at.flatten(),
        part: Part::WHOLE,
        dump: None,
        logical: Some(Logical::Bytes(bytes.clone())),
    })
}

fn broke_off(error: tokio::task::JoinError) -> Failure {
    Failure::internal(format!("the writing of the backup broke off: {error}"))
}

#[cfg(test)]
mod tests {
    use super::Backup;
    use crate::backup::{Header, Place, Writer};
    use crate::model::{RedisKey, RedisType};
    use crate::source::redis::{Candidate, Content};
    use bytes::Bytes;
    use std::collections::BTreeMap;
    use std::io;
    use std::path::Path;
    use std::sync::{Arc, Mutex};

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
            let saved = backup.save(0, vec![candidate("a"), candidate("b")]).await.unwrap();
            assert_eq!((saved.on_disk.len(), saved.stayed.len()), (2, 0));
            let extent = backup.with(|writer| Ok(writer.bytes())).await.unwrap();
            assert_eq!(saved.extent.map(|extent| extent.bytes), Some(extent), "what is told to be on disk");
            let done = log.0.lock().unwrap().clone();
            assert_eq!((done.first(), done.last()), (Some(&"write"), Some(&"sync")), "{done:?}");
        }
    }
}
