//! Connections that break between the comparison and the deletion, servers that restart or become replicas, and those that
//! take no writes.

use super::scene::{Scene, Trap, hash, port, say};
use super::talk::Talk;
use super::{Always, failing, server, string, unlinked, unlinker, unlinking};
use crate::proxy::{Act, Proxy};
use crate::support::scripted::{Keyspace, ScriptedRedis, array, bulk, reply};
use crate::support::until;
use redis2pg::sandbox::RedisOptions;
use redis2pg::source::redis::{Candidate, Fate, Fates, UnlinkOutcome};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// What an outcome is told as where the answer to this command was lost: if it deletes, a key that is another may be a new one.
fn behind_a_lost_answer(command: &str, outcome: UnlinkOutcome) -> UnlinkOutcome {
    let deletes = ["EXEC", "EVAL"].contains(&command);
    if deletes && outcome == UnlinkOutcome::Changed { UnlinkOutcome::PerhapsAnew } else { outcome }
}

#[tokio::test]
async fn a_watch_that_is_lost_with_its_connection_deletes_nothing_that_was_not_compared() {
    for kills in [true, false] {
        for (write, outcome) in [("HSET k f w", UnlinkOutcome::Changed), ("PING", UnlinkOutcome::Deleted)] {
            let mut scene = Scene::new(move |server| {
                let mut redis = Talk::to(port(server));
                if kills {
                    // All but this one: the watching connection and the one that reads.
                    assert!(redis.say(&["CLIENT", "KILL", "TYPE", "normal"]).number() > 1);
                }
                redis.say(&write.split(' ').collect::<Vec<_>>());
                if kills { Act::Pass } else { Act::Cut }
            })
            .await;
            for command in ["WATCH", "HSCAN", "MULTI", "UNLINK", "EXEC"] {
                Talk::to(port(&scene.server)).say(&["HSET", "k", "f", "v"]);
                let outcomes = scene.unlink(command, &[hash("k")]).await;
                let expected = behind_a_lost_answer(command, outcome);
                assert_eq!(outcomes, [expected], "{write} at {command}, killed: {kills}");
                scene.redis = Talk::to(port(&scene.server));
                assert_eq!(scene.redis.there(&["k"]), [outcome == UnlinkOutcome::Changed]);
            }
        }
    }
}

#[tokio::test]
async fn a_deletion_whose_answer_is_lost_is_told_as_unconfirmed_if_the_key_is_gone() {
    let mut scene = Scene::new(|_| Act::Lose).await;
    // Of those before EXEC none deletes: the second attempt does, and knows it.
    for command in ["WATCH", "MULTI", "UNLINK", "EXEC"] {
        scene.redis.say(&["HSET", "k", "f", "v"]);
        scene.redis.say(&["HSET", "other", "f", "w"]);
        let outcomes = scene.unlink(command, &[hash("k"), hash("other"), hash("nothing")]).await;
        let deleted = if command == "EXEC" { UnlinkOutcome::Unconfirmed } else { UnlinkOutcome::Deleted };
        assert_eq!(outcomes, [deleted, UnlinkOutcome::Changed, UnlinkOutcome::Gone], "{command}");
        assert_eq!(scene.redis.there(&["k", "other"]), [false, true], "{command}");
    }
    scene.redis.say(&["MSET", "k", "v", "other", "w"]);
    let outcomes = scene.unlink("EVAL", &[string("k", "v"), string("other", "v")]).await;
    // The lost answer may have said that the other one was deleted, and this be a new one.
    assert_eq!(outcomes, [UnlinkOutcome::Unconfirmed, UnlinkOutcome::PerhapsAnew]);
    assert_eq!(scene.redis.there(&["k", "other"]), [false, true]);
}

#[tokio::test]
async fn a_deletion_that_never_arrived_is_tried_again() {
    let mut scene = Scene::new(|_| Act::Cut).await;
    scene.redis.say(&["HSET", "hash", "f", "v"]);
    scene.redis.say(&["SET", "string", "v"]);
    assert_eq!(scene.unlink("EXEC", &[hash("hash")]).await, [UnlinkOutcome::Deleted]);
    assert_eq!(scene.unlink("EVAL", &[string("string", "v")]).await, [UnlinkOutcome::Deleted]);
    assert_eq!(scene.redis.there(&["hash", "string"]), [false, false]);
}

#[tokio::test]
async fn a_server_that_restarts_in_between_is_looked_at_anew() {
    for changes in [true, false] {
        let scene = Scene::new(move |server| {
            let mut server = server.lock().unwrap();
            server.kill9().unwrap();
            server.restart().unwrap();
            if changes {
                say(server.port(), &["HSET hash f w", "SET string w"]);
            }
            Act::Pass
        })
        .await;
        let outcome = if changes { UnlinkOutcome::Changed } else { UnlinkOutcome::Deleted };
        for command in ["MULTI", "EXEC", "EVAL"] {
            let candidate = if command == "EVAL" { string("string", "v") } else { hash("hash") };
            say(port(&scene.server), &["DEL hash", "HSET hash f v", "SET string v"]);
            let expected = behind_a_lost_answer(command, outcome);
            assert_eq!(scene.unlink(command, &[candidate]).await, [expected], "{command}, changes: {changes}");
            let key = if command == "EVAL" { "string" } else { "hash" };
            assert_eq!(Talk::to(port(&scene.server)).there(&[key]), [changes], "{command}");
        }
    }
}

#[tokio::test]
async fn a_server_that_is_silent_for_long_and_then_deletes_is_believed_when_it_is_asked() {
    let scene = Scene::new(|server| {
        server.lock().unwrap().pause().unwrap();
        Act::Pass
    })
    .await;
    for command in ["EXEC", "EVAL"] {
        let candidate = if command == "EVAL" { string("k", "v") } else { hash("k") };
        say(port(&scene.server), if command == "EVAL" { &["SET k v"] } else { &["HSET k f v"] });
        let server = scene.server.clone();
        let waker = thread::spawn(move || {
            // Longer than a command may take.
            thread::sleep(Duration::from_secs(4));
            server.lock().unwrap().resume().unwrap();
        });
        let outcomes = scene.unlink(command, &[candidate]).await;
        waker.join().unwrap();
        assert!(matches!(outcomes[0], UnlinkOutcome::Unconfirmed | UnlinkOutcome::Deleted), "{outcomes:?}");
        assert_eq!(Talk::to(port(&scene.server)).there(&["k"]), [false], "{command}");
    }
}

#[tokio::test]
async fn a_server_that_becomes_a_replica_ends_the_work_and_keeps_its_keys() {
    for command in ["UNLINK", "EXEC", "EVAL"] {
        let mut scene = Scene::new(|server| {
            say(port(server), &["REPLICAOF 127.0.0.1 1"]);
            Act::Pass
        })
        .await;
        scene.redis.say(&["HSET", "hash", "f", "v"]);
        scene.redis.say(&["SET", "string", "v"]);
        scene.trap.set(command);
        let candidate = if command == "EVAL" { string("string", "v") } else { hash("hash") };
        let (failure, fates) = failing(&scene.unlinker, &[candidate], &Always).await;
        assert_eq!((failure.exit.code(), fates), (5, vec![Fate::Open(0)]), "{command}: {failure}");
        assert!(failure.message.contains("is a replica"), "{command}: {failure}");
        assert_eq!(scene.redis.there(&["hash", "string"]), [true, true], "{command}");
    }
}

#[tokio::test]
async fn after_a_failover_the_new_server_is_asked_and_a_replica_ends_the_work() {
    for promoted in [true, false] {
        let at_once =
            || RedisOptions { settings: vec!["repl-diskless-sync-delay 0".to_owned()], ..RedisOptions::default() };
        let (old, new) = (server(at_once()), server(at_once()));
        let (mut primary, mut replica) = (Talk::to(old.port()), Talk::to(new.port()));
        replica.say(&["REPLICAOF", "127.0.0.1", &old.port().to_string()]);
        primary.say(&["HSET", "changed", "f", "v"]);
        primary.say(&["HSET", "same", "f", "v"]);
        until("the replica has both", || replica.there(&["changed", "same"]) == [true, true]);
        let (trap, leads_to, new_port) = (Trap::default(), Arc::new(AtomicU16::new(old.port())), new.port());
        let (hook, target) = (trap.clone(), leads_to.clone());
        let proxy = Proxy::start(leads_to, move |words| {
            if !hook.springs(words) {
                return Act::Pass;
            }
            if promoted {
                say(new_port, &["REPLICAOF NO ONE", "HSET changed f w"]);
            }
            target.store(new_port, Ordering::SeqCst);
            Act::Cut
        });
        let unlinker = unlinker(&proxy.url()).await;
        trap.set("EXEC");
        let outcomes = unlinking(&unlinker, &[hash("changed"), hash("same")], &Always).await;
        assert!(trap.has_sprung());
        if promoted {
            assert_eq!(outcomes.unwrap(), [UnlinkOutcome::PerhapsAnew, UnlinkOutcome::Deleted]);
            assert_eq!(replica.there(&["changed", "same"]), [true, false]);
        } else {
            let failure = outcomes.unwrap_err();
            assert!(failure.exit.code() == 5 && failure.message.contains("is a replica"), "{failure}");
            assert_eq!(replica.there(&["changed", "same"]), [true, true]);
        }
    }
}

/// A proxy may change the server behind a connection, and keep the connection.
#[tokio::test]
async fn another_server_behind_the_same_connection_is_told_from_the_one_that_watches() {
    let (trap, moved) = (Trap::default(), Arc::new(AtomicBool::new(false)));
    let (hook, deletions) = (trap.clone(), Arc::new(AtomicU32::new(0)));
    let (armed, count) = (moved.clone(), deletions.clone());
    let server = ScriptedRedis::start(Keyspace::default(), move |_, command| {
        let moved = armed.load(Ordering::SeqCst);
        let about = |run_id: &str| bulk(&format!("redis_version:7.2.0\r\nrole:master\r\nrun_id:{run_id}\r\n"));
        reply(match command[0].as_str() {
            "INFO" => about(if moved { "b" } else { "a" }),
            "EVAL" => array(&[]),
            "WATCH" | "MULTI" | "UNWATCH" => "+OK\r\n".to_owned(),
            "HSCAN" => {
                let held = array(&[bulk("f"), bulk(if moved { "w" } else { "v" })]);
                if hook.springs(command) {
                    armed.store(true, Ordering::SeqCst);
                }
                array(&[bulk("0"), held])
            }
            "UNLINK" => "+QUEUED\r\n".to_owned(),
            "EXEC" => {
                count.fetch_add(1, Ordering::SeqCst);
                array(&[":1\r\n".to_owned()])
            }
            _ => return None,
        })
    });
    let unlinker = unlinker(&server.url()).await;
    let tried = deletions.load(Ordering::SeqCst);
    trap.set("HSCAN");
    let candidate = Candidate { expires_at: None, ..hash("k") };
    assert_eq!(unlinked(&unlinker, &[candidate]).await, [UnlinkOutcome::Changed]);
    assert!(trap.has_sprung() && moved.load(Ordering::SeqCst));
    assert_eq!(deletions.load(Ordering::SeqCst), tried, "nothing was deleted");
}

/// A proxy changes the server behind the connection in the middle of a transaction: what was to be queued is run.
#[tokio::test]
async fn of_keys_that_are_deleted_where_they_were_to_be_queued_nothing_is_claimed() {
    let server = ScriptedRedis::start(Keyspace::default(), move |_, command| {
        reply(match command[0].as_str() {
            "INFO" => bulk("redis_version:7.2.0\r\nrole:master\r\nrun_id:a\r\n"),
            "EVAL" => array(&[]),
            "WATCH" | "MULTI" | "UNWATCH" => "+OK\r\n".to_owned(),
            "HSCAN" => array(&[bulk("0"), array(&[bulk("f"), bulk("v")])]),
            "UNLINK" if command[1] == "first" => "-ERR first\r\n".to_owned(),
            // It has no answer yet when the work is given up.
            "UNLINK" if command[1] == "silent" => {
                std::thread::sleep(Duration::from_secs(3));
                return None;
            }
            "UNLINK" => ":1\r\n".to_owned(),
            "EXEC" => array(&[]),
            _ => return None,
        })
    });
    let unlinker = unlinker(&server.url()).await;
    let of = |keys: [&str; 2]| keys.map(|key| Candidate { expires_at: None, ..hash(key) });
    let (failure, fates) = failing(&unlinker, &of(["first", "second"]), &Always).await;
    assert_eq!((failure.exit.code(), fates), (5, vec![Fate::Open(1); 2]), "{failure}");
    let (candidates, fates) = (of(["second", "silent"]), Fates::of(2));
    let unlinking = unlinker.unlink(&candidates, &Always, &fates);
    assert!(tokio::time::timeout(Duration::from_secs(1), unlinking).await.is_err());
    assert_eq!(fates.known(), [Fate::Open(1); 2]);
}

/// As a second signal gives it up.
#[tokio::test]
async fn of_a_deletion_that_is_given_up_it_is_known_which_keys_it_was_sent_for() {
    for command in ["EXEC", "EVAL"] {
        let mut scene = Scene::new(|server| {
            server.lock().unwrap().pause().unwrap();
            Act::Pass
        })
        .await;
        scene.redis.say(&["HSET", "hash", "f", "v"]);
        scene.redis.say(&["HSET", "other", "f", "w"]);
        scene.redis.say(&["SET", "string", "v"]);
        let candidates =
            if command == "EXEC" { vec![hash("hash"), hash("other")] } else { vec![string("string", "v")] };
        let fates = Fates::of(candidates.len());
        scene.trap.set(command);
        let unlinking = scene.unlinker.unlink(&candidates, &Always, &fates);
        assert!(tokio::time::timeout(Duration::from_secs(1), unlinking).await.is_err(), "{command}");
        assert!(scene.trap.has_sprung(), "{command}");
        let known = fates.known();
        assert_eq!((known[0], known.get(1).copied().unwrap_or(Fate::Open(0))), (Fate::Open(1), Fate::Open(0)));
        scene.server.lock().unwrap().resume().unwrap();
    }
}

#[tokio::test]
async fn a_server_that_takes_no_writes_ends_the_work() {
    for candidate in [hash("hash"), string("string", "v")] {
        let server = server(RedisOptions::default());
        let mut redis = Talk::to(server.port());
        redis.say(&["HSET", "hash", "f", "v"]);
        redis.say(&["SET", "string", "v"]);
        let unlinker = unlinker(&server.url()).await;
        redis.say(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
        let (failure, fates) = failing(&unlinker, &[candidate], &Always).await;
        assert!(failure.exit.code() == 5 && failure.message.contains("NOREPLICAS"), "{failure}");
        assert_eq!(fates, [Fate::Open(0)], "nothing was done to it");
        assert_eq!(redis.there(&["hash", "string"]), [true, true]);
    }
}
