//! Writes between the comparison and the deletion, to the command.

use super::scene::{Scene, hash, port, say};
use super::talk::Talk;
use super::{server, string, unlinked, unlinker};
use crate::proxy::{Act, Proxy};
use redis2pg::model::RedisType;
use redis2pg::sandbox::RedisOptions;
use redis2pg::source::redis::{Candidate, UnlinkOutcome};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

#[tokio::test]
async fn a_write_between_the_comparison_and_the_deletion_undoes_the_deletion() {
    for (writes, outcome, left) in [
        (&["HSET k f w"][..], UnlinkOutcome::Changed, "k"),
        (&["HSET k g v"], UnlinkOutcome::Changed, "k"),
        (&["DEL k", "HSET k f w"], UnlinkOutcome::Changed, "k"),
        (&["SET k v"], UnlinkOutcome::Changed, "k"),
        (&["HSET n f w", "RENAME n k"], UnlinkOutcome::Changed, "k"),
        (&["PEXPIRE k 10000000"], UnlinkOutcome::Retimed, "k"),
        (&["RENAME k n"], UnlinkOutcome::Gone, "n"),
        (&["DEL k"], UnlinkOutcome::Gone, ""),
        (&["FLUSHALL"], UnlinkOutcome::Gone, ""),
        (&["PEXPIRE k 1"], UnlinkOutcome::Gone, ""),
        // Looked at anew, it holds what was compared.
        (&["DEL k", "HSET k f v"], UnlinkOutcome::Deleted, ""),
        (&["HSET k f v"], UnlinkOutcome::Deleted, ""),
    ] {
        let mut scene = Scene::new(move |server| {
            say(port(server), writes);
            // Until what was to expire has.
            thread::sleep(Duration::from_millis(5));
            Act::Pass
        })
        .await;
        for command in ["MULTI", "UNLINK", "EXEC"] {
            scene.redis.say(&["DEL", "k", "n"]);
            scene.redis.say(&["HSET", "k", "f", "v"]);
            assert_eq!(scene.unlink(command, &[hash("k")]).await, [outcome], "{writes:?} before {command}");
            assert_eq!(scene.redis.there(&["k", "n"]), [left == "k", left == "n"], "{writes:?} before {command}");
        }
    }
}

#[tokio::test]
async fn a_string_that_changes_before_the_script_stays() {
    let mut scene = Scene::new(|server| {
        say(port(server), &["SET changed w", "PEXPIRE retimed 10000000", "DEL gone"]);
        Act::Pass
    })
    .await;
    scene.redis.say(&["MSET", "changed", "v", "retimed", "v", "gone", "v", "same", "v"]);
    let keys = ["changed", "retimed", "gone", "same"];
    let outcomes = scene.unlink("EVAL", &keys.map(|key| string(key, "v"))).await;
    let expected = [UnlinkOutcome::Changed, UnlinkOutcome::Retimed, UnlinkOutcome::Gone, UnlinkOutcome::Deleted];
    assert_eq!(outcomes, expected);
    assert_eq!(scene.redis.there(&keys), [true, true, false, false]);
}

#[tokio::test]
async fn a_key_that_is_written_to_keeps_no_other_that_is_watched_with_it() {
    let mut scene = Scene::new(|server| {
        say(port(server), &["HSET k:17 f w"]);
        Act::Pass
    })
    .await;
    let keys: Vec<String> = (0..64).map(|n| format!("k:{n}")).collect();
    for key in &keys {
        scene.redis.say(&["HSET", key, "f", "v"]);
    }
    let candidates: Vec<Candidate> = keys.iter().map(|key| hash(key)).collect();
    let outcomes = scene.unlink("EXEC", &candidates).await;
    for (key, outcome) in keys.iter().zip(outcomes) {
        let expected = if key == "k:17" { UnlinkOutcome::Changed } else { UnlinkOutcome::Deleted };
        assert_eq!(outcome, expected, "{key}");
    }
    assert_eq!(scene.redis.say(&["DBSIZE"]).number(), 1);
}

#[tokio::test]
async fn a_key_that_is_written_to_all_the_time_stays_even_if_it_holds_the_same() {
    let server = server(RedisOptions::default());
    let mut redis = Talk::to(server.port());
    let (port, writes, execs) = (server.port(), Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let (on, count) = (writes.clone(), execs.clone());
    let proxy = Proxy::start(Arc::new(AtomicU16::new(port)), move |words| {
        if words[0] == "EXEC" && on.load(Ordering::SeqCst) {
            count.fetch_add(1, Ordering::SeqCst);
            say(port, &["HSET k f v"]);
        }
        Act::Pass
    });
    let unlinker = unlinker(&proxy.url()).await;
    redis.say(&["HSET", "k", "f", "v"]);
    writes.store(true, Ordering::SeqCst);
    assert_eq!(unlinked(&unlinker, &[hash("k")]).await, [UnlinkOutcome::Changed]);
    assert_eq!(redis.there(&["k"]), [true]);
    assert_eq!(execs.load(Ordering::SeqCst), 6, "it gives up");
}

#[tokio::test]
async fn a_collection_that_changes_while_its_slices_are_read_stays() {
    let mut scene = Scene::new(|server| {
        say(port(server), &["HSET large f:0 w"]);
        Act::Pass
    })
    .await;
    let long = "v".repeat(2_000);
    let mut packed = redis2pg::model::Packer::default();
    for n in 0..1_500 {
        let field = format!("f:{n}");
        scene.redis.say(&["HSET", "large", &field, &long]);
        packed.push(field.as_bytes());
        packed.push(long.as_bytes());
    }
    let digest = redis2pg::model::ContentDigest::of(RedisType::Hash, &packed.finish());
    let content = redis2pg::source::redis::Content::Digest(digest);
    let candidate = Candidate { content, ..hash("large") };
    // At the end all slices have been read, whichever of them had the field.
    for command in ["HSCAN", "MULTI"] {
        scene.redis.say(&["HSET", "large", "f:0", &long]);
        assert_eq!(scene.unlink(command, std::slice::from_ref(&candidate)).await, [UnlinkOutcome::Changed]);
        assert_eq!(scene.redis.there(&["large"]), [true], "{command}");
    }
    scene.redis.say(&["HSET", "large", "f:0", &long]);
    assert_eq!(unlinked(&scene.unlinker, &[candidate]).await, [UnlinkOutcome::Deleted]);
}
