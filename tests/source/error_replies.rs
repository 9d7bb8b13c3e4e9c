//! What a server answers when it cannot or will not: errors that pass are waited for, wherever they come, and those that do
//! not end the work at once, in words that say what to mend.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed, in its helpers too")]

use crate::support;

use redis2pg::model::{Failure, Fetched, Items, RedisKey, RedisType, Wanted};
use redis2pg::source::redis::{RedisSource, SourceSettings};
use redis2pg::source::{Scan, Slices, Source};
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::scripted::{Answer, Keyspace, ScriptedRedis, array, bulk, page, reply, scan_cursor};
use tokio::task::JoinSet;

/// Errors of a server that will be ready in a moment.
const PASSING: [&str; 7] = [
    "LOADING Redis is loading the dataset in memory",
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    "CLUSTERDOWN The cluster is down",
    "TRYAGAIN Multiple keys request during rehashing of slot",
    "ERR max number of clients reached",
    "ERR max number of clients + cluster connections reached",
];

/// Errors that no further attempt mends, the exit code, and words of what is said.
const FINAL: [(&str, u8, &str); 7] = [
    ("NOAUTH Authentication required.", 2, "refused the credentials"),
    ("WRONGPASS invalid username-password pair or user is disabled.", 2, "refused the credentials"),
    ("NOPERM this user has no permissions to run the 'x' command", 2, "does not let this user run"),
    ("ERR DB index is out of range", 2, "has no database"),
    ("READONLY You can't write against a read only replica.", 5, "is a replica"),
    ("MOVED 1234 127.0.0.1:7001", 2, "node of a Redis Cluster"),
    ("ERR something else", 5, "something else"),
];

/// The commands that read, in the order in which [`read`] comes to them.
const PLACES: [&str; 14] = [
    "SCAN", "INFO", "STRLEN", "MGET", "EVAL_RO", "TYPE", "HGETALL", "CLIENT", "WATCH", "HSCAN", "SSCAN", "ZSCAN",
    "MULTI", "EXEC",
];

/// A server with two strings, a small hash, and a large hash, set and sorted set; `fault` is asked for each command of
/// [`read`] before the server is.
struct Server {
    source: SourceSettings,
    armed: Arc<AtomicUsize>,
}

type Fault = Arc<dyn Fn(&[String]) -> Option<Answer> + Send + Sync>;

impl Server {
    fn start(fault: Fault) -> Self {
        let armed = Arc::new(AtomicUsize::new(0));
        let is_armed = armed.clone();
        let pairs = ["a", "b"].map(|key| (format!("string:{key}"), key.to_owned()));
        // Connections in the middle of a transaction.
        let open = Mutex::new(HashSet::new());
        let server = ScriptedRedis::start(Keyspace::new(&pairs), move |connection, command| {
            let mut open = open.lock().unwrap();
            if is_armed.load(Ordering::SeqCst) == 1
                && let Some(answer) = fault(command)
            {
                // Whatever it answers, EXEC ends a transaction; an error before it does not.
                open.retain(|other| *other != connection || command[0] != "EXEC");
                return Some(answer);
            }
            match command[0].as_str() {
                "MULTI" => open.insert(connection),
                "EXEC" | "DISCARD" => open.remove(&connection),
                "WATCH" if open.contains(&connection) => {
                    return reply("-ERR WATCH inside MULTI is not allowed\r\n".to_owned());
                }
                _ if open.contains(&connection) => return reply("+QUEUED\r\n".to_owned()),
                _ => false,
            };
            healthy(command)
        });
        let mut source = SourceSettings::new(server.url());
        source.reconnect_attempts = 3;
        source.command_timeout = Duration::from_secs(5);
        Self { source, armed }
    }

    /// Connects, and from then on the faults come.
    async fn connect(&self) -> RedisSource {
        let source = RedisSource::connect(&self.source, None).await.unwrap();
        self.armed.store(1, Ordering::SeqCst);
        source
    }
}

fn healthy(command: &[String]) -> Option<Answer> {
    let key = command.get(1).map_or("", String::as_str);
    match command[0].as_str() {
        "SCAN" => match scan_cursor(command)? {
            "0" => reply(page("7", &["string:a"])),
            _ => reply(page("0", &["string:b"])),
        },
        "EVAL_RO" if command[1].contains("MEMORY") => {
            let (name, memory) = match command[3].as_str() {
                "hash:small" => ("hash", 100),
                "hash:large" => ("hash", 9 << 20),
                "set:large" => ("set", 9 << 20),
                "zset:large" => ("zset", 9 << 20),
                _ => ("none", -1),
            };
            reply(array(&[bulk(name), format!(":{memory}\r\n"), ":-1\r\n".to_owned()]))
        }
        "HGETALL" => reply(array(&[bulk("f"), bulk("v")])),
        "HSCAN" | "SSCAN" | "ZSCAN" => match (key, command[2].as_str()) {
            (_, "0") => reply(page("9", &["1", "2"])),
            _ => reply(page("0", &["3", "4"])),
        },
        "WATCH" | "MULTI" | "DISCARD" | "UNWATCH" => reply("+OK\r\n".to_owned()),
        "EXEC" => reply("*1\r\n+PONG\r\n".to_owned()),
        _ => None,
    }
}

/// Lists all keys and reads all kinds of values; what came of it in one text.
async fn read(source: &RedisSource) -> Result<String, Failure> {
    // Boxed: many of them run on one thread's stack.
    Box::pin(read_all(source)).await
}

async fn read_all(source: &RedisSource) -> Result<String, Failure> {
    let mut told = Vec::new();
    let mut scan = source.scan(None);
    while let Some(page) = scan.next().await? {
        told.extend(page.keys.iter().map(RedisKey::to_string));
    }
    let keys = ["string:a", "string:b", "string:gone"].map(RedisKey::new);
    let page = source.fetch(&keys, Wanted::strings(true), 1 << 20).await?;
    told.extend(page.records.iter().map(shown));
    let types = RedisType::ALL.into_iter().collect();
    let wanted = Wanted { types, slices: true, ..Wanted::strings(true) };
    for key in ["hash:small", "hash:large", "set:large", "zset:large"] {
        for fetched in source.fetch(&[RedisKey::new(key)], wanted, 32 << 20).await?.records {
            let Fetched::Large { key, large } = fetched else {
                told.push(shown(&fetched));
                continue;
            };
            let mut slices = source.slices(key, large);
            // What a reading that was begun anew gave before is void.
            let mut read = Vec::new();
            while let Some(slice) = slices.next().await? {
                if matches!(&slice, Fetched::Record(record) if record.slice.unwrap().first) {
                    read.clear();
                }
                read.push(shown(&slice));
            }
            told.extend(read);
        }
    }
    Ok(told.join(" "))
}

fn shown(fetched: &Fetched) -> String {
    match fetched {
        Fetched::Record(record) if record.redis_type == RedisType::String => {
            String::from_utf8_lossy(&record.value).into_owned()
        }
        Fetched::Record(record) => {
            let items = Items::of(&record.value).map(String::from_utf8_lossy);
            format!("{}[{}]", record.key, items.collect::<Vec<_>>().join(","))
        }
        Fetched::Gone(key) => format!("{key}-gone"),
        other => format!("{other:?}"),
    }
}

const ALL: &str = "string:a string:b a b string:gone-gone hash:small[f,v] hash:large[1,2] hash:large[3,4] \
                   set:large[1,2] set:large[3,4] zset:large[1,2] zset:large[3,4]";

/// A fault at each sighting of a command for so often.
fn times(command: &'static str, error: &'static str, count: usize) -> (Fault, Arc<AtomicUsize>) {
    let seen = Arc::new(AtomicUsize::new(0));
    let counter = seen.clone();
    let fault: Fault = Arc::new(move |words: &[String]| {
        let asked = words[0].to_uppercase() == command;
        let due = asked && counter.fetch_add(1, Ordering::SeqCst) < count;
        let aborted = if command == "EXEC" { "EXECABORT Transaction discarded because of: " } else { "" };
        due.then(|| Answer::Reply(format!("-{aborted}{error}\r\n")))
    });
    (fault, seen)
}

/// Runs cases side by side.
async fn all(cases: impl Iterator<Item = impl Future<Output = ()> + Send + 'static>) {
    let mut running: JoinSet<()> = cases.map(Box::pin).collect();
    while let Some(ended) = running.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_is_not_ready_is_waited_for_wherever_it_says_so() {
    assert_eq!(read(&Server::start(Arc::new(|_: &[String]| None)).connect().await).await.unwrap(), ALL);
    let case = |place: &'static str, error: &'static str| async move {
        let (fault, seen) = times(place, error, 2);
        let server = Server::start(fault);
        let told = read(&server.connect().await).await.unwrap_or_else(|failure| failure.to_string());
        assert_eq!(told, ALL, "{place}: {error}");
        assert!(seen.load(Ordering::SeqCst) > 2, "{place} is asked again");
    };
    let cases = PLACES.iter().flat_map(|place| PASSING.iter().map(move |error| case(place, error)));
    all(cases).await;
}

#[tokio::test]
async fn a_server_that_never_gets_ready_ends_the_work_in_bounded_time_and_says_why() {
    let case = |place: &'static str, error: &'static str| async move {
        let (fault, _) = times(place, error, usize::MAX);
        let mut server = Server::start(fault);
        server.source.reconnect_attempts = 2;
        server.source.loading_timeout = Duration::from_millis(500);
        let began = Instant::now();
        let failure = read(&server.connect().await).await.unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(30), "{place}: {error}");
        assert_eq!(failure.exit.code(), 5, "{place}: {failure}");
        let said = format!("{failure}");
        let why = if error.starts_with("LOADING") { "source.loading_timeout" } else { "did not come back" };
        assert!(said.contains(why) && said.contains(error), "{place}: {said}");
        assert!(failure.hint.contains("start again"), "{place}");
    };
    let cases = PLACES.iter().flat_map(|place| [PASSING[0], PASSING[4]].map(|error| case(place, error)));
    all(cases).await;
}

#[tokio::test]
async fn what_no_attempt_mends_ends_the_work_at_once_in_clear_words() {
    let case = |place: &'static str, (error, code, words): (&'static str, u8, &'static str)| async move {
        let (fault, seen) = times(place, error, usize::MAX);
        let server = Server::start(fault);
        let failure = read(&server.connect().await).await.unwrap_err();
        assert_eq!(failure.exit.code(), code, "{place}: {failure}");
        assert!(failure.message.contains(words), "{place}: {failure}");
        // A pipeline and a page that is asked for ahead have more than one under way.
        assert!(seen.load(Ordering::SeqCst) <= 3, "{place}: {error}: asked {} times", seen.load(Ordering::SeqCst));
    };
    let cases = ["SCAN", "INFO", "MGET", "EVAL_RO", "TYPE", "HGETALL", "HSCAN", "SSCAN", "ZSCAN"];
    let cases = cases.iter().flat_map(|place| FINAL.iter().map(move |kind| (*place, *kind)));
    all(cases.map(|(place, kind)| case(place, kind))).await;
}

/// A server that answers its first connections with an error, and closes them.
async fn connects(error: &'static str, count: usize) -> Result<RedisSource, Failure> {
    let server = ScriptedRedis::start(Keyspace::default(), move |connection, command| {
        (connection < count && command[0].to_uppercase() == "PING").then(|| Answer::Reply(format!("-{error}\r\n")))
    });
    let mut settings = SourceSettings::new(server.url());
    settings.reconnect_attempts = 2;
    if count > 2 {
        settings.loading_timeout = Duration::from_millis(250);
    }
    RedisSource::connect(&settings, None).await
}

#[tokio::test]
async fn the_first_connection_waits_for_what_passes_and_for_nothing_else() {
    for error in PASSING {
        assert!(connects(error, 2).await.is_ok(), "{error}");
    }
    let failure = connects(PASSING[0], 3).await.err().unwrap();
    assert!(failure.exit.code() == 5 && failure.message.contains("LOADING"), "{failure}");
    for (error, code, _) in FINAL.into_iter().take(4) {
        let began = Instant::now();
        let failure = connects(error, 1).await.err().unwrap();
        assert_eq!(failure.exit.code(), code, "{failure}");
        assert!(began.elapsed() < Duration::from_millis(900), "{error}: it is not tried again");
    }
}

#[tokio::test]
async fn a_server_that_loads_its_data_after_a_restart_is_waited_for_although_no_command_gets_through() {
    const LOADS: Duration = Duration::from_secs(6);
    let closed: Mutex<Option<Instant>> = Mutex::new(None);
    let server =
        ScriptedRedis::start(Keyspace::new(&[("a".to_owned(), "1".to_owned())]), move |connection, command| {
            let mut closed = closed.lock().unwrap();
            match (connection, command[0].to_uppercase().as_str(), *closed) {
                (0, "MGET", _) => {
                    *closed = Some(Instant::now());
                    Some(Answer::Close)
                }
                (1.., "PING", Some(since)) if since.elapsed() < LOADS => {
                    reply("-LOADING Redis is loading the dataset in memory\r\n".to_owned())
                }
                _ => None,
            }
        });
    let mut settings = SourceSettings::new(server.url());
    // Attempts for four seconds.
    (settings.reconnect_attempts, settings.command_timeout) = (4, Duration::from_millis(500));
    let source = RedisSource::connect(&settings, None).await.unwrap();
    let began = Instant::now();
    let page = source.fetch(&[RedisKey::new("a")], Wanted::strings(false), 1 << 20).await.unwrap();
    assert!(page.records.len() == 1 && began.elapsed() >= LOADS, "{:?}", began.elapsed());
}

#[tokio::test]
async fn credentials_that_are_refused_at_a_reconnection_are_not_tried_for_ever() {
    for error in ["WRONGPASS invalid username-password pair or user is disabled.", "NOAUTH Authentication required."] {
        let closed = Mutex::new(false);
        let server = ScriptedRedis::start(Keyspace::default(), move |connection, command| {
            match (connection, command[0].to_uppercase().as_str()) {
                (0, "MGET") => {
                    *closed.lock().unwrap() = true;
                    Some(Answer::Close)
                }
                (0, _) => None,
                (_, "PING" | "AUTH" | "HELLO") if *closed.lock().unwrap() => reply(format!("-{error}\r\n")),
                _ => None,
            }
        });
        let mut settings = SourceSettings::new(server.url());
        settings.command_timeout = Duration::from_secs(2);
        let source = RedisSource::connect(&settings, None).await.unwrap();
        let began = Instant::now();
        let failure = source.fetch(&[RedisKey::new("a")], Wanted::strings(false), 1 << 20).await.unwrap_err();
        assert_eq!(failure.exit.code(), 2, "{failure}");
        assert!(failure.message.contains("refused the credentials"), "{failure}");
        assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
    }
}
