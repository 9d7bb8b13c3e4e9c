//! A transaction of somebody else's that is open while a test does something.

use super::{Case, until};

const _: fn(&Case) = |case| {
    case.wait_for("");
    case.while_held("", |_| ());
};

impl Case {
    /// Waits until a session of the test's database is in a state, by a condition over `pg_stat_activity`.
    #[track_caller]
    pub(crate) fn wait_for(&self, state: &str) {
        let sessions = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND coalesce({state}, false)"
        );
        until(state, || self.number(&sessions) > 0);
    }

    /// Does `work` while a transaction of these statements is open, which the superuser began. `work` gets what commits it; at the
    /// latest that is done half a minute after it began, so that nothing waits for it for ever.
    pub(crate) fn while_held<T>(&self, statements: &str, work: impl FnOnce(&dyn Fn()) -> T) -> T {
        self.sql("CREATE SCHEMA held; CREATE TABLE held.release ()");
        let held = format!(
            "BEGIN; {statements}; DO $$ BEGIN FOR turn IN 1..1500 LOOP EXIT WHEN EXISTS (SELECT FROM held.release); \
             PERFORM pg_sleep(0.02); END LOOP; END $$; COMMIT"
        );
        let done = std::thread::scope(|scope| {
            scope.spawn(|| self.sql(&held));
            self.wait_for("wait_event = 'PgSleep'");
            let release = || drop(self.sql("INSERT INTO held.release DEFAULT VALUES"));
            let done = work(&release);
            release();
            done
        });
        self.sql("DROP SCHEMA held CASCADE");
        done
    }
}
