//! A backup beside a large key that is being read: what is to be deleted waits for the backup, and the reading for what is to be
//! deleted.

use crate::support::{Case, Client, asked, noting, until};
use crate::{came_to, ends};
use redis2pg::sandbox::{RedisOptions, RedisServer};

/// Members of the set: more than fit between its reading and the comparison of its rows.
const MEMBERS: usize = 30_000;
const HASHES: usize = 400;

const MAPPINGS: &str = r#"
[[mapping]]
name = "tags"
match = "tags:{id}"
type = "set"
explode = true
into = "public.tags"
key = ["id", "tag"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "tag", from = ["$.member"] },
]

[[mapping]]
name = "things"
match = "thing:{id}"
type = "hash"
into = "public.things"
key = ["id"]
lineage = "ledger"
column = [
  { name = "id", from = ["{id}"] },
  { name = "body", from = ["$"] },
]
"#;

const EVENTS: &str = r#"
[[mapping]]
name = "events"
match = "events:{id}"
type = "stream"
explode = true
into = "public.events"
key = ["id", "entry"]
lineage = "ledger"
column = [
  { name = "id", from = ["{id}"] },
  { name = "entry", from = ["$.id"] },
  { name = "first", from = ["$.fields.f1"] },
]
"#;

/// Entries of 500 fields and 6,400 bytes: each is one item to Redis, for the run and for the cleanup.
#[test]
fn a_slice_of_a_stream_is_no_larger_for_its_fields() {
    const FILL: &str = "for i = 1, 1200 do local fields = {} for f = 1, 500 do fields[2 * f - 1] = 'f' .. f \
        fields[2 * f] = 'v' end redis.call('XADD', KEYS[1], i .. '-1', unpack(fields)) end return 'done'";
    let server = noting();
    let case = Case::from_source(&format!("{}/0", server.url()));
    case.sql("SET ROLE redis2pg; CREATE TABLE events (id text, entry text, first text, PRIMARY KEY (id, entry))");
    let mut redis = case.redis();
    assert_eq!(redis.answer(&[b"EVAL", FILL.as_bytes(), b"1", b"events:big"]), "done");
    let counts = |redis: &mut Client| -> Vec<usize> {
        asked(redis, "XRANGE").iter().map(|words| words[5].parse().unwrap()).collect()
    };
    ends(case.run_config(EVENTS, &[]), 0);
    let read = counts(&mut redis);
    assert!(read.len() > 7 && read.iter().all(|count| count * 6_400 < 600 << 10), "{read:?}");
    redis.say("SLOWLOG RESET");
    came_to(&ends(case.cleanup(EVENTS, &["--yes"]), 0), 1, &[]);
    let compared = counts(&mut redis);
    assert!(compared.len() > 5 && compared.iter().all(|count| count * 6_400 < 1_200 << 10), "{compared:?}");
}

/// A server whose user may run no scripts, so that a backup reads hashes of any size by the connection for large values.
fn without_scripts() -> (RedisServer, Client, String) {
    let acl = vec!["u on >p ~* +@all -@scripting".to_owned()];
    let server = RedisServer::start(RedisOptions { acl, ..RedisOptions::default() }).unwrap();
    let redis = Client::open(&format!("{}/0", server.url()));
    let url = format!("redis://u:p@127.0.0.1:{}/0", server.port());
    (server, redis, url)
}

/// The set is read while hashes are saved: its next slices find no room before the hashes are gone.
#[test]
fn keys_are_saved_while_a_large_one_is_read() {
    let (_server, mut redis, url) = without_scripts();
    let case = Case::from_source(&url);
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE tags (id text, tag text, PRIMARY KEY (id, tag)); \
         CREATE TABLE things (id text PRIMARY KEY, body jsonb)",
    );
    for part in 0..MEMBERS / 1_000 {
        let members: Vec<String> = (0..1_000).map(|n| format!("{:06}{}", part * 1_000 + n, "x".repeat(60))).collect();
        let words: Vec<&[u8]> =
            [&b"SADD"[..], b"tags:big"].into_iter().chain(members.iter().map(String::as_bytes)).collect();
        redis.integer(&words);
    }
    for n in 0..HASHES {
        redis.say(&format!("HSET thing:{n} a 1 b 2"));
    }
    ends(case.run_config(MAPPINGS, &[]), 0);
    let names: Vec<String> = (0..HASHES).map(|n| format!("thing:{n}")).collect();
    let listed: Vec<&str> = std::iter::once("tags:big").chain(names.iter().map(String::as_str)).collect();
    let (list, dir) = (case.list(&listed), tempfile::tempdir().unwrap());
    let (list, path) = (list.path().to_str().unwrap(), dir.path().join("all.backup"));
    let flow = ["--writers", "1", "--batch-rows", "150", "--yes", "--keys-from", list];
    let mut running = case.start_cleanup(MAPPINGS, &[&flow[..], &["--backup", path.to_str().unwrap()]].concat());
    let waited =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| until("the cleanup ends", || running.ended())));
    if let Err(late) = waited {
        running.kill9();
        std::panic::resume_unwind(late);
    }
    came_to(&ends(running.finish(), 0), 1 + HASHES as i64, &[]);
    assert_eq!(redis.integer(&[b"DBSIZE"]), 0);
}
