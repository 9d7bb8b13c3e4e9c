//! The Redis source against a scripted server, for what a real one can't be made to do on cue.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on has failed, in its helpers too")]

use crate::support;

use redis2pg::model::{Fetched, Items, RedisKey, RedisType, RedisTypes, ValueWanted, Wanted};
use redis2pg::source::redis::{RedisSource, SourceSettings};
use redis2pg::source::{Scan, ScanPage, Slices, Source};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use support::scripted::{Answer, Keyspace, ScriptedRedis, array, bulk, info, page, reply, scan_cursor as cursor};

/// A source whose server holds nothing but what the script says.
async fn serve(script: impl Fn(usize, &[String]) -> Option<Answer> + Send + Sync + 'static) -> RedisSource {
    let settings = SourceSettings::new(ScriptedRedis::start(Keyspace::default(), script).url());
    RedisSource::connect(&settings, None).await.unwrap()
}

async fn all(source: &RedisSource) -> Vec<ScanPage> {
    let mut scan = source.scan(None);
    let mut pages = Vec::new();
    while let Some(page) = scan.next().await.unwrap() {
        pages.push(page);
    }
    pages
}

fn names(pages: &[ScanPage]) -> Vec<String> {
    pages.iter().flat_map(|page| page.keys.iter().map(RedisKey::to_string)).collect()
}

/// Two pages: a and b behind cursor 0, c behind the largest cursor there is.
fn two_pages(cursor: &str) -> Option<Answer> {
    match cursor {
        "0" => reply(page("18446744073709551615", &["a", "b"])),
        "18446744073709551615" => reply(page("0", &["c"])),
        other => panic!("asked for cursor {other}"),
    }
}

#[tokio::test]
async fn a_connection_lost_while_the_server_is_learned_is_no_missing_ability() {
    for lost in ["INFO", "PEXPIRETIME", "CLIENT"] {
        let last = Arc::new(AtomicUsize::new(0));
        let seen = last.clone();
        let source = serve(move |connection, command| {
            seen.fetch_max(connection, Ordering::Relaxed);
            (connection == 0 && command[0] == lost).then_some(Answer::Close)
        })
        .await;
        assert_eq!(source.run_id(), Some("a"), "{lost}");
        assert_eq!(last.load(Ordering::Relaxed), 1, "{lost}: it connected again");
    }
}

#[tokio::test]
async fn another_database_has_its_own_connection_which_leaves_keys_untouched_after_a_loss_too() {
    let said = Arc::new(Mutex::new(Vec::new()));
    let heard = said.clone();
    let source = serve(move |connection, command| {
        heard.lock().unwrap().push((connection, command.join(" ")));
        (connection == 1 && command[0] == "DBSIZE").then_some(Answer::Close)
    })
    .await;
    let other = source.with_database(2).await.unwrap();
    assert_eq!((source.database(), other.database()), (0, 2));
    // The first one is lost with the question, which is asked again.
    assert_eq!(other.dbsize().await.unwrap(), 0);
    all(&other).await;
    let said = said.lock().unwrap();
    let heard = |connection: usize, words: &str| {
        said.iter().position(|(on, command)| *on == connection && command.to_uppercase().starts_with(words))
    };
    for connection in [1, 2] {
        assert!(heard(connection, "SELECT 2").is_some(), "{said:?}");
        assert!(heard(connection, "CLIENT NO-TOUCH ON") > heard(connection, "SELECT 2"), "{said:?}");
    }
    assert!(heard(2, "SCAN") > heard(2, "CLIENT NO-TOUCH ON"), "{said:?}");
    assert_eq!((heard(0, "SELECT"), heard(0, "DBSIZE"), heard(3, "")), (None, None, None), "{said:?}");
}

#[tokio::test]
async fn a_cursor_is_a_u64() {
    let source = serve(|_, command| cursor(command).and_then(two_pages)).await;
    let pages = all(&source).await;
    assert_eq!(names(&pages), ["a", "b", "c"]);
    assert_eq!(pages[0].resume_cursor, "18446744073709551615");
    assert_eq!(pages[1].resume_cursor, "0");
}

#[tokio::test]
async fn empty_pages_and_a_repeated_page_are_passed_on() {
    let source = serve(|_, command| match cursor(command)? {
        "0" => reply(page("1", &["a"])),
        "1" => reply(page("2", &[])),
        "2" => reply(page("3", &["a"])),
        _ => reply(page("0", &[])),
    })
    .await;
    let pages = all(&source).await;
    assert_eq!(names(&pages), ["a", "a"]);
    assert_eq!(pages.iter().map(|page| page.number).collect::<Vec<_>>(), [0, 1, 2, 3]);
}

#[tokio::test]
async fn an_error_in_mid_scan_is_not_the_end() {
    let errors = Mutex::new(vec!["-LOADING Redis is loading the dataset in memory\r\n", "-BUSY script\r\n"]);
    let source = serve(move |_, command| {
        let cursor = cursor(command)?;
        if cursor != "0"
            && let Some(error) = errors.lock().unwrap().pop()
        {
            return reply(error.to_owned());
        }
        two_pages(cursor)
    })
    .await;
    let pages = all(&source).await;
    assert_eq!(names(&pages), ["a", "b", "c"]);
    assert!(pages.iter().all(|page| page.epoch == 0));
}

#[tokio::test]
async fn a_fatal_error_in_mid_scan_is_a_failure() {
    let source = serve(|_, command| match cursor(command)? {
        "0" => reply(page("7", &["a"])),
        _ => reply("-NOAUTH Authentication required.\r\n".to_owned()),
    })
    .await;
    let mut scan = source.scan(None);
    assert!(scan.next().await.unwrap().is_some());
    assert_eq!(scan.next().await.unwrap_err().exit.code(), 2);
}

#[tokio::test]
async fn a_socket_closed_in_mid_scan_goes_on_at_the_same_server() {
    let source = serve(|connection, command| match (connection, cursor(command)?) {
        (0, "18446744073709551615") => Some(Answer::Close),
        (_, cursor) => two_pages(cursor),
    })
    .await;
    let pages = all(&source).await;
    assert_eq!(names(&pages), ["a", "b", "c"]);
    assert!(pages.iter().all(|page| page.epoch == 0));
}

#[tokio::test]
async fn another_server_after_a_reconnection_is_scanned_from_the_beginning() {
    let source = serve(|connection, command| match (connection, command[0].as_str(), cursor(command)) {
        (0, _, Some("5")) => Some(Answer::Close),
        (0, _, Some(_)) => reply(page("5", &["a", "b"])),
        (_, "INFO", _) if connection > 0 => reply(info("b")),
        // The other server takes the old cursor without a word, and would end there.
        (_, _, Some("5")) => reply(page("0", &["lost"])),
        (_, _, Some("0")) => reply(page("6", &["x"])),
        (_, _, Some(_)) => reply(page("0", &["y"])),
        _ => None,
    })
    .await;
    let mut scan = source.scan(None);
    let first = scan.next().await.unwrap().unwrap();
    assert_eq!((first.epoch, first.number, scan.server_run_id()), (0, 0, Some("a")));
    let second = scan.next().await.unwrap().unwrap();
    assert_eq!((second.epoch, second.number, scan.server_run_id()), (1, 0, Some("b")));
    let third = scan.next().await.unwrap().unwrap();
    assert!(scan.next().await.unwrap().is_none());
    assert_eq!(names(&[first, second, third]), ["a", "b", "x", "y"]);
}

/// A server that is replaced in the middle of a large collection. The new one takes the old cursor without a word and ends
/// there. `cut`: the connection breaks at that moment; else a proxy keeps it up. `watch`: the user may watch keys.
async fn replaced_in_a_collection(name: &'static str, (cut, watch): (bool, bool)) -> RedisSource {
    let replaced = AtomicBool::new(false);
    serve(move |connection, command| {
        let new = replaced.load(Ordering::Relaxed);
        match (command[0].as_str(), command.get(2).map_or("", String::as_str)) {
            ("INFO", _) => reply(info(if new { "b" } else { "a" })),
            ("EVAL_RO", _) if command[1].contains("MEMORY") => {
                reply(array(&[bulk(name), format!(":{}\r\n", 9 << 20), ":-1\r\n".to_owned()]))
            }
            ("WATCH", _) if !watch => {
                reply("-NOPERM this user has no permissions to run the 'watch' command\r\n".to_owned())
            }
            ("WATCH" | "MULTI", _) => reply("+OK\r\n".to_owned()),
            ("EXEC", _) => reply("*1\r\n+PONG\r\n".to_owned()),
            ("HSCAN" | "SSCAN" | "ZSCAN", "0") => reply(page(if new { "5" } else { "9" }, &["1", "2"])),
            ("HSCAN" | "SSCAN" | "ZSCAN", "5") => reply(page("0", &["3", "4"])),
            ("HSCAN" | "SSCAN" | "ZSCAN", _) => {
                let first = !replaced.swap(true, Ordering::Relaxed);
                if cut && first && connection > 0 { Some(Answer::Close) } else { reply(page("0", &[])) }
            }
            _ => None,
        }
    })
    .await
}

#[tokio::test]
async fn a_collection_whose_server_is_replaced_while_it_is_read_is_read_from_the_beginning() {
    for name in ["hash", "set", "zset"] {
        for how in [(false, false), (true, false), (false, true), (true, true)] {
            let source = replaced_in_a_collection(name, how).await;
            let wanted = Wanted { types: RedisType::ALL.into_iter().collect(), slices: true, ..Wanted::strings(false) };
            let read = source.fetch(&[RedisKey::new("k")], wanted, 32 << 20).await.unwrap();
            let Some(Fetched::Large { key, large }) = read.records.into_iter().next() else {
                panic!("{name} is large")
            };
            let mut slices = source.slices(key, large);
            let mut items: Vec<String> = Vec::new();
            while let Some(slice) = slices.next().await.unwrap() {
                let Fetched::Record(record) = slice else { panic!("{name} {how:?}: {slice:?}") };
                if record.slice.unwrap().first {
                    items.clear();
                }
                items.extend(Items::of(&record.value).map(|item| String::from_utf8_lossy(item).into_owned()));
            }
            assert_eq!(items, ["1", "2", "3", "4"], "{name} {how:?}");
            // The whole at once goes the same way.
            let source = replaced_in_a_collection(name, how).await;
            let whole =
                source.fetch(&[RedisKey::new("k")], Wanted { slices: false, ..wanted }, 32 << 20).await.unwrap();
            let Fetched::Record(record) = &whole.records[0] else { panic!("{name} {how:?}: {whole:?}") };
            assert_eq!(Items::of(&record.value).collect::<Vec<_>>(), [b"1", b"2", b"3", b"4"], "{name} {how:?}");
        }
    }
}

/// Its fields expire one by one, which no watch need see: in no reading it is an empty collection that is there.
#[tokio::test]
async fn a_large_hash_that_dwindles_away_while_it_is_read_is_gone() {
    let pages = AtomicUsize::new(0);
    let source = serve(move |_, command| match command[0].as_str() {
        "EVAL_RO" if command[1].contains("MEMORY") => {
            reply(array(&[bulk("hash"), format!(":{}\r\n", 9 << 20), ":-1\r\n".to_owned()]))
        }
        "WATCH" | "MULTI" => reply("+OK\r\n".to_owned()),
        "EXEC" => reply("*1\r\n+PONG\r\n".to_owned()),
        "HSCAN" => reply(page(if pages.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) { "9" } else { "0" }, &[])),
        _ => None,
    })
    .await;
    let wanted = Wanted { types: RedisType::ALL.into_iter().collect(), slices: true, ..Wanted::strings(false) };
    let read = source.fetch(&[RedisKey::new("k")], wanted, 32 << 20).await.unwrap();
    let Some(Fetched::Large { key, large }) = read.records.into_iter().next() else { panic!("it is large") };
    let mut slices = source.slices(key, large);
    let mut last = None;
    while let Some(slice) = slices.next().await.unwrap() {
        last = Some(slice);
    }
    assert!(matches!(&last, Some(Fetched::Gone(key)) if *key == RedisKey::new("k")), "{last:?}");
}

#[tokio::test]
async fn a_reply_of_another_length_is_a_hard_error() {
    let source = serve(|_, command| {
        (command[0] == "MGET" && command.len() == 4).then(|| Answer::Reply("*2\r\n$1\r\n1\r\n$1\r\n2\r\n".to_owned()))
    })
    .await;
    let keys = ["a", "b", "c"].map(RedisKey::new);
    let failure = source.fetch(&keys, Wanted::strings(false), 1 << 20).await.unwrap_err();
    assert_eq!(failure.exit.code(), 5);
    assert!(failure.message.contains("2 values for 3 keys"), "{failure}");
}

#[tokio::test]
async fn a_string_written_between_mget_and_type_is_read_again() {
    let asked = Mutex::new(0);
    let source = serve(move |_, command| match command[0].as_str() {
        "MGET" if command[1] == "late" => {
            let mut asked = asked.lock().unwrap();
            *asked += 1;
            reply(if *asked == 1 { "*1\r\n$-1\r\n".to_owned() } else { format!("*1\r\n{}", bulk("here")) })
        }
        "TYPE" if command[1] == "late" => reply("+string\r\n".to_owned()),
        _ => None,
    })
    .await;
    let page = source.fetch(&[RedisKey::new("late")], Wanted::strings(false), 1 << 20).await.unwrap();
    assert!(matches!(&page.records[0], Fetched::Record(record) if record.value == "here"), "{:?}", page.records);
}

#[tokio::test]
async fn a_key_of_a_module_has_a_dump_and_the_name_of_its_type() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let seen = asked.clone();
    let source = serve(move |_, command| {
        seen.lock().unwrap().push(command[0].clone());
        match command[0].as_str() {
            "EVAL_RO" => reply("-NOPERM scripts are forbidden\r\n".to_owned()),
            "TYPE" if command[1] == "bloom" => reply("+MBbloom--\r\n".to_owned()),
            "MEMORY" => reply(":200\r\n".to_owned()),
            "OBJECT" => reply(":17\r\n".to_owned()),
            "PEXPIRETIME" => reply(":1700000009000\r\n".to_owned()),
            "DUMP" => reply(bulk("dumped")),
            _ => None,
        }
    })
    .await;
    asked.lock().unwrap().clear();
    let types: RedisTypes = RedisType::ALL.into_iter().collect();
    let base = Wanted { types, expiry: true, ttl: true, idle: true, dump: true, ..Wanted::strings(true) };
    for value in [ValueWanted::Never, ValueWanted::IfPossible] {
        let page = source.fetch(&[RedisKey::new("bloom")], Wanted { value, ..base }, 1 << 20).await.unwrap();
        let Fetched::Record(record) = &page.records[0] else { panic!("{:?}", page.records) };
        let facts = record.facts.as_ref().unwrap();
        assert_eq!((record.redis_type, record.type_name().as_ref()), (RedisType::Module, "MBbloom--"));
        assert_eq!((facts.idle, facts.ttl, record.has_value()), (Some(17), Some(9_000), false));
        assert_eq!((record.dump().unwrap().as_ref(), page.bytes), (&b"dumped"[..], 11));
    }
    let asked = asked.lock().unwrap().clone();
    let first = |name: &str| asked.iter().position(|command| command == name).unwrap();
    assert!(first("OBJECT") < first("DUMP"), "a dump makes a key look used: {asked:?}");
    let strings = RedisTypes::STRING;
    let page = source.fetch(&[RedisKey::new("bloom")], Wanted { types: strings, ..base }, 1 << 20).await.unwrap();
    assert!(matches!(&page.records[0], Fetched::WrongType { redis_type, .. } if redis_type == "MBbloom--"));
}

#[tokio::test]
async fn a_document_of_redisjson_is_read_by_its_command_or_named() {
    for refusal in [
        "-NOPERM User default has no permissions to run the 'json.get' command\r\n",
        "-ERR unknown command 'JSON.GET'\r\n",
    ] {
        let source = serve(move |_, command| match (command[0].as_str(), command.get(1).map_or("", String::as_str)) {
            ("MGET", _) => reply("*1\r\n$-1\r\n".to_owned()),
            ("EVAL_RO", _) => reply("-NOPERM scripts are forbidden\r\n".to_owned()),
            ("TYPE", _) => reply("+ReJSON-RL\r\n".to_owned()),
            ("MEMORY", _) => reply(":200\r\n".to_owned()),
            ("JSON.GET", "good") => reply(bulk(r#"{"a":1.10}"#)),
            ("JSON.GET", "refused") => reply(refusal.to_owned()),
            ("JSON.GET", "gone") => reply("$-1\r\n".to_owned()),
            _ => None,
        })
        .await;
        let fetch = async |key: &'static str, types: RedisTypes| {
            let wanted = Wanted { types, ..Wanted::strings(false) };
            source.fetch(&[RedisKey::new(key)], wanted, 1 << 20).await.unwrap().records.remove(0)
        };
        let json = || [RedisType::Json, RedisType::String].into_iter().collect();
        let Fetched::Record(record) = fetch("good", json()).await else { panic!("no document") };
        assert_eq!((record.redis_type, record.value.as_ref()), (RedisType::Json, &br#"{"a":1.10}"#[..]));
        let refused = fetch("refused", json()).await;
        assert!(matches!(&refused, Fetched::WrongType { redis_type, .. } if redis_type == "ReJSON-RL"), "{refused:?}");
        assert!(matches!(fetch("gone", json()).await, Fetched::Gone(_)));
        let unwanted = fetch("good", RedisTypes::STRING).await;
        assert!(
            matches!(&unwanted, Fetched::WrongType { redis_type, .. } if redis_type == "ReJSON-RL"),
            "{unwanted:?}"
        );
    }
}
