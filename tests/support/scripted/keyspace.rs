//! The strings of a scripted server, and its answers to what every server is asked.

use super::resp::{array, bulk, info, page};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Strings without expiry. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Keyspace {
    strings: Arc<Mutex<BTreeMap<String, String>>>,
}

impl Keyspace {
    /// Holds these keys and values.
    pub(crate) fn new(pairs: &[(String, String)]) -> Self {
        let keyspace = Self::default();
        keyspace.set(pairs);
        keyspace
    }

    /// Holds these and nothing else from now on.
    pub(crate) fn set(&self, pairs: &[(String, String)]) {
        *self.strings.lock().expect("no answer panics") = pairs.iter().cloned().collect();
    }

    /// The answer of a server of version 7.2 with run id `a`, whose SCAN lists nothing unless the script says so.
    pub(super) fn answer(&self, command: &[String]) -> String {
        let word = |index: usize| command.get(index).map_or("", String::as_str);
        let strings = self.strings.lock().expect("no answer panics");
        let found = strings.get(word(1));
        match word(0) {
            "PING" => "+PONG\r\n".to_owned(),
            "INFO" => info("a"),
            "CLIENT" if word(1) == "ID" => ":1\r\n".to_owned(),
            "GET" => found.map_or("$-1\r\n".to_owned(), |value| bulk(value)),
            "ASKING" | "AUTH" | "SELECT" | "CLIENT" | "QUIT" => "+OK\r\n".to_owned(),
            "TIME" => array(&[bulk("1700000000"), bulk("0")]),
            "DBSIZE" => format!(":{}\r\n", strings.len()),
            "SCAN" => page("0", &[]),
            "MGET" => each(&strings, &command[1..], |value| value.map_or("$-1\r\n".to_owned(), bulk)),
            "TYPE" => if found.is_some() { "+string\r\n" } else { "+none\r\n" }.to_owned(),
            "STRLEN" => format!(":{}\r\n", found.map_or(0, String::len)),
            "PEXPIRETIME" | "PTTL" => expiry(found.map(String::as_str)),
            "EVAL_RO" => script(&strings, &command[1], &command[3..]),
            other => format!("-ERR unknown command '{other}'\r\n"),
        }
    }
}

fn each(strings: &BTreeMap<String, String>, keys: &[String], reply: impl Fn(Option<&str>) -> String) -> String {
    let replies = keys.iter().map(|key| reply(strings.get(key).map(String::as_str)));
    array(&replies.collect::<Vec<_>>())
}

/// The scripts that are sent: the times of expiry of the keys, the bytes of all their values, or both.
fn script(strings: &BTreeMap<String, String>, script: &str, keys: &[String]) -> String {
    let mut replies = Vec::new();
    if script.contains("PEXPIRETIME") {
        replies.extend(keys.iter().map(|key| expiry(strings.get(key).map(String::as_str))));
    }
    if script.contains("STRLEN") {
        let bytes: usize = keys.iter().filter_map(|key| strings.get(key)).map(String::len).sum();
        replies.push(format!(":{bytes}\r\n"));
    }
    array(&replies)
}

fn expiry(value: Option<&str>) -> String {
    if value.is_some() { ":-1\r\n" } else { ":-2\r\n" }.to_owned()
}
