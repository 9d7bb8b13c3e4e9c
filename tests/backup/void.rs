//! Collections of which nothing is left while they are read, and those with pages without an item: a server plays them.

use crate::support::Case;
use crate::support::scripted::{Answer, Keyspace, ScriptedRedis, array, bulk, page, reply, scan_cursor};
use crate::{Done, backup};
use redis2pg::backup::Logical;
use redis2pg::model::Items;
use std::sync::atomic::{AtomicUsize, Ordering};

const NO_SUCH_FIELD: &str = ":-2\r\n";
const NEVER: &str = ":-1\r\n";

/// A server with one key, `key`, that is large. `script` is asked first, with how often the scan of the key was begun so far. Where the user may
/// `watch`, nothing that is watched changes.
fn server(
    type_name: &'static str,
    watch: bool,
    script: impl Fn(usize, &[String]) -> Option<String> + Send + Sync + 'static,
) -> Case {
    let begun = AtomicUsize::new(0);
    let server = ScriptedRedis::start(Keyspace::default(), move |_, command| {
        let is_key = command.get(1).is_some_and(|word| word == "key");
        let begins = usize::from(is_key && command[0].ends_with("SCAN") && command[2] == "0");
        let begun = begun.fetch_add(begins, Ordering::SeqCst) + begins;
        if let Some(text) = script(begun, command).filter(|_| is_key) {
            return reply(text);
        }
        match command[0].as_str() {
            "SCAN" => scan_cursor(command).map(|_| Answer::Reply(page("0", &["key"]))),
            "MGET" => reply(array(&command[1..].iter().map(|_| "$-1\r\n".to_owned()).collect::<Vec<_>>())),
            "TYPE" if is_key => reply(format!("+{type_name}\r\n")),
            "PEXPIRETIME" => reply(NEVER.to_owned()),
            "MEMORY" => reply(format!(":{}\r\n", 20 << 20)),
            "EVAL_RO" if command[1].contains("MEMORY") => {
                let facts = |_: &String| [bulk(type_name), format!(":{}\r\n", 20 << 20), NEVER.to_owned()];
                reply(array(&command[3..].iter().flat_map(facts).collect::<Vec<_>>()))
            }
            "EVAL_RO" if command[1].contains("ask('GET'") => {
                let none = |_: &String| ["$-1\r\n".to_owned(), NEVER.to_owned()];
                reply(array(&command[3..].iter().flat_map(none).collect::<Vec<_>>()))
            }
            "HPEXPIRETIME" => reply(array(&command[4..].iter().map(|_| NEVER.to_owned()).collect::<Vec<_>>())),
            "WATCH" if !watch => reply("-NOPERM User x has no permissions to run the 'watch' command\r\n".to_owned()),
            "WATCH" | "UNWATCH" | "MULTI" => reply("+OK\r\n".to_owned()),
            "EXEC" => reply("*1\r\n+PONG\r\n".to_owned()),
            _ => None,
        }
    });
    Case::with_ends(&server.url(), "")
}

/// The items of the key, from all its parts.
fn items(done: &Done) -> Vec<String> {
    let (mut items, entries) = (Vec::new(), done.entries());
    for part in entries.get(&(0, "key".to_owned())).unwrap_or_else(|| panic!("{:#}", done.json)) {
        match &part.logical {
            Some(Logical::Items(some) | Logical::Hash { items: some, .. }) => {
                items.extend(Items::of(some).map(|item| String::from_utf8_lossy(item).into_owned()));
            }
            other => panic!("{other:?}"),
        }
    }
    items
}

fn gone(command: &[String]) -> String {
    array(&command[4..].iter().map(|_| NO_SUCH_FIELD.to_owned()).collect::<Vec<_>>())
}

/// Its fields expire between two questions, and the key is not taken away yet: nothing that is watched has changed.
#[test]
fn a_hash_whose_fields_expire_while_it_is_read_is_gone() {
    let case = server("hash", true, |_, command| match command[0].as_str() {
        "HSCAN" => Some(page("0", &["a", "1", "b", "2"])),
        "HPEXPIRETIME" => Some(gone(command)),
        _ => None,
    });
    let done = backup(&case, &[]).exits(0);
    assert_eq!((done.entries().len(), done.count("gone"), done.count("kept")), (0, 1, 0), "{:#}", done.json);
    // They had all expired before.
    let case = server("hash", true, |_, command| (command[0] == "HSCAN").then(|| page("0", &[])));
    let done = backup(&case, &[]).exits(0);
    assert_eq!((done.entries().len(), done.count("gone")), (0, 1), "{:#}", done.json);
}

#[test]
fn without_a_watch_a_hash_that_went_while_it_was_read_is_read_again() {
    for comes_again in [true, false] {
        let case = server("hash", false, move |begun, command| match (command[0].as_str(), begun) {
            ("HSCAN", 1) => Some(page("0", &["a", "1", "b", "2"])),
            ("HPEXPIRETIME", 1) => Some(gone(command)),
            ("HSCAN", _) => Some(page("0", &["c", "3"])),
            ("TYPE", 1..) if !comes_again => Some("+none\r\n".to_owned()),
            _ => None,
        });
        // The second time others are in the place of its fields, or the key is away.
        let done = backup(&case, &[]).exits(0);
        let expected = (u64::from(comes_again), u64::from(!comes_again));
        assert_eq!((done.count("kept"), done.count("gone")), expected, "{:#}", done.json);
        assert_eq!(done.entries().len() as u64, expected.0);
        if comes_again {
            assert_eq!(items(&done), ["c", "3"]);
        }
    }
}

/// As a cursor gives them over the table of a set that was larger once.
#[test]
fn a_page_without_an_item_is_not_the_end() {
    for (type_name, scan) in [("hash", "HSCAN"), ("set", "SSCAN"), ("zset", "ZSCAN")] {
        for empty_first in [true, false] {
            let case = server(type_name, true, move |_, command| {
                let last = if empty_first { &["x", "1", "y", "2"][..] } else { &[] };
                let first = if empty_first { &[][..] } else { &["x", "1", "y", "2"] };
                (command[0] == scan).then(|| match command[2].as_str() {
                    "0" => page("7", first),
                    "7" => page("9", &[]),
                    _ => page("0", last),
                })
            });
            let done = backup(&case, &[]).exits(0);
            assert_eq!((items(&done), done.count("kept")), (["x", "1", "y", "2"].map(str::to_owned).to_vec(), 1));
        }
    }
}
