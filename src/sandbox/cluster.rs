//! A throw-away Redis Cluster: some primaries that share the slots evenly, and replicas of the first of them.

use super::redis::{RedisOptions, RedisServer};
use super::scratch::password;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// How long the nodes may take to know one another.
const SETTLED_WITHIN: Duration = Duration::from_secs(60);
/// A node that is silent for so many milliseconds is taken for gone; short, so that a failover does not take long.
const NODE_TIMEOUT: u32 = 2000;
const SLOTS: usize = 16_384;

/// A private Redis Cluster, stopped on drop.
pub struct RedisCluster {
    nodes: Vec<RedisServer>,
    password: String,
}

impl RedisCluster {
    /// Starts `primaries` that share the slots evenly, in order, and behind them `replicas`, the first of the first primary
    /// and so on. `settings` are more lines of each node's `redis.conf`.
    ///
    /// # Errors
    /// As [`RedisServer::start`]; the nodes do not find one another.
    pub fn start(primaries: usize, replicas: usize, settings: &[&str]) -> io::Result<Self> {
        let password = password()?;
        let mut nodes = Vec::new();
        while nodes.len() < primaries + replicas {
            let mut lines = vec![format!("cluster-node-timeout {NODE_TIMEOUT}"), format!("masterauth {password}")];
            lines.extend(settings.iter().map(|line| (*line).to_owned()));
            let node = RedisServer::start(RedisOptions {
                password: Some(password.clone()),
                settings: lines,
                cluster: true,
                // What is on disk survives a crash of its node.
                save_to_disk: true,
                ..RedisOptions::default()
            })?;
            // Where many servers start at once, another one may have taken the port in the same moment.
            match Connection::open(node.port(), &password) {
                Err(error) if error.to_string().starts_with("WRONGPASS") => {}
                open => {
                    open?;
                    nodes.push(node);
                }
            }
        }
        let cluster = Self { nodes, password };
        cluster.join(primaries)?;
        Ok(cluster)
    }

    /// The URL of the cluster, with the password; the first node is named.
    pub fn url(&self) -> String {
        format!("redis-cluster://:{}@127.0.0.1:{}", self.password, self.nodes.first().map_or(0, RedisServer::port))
    }

    /// The URL of one node by itself, with the password; empty where there are not so many.
    pub fn node_url(&self, index: usize) -> String {
        self.nodes.get(index).map(RedisServer::url).unwrap_or_default()
    }

    /// A node: the primaries first, in order of their slots, then the replicas.
    ///
    /// # Panics
    /// There are not so many.
    pub fn node(&mut self, index: usize) -> &mut RedisServer {
        &mut self.nodes[index]
    }

    /// The port of a node, on 127.0.0.1; 0 where there are not so many.
    pub fn port(&self, index: usize) -> u16 {
        self.nodes.get(index).map_or(0, RedisServer::port)
    }

    /// The id by which the cluster knows a node.
    ///
    /// # Errors
    /// The node does not answer.
    pub fn id(&self, index: usize) -> io::Result<String> {
        self.say(index, &["CLUSTER", "MYID"])
    }

    /// Says a command to a node; gives the text of its answer, or the first line of it.
    ///
    /// # Errors
    /// The node does not answer, or with an error.
    pub fn say(&self, index: usize, words: &[&str]) -> io::Result<String> {
        Connection::open(self.port(index), &self.password)?.say(words)
    }

    /// Moves a slot from one node to another with all its keys, as `redis-cli --cluster reshard` does, and tells all nodes.
    ///
    /// # Errors
    /// A node refuses.
    pub fn move_slot(&self, slot: u16, from: usize, to: usize) -> io::Result<()> {
        self.open_slot(slot, from, to)?;
        let (slot, port, password) = (slot.to_string(), self.port(to).to_string(), self.password.as_str());
        let mut source = Connection::open(self.port(from), password)?;
        loop {
            let keys = source.list(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"])?;
            if keys.is_empty() {
                break;
            }
            let mut words: Vec<&[u8]> =
                ["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "AUTH", password, "KEYS"].map(str::as_bytes).to_vec();
            words.extend(keys.iter().map(Vec::as_slice));
            source.say_bytes(&words)?;
        }
        self.close_slot(slot.parse().unwrap_or(0), to)
    }

    /// Begins to move a slot: its keys go one by one from here on.
    ///
    /// # Errors
    /// A node refuses.
    pub fn open_slot(&self, slot: u16, from: usize, to: usize) -> io::Result<()> {
        let slot = slot.to_string();
        self.say(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &self.id(from)?])?;
        self.say(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &self.id(to)?])?;
        Ok(())
    }

    /// Ends the move of a slot: the new owner first, then all others.
    ///
    /// # Errors
    /// A node refuses.
    pub fn close_slot(&self, slot: u16, to: usize) -> io::Result<()> {
        let (slot, id) = (slot.to_string(), self.id(to)?);
        let others = (0..self.nodes.len()).filter(|index| *index != to);
        for index in std::iter::once(to).chain(others) {
            // A replica takes it from its primary.
            match self.say(index, &["CLUSTER", "SETSLOT", &slot, "NODE", &id]) {
                Err(error) if !error.to_string().contains("SETSLOT only with masters") => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Waits until every node says that the cluster is whole.
    ///
    /// # Errors
    /// `TimedOut`.
    pub fn wait_until_whole(&self) -> io::Result<()> {
        let whole =
            |index: usize| self.say(index, &["CLUSTER", "INFO"]).is_ok_and(|info| info.contains("cluster_state:ok"));
        wait(|| (0..self.nodes.len()).all(whole))
    }

    fn join(&self, primaries: usize) -> io::Result<()> {
        let count = self.nodes.len();
        for index in 0..primaries {
            let (first, behind) = (SLOTS * index / primaries, SLOTS * (index + 1) / primaries);
            self.say(index, &["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &(behind - 1).to_string()])?;
        }
        for (index, node) in self.nodes.iter().enumerate() {
            self.say(index, &["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()])?;
            if index > 0 {
                let (port, bus) = (node.port().to_string(), node.bus_port().unwrap_or(0).to_string());
                self.say(0, &["CLUSTER", "MEET", "127.0.0.1", &port, &bus])?;
            }
        }
        let known = format!("cluster_known_nodes:{count}\r");
        let knows = |index: usize| self.say(index, &["CLUSTER", "INFO"]).is_ok_and(|info| info.contains(&known));
        wait(|| (0..count).all(knows))?;
        for index in primaries..count {
            let id = self.id((index - primaries) % primaries)?;
            self.say(index, &["CLUSTER", "REPLICATE", &id])?;
        }
        self.wait_until_whole()?;
        let linked = |index: usize| {
            self.say(index, &["INFO", "replication"]).is_ok_and(|info| info.contains("master_link_status:up"))
        };
        let seen = |index: usize| {
            let lines = self.say(index, &["CLUSTER", "NODES"]).unwrap_or_default();
            lines.lines().filter(|line| line.contains("slave ")).count() == count - primaries
        };
        wait(|| (primaries..count).all(linked) && (0..count).all(seen))
    }
}

fn wait(mut until: impl FnMut() -> bool) -> io::Result<()> {
    let deadline = Instant::now() + SETTLED_WITHIN;
    while !until() {
        if Instant::now() > deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the nodes of a cluster do not find one another"));
        }
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// A connection that says commands.
struct Connection {
    reader: BufReader<TcpStream>,
}

impl Connection {
    fn open(port: u16, password: &str) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut connection = Self { reader: BufReader::new(stream) };
        connection.say(&["AUTH", password])?;
        Ok(connection)
    }

    fn say(&mut self, words: &[&str]) -> io::Result<String> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        self.say_bytes(&words)
    }

    fn say_bytes(&mut self, words: &[&[u8]]) -> io::Result<String> {
        self.send(words)?;
        self.answer().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The strings of an answer that is a list.
    fn list(&mut self, words: &[&str]) -> io::Result<Vec<Vec<u8>>> {
        let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
        self.send(&words)?;
        let count = String::from_utf8_lossy(&self.answer()?).parse().map_err(io::Error::other)?;
        (0..count).map(|_: usize| self.answer()).collect()
    }

    fn send(&mut self, words: &[&[u8]]) -> io::Result<()> {
        let mut command = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            command.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            command.extend_from_slice(word);
            command.extend_from_slice(b"\r\n");
        }
        self.reader.get_mut().write_all(&command)
    }

    /// A string, or what stands behind the sign of anything else: of a list its length.
    fn answer(&mut self) -> io::Result<Vec<u8>> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        let text = line.trim_end().get(1..).unwrap_or_default().to_owned();
        match line.bytes().next() {
            Some(b'-') => Err(io::Error::other(text)),
            Some(b'$') => {
                let length: usize = text.parse().map_err(io::Error::other)?;
                let mut bytes = vec![0; length + 2];
                self.reader.read_exact(&mut bytes)?;
                bytes.truncate(length);
                Ok(bytes)
            }
            Some(_) => Ok(text.into_bytes()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}
