//! What the target does in the middle of a run that is no row's fault, or that only the end of a transaction tells.

#![expect(clippy::expect_used, reason = "a test that cannot go on has failed")]

use crate::support;

use redis2pg::sandbox::{PostgresOptions, PostgresServer, RedisOptions, RedisServer};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use support::{Case, Client, Outcome};

const ITEMS: &str = r#"
[[mapping]]
name = "items"
match = "item:{id}"
into = "public.items"
key = "id"
column = [{ name = "id", from = "{id}" }, { name = "n", from = "$.n" }, { name = "body", from = "$.body" }]
"#;

fn pairs(count: u32, body: impl Fn(u32) -> String) -> Vec<(String, String)> {
    (0..count).map(|n| (format!("item:{n:05}"), format!(r#"{{"n":{n},"body":"{}"}}"#, body(n)))).collect()
}

/// A table that these statements make, and so many items.
fn case(sql: &str, count: u32) -> Case {
    let case = Case::new();
    case.sql(&format!("{sql}; GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO redis2pg"));
    case.redis().set_many(&pairs(count, |n| format!("b{n}")));
    case
}

fn rows(case: &Case) -> i64 {
    case.number("SELECT count(*) FROM items")
}

/// The case of another role, which may do what `redis2pg` may.
fn as_role(case: &Case, role: &str) -> Case {
    case.sql(&format!("DROP ROLE IF EXISTS {role}; CREATE ROLE {role} LOGIN PASSWORD 'role-secret' IN ROLE redis2pg"));
    let port = support::postgres().port();
    let target = format!("postgres://{role}:role-secret@127.0.0.1:{port}/{}", case.database);
    Case { source: case.source.clone(), target, database: case.database.clone() }
}

#[test]
fn a_foreign_key_that_is_looked_at_with_the_commit_costs_its_rows_and_no_others() {
    for staging in ["auto", "always"] {
        let case = case(
            "CREATE TABLE numbers (n int PRIMARY KEY); INSERT INTO numbers SELECT generate_series(0, 996); \
             CREATE TABLE items (id text PRIMARY KEY, n int REFERENCES numbers DEFERRABLE INITIALLY DEFERRED, body text)",
            1_000,
        );
        let run = case.run_config(ITEMS, &["--staging", staging]).exits(3);
        assert_eq!(
            (run.total("inserted"), run.reasons("items")),
            (997, [("foreign_key".to_owned(), 3)].into()),
            "{run}"
        );
        for key in ["item:00997", "item:00998", "item:00999"] {
            let reject = run.reject(key);
            assert_eq!(reject["sqlstate"], "23503", "{reject}");
            assert!(reject["detail"].as_str().unwrap().contains("items_n_fkey"), "{reject}");
        }
        assert_eq!(rows(&case), 997);
        // What the journal says is what was committed.
        assert_eq!(case.number("SELECT sum((tally->>'inserted')::int) FROM redis2pg.batches"), 997);
    }
}

#[test]
fn a_key_that_is_listed_again_in_a_batch_makes_one_row() {
    let case = case("CREATE TABLE items (id text PRIMARY KEY, n int, body text)", 3);
    let list = case.list(&["item:00000", "item:00001", "item:00000", "item:00002", "item:00000"]);
    let keys = ["--keys-from", list.path().to_str().unwrap()];
    for (staging, outcome) in [("auto", "inserted"), ("always", "unchanged")] {
        let run = case.run_config(ITEMS, &[&keys[..], &["--staging", staging]].concat()).exits(0);
        assert_eq!((run.total(outcome), run.total("duplicates")), (3, 2), "{run}");
        assert_eq!(rows(&case), 3);
    }
}

#[test]
fn absent_and_null_fields_of_one_batch_are_told_apart() {
    let case = case("CREATE TABLE items (id text PRIMARY KEY, n int NOT NULL DEFAULT 7, body text DEFAULT 'none')", 0);
    let mut redis = case.redis();
    for (id, value) in [
        ("a", r#"{"body":"x"}"#),
        ("b", r#"{"n":null,"body":"x"}"#),
        ("c", r#"{"n":1}"#),
        ("d", r#"{"n":2,"body":null}"#),
        ("e", "{}"),
    ] {
        redis.set(&format!("item:{id}"), value);
    }
    for staging in ["auto", "always"] {
        case.sql("TRUNCATE items");
        let run = case.run_config(ITEMS, &["--staging", staging]).exits(3);
        assert_eq!((run.total("inserted"), &run.reject("item:b")["reason"]), (4, &"not_null".into()), "{run}");
        assert_eq!(
            case.sql("SELECT id, n, coalesce(body, 'NULL') FROM items ORDER BY id"),
            "a|7|x\nc|1|none\nd|2|NULL\ne|7|none"
        );
    }
}

#[test]
fn a_source_that_stalls_longer_than_the_servers_timeouts_costs_nothing() {
    let redis = RedisServer::start(RedisOptions::default()).unwrap();
    let case = Case::from_source(&format!("{}/0", redis.url()));
    case.sql(
        "CREATE TABLE items (id text PRIMARY KEY, n int, body text); GRANT SELECT, INSERT, UPDATE ON items TO redis2pg",
    );
    for setting in ["statement_timeout = '500ms'", "idle_in_transaction_session_timeout = '300ms'"] {
        case.sql(&format!("ALTER DATABASE {} SET {setting}", case.database));
    }
    case.redis().set_many(&pairs(4_000, |n| format!("b{n}")));
    let stall = std::thread::spawn({
        let url = case.source.clone();
        move || {
            for _ in 0..2 {
                std::thread::sleep(Duration::from_millis(900));
                Client::open(&url).say("CLIENT PAUSE 2000 ALL");
                std::thread::sleep(Duration::from_millis(1200));
            }
        }
    });
    let since = Instant::now();
    let slow = ["--max-keys-per-second", "1000", "--batch-rows", "150", "--scan-count", "50"];
    let run = case.run_config(ITEMS, &slow).exits(0);
    stall.join().unwrap();
    assert!(since.elapsed() > Duration::from_secs(5), "{run}");
    assert_eq!((run.total("inserted"), rows(&case)), (4_000, 4_000), "{run}");
    assert!(!run.report["notices"].to_string().contains("trying again"), "{run}");
}

#[test]
fn a_statement_that_takes_longer_than_it_may_is_tried_again_and_then_ends_the_run() {
    let case = case(
        "CREATE TABLE items (id text PRIMARY KEY, n int, body text); CREATE FUNCTION wait(n int) RETURNS bool LANGUAGE plpgsql \
         AS $$ BEGIN IF n = 150 THEN PERFORM pg_sleep(3); END IF; RETURN true; END $$; ALTER TABLE items ADD CHECK (wait(n))",
        200,
    );
    let args = ["--statement-timeout", "500ms", "--retry-deadline", "3s", "--batch-rows", "50", "--writers", "1"];
    let run = case.run_config(ITEMS, &args);
    assert!(run.code == 6 && run.stderr.contains("57014") && run.rejects.is_empty(), "{run}");
    assert_eq!(case.number("SELECT count(*) FROM items WHERE n = 150"), 0);
    assert_eq!(rows(&case), run.total("inserted"));
    case.sql("CREATE OR REPLACE FUNCTION wait(n int) RETURNS bool LANGUAGE sql AS 'SELECT true'");
    case.run_config(ITEMS, &["--resume"]).exits(0);
    assert_eq!(rows(&case), 200);
}

/// The run stops for the disk's sake, and a resume does the rest once there is room.
fn stops_and_goes_on(mut run: impl FnMut(&[&str]) -> Outcome, rows: impl Fn() -> i64, make_room: impl FnOnce()) {
    let stopped = run(&["--batch-rows", "100"]);
    assert_eq!(stopped.code, 6, "{stopped}");
    for word in ["SQLSTATE 53100", "The disk is full", "--resume"] {
        assert!(stopped.stderr.contains(word), "{word:?}: {stopped}");
    }
    // No row is blamed, and nothing of the batch is stored.
    assert!(stopped.rejects.is_empty(), "{stopped}");
    assert_eq!(rows(), stopped.total("inserted"));
    assert!((1..4_000).contains(&rows()), "{stopped}");
    make_room();
    let resumed = run(&["--resume"]).exits(0);
    assert!(resumed.rejects.is_empty(), "{resumed}");
    assert_eq!(rows(), 4_000);
}

#[test]
fn a_disk_that_is_full_is_no_rows_fault() {
    // As the server raises it, with the line of an innocent row: in a COPY into the table, and in one into the staging table.
    let full = "CREATE FUNCTION grow(n int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN IF n = 2345 THEN \
                RAISE EXCEPTION 'could not extend file' USING ERRCODE = '53100'; END IF; RETURN true; END $$; ";
    for (table, staging) in [
        ("CREATE TABLE items (id text PRIMARY KEY, n int CHECK (grow(n)), body text)", "auto"),
        (
            "CREATE DOMAIN number AS int CHECK (grow(VALUE)); CREATE TABLE items (id text PRIMARY KEY, n number, body text)",
            "always",
        ),
    ] {
        let case = case(&format!("{full} {table}"), 4_000);
        let run = |args: &[&str]| case.run_config(ITEMS, &[args, &["--staging", staging]].concat());
        let room =
            || drop(case.sql("CREATE OR REPLACE FUNCTION grow(n int) RETURNS bool LANGUAGE sql AS 'SELECT true'"));
        stops_and_goes_on(run, || rows(&case), room);
        assert_eq!(case.redis().integer(&[b"DBSIZE"]), 4_000);
    }
}

/// A file system of a few megabytes, where this account may mount one.
struct Small(PathBuf);

impl Small {
    fn mount(at: &Path, owner: u32) -> Option<Self> {
        std::fs::create_dir(at).ok()?;
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(at).output().ok()?;
        if !mounted.status.success() {
            return None;
        }
        let small = Self(at.to_owned());
        std::os::unix::fs::chown(at, Some(owner), None).ok()?;
        Some(small)
    }

    fn grow(&self) {
        let grown = Command::new("mount").args(["-o", "remount,size=64m"]).arg(&self.0).output().expect("mount");
        assert!(grown.status.success(), "{grown:?}");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["-l"]).arg(&self.0).status();
    }
}

#[test]
fn a_tablespace_that_runs_full_is_told_before_the_run_and_ends_it() {
    let server = PostgresServer::start(PostgresOptions::quick()).unwrap();
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(server.socket_dir().join("data")).unwrap());
    // Only root may; the test above holds for the others.
    let Some(small) = Small::mount(&server.socket_dir().join("small"), owner) else { return };
    let target = server.create_database("app").unwrap();
    let sql = |text: &str| server.execute("app", text).unwrap();
    sql(&format!("CREATE TABLESPACE small LOCATION '{}'", small.0.display()));
    sql("CREATE TABLE items (id text PRIMARY KEY, n int, body text) TABLESPACE small; \
         GRANT SELECT, INSERT, UPDATE ON items TO redis2pg; GRANT pg_read_all_settings TO redis2pg");
    let from = Case::new();
    // What does not compress.
    let body = |n: u32| (0..50).map(|part| redis2pg::model::sha256_hex(format!("{n} {part}").as_bytes())).collect();
    from.redis().set_many(&pairs(4_000, body));
    let case = Case::with_ends(&from.source, &target);
    let run = |args: &[&str]| {
        let run = case.run_config(ITEMS, args);
        let told = format!("{}: 7 MiB are free in its file system", small.0.display());
        assert!(args.contains(&"--resume") || run.report["notices"].to_string().contains(&told), "{run}");
        run
    };
    stops_and_goes_on(run, || sql("SELECT count(*) FROM items").parse().unwrap(), || small.grow());
}

#[test]
fn too_many_connections_are_told_at_the_start_and_waited_for_later() {
    let case = case("CREATE TABLE items (id text PRIMARY KEY, n int, body text)", 2_000);
    case.run_config(ITEMS, &["--limit", "1"]).exits(0);
    let role = as_role(&case, "crowded");
    case.sql("ALTER ROLE crowded CONNECTION LIMIT 0");
    let refused = role.run_config(ITEMS, &[]).exits(6);
    for word in ["SQLSTATE 53300", "Lower flow.writers", "CONNECTION LIMIT"] {
        assert!(refused.stderr.contains(word), "{word:?}: {refused}");
    }
    // Two of the writers come too late: the batches of theirs wait, and the run with them.
    case.sql("ALTER ROLE crowded CONNECTION LIMIT 4");
    let args = ["--writers", "4", "--batch-rows", "50", "--retry-deadline", "3s"];
    let ended = role.run_config(ITEMS, &args);
    assert!(ended.code == 6 && ended.stderr.contains("53300") && ended.rejects.is_empty(), "{ended}");
    assert_eq!(rows(&case), case.number("SELECT sum((tally->>'inserted')::int) FROM redis2pg.batches"));
    let raise = std::thread::spawn({
        let database = case.database.clone();
        move || {
            std::thread::sleep(Duration::from_secs(3));
            support::postgres().execute(&database, "ALTER ROLE crowded CONNECTION LIMIT 10").unwrap();
        }
    });
    let resumed = role.run_config(ITEMS, &["--writers", "4", "--batch-rows", "50", "--resume"]).exits(0);
    raise.join().unwrap();
    assert!(resumed.said().contains("too many connections for role \"crowded\"; trying again"), "{resumed}");
    assert_eq!(rows(&case), 2_000);
}

#[test]
fn the_search_path_decides_nothing() {
    let case = case(
        "CREATE TABLE items (id text PRIMARY KEY, n int, body text); CREATE SCHEMA app; \
         CREATE TABLE app.items (id text PRIMARY KEY, n int, body text); CREATE TABLE app.redis2pg_stage_0 (redis2pg_ord int); \
         GRANT USAGE ON SCHEMA app TO redis2pg; GRANT ALL ON ALL TABLES IN SCHEMA app TO redis2pg",
        20,
    );
    for path in ["app, public", "public, app", "app", "\"$user\"", "app, pg_catalog, pg_temp"] {
        case.sql(&format!("ALTER DATABASE {} SET search_path = {path}; TRUNCATE public.items", case.database));
        for staging in ["auto", "always"] {
            case.run_config(ITEMS, &["--staging", staging]).exits(0);
        }
        let counts = "SELECT (SELECT count(*) FROM public.items), (SELECT count(*) FROM app.items), \
                      (SELECT count(*) FROM app.redis2pg_stage_0)";
        assert_eq!(case.sql(counts), "20|0|0", "{path}");
    }
    let bare = case.run_config(&ITEMS.replace("public.items", "items"), &[]).exits(2);
    assert!(bare.stderr.contains("into") && bare.stderr.contains("schema"), "{bare}");
}

#[test]
fn a_copy_that_is_given_up_in_the_middle_stores_nothing() {
    use redis2pg::postgres::{CopyBuffer, copy_tuples};
    use sqlx::Connection;
    let case = case("CREATE TABLE items (id text PRIMARY KEY, n int, body text)", 0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = sqlx::PgConnection::connect(&case.target).await.unwrap();
        let holder = "BEGIN; LOCK TABLE items IN SHARE MODE";
        let mut blocker = sqlx::PgConnection::connect(&case.target).await.unwrap();
        let row = |chunk: &mut Vec<u8>, id: u32| {
            chunk.extend_from_slice(&1_i16.to_be_bytes());
            chunk.extend_from_slice(&5_i32.to_be_bytes());
            chunk.extend_from_slice(format!("{id:05}").as_bytes());
        };
        let copy = "COPY public.items (id) FROM STDIN (FORMAT binary)";
        let mut buffer = CopyBuffer::default();
        // The server waits for a lock while rows are sent: the task is cancelled there.
        sqlx::raw_sql(holder).execute(&mut blocker).await.unwrap();
        let cancelled = async {
            let mut transaction = connection.begin().await.unwrap();
            copy_tuples(&mut transaction, &mut buffer, copy, 0..1_000_u32, row).await.unwrap();
            transaction.commit().await.unwrap();
        };
        assert!(tokio::time::timeout(Duration::from_millis(500), cancelled).await.is_err());
        drop(connection);
        sqlx::raw_sql("ROLLBACK").execute(&mut blocker).await.unwrap();
        // The next batch goes by another connection, and what `finish` counts is what was stored.
        let mut connection = sqlx::PgConnection::connect(&case.target).await.unwrap();
        let mut transaction = connection.begin().await.unwrap();
        let stored = copy_tuples(&mut transaction, &mut buffer, copy, 0..10_u32, row).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(stored, 10);
        // A tuple that is broken off fails its COPY, and leaves the connection in order.
        let mut transaction = connection.begin().await.unwrap();
        let broken = |chunk: &mut Vec<u8>, id: u32| {
            row(chunk, id);
            if id == 30 {
                chunk.truncate(chunk.len() - 3);
            }
        };
        copy_tuples(&mut transaction, &mut buffer, copy, 20..40_u32, broken).await.unwrap_err();
        transaction.rollback().await.unwrap();
        let mut transaction = connection.begin().await.unwrap();
        let stored = copy_tuples(&mut transaction, &mut buffer, copy, 40..45_u32, row).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(stored, 5);
    });
    assert_eq!(case.sql("SELECT min(id), max(id), count(*) FROM items"), "00000|00044|15");
}
