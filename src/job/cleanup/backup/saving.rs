//! Keys are written, and on disk, before they go. A cut ends each wait: for the file, which another batch may hold, and for Redis.

use super::{Backup, broke_off, over};
use crate::backup::{self, Entry, Logical, Part, Writer};
use crate::flow::Stop;
use crate::model::{BackupExtent, Failure, RedisKey, RedisType};
use crate::source::redis::{Candidate, Content, UnlinkOutcome};
use futures::future::BoxFuture;
use std::borrow::Cow;
use std::time::Duration;
use tokio::sync::OwnedMutexGuard;
use tokio::task::spawn_blocking;

/// Keys that stay, or are gone, as of an attempt to delete them.
pub(in super::super) type Stayed = Vec<(RedisKey, UnlinkOutcome)>;

/// What became of keys that were to be written.
#[derive(Default)]
pub(in super::super) struct Saved {
    /// Those that are on disk as they were compared: they may go.
    pub(in super::super) on_disk: Vec<Candidate>,
    /// Those that are not as they were compared any more.
    pub(in super::super) stayed: Stayed,
    /// Those that cannot be kept, each with why.
    pub(in super::super) unreadable: Vec<(RedisKey, String)>,
    /// How far the file is on disk, with all of them.
    pub(in super::super) extent: Option<BackupExtent>,
    /// How long large keys were written, each from its first part on, without any wait: for the file while another batch had it, or
    /// for a server that had to be reached once more.
    pub(in super::super) writing: Duration,
}

/// Why keys were not written.
#[derive(Debug)]
pub(super) enum Broken {
    /// What is in flight is given up. The file ends with a whole key.
    Cut,
    Failed(Failure),
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Backup {
    /// Writes keys of a database, and waits until they are on disk. `None` where a cut came before that: then none of them may go.
    ///
    /// # Errors
    /// The file cannot be written; Redis is gone.
    pub(in super::super) async fn save(
        &self,
        (database, candidates): (u8, Vec<Candidate>),
        stop: &Stop,
    ) -> Result<Option<Saved>, Failure> {
        match self.save_all((database, candidates), stop).await {
            Ok(saved) => Ok(Some(saved)),
            Err(Broken::Cut) => Ok(None),
            Err(Broken::Failed(failure)) => Err(self.advised(failure)),
        }
    }

    async fn save_all(&self, (database, candidates): (u8, Vec<Candidate>), stop: &Stop) -> Result<Saved, Broken> {
        let (plain, others): (Vec<_>, Vec<_>) = candidates.into_iter().partition(is_plain);
        let entries: Vec<Entry> = plain.iter().filter_map(|candidate| plain_entry(database, candidate)).collect();
        self.append(entries, stop).await?;
        let mut saved = Saved { on_disk: plain, ..Saved::default() };
        if !others.is_empty() {
            let source = self.sources.get(&database);
            let source = source.ok_or_else(|| Failure::internal("keys of a database that was not opened"))?;
            self.save_read((source, stop), others, &mut saved).await?;
        }
        saved.extent = Some(self.with(stop, Writer::sync).await?);
        Ok(saved)
    }

    /// The same as [`Backup::save`], boxed: what goes on within is large, and would be part of every task that deletes.
    pub(in super::super) fn saving<'a>(
        &'a self,
        of: (u8, Vec<Candidate>),
        stop: &'a Stop,
    ) -> BoxFuture<'a, Result<Option<Saved>, Failure>> {
        Box::pin(self.save(of, stop))
    }

    pub(super) async fn append(&self, entries: Vec<Entry>, stop: &Stop) -> Result<(), Broken> {
        if entries.is_empty() {
            return Ok(());
        }
        let blocks = spawn_blocking(move || backup::encode(&entries)).await.map_err(broke_off)??;
        self.with(stop, move |writer| blocks.iter().try_for_each(|block| writer.append(block))).await
    }

    /// Does something that blocks on the disk.
    pub(super) async fn with<T: Send + 'static>(
        &self,
        stop: &Stop,
        work: impl FnOnce(&mut Writer) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Broken> {
        let mut writer = self.locked(stop).await?;
        let done = spawn_blocking(move || match writer.as_mut() {
            Some(writer) => work(writer),
            None => Err(over()),
        });
        Ok(done.await.map_err(broke_off)??)
    }

    /// The file, once nobody else writes to it.
    pub(super) async fn locked(&self, stop: &Stop) -> Result<OwnedMutexGuard<Option<Writer>>, Broken> {
        unless_cut(stop, Box::pin(async { Ok(self.writer.clone().lock_owned().await) })).await
    }
}

/// What some work comes to that a cut may end. Boxed: what reads is large, and would stand on the stack more than once.
pub(super) async fn unless_cut<T>(stop: &Stop, work: BoxFuture<'_, Result<T, Failure>>) -> Result<T, Broken> {
    tokio::select! {
        done = work => Ok(done?),
        () = stop.wait_cut() => Err(Broken::Cut),
    }
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
