//! A cleanup, for people and as files: `report.json`, `summary.txt` and `kept.jsonl`. Mode 0600, complete or absent.

use super::files::{make_dir, write_private};
use super::rejects::key_json;
use super::table::{bare, cell};
use crate::model::{Cleanup, CleanupAccount, EarlierCleanup, KeptKey};
use comfy_table::CellAlignment;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tempfile::NamedTempFile;

/// Kept keys that are named to people.
const NAMED: usize = 20;
/// Characters of a key that they are shown.
const WIDTH: usize = 120;

/// The cleanup as it stands in `report.json`.
pub fn cleanup_json(cleanup: &Cleanup) -> Value {
    let mappings: serde_json::Map<String, Value> =
        cleanup.mappings.iter().map(|(name, account)| (name.clone(), account_json(account))).collect();
    let mut all = account_json(&cleanup.account);
    let more = json!({
        "id": cleanup.id,
        "run": cleanup.run,
        "started": cleanup.started,
        "ended": cleanup.ended,
        "dry_run": cleanup.dry_run,
        "complete": cleanup.complete,
        "pattern": cleanup.pattern,
        "balanced": cleanup.complete.then(|| cleanup.account.balances()),
        "mappings": mappings,
        "kept_keys": cleanup.kept.iter().map(kept_key_json).collect::<Vec<_>>(),
        "settled": cleanup.settled,
        "earlier": cleanup.earlier.iter().map(earlier_json).collect::<Vec<_>>(),
        "deleted_in_all": cleanup.deleted_in_all(),
        "unknown": cleanup.unknown,
        "backup": cleanup.backup.as_ref().map(|backup| {
            json!({"path": backup.path, "keys": backup.keys, "complete": backup.complete})
        }),
        "notes": cleanup.notes,
    });
    if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
        all.extend(more);
    }
    all
}

fn earlier_json(earlier: &EarlierCleanup) -> Value {
    json!({
        "id": earlier.id,
        "state": earlier.state,
        "started": earlier.started,
        "deleted": earlier.deleted,
        "unsettled": earlier.unsettled,
    })
}

fn account_json(account: &CleanupAccount) -> Value {
    json!({
        "listed": account.listed,
        "deleted": account.deleted,
        "would_delete": account.would_delete,
        "gone": account.gone,
        "unconfirmed": account.unconfirmed,
        "duplicates": account.duplicates,
        "kept": account.kept,
    })
}

fn kept_key_json(kept: &KeptKey) -> Value {
    let mut object = key_json("key", kept.key.as_bytes());
    object.insert("mapping".to_owned(), kept.mapping.clone().into());
    object.insert("database".to_owned(), kept.database.into());
    object.insert("reason".to_owned(), kept.reason.into());
    object.insert("detail".to_owned(), kept.detail.clone().into());
    object.into()
}

/// What a person wants to know of a cleanup.
pub fn cleanup_text(cleanup: &Cleanup) -> String {
    let mut out = String::new();
    let account = &cleanup.account;
    let of = cleanup.pattern.as_ref().map(|keys| format!(" (keys like {keys})")).unwrap_or_default();
    // Writing to a String does not fail.
    let _ = match (cleanup.dry_run, cleanup.complete) {
        (true, true) => writeln!(
            out,
            "Dry run: nothing is deleted. Of run {}{of}, {} keys would be deleted from Redis",
            cleanup.run, account.would_delete
        ),
        (true, false) => writeln!(out, "Dry run of run {}{of}: it did not come to its end", cleanup.run),
        (false, true) => writeln!(out, "Of run {}{of}, {} keys are deleted from Redis", cleanup.run, account.deleted),
        (false, false) => writeln!(
            out,
            "Of run {}{of}, {} keys are deleted from Redis; it did not come to its end: the same command goes on",
            cleanup.run, account.deleted
        ),
    };
    let _ = writeln!(out, "\n{}\n", table(cleanup));
    for (reason, count) in &account.kept {
        let _ = writeln!(out, "kept {count}: {}", spoken(reason));
    }
    for kept in cleanup.kept.iter().take(NAMED) {
        let detail = if kept.detail.is_empty() { String::new() } else { format!(" ({})", kept.detail) };
        let _ = writeln!(out, "kept {}: {}{}", cell(&kept.key.to_string(), WIDTH), kept.reason, cell(&detail, WIDTH));
    }
    if cleanup.kept.len() > NAMED {
        let _ = writeln!(out, "… and others: see kept.jsonl of --report DIR");
    }
    if let Some(backup) = &cleanup.backup {
        let _ = writeln!(out, "backup: {}, {} keys", backup.path, backup.keys);
    }
    for note in &cleanup.notes {
        let _ = writeln!(out, "note: {note}");
    }
    out
}

/// The account of each mapping, a line each.
fn table(cleanup: &Cleanup) -> String {
    let done = if cleanup.dry_run { "would delete" } else { "deleted" };
    let header = ["mapping", "listed", done, "kept", "gone", "duplicates"];
    let mut table = bare(header.iter().map(|name| (*name).to_owned()).collect());
    let named = cleanup.mappings.iter().map(|(name, account)| (name.as_str(), account));
    for (name, account) in named.chain([("total", &cleanup.account)]) {
        let numbers = [
            account.listed,
            if cleanup.dry_run { account.would_delete } else { account.deleted },
            account.kept(),
            account.gone,
            account.duplicates,
        ];
        table.add_row(
            std::iter::once(name.to_owned()).chain(numbers.iter().map(ToString::to_string)).collect::<Vec<_>>(),
        );
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

/// A reason in words.
fn spoken(reason: &str) -> &str {
    match reason {
        "missing" => "missing (there is no row)",
        "different" => "different (the row differs, although nobody has changed it)",
        "orphaned" => "orphaned (the row refers to one that is not there)",
        "stale" => "stale (the key has changed since the run)",
        "newer" => "newer (somebody else has changed the row)",
        "extra" => "extra (it has rows of elements that it does not have any more)",
        "rejected" => "rejected (a reject of it is open)",
        "expired" => "expired (its time has passed; Redis removes it)",
        "short_lived" => "short_lived (the mapping leaves it to its time)",
        "forbidden" => "forbidden (this user may not read or delete it)",
        "no_lineage" => "no_lineage (nothing says that a run which counts made its rows)",
        "rounded" => "rounded (a column does not give back what it says: the type rounds or cuts it)",
        "no_row" => "no_row (it makes no row)",
        "not_read" => "not_read (what it holds was not read as a whole)",
        "not_saved" => "not_saved (it cannot be kept in the backup)",
        "changed" => "changed (it was written to after it was compared)",
        "retimed" => "retimed (its time of expiry was set anew after it was compared)",
        "outdated" => {
            "outdated (it waited for more than ten seconds after it was compared: the same command looks again)"
        }
        "not_reached" => "not_reached (a stop or a failure came before it)",
        "unmatched" => "unmatched (no mapping takes it)",
        "shape_refused" => "shape_refused (like a mapping's keys, and of another shape)",
        "excluded" => "excluded (by `exclude`, phases.skip, run.limit, or never read by the run)",
        other => other,
    }
}

/// What `redis2pg cleanup` reports beside the cleanup.
#[derive(Clone, Debug)]
pub struct CleanupFacts {
    /// What it exits with.
    pub exit_code: u8,
    /// Why it did not go to its end.
    pub error: Option<String>,
    /// The settings without secrets.
    pub settings: Value,
    /// What a person should know.
    pub notices: Vec<String>,
}

/// The content of the `report.json` of `redis2pg cleanup`.
pub fn cleanup_report(facts: &CleanupFacts, cleanup: Option<&Cleanup>) -> Value {
    json!({
        "run": cleanup.map(|cleanup| &cleanup.run),
        "version": env!("CARGO_PKG_VERSION"),
        "exit_code": facts.exit_code,
        "error": facts.error,
        "settings": facts.settings,
        "cleanup": cleanup.map(cleanup_json),
        "notices": facts.notices,
    })
}

/// Writes `report.json` and `summary.txt` of a cleanup into `dir`, which is created (mode 0700) where it is missing.
///
/// # Errors
/// Where a file cannot be written.
pub fn write_cleanup(dir: &Path, facts: &CleanupFacts, cleanup: Option<&Cleanup>) -> io::Result<()> {
    make_dir(dir)?;
    let mut json = serde_json::to_vec_pretty(&cleanup_report(facts, cleanup))?;
    json.push(b'\n');
    write_private(&dir.join("report.json"), &json)?;
    let mut text = cleanup.map(cleanup_text).unwrap_or_default();
    if let Some(error) = &facts.error {
        text.push_str(&format!("It failed: {error}\n"));
    }
    write_private(&dir.join("summary.txt"), text.as_bytes())
}

/// Writes `kept.jsonl`, a key that stayed a line; it appears under its name with [`KeptKeysFile::finish`].
#[derive(Debug)]
pub struct KeptKeysFile {
    out: BufWriter<NamedTempFile>,
    path: PathBuf,
}

impl KeptKeysFile {
    /// Begins the file in `dir`, which is created (mode 0700) where it is missing. The file has mode 0600.
    ///
    /// # Errors
    /// Where the directory or the file cannot be created.
    pub fn create(dir: &Path) -> io::Result<Self> {
        make_dir(dir)?;
        Ok(Self { out: BufWriter::new(NamedTempFile::new_in(dir)?), path: dir.join("kept.jsonl") })
    }

    /// Adds one key.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write(&mut self, kept: &KeptKey) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, &kept_key_json(kept))?;
        self.out.write_all(b"\n")
    }

    /// Gives the file its name, in the place of an older one.
    ///
    /// # Errors
    /// Where the file cannot be written or renamed.
    pub fn finish(self) -> io::Result<()> {
        let file = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.as_file().sync_all()?;
        file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{cleanup_json, cleanup_text};
    use crate::model::{Cleanup, CleanupAccount, CleanupBackup, KeptKey, RedisKey};

    fn cleanup(dry_run: bool) -> Cleanup {
        let mut account = CleanupAccount { listed: 5, gone: 1, ..CleanupAccount::default() };
        (account.deleted, account.would_delete) = if dry_run { (0, 3) } else { (3, 0) };
        account.keep("stale", 1);
        let key = RedisKey::new("d:1");
        let kept =
            KeptKey { mapping: "documents".into(), database: 0, key, reason: "stale", detail: "n differs".into() };
        let backup = CleanupBackup { path: "/b".into(), keys: 3, complete: true };
        Cleanup {
            run: "r1".into(),
            dry_run,
            complete: true,
            mappings: [("documents".to_owned(), account.clone())].into(),
            account,
            kept: vec![kept],
            backup: (!dry_run).then_some(backup),
            notes: vec!["something".into()],
            ..Cleanup::default()
        }
    }

    #[test]
    fn the_text_says_what_went_what_stayed_and_why() {
        let text = cleanup_text(&cleanup(false));
        for part in [
            "Of run r1, 3 keys are deleted from Redis\n",
            "kept 1: stale (the key has changed since the run)\n",
            "kept d:1: stale (n differs)\n",
            "backup: /b, 3 keys\n",
            "note: something\n",
        ] {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
        let dry = cleanup_text(&cleanup(true));
        assert!(
            dry.starts_with("Dry run: nothing is deleted. Of run r1, 3 keys would be deleted from Redis\n"),
            "{dry}"
        );
    }

    #[test]
    fn the_json_has_the_account_and_whether_it_balances() {
        let json = cleanup_json(&cleanup(false));
        assert_eq!((json["deleted"].as_i64(), json["kept"]["stale"].as_i64()), (Some(3), Some(1)));
        assert_eq!((json["balanced"].as_bool(), json["kept_keys"][0]["key"].as_str()), (Some(true), Some("d:1")));
        assert_eq!(json["mappings"]["documents"]["listed"], 5);
    }
}
