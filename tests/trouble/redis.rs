//! Writing many keys of any type, a thousand commands at a time.

use crate::keyspace::{Entry, Fields, Held};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

/// A connection to one database.
pub(crate) struct Bulk {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    out: Vec<u8>,
    waiting: usize,
}

impl Bulk {
    pub(crate) fn open(url: &str) -> Self {
        let rest = url.strip_prefix("redis://:").expect("a URL with a password");
        let (password, rest) = rest.split_once('@').expect("a host");
        let (address, database) = rest.split_once('/').expect("a database");
        let stream = TcpStream::connect(address).expect("connect to Redis");
        let reader = BufReader::new(stream.try_clone().expect("share the socket"));
        let mut bulk = Self { stream, reader, out: Vec::new(), waiting: 0 };
        bulk.command(&[b"AUTH", password.as_bytes()]);
        bulk.command(&[b"SELECT", database.as_bytes()]);
        bulk
    }

    /// Writes a key over what is there.
    pub(crate) fn write(&mut self, entry: &Entry) {
        let key = entry.key.as_slice();
        self.hold(key, &entry.held);
        if let Some(at) = entry.expires {
            self.command(&[b"PEXPIREAT", key, at.to_string().as_bytes()]);
        }
    }

    /// Makes a key hold a value.
    pub(crate) fn hold(&mut self, key: &[u8], held: &Held) {
        if let Held::Text(value) = held {
            return self.command(&[b"SET", key, value]);
        }
        self.delete(key);
        let mut words: Vec<&[u8]> = Vec::new();
        match held {
            Held::Text(_) => {}
            Held::Hash(fields) => {
                words.extend([&b"HSET"[..], key]);
                words.extend(fields.iter().flat_map(|(field, value)| [field.as_slice(), value.as_slice()]));
            }
            Held::List(items) | Held::Set(items) => {
                words.extend([if matches!(held, Held::List(_)) { &b"RPUSH"[..] } else { b"SADD" }, key]);
                words.extend(items.iter().map(Vec::as_slice));
            }
            Held::Zset(members) => {
                words.extend([&b"ZADD"[..], key]);
                words.extend(members.iter().flat_map(|(score, member)| [score.as_bytes(), member.as_slice()]));
            }
            Held::Stream(entries) => return self.stream(key, entries),
            Held::Zeros(bytes) => {
                let last = (bytes - 1).to_string();
                return self.command(&[b"SETRANGE", key, last.as_bytes(), b"\0"]);
            }
        }
        self.command(&words);
    }

    fn stream(&mut self, key: &[u8], entries: &[(String, Fields)]) {
        for (id, fields) in entries {
            let mut words: Vec<&[u8]> = vec![b"XADD", key, id.as_bytes()];
            words.extend(fields.iter().flat_map(|(field, value)| [field.as_slice(), value.as_slice()]));
            self.command(&words);
        }
    }

    pub(crate) fn delete(&mut self, key: &[u8]) {
        self.command(&[b"DEL", key]);
    }

    fn command(&mut self, words: &[&[u8]]) {
        self.out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
        for word in words {
            self.out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            self.out.extend_from_slice(word);
            self.out.extend_from_slice(b"\r\n");
        }
        self.waiting += 1;
        if self.waiting == 1000 || self.out.len() > 1 << 20 {
            self.finish();
        }
    }

    /// Sends what is left, and looks at the answers.
    pub(crate) fn finish(&mut self) {
        self.stream.write_all(&self.out).expect("send");
        self.out.clear();
        for _ in 0..std::mem::take(&mut self.waiting) {
            let mut line = String::new();
            self.reader.read_line(&mut line).expect("an answer");
            assert!(!line.starts_with('-'), "{line}");
            if line.starts_with('$') {
                // The id of a stream's entry.
                self.reader.read_line(&mut line).expect("the rest of an answer");
            }
        }
    }
}
