//! PgBouncer in transaction mode: no state of a session may be relied on.

use crate::books::assert_undisturbed;
use crate::harness::{Job, cache, database, number, postgres, rows_in};
use redis2pg::sandbox::Pgbouncer;

#[test]
fn through_a_small_transaction_pool_a_second_run_changes_nothing() {
    let (name, _) = database();
    // The mode is the last line of the pooler's configuration, so another line can follow it.
    let pooler = Pgbouncer::start(postgres(), "transaction\ndefault_pool_size = 2").unwrap();
    let first = Job::run(&cache(), &pooler.url(&name), &["--batch-rows", "200"]).expect(3);
    first.report().assert_balanced();
    assert_undisturbed(postgres(), &name);
    let analyzed = "SELECT count(DISTINCT tablename) FROM pg_stats WHERE schemaname = 'document_hub' \
         AND tablename IN ('documents', 'analysis_results', 'sessions')";
    assert_eq!(number(postgres(), &name, analyzed), Some(3), "{}", first.stderr);
    let second = Job::run(&cache(), &pooler.url(&name), &["--batch-rows", "200"]).expect(3);
    second.report().assert_balanced();
    assert_eq!(second.report().count("unchanged"), rows_in(&name));
    assert_eq!((second.report().count("inserted"), second.report().count("updated")), (0, 0));
}
