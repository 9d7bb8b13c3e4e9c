//! Clusters with keys in them.

use crate::support::{Case, Client, Outcome};
use fred::util::redis_keyslot;
use redis2pg::sandbox::RedisCluster;

/// A mapping of keys of any type, and its table.
pub(crate) const CONFIG: &str = r#"
[[mapping]]
name = "documents"
match = "document:{id..}"
type = ["string", "hash", "list", "set", "zset", "stream"]
into = "public.documents"
key = "id"

[[mapping.column]]
name = "id"
from = "{id}"

[[mapping.column]]
name = "data"
from = "$"

[[mapping.column]]
name = "expires"
from = "redis.expires_at"
"#;

const TABLE: &str =
    "SET ROLE redis2pg; CREATE TABLE documents (id text PRIMARY KEY, data jsonb NOT NULL, expires timestamptz)";

/// Primaries of each cluster here.
pub(crate) const PRIMARIES: usize = 3;

/// A cluster, a client of each node, and a target.
pub(crate) struct Fixture {
    pub(crate) cluster: RedisCluster,
    pub(crate) clients: Vec<Client>,
    pub(crate) case: Case,
}

/// The primary that has a key before anything moves.
pub(crate) fn home(key: &str) -> usize {
    home_of(slot(key))
}

/// The primary that has a slot before anything moves.
pub(crate) fn home_of(slot: u16) -> usize {
    let bound = |node: usize| 16_384 * (node + 1) / PRIMARIES;
    (0..PRIMARIES).find(|node| usize::from(slot) < bound(*node)).expect("a node for every slot")
}

pub(crate) fn slot(key: &str) -> u16 {
    redis_keyslot(key.as_bytes())
}

/// A key of that mapping whose home is a node.
pub(crate) fn key_at(node: usize, label: &str) -> String {
    (0..).map(|number| format!("document:{label}{number}")).find(|key| home(key) == node).expect("some key")
}

impl Fixture {
    pub(crate) fn new(replicas: usize) -> Self {
        Self::with(replicas, &[])
    }

    pub(crate) fn with(replicas: usize, settings: &[&str]) -> Self {
        let cluster = RedisCluster::start(PRIMARIES, replicas, settings).expect("start a cluster");
        let open = |node: usize| Client::open(&format!("{}/0", cluster.node_url(node)));
        let clients = (0..PRIMARIES + replicas).map(open).collect();
        let case = Case::from_source(&cluster.url());
        case.sql(TABLE);
        Self { cluster, clients, case }
    }

    /// Says a command about a key to the node that is its home.
    pub(crate) fn say(&mut self, words: &[&str]) -> String {
        let bytes: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        let answer = self.clients[home(words[1])].answer(&bytes);
        assert!(!answer.starts_with('-'), "{words:?}: {answer}");
        answer
    }

    /// Sets some strings `document:PREFIX0` and so on.
    pub(crate) fn fill(&mut self, prefix: &str, count: usize) {
        for number in 0..count {
            self.say(&["SET", &format!("document:{prefix}{number}"), &format!("{{\"n\":{number}}}")]);
        }
    }

    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        self.case.run_config(CONFIG, args)
    }

    pub(crate) fn rows(&self) -> i64 {
        self.case.number("SELECT count(*) FROM documents")
    }
}
