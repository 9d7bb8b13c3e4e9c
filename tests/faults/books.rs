//! What must be true after every run: the rows, the rejects, and the books.

use crate::harness::{Ended, Job, cache, database, postgres};
use redis2pg::sandbox::PostgresServer;
use serde_json::Value;
use std::sync::OnceLock;

/// `report.json`.
#[derive(Debug)]
pub(crate) struct Report(pub(crate) Value);

impl Report {
    /// A count of the whole run's tally.
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.0["tally"][name].as_u64().unwrap_or_else(|| panic!("no tally.{name} in {}", self.0))
    }

    /// Rejects of all reasons.
    pub(crate) fn rejects(&self) -> i64 {
        let rejected = self.0["tally"]["rejected"].as_object().unwrap();
        rejected.values().map(|count| count.as_i64().unwrap()).sum()
    }

    /// Adds the tally up anew; does not believe `balanced` alone.
    pub(crate) fn assert_balanced(&self) {
        let tally = &self.0["tally"];
        let sum = |name: &str| tally[name].as_object().unwrap().values().map(|n| n.as_i64().unwrap()).sum::<i64>();
        let count = |name: &str| tally[name].as_i64().unwrap();
        let outcomes: i64 = ["inserted", "updated", "unchanged", "duplicates"].map(count).iter().sum();
        assert_eq!(count("matched"), outcomes + sum("rejected") + sum("skipped"), "{tally}");
        assert_eq!(count("scanned"), count("matched") + count("unmatched"), "{tally}");
        assert_eq!(self.0["balanced"], true, "{tally}");
    }
}

impl Ended {
    /// The report, which must be there.
    pub(crate) fn report(&self) -> &Report {
        self.report.as_ref().unwrap_or_else(|| panic!("no report:\n{}", self.stderr))
    }

    /// Asserts the exit code.
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        self
    }
}

/// Every row without what differs between two runs, and every reject of the last run: sorted lines.
pub(crate) fn content(server: &PostgresServer, database: &str) -> Vec<String> {
    // A column's default of now() differs from run to run; what came from Redis lies in the past.
    let rows = |table: &str, lineage: &str| {
        format!(
            "SELECT '{table} ' || (SELECT jsonb_object_agg(key, CASE WHEN jsonb_typeof(value) = 'string' \
             AND value #>> '{{}}' ~ '^2[0-9]{{3}}-[0-9]{{2}}-[0-9]{{2}}T' \
             AND (value #>> '{{}}')::timestamptz > now() - interval '1 day' THEN '\"now\"' ELSE value END) \
             FROM jsonb_each(to_jsonb(t) #- '{{{lineage},migration_timestamp}}' #- '{{{lineage},redis2pg,run}}'))::text \
             FROM document_hub.{table} t"
        )
    };
    let sql = format!(
        "{} UNION ALL {} UNION ALL {} UNION ALL \
         SELECT concat_ws(' ', 'reject', mapping, encode(key, 'escape'), reason, detail, state) FROM redis2pg.rejects \
         WHERE run_id = (SELECT id FROM redis2pg.runs ORDER BY started_at DESC LIMIT 1)",
        rows("documents", "metadata"),
        rows("analysis_results", "metadata"),
        rows("sessions", "metadata"),
    );
    let mut lines: Vec<String> = server.execute(database, &sql).unwrap().lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

/// What an undisturbed run makes of the shared cache.
pub(crate) fn undisturbed() -> &'static [String] {
    static CONTENT: OnceLock<Vec<String>> = OnceLock::new();
    CONTENT.get_or_init(|| {
        let (name, url) = database();
        let ended = Job::run(&cache(), &url, &[]).expect(3);
        ended.report().assert_balanced();
        // A rejected parent that is read again for its child is no second sighting.
        assert_eq!(ended.report().count("duplicates"), 0);
        content(postgres(), &name)
    })
}

/// Asserts that a database holds what an undisturbed run makes of the shared cache.
pub(crate) fn assert_undisturbed(server: &PostgresServer, database: &str) {
    assert_same(undisturbed(), &content(server, database));
}

/// Compares lines and shows the first that differ, not thousands.
pub(crate) fn assert_same(expected: &[String], found: &[String]) {
    let lacks: Vec<&String> = expected.iter().filter(|line| found.binary_search(line).is_err()).take(3).collect();
    let has_more: Vec<&String> = found.iter().filter(|line| expected.binary_search(line).is_err()).take(3).collect();
    assert!(lacks.is_empty() && has_more.is_empty(), "missing: {lacks:#?}\nunexpected: {has_more:#?}");
    assert_eq!(expected.len(), found.len(), "a line is there twice");
}

/// Batches, audit rows and rows: whatever a run could write.
pub(crate) const WRITTEN: &str = "SELECT (SELECT count(*) FROM redis2pg.batches) + \
     (SELECT count(*) FROM document_hub.audit_logs) + (SELECT count(*) FROM document_hub.documents) + \
     (SELECT count(*) FROM document_hub.analysis_results) + (SELECT count(*) FROM document_hub.sessions)";
