//! One Redis server as a source: the connection, what the server can do, and the commands of scan and fetch. A cluster of
//! them is one source too (`cluster`), which reads through its nodes.
//!
//! Owns everything that knows fred. Keys and values are bytes throughout: replies are read raw, never as text.

mod acl;
mod address;
mod cluster;
mod collections;
mod connect;
mod databases;
mod entries;
mod errors;
mod expiry;
mod fetch;
mod groups;
mod lengths;
mod loading;
mod moment;
mod permitted;
mod reading;
mod restore;
mod retry;
mod rights;
mod sample;
mod scan;
mod server;
mod settings;
mod sizes;
mod target;
mod tls;
mod types;
mod unlink;
mod wire;

pub use acl::KeyRights;
pub use entries::{EntryParts, EntryRead};
pub use groups::GroupCounts;
pub use reading::{RedisScan, RedisSlices};
pub use restore::{NextPart, Parts, RestoreOptions, Restorer};
pub use rights::{Lack, Permission};
pub use scan::Scanner;
pub use server::{Eviction, Replica, ServerFacts};
pub use settings::SourceSettings;
pub use unlink::{
    Candidate, Content, Fate, Fates, StreamReading, StreamState, UnlinkAbility, UnlinkOptions, UnlinkOutcome, Unlinker,
    Warrant,
};

use crate::model::{Event, Failure, LargeKey, RedisKey, RedisType, SENT_NOTICES, SkipReason, Wanted};
use crate::source::{Answering, Checkpoint, FetchedPage, Holder, Holders, ServerClock, Source};
use cluster::{Cluster, ClusterScan, ClusterSlices};
use collections::{Reader, SliceReader};
use connect::Abilities;
use fred::error::Error;
use fred::interfaces::EventInterface;
use fred::types::config::Server;
use fred::types::{Resp3Frame, Value};
use loading::{LastTold, Teller, Waiting};
use retry::{Refusals, Retry};
use sizes::Sizes;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use target::Target;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;
use tokio::sync::mpsc::WeakSender;
use wire::Wire;

/// Who hears of what happens to the connections. They may outlive the run that they were made for, and must not keep its events
/// open: after that only the log hears.
type Hearer = WeakSender<Event>;

/// A connection to one Redis server and database, or to a cluster. Cheap to clone; clones share the connection.
#[derive(Clone)]
pub struct RedisSource {
    /// The server; of a cluster the node that answered first.
    inner: Arc<Inner>,
    cluster: Option<Arc<Cluster>>,
    /// The connection for large values, made when it is first needed.
    reader: Arc<tokio::sync::Mutex<Option<Reader>>>,
}

struct Inner {
    wire: Wire,
    target: Target,
    /// Whether it is a node of a cluster, which takes no keys of several slots in one command.
    clustered: bool,
    scan_count: u32,
    match_keys: Option<String>,
    abilities: Abilities,
    events: Option<Hearer>,
    /// fred's news of reconnections; read whenever a command is about to be sent.
    reconnected: Mutex<Receiver<Server>>,
    reconnections: AtomicU64,
    /// What the server was at the last look: `master` or `slave`; `None` where it does not tell.
    role: Mutex<Option<String>>,
    /// How often that changed.
    role_changes: AtomicU64,
    refusals: Refusals,
    loading_told: LastTold,
    sizes: Sizes,
    /// How to connect once more.
    settings: SourceSettings,
    /// Whether the user may not WATCH.
    unwatched: AtomicBool,
    /// Whether the server does not tell how long keys have been idle.
    idle_refused: AtomicBool,
    /// Whether it was told that the user may not read all keys.
    told_forbidden: AtomicBool,
    /// Whether the server does not tell when fields of hashes expire.
    fields_untold: AtomicBool,
    /// Whether it was told that the user may not DUMP.
    told_undumped: AtomicBool,
    /// Whether it was told that the server does not say how much memory keys take.
    told_unmeasured: AtomicBool,
}

impl Inner {
    fn new(wire: Wire, target: Target, settings: SourceSettings, abilities: Abilities, events: Option<Hearer>) -> Self {
        let (reconnected, refusals) = (wire.client.reconnect_rx(), Refusals::new(wire.client.error_rx()));
        let role = abilities.server.as_ref().and_then(|server| server.role.clone());
        Self {
            wire,
            target,
            clustered: false,
            scan_count: settings.scan_count.max(1),
            match_keys: settings.match_keys.clone(),
            role: Mutex::new(role),
            role_changes: AtomicU64::new(0),
            abilities,
            events,
            reconnected: Mutex::new(reconnected),
            reconnections: AtomicU64::new(0),
            refusals,
            loading_told: LastTold::default(),
            sizes: Sizes::default(),
            settings,
            unwatched: AtomicBool::new(false),
            idle_refused: AtomicBool::new(false),
            told_forbidden: AtomicBool::new(false),
            fields_untold: AtomicBool::new(false),
            told_undumped: AtomicBool::new(false),
            told_unmeasured: AtomicBool::new(false),
        }
    }
}

impl RedisSource {
    /// One server.
    fn of(inner: Inner) -> Self {
        Self { inner: Arc::new(inner), cluster: None, reader: Arc::default() }
    }

    /// The same server over the same connection, but for large values: those have one of their own. Whoever reads a large value holds
    /// that connection until the value has been taken, so what it waits for meanwhile must not read by the same one. The nodes of a
    /// cluster keep theirs.
    pub fn with_own_reader(&self) -> Self {
        Self { reader: Arc::default(), ..self.clone() }
    }

    /// The server as text without credentials, such as `redis://host:6379/0`.
    pub fn display(&self) -> String {
        self.cluster.as_ref().map_or(&self.inner.target, |cluster| cluster.target()).to_string()
    }

    /// The server as text without credentials, with this database, or with none: where several are meant.
    pub fn display_of(&self, database: Option<u8>) -> String {
        match database {
            Some(database) => Target { database, ..self.inner.target.clone() }.to_string(),
            None => self.inner.target.server(),
        }
    }

    /// Host, port and database (or socket and database, or the cluster's name): what a resumed run must find again.
    pub fn identity(&self) -> String {
        self.cluster.as_ref().map_or(&self.inner.target, |cluster| cluster.target()).identity()
    }

    /// The number of the database.
    pub fn database(&self) -> u8 {
        self.inner.target.database
    }

    /// The run id of the server at the time of connecting; `None` where INFO is refused.
    pub fn run_id(&self) -> Option<&str> {
        self.inner.abilities.run_id.as_deref()
    }

    /// The version that the server gives itself; `None` where INFO is refused.
    pub fn version(&self) -> Option<&str> {
        self.server()?.version.as_deref()
    }

    /// Whether the source is a cluster as a whole, not a server by itself.
    pub fn is_cluster(&self) -> bool {
        self.cluster.is_some()
    }

    /// Whether reading makes keys look recently used.
    pub fn touches(&self) -> bool {
        !self.inner.abilities.no_touch
    }

    /// The server's clock, asked for now; `None` where the user may not ask for it.
    ///
    /// # Errors
    /// The server is gone.
    pub async fn clock(&self) -> Result<Option<ServerClock>, Failure> {
        let mut retry = self.retry("TIME");
        loop {
            match self.time().await {
                Ok(told) => return Ok(Some(ServerClock::new(told, Instant::now()))),
                Err(error) if errors::is_transient(&error) => retry.after(error).await?,
                Err(_) => return Ok(None),
            }
        }
    }

    /// Closes the connection. Without it the connection closes with the process.
    pub async fn close(&self) {
        if let Some(cluster) = &self.cluster {
            cluster.close().await;
        }
        self.close_here().await;
    }

    /// Closes the connections to this one server.
    async fn close_here(&self) {
        self.inner.wire.close().await;
        self.close_reader().await;
    }

    /// Closes the connection for large values alone; it is made again when it is needed.
    pub async fn close_reader(&self) {
        if let Some(reader) = self.reader.lock().await.take() {
            reader.close().await;
        }
    }

    /// One attempt at one command; error replies are errors.
    async fn once(&self, command: &'static str, args: Vec<Value>) -> Result<Resp3Frame, Error> {
        self.inner.wire.send(command, args).await
    }

    /// A command with the usual attempts.
    async fn ask(&self, command: &'static str, args: Vec<Value>) -> Result<Resp3Frame, Failure> {
        let mut retry = self.retry(command);
        loop {
            match self.once(command, args.clone()).await {
                Ok(reply) => return Ok(reply),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    fn retry(&self, command: &'static str) -> Retry<'_> {
        self.retry_more(command, 0)
    }

    /// The attempts that are left after some that failed.
    fn retry_more(&self, command: &'static str, failed: u32) -> Retry<'_> {
        Retry::new(command, self.waiting(), failed).heeding(&self.inner.refusals)
    }

    /// How the server is waited for while it is loading its data.
    fn waiting(&self) -> Waiting<'_> {
        let Inner { target, settings, wire, events, loading_told, .. } = &*self.inner;
        let teller = Teller { events: events.as_ref(), client: Some(&wire.client), told: loading_told };
        Waiting { settings, target, teller }
    }

    fn failure(&self, error: &Error, command: &str) -> Failure {
        errors::refused(error, command, &self.inner.target)
    }

    fn notice(&self, text: String) {
        notify(self.inner.events.as_ref(), text);
    }

    async fn read(&self, keys: &[RedisKey], wanted: Wanted, max_bytes: usize) -> Result<FetchedPage, Failure> {
        match wanted.types.only() {
            Some(RedisType::String) if !wanted.has_facts() => self.read_some(keys, wanted, max_bytes).await,
            _ => self.read_typed(keys, wanted, max_bytes).await,
        }
    }

    /// Counts reconnections since the last look. Returns whether there was any.
    fn note_reconnections(&self) -> bool {
        let mut news = self.inner.reconnected.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = 0;
        loop {
            match news.try_recv() {
                Ok(_) => count += 1,
                Err(TryRecvError::Lagged(missed)) => count += missed,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        drop(news);
        if count > 0 {
            self.inner.reconnections.fetch_add(count, Ordering::Relaxed);
            self.notice(format!("the connection to Redis at {} was lost and made again", self.inner.target.place()));
        }
        count > 0
    }

    /// Does again what a connection forgets, and looks whom it is with. To be called before reading.
    async fn refresh(&self) {
        if !self.note_reconnections() {
            return;
        }
        if self.inner.abilities.no_touch {
            // Where it fails the next command will say why.
            let _ = self.once("CLIENT", vec!["NO-TOUCH".into(), "ON".into()]).await;
        }
        // So is this; what does not tell its role now is judged by its run id alone.
        let told = self.info("replication").await.ok();
        let Some(now) = told.and_then(|text| server::field(&text, "role").map(str::to_owned)) else { return };
        let mut role = self.inner.role.lock().unwrap_or_else(PoisonError::into_inner);
        if role.as_ref().is_some_and(|before| *before != now) {
            self.inner.role_changes.fetch_add(1, Ordering::Relaxed);
        }
        *role = Some(now);
    }

    /// One attempt at a section of INFO.
    async fn info(&self, section: &'static str) -> Result<String, Error> {
        let text = bytes_of(self.once("INFO", vec![section.into()]).await?).unwrap_or_default();
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

impl RedisSource {
    /// Reads from this one server.
    async fn fetch_here(&self, keys: &[RedisKey], wanted: Wanted, max_bytes: usize) -> Result<FetchedPage, Failure> {
        self.refresh().await;
        match self.read(keys, wanted, max_bytes).await {
            Err(refused) if errors::is_of_refused_key(&refused) => {
                Box::pin(self.read_permitted(keys, wanted, max_bytes, refused)).await
            }
            read => read,
        }
    }
}

impl RedisSource {
    /// This one server.
    async fn holder(&self) -> Holder {
        Holder { place: self.inner.target.place(), keys: self.dbsize().await.ok() }
    }
}

impl Source for RedisSource {
    type Scan = RedisScan;
    type Slices = RedisSlices;

    fn scan(&self, from: Option<Checkpoint>) -> RedisScan {
        match &self.cluster {
            None => RedisScan::Server(Scanner::start(self.clone(), from)),
            Some(cluster) => RedisScan::Cluster(Box::new(ClusterScan::start(cluster.clone(), from))),
        }
    }

    fn slices(&self, key: RedisKey, large: LargeKey) -> RedisSlices {
        match &self.cluster {
            None => RedisSlices::Server(Box::new(SliceReader::new(self.clone(), key, large))),
            Some(cluster) => RedisSlices::Cluster(Box::new(ClusterSlices::new(cluster.clone(), key, large))),
        }
    }

    async fn absent(&self, keys: &[RedisKey]) -> Result<Vec<(RedisKey, SkipReason)>, Failure> {
        match &self.cluster {
            None => self.missing(keys).await,
            Some(cluster) => Box::pin(cluster.missing(keys)).await,
        }
    }

    async fn answering(&self) -> Result<Answering, Failure> {
        match &self.cluster {
            None => self.answering_here().await,
            Some(cluster) => Box::pin(cluster.answering()).await,
        }
    }

    async fn holders(&self) -> Holders {
        match &self.cluster {
            None => Holders { servers: vec![self.holder().await], ..Holders::default() },
            Some(cluster) => Box::pin(cluster.holders()).await,
        }
    }

    async fn fetch_some(&self, keys: &[RedisKey], wanted: Wanted, max_bytes: usize) -> Result<FetchedPage, Failure> {
        // What goes on within is large, and would be part of every stage that reads.
        match &self.cluster {
            None => Box::pin(self.fetch_here(keys, wanted, max_bytes)).await,
            Some(cluster) => Box::pin(cluster.fetch_some(keys, wanted, max_bytes)).await,
        }
    }
}

/// Tells the one place that reports, and the log; or the log where that hears nothing: a full channel is not waited for.
fn notify(events: Option<&Hearer>, text: String) {
    let Some(events) = events.and_then(Hearer::upgrade) else { return tracing::info!("{text}") };
    match events.try_send(Event::Notice(text.clone())) {
        // For the log of a command that shows notices only at its end.
        Ok(()) => tracing::info!(target: SENT_NOTICES, "{text}"),
        Err(_) => tracing::info!("{text}"),
    }
}

/// The bytes of a reply that is a string.
fn bytes_of(frame: Resp3Frame) -> Option<bytes::Bytes> {
    match frame {
        Resp3Frame::BlobString { data, .. }
        | Resp3Frame::SimpleString { data, .. }
        | Resp3Frame::VerbatimString { data, .. } => Some(data),
        _ => None,
    }
}

/// The number in a reply.
fn number_of(frame: &Resp3Frame) -> Option<i64> {
    match frame {
        Resp3Frame::Number { data, .. } => Some(*data),
        Resp3Frame::BlobString { data, .. } | Resp3Frame::SimpleString { data, .. } => {
            std::str::from_utf8(data).ok()?.parse().ok()
        }
        _ => None,
    }
}
