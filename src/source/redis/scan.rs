//! SCAN with the cursor in our hand: the next page is asked for while this one is used, and no page is trusted before
//! it is known which server it came from.
//!
//! Every page is asked for together with the server's run id, over the same connection and behind it. A run id that
//! differs says that the page, or one before it, may be another server's (a restart, a failover, a proxy): the scan
//! starts again in a new epoch. An error is never the end; only cursor 0 from the epoch's own server is.

use super::errors::unexpected;
use super::retry::Retry;
use super::{RedisSource, bytes_of, number_of, server};
use crate::model::{Failure, RedisKey};
use crate::source::{Answering, Checkpoint, Scan, ScanPage};
use fred::error::Error;
use fred::types::{Resp3Frame, Value};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::atomic::Ordering;

/// Restarts of one scan before it is given up: a server that changes so often is not one to scan.
const MAX_RESTARTS: u32 = 100;

/// What tells servers, or at least connections, apart.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fence {
    /// The server's run id, and how often it became a primary or a replica since the connection was first made.
    Run(String, u64),
    /// The connection's id and how often it was made again, where the run id is refused.
    Connection(Option<i64>, u64),
}

/// A page as it came, with what was true of its server right after it.
pub(super) struct RawPage {
    pub(super) cursor: String,
    pub(super) keys: Vec<RedisKey>,
    fence: Fence,
}

/// A scan of one server and database.
pub struct Scanner {
    source: RedisSource,
    fence: Option<Fence>,
    epoch: u32,
    number: u64,
    cursor: String,
    restarts: u32,
    finished: bool,
    pending: Option<BoxFuture<'static, Result<RawPage, Failure>>>,
}

impl Scanner {
    /// Starts a scan, or goes on with one: from the checkpoint's cursor where the server is still the same, otherwise
    /// from the beginning in the epoch after it.
    pub fn start(source: RedisSource, from: Option<Checkpoint>) -> Self {
        let fence = source.run_id().map(|id| Fence::Run(id.to_owned(), source.role_changes()));
        let cursor = "0".to_owned();
        let mut scan = Self { source, fence, epoch: 0, number: 0, cursor, restarts: 0, finished: false, pending: None };
        if let Some(from) = from {
            scan.resume(from);
        }
        scan
    }

    fn resume(&mut self, from: Checkpoint) {
        let same = from.server_run_id.is_some() && from.server_run_id.as_deref() == self.server_run_id();
        if same && from.cursor.parse::<u64>().is_ok() {
            self.finished = from.cursor == "0" && from.number > 0;
            (self.epoch, self.number, self.cursor) = (from.epoch, from.number, from.cursor);
        } else {
            self.epoch = from.epoch.saturating_add(1);
            // Without a server there was no scan that could go on: the phase was fed from keys set aside, or the server
            // does not tell its run id, which was said already.
            if from.server_run_id.is_some() {
                self.source.notice("Redis is not the server that the scan began on: it starts again".to_owned());
            }
        }
    }

    fn request(&self) -> BoxFuture<'static, Result<RawPage, Failure>> {
        let (source, cursor) = (self.source.clone(), self.cursor.clone());
        async move { source.page(&cursor, source.inner.match_keys.as_deref()).await }.boxed()
    }

    /// Begins a new epoch on the server that answered last.
    fn restart(&mut self, fence: Fence) -> Result<(), Failure> {
        self.restarts += 1;
        if self.restarts > MAX_RESTARTS {
            return Err(Failure::redis(
                format!("the scan of {} had to start again {MAX_RESTARTS} times", self.source.display()),
                "The server behind this address keeps changing. Name one server, not a load balancer.",
            ));
        }
        self.epoch = self.epoch.saturating_add(1);
        self.number = 0;
        "0".clone_into(&mut self.cursor);
        self.fence = Some(fence);
        self.source.notice(format!(
            "Redis was restarted or replaced in mid-scan, or took another role: the scan of {} starts again",
            self.source.display()
        ));
        Ok(())
    }

    /// Books a page of this epoch's own server and asks for the next.
    async fn accept(&mut self, raw: RawPage) -> ScanPage {
        let last = raw.cursor == "0";
        let page = ScanPage { epoch: self.epoch, number: self.number, keys: raw.keys, resume_cursor: raw.cursor };
        self.number += 1;
        self.cursor.clone_from(&page.resume_cursor);
        self.fence = Some(raw.fence);
        self.finished = last;
        if !last {
            // Polled once, so that the command is on its way while this page is used.
            let mut next = self.request();
            self.pending = match futures::poll!(&mut next) {
                std::task::Poll::Ready(done) => Some(futures::future::ready(done).boxed()),
                std::task::Poll::Pending => Some(next),
            };
        }
        page
    }
}

impl Scan for Scanner {
    async fn next(&mut self) -> Result<Option<ScanPage>, Failure> {
        while !self.finished {
            let request = self.pending.take().unwrap_or_else(|| self.request());
            let raw = request.await?;
            if self.fence.as_ref().is_some_and(|fence| *fence != raw.fence) {
                self.restart(raw.fence)?;
                continue;
            }
            return Ok(Some(self.accept(raw).await));
        }
        Ok(None)
    }

    fn server_run_id(&self) -> Option<&str> {
        match &self.fence {
            Some(Fence::Run(id, _)) => Some(id),
            _ => None,
        }
    }
}

impl RedisSource {
    /// One page of the keys that match the pattern, with the usual attempts.
    pub(super) async fn page(&self, cursor: &str, pattern: Option<&str>) -> Result<RawPage, Failure> {
        self.refresh().await;
        let mut retry: Retry<'_> = self.retry("SCAN");
        loop {
            // In this order: whatever happens between the two, the run id is not older than the page.
            let (page, fence) = tokio::join!(biased; self.list(cursor, pattern), self.fence());
            match page.and_then(|(cursor, keys)| Ok(RawPage { cursor, keys, fence: fence? })) {
                Ok(page) => return Ok(page),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    /// Which server answers now, by the marks that pages of a scan go by.
    pub(super) async fn answering_here(&self) -> Result<Answering, Failure> {
        self.refresh().await;
        let mut retry: Retry<'_> = self.retry("INFO");
        loop {
            let fence = match self.fence().await {
                Ok(fence) => fence,
                Err(error) => {
                    retry.after(error).await?;
                    continue;
                }
            };
            let token = format!("{fence:?}");
            let run_id = match fence {
                Fence::Run(id, _) => Some(id),
                Fence::Connection(..) => None,
            };
            return Ok(Answering { run_id, token });
        }
    }

    fn role_changes(&self) -> u64 {
        self.inner.role_changes.load(Ordering::Relaxed)
    }

    async fn list(&self, cursor: &str, pattern: Option<&str>) -> Result<(String, Vec<RedisKey>), Error> {
        let count = Value::from(self.inner.scan_count.to_string());
        let mut arguments = vec![cursor.into(), "COUNT".into(), count];
        if let Some(pattern) = pattern {
            arguments.extend(["MATCH".into(), pattern.into()]);
        }
        let reply = self.once("SCAN", arguments).await?;
        parse(reply).ok_or_else(|| unexpected("SCAN", "something else than a cursor and keys"))
    }

    async fn fence(&self) -> Result<Fence, Error> {
        if self.inner.abilities.run_id.is_some() {
            let id = server::field(&self.info("server").await?, "run_id").map(str::to_owned);
            // Behind the page: a connection that was lost with it is known to be lost now.
            self.refresh().await;
            let run = id.map(|id| Fence::Run(id, self.role_changes()));
            return run.ok_or_else(|| unexpected("INFO", "no run id"));
        }
        let id = if self.inner.abilities.client_id {
            number_of(&self.once("CLIENT", vec!["ID".into()]).await?)
        } else {
            // Any answer that comes behind the page will do: after it, a lost connection is known to be lost.
            self.once("TYPE", vec!["redis2pg:probe".into()]).await.ok();
            None
        };
        self.refresh().await;
        Ok(Fence::Connection(id, self.inner.reconnections.load(Ordering::Relaxed)))
    }
}

/// The cursor (a `u64` as text) and the keys (any bytes) of a reply to SCAN.
fn parse(reply: Resp3Frame) -> Option<(String, Vec<RedisKey>)> {
    let Resp3Frame::Array { data, .. } = reply else { return None };
    let [cursor, keys] = <[Resp3Frame; 2]>::try_from(data).ok()?;
    let cursor: u64 = std::str::from_utf8(&bytes_of(cursor)?).ok()?.parse().ok()?;
    let Resp3Frame::Array { data: keys, .. } = keys else { return None };
    let keys = keys.into_iter().map(|key| bytes_of(key).map(RedisKey::new)).collect::<Option<_>>()?;
    Some((cursor.to_string(), keys))
}
