//! Values of modules, which a server is played for: whatever their size, the dump and the time of expiry are of one moment.

use crate::support::Case;
use crate::support::scripted::{Answer, Keyspace, ScriptedRedis, array, bulk, page, reply, scan_cursor};
use crate::{Done, backup};
use redis2pg::backup::{Entry, Logical};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// When the key expires, before the application writes to it.
const AT: i64 = 4_000_000_000_123;
const LARGE: i64 = 2 << 20;

/// The answers of a server with one key of a module, as far as they are the same for all tests.
fn common(command: &[String], type_name: &str, at: i64, memory: i64) -> Option<Answer> {
    let number = |number: i64| format!(":{number}\r\n");
    let is_probe = command.iter().any(|word| word == "redis2pg:probe");
    match command[0].as_str() {
        "SCAN" => scan_cursor(command).map(|_| Answer::Reply(page("0", &["one"]))),
        "MGET" => reply(array(&command[1..].iter().map(|_| "$-1\r\n".to_owned()).collect::<Vec<_>>())),
        "TYPE" if command[1] == "one" => reply(format!("+{type_name}\r\n")),
        "PEXPIRETIME" => reply(number(at)),
        "MEMORY" => reply(number(memory)),
        // What the key is.
        "EVAL_RO" if command[1].contains("MEMORY") && !is_probe => {
            reply(array(&[bulk(type_name), number(memory), number(at)]))
        }
        // Strings and their times: there are none.
        "EVAL_RO" if command[1].contains("ask('GET'") && !command[1].contains("HGETALL") => {
            reply(array(&["$-1\r\n".to_owned(), number(-1)]))
        }
        "WATCH" | "UNWATCH" | "MULTI" => reply("+OK\r\n".to_owned()),
        "EXEC" => reply("*1\r\n+PONG\r\n".to_owned()),
        _ => None,
    }
}

fn refused(command: &str) -> Option<Answer> {
    reply(format!("-NOPERM User x has no permissions to run the '{command}' command\r\n"))
}

fn only(done: &Done) -> Entry {
    let entries: Vec<Entry> = done.entries().into_values().flatten().collect();
    let [entry] = <[Entry; 1]>::try_from(entries).unwrap_or_else(|entries| panic!("{entries:?}\n{}", done.stdout));
    entry
}

/// The application takes the key's time of expiry away before the dump: with the time it would be dropped by a restore.
#[test]
fn a_large_value_that_is_written_to_while_it_is_read_has_the_time_that_goes_with_its_dump() {
    for memory in [LARGE, 100 << 20] {
        let dumps = Arc::new(AtomicUsize::new(0));
        let counted = dumps.clone();
        let server = ScriptedRedis::start(Keyspace::default(), move |_, command| {
            let before = counted.load(Ordering::SeqCst) == 0;
            match command[0].as_str() {
                "DUMP" => {
                    counted.fetch_add(1, Ordering::SeqCst);
                    reply(bulk("written"))
                }
                // The watch tells that it was written to when it was dumped first.
                "EXEC" if counted.load(Ordering::SeqCst) == 1 => {
                    counted.fetch_add(1, Ordering::SeqCst);
                    reply("*-1\r\n".to_owned())
                }
                _ => common(command, "MBbloom--", if before { AT } else { -1 }, memory),
            }
        });
        let done = backup(&Case::with_ends(&server.url(), ""), &[]).exits(0);
        let entry = only(&done);
        assert_eq!((entry.dump.as_deref(), entry.expires_at), (Some(&b"written"[..]), None), "{memory}");
        assert!(entry.logical.is_none());
    }
}

#[test]
fn a_value_that_cannot_be_dumped_is_left_out_whatever_its_size() {
    for memory in [LARGE, 200 << 20] {
        let server = ScriptedRedis::start(Keyspace::default(), move |_, command| match command[0].as_str() {
            "DUMP" => refused("dump"),
            _ => common(command, "MBbloom--", -1, memory),
        });
        let done = backup(&Case::with_ends(&server.url(), ""), &[]).exits(3);
        let reason = if memory == LARGE { "no_dump" } else { "value_too_large" };
        assert_eq!((done.reason("unreadable", reason), done.count("kept")), (1, 0), "{}", done.stdout);
    }
}

/// Whatever its size: what a cleanup has compared is its text, and a restore elsewhere takes that too.
#[test]
fn a_large_document_has_its_dump_and_its_text_as_far_as_they_can_be_had() {
    const TEXT: &str = r#"{"a":[1,2.5]}"#;
    for (may, dump, text) in [
        (["JSON.GET", "DUMP"], Some(&b"dump"[..]), Some(TEXT)),
        (["", "DUMP"], Some(&b"dump"[..]), None),
        (["JSON.GET", ""], None, Some(TEXT)),
    ] {
        let server = ScriptedRedis::start(Keyspace::default(), move |_, command| match command[0].as_str() {
            name @ ("JSON.GET" | "DUMP") if !may.contains(&name) => refused(&name.to_lowercase()),
            "JSON.GET" => reply(bulk(TEXT)),
            "DUMP" => reply(bulk("dump")),
            _ => common(command, "ReJSON-RL", AT, LARGE),
        });
        let entry = only(&backup(&Case::with_ends(&server.url(), ""), &[]).exits(0));
        assert_eq!((entry.dump.as_deref(), entry.expires_at), (dump, Some(AT)), "{may:?}");
        assert_eq!(entry.logical, text.map(|text| Logical::Bytes(text.into())), "{may:?}");
    }
}
