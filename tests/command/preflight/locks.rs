//! Locks that others hold while a run looks, and those that it holds itself.

use super::one_document;
use super::support::{self, Case};

/// Another session's transaction, which holds locks until it is dropped.
#[expect(clippy::expect_used, reason = "a test that cannot go on has failed")]
fn holding(case: &Case, statement: &str) -> (tokio::runtime::Runtime, sqlx::PgConnection) {
    use sqlx::Connection;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let held = runtime.block_on(async {
        let mut connection = sqlx::PgConnection::connect(&case.target).await.expect("a connection");
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("BEGIN; {statement}")))
            .execute(&mut connection)
            .await
            .expect("a lock");
        connection
    });
    (runtime, held)
}

/// The process of another session.
#[expect(clippy::expect_used, reason = "a test that cannot go on has failed")]
fn pid(runtime: &tokio::runtime::Runtime, connection: &mut sqlx::PgConnection) -> i32 {
    runtime.block_on(sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(connection)).expect("a number")
}

#[test]
fn a_look_waits_for_no_lock_longer_than_it_may() {
    let case = one_document();
    case.run(&[]).exits(0);
    // The foreign key of the table that is missing wants what keeps writers from its parent.
    for (change, holder, table) in [
        ("SELECT 1", "LOCK TABLE document_hub.documents IN ACCESS EXCLUSIVE MODE", "document_hub.documents"),
        (
            "DROP TABLE document_hub.analysis_results",
            "UPDATE document_hub.documents SET status = status",
            "document_hub.documents",
        ),
    ] {
        case.sql(change);
        let mut held = holding(&case, holder);
        for args in [&[][..], &["--dry-run"]] {
            let begun = std::time::Instant::now();
            let run = case.run(&[&["--lock-timeout", "300ms"], args].concat()).exits(6);
            assert!(run.stderr.contains(table) && run.stderr.contains("target.lock_timeout"), "{run}");
            let mode = if holder.starts_with("LOCK") { "ACCESS EXCLUSIVE" } else { "ROW EXCLUSIVE" };
            let by = [format!("locked by pid {}", pid(&held.0, &mut held.1)), format!("({mode} on {table})")];
            by.iter().for_each(|word| assert!(run.stderr.contains(word), "{word:?}: {run}"));
            // The driver's way to say where the server's own source code raised it.
            assert!(!run.stderr.contains("at line"), "{run}");
            assert!(begun.elapsed().as_secs() < 20, "{holder}: {:?}", begun.elapsed());
        }
        drop(held);
        case.run(&["--dry-run"]).exits(0);
    }
}

#[test]
fn what_a_role_has_set_for_itself_makes_no_look_wait_for_ever() {
    let case = one_document();
    case.run(&[]).exits(0);
    case.sql(&format!("ALTER ROLE redis2pg IN DATABASE {} SET lock_timeout = 0", case.database));
    // The first question of all is which version the ledger has.
    for table in ["redis2pg._migrations", "document_hub.sessions"] {
        let mut held =
            holding(&case, &format!("SET application_name = 'night job'; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"));
        let run = case.run(&["--lock-timeout", "300ms", "--dry-run"]).exits(6);
        let by = format!(
            "locked by pid {}, application night job, role redis2pg (ACCESS EXCLUSIVE on {table})",
            pid(&held.0, &mut held.1)
        );
        assert!(run.stderr.contains(&by), "{by}: {run}");
        drop(held);
    }
}

/// A look whose last part has to wait: what it has looked at by then is free for the application.
#[test]
fn a_look_keeps_no_lock_on_what_it_has_looked_at() {
    let case = one_document();
    case.run(&[]).exits(0);
    // Made in the look, with a foreign key to the documents, and taken back.
    case.sql("DROP TABLE document_hub.analysis_results");
    let held = holding(&case, "LOCK TABLE document_hub.audit_logs IN ACCESS EXCLUSIVE MODE");
    let sql = |text: &str| support::postgres().execute(&case.database, text).unwrap();
    std::thread::scope(|threads| {
        let run = threads.spawn(|| case.run(&["--lock-timeout", "20s"]));
        let until = std::time::Instant::now() + std::time::Duration::from_secs(15);
        let waits =
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'document_hub.audit_logs'::regclass";
        while sql(waits) == "0" && std::time::Instant::now() < until {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert_ne!(sql(waits), "0", "the rehearsal waits for the audit log");
        let locks = "SELECT count(*) FROM pg_locks WHERE relation IN ('document_hub.documents'::regclass, \
                     'document_hub.sessions'::regclass)";
        assert_eq!(sql(locks), "0");
        drop(held);
        run.join().unwrap().exits(0);
    });
}
