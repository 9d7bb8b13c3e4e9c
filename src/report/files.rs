//! The files of a report: `report.json` and `summary.txt`. Mode 0600, complete or absent. Uses `books` and `table`.

use super::books::{Books, Work, rate};
use super::cleanup::{cleanup_json, cleanup_text};
use super::findings::finding_json;
use super::table::{FAMILIES, summary};
use super::validation::{validation_json, validation_text};
use crate::model::{Cleanup, Exit, Finding, Validation};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Keys of Redis, or rows of one target table: exact where the table was empty, else by the server's statistics.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct TableCount {
    /// Before the run (this attempt at it), where it is known.
    pub before: Option<i64>,
    /// After the run, where it is known.
    pub after: Option<i64>,
}

/// What the report says beside the books. The job that ran knows it.
#[derive(Clone, Debug)]
pub struct RunFacts {
    /// The state as the ledger has it, such as `done` or `stopped`.
    pub state: String,
    /// What the run exits with.
    pub exit: Exit,
    /// Why it did not go to its end, or what failed in closing it.
    pub error: Option<String>,
    /// What the look at both ends found, and what refused the run or ended it, errors first.
    pub findings: Vec<Finding>,
    /// Whether it was a dry run.
    pub dry_run: bool,
    /// The settings without secrets.
    pub settings: Value,
    /// When it began and ended (RFC 3339).
    pub started: String,
    /// See `started`.
    pub ended: String,
    /// When Redis was read, from the first page to the last value (RFC 3339, by this machine's clock): keys that were
    /// written or deleted in between may be among those that were read, or not. `None` where nothing was read.
    pub window: Option<(String, String)>,
    /// The logical databases of Redis that were read.
    pub source_databases: Vec<u8>,
    /// Keys in Redis before and after, where they were counted.
    pub source_keys: TableCount,
    /// Rows in the target tables, by `schema.table`.
    pub target_rows: BTreeMap<String, TableCount>,
    /// The version of the Redis server, where it says so.
    pub redis_version: Option<String>,
    /// The version of the PostgreSQL server.
    pub postgres_version: Option<String>,
    /// The tables that the run made, or would make for real.
    pub tables_made: Vec<String>,
    /// The statements that made those of mappings, or would, without their semicolons; a preset's are in its own file.
    pub made_by: Vec<String>,
    /// How large values are compressed in what was loaded.
    pub toast_compression: Option<String>,
    /// Of a retry: what it retries.
    pub retry: Option<RetryFacts>,
    /// What the validation at its end found, where there was one.
    pub validation: Option<Validation>,
    /// What the cleanup at its end did, where there was one.
    pub cleanup: Option<Cleanup>,
}

/// What a retry's report says of the run that it retries.
#[derive(Clone, Debug)]
pub struct RetryFacts {
    /// The run.
    pub of: String,
    /// How many of its rejects are still open; of a dry run: would be.
    pub open: i64,
}

/// What a person is told of a retry, and of how a run that was stopped goes on.
pub fn retried(facts: &RunFacts) -> String {
    let mut out = String::new();
    if let Some(RetryFacts { of, open }) = &facts.retry {
        let are = if facts.dry_run { "would stay" } else { "are still" };
        out.push_str(&format!("A retry of run {of}: {open} of its rejects {are} open\n"));
    }
    if facts.exit == Exit::Stopped && facts.state != "done" && !facts.dry_run {
        let again = if facts.retry.is_some() { "run it again" } else { "the same command with --resume" };
        out.push_str(&format!("It stopped before the end. To go on: {again}\n"));
    }
    out
}

/// What a person is told of the tables that were made, or would be; nothing where there are none.
pub fn tables_made(facts: &RunFacts) -> String {
    if facts.tables_made.is_empty() {
        return String::new();
    }
    let tables = facts.tables_made.join(", ");
    if facts.dry_run && facts.made_by.is_empty() {
        format!("The run would first make {tables}\n")
    } else if facts.dry_run {
        format!("The run would first make {tables}:\n\n{}\n", script(&facts.made_by))
    } else {
        format!("made {tables}\n")
    }
}

/// Statements as a script.
pub fn script(statements: &[String]) -> String {
    statements.iter().map(|statement| format!("{statement};\n")).collect()
}

/// The content of `report.json`.
pub fn report_json(facts: &RunFacts, books: &Books) -> Value {
    let mut mappings = Map::new();
    let mut mapping_work = Map::new();
    for id in books.mappings() {
        let Work { settled, bytes, time } = books.work(id);
        mappings.insert(books.name(id), json!(books.tally(id)));
        let work = json!({
            "seconds": time.as_secs_f64(), "bytes": bytes, "rows_per_second": rate(settled, time),
            "bytes_per_second": rate(bytes, time),
        });
        mapping_work.insert(books.name(id), work);
    }
    let (notices, left_out) = books.notices();
    json!({
        "run": books.run(),
        "version": env!("CARGO_PKG_VERSION"),
        "resumed": books.resumed(),
        "dry_run": facts.dry_run,
        "state": facts.state,
        "exit_code": facts.exit.code(),
        "error": facts.error,
        "findings": facts.findings.iter().map(finding_json).collect::<Vec<_>>(),
        "started": facts.started,
        "ended": facts.ended,
        "settings": facts.settings,
        "tally": books.total(),
        "unmatched": unmatched(books),
        "shape_refused": shape_refused(books),
        "balanced": books.balance(),
        "mappings": mappings,
        "window": facts.window.as_ref().map(|(from, to)| json!({"from": from, "to": to})),
        "source_databases": facts.source_databases,
        "counts": { "source": facts.source_keys, "target": facts.target_rows },
        "timings": {
            "seconds": books.elapsed().as_secs_f64(),
            "phases": phases(books),
            "stages": stages(books),
            "mappings": mapping_work,
        },
        "peak_memory_bytes": peak_memory(),
        "in_flight_max_bytes": books.in_flight().1,
        "validation": facts.validation.as_ref().map(validation_json),
        "validation_passed": facts.validation.as_ref().and_then(Validation::passed),
        "cleanup": facts.cleanup.as_ref().map(cleanup_json),
        "servers": { "redis": facts.redis_version, "postgres": facts.postgres_version },
        "tables_made": { "tables": facts.tables_made, "statements": facts.made_by },
        "toast_compression": facts.toast_compression,
        "retry_of": facts.retry.as_ref().map(|retry| &retry.of),
        "open_rejects": facts.retry.as_ref().map(|retry| retry.open),
        "notices": notices,
        "notices_left_out": left_out,
    })
}

/// The keys that no mapping took, by family; `other_keys` are those of all other families.
fn unmatched(books: &Books) -> Value {
    let unmatched = books.unmatched();
    let families = unmatched.families(FAMILIES, |family| family.keys);
    let named: u64 = families.iter().map(|(_, keys)| keys).sum();
    let families: Vec<Value> =
        families.into_iter().map(|(family, keys)| json!({"family": family, "keys": keys})).collect();
    json!({
        "keys": unmatched.keys, "families": families, "other_keys": unmatched.keys.saturating_sub(named),
        "set_apart": unmatched.set_apart,
    })
}

/// The keys, by mapping, that its glob finds and its patterns do not take.
fn shape_refused(books: &Books) -> Value {
    let refused =
        |id| books.unmatched().refused(id).map_or_else(|| json!({"keys": 0, "examples": []}), |refused| json!(refused));
    books.mappings().map(|id| (books.name(id), refused(id))).collect::<Map<_, _>>().into()
}

fn phases(books: &Books) -> Vec<Value> {
    let phase = |phase: &super::Phase| {
        let names: Vec<String> = phase.mappings.iter().map(|id| books.name(*id)).collect();
        let time = phase.ended.map(|ended| ended.saturating_duration_since(phase.started).as_secs_f64());
        json!({"phase": phase.number, "mappings": names, "scanned": phase.scanned, "seconds": time})
    };
    books.phases().iter().map(phase).collect()
}

fn stages(books: &Books) -> Value {
    let mut all = Map::new();
    for (name, stage) in books.stages() {
        let time = stage.time_since(books.started());
        let value = json!({
            "items": stage.items, "bytes": stage.bytes, "seconds": time.as_secs_f64(),
            "items_per_second": rate(stage.items, time), "bytes_per_second": rate(stage.bytes, time),
        });
        all.insert(name.to_owned(), value);
    }
    all.into()
}

/// Writes `report.json` and `summary.txt` into `dir`, which is created (mode 0700) where it is missing.
///
/// # Errors
/// Where a file cannot be written.
pub fn write_report(dir: &Path, facts: &RunFacts, books: &Books) -> io::Result<()> {
    make_dir(dir)?;
    let mut json = serde_json::to_vec_pretty(&report_json(facts, books))?;
    json.push(b'\n');
    write_private(&dir.join("report.json"), &json)?;
    let mut text = summary(books, &facts.state, facts.dry_run);
    text.push_str(&tables_made(facts));
    text.push_str(&retried(facts));
    if let Some(validation) = &facts.validation {
        text.push_str(&format!("\n{}", validation_text(validation)));
    }
    if let Some(cleanup) = &facts.cleanup {
        text.push_str(&format!("\n{}", cleanup_text(cleanup)));
    }
    if let Some((from, to)) = &facts.window {
        text.push_str(&format!(
            "Redis was read from {from} to {to}: what was written or deleted in between may be in it or not\n"
        ));
    }
    // On a terminal the message stands beside the summary; whoever reads the file has nothing but it.
    if let Some(error) = &facts.error {
        text.push_str(&format!("It failed: {error}\n"));
    }
    write_private(&dir.join("summary.txt"), text.as_bytes())
}

/// The most memory that this process held, in bytes; `None` where the system does not say so in /proc.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib * 1024)
}

/// Makes a directory that only its owner may read. One that exists is left as it is.
pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

/// Makes the report's directory (mode 0700) where it is missing, and tries whether a file can be written there. Leaves
/// no file, and unless it is to `keep` them, no directory that was missing.
///
/// # Errors
/// Where the directory cannot be made, or nothing can be written into it.
pub fn probe_report_dir(dir: &Path, keep: bool) -> io::Result<()> {
    let is_missing = |dir: &&Path| !dir.as_os_str().is_empty() && !dir.exists();
    let missing: Vec<&Path> = dir.ancestors().take_while(is_missing).collect();
    let tried = make_dir(dir).and_then(|()| try_file(dir));
    if !keep {
        // The innermost first. One that somebody else uses by now is not empty, and stays.
        missing.into_iter().take_while(|made| std::fs::remove_dir(made).is_ok()).for_each(drop);
    }
    tried
}

fn try_file(dir: &Path) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(b"{}")?;
    file.as_file().sync_all()
}

/// Writes a file of mode 0600 beside its place, then moves it there.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    // NamedTempFile creates its file with mode 0600.
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{RunFacts, TableCount, peak_memory, probe_report_dir, write_report};
    use crate::model::{Event, Exit, Finding, MappingId, RedisKey, Side, Tally, Unmatched};
    use crate::report::Books;
    use serde_json::{Value, json};
    use std::os::unix::fs::PermissionsExt;
    use std::time::Instant;

    fn facts() -> RunFacts {
        RunFacts {
            state: "done".into(),
            exit: Exit::Rejects,
            error: Some("the audit log is full".into()),
            findings: vec![Finding::critical(Side::Postgres, "audit", "of redis://u:hunter2@h is full", "Empty it.")],
            dry_run: false,
            settings: json!({"source": {}}),
            started: "2026-01-01T00:00:00Z".into(),
            ended: "2026-01-01T00:00:01Z".into(),
            window: Some(("2026-01-01T00:00:00.000Z".to_owned(), "2026-01-01T00:01:00.000Z".to_owned())),
            source_databases: vec![0, 2],
            source_keys: TableCount { before: Some(2), after: Some(2) },
            target_rows: [("app.documents".to_owned(), TableCount { before: Some(0), after: Some(1) })].into(),
            redis_version: Some("7.2.4".into()),
            postgres_version: None,
            tables_made: vec!["app.documents".into()],
            made_by: vec!["CREATE TABLE app.documents ()".into()],
            toast_compression: Some("lz4".into()),
            retry: None,
            validation: None,
            cleanup: None,
        }
    }

    #[test]
    fn a_stopped_run_is_told_how_it_goes_on() {
        let of = || super::RetryFacts { of: "r1".into(), open: 3 };
        let of_state = |state: &str, retry, dry_run| {
            super::retried(&RunFacts { exit: Exit::Stopped, state: state.into(), dry_run, retry, ..facts() })
        };
        let stopped = |retry, dry_run| of_state("stopped", retry, dry_run);
        assert_eq!(of_state("done", None, false), "", "its validation was stopped: the run is done");
        assert!(stopped(None, false).contains("the same command with --resume"));
        let retry = stopped(Some(of()), false);
        assert!(retry.contains("run it again") && !retry.contains("--resume"), "{retry}");
        assert_eq!((stopped(None, true), stopped(Some(of()), true).contains("To go on")), (String::new(), false));
    }

    #[test]
    fn the_report_has_the_keys_that_scripts_rely_on() {
        let now = Instant::now();
        let mut books = Books::new(now);
        let names = ["documents".to_owned()];
        books.apply(&Event::RunStarted { run: "r1".into(), mappings: names.into(), resumed: true }, now);
        books.apply(&Event::Listed { matched: vec![(MappingId(0), 2)], scanned: 2 }, now);
        let keys = ["b:1", "b:2", "a:1"].map(RedisKey::new);
        let mut unmatched = Unmatched::count(keys.iter().map(|key| (key, false)));
        unmatched.refuse(MappingId(0), &keys[2]);
        books.apply(&Event::Unmatched(Box::new(unmatched)), now);
        let mut tally = Tally { inserted: 1, ..Tally::default() };
        tally.reject("json_syntax");
        books.apply(&Event::Settled { mapping: MappingId(0), tally, bytes: 9, pending: 0 }, now);

        let Ok(dir) = tempfile::tempdir() else { panic!("a temporary directory") };
        let inner = dir.path().join("reports");
        assert!(write_report(&inner, &facts(), &books).is_ok());
        let path = inner.join("report.json");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let report: Value = serde_json::from_str(&text).unwrap_or_default();
        assert_eq!((report["run"].as_str(), report["exit_code"].as_u64()), (Some("r1"), Some(3)));
        assert_eq!(report["tally"]["rejected"], json!({"json_syntax": 1}));
        for key in ["scanned", "matched", "unmatched", "inserted", "updated", "unchanged", "duplicates", "would_load"] {
            assert!(report["tally"][key].is_i64(), "tally.{key}");
        }
        assert!(report["tally"]["skipped"].is_object() && report["tally"]["altered"].is_object());
        assert_eq!(report["mappings"]["documents"]["inserted"], 1);
        let families = json!([{"family": "b:*", "keys": 2}, {"family": "a:*", "keys": 1}]);
        let unmatched = json!({"keys": 3, "families": families, "other_keys": 0, "set_apart": 0});
        assert_eq!((&report["unmatched"], report["tally"]["unmatched"].as_i64()), (&unmatched, Some(3)));
        assert_eq!(report["shape_refused"], json!({"documents": {"keys": 1, "examples": ["a:1"]}}));
        let made = json!({"tables": ["app.documents"], "statements": ["CREATE TABLE app.documents ()"]});
        assert_eq!(report["tables_made"], made);
        assert_eq!(report["counts"]["target"]["app.documents"]["after"], 1);
        assert_eq!(report["counts"]["source"]["before"], 2);
        assert_eq!(report["source_databases"], json!([0, 2]));
        assert_eq!(report["timings"]["stages"]["scan"]["items"], 2);
        assert!(report.as_object().is_some_and(|all| all.contains_key("validation_passed")));
        assert_eq!((report["balanced"].as_bool(), report["resumed"].as_bool()), (Some(true), Some(true)));
        assert_eq!(report["error"], "the audit log is full");
        let finding = json!({
            "severity": "error", "side": "postgres", "subject": "audit", "message": "of redis://u:***@h is full",
            "hint": "Empty it.", "from": null, "file": null, "line": null,
        });
        assert_eq!(report["findings"], json!([finding]));
        let text = std::fs::read_to_string(inner.join("summary.txt")).unwrap_or_default();
        assert!(text.ends_with("It failed: the audit log is full\n"), "{text}");
        for name in ["report.json", "summary.txt"] {
            let mode = std::fs::metadata(inner.join(name)).map(|data| data.permissions().mode() & 0o777).ok();
            assert_eq!(mode, Some(0o600), "{name}");
        }
    }

    #[test]
    fn a_directory_that_is_only_tried_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (outer, inner) = (dir.path().join("a"), dir.path().join("a/b"));
        assert!(probe_report_dir(&inner, false).is_ok() && !outer.exists());
        assert!(probe_report_dir(&inner, true).is_ok() && inner.exists());
        assert!(probe_report_dir(&inner, false).is_ok() && inner.exists(), "it was there");
        std::fs::write(inner.join("file"), "").unwrap();
        assert!(probe_report_dir(&inner.join("file/c"), false).is_err() && inner.join("file").exists());
    }

    #[test]
    fn peak_memory_is_known_on_linux() {
        assert!(!cfg!(target_os = "linux") || peak_memory().is_some_and(|bytes| bytes > 1 << 20));
    }
}
