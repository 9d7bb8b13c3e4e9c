//! Fields of hashes that expire by themselves: stored where Redis tells when, and no trouble where it does not.

use crate::support;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use support::scripted::{Answer, Keyspace, ScriptedRedis, array, bulk, page, reply, scan_cursor};
use support::{Case, Outcome};

const TABLE: &str = "SET ROLE redis2pg; CREATE TABLE fields
    (id text, field text, value text, expires_at timestamptz, ttl bigint, PRIMARY KEY (id, field));";
const WARNING: &str = "have a TTL of their own";
const UNTOLD: &str = "Redis does not tell when fields of hashes expire";
/// When a field expires: 9 seconds after what TIME answers.
const EXPIRY: i64 = 1_700_000_009_000;

/// A mapping with these columns beside id, field and value.
fn mapping(columns: &str) -> String {
    format!(
        r#"[[mapping]]
name = "fields"
match = "hash:{{id}}"
type = "hash"
explode = true
into = "public.fields"
key = ["id", "field"]
column = [
  {{ name = "id", from = ["{{id}}"] }},
  {{ name = "field", from = ["$.field"] }},
  {{ name = "value", from = ["$.value"] }},
  {columns}
]
"#
    )
}

fn with_times() -> String {
    mapping(
        r#"{ name = "expires_at", from = ["element.expires_at", "redis.expires_at"] }, { name = "ttl", from = ["element.ttl"] },"#,
    )
}

/// A server of one hash that takes so much memory. Its fields are a, which expires at `expiry`, b, and one that goes
/// between the two questions.
fn server(memory: u64, expiry: Arc<AtomicI64>) -> Case {
    let fields = ["b", "2", "gone", "3", "a", "1"];
    let server = ScriptedRedis::start(Keyspace::default(), move |_, command| {
        let facts = || array(&[bulk("hash"), format!(":{memory}\r\n"), ":-1\r\n".to_owned()]);
        match command[0].as_str() {
            "EVAL_RO" if command[1].contains("MEMORY") && command[3] != "redis2pg:probe" => reply(facts()),
            "SCAN" => scan_cursor(command).map(|_| Answer::Reply(page("0", &["hash:1"]))),
            "INFO" if command.get(1).is_some_and(|section| section == "keyspace") => {
                reply(bulk("# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0,subexpiry=1\r\n"))
            }
            "HGETALL" => reply(array(&fields.map(bulk))),
            "HSCAN" if command[2] == "0" => reply(page("7", &fields[..4])),
            "HSCAN" => reply(page("0", &fields[4..])),
            "HPEXPIRETIME" => {
                let time = |field: &String| match field.as_str() {
                    "a" => expiry.load(Ordering::Relaxed),
                    "b" => -1,
                    _ => -2,
                };
                reply(array(&command[4..].iter().map(|field| format!(":{}\r\n", time(field))).collect::<Vec<_>>()))
            }
            "WATCH" | "UNWATCH" | "MULTI" => reply("+OK\r\n".to_owned()),
            "EXEC" => reply("*1\r\n+PONG\r\n".to_owned()),
            _ => None,
        }
    });
    let case = Case::from_source(&server.url());
    case.sql(TABLE);
    case
}

fn run(case: &Case, mapping: &str) -> Outcome {
    case.run_config(mapping, &["--allow-empty"]).exits(0)
}

#[test]
fn the_time_of_each_field_is_stored_and_one_that_has_gone_is_no_row() {
    // Read whole, and in slices.
    for memory in [1_000, 2 << 20] {
        let expiry = Arc::new(AtomicI64::new(EXPIRY));
        let case = server(memory, expiry.clone());
        let rows = || case.sql("SELECT field, value, extract(epoch FROM expires_at), ttl FROM fields ORDER BY 1");
        let outcome = run(&case, &with_times());
        assert_eq!(rows(), "a|1|1700000009.000000|9000\nb|2||", "{memory}");
        assert!(!outcome.said().contains(WARNING) && !outcome.said().contains(UNTOLD), "{outcome}");
        // Less time left is no change, another time of expiry is one.
        expiry.store(EXPIRY + 500, Ordering::Relaxed);
        assert_eq!(run(&case, &with_times()).total("unchanged"), 1);
        expiry.store(EXPIRY + 60_000, Ordering::Relaxed);
        assert_eq!(run(&case, &with_times()).total("updated"), 1);
        assert_eq!(rows(), "a|1|1700000069.000000|69000\nb|2||", "{memory}");
        expiry.store(-1, Ordering::Relaxed);
        assert_eq!(run(&case, &with_times()).total("updated"), 1);
        assert_eq!(rows(), "a|1||\nb|2||", "{memory}: it has no TTL any more");
    }
}

#[test]
fn a_mapping_that_stores_none_of_the_times_that_there_are_is_warned_of() {
    let case = server(1_000, Arc::new(AtomicI64::new(EXPIRY)));
    let outcome = run(&case, &mapping(""));
    assert!(outcome.said().contains(WARNING), "{outcome}");
    assert!(outcome.said().contains("hashes with such fields: 1"), "{outcome}");
    assert_eq!(case.sql("SELECT field FROM fields ORDER BY 1"), "a\nb\ngone", "they are not asked for");
}

#[test]
fn the_installed_server_tells_the_times_or_a_notice_says_that_it_does_not() {
    let case = Case::new();
    case.sql(TABLE);
    let mut redis = case.redis();
    redis.say("HSET hash:1 a 1 b 2");
    let told = !redis.answer(&[b"HPEXPIRE", b"hash:1", b"100000", b"FIELDS", b"1", b"a"]).starts_with("-ERR unknown");
    for dry in [&["--dry-run"][..], &[]] {
        let outcome = case.run_config(&with_times(), dry).exits(0);
        let notices = outcome
            .stderr
            .lines()
            .filter(|line| line.contains("element.expires_at and element.ttl are null") && line.contains(UNTOLD));
        assert_eq!(notices.count(), usize::from(!told), "{outcome}");
        let unstored = case.run_config(&mapping(""), &["--dry-run"]).exits(0);
        assert_eq!(unstored.said().contains(WARNING), told, "{unstored}");
    }
    let times =
        "SELECT field, expires_at BETWEEN now() AND now() + interval '101 s', ttl BETWEEN 1 AND 100000 FROM fields";
    let expected = if told { "a|t|t\nb||" } else { "a||\nb||" };
    assert_eq!(case.sql(&format!("{times} ORDER BY 1")), expected);
}

#[test]
fn a_large_hash_is_read_the_same_way() {
    let case = Case::new();
    case.sql(TABLE);
    let mut redis = case.redis();
    for batch in 0..30 {
        let mut command = vec![b"HSET".to_vec(), b"hash:1".to_vec()];
        (0..1_000).for_each(|at| command.extend([format!("f{batch}-{at}").into_bytes(), vec![b'x'; 50]]));
        redis.integer(&command.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }
    let told =
        !redis.answer(&[b"HPEXPIRE", b"hash:1", b"900000", b"FIELDS", b"1", b"f7-7"]).starts_with("-ERR unknown");
    let outcome = case.run_config(&with_times(), &[]).exits(0);
    assert_eq!(outcome.report["tally"]["rows"]["inserted"], 30_000);
    assert_eq!(case.sql("SELECT field FROM fields WHERE ttl > 0"), if told { "f7-7" } else { "" });
}
