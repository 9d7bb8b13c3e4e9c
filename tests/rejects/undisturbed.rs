//! What must hold whatever happens beside a retry: exploded keys, several databases, kills, others at work, older ledgers.

use crate::support::{self, Case};
use crate::{ITEMS, TABLE, states};
use redis2pg::sandbox::{RedisOptions, RedisServer};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const FIELDS: &str = r#"
[[mapping]]
name = "fields"
match = "hash:{id}"
type = "hash"
explode = true
into = "public.fields"
key = ["id", "field"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "field", from = ["$.field"] },
  { name = "value", from = ["$.value"] },
]
"#;

#[test]
fn a_key_that_is_several_rows_is_taken_as_a_whole_and_its_rows_are_counted_once() {
    let case = Case::new();
    case.sql("SET ROLE redis2pg; CREATE TABLE fields (id text, field text, value integer, PRIMARY KEY (id, field))");
    let mut redis = case.redis();
    redis.say("HSET hash:1 a 1 b two c three");
    redis.say("HSET hash:2 a 1 b 2");
    redis.say("HSET hash:3 a one");
    let first = case.run_config(FIELDS, &[]).exits(3);
    assert_eq!(first.report["tally"]["rows"]["inserted"], 3, "{first}");
    redis.say("HSET hash:1 b 2 d 4");
    redis.say("HDEL hash:1 a");
    let retry = case.retry(FIELDS, &[]).exits(3);
    assert_eq!((retry.total("matched"), states(&case)), (2, [2, 0, 0]), "{retry}");
    // While an element is rejected, none is taken for gone.
    assert_eq!(case.sql("SELECT field FROM fields WHERE id = '1' ORDER BY 1"), "a\nb\nd");
    redis.say("HSET hash:1 c 3");
    redis.say("HSET hash:3 a 1");
    let retry = case.retry(FIELDS, &[]).exits(0);
    assert_eq!((retry.total("inserted"), retry.total("updated")), (1, 1), "{retry}");
    let rows = &retry.report["tally"]["rows"];
    assert_eq!(
        (rows["inserted"].as_i64(), rows["unchanged"].as_i64(), rows["deleted"].as_i64()),
        (Some(2), Some(2), Some(1))
    );
    assert_eq!(case.sql("SELECT field, value FROM fields WHERE id = '1' ORDER BY 1"), "b|2\nc|3\nd|4");
    assert_eq!(states(&case), [0, 0, 2]);
}

#[test]
fn keys_of_several_databases_are_retried_each_in_its_own() {
    let redis = RedisServer::start(RedisOptions::default()).unwrap();
    let mut case = Case::from_source(&format!("{}/1", redis.url()));
    case.sql("SET ROLE redis2pg; CREATE TABLE items (id text, db integer, n integer, PRIMARY KEY (id, db))");
    let config = ITEMS
        .replace("key = [\"id\"]", "databases = [1, 3]\nkey = [\"id\", \"db\"]")
        .replace("column = [", "column = [\n  { name = \"db\", from = [\"redis.db\"] },");
    let database = |number: u8| support::Client::open(&format!("{}/{number}", redis.url()));
    let (mut one, mut three) = (database(1), database(3));
    for (client, n) in [(&mut one, 1), (&mut three, 3)] {
        client.set("item:a", "{");
        client.set("item:b", "{");
        client.set("item:c", &format!(r#"{{"n":{n}}}"#));
    }
    case.run_config(&config, &[]).exits(3);
    one.set("item:a", r#"{"n":1}"#);
    three.set("item:b", r#"{"n":3}"#);
    let retry = case.retry(&config, &[]).exits(3);
    assert_eq!((retry.total("matched"), retry.total("inserted"), retry.total("scanned")), (4, 2, 4), "{retry}");
    assert_eq!(case.sql("SELECT db, id FROM items ORDER BY 1, 2"), "1|a\n1|c\n3|b\n3|c");
    let open = "SELECT key, redis_db FROM redis2pg.rejects WHERE state = 'open' ORDER BY 1";
    assert_eq!(case.sql(open).replace("\\x6974656d3a", ""), "61|3\n62|");
    let own = config.replace("databases = [1, 3]", "databases = [1]");
    let retry = case.retry(&own, &[]).exits(3);
    let notices = retry.report["notices"].to_string();
    assert!(notices.contains("1 key is in databases that no mapping reads now"), "{notices}");
    // From another database's point of view, the keys are the same ones.
    case.source = format!("{}/3", redis.url());
    one.set("item:b", r#"{"n":1}"#);
    three.set("item:a", r#"{"n":3}"#);
    let retry = case.retry(&config, &[]).exits(0);
    assert_eq!(retry.total("inserted"), 2, "{retry}");
    assert!(retry.report["notices"].to_string().contains("this retry reads from"), "{retry}");
    assert_eq!(case.sql("SELECT db, id, n FROM items ORDER BY 1, 2"), "1|a|1\n1|b|1\n1|c|1\n3|a|3\n3|b|3\n3|c|3");
    assert_eq!(states(&case), [0, 0, 4]);
}

/// A retry under way.
struct Job(Child, tempfile::TempDir);

impl Job {
    fn start(case: &Case, config: &str, args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        std::fs::write(&file, config).unwrap();
        let mut command: Command = case.command();
        command.args(["rejects", "retry", "--from", &case.source, "--to", &case.target, "--lease", "2s", "--config"]);
        let child = command.arg(file).args(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self(child, dir)
    }

    fn wait_until(&mut self, case: &Case, sql: &str) {
        let since = Instant::now();
        while case.sql(sql) != "t" {
            assert!(self.0.try_wait().unwrap().is_none(), "it ended too early");
            assert!(since.elapsed() < Duration::from_secs(60), "{sql}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        assert!(self.1.path().exists());
    }
}

const SLOW: [&str; 4] = ["--max-keys-per-second", "200", "--batch-rows", "20"];

/// A run with 400 rejects that were mended since.
fn mended() -> Case {
    let case = Case::new();
    case.sql(TABLE);
    let pairs = |value: &dyn Fn(u32) -> String| (0..400).map(|n| (format!("item:{n}"), value(n))).collect::<Vec<_>>();
    case.redis().set_many(&pairs(&|_| "{".to_owned()));
    case.run_config(ITEMS, &[]).exits(3);
    case.redis().set_many(&pairs(&|n| format!(r#"{{"n":{n}}}"#)));
    case
}

const SOME_CLOSED: &str = "SELECT count(*) FILTER (WHERE state = 'closed') > 50 FROM redis2pg.rejects";

#[test]
fn a_retry_that_was_killed_is_run_again_and_loads_the_rest() {
    let case = mended();
    let mut job = Job::start(&case, ITEMS, &SLOW);
    job.wait_until(&case, SOME_CLOSED);
    job.0.kill().unwrap();
    job.0.wait().unwrap();
    let [open, _, closed] = states(&case);
    assert!(open > 0 && closed == case.number("SELECT count(*) FROM items"), "{open} {closed}");
    // Its lease ends by itself.
    thread::sleep(Duration::from_millis(2300));
    let again = case.retry(ITEMS, &[]).exits(0);
    assert_eq!(again.total("inserted"), open, "{again}");
    assert_eq!(states(&case), [0, 0, 400]);
    assert_eq!(case.number("SELECT count(*) FROM items WHERE n::text = id"), 400);
    // The killed one is no run to resume.
    let resumed = case.run_config(ITEMS, &["--resume"]).exits(0);
    assert!(resumed.report["notices"].to_string().contains("there is no unfinished run"), "{resumed}");
}

#[test]
fn two_retries_at_once_the_second_is_refused_whatever_its_mappings() {
    let case = mended();
    let mut job = Job::start(&case, ITEMS, &["--max-keys-per-second", "30", "--batch-rows", "5"]);
    job.wait_until(&case, "SELECT count(*) FILTER (WHERE state = 'closed') > 5 FROM redis2pg.rejects");
    let other = ITEMS.replace("\"items\"", "\"renamed\"");
    for config in [ITEMS, &other] {
        let second = case.retry(config, &[]);
        assert!(second.code == 2 && second.stderr.contains("is at work on"), "{second}");
    }
    assert!(job.0.wait().unwrap().success());
    assert_eq!(states(&case), [0, 0, 400]);
}

#[test]
fn values_that_change_under_a_retry_cost_nothing() {
    let case = mended();
    let mut job = Job::start(&case, ITEMS, &SLOW);
    let mut redis = case.redis();
    let since = Instant::now();
    while job.0.try_wait().unwrap().is_none() && since.elapsed() < Duration::from_secs(60) {
        for n in (0..400).step_by(7) {
            redis.set(&format!("item:{n}"), &format!(r#"{{"n":{n}}}"#));
            redis.set(&format!("item:{}", n + 1), if n % 2 == 0 { "{" } else { r#"{"n":1}"# });
        }
    }
    drop(job);
    let [open, pending, closed] = states(&case);
    assert_eq!((open + closed, pending), (400, 0));
    assert_eq!(case.number("SELECT count(*) FROM items"), closed);
}

#[test]
fn a_run_that_is_at_work_keeps_its_rejects() {
    let case = Case::new();
    case.sql(TABLE);
    case.redis().set("item:1", "{");
    let run = case.run_config(ITEMS, &[]).exits(3);
    let id = run.report["run"].as_str().unwrap();
    case.sql("UPDATE redis2pg.runs SET state = 'running', lease_expires_at = now() + interval '1 hour'");
    let refused = case.retry(ITEMS, &[]);
    assert!(refused.code == 2 && refused.stderr.contains(&format!("run {id} is still at work")), "{refused}");
    case.sql("UPDATE redis2pg.runs SET state = 'running', lease_expires_at = now()");
    case.redis().set("item:1", r#"{"n":1}"#);
    // With other mappings too, what has died is locked out: it may only have been suspended.
    let lease = "SELECT s.lease = r.lease, r.state FROM redis2pg.shards s JOIN redis2pg.runs r ON r.id = s.run_id \
                 WHERE r.retry_of IS NULL";
    assert_eq!(case.sql(lease), "t|running");
    case.retry(&ITEMS.replace("\"items\"", "\"renamed\""), &[]).exits(0);
    assert_eq!(case.sql(lease), "f|abandoned");
}

#[test]
fn a_stopped_run_can_be_resumed_after_a_retry() {
    let case = Case::new();
    case.sql(TABLE);
    let mut redis = case.redis();
    for n in 0..300 {
        redis.set(&format!("item:{n}"), if n % 10 == 0 { "{" } else { r#"{"n":1}"# });
    }
    let slowly = ["--max-rejects", "1", "--batch-rows", "10", "--scan-count", "10", "--max-keys-per-second", "60"];
    let first = case.run_config(ITEMS, &slowly);
    assert_eq!(first.code, 7, "{first}");
    for n in (0..300).step_by(10) {
        redis.set(&format!("item:{n}"), r#"{"n":2}"#);
    }
    case.retry(ITEMS, &[]).exits(0);
    let resumed = case.run_config(ITEMS, &["--resume"]);
    assert!(resumed.code == 0 || resumed.code == 3, "{resumed}");
    assert_eq!(resumed.report["balanced"], true, "{resumed}");
    assert_eq!(case.number("SELECT count(*) FROM items"), 300);
}

/// The ledger as version 0.2 left it.
const OLDER: &str = "ALTER TABLE redis2pg.rejects DROP CONSTRAINT rejects_state_check, DROP COLUMN closed_at, \
    DROP COLUMN closed_by, DROP COLUMN attempts, DROP COLUMN tried_at, DROP COLUMN tried_by, DROP COLUMN found_by, \
    DROP COLUMN counted_by, DROP COLUMN value_part, DROP COLUMN whole_value, DROP COLUMN dump, DROP COLUMN expires_at_ms, \
    DROP COLUMN facts; \
    ALTER TABLE redis2pg.rejects ADD CONSTRAINT rejects_state_check CHECK (state IN ('open', 'pending')); \
    DROP INDEX redis2pg.rejects_run_key; ALTER TABLE redis2pg.runs DROP COLUMN retry_of; \
    DELETE FROM redis2pg._migrations WHERE version = 7";

#[test]
fn the_rejects_of_an_older_ledger_are_retried() {
    let case = Case::new();
    case.sql(TABLE);
    let mut redis = case.redis();
    redis.set("item:1", "{");
    redis.set("item:2", r#"{"n":"2x"}"#);
    case.run_config(ITEMS, &[]).exits(3);
    case.sql(OLDER);
    assert_eq!(case.ledger(&["rejects", "list"]).as_array().map(Vec::len), Some(2));
    assert_eq!(case.ledger(&["rejects", "show"])[0]["state"], "open");
    redis.set("item:1", r#"{"n":1}"#);
    redis.say("DEL item:2");
    let dry = case.retry(ITEMS, &["--dry-run"]).exits(3);
    assert_eq!(dry.total("would_load"), 1, "{dry}");
    let seventh = "SELECT count(*) FROM redis2pg._migrations WHERE version = 7";
    assert_eq!(case.number(seventh), 0, "a dry run brings nothing up to date");
    case.sql("ALTER TABLE items ALTER n TYPE text");
    let retry = case.retry(ITEMS, &[]).exits(0);
    assert_eq!((retry.total("inserted"), states(&case)), (2, [0, 0, 2]), "{retry}");
    assert_eq!(case.sql("SELECT n FROM items ORDER BY id"), "1\n2x");
}
