//! Servers and users that do not let it write: a clear text, the right exit code, and nothing written.

use crate::Place;
use crate::redis::{Redis, held};
use redis2pg::sandbox::{RedisOptions, RedisServer};
use std::thread;
use std::time::{Duration, Instant};

/// A place with a backup of a key of each type, and that emptied.
fn backed_up() -> Place {
    let place = Place::new();
    let mut redis = place.redis();
    for command in [
        "SET app:string v",
        "HSET app:hash f v",
        "RPUSH app:list a b",
        "SADD app:set a",
        "ZADD app:zset 1 a",
        "XADD app:stream 1-1 f v",
        "SET other v",
    ] {
        redis.say(command);
    }
    place.backup();
    redis.say("FLUSHDB");
    place
}

fn server(settings: &[&str], acl: &[&str]) -> RedisServer {
    let settings = settings.iter().map(|line| (*line).to_owned()).collect();
    let acl = acl.iter().map(|line| (*line).to_owned()).collect();
    RedisServer::start(RedisOptions { settings, acl, ..RedisOptions::default() }).unwrap()
}

#[test]
fn a_replica_is_refused_and_nothing_is_written() {
    let place = backed_up();
    let primary = server(&[], &[]);
    let replica = server(&[], &[]);
    let mut redis = Redis::open(&replica.url());
    redis.say(&format!("CONFIG SET masterauth {}", primary.password()));
    redis.say(&format!("REPLICAOF 127.0.0.1 {}", primary.port()));
    let refused = place.restore_from(&place.file(), &replica.url(), &["--database", &number(&place)]).exits(5);
    assert!(refused.stderr.contains("replica") && refused.stderr.contains("primary"), "{}", refused.stderr);
}

fn number(place: &Place) -> String {
    place.url.rsplit_once('/').unwrap().1.to_owned()
}

#[test]
fn a_node_of_a_cluster_is_refused() {
    let place = backed_up();
    let node = RedisServer::start(RedisOptions { cluster: true, ..RedisOptions::default() }).unwrap();
    for url in [node.url(), node.url().replace("redis://", "redis-cluster://")] {
        let refused = place.restore_from(&place.file(), &url, &[]);
        let refused = refused.exits(2);
        assert!(refused.stderr.contains("cluster") || refused.stderr.contains("Cluster"), "{}", refused.stderr);
        assert!(!refused.stderr.contains(node.password()), "{}", refused.stderr);
    }
}

#[test]
fn a_server_without_memory_ends_it_and_it_goes_on_once_there_is_some() {
    let place = Place::new();
    let mut redis = place.redis();
    for number in 0..200 {
        redis.ok(&[b"SET", format!("key:{number}").as_bytes(), &vec![b'x'; 50_000]]);
        redis.ok(&[b"RPUSH", format!("list:{number}").as_bytes(), &vec![b'x'; 5_000]]);
    }
    let before = held(&mut redis);
    place.backup();
    let small = server(&["maxmemory 6mb", "maxmemory-policy noeviction"], &[]);
    let to = format!("{}/0", small.url());
    for args in [&[][..], &["--logical"]] {
        let refused = place.restore_from(&place.file(), &to, args).exits(5);
        assert!(
            refused.stderr.contains("no memory left") && refused.stderr.contains("maxmemory"),
            "{}",
            refused.stderr
        );
        assert_eq!(refused.json["state"], "stopped");
    }
    Redis::open(&to).say("CONFIG SET maxmemory 0");
    let done = place.restore_from(&place.file(), &to, &[]).exits(0);
    assert!(done.count("equal") > 0 && done.count("equal") + done.count("restored") == 400, "{}", done.stdout);
    let mut now = held(&mut Redis::open(&to));
    now.retain(|key, _| !key.starts_with(b"redis2pg:restore:"));
    crate::redis::assert_same(&now, &before);
}

#[test]
fn what_redis_evicts_meanwhile_is_no_success_and_another_attempt_brings_it_back() {
    let place = Place::new();
    let mut redis = place.redis();
    for number in 0..400 {
        redis.ok(&[b"SET", format!("key:{number}").as_bytes(), &vec![b'x'; 50_000]]);
    }
    let before = held(&mut redis);
    place.backup();
    let small = server(&["maxmemory 10mb", "maxmemory-policy allkeys-lru"], &["blind on >secret ~* +@all -info"]);
    let to = format!("{}/0", small.url());
    let lost = place.restore_from(&place.file(), &to, &[]).exits(5);
    let mut redis = Redis::open(&to);
    let gone = 400 - redis.say("DBSIZE").int();
    assert!(gone > 0 && lost.count("restored") == 400, "{gone}: {}", lost.stdout);
    // Another one may go for the connection that counts.
    let told = lost.stderr.split_once("evicted ").and_then(|(_, rest)| rest.split(' ').next()?.parse::<i64>().ok());
    assert!(told.is_some_and(|told| (gone - 5..=gone).contains(&told)), "{gone}: {}", lost.stderr);
    assert!(lost.stderr.contains("maxmemory") && lost.stderr.contains("noeviction"), "{}", lost.stderr);
    assert_eq!((&lost.json["state"], lost.json["exit_code"].as_u64()), (&"stopped".into(), Some(5)));
    place.restore_from(&place.file(), &to, &["--dry-run"]).exits(0);
    // Where the server does not tell, nothing is claimed of it.
    let blind = format!("redis://blind:secret@127.0.0.1:{}/0", small.port());
    place.restore_from(&place.file(), &blind, &[]).exits(0);
    redis.say("CONFIG SET maxmemory 0");
    let done = place.restore_from(&place.file(), &to, &[]).exits(0);
    assert_eq!(done.count("equal") + done.count("restored"), 400, "{}", done.stdout);
    crate::redis::assert_same(&held(&mut redis), &before);
}

#[test]
fn a_right_that_a_comparison_needs_is_named_and_its_keys_are_not_taken_for_others() {
    let place = backed_up();
    let acl = [
        "notype on >secret ~* +@all -type",
        "nolrange on >secret ~* +@all -lrange",
        "writer on >secret %W~* %RW~redis2pg:restore:* +@all",
    ];
    let server = server(&[], &acl);
    let to = |user: &str| format!("redis://{user}:secret@127.0.0.1:{}/0", server.port());
    let mut redis = Redis::open(&server.url());
    for args in [&[][..], &["--dry-run"]] {
        let refused = place.restore_from(&place.file(), &to("notype"), args).exits(2);
        assert!(refused.stderr.contains("run TYPE") && refused.stderr.contains("+type"), "{}", refused.stderr);
        assert_eq!(redis.say("DBSIZE").int(), 0);
    }
    place.restore_from(&place.file(), &format!("{}/0", server.url()), &[]).exits(0);
    for (user, sign) in [("notype", "TYPE"), ("nolrange", "LRANGE")] {
        let refused = place.restore_from(&place.file(), &to(user), &[]).exits(2);
        assert!(refused.stderr.contains(sign), "{user}: {}", refused.stderr);
    }
    for args in [&[][..], &["--logical"]] {
        let unread = place.restore_from(&place.file(), &to("writer"), args).exits(3);
        assert_eq!(unread.reason("failed", "forbidden"), 7, "{}", unread.stdout);
    }
    let replaced = place.restore_from(&place.file(), &to("writer"), &["--replace", "--yes"]).exits(0);
    assert_eq!(replaced.count("replaced"), 7, "{}", replaced.stdout);
}

#[test]
fn a_missing_right_is_named_before_anything_is_written_and_keys_that_may_not_be_written_are_counted() {
    let place = backed_up();
    let acl = [
        "nonames on >secret ~app:* +@all",
        "nohset on >secret ~* +@all -hset",
        "norestore on >secret ~* +@all -restore -@scripting -acl",
        "app on >secret ~app:* ~redis2pg:restore:* +@all",
    ];
    let server = server(&[], &acl);
    let to = |user: &str| format!("redis://{user}:secret@127.0.0.1:{}/0", server.port());
    let mut redis = Redis::open(&server.url());
    for (user, sign) in [("nonames", "~redis2pg:restore:*"), ("nohset", "HSET")] {
        let refused = place.restore_from(&place.file(), &to(user), &[]).exits(2);
        assert!(refused.stderr.contains(sign), "{user}: {}", refused.stderr);
        assert!(!refused.stderr.contains("secret"), "{}", refused.stderr);
        assert_eq!(redis.say("DBSIZE").int(), 0, "{user}");
    }
    let app = place.restore_from(&place.file(), &to("app"), &[]).exits(3);
    assert_eq!((app.count("restored"), app.reason("failed", "forbidden")), (6, 1), "{}", app.stdout);
    redis.say("FLUSHALL");
    // Without RESTORE all goes by commands.
    let by_commands = place.restore_from(&place.file(), &to("norestore"), &[]).exits(0);
    assert_eq!(by_commands.count("restored"), 7, "{}", by_commands.stdout);
    assert!(by_commands.stdout.contains("logical form"), "{}", by_commands.stdout);
}

#[test]
fn a_server_that_is_gone_is_told_by_the_name_of_the_flag_and_one_that_is_busy_is_waited_for() {
    let place = backed_up();
    let mut stopped = server(&[], &[]);
    let to = stopped.url();
    stopped.stop().unwrap();
    let gone = place.restore_from(&place.file(), &to, &[]).exits(5);
    assert!(gone.stderr.contains("--to") && !gone.stderr.contains("--from"), "{}", gone.stderr);
    let began = Instant::now();
    let loading = server(&["enable-debug-command yes"], &[]);
    let to = format!("{}/0", loading.url());
    let address = loading.url();
    let sleeper = thread::spawn(move || Redis::open(&address).say("DEBUG SLEEP 2"));
    thread::sleep(Duration::from_millis(300));
    place.restore_from(&place.file(), &to, &[]).exits(0);
    sleeper.join().unwrap();
    assert!(began.elapsed() > Duration::from_secs(1));
}
