//! One backup: every database is scanned and read by lanes, whose blocks one thread writes.

use super::lanes::{self, Lane, Listing};
use super::writing::{self, Message};
use super::{BackupProgress, empty};
use crate::backup::{Header, Writer};
use crate::config::Settings;
use crate::flow::{RateLimit, Stop};
use crate::job::key_list::KeyList;
use crate::model::{BackupAccount, Failure};
use crate::source::Source;
use crate::source::redis::RedisSource;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{RwLock, mpsc};
use tokio::task::JoinSet;

/// Lanes of reading and compressing. One leaves Redis idle while it takes in a reply.
const LANES: usize = 2;
/// Messages on their way to the disk.
const AHEAD: usize = 4;
/// Of `flow.memory`, this part is a reply at most: a lane holds it as read, as a block's entries, and compressed, and so does
/// the other.
const SHARES: u64 = 16;
/// How often a database is read from the beginning, since another server answers than before.
const RESTARTS: u32 = 10;

/// The account, which lanes and the writing thread keep.
pub(super) type Shared = Arc<Mutex<BackupAccount>>;

pub(super) fn locked(account: &Shared) -> MutexGuard<'_, BackupAccount> {
    account.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a backup is made of.
pub(super) struct Taking<'a> {
    settings: &'a Settings,
    stop: Stop,
    sources: Vec<RedisSource>,
    keys: Option<Arc<KeyList>>,
    account: Shared,
    expected: Mutex<Option<u64>>,
}

impl<'a> Taking<'a> {
    pub(super) fn new(
        settings: &'a Settings,
        stop: Stop,
        sources: Vec<RedisSource>,
        keys: Option<Arc<KeyList>>,
    ) -> Self {
        Self { settings, stop, sources, keys, account: Shared::default(), expected: Mutex::default() }
    }

    /// What became of the keys so far.
    pub(super) fn account(&self) -> BackupAccount {
        locked(&self.account).clone()
    }

    pub(super) fn progress(&self) -> BackupProgress {
        let account = locked(&self.account);
        let expected = *self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        BackupProgress { listed: account.listed, kept: account.kept(), file_bytes: account.file_bytes, expected }
    }

    /// Closes the connections to the databases.
    pub(super) async fn close(&self) {
        for source in &self.sources {
            source.close().await;
        }
    }

    /// Writes the file; false where a stop was asked for.
    ///
    /// # Errors
    /// Redis fails, the disk does, or there is no key. What was written so far has the temporary name, unless that is nothing.
    pub(super) async fn take(&self, file: &Path, header: &Header) -> Result<bool, Failure> {
        self.expect().await;
        let (path, header) = (file.to_owned(), header.clone());
        let writer = blocking(move || Writer::create(&path, &header)).await?;
        let (out, messages) = mpsc::channel(AHEAD);
        let account = self.account.clone();
        let writing = blocking(move || writing::run(writer, messages, &account));
        let (read, written) = tokio::join!(self.read_all(out), writing);
        // A disk that fails ends the reading without a word of its own.
        let writer = written?;
        if !read? {
            return Ok(false);
        }
        let account = self.account();
        if !account.balances() {
            return Err(Failure::internal("the books do not balance: some keys have no outcome"));
        }
        if account.listed == 0 && !self.settings.run.allow_empty {
            blocking(move || writer.discard()).await?;
            return Err(empty(self.settings));
        }
        let bytes = blocking(move || writer.finish().map(|_| ())).await;
        let size = std::fs::metadata(file).map(|facts| facts.len());
        locked(&self.account).file_bytes = size.unwrap_or(account.file_bytes);
        bytes.map(|()| true)
    }

    /// How many keys there are to read, where all are taken.
    async fn expect(&self) {
        if self.keys.is_some() || self.settings.run.keys.is_some() {
            return;
        }
        let mut expected = Some(0);
        for source in &self.sources {
            let keys = source.dbsize().await.ok();
            expected = expected.zip(keys).map(|(expected, keys)| expected + keys);
        }
        *self.expected.lock().unwrap_or_else(PoisonError::into_inner) = expected;
    }

    async fn read_all(&self, out: mpsc::Sender<Message>) -> Result<bool, Failure> {
        for source in &self.sources {
            let before = self.account();
            let mut attempts = 0;
            loop {
                if out.send(Message::Mark).await.is_err() {
                    return Ok(false);
                }
                match self.pass(source, &out).await? {
                    lanes::Ended::Complete => break,
                    lanes::Ended::Left => return Ok(false),
                    lanes::Ended::Restarted if attempts == RESTARTS => return Err(restless(source)),
                    lanes::Ended::Restarted => {}
                }
                attempts += 1;
                // Of the server that was read before there is nothing to keep: it may have held other keys.
                if out.send(Message::Rewind).await.is_err() {
                    return Ok(false);
                }
                let BackupAccount { listed, gone, forbidden, unreadable, samples, .. } = before.clone();
                let mut account = locked(&self.account);
                *account = BackupAccount { listed, gone, forbidden, unreadable, samples, ..account.clone() };
            }
        }
        Ok(true)
    }

    /// Reads one database, from the beginning.
    async fn pass(&self, source: &RedisSource, out: &mpsc::Sender<Message>) -> Result<lanes::Ended, Failure> {
        let listing = match &self.keys {
            Some(keys) => Listing::File(keys.lines()?),
            None => Listing::Scan(Box::new(source.scan(None))),
        };
        // A scan tells by its epochs that another server answers, and only up to its last page: values are read after that. Of
        // a cluster it does not even tell that, nor does a list of keys.
        let before = source.answering().await?;
        let (pages, listed) = mpsc::channel(LANES);
        let listed = Arc::new(tokio::sync::Mutex::new(listed));
        let mut stages = JoinSet::new();
        stages.spawn(lanes::list(listing, pages, self.stop.clone(), self.account.clone()));
        let lane = self.lane(source, out);
        for _ in 0..LANES {
            stages.spawn(lane.clone().run(listed.clone()));
        }
        drop((lane, listed));
        let ended = all_ended(stages).await?;
        // Behind the last answer: whoever gave one of them is known now.
        let is_another = ended == lanes::Ended::Complete && source.answering().await? != before;
        Ok(if is_another { lanes::Ended::Restarted } else { ended })
    }

    /// What reads a database; its lanes share it.
    fn lane(&self, source: &RedisSource, out: &mpsc::Sender<Message>) -> Lane {
        let flow = &self.settings.flow;
        let some = |limit: u64| Some(limit).filter(|limit| *limit > 0);
        let rate = RateLimit::new(some(flow.max_keys_per_second), some(flow.max_bytes_per_second.0));
        Lane {
            source: source.clone(),
            stop: self.stop.clone(),
            account: self.account.clone(),
            out: out.clone(),
            turn: Arc::new(RwLock::new(())),
            rate: Arc::new(rate),
            max_bytes: usize::try_from((flow.memory.0 / SHARES).max(64 << 10)).unwrap_or(usize::MAX),
        }
    }
}

/// How the stages of a pass ended. The first that fails tells why, and ends the others.
async fn all_ended(mut stages: JoinSet<Result<lanes::Ended, Failure>>) -> Result<lanes::Ended, Failure> {
    let (mut ended, mut failure) = (lanes::Ended::Complete, None);
    while let Some(joined) = stages.join_next().await {
        match joined {
            Ok(Ok(one)) => ended = ended.max(one),
            Ok(Err(error)) => failure = failure.or(Some(error)),
            Err(error) => failure = failure.or(Some(Failure::internal(format!("a stage broke off: {error}")))),
        }
        if failure.is_some() {
            stages.abort_all();
        }
    }
    failure.map_or(Ok(ended), Err)
}

/// Does something that blocks, beside the runtime.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(Failure::internal(format!("writing the backup broke off: {error}"))))
}

fn restless(source: &RedisSource) -> Failure {
    let message = format!("the server behind {} changed {RESTARTS} times during the backup", source.display());
    Failure::redis(message, "Name one server, not a load balancer.")
}
