//! What only the backup has of a key, such as a stream's groups: it must be as it is there when the key goes.

use crate::proxy::{Act, Proxy};
use crate::support::{Case, Client};
use crate::{came_to, ends, is_there, said};
use redis2pg::sandbox::{RedisOptions, RedisServer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

const THINGS: &str = r#"
[[mapping]]
name = "things"
match = "thing:{id}"
type = ["hash", "stream"]
into = "public.things"
key = ["id"]
lineage = "ledger"
column = [
  { name = "id", from = ["{id}"] },
  { name = "body", from = ["$"] },
]
"#;

/// What makes a stream with a group in which an entry is pending.
fn stream(redis: &mut Client, key: &str) {
    redis.say(&format!("XADD {key} 1-0 a 1"));
    redis.say(&format!("XADD {key} 2-0 a 2"));
    redis.say(&format!("XGROUP CREATE {key} workers 0"));
    redis.say(&format!("XREADGROUP GROUP workers ann COUNT 1 STREAMS {key} >"));
}

/// What the application does between the saving of a key and its deletion, and leaves each value as it was.
const LATER: [(&str, &str); 5] = [
    ("thing:group", "XGROUP CREATE thing:group more 0"),
    ("thing:read", "XREADGROUP GROUP workers bob COUNT 1 STREAMS thing:read >"),
    ("thing:done", "XACK thing:done workers 1-0"),
    ("thing:claimed", "XCLAIM thing:claimed workers bob 0 1-0"),
    ("thing:id", "XADD thing:id 9-0 a 9"),
];
const TIMES: [(&str, &str); 2] = [
    ("thing:timed", "HPEXPIRE thing:timed 100000000 FIELDS 1 a"),
    ("thing:untimed", "HPERSIST thing:untimed FIELDS 1 a"),
];

#[test]
fn a_key_stays_of_which_the_backup_is_older_in_what_no_column_has() {
    stays_where_it_is_another("WATCH", &LATER);
}

/// A watch sees none of what becomes of a stream's groups.
#[test]
fn a_stream_stays_whose_groups_change_between_their_comparison_and_the_deletion() {
    // All but the last, which a watch does see: the transaction would be undone, and all looked at anew.
    stays_where_it_is_another("MULTI", &LATER[..4]);
}

/// `moment`: at which of the commands that delete it becomes so; `later`: by what.
fn stays_where_it_is_another(moment: &'static str, later: &'static [(&str, &str)]) {
    let server = RedisServer::start(RedisOptions::default()).unwrap();
    let (saved, watched, done) = (AtomicBool::new(false), AtomicBool::new(false), Arc::new(AtomicBool::new(false)));
    let (direct, acted) = (format!("{}/0", server.url()), done.clone());
    let times =
        Client::open(&direct).answer(&[b"HPERSIST", b"k", b"FIELDS", b"1", b"a"]).starts_with('*') && moment == "WATCH";
    let armed = Arc::new(AtomicBool::new(false));
    let arm = armed.clone();
    let proxy = Proxy::start(Arc::new(AtomicU16::new(server.port())), move |words| {
        let saves = match words[0].as_str() {
            "EVAL_RO" => words[1].contains("'DUMP'"),
            "XINFO" => words[1] == "STREAM",
            _ => false,
        };
        if arm.load(Ordering::SeqCst) && saves {
            saved.store(true, Ordering::SeqCst);
        }
        if words[0] == "WATCH" && words.len() > 2 && saved.load(Ordering::SeqCst) {
            watched.store(true, Ordering::SeqCst);
        }
        if words[0] == moment && watched.load(Ordering::SeqCst) && !acted.swap(true, Ordering::SeqCst) {
            let mut redis = Client::open(&direct);
            later.iter().for_each(|(_, command)| drop(redis.say(command)));
            redis.say("XDEL thing:id 9-0");
            if times {
                TIMES.iter().for_each(|(_, command)| drop(redis.say(command)));
            }
        }
        Act::Pass
    });
    let place = format!("redis://:{}@", server.password());
    let case = Case::from_source(&format!("{}/0", proxy.url().replace("redis://", &place)));
    case.sql("SET ROLE redis2pg; CREATE TABLE things (id text PRIMARY KEY, body jsonb)");
    let mut redis = case.redis();
    for key in LATER.iter().map(|(key, _)| *key).chain(["thing:same"]) {
        stream(&mut redis, key);
    }
    for key in ["thing:timed", "thing:untimed", "thing:hash"] {
        redis.say(&format!("HSET {key} a 1 b 2"));
        if times && key != "thing:timed" {
            redis.say(&format!("HPEXPIRE {key} 100000000 FIELDS 1 a"));
        }
    }
    ends(case.run_config(THINGS, &[]), 0);
    let dir = tempfile::tempdir().unwrap();
    armed.store(true, Ordering::SeqCst);
    let path = dir.path().join("things.backup");
    let outcome = ends(case.cleanup(THINGS, &["--yes", "--writers", "1", "--backup", path.to_str().unwrap()]), 0);
    assert!(done.load(Ordering::SeqCst), "nothing was done in between: {outcome}");
    let changed: Vec<&str> = later.iter().chain(TIMES.iter().filter(|_| times)).map(|(key, _)| *key).collect();
    came_to(&outcome, 9 - changed.len() as i64, &[("changed", changed.len() as i64)]);
    for key in changed {
        assert!(is_there(&case, key), "{key}");
        assert_eq!(said(&outcome, key)["reason"], "changed", "{key}");
    }
}
