//! Every type, and sizes on both sides of every limit: what was read is deleted, what differs in one byte stays.

use super::talk::Talk;
use super::{items, server, string, tells_expire_time, unlinked, unlinker};
use redis2pg::model::{ContentHasher, Fetched, FieldTimes, RedisKey, RedisType, RedisTypes, Wanted};
use redis2pg::sandbox::RedisOptions;
use redis2pg::source::redis::{Candidate, Content, RedisSource, SourceSettings, UnlinkOutcome, Unlinker};
use redis2pg::source::{Slices, Source};
use std::time::Duration;

const MIB: usize = 1 << 20;

/// A server with keys of every type, small and in several slices.
fn filled() -> (redis2pg::sandbox::RedisServer, Talk, Vec<String>) {
    let server = server(RedisOptions::default());
    let mut redis = Talk::to(server.port());
    let mut keys = Vec::new();
    let mut make = |redis: &mut Talk, words: &[&str]| {
        let answer = redis.say(words);
        assert!(!matches!(answer, super::talk::Answer::Error(_)), "{answer:?}");
        if !keys.contains(&words[1].to_owned()) {
            keys.push(words[1].to_owned());
        }
    };
    make(&mut redis, &["SET", "string:empty", ""]);
    make(&mut redis, &["SET", "string:number", "42"]);
    for (name, bytes) in [("under", MIB - 1), ("at", MIB), ("over", MIB + 1), ("slices", 3 * MIB)] {
        make(&mut redis, &["SET", &format!("string:{name}"), &"x".repeat(bytes)]);
    }
    make(&mut redis, &["SET", "string:expiring", "v", "PX", "10000000"]);
    make(&mut redis, &["HSET", "hash:small", "a", "1", "b", "", "", "2"]);
    make(&mut redis, &["RPUSH", "list:small", "b", "a", "b"]);
    make(&mut redis, &["SADD", "set:small", "b", "a"]);
    make(&mut redis, &["SADD", "set:numbers", "3", "1", "2"]);
    make(&mut redis, &["ZADD", "zset:small", "0.1", "a", "-inf", "b", "3e20", "c", "17", "d"]);
    make(&mut redis, &["XADD", "stream:small", "5-1", "f", "v", "g", "w"]);
    make(&mut redis, &["XADD", "stream:empty", "5-1", "f", "v"]);
    redis.say(&["XDEL", "stream:empty", "5-1"]);
    // Some megabytes each: the reader of large values takes them in slices.
    let long = "y".repeat(2_000);
    for n in 0..1_500 {
        let (name, score) = (format!("{n}:{long}"), format!("{}.1", n % 7));
        make(&mut redis, &["HSET", "hash:large", &name, &n.to_string()]);
        make(&mut redis, &["RPUSH", "list:large", &name]);
        make(&mut redis, &["SADD", "set:large", &name]);
        make(&mut redis, &["ZADD", "zset:large", &score, &name]);
        make(&mut redis, &["XADD", "stream:large", &format!("{}-0", n + 1), "f", &name]);
    }
    make(&mut redis, &["HSET", "hash:expiring", "a", "1"]);
    assert_eq!(redis.say(&["PEXPIRE", "hash:expiring", "10000000"]).number(), 1);
    (server, redis, keys)
}

fn wanted(slices: bool) -> Wanted {
    let types: RedisTypes = RedisType::ALL.into_iter().filter(|known| *known != RedisType::Module).collect();
    Wanted { types, slices, fields: FieldTimes::Unasked, ..Wanted::strings(true) }
}

/// The keys as the product reads them, whole or in slices.
async fn read(source: &RedisSource, keys: &[String], slices: bool) -> Vec<Candidate> {
    let keys: Vec<RedisKey> = keys.iter().map(|key| RedisKey::new(key.clone())).collect();
    let page = source.fetch(&keys, wanted(slices), 8 * MIB).await.unwrap();
    let mut candidates = Vec::new();
    let mut sliced = 0;
    for fetched in page.records {
        candidates.push(match fetched {
            Fetched::Record(record) => Candidate {
                content: Content::of_record(&record).unwrap(),
                expires_at: Some(record.expires_at),
                redis_type: record.redis_type,
                key: record.key,
            },
            Fetched::Large { key, large } => {
                let (redis_type, expires_at) = (large.redis_type, Some(large.expires_at));
                let mut hasher = ContentHasher::new(redis_type);
                let mut reader = source.slices(key.clone(), large);
                let mut parts = 0;
                while let Some(Fetched::Record(slice)) = reader.next().await.unwrap() {
                    hasher.push(&slice);
                    parts += 1;
                }
                assert!(parts > 1, "{key} came in one piece");
                sliced += 1;
                Candidate { key, redis_type, expires_at, content: Content::Digest(hasher.finish()) }
            }
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(sliced > 0, slices);
    candidates
}

#[tokio::test]
async fn what_was_read_is_deleted_whatever_its_type_and_size_and_however_it_was_read() {
    for slices in [false, true] {
        let (server, mut redis, keys) = filled();
        let source = RedisSource::connect(&SourceSettings::new(server.url()), None).await.unwrap();
        let candidates = read(&source, &keys, slices).await;
        let unlinker = unlinker(&server.url()).await;
        assert!(unlinker.ability().script && unlinker.ability().watch);
        let outcomes = unlinked(&unlinker, &candidates).await;
        for (key, outcome) in keys.iter().zip(&outcomes) {
            assert_eq!(*outcome, UnlinkOutcome::Deleted, "{key}, slices: {slices}");
        }
        assert_eq!(redis.say(&["DBSIZE"]).number(), 0);
        // Once more: nothing is there.
        assert!(unlinked(&unlinker, &candidates).await.iter().all(|outcome| *outcome == UnlinkOutcome::Gone));
    }
}

/// A little change for each key but one.
const CHANGES: &[&[&str]] = &[
    &["SETRANGE", "string:under", "1048574", "y"],
    &["SETRANGE", "string:at", "0", "y"],
    &["SETRANGE", "string:over", "1048576", "y"],
    &["SETRANGE", "string:slices", "2000000", "y"],
    &["SET", "string:empty", " "],
    &["SET", "string:number", "43"],
    &["SET", "string:expiring", "w", "KEEPTTL"],
    &["HSET", "hash:small", "b", "1"],
    &["LSET", "list:small", "0", "a"],
    &["SREM", "set:small", "a"],
    &["SADD", "set:numbers", "4"],
    &["ZADD", "zset:small", "0.10000000000000002", "a"],
    &["XADD", "stream:small", "6-0", "f", "v"],
    &["XADD", "stream:empty", "6-0", "f", "v"],
    &["LSET", "list:large", "1499", "x"],
    &["SADD", "set:large", "x"],
    &["ZINCRBY", "zset:large", "1e-9", "x"],
    &["HSET", "hash:large", "x", "1"],
    &["XDEL", "stream:large", "1500-0"],
];

#[tokio::test]
async fn what_differs_in_one_place_stays() {
    let (server, mut redis, keys) = filled();
    let source = RedisSource::connect(&SourceSettings::new(server.url()), None).await.unwrap();
    let candidates = read(&source, &keys, false).await;
    for words in CHANGES {
        redis.say(words);
    }
    assert_eq!(redis.say(&["PEXPIRE", "hash:expiring", "20000000"]).number(), 1);
    let before = redis.say(&["DBSIZE"]).number();
    let outcomes = unlinked(&unlinker(&server.url()).await, &candidates).await;
    for (key, outcome) in keys.iter().zip(&outcomes) {
        let expected = if key == "hash:expiring" { UnlinkOutcome::Retimed } else { UnlinkOutcome::Changed };
        assert_eq!(*outcome, expected, "{key}");
    }
    assert_eq!(redis.say(&["DBSIZE"]).number(), before, "nothing was deleted");
}

#[tokio::test]
async fn a_key_of_another_type_stays_and_one_that_is_gone_is_told_so() {
    let server = server(RedisOptions::default());
    let mut redis = Talk::to(server.port());
    let candidates = |there: &str| {
        let all = [RedisType::Hash, RedisType::List, RedisType::Set, RedisType::Zset, RedisType::Stream];
        let mut candidates: Vec<Candidate> = all.iter().map(|kind| items(there, *kind, &["a", "1"])).collect();
        candidates.push(string(there, "a"));
        candidates
    };
    redis.say(&["RPUSH", "list", "a", "1"]);
    redis.say(&["SET", "string", "a"]);
    let unlinker = unlinker(&server.url()).await;
    for key in ["string", "list"] {
        let candidates = candidates(key);
        let others: Vec<Candidate> =
            candidates.into_iter().filter(|candidate| candidate.redis_type.name() != key).collect();
        let outcomes = unlinked(&unlinker, &others).await;
        assert_eq!(outcomes, [UnlinkOutcome::Changed; 5], "{key}");
    }
    assert_eq!(unlinked(&unlinker, &candidates("nothing")).await, [UnlinkOutcome::Gone; 6]);
    assert_eq!(redis.there(&["string", "list"]), [true, true]);
}

#[tokio::test]
async fn the_time_of_expiry_counts_where_it_was_read() {
    for rights in ["+@all", "+@all -eval", "+@all -pexpiretime", "+@all -pexpiretime -eval"] {
        if rights.contains("pexpiretime") && !tells_expire_time() {
            continue;
        }
        let server = server(RedisOptions { acl: vec![format!("u on >p ~* &* {rights}")], ..RedisOptions::default() });
        let mut redis = Talk::to(server.port());
        let url = format!("redis://u:p@127.0.0.1:{}", server.port());
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        let at = i64::try_from(now).unwrap() + 10_000_000;
        let exact = tells_expire_time() && !rights.contains("pexpiretime");
        let unlinker = unlinker(&url).await;
        for hash in [false, true] {
            for (held, expected, outcome) in [
                (None, Some(None), UnlinkOutcome::Deleted),
                (Some(at), Some(Some(at)), UnlinkOutcome::Deleted),
                (Some(at), None, UnlinkOutcome::Deleted),
                (None, None, UnlinkOutcome::Deleted),
                (Some(at), Some(None), UnlinkOutcome::Retimed),
                (None, Some(Some(at)), UnlinkOutcome::Retimed),
                (Some(at + 1_500), Some(Some(at)), UnlinkOutcome::Retimed),
                (Some(at - 1_500), Some(Some(at)), UnlinkOutcome::Retimed),
                // Where the server tells it to the millisecond, one is enough.
                (Some(at + 1), Some(Some(at)), if exact { UnlinkOutcome::Retimed } else { UnlinkOutcome::Deleted }),
            ] {
                redis.say(&["DEL", "k"]);
                redis.say(if hash { &["HSET", "k", "f", "v"] } else { &["SET", "k", "v"] });
                if let Some(held) = held {
                    redis.say(&["PEXPIREAT", "k", &held.to_string()]);
                }
                let candidate = if hash { items("k", RedisType::Hash, &["f", "v"]) } else { string("k", "v") };
                let outcomes = unlinked(&unlinker, &[Candidate { expires_at: expected, ..candidate }]).await;
                assert_eq!(outcomes, [outcome], "{rights}: {held:?} for {expected:?}, hash: {hash}");
                assert_eq!(redis.there(&["k"]), [outcome != UnlinkOutcome::Deleted]);
            }
        }
    }
}

#[tokio::test]
async fn a_tolerance_that_is_asked_for_is_kept_to() {
    let server = server(RedisOptions::default());
    let mut redis = Talk::to(server.port());
    let source = RedisSource::connect(&SourceSettings::new(server.url()), None).await.unwrap();
    let options = redis2pg::source::redis::UnlinkOptions { expiry_tolerance: Some(Duration::from_secs(5)) };
    let unlinker: Unlinker = source.unlinker(options).await.unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    let at = i64::try_from(now).unwrap() + 10_000_000;
    for (key, off) in [("near", 5_000), ("far", 5_001)] {
        redis.say(&["SET", key, "v"]);
        redis.say(&["PEXPIREAT", key, &(at + off).to_string()]);
    }
    let candidates = ["near", "far"].map(|key| Candidate { expires_at: Some(Some(at)), ..string(key, "v") });
    assert_eq!(unlinked(&unlinker, &candidates).await, [UnlinkOutcome::Deleted, UnlinkOutcome::Retimed]);
}

#[tokio::test]
async fn many_keys_have_their_outcomes_in_their_order_and_keys_are_bytes() {
    let server = server(RedisOptions::default());
    let mut redis = Talk::to(server.port());
    let mut candidates = Vec::new();
    let mut expected = Vec::new();
    for n in 0..3_000_usize {
        let key = [b"k\xff\0\r\n".as_slice(), n.to_string().as_bytes()].concat();
        let (held, hash) = (format!("v{n}"), n % 3 == 0);
        let words: Vec<&[u8]> = match hash {
            true => vec![b"HSET", &key, b"f", held.as_bytes()],
            false => vec![b"SET", &key, held.as_bytes()],
        };
        if n % 7 != 0 {
            redis.send(&[words]);
        }
        let compared = if n % 5 == 0 { "other".to_owned() } else { held };
        let candidate = if hash { items("", RedisType::Hash, &["f", &compared]) } else { string("", &compared) };
        candidates.push(Candidate { key: RedisKey::new(key), ..candidate });
        expected.push(match (n % 7 == 0, n % 5 == 0) {
            (true, _) => UnlinkOutcome::Gone,
            (_, true) => UnlinkOutcome::Changed,
            _ => UnlinkOutcome::Deleted,
        });
    }
    let outcomes = unlinked(&unlinker(&server.url()).await, &candidates).await;
    assert_eq!(outcomes, expected);
    let kept = expected.iter().filter(|outcome| **outcome == UnlinkOutcome::Changed).count();
    assert_eq!(usize::try_from(redis.say(&["DBSIZE"]).number()), Ok(kept));
}

#[tokio::test]
async fn the_times_of_fields_count_where_the_server_has_them_and_they_were_read() {
    let server = server(RedisOptions::default());
    let mut redis = Talk::to(server.port());
    for n in 0..3 {
        redis.say(&["HSET", &format!("hash:{n}"), "a", "1", "b", "2"]);
    }
    let expire = |redis: &mut Talk, key: &str, at: &str| redis.say(&["HPEXPIREAT", key, at, "FIELDS", "1", "b"]);
    let knows = !matches!(expire(&mut redis, "hash:0", "4000000000000"), super::talk::Answer::Error(_));
    expire(&mut redis, "hash:1", "4000000000000");
    let source = RedisSource::connect(&SourceSettings::new(server.url()), None).await.unwrap();
    let keys = ["hash:0", "hash:1", "hash:2"].map(RedisKey::new);
    let wanted = Wanted { fields: FieldTimes::Expiry, ..wanted(false) };
    let mut candidates = Vec::new();
    for fetched in source.fetch(&keys, wanted, MIB).await.unwrap().records {
        let Fetched::Record(record) = fetched else { panic!("{fetched:?}") };
        let digest = redis2pg::model::ContentDigest::of_record(&record).unwrap();
        // Where the server has no such times, none are compared.
        assert_eq!(digest.has_field_expiry(), knows);
        let (key, redis_type, expires_at) = (record.key, record.redis_type, Some(record.expires_at));
        candidates.push(Candidate { key, redis_type, expires_at, content: Content::Digest(digest) });
    }
    expire(&mut redis, "hash:1", "4000000000001");
    let outcomes = unlinked(&unlinker(&server.url()).await, &candidates).await;
    let second = if knows { UnlinkOutcome::Changed } else { UnlinkOutcome::Deleted };
    assert_eq!(outcomes, [UnlinkOutcome::Deleted, second, UnlinkOutcome::Deleted]);
}
