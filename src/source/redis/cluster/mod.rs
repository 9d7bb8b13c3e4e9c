//! A Redis Cluster as one source: its primaries are scanned one after the other, and each key is read from the node that
//! serves its slot.
//!
//! Each node is asked over a plain connection of its own, so that a cursor stays with its server, and a redirection is
//! seen. Keys that are listed by one node and served by another are followed; what nobody has any more is an orphan.

pub(super) mod attempts;
mod cursor;
pub(super) mod named;
mod route;
mod scan;
mod slices;
mod slots;
mod strays;
mod topology;

pub(super) use scan::ClusterScan;
pub(super) use slices::ClusterSlices;

use super::address::Address;
use super::loading::{LastTold, Teller, Waiting};
use super::settings::SourceSettings;
use super::target::Target;
use super::{Hearer, RedisSource, bytes_of, errors, notify};
use crate::model::{Exit, Failure, RedisKey, Side};
use attempts::Attempts;
use fred::error::Error;
use futures::future::{join_all, try_join_all};
use slots::{SLOTS, slot_of};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use strays::Strays;
use tokio::sync::OnceCell;
use topology::{Node, Topology, View};

/// How long a node may take to say where the slots are: others can be asked.
const ANSWER: Duration = Duration::from_secs(2);
/// A command that takes longer is watched: its node may have lost its slots to another one meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);

/// The connections by place, and whether each is for keys on their way to the node.
type Nodes = HashMap<(String, bool), Arc<OnceCell<RedisSource>>>;

/// A cluster: who serves what, and a connection to each node that is needed.
pub(super) struct Cluster {
    settings: SourceSettings,
    target: Target,
    events: Option<Hearer>,
    topology: Mutex<Arc<Topology>>,
    nodes: Mutex<Nodes>,
    strays: Strays,
    /// The nodes of which it was told that they hold orphans.
    told: Mutex<HashSet<String>>,
    loading_told: LastTold,
}

impl Cluster {
    /// Connects to the first seed that answers, and then to every primary.
    ///
    /// # Errors
    /// As for one server; none of the seeds is in a cluster, or a slot is served by nobody.
    pub(super) async fn connect(
        settings: &SourceSettings,
        target: Target,
        events: Option<Hearer>,
    ) -> Result<RedisSource, Failure> {
        let (mut failure, seeds) = (None, target.cluster.as_ref().map(|named| named.seeds.clone()).unwrap_or_default());
        for seed in seeds {
            match RedisSource::connect_node(settings, target.node(seed), events.clone(), (true, false)).await {
                Ok(first) => return Self::around(first, settings, target, events).await,
                Err(error) if error.side == Side::Redis && error.exit == Exit::Redis => {
                    failure.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        Err(failure.unwrap_or_else(|| Failure::internal("a cluster without a node to ask")))
    }

    async fn around(
        first: RedisSource,
        settings: &SourceSettings,
        target: Target,
        events: Option<Hearer>,
    ) -> Result<RedisSource, Failure> {
        let answer = match first.lines().await {
            Ok(answer) => answer,
            Err(error) => return Err(no_cluster(&error, &first.inner.target)),
        };
        let cluster = Self {
            settings: settings.clone(),
            target,
            events,
            topology: Mutex::new(Arc::new(Topology::of(std::slice::from_ref(&answer)))),
            nodes: Mutex::default(),
            strays: Strays::default(),
            told: Mutex::default(),
            loading_told: LastTold::default(),
        };
        cluster.keep(&first, &answer);
        let topology = cluster.topology();
        cluster.is_served(&topology)?;
        cluster.reach().await?;
        cluster.refresh().await?;
        cluster.is_served(&cluster.topology())?;
        Ok(RedisSource { cluster: Some(Arc::new(cluster)), ..first })
    }

    /// Connects to every primary. Those that are loading their data are waited for.
    async fn reach(&self) -> Result<(), Failure> {
        let mut attempts = Attempts::new(self);
        loop {
            match self.primaries().await {
                Ok(_) => return Ok(()),
                Err(failure) if errors::cause(&failure).is_some_and(errors::is_loading) => {
                    attempts.after(self, failure).await?;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// How a node that is loading its data is waited for.
    fn waiting(&self) -> Waiting<'_> {
        let teller = Teller { events: self.events.as_ref(), ..Teller::silent(&self.loading_told) };
        Waiting { settings: &self.settings, target: &self.target, teller }
    }

    /// Uses the connection that was made first for its node, where that is a primary.
    fn keep(&self, first: &RedisSource, answer: &str) {
        let topology = self.topology();
        let own = View::of(answer).and_then(|view| topology.nodes.iter().find(|node| node.id == view.id));
        if let Some(node) = own {
            let cell = Arc::new(OnceCell::new_with(Some(first.clone())));
            self.nodes().insert((self.address(node).place(), false), cell);
        }
    }

    /// A run must not begin where it is known that keys cannot be read.
    fn is_served(&self, topology: &Topology) -> Result<(), Failure> {
        let unserved = topology.unserved();
        if unserved.is_empty() {
            return Ok(());
        }
        Err(Failure::redis(
            format!("the Redis Cluster at {} has slots that no node serves: {unserved}", self.target.place()),
            "Look at `redis-cli --cluster check`. Bring the nodes back or mend the cluster, then start again.",
        ))
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Closes all connections.
    pub(super) async fn close(&self) {
        let nodes: Vec<_> = self.nodes().drain().collect();
        for node in nodes.iter().filter_map(|(_, cell)| cell.get()) {
            node.close_here().await;
        }
    }

    /// Who serves what, as far as is known.
    fn topology(&self) -> Arc<Topology> {
        self.topology.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn nodes(&self) -> std::sync::MutexGuard<'_, Nodes> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a node is reached. Certificates are for names rather than for addresses.
    fn address(&self, node: &Node) -> Address {
        let (host, tls) = match &self.target.address {
            Address::Tcp { host, tls, .. } => (host.as_str(), *tls),
            Address::Unix(_) => ("", false),
        };
        let named = node.hostname.as_deref().filter(|_| tls);
        // A node that was never met by another does not know its own address.
        let host = named.or(Some(node.ip.as_str()).filter(|ip| !ip.is_empty())).unwrap_or(host);
        Address::Tcp { host: host.to_owned(), port: node.port, tls }
    }

    /// The connection to a node, made when it is first needed.
    async fn node(&self, node: &Node) -> Result<RedisSource, Failure> {
        self.at(self.address(node), false).await
    }

    async fn at(&self, address: Address, asking: bool) -> Result<RedisSource, Failure> {
        let cell = self.nodes().entry((address.place(), asking)).or_default().clone();
        let connect = || {
            let target = self.target.node(address);
            Box::pin(RedisSource::connect_node(&self.settings, target, self.events.clone(), (false, asking)))
        };
        cell.get_or_try_init(connect).await.cloned()
    }

    /// The connection to every primary.
    ///
    /// # Errors
    /// One cannot be reached.
    pub(super) async fn primaries(&self) -> Result<Vec<RedisSource>, Failure> {
        let topology = self.topology();
        try_join_all(topology.nodes.iter().map(|node| self.node(node))).await
    }

    /// What a node says of itself.
    async fn view(&self, node: &Node) -> Result<View, Failure> {
        let source = self.node(node).await?;
        let reply = source.ask("CLUSTER", vec!["NODES".into()]).await?;
        let text = bytes_of(reply).map(|text| String::from_utf8_lossy(&text).into_owned());
        let wrong = || source.failure(&errors::unexpected("CLUSTER NODES", "no line about itself"), "CLUSTER NODES");
        text.and_then(|text| View::of(&text)).ok_or_else(wrong)
    }

    /// Asks all known nodes anew who serves what.
    ///
    /// # Errors
    /// None of them answers.
    async fn refresh(&self) -> Result<(), Failure> {
        let mut answers = self.answers().await;
        if answers.is_empty() {
            // They may all have gone to other addresses: those that were typed are still right.
            for seed in self.target.cluster.iter().flat_map(|named| &named.seeds) {
                let node = tokio::time::timeout(self.settings.connect_timeout, self.at(seed.clone(), false)).await;
                if node.is_ok_and(|node| node.is_ok()) {
                    answers = self.answers().await;
                    break;
                }
            }
        }
        if answers.is_empty() {
            let message = format!("no node of the Redis Cluster at {} answers", self.target.place());
            return Err(Failure::redis(message, "Wait until it is back, then start again."));
        }
        *self.topology.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(Topology::of(&answers));
        Ok(())
    }

    async fn answers(&self) -> Vec<String> {
        let sources: Vec<RedisSource> = self
            .nodes()
            .iter()
            .filter(|((_, asking), _)| !asking)
            .filter_map(|(_, cell)| cell.get().cloned())
            .collect();
        let asked = sources.iter().map(|source| async {
            let answer = tokio::time::timeout(ANSWER.min(self.settings.command_timeout), source.lines()).await;
            answer.ok()?.ok()
        });
        join_all(asked).await.into_iter().flatten().collect()
    }

    /// Comes back once a node serves no slots any more: nobody need wait for its answer.
    async fn deposed(&self, id: &str) {
        loop {
            tokio::time::sleep(PATIENCE).await;
            if Box::pin(self.refresh()).await.is_ok() && !self.topology().nodes.iter().any(|node| node.id == id) {
                return;
            }
        }
    }

    fn notice(&self, text: String) {
        notify(self.events.as_ref(), text);
    }
}

impl RedisSource {
    /// Two keys of different slots that this node serves.
    pub(super) async fn probes(&self) -> Option<Vec<RedisKey>> {
        let view = View::of(&self.lines().await.ok()?)?;
        let key = |number: u32| RedisKey::new(format!("{}:{number}", super::connect::PROBE_KEY));
        // Of a node with very few slots none may be found.
        let mut own = (0..20 * u32::from(SLOTS)).map(key).filter(|key| view.slots.contains(slot_of(key.as_bytes())));
        let first = if view.slots.is_empty() { None } else { own.next() }?;
        let second = own.find(|key| slot_of(key.as_bytes()) != slot_of(first.as_bytes()))?;
        Some(vec![first, second])
    }

    /// What CLUSTER NODES answers.
    async fn lines(&self) -> Result<String, Error> {
        let reply = self.once("CLUSTER", vec!["NODES".into()]).await?;
        let text = bytes_of(reply).ok_or_else(|| errors::unexpected("CLUSTER NODES", "no text"))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

/// Why a server that answers cannot be read as a cluster.
fn no_cluster(error: &Error, target: &Target) -> Failure {
    let text = error.details();
    if text.contains("cluster support disabled") || text.contains("unknown command") {
        return Failure::usage(
            Side::Redis,
            format!("Redis at {} is no node of a Redis Cluster: {}", target.place(), target.scrub(text)),
            "Name it with redis:// or rediss:// (source.url / --from).",
        );
    }
    errors::refused(error, "CLUSTER NODES", target)
}
