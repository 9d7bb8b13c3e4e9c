//! A connection that gives whole answers, and what a Redis holds, written down so that two of them can be compared: contents
//! and times, by other commands than the product uses where there are any.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reply {
    Line(String),
    Error(String),
    Int(i64),
    Bulk(Vec<u8>),
    Nil,
    Array(Vec<Reply>),
}

impl Reply {
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Bulk(bytes) => bytes,
            Self::Line(text) => text.as_bytes(),
            other => panic!("{other:?} is no string"),
        }
    }

    pub(crate) fn list(&self) -> &[Reply] {
        match self {
            Self::Array(items) => items,
            other => panic!("{other:?} is no array"),
        }
    }

    pub(crate) fn int(&self) -> i64 {
        match self {
            Self::Int(number) => *number,
            other => panic!("{other:?} is no number"),
        }
    }

    /// The pairs of a list of names and values.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&str, &Reply)> {
        self.list().chunks_exact(2).map(move |pair| (str::from_utf8(pair[0].bytes()).unwrap(), &pair[1]))
    }

    /// The value behind a name in a list of names and values.
    pub(crate) fn member(&self, name: &str) -> Option<&Reply> {
        let pair = |pair: &&[Reply]| pair.first().is_some_and(|known| known.bytes() == name.as_bytes());
        self.list().chunks_exact(2).find(pair).and_then(|pair| pair.get(1))
    }
}

/// A connection.
pub(crate) struct Redis {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Redis {
    /// Opens one; the URL may have a password, and a database.
    pub(crate) fn open(url: &str) -> Self {
        let rest = url.strip_prefix("redis://").unwrap();
        let (password, rest) = rest.split_once('@').map_or((None, rest), |(user, rest)| (user.strip_prefix(':'), rest));
        let (address, database) = rest.split_once('/').unwrap_or((rest, "0"));
        let stream = TcpStream::connect(address).unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        let mut redis = Self { stream, reader };
        if let Some(password) = password {
            redis.ok(&[b"AUTH", password.as_bytes()]);
        }
        redis.ok(&[b"SELECT", database.as_bytes()]);
        redis
    }

    /// Sends a command.
    pub(crate) fn ask(&mut self, words: &[&[u8]]) -> Reply {
        self.send(words);
        self.read()
    }

    /// Sends a command that must not fail.
    #[track_caller]
    pub(crate) fn ok(&mut self, words: &[&[u8]]) -> Reply {
        let reply = self.ask(words);
        if let Reply::Error(error) = &reply {
            panic!("{}: {error}", String::from_utf8_lossy(words[0]));
        }
        reply
    }

    /// Sends a command of words without spaces, which must not fail.
    #[track_caller]
    pub(crate) fn say(&mut self, command: &str) -> Reply {
        let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        self.ok(&words)
    }

    /// Sends commands at once; none may fail.
    pub(crate) fn all(&mut self, commands: &[Vec<Vec<u8>>]) {
        for piece in commands.chunks(200) {
            for command in piece {
                self.send(&command.iter().map(Vec::as_slice).collect::<Vec<_>>());
            }
            for command in piece {
                if let Reply::Error(error) = self.read() {
                    panic!("{}: {error}", String::from_utf8_lossy(&command[0]));
                }
            }
        }
    }

    fn send(&mut self, words: &[&[u8]]) {
        let mut out = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            out.extend_from_slice(word);
            out.extend_from_slice(b"\r\n");
        }
        self.stream.write_all(&out).unwrap();
    }

    fn read(&mut self) -> Reply {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        let (kind, rest) = line.trim_end().split_at(1);
        let number = || rest.parse::<i64>().unwrap();
        match kind {
            "+" => Reply::Line(rest.to_owned()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Int(number()),
            "$" => match usize::try_from(number()) {
                Err(_) => Reply::Nil,
                Ok(length) => {
                    let mut bytes = vec![0; length + 2];
                    self.reader.read_exact(&mut bytes).unwrap();
                    bytes.truncate(length);
                    Reply::Bulk(bytes)
                }
            },
            "*" => match usize::try_from(number()) {
                Err(_) => Reply::Nil,
                Ok(length) => Reply::Array((0..length).map(|_| self.read()).collect()),
            },
            other => panic!("{other}{rest} is no answer"),
        }
    }

    /// All keys of the database.
    pub(crate) fn keys(&mut self) -> Vec<Vec<u8>> {
        self.say("KEYS *").list().iter().map(|key| key.bytes().to_vec()).collect()
    }
}

/// What a key holds and when it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) kind: String,
    pub(crate) items: Vec<Reply>,
    pub(crate) expires: i64,
}

/// What the database holds, key by key.
pub(crate) fn held(redis: &mut Redis) -> BTreeMap<Vec<u8>, Held> {
    redis.keys().into_iter().filter_map(|key| Some((key.clone(), held_by(redis, &key)?))).collect()
}

/// What a key holds; `None` where it is not there.
pub(crate) fn held_by(redis: &mut Redis, key: &[u8]) -> Option<Held> {
    let kind = String::from_utf8(redis.ok(&[b"TYPE", key]).bytes().to_vec()).unwrap();
    let items = match kind.as_str() {
        "none" => return None,
        "string" => vec![redis.ok(&[b"GET", key])],
        "list" => redis.ok(&[b"LRANGE", key, b"0", b"-1"]).list().to_vec(),
        "set" => sorted(redis.ok(&[b"SMEMBERS", key]).list().to_vec()),
        "hash" => pairs(&redis.ok(&[b"HGETALL", key])),
        "zset" => scored(&redis.ok(&[b"ZRANGE", key, b"0", b"-1", b"WITHSCORES"])),
        "stream" => stream(redis, key),
        other => panic!("{other}"),
    };
    let expires = redis.ok(&[b"PEXPIRETIME", key]).int();
    Some(Held { kind, items, expires })
}

/// Members with their scores. Redis keeps no sign of a zero in a small sorted set: which members of a larger one have lost it depends on
/// which were there while it was small.
fn scored(answer: &Reply) -> Vec<Reply> {
    let mut words = answer.list().to_vec();
    for score in words.iter_mut().skip(1).step_by(2).filter(|score| **score == Reply::Bulk(b"-0".to_vec())) {
        *score = Reply::Bulk(b"0".to_vec());
    }
    pairs(&Reply::Array(words))
}

fn sorted(mut items: Vec<Reply>) -> Vec<Reply> {
    items.sort();
    items
}

fn pairs(reply: &Reply) -> Vec<Reply> {
    sorted(reply.list().chunks(2).map(|pair| Reply::Array(pair.to_vec())).collect())
}

/// Entries, ids, groups, consumers and what is pending; not when a consumer was seen last, nor how the server keeps it.
fn stream(redis: &mut Redis, key: &[u8]) -> Vec<Reply> {
    let mut items = redis.ok(&[b"XRANGE", key, b"-", b"+"]).list().to_vec();
    let info = redis.ok(&[b"XINFO", b"STREAM", key, b"FULL", b"COUNT", b"0"]);
    let of = |reply: &Reply, names: &[&str]| -> Vec<Reply> {
        names.iter().map(|name| reply.member(name).cloned().unwrap_or_else(|| panic!("no {name}: {reply:?}"))).collect()
    };
    // Some servers say `pel`, others `pending`.
    let pending = |reply: &Reply| reply.member("pel").or_else(|| reply.member("pending")).cloned().unwrap();
    items.extend(of(&info, &["length", "last-generated-id", "max-deleted-entry-id", "entries-added"]));
    for group in info.member("groups").unwrap().list() {
        items.extend(of(group, &["name", "last-delivered-id", "entries-read", "lag"]));
        items.push(pending(group));
        let consumers = group.member("consumers").unwrap().list();
        let consumer = |one: &Reply| Reply::Array([of(one, &["name"]), vec![pending(one)]].concat());
        items.push(Reply::Array(sorted(consumers.iter().map(consumer).collect())));
    }
    items
}

/// Fails where two databases do not hold the same, naming the first keys that differ.
#[track_caller]
pub(crate) fn assert_same(found: &BTreeMap<Vec<u8>, Held>, wanted: &BTreeMap<Vec<u8>, Held>) {
    let name = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
    let missing: Vec<_> = wanted.keys().filter(|key| !found.contains_key(*key)).map(|key| name(key)).collect();
    let more: Vec<_> = found.keys().filter(|key| !wanted.contains_key(*key)).map(|key| name(key)).collect();
    assert!(missing.is_empty() && more.is_empty(), "missing {missing:?}, too many {more:?}");
    for (key, held) in wanted {
        let now = &found[key];
        assert_eq!((&now.kind, now.expires), (&held.kind, held.expires), "{}", name(key));
        assert_eq!(now.items.len(), held.items.len(), "{}", name(key));
        for (at, (found, wanted)) in now.items.iter().zip(&held.items).enumerate() {
            assert!(found == wanted, "{} ({}), item {at}: {found:?} instead of {wanted:?}", name(key), held.kind);
        }
    }
}
