//! A cleanup as files: `report.json` and `summary.txt`, and `kept.jsonl` (`kept`); for people it is a text (`text`). Mode 0600,
//! complete or absent.

mod kept;
mod text;

pub use kept::KeptKeysFile;
pub use text::cleanup_text;

use super::files::{make_dir, write_private};
use crate::model::{Cleanup, CleanupAccount, EarlierCleanup};
use kept::kept_key_json;
use serde_json::{Value, json};
use std::io;
use std::path::Path;

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

#[cfg(test)]
mod tests {
    use super::cleanup_json;
    use crate::model::{Cleanup, CleanupAccount, CleanupBackup, KeptKey, RedisKey};

    /// One that deleted three keys, or would, and kept one.
    pub(super) fn cleanup(dry_run: bool) -> Cleanup {
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
    fn the_json_has_the_account_and_whether_it_balances() {
        let json = cleanup_json(&cleanup(false));
        assert_eq!((json["deleted"].as_i64(), json["kept"]["stale"].as_i64()), (Some(3), Some(1)));
        assert_eq!((json["balanced"].as_bool(), json["kept_keys"][0]["key"].as_str()), (Some(true), Some("d:1")));
        assert_eq!(json["mappings"]["documents"]["listed"], 5);
    }
}
