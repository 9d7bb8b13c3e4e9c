//! A server that has no memory left queues nothing in a transaction: there, what is watched goes by the seal of its dump.

use super::scene::{hash, say};
use super::talk::{Answer, Talk};
use super::warrant::Ending;
use super::{Always, failing, items, server, string, unlinked, unlinker};
use crate::proxy::{Act, Proxy};
use redis2pg::model::RedisType;
use redis2pg::sandbox::RedisOptions;
use redis2pg::source::redis::{Candidate, Fate, Fates, UnlinkOutcome};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

const FULL: [&str; 4] = ["CONFIG", "SET", "maxmemory", "100kb"];

fn fill(redis: &mut Talk) {
    redis.say(&FULL);
    let more = redis.say(&["SET", "more", "memory"]);
    assert!(matches!(&more, Answer::Error(text) if text.starts_with("OOM")), "{more:?}");
}

#[tokio::test]
async fn what_is_watched_goes_from_a_server_without_memory_and_stays_where_it_is_another() {
    let server = server(RedisOptions::default());
    let port = server.port();
    // Just before its deletion. What takes no memory is done in a full server, too.
    let proxy = Proxy::start(Arc::new(AtomicU16::new(port)), move |words| {
        let deletes = words[0] == "EVAL" && words[1].contains("'DUMP'") && words[1].contains("'UNLINK'");
        match words.get(3).map(String::as_str) {
            Some("changed") if deletes => say(port, &["HDEL changed g"]),
            Some("retimed") if deletes => say(port, &["PEXPIRE retimed 10000000"]),
            Some("gone") if deletes => say(port, &["DEL gone"]),
            _ => {}
        }
        Act::Pass
    });
    let mut redis = Talk::to(port);
    redis.say(&["MSET", "string", "v", "other", "w"]);
    for key in ["hash", "retimed", "gone", "another"] {
        redis.say(&["HSET", key, "f", if key == "another" { "w" } else { "v" }]);
    }
    redis.say(&["HSET", "changed", "f", "v", "g", "w"]);
    redis.say(&["RPUSH", "list", "a", "b"]);
    let unlinker = unlinker(&proxy.url()).await;
    fill(&mut redis);
    let two = |key| items(key, RedisType::Hash, &["f", "v", "g", "w"]);
    let candidates: Vec<(Candidate, UnlinkOutcome)> = vec![
        (string("string", "v"), UnlinkOutcome::Deleted),
        (string("other", "v"), UnlinkOutcome::Changed),
        (hash("hash"), UnlinkOutcome::Deleted),
        (items("list", RedisType::List, &["a", "b"]), UnlinkOutcome::Deleted),
        (hash("another"), UnlinkOutcome::Changed),
        (two("changed"), UnlinkOutcome::Changed),
        (hash("retimed"), UnlinkOutcome::Changed),
        (hash("gone"), UnlinkOutcome::Gone),
    ];
    let (keys, expected): (Vec<_>, Vec<_>) = candidates.into_iter().unzip();
    assert_eq!(unlinked(&unlinker, &keys).await, expected);
    let there = ["string", "hash", "list", "changed", "retimed", "another"];
    assert_eq!(redis.there(&there), [false, false, false, true, true, true]);
}

/// More than are watched together, on several connections at once: each of them is told that there is no memory.
#[tokio::test]
async fn a_full_server_is_emptied_whatever_number_of_keys_it_has() {
    let server = server(RedisOptions::default());
    let mut redis = Talk::to(server.port());
    let keys: Vec<String> = (0..900).map(|n| format!("k:{n}")).collect();
    keys.iter().for_each(|key| drop(redis.say(&["HSET", key, "f", "v"])));
    let unlinker = unlinker(&format!("redis://127.0.0.1:{}", server.port())).await;
    fill(&mut redis);
    let candidates: Vec<Candidate> = keys.iter().map(|key| hash(key)).collect();
    for some in candidates.chunks(450) {
        assert!(unlinked(&unlinker, some).await.iter().all(|outcome| *outcome == UnlinkOutcome::Deleted));
    }
    assert_eq!(redis.say(&["DBSIZE"]).number(), 0);
}

/// The answer to the deletion of one of them is lost, and with it the connection.
#[tokio::test]
async fn what_goes_by_seals_and_has_no_answer_may_be_gone() {
    for is_outdated in [false, true] {
        let server = server(RedisOptions::default());
        let (port, lost) = (server.port(), Arc::new(AtomicBool::new(false)));
        let once = lost.clone();
        let proxy = Proxy::start(Arc::new(AtomicU16::new(port)), move |words| {
            let deletes = words[0] == "EVAL" && words[1].contains("'DUMP'") && words[1].contains("'UNLINK'");
            let loses = deletes && words[3] == "second" && !once.swap(true, Ordering::SeqCst);
            if loses { Act::Lose } else { Act::Pass }
        });
        let mut redis = Talk::to(port);
        let keys = ["first", "second", "third"];
        keys.iter().for_each(|key| drop(redis.say(&["HSET", key, "f", "v"])));
        let unlinker = unlinker(&proxy.url()).await;
        fill(&mut redis);
        let (candidates, fates) = (keys.map(hash), Fates::of(3));
        let warrant = Ending::outdated_by(if is_outdated { lost } else { Arc::default() });
        let ended = unlinker.unlink(&candidates, &warrant, &fates).await;
        let known = fates.known();
        assert_eq!(ended.is_err(), is_outdated, "{known:?}");
        let second = if is_outdated { Fate::Open(1) } else { Fate::Told(UnlinkOutcome::Unconfirmed) };
        assert_eq!((known[1], redis.there(&["second"])), (second, vec![false]));
        for (key, fate) in keys.iter().zip(known) {
            let is_there = redis.there(&[key])[0];
            let untruths = [Fate::Open(0), Fate::Told(UnlinkOutcome::Gone)];
            assert!(is_there || !untruths.contains(&fate), "{key}: {fate:?}");
        }
    }
}

/// It is in the way of none behind it, and goes as soon as there is memory.
#[tokio::test]
async fn a_key_that_is_too_large_to_go_from_a_full_server_stays_and_all_others_go() {
    let server = server(RedisOptions::default());
    let mut redis = Talk::to(server.port());
    let large = "v".repeat((16 << 20) + 1);
    redis.say(&["SET", "large", &large]);
    let small: Vec<String> = (0..200).map(|n| format!("k:{n}")).collect();
    small.iter().for_each(|key| drop(redis.say(&["HSET", key, "f", "v"])));
    let unlinker = unlinker(&server.url()).await;
    fill(&mut redis);
    let candidates: Vec<Candidate> =
        std::iter::once(string("large", &large)).chain(small.iter().map(|key| hash(key))).collect();
    let outcomes = unlinked(&unlinker, &candidates).await;
    assert_eq!(outcomes[0], UnlinkOutcome::NoMemory);
    assert!(outcomes[1..].iter().all(|outcome| *outcome == UnlinkOutcome::Deleted), "{outcomes:?}");
    assert_eq!((redis.say(&["DBSIZE"]).number(), redis.there(&["large"])), (1, vec![true]));
    redis.say(&["CONFIG", "SET", "maxmemory", "0"]);
    assert_eq!(unlinked(&unlinker, &candidates[..1]).await, [UnlinkOutcome::Deleted]);
}

/// A write that comes while the key is read, and is taken back, is no reason to delete what was read in between.
#[tokio::test]
async fn a_key_that_is_another_only_while_it_is_read_stays() {
    let server = server(RedisOptions::default());
    let port = server.port();
    // What was done of it: sealed, read, back as it was.
    let step = Arc::new(AtomicU16::new(0));
    let steps = step.clone();
    let proxy = Proxy::start(Arc::new(AtomicU16::new(port)), move |words| {
        let of_key = words.iter().any(|word| word == "k");
        let done = match (words[0].as_str(), steps.load(Ordering::SeqCst)) {
            ("EVAL", 0) if of_key => &[][..],
            ("HSCAN", 1) if of_key => &["HDEL k g"],
            ("MULTI", 2) => &["CONFIG SET maxmemory 0", "HSET k g w", "CONFIG SET maxmemory 100kb"],
            _ => return Act::Pass,
        };
        say(port, done);
        steps.fetch_add(1, Ordering::SeqCst);
        Act::Pass
    });
    let mut redis = Talk::to(port);
    redis.say(&["HSET", "k", "f", "v", "g", "w"]);
    redis.say(&["HSET", "first", "f", "v"]);
    let unlinker = unlinker(&proxy.url()).await;
    fill(&mut redis);
    assert_eq!(unlinked(&unlinker, &[hash("first")]).await, [UnlinkOutcome::Deleted], "by its seal");
    // It must hold f alone, as it does only while it is read.
    assert_eq!(unlinked(&unlinker, &[hash("k")]).await, [UnlinkOutcome::Changed]);
    assert_eq!((redis.there(&["k"]), step.load(Ordering::SeqCst)), (vec![true], 3));
}

#[tokio::test]
async fn without_scripts_a_full_server_ends_the_work_and_it_is_said_what_to_do() {
    let acl = vec!["u on >p ~* +@all -eval".to_owned()];
    let server = server(RedisOptions { acl, ..RedisOptions::default() });
    let mut redis = Talk::to(server.port());
    redis.say(&["HSET", "k", "f", "v"]);
    let unlinker = unlinker(&format!("redis://u:p@127.0.0.1:{}", server.port())).await;
    fill(&mut redis);
    let (failure, fates) = failing(&unlinker, &[hash("k")], &Always).await;
    assert_eq!((failure.exit.code(), fates), (5, vec![Fate::Open(0)]), "{failure}");
    assert!(failure.message.contains("has no memory left (maxmemory)"), "{failure}");
    assert!(failure.hint.contains("CONFIG SET maxmemory"), "{}", failure.hint);
    assert!(failure.hint.contains("let this user run EVAL, DUMP and P"), "{}", failure.hint);
    assert_eq!(redis.there(&["k"]), [true]);
}
