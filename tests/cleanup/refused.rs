//! Runs and servers of which no key is deleted.

use crate::support::{Case, Outcome};
use crate::{ITEMS, TABLES, ends, item, keys, loaded, set_items};
use redis2pg::ledger::{CleanupClaim, NewCleanup, claim_cleanup};
use redis2pg::sandbox::{PostgresOptions, PostgresServer, RedisCluster, RedisOptions, RedisServer};
use sqlx::Connection;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Fails the test unless it was refused for this reason, with all keys in their places.
#[track_caller]
fn refused(outcome: Outcome, code: i32, why: &str) {
    let outcome = ends(outcome, code);
    assert!(outcome.stderr.contains(why), "{why} is missing in: {outcome}");
    assert!(outcome.report["cleanup"]["deleted"].as_i64().is_none_or(|deleted| deleted == 0), "{outcome}");
}

/// The latest run.
fn latest(case: &Case) -> String {
    case.sql("SELECT id FROM redis2pg.runs ORDER BY started_at DESC LIMIT 1")
}

#[test]
fn a_run_that_did_not_come_to_its_end_is_refused() {
    let case = Case::new();
    case.sql(TABLES);
    set_items(&case, 500);
    case.redis().set("item:bad", "{");
    let stopped = case.run_config(ITEMS, &["--continue-on-error=false", "--scan-count", "50", "--batch-rows", "20"]);
    ends(stopped, 7);
    assert!(case.number("SELECT count(*) FROM items") > 0);
    refused(case.cleanup(ITEMS, &["--yes"]), 2, "did not come to its end");
    refused(case.cleanup(ITEMS, &["--yes", "--run", &latest(&case)]), 2, "did not come to its end");
    refused(case.cleanup(ITEMS, &["--dry-run"]), 2, "did not come to its end");
    assert_eq!(keys(&case), 501);
    // Neither does one whose scan of some database is not known to be complete.
    case.redis().say("DEL item:bad");
    // The reject of a key that is gone stays open.
    ends(case.run_config(ITEMS, &["--resume"]), 3);
    case.sql("UPDATE redis2pg.shards SET state = 'scanned'");
    refused(case.cleanup(ITEMS, &["--yes"]), 2, "did not come to its end");
    case.sql("UPDATE redis2pg.shards SET state = 'complete'");
    ends(case.cleanup(ITEMS, &["--yes"]), 0);
    assert_eq!(keys(&case), 0);
}

#[test]
fn a_run_that_was_rolled_back_is_refused() {
    let case = loaded(20);
    let run = latest(&case);
    let rollback = |args: &[&str]| {
        let mut command = case.command();
        command.args(["rollback", "--to", &case.target, "--run", &run, "--yes"]).args(args).output().unwrap()
    };
    case.sql("UPDATE items SET n = -1 WHERE id = '3'");
    assert!(rollback(&[]).status.success());
    refused(case.cleanup(ITEMS, &["--yes", "--run", &run]), 2, "rolled back");
    refused(case.cleanup(ITEMS, &["--yes"]), 2, "no run of all keys");
    // Nor do rows of it count for a later one: what was kept of it is nobody's.
    case.sql("UPDATE items SET n = 3 WHERE id = '3'");
    ends(case.run_config(ITEMS, &[]), 0);
    let outcome = ends(case.cleanup(ITEMS, &["--yes"]), 0);
    assert_eq!(outcome.report["cleanup"]["deleted"], 19, "{outcome}");
    assert_eq!(outcome.report["cleanup"]["kept"]["no_lineage"], 1, "{outcome}");
}

#[test]
fn a_rollback_that_has_begun_is_one_too() {
    let case = loaded(5);
    case.sql("UPDATE redis2pg.runs SET rollback_lease = gen_random_uuid(), rollback_lease_expires_at = now() + interval '1 hour'");
    refused(case.cleanup(ITEMS, &["--yes"]), 2, "rolled back");
    case.sql("UPDATE redis2pg.runs SET rollback_lease_expires_at = 'epoch', rollback = '{\"tables\":{}}'");
    refused(case.cleanup(ITEMS, &["--yes"]), 2, "rolled back");
    assert_eq!(keys(&case), 5);
}

/// It may begin between the look at the run and the claim: whoever claims looks once more, under the locks of both.
#[test]
fn a_rollback_that_begins_after_the_look_keeps_the_cleanup_from_its_claim() {
    let case = loaded(1);
    let run = latest(&case);
    let claim = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut connection = sqlx::PgConnection::connect(&case.target).await.unwrap();
            let new = NewCleanup {
                lease: (Uuid::now_v7(), Uuid::new_v4(), Duration::from_secs(15)),
                run: Uuid::parse_str(&run).unwrap(),
                runs: vec![run.clone()],
                source: case.sql("SELECT source FROM redis2pg.runs"),
                settings: "{}".to_owned(),
                backup: None,
                backup_id: None,
            };
            claim_cleanup(&mut connection, &new).await.unwrap()
        })
    };
    for state in ["rollback_lease_expires_at = now() + interval '1 hour'", "rollback = '{}'", "rolled_back_at = now()"]
    {
        case.sql(&format!(
            "UPDATE redis2pg.runs SET rollback = NULL, rolled_back_at = NULL, rollback_lease = gen_random_uuid(), \
             rollback_lease_expires_at = 'epoch'; UPDATE redis2pg.runs SET {state}"
        ));
        assert_eq!(claim(), CleanupClaim::Undone(run.clone()), "{state}");
    }
    case.sql("UPDATE redis2pg.runs SET rollback = NULL, rolled_back_at = NULL");
    assert_eq!(claim(), CleanupClaim::Ours);
}

#[test]
fn a_rollback_whose_lease_is_over_and_that_did_nothing_loses_its_token() {
    let case = loaded(5);
    case.sql("UPDATE redis2pg.runs SET rollback_lease = gen_random_uuid(), rollback_lease_expires_at = now()");
    ends(case.cleanup(ITEMS, &["--yes"]), 0);
    assert_eq!(case.sql("SELECT rollback_lease IS NULL FROM redis2pg.runs"), "t");
    assert_eq!(keys(&case), 0);
}

#[test]
fn a_run_that_is_alive_is_refused() {
    let case = loaded(300);
    let mut running = case.start_config(ITEMS, &["--max-keys-per-second", "20", "--scan-count", "10"]);
    let since = Instant::now();
    while case.number("SELECT count(*) FROM redis2pg.runs WHERE state = 'running'") == 0 {
        assert!(since.elapsed() < Duration::from_secs(60) && !running.ended());
        std::thread::sleep(Duration::from_millis(20));
    }
    // The one that is at work, and the one before it, of the same Redis.
    refused(case.cleanup(ITEMS, &["--yes", "--run", &latest(&case)]), 2, "still at work");
    let first = case.sql("SELECT id FROM redis2pg.runs ORDER BY started_at LIMIT 1");
    refused(case.cleanup(ITEMS, &["--yes", "--run", &first]), 2, "at work on this Redis");
    running.kill9();
    assert_eq!(keys(&case), 300);
}

#[test]
fn other_sources_mappings_and_parts_are_refused() {
    let case = loaded(5);
    let run = latest(&case);
    let other = ITEMS.replace("from = [\"$.n\"]", "from = [\"$.m\"]");
    refused(case.cleanup(&other, &["--yes", "--run", &run]), 2, "had other mappings");
    let elsewhere = Case { database: case.database.clone(), target: case.target.clone(), ..Case::new() };
    set_items(&elsewhere, 5);
    refused(elsewhere.cleanup(ITEMS, &["--yes", "--run", &run]), 2, "read from");
    assert_eq!((keys(&case), keys(&elsewhere)), (5, 5));
    ends(case.run_config(ITEMS, &["--limit", "2"]), 0);
    refused(case.cleanup(ITEMS, &["--yes", "--run", &latest(&case)]), 2, "took a part of the keys only");
    refused(case.cleanup(ITEMS, &["--yes", "--run", "no-such-run"]), 2, "there is no run");
}

/// What a run with a pattern looked at, a cleanup after it looks at.
#[test]
fn a_run_of_a_pattern_is_cleaned_up_by_the_same_pattern() {
    let case = Case::new();
    case.sql(TABLES);
    set_items(&case, 30);
    ends(case.run_config(ITEMS, &["--keys", "item:1*"]), 0);
    let outcome = ends(case.cleanup(ITEMS, &["--yes", "--run", &latest(&case)]), 0);
    assert_eq!((outcome.report["cleanup"]["deleted"].as_i64(), keys(&case)), (Some(11), 19), "{outcome}");
    assert_eq!(outcome.report["cleanup"]["pattern"], "item:1*");
}

#[test]
fn a_replica_and_a_node_of_a_cluster_are_refused() {
    let primary = RedisServer::start(RedisOptions::default()).unwrap();
    let settings =
        vec![format!("replicaof 127.0.0.1 {}", primary.port()), format!("masterauth {}", primary.password())];
    let replica = RedisServer::start(RedisOptions { settings, ..RedisOptions::default() }).unwrap();
    let (source, case) = (format!("{}/0", primary.url()), Case::from_source(&format!("{}/0", replica.url())));
    let at_primary = Case::with_ends(&source, &case.target);
    case.sql(TABLES);
    set_items(&at_primary, 5);
    let since = Instant::now();
    while keys(&case) < 5 {
        assert!(since.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(50));
    }
    ends(case.run_config(ITEMS, &[]), 0);
    refused(case.cleanup(ITEMS, &["--yes"]), 2, "replica");
    assert_eq!(keys(&at_primary), 5);
    let node = RedisServer::start(RedisOptions { cluster: true, ..RedisOptions::default() }).unwrap();
    // A run of it is refused; one that was of a server by itself, which became a node since, is in the ledger all the same.
    let here =
        Case { source: format!("{}/0", node.url()), target: case.target.clone(), database: case.database.clone() };
    let host = here.source.rsplit_once('@').unwrap().1;
    here.sql(&format!("UPDATE redis2pg.runs SET source = '{host}'"));
    refused(here.cleanup(ITEMS, &["--yes"]), 2, "Cluster");
}

/// By its own kind of URL, after a run that moved it.
#[test]
fn a_cluster_is_refused() {
    let cluster = RedisCluster::start(3, 0, &[]).unwrap();
    let case = Case::from_source(&cluster.url());
    case.sql(TABLES);
    // In the cluster's way of placing them: each node has some of its own.
    for (index, n) in (0..3).flat_map(|index| (0..30).map(move |n| (index, n))) {
        let _ = cluster.say(index, &["SET", &format!("item:{n}"), &item(n)]);
    }
    let size = || {
        (0..3)
            .map(|index| cluster.say(index, &["DBSIZE"]).unwrap().trim_start_matches(':').parse::<i64>().unwrap())
            .sum::<i64>()
    };
    let before = size();
    assert!(before > 0);
    ends(case.run_config(ITEMS, &[]), 0);
    refused(case.cleanup(ITEMS, &["--yes"]), 2, "is a cluster");
    refused(case.cleanup(ITEMS, &["--dry-run"]), 2, "is a cluster");
    assert_eq!(size(), before);
}

/// A standby shows rows that the primary may have changed since, and takes no ledger.
#[test]
fn a_standby_is_refused() {
    let mut server = PostgresServer::start(PostgresOptions::quick()).unwrap();
    let target = server.create_database("app").unwrap();
    let case = Case::with_ends(&crate::support::redis_database(), &target);
    server.execute("app", TABLES).unwrap();
    set_items(&case, 5);
    ends(case.run_config(ITEMS, &[]), 0);
    server.become_standby().unwrap();
    refused(case.cleanup(ITEMS, &["--yes"]), 6, "read-only standby");
    refused(case.cleanup(ITEMS, &["--dry-run"]), 6, "standby");
    assert_eq!(keys(&case), 5);
}

#[test]
fn a_user_without_the_right_and_a_target_that_takes_no_writes_are_refused() {
    let acl = vec!["reader on >secret ~* &* +@all -unlink".to_owned()];
    let server = RedisServer::start(RedisOptions { acl, ..RedisOptions::default() }).unwrap();
    let case = Case::from_source(&format!("{}/0", server.url()));
    case.sql(TABLES);
    case.redis().set("item:1", &item(1));
    let source = format!("redis://reader:secret@127.0.0.1:{}/0", server.port());
    let reader = Case { source, target: case.target.clone(), database: case.database.clone() };
    ends(reader.run_config(ITEMS, &[]), 0);
    refused(reader.cleanup(ITEMS, &["--yes"]), 2, "UNLINK");
    assert!(!ends(reader.cleanup(ITEMS, &["--yes"]), 2).said().contains("secret"));
    case.sql(&format!("ALTER DATABASE {} SET default_transaction_read_only = on", case.database));
    refused(case.cleanup(ITEMS, &["--yes"]), 6, "takes no writes");
    assert_eq!(keys(&case), 1);
}

#[test]
fn one_at_a_time() {
    let case = loaded(1500);
    let run = latest(&case);
    let mut first = case.start_cleanup(ITEMS, &["--yes", "--cleanup-keys-per-second", "100", "--batch-rows", "100"]);
    let since = Instant::now();
    while case
        .sql("SELECT to_regclass('redis2pg.cleanups') IS NOT NULL AND EXISTS (SELECT FROM redis2pg.cleanup_batches)")
        != "t"
    {
        assert!(since.elapsed() < Duration::from_secs(60) && !first.ended());
        std::thread::sleep(Duration::from_millis(20));
    }
    refused(case.cleanup(ITEMS, &["--yes"]), 2, "is at work on this Redis");
    let second = ends(case.run_config(ITEMS, &[]), 2);
    assert!(second.stderr.contains("is deleting keys of this Redis"), "{second}");
    let rollback =
        case.command().args(["rollback", "--to", &case.target, "--run", &run, "--yes", "--force"]).output().unwrap();
    assert_eq!(rollback.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&rollback.stderr).contains("is deleting keys of run"));
    // A look is nobody's turn.
    ends(case.cleanup(ITEMS, &["--dry-run"]), 0);
    first.signal("TERM");
    let stopped = ends(first.finish(), 7);
    let deleted = stopped.report["cleanup"]["deleted"].as_i64().unwrap();
    assert_eq!(keys(&case), 1500 - deleted, "{stopped}");
    let rest = ends(case.cleanup(ITEMS, &["--yes"]), 0);
    assert_eq!(rest.report["cleanup"]["deleted"].as_i64(), Some(1500 - deleted), "{rest}");
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.cleaned_keys"), 1500);
}

/// A crash of PostgreSQL empties such a table.
#[test]
fn rows_that_a_crash_takes_are_no_ground_to_delete_keys() {
    let case = loaded(20);
    case.sql("ALTER TABLE items SET UNLOGGED");
    ends(case.run_config(ITEMS, &[]), 0);
    refused(case.cleanup(ITEMS, &["--yes"]), 2, "unlogged");
    refused(case.cleanup(ITEMS, &["--dry-run"]), 2, "unlogged");
    assert_eq!(keys(&case), 20);
}

/// What is written after a key went takes the newest ledger: whoever cannot have that is told before.
#[test]
fn a_ledger_of_an_older_version_that_is_somebody_elses_is_refused_before_a_key_goes() {
    let case = loaded(3);
    case.sql(&format!(
        "DO $$ DECLARE t text; BEGIN ALTER SCHEMA redis2pg OWNER TO postgres; GRANT USAGE ON SCHEMA redis2pg TO redis2pg; \
         FOR t IN SELECT relname FROM pg_class WHERE relnamespace = 'redis2pg'::regnamespace AND relkind = 'r' LOOP \
         EXECUTE format('ALTER TABLE redis2pg.%I OWNER TO postgres', t); \
         EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON redis2pg.%I TO redis2pg', t); END LOOP; END $$; \
         ALTER DATABASE {0} OWNER TO postgres; GRANT TEMP ON DATABASE {0} TO redis2pg; \
         DELETE FROM redis2pg._migrations WHERE version = 15; ALTER TABLE redis2pg.cleanup_batches DROP COLUMN anew",
        case.database
    ));
    let outcome = case.cleanup(ITEMS, &["--yes"]);
    assert!(outcome.stderr.contains("bringing the ledger up to date"), "{outcome}");
    assert!(outcome.stderr.contains("Let the owner of schema redis2pg run this version"), "{outcome}");
    assert_eq!((outcome.code, keys(&case)), (2, 3), "{outcome}");
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.cleanups"), 0);
}
