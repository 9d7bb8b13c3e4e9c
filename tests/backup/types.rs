//! Keys of every type, as the file has them.

use crate::{Done, backup, case, restore};
use redis2pg::backup::{Entry, Logical, Part, Reader, StreamFacts};
use redis2pg::model::Items;
use redis2pg::sandbox::{RedisOptions, RedisServer};
use std::collections::{BTreeMap, BTreeSet};

/// The items of a collection as text.
fn items(entry: &Entry) -> Vec<String> {
    let packed = match entry.logical.as_ref().unwrap() {
        Logical::Items(items) | Logical::Hash { items, .. } => items,
        Logical::Stream { entries, .. } => entries,
        other => panic!("{other:?}"),
    };
    Items::of(packed).map(|item| String::from_utf8_lossy(item).into_owned()).collect()
}

fn pairs(entry: &Entry) -> BTreeMap<String, String> {
    let items = items(entry);
    items.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
}

fn type_of(entry: &Entry) -> (&str, bool, Part) {
    (&entry.type_name, entry.dump.is_some(), entry.part)
}

#[test]
fn strings_are_their_bytes_alone() {
    let case = case();
    let mut redis = case.redis();
    redis.set("empty", "");
    redis.say("SET number 17");
    assert_eq!(redis.answer(&[b"SET", b"bytes\xff\0", b"\0\xff\r\n\xfe"]), "+OK");
    let done = backup(&case, &[]).exits(0);
    let bytes = |key: &str| match done.entry(key) {
        entry if type_of(&entry) == ("string", false, Part::WHOLE) => match entry.logical {
            Some(Logical::Bytes(bytes)) => bytes.to_vec(),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!((bytes("empty"), bytes("number")), (Vec::new(), b"17".to_vec()));
    assert_eq!(bytes(r"bytes\xff\x00"), b"\0\xff\r\n\xfe");
    assert_eq!((done.count("listed"), done.count("kept"), done.count("gone")), (3, 3, 0));
    let own = case.source.rsplit('/').next().unwrap();
    assert_eq!(done.json["keys"][own], serde_json::json!({"string": 3}), "{:#}", done.json);
}

#[test]
fn collections_have_their_dump_and_their_items() {
    let case = case();
    let mut redis = case.redis();
    redis.say("HSET hash a 1 b 2 c ");
    redis.say("RPUSH list x y x");
    redis.say("SADD set m n");
    redis.say("ZADD zset 0.1 tenth -inf least 1e300 most 3 three");
    let done = backup(&case, &[]).exits(0);
    for name in ["hash", "list", "set", "zset"] {
        assert_eq!(type_of(&done.entry(name)), (name, true, Part::WHOLE));
        restore(&mut redis, &format!("again:{name}"), done.entry(name).dump.as_ref().unwrap());
    }
    let text = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        pairs.collect::<BTreeMap<String, String>>()
    };
    assert_eq!(pairs(&done.entry("hash")), text(&[("a", "1"), ("b", "2"), ("c", "")]));
    assert!(matches!(done.entry("hash").logical, Some(Logical::Hash { expiries: None, .. })));
    assert_eq!(items(&done.entry("list")), ["x", "y", "x"]);
    assert_eq!(items(&done.entry("set")).into_iter().collect::<BTreeSet<_>>(), ["m", "n"].map(str::to_owned).into());
    let scores = pairs(&done.entry("zset"));
    for member in ["tenth", "least", "most", "three"] {
        assert_eq!(scores[member], redis.answer(&[b"ZSCORE", b"zset", member.as_bytes()]), "{member}");
    }
    // The dump holds the same as the items.
    let again = backup(&case, &["--keys", "again:*"]).exits(0);
    assert_eq!(again.count("kept"), 4);
    for name in ["hash", "zset"] {
        assert_eq!(pairs(&again.entry(&format!("again:{name}"))), pairs(&done.entry(name)), "{name}");
    }
    assert_eq!(items(&again.entry("again:list")), ["x", "y", "x"]);
}

#[test]
fn a_stream_has_its_entries_its_groups_and_what_is_pending() {
    let case = case();
    let mut redis = case.redis();
    redis.say("XADD stream 1-1 a 1 b 2");
    redis.say("XADD stream 2-0 a 3");
    redis.say("XADD stream 3-0 gone 1");
    redis.say("XDEL stream 3-0");
    redis.say("XGROUP CREATE stream workers 0");
    redis.say("XGROUP CREATECONSUMER stream workers idle");
    redis.say("XREADGROUP GROUP workers busy COUNT 1 STREAMS stream >");
    redis.say("XGROUP SETID stream workers 1-1 ENTRIESREAD 1");
    redis.say("XGROUP CREATE empty group $ MKSTREAM");
    let done = backup(&case, &[]).exits(0);
    let entry = done.entry("stream");
    assert_eq!(type_of(&entry), ("stream", true, Part::WHOLE));
    assert_eq!(items(&entry), ["1-1", "2", "a", "1", "b", "2", "2-0", "1", "a", "3"]);
    let Some(Logical::Stream { facts, groups, .. }) = entry.logical else { panic!("{:?}", entry.logical) };
    let (last_id, max_deleted_id) = ("3-0".to_owned(), Some("3-0".to_owned()));
    assert_eq!(facts, Some(StreamFacts { last_id, max_deleted_id, entries_added: Some(3) }));
    let [group] = groups.as_slice() else { panic!("{groups:?}") };
    assert_eq!((&group.name[..], group.last_id.as_str(), group.entries_read), (&b"workers"[..], "1-1", Some(1)));
    let consumers: BTreeSet<&[u8]> = group.consumers.iter().map(AsRef::as_ref).collect();
    assert_eq!(consumers, [&b"busy"[..], b"idle"].into());
    let [pending] = group.pending.as_slice() else { panic!("{group:?}") };
    assert_eq!((pending.id.as_str(), &pending.consumer[..], pending.deliveries), ("1-1", &b"busy"[..], 1));
    let now = jiff::Timestamp::now().as_millisecond();
    assert!((now - 60_000..=now + 1000).contains(&pending.delivered_at), "{}", pending.delivered_at);
    let Some(Logical::Stream { entries, groups, .. }) = done.entry("empty").logical else { panic!("no stream") };
    assert!(entries.is_empty() && groups.len() == 1);
}

#[test]
fn times_of_expiry_are_moments_and_databases_are_named() {
    let case = case();
    let mut redis = case.redis();
    let at = 4_000_000_000_123_i64;
    redis.set("later", "1");
    redis.say(&format!("PEXPIREAT later {at}"));
    redis.say("RPUSH list 1");
    redis.say(&format!("PEXPIREAT list {at}"));
    redis.set("forever", "1");
    let done = backup(&case, &[]).exits(0);
    assert_eq!(done.entry("later").expires_at, Some(at));
    assert_eq!(done.entry("list").expires_at, Some(at));
    assert_eq!(done.entry("forever").expires_at, None);
    let own: u8 = case.source.rsplit('/').next().unwrap().parse().unwrap();
    assert!(done.entries().keys().all(|(database, _)| *database == own));
    assert_eq!(Reader::open(&done.file).unwrap().header().databases, [own]);
}

#[test]
fn several_databases_are_in_one_file_and_a_pattern_or_a_list_chooses_keys() {
    // Of its own: all of its databases are read, and none is written to meanwhile.
    let server = RedisServer::start(RedisOptions::default()).unwrap();
    let of = |number: u8| crate::support::Case::with_ends(&format!("{}/{number}", server.url()), "");
    let (one, two) = (of(2), of(7));
    let number = |case: &crate::support::Case| case.source.rsplit('/').next().unwrap().parse::<u8>().unwrap();
    one.redis().set_many(&[("a:1".into(), "1".into()), ("b:1".into(), "1".into())]);
    two.redis().set_many(&[("a:1".into(), "2".into()), ("a:2".into(), "2".into())]);
    let databases = format!("{},{}", number(&one), number(&two));
    let keys =
        |done: &Done| done.entries().into_keys().map(|(database, key)| format!("{database} {key}")).collect::<Vec<_>>();
    let named = |pairs: &[(&crate::support::Case, &str)]| {
        let mut named: Vec<(u8, String)> = pairs.iter().map(|(case, key)| (number(case), (*key).to_owned())).collect();
        named.sort_unstable();
        named.into_iter().map(|(database, key)| format!("{database} {key}")).collect::<Vec<_>>()
    };
    let both = backup(&one, &["--databases", &databases]).exits(0);
    assert_eq!(keys(&both), named(&[(&one, "a:1"), (&one, "b:1"), (&two, "a:1"), (&two, "a:2")]));
    let matching = backup(&one, &["--databases", &databases, "--keys", "a:*"]).exits(0);
    assert_eq!(keys(&matching), named(&[(&one, "a:1"), (&two, "a:1"), (&two, "a:2")]));
    let reader = Reader::open(&matching.file).unwrap();
    assert_eq!(reader.header().pattern.as_deref(), Some("a:*"));
    let list = one.list(&["a:1", "no such key"]);
    let listed = backup(&one, &["--keys-from", list.path().to_str().unwrap()]).exits(0);
    assert_eq!((keys(&listed), listed.count("gone")), (named(&[(&one, "a:1")]), 1));
    let header = |done: &Done| Reader::open(&done.file).unwrap().header().clone();
    assert_eq!((header(&listed).listed, header(&matching).listed, header(&both).listed), (true, false, false));
    for (done, is_said) in [(&listed, true), (&both, false)] {
        let shown = one.command().args(["restore", "--list", "--file"]).arg(&done.file).output().unwrap();
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert_eq!(shown.contains("keys of a list alone"), is_said, "{shown}");
    }
    let all = backup(&one, &["--databases", "all"]).exits(0);
    assert_eq!(keys(&all), keys(&both));
}

#[test]
fn the_header_tells_where_it_is_from_and_no_secret() {
    let case = case();
    case.redis().set("a", "1");
    let done = backup(&case, &[]).exits(0);
    let reader = Reader::open(&done.file).unwrap();
    let header = reader.header();
    assert_eq!((header.command.as_str(), header.flavour.as_deref()), ("backup", Some("redis")));
    assert!(header.source.starts_with("redis://127.0.0.1:") && header.redis_version.is_some(), "{header:?}");
    assert!(header.created_at.parse::<jiff::Timestamp>().is_ok(), "{header:?}");
    let file = std::fs::read(&done.file).unwrap();
    for secret in case.secrets() {
        let has = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
        assert!(!has(&file) && !has(done.stderr.as_bytes()) && !has(done.json.to_string().as_bytes()));
    }
}
