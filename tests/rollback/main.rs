//! Runs that are taken back: what they inserted goes, what they changed is as it was, and nobody else's work is touched.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod again;
mod audited;
mod carried;
mod circle;
mod collations;
mod columns;
mod domains;
mod faults;
mod foretold;
mod images;
mod large;
mod lease;
mod live;
mod owners;
mod referred;
mod restarts;
mod retried;
mod rewritten;
mod shapes;
mod slow;
#[path = "../support/mod.rs"]
mod support;
mod tables;
mod terminal;
mod trees;
mod trouble;
mod types;
mod whole;

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use support::{Case, Outcome};

/// A table of items, whose lineage is in the row.
pub(crate) const TABLE: &str = "SET ROLE redis2pg; \
    CREATE TABLE items (id text PRIMARY KEY, n integer, note text DEFAULT 'none', metadata jsonb)";

/// Its mapping.
pub(crate) const ITEMS: &str = r#"
[[mapping]]
name = "items"
match = "item:{id}"
into = "public.items"
key = ["id"]
lineage = { column = "metadata", document_id = "{id}" }
column = [
  { name = "id", from = ["{id}"] },
  { name = "n", from = ["$.n"] },
  { name = "metadata", from = [] },
]
"#;

/// The same without a place for lineage in the row.
pub(crate) fn in_ledger() -> String {
    ITEMS
        .lines()
        .filter(|line| !line.starts_with("lineage") && !line.contains("metadata"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The mapping, with its table made by the run.
pub(crate) fn created() -> String {
    let mut config = format!("{ITEMS}create = true\n");
    for (name, sql_type) in [("id", "text"), ("n", "integer"), ("metadata", "jsonb")] {
        config = config
            .replace(&format!("name = \"{name}\", from"), &format!("name = \"{name}\", type = \"{sql_type}\", from"));
    }
    config
}

/// What a rollback came to.
pub(crate) struct Undone {
    pub(crate) code: i32,
    pub(crate) json: Value,
    pub(crate) stderr: String,
}

impl Undone {
    /// Rows of a table, or of all, that were deleted, restored and kept.
    pub(crate) fn counts(&self) -> [i64; 3] {
        ["deleted", "restored", "kept"].map(|name| self.json[name].as_i64().unwrap_or(-1))
    }

    /// Rows of a table that were kept for a reason.
    pub(crate) fn kept(&self, table: &str, reason: &str) -> i64 {
        self.json["tables"][table]["kept"][reason].as_i64().unwrap_or(0)
    }

    /// The keys of the kept rows that are told, each with its reason.
    pub(crate) fn told(&self) -> Vec<(String, String)> {
        let samples = self.json["samples"].as_array().unwrap();
        samples.iter().map(|row| (row["row_key"].to_string(), row["reason"].as_str().unwrap().to_owned())).collect()
    }

    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{:#}", self.stderr, self.json);
        self
    }
}

/// `rollback` of a run, without a terminal.
pub(crate) fn command(case: &Case, run: &str, args: &[&str]) -> Command {
    let mut command = case.command();
    command.args(["rollback", "--to", &case.target, "--run", run, "--json"]).args(args);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Rolls a run back and waits for its end.
pub(crate) fn rollback(case: &Case, run: &str, args: &[&str]) -> Undone {
    let output = command(case, run, args).output().unwrap();
    Undone {
        code: output.status.code().unwrap_or(-1),
        json: serde_json::from_slice(&output.stdout).unwrap_or_default(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Rolls a run back, which must come to its end.
#[track_caller]
pub(crate) fn undo(case: &Case, run: &str) -> Undone {
    rollback(case, run, &["--yes"]).exits(0)
}

/// What a rollback of a run says of each table, but for those where there is nothing to do: deleted, restored, and kept by reason.
pub(crate) fn tables(json: &Value) -> BTreeMap<String, Value> {
    let all = json["tables"].as_object().unwrap_or_else(|| panic!("{json:#}"));
    let told = |(name, of): (&String, &Value)| {
        let some =
            of["deleted"] != 0 || of["restored"] != 0 || of["kept"].as_object().is_some_and(|kept| !kept.is_empty());
        some.then(|| (name.clone(), json!({"deleted": of["deleted"], "restored": of["restored"], "kept": of["kept"]})))
    };
    all.iter().filter_map(told).collect()
}

/// Rolls a run back after a dry run, which must have said the same.
#[track_caller]
pub(crate) fn as_foretold(case: &Case, run: &str, args: &[&str]) -> Undone {
    let before = case.fingerprint();
    let planned = rollback(case, run, &[&["--dry-run"], args].concat()).exits(0);
    assert_eq!(case.fingerprint(), before, "a dry run writes nothing");
    let earlier =
        case.json(&format!("SELECT coalesce(rollback, '{{\"tables\": {{}}}}') FROM redis2pg.runs WHERE id = '{run}'"));
    let done = rollback(case, run, &[&["--yes"], args].concat()).exits(0);
    // A rollback tells of all attempts at it.
    let mut now = done.json.clone();
    for (name, of) in now["tables"].as_object_mut().unwrap() {
        for what in ["deleted", "restored"] {
            let before = earlier["tables"][name][what].as_i64().unwrap_or(0);
            of[what] = (of[what].as_i64().unwrap() - before).into();
        }
    }
    assert_eq!(tables(&planned.json), tables(&now), "the dry run is on the left\n{:#}\n{:#}", planned.json, done.json);
    done
}

/// The id of a run.
pub(crate) fn id(outcome: &Outcome) -> String {
    outcome.report["run"].as_str().unwrap_or_else(|| panic!("{outcome}")).to_owned()
}

/// A case with the table of items, and these items in Redis.
pub(crate) fn items(pairs: &[(&str, i64)]) -> Case {
    let case = Case::new();
    case.sql(TABLE);
    set(&case, pairs);
    case
}

/// Sets items in Redis.
pub(crate) fn set(case: &Case, pairs: &[(&str, i64)]) {
    let pairs: Vec<_> = pairs.iter().map(|(id, n)| (format!("item:{id}"), format!("{{\"n\":{n}}}"))).collect();
    case.redis().set_many(&pairs);
}

/// All of a table, as text, in the order of its rows' texts.
pub(crate) fn rows(case: &Case, table: &str) -> String {
    case.sql(&format!("SET extra_float_digits = 3; SELECT t::text FROM {table} t ORDER BY 1"))
}
