//! Fields of hashes that expire by themselves, and documents of RedisJSON: a server that has them is played where the
//! installed one has not.

use crate::support::scripted::{Answer, Keyspace, ScriptedRedis, array, bulk, page, reply, scan_cursor};
use crate::support::{Case, entries_of};
use crate::{Done, backup};
use redis2pg::backup::{Entry, Logical, Reader};
use redis2pg::model::Items;

/// When a field expires.
const AT: i64 = 4_000_000_000_123;
/// Does not.
const NEVER: i64 = -1;

/// What the server says when it is asked for the times of fields.
#[derive(Clone, Copy, PartialEq)]
enum Times {
    Told,
    /// The user may not ask.
    Refused,
    /// It refuses once the backup has begun.
    RefusedLater,
    /// It has no such command.
    Unknown,
}

/// A server with one hash, `timed` (a expires, b does not), that takes so much memory, and a document. INFO tells how many
/// hashes have fields that expire, or does not.
fn server(times: Times, memory: u64, counted: bool) -> Case {
    let number = |number: i64| format!(":{number}\r\n");
    let refused = "-NOPERM User x has no permissions to run the 'hpexpiretime' command\r\n".to_owned();
    let server = ScriptedRedis::start(Keyspace::default(), move |_, command| {
        let time = |field: &String| number(if field == "a" { AT } else { NEVER });
        let is_probe = command.iter().any(|word| word == "redis2pg:probe");
        match command[0].as_str() {
            "SCAN" => scan_cursor(command).map(|_| Answer::Reply(page("0", &["timed", "document"]))),
            "MGET" => reply(array(&command[1..].iter().map(|_| "$-1\r\n".to_owned()).collect::<Vec<_>>())),
            "TYPE" if command[1] == "timed" => reply("+hash\r\n".to_owned()),
            "TYPE" if command[1] == "document" => reply("+ReJSON-RL\r\n".to_owned()),
            "PEXPIRETIME" => reply(number(-1)),
            "MEMORY" => reply(number(i64::try_from(memory).unwrap())),
            "INFO" if command.get(1).is_some_and(|section| section == "keyspace") => reply(match counted {
                true => bulk("# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0,subexpiry=1\r\n"),
                false => "-NOPERM User x has no permissions to run the 'info' command\r\n".to_owned(),
            }),
            // What the keys are.
            "EVAL_RO" if command[1].contains("MEMORY") && !is_probe => {
                let facts = |key: &String| {
                    let name = if key == "timed" { "hash" } else { "ReJSON-RL" };
                    let memory = if key == "timed" { memory } else { 100 };
                    [bulk(name), number(i64::try_from(memory).unwrap()), number(-1)]
                };
                reply(array(&command[3..].iter().flat_map(facts).collect::<Vec<_>>()))
            }
            // What they hold.
            "EVAL_RO" if command[1].contains("HGETALL") => {
                let asks = !command[1].contains("if false and");
                let fields = match times {
                    Times::Told if asks => array(&[number(AT), number(NEVER)]),
                    Times::RefusedLater if asks => bulk(""),
                    _ => "$-1\r\n".to_owned(),
                };
                let five = |key: &String| match key.as_str() {
                    "timed" => array(&[
                        bulk("hash"),
                        number(-1),
                        bulk("dump"),
                        array(&["a", "1", "b", "2"].map(bulk)),
                        fields.clone(),
                    ]),
                    _ => array(&[
                        bulk("ReJSON-RL"),
                        number(AT),
                        bulk("dump"),
                        bulk("{\"a\":[1,2.5]}"),
                        "$-1\r\n".to_owned(),
                    ]),
                };
                reply(array(&command[3..].iter().map(five).collect::<Vec<_>>()))
            }
            // Strings and their times: there are none.
            "EVAL_RO" if command[1].contains("ask('GET'") => {
                let none = |_: &String| ["$-1\r\n".to_owned(), number(NEVER)];
                reply(array(&command[3..].iter().flat_map(none).collect::<Vec<_>>()))
            }
            "HSCAN" => reply(page("0", &["b", "2", "a", "1"])),
            "HPEXPIRETIME" => match times {
                Times::Told => reply(array(&command[4..].iter().map(time).collect::<Vec<_>>())),
                Times::RefusedLater if is_probe => reply(array(&[number(-2)])),
                Times::Refused | Times::RefusedLater => reply(refused.clone()),
                Times::Unknown => None,
            },
            "WATCH" | "UNWATCH" | "MULTI" => reply("+OK\r\n".to_owned()),
            "EXEC" => reply("*1\r\n+PONG\r\n".to_owned()),
            _ => None,
        }
    });
    Case::with_ends(&server.url(), "")
}

fn of_key(done: &Done, key: &str) -> Entry {
    let entries = entries_of(&done.file);
    let parts = entries.get(&(0, key.to_owned())).unwrap_or_else(|| panic!("{entries:?}\n{:#}", done.json));
    let [entry] = parts.as_slice() else { panic!("{parts:?}") };
    entry.clone()
}

/// The fields of the hash, and when they expire.
fn timed(done: &Done) -> (Vec<String>, Option<Vec<i64>>) {
    let Some(Logical::Hash { items, expiries }) = of_key(done, "timed").logical else { panic!("no hash") };
    (Items::of(&items).pairs().map(|(field, _)| String::from_utf8_lossy(field).into_owned()).collect(), expiries)
}

const SAID: &str = "Redis does not tell when fields of hashes expire";

#[test]
fn times_of_fields_are_in_the_file_or_it_is_told_that_they_are_not() {
    // Read by one script, and in parts.
    for memory in [100, 20 << 20] {
        let done = backup(&server(Times::Told, memory, true), &[]).exits(0);
        let (fields, expiries) = timed(&done);
        let expected = fields.iter().map(|field| if field == "a" { AT } else { NEVER }).collect();
        assert_eq!((fields.len(), expiries), (2, Some(expected)), "{memory}");
        assert!(!done.json["notices"].to_string().contains(SAID), "{:#}", done.json);
        assert!(!Reader::open(&done.file).unwrap().header().fields_untold);
        for (times, counted) in
            [(Times::Refused, true), (Times::Refused, false), (Times::RefusedLater, true), (Times::Unknown, true)]
        {
            let done = backup(&server(times, memory, counted), &[]).exits(0);
            assert_eq!(timed(&done).1, None, "{memory}");
            assert!(done.json["notices"].to_string().contains(SAID), "{memory}: {:#}", done.json);
            let header = Reader::open(&done.file).unwrap().header().clone();
            assert_eq!(header.fields_untold, times != Times::RefusedLater, "{memory}");
        }
        // A server without the command, which tells of no such field, has none.
        let done = backup(&server(Times::Unknown, memory, false), &[]).exits(0);
        assert!(!done.json["notices"].to_string().contains("database 0"), "{:#}", done.json);
        assert!(!Reader::open(&done.file).unwrap().header().fields_untold);
    }
}

#[test]
fn a_document_has_its_text_its_dump_and_its_time() {
    let done = backup(&server(Times::Told, 100, true), &[]).exits(0);
    let entry = of_key(&done, "document");
    assert_eq!((entry.type_name.as_ref(), entry.expires_at), ("ReJSON-RL", Some(AT)));
    assert_eq!(entry.dump.as_deref(), Some(&b"dump"[..]));
    assert_eq!(entry.logical, Some(Logical::Bytes("{\"a\":[1,2.5]}".into())));
}
