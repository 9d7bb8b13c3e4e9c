//! A restore that is killed, stopped or cut off at any moment, and run again.

use crate::Place;
use crate::data;
use crate::redis::{Redis, assert_same, held};
use crate::support::{Ended, Random, seed, until};
use redis2pg::sandbox::{RedisOptions, RedisServer};
use std::process::{Child, Command};
use std::thread;
use std::time::Duration;

/// A place with a backup of many small keys and some large ones.
fn backed_up(place: &Place) -> std::collections::BTreeMap<Vec<u8>, crate::redis::Held> {
    let mut redis = place.redis();
    let mut random = Random(seed());
    data::fill(&mut redis, &mut random, 3_000);
    let items: Vec<Vec<u8>> = (0..3_000).map(|number| format!("{number}:{}", "x".repeat(1_000)).into_bytes()).collect();
    for number in 0..4 {
        let name = format!("large:{number}");
        let head: [&[u8]; 2] = [b"RPUSH", name.as_bytes()];
        redis.ok(&head.into_iter().chain(items.iter().map(Vec::as_slice)).collect::<Vec<_>>());
    }
    let before = held(&mut redis);
    place.backup();
    redis.say("FLUSHDB");
    before
}

fn start(place: &Place, args: &[&str]) -> Child {
    let file = place.file();
    let head = ["restore", "--json", "--logical", "--file", file.to_str().unwrap(), "--to", &place.url];
    place.command(&[&head, args].concat()).spawn().unwrap()
}

#[test]
fn killed_at_any_moment_it_leaves_whole_keys_and_another_attempt_does_the_rest() {
    let place = Place::new();
    let before = backed_up(&place);
    let mut redis = place.redis();
    let mut random = Random(seed() ^ 7);
    let (mut killed, mut rounds) = (0, 0);
    while killed < 8 && rounds < 60 {
        rounds += 1;
        redis.say("FLUSHDB");
        let mut child = start(&place, &["--max-keys-per-second", "6000"]);
        // From the first key on, for about as long as it takes.
        until("the first key", || redis.say("DBSIZE").int() > 0);
        thread::sleep(Duration::from_millis(random.below(450)));
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        killed += u32::from(output.status.code().is_none());
        // The server may not have done yet all that it was sent.
        until("its connections are gone", || others(&mut redis, place.url.rsplit_once('/').unwrap().1).is_empty());
        let now = held(&mut redis);
        for (key, held) in &now {
            if key.starts_with(b"redis2pg:restore:") {
                assert!(held.expires > data::now(), "what was being built stays for ever");
                redis.ok(&[b"DEL", key]);
            } else {
                assert!(before[key] == *held, "{} is not whole", String::from_utf8_lossy(key));
            }
        }
        let there = redis.say("DBSIZE").int() as u64;
        let again = place.restore(&["--logical"]).exits(0);
        assert_eq!((again.count("equal"), again.count("restored")), (there, before.len() as u64 - there));
        assert_same(&held(&mut redis), &before);
    }
    assert!(killed >= 8, "it was killed {killed} times only");
}

#[test]
fn a_signal_ends_it_between_keys_and_the_same_command_goes_on() {
    let place = Place::new();
    let before = backed_up(&place);
    let mut redis = place.redis();
    let child = start(&place, &["--max-keys-per-second", "1000"]);
    until("the first key", || redis.say("DBSIZE").int() > 0);
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let stopped = Ended::of(&child.wait_with_output().unwrap()).exits(7);
    assert!(stopped.stderr.contains("same command"), "{}", stopped.stderr);
    assert_eq!(stopped.json["state"], "stopped");
    let there = redis.keys();
    assert!(!there.is_empty() && there.len() < before.len());
    assert!(there.iter().all(|key| before.contains_key(key)), "nothing is left of what was being built");
    assert_eq!(stopped.count("restored"), there.len() as u64);
    let again = place.restore(&["--logical"]).exits(0);
    assert_eq!(again.count("equal"), there.len() as u64);
    assert_same(&held(&mut redis), &before);
}

#[test]
fn a_connection_that_is_cut_again_and_again_costs_nothing() {
    let place = Place::new();
    let before = backed_up(&place);
    let mut redis = place.redis();
    let mut child = start(&place, &["--max-keys-per-second", "1500", "--reconnect-attempts", "100"]);
    let mut random = Random(seed() ^ 9);
    let mut cuts = 0;
    for _ in 0..10 {
        thread::sleep(Duration::from_millis(100 + random.below(500)));
        // Every connection with that database but this one.
        cuts += cut(&mut redis, place.url.rsplit_once('/').unwrap().1);
        if child.try_wait().unwrap().is_some() {
            break;
        }
    }
    let ended = Ended::of(&child.wait_with_output().unwrap()).exits(0);
    assert!(cuts >= 3, "{cuts} connections were cut");
    assert_eq!(ended.count("restored"), before.len() as u64, "{}", ended.stdout);
    assert_same(&held(&mut redis), &before);
}

/// Cuts all connections with a database but this one; how many.
fn cut(redis: &mut Redis, database: &str) -> usize {
    let ids = others(redis, database);
    ids.iter()
        .filter(|id| redis.ask(&[b"CLIENT", b"KILL", b"ID", id.as_bytes()]) == crate::redis::Reply::Int(1))
        .count()
}

/// The ids of the connections with a database but this one.
fn others(redis: &mut Redis, database: &str) -> Vec<String> {
    let own = redis.say("CLIENT ID").int().to_string();
    let list = String::from_utf8(redis.say("CLIENT LIST").bytes().to_vec()).unwrap();
    let wanted = format!("db={database}");
    let of_it = list.lines().filter(|line| line.split(' ').any(|word| word == wanted));
    let ids = of_it.filter_map(|line| line.split(' ').find_map(|word| word.strip_prefix("id=")));
    ids.filter(|id| *id != own).map(str::to_owned).collect()
}

#[test]
fn a_redis_that_is_restarted_meanwhile_is_told_and_another_attempt_brings_all_of_it() {
    let options = RedisOptions { save_to_disk: true, ..RedisOptions::default() };
    let mut server = RedisServer::start(options).unwrap();
    let place = Place::at(format!("{}/0", server.url()));
    let before = backed_up(&place);
    let child = start(&place, &["--max-keys-per-second", "1000", "--reconnect-attempts", "50"]);
    let mut redis = place.redis();
    until("the first key", || redis.say("DBSIZE").int() > 0);
    thread::sleep(Duration::from_millis(200));
    server.kill9().unwrap();
    thread::sleep(Duration::from_millis(100));
    server.restart().unwrap();
    // It cannot be known what the one before had saved.
    let ended = Ended::of(&child.wait_with_output().unwrap()).exits(5);
    assert!(ended.stderr.contains("restarted"), "{}", ended.stderr);
    let again = place.restore(&["--logical"]).exits(0);
    assert_eq!(again.count("restored") + again.count("equal"), before.len() as u64, "{}", again.stdout);
    let mut now = held(&mut place.redis());
    now.retain(|key, _| !key.starts_with(b"redis2pg:restore:"));
    assert_same(&now, &before);
}

#[test]
fn a_backup_that_was_killed_is_in_the_way_and_what_to_do_is_said_and_works() {
    let place = Place::new();
    let mut redis = place.redis();
    let pairs: Vec<Vec<u8>> = (0..40_000).map(|n| format!("key:{n:06}:{n:0>60}").into_bytes()).collect();
    let commands: Vec<_> = pairs.iter().map(|key| vec![b"SET".to_vec(), key.clone(), key.clone()]).collect();
    redis.all(&commands);
    let (file, partial) = (place.file(), redis2pg::backup::partial_of(&place.file()));
    let args = ["backup", "--json", "--from", &place.url, "--file", file.to_str().unwrap()];
    let mut child = place.command(&[&args[..], &["--max-keys-per-second", "10000"]].concat()).spawn().unwrap();
    while std::fs::metadata(&partial).map_or(0, |facts| facts.len()) < 100_000 {
        assert!(child.try_wait().unwrap().is_none(), "it has ended");
        thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let before = std::fs::read(&partial).unwrap();
    let refused = place.run(&args).exits(2);
    let said = refused.stderr.split("put back: redis2pg ").nth(1).unwrap_or_else(|| panic!("{}", refused.stderr));
    assert!(refused.stderr.contains("remove that file, or give another name"), "{}", refused.stderr);
    assert_eq!(std::fs::read(&partial).unwrap(), before, "it was touched");
    // The very command that it names.
    let said = said.lines().next().unwrap().replace("URL", &place.url);
    let words: Vec<&str> = said.split(' ').chain(["--json"]).collect();
    redis.say("FLUSHDB");
    assert_eq!(place.run(&["restore", "--file", partial.to_str().unwrap(), "--to", &place.url]).code, 2);
    let salvaged = place.run(&words).exits(3);
    let there = redis.keys();
    assert_eq!(salvaged.count("restored"), there.len() as u64, "{}", salvaged.stdout);
    assert!(there.len() > 1_000 && there.len() < pairs.len(), "{}", there.len());
    assert!(there.iter().all(|key| redis.ok(&[b"GET", key]).bytes() == key));
    std::fs::remove_file(&partial).unwrap();
    assert_eq!(place.backup().count("kept"), there.len() as u64);
}
