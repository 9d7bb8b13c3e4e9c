//! A backup, for people and as JSON.

use super::rejects::key_json;
use super::table::{cell, plain_table};
use crate::model::{BackupAccount, LeftOut};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

/// What is said of a backup beside its account.
#[derive(Clone, Copy, Debug)]
pub struct BackupFacts<'a> {
    /// Where it is.
    pub file: &'a Path,
    /// The server, without credentials.
    pub source: &'a str,
    /// Whether the file is there and whole.
    pub complete: bool,
    /// How long it took.
    pub took: Duration,
    /// What a person should know.
    pub notices: &'a [String],
}

/// A backup as one JSON object.
pub fn backup_json(facts: &BackupFacts<'_>, account: &BackupAccount) -> Value {
    json!({
        "file": facts.file.display().to_string(),
        "source": facts.source,
        "complete": facts.complete,
        "listed": account.listed,
        "kept": account.kept(),
        "keys": account.written,
        "gone": account.gone,
        "forbidden": account.forbidden,
        "unreadable": account.unreadable,
        "left_out": account.samples.iter().map(left_out_json).collect::<Vec<_>>(),
        "bytes": account.bytes,
        "file_bytes": account.file_bytes,
        "seconds": facts.took.as_secs_f64(),
        "notices": facts.notices,
    })
}

fn left_out_json(one: &LeftOut) -> Value {
    let mut object = key_json("key", one.key.as_bytes());
    object.insert("database".to_owned(), one.database.into());
    object.insert("reason".to_owned(), one.reason.into());
    object.insert("detail".to_owned(), one.detail.as_str().into());
    object.into()
}

/// What a person is told of a backup.
pub fn backup_text(facts: &BackupFacts<'_>, account: &BackupAccount) -> String {
    let mut out = String::new();
    let (kept, file) = (account.kept(), facts.file.display());
    if facts.complete {
        let _ = writeln!(out, "Backed up {kept} keys of {}", facts.source);
        let seconds = facts.took.as_secs_f64();
        let rate = if seconds > 0.0 { kept as f64 / seconds } else { 0.0 };
        let _ = writeln!(
            out,
            "{file}: {} bytes ({} before compression), in {seconds:.1} s ({rate:.0} keys/s)",
            account.file_bytes, account.bytes
        );
    } else {
        let _ = writeln!(out, "There is no backup: {kept} keys of {} were written when it ended.", facts.source);
        if kept > 0 {
            let _ = writeln!(out, "They can be put back: redis2pg restore --salvage --file {file}.partial --to URL");
            let _ = writeln!(out, "If nobody needs them, remove that file; it is in the way of another attempt.");
        }
    }
    let counted = |(database, types): (&u8, &std::collections::BTreeMap<String, u64>)| {
        let types: Vec<String> = types.iter().map(|(name, count)| format!("{} {count}", cell(name, 40))).collect();
        vec![database.to_string(), types.join(", ")]
    };
    if !account.written.is_empty() {
        out.push_str(&plain_table(&["database", "keys"], account.written.iter().map(counted)));
        out.push('\n');
    }
    if account.gone > 0 {
        let _ = writeln!(out, "{} keys were gone before they were read", account.gone);
    }
    let forbidden = (account.forbidden > 0).then_some(("forbidden", account.forbidden));
    for (reason, count) in forbidden.into_iter().chain(account.unreadable.iter().map(|(name, count)| (*name, *count))) {
        let _ = writeln!(out, "{count} keys are left out: {reason}");
    }
    for LeftOut { database, key, reason, detail } in &account.samples {
        let detail = if detail.is_empty() { String::new() } else { format!(" ({detail})") };
        let _ = writeln!(out, "left out: {} in database {database}: {reason}{detail}", cell(&key.to_string(), 120));
    }
    out
}
