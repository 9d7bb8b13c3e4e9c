//! A rollback, for people and as `rollback.json` and the lines of `kept.jsonl`. Mode 0600, complete or absent.

use super::files::{make_dir, write_private};
use super::rejects::key_json;
use super::table::plain_table;
use crate::model::{KeptReason, KeptRow, RollbackAccount};
use serde_json::{Map, Value, json};
use std::io;
use std::path::Path;

/// A rollback as one JSON object.
pub fn rollback_json(run: &str, state: &str, account: &RollbackAccount) -> Value {
    let (deleted, restored, kept) = account.totals();
    json!({
        "run": run,
        "state": state,
        "deleted": deleted,
        "restored": restored,
        "kept": kept,
        "tables": account.tables,
    })
}

/// Writes `rollback.json` into `dir`, which is made (mode 0700) where it is missing.
///
/// # Errors
/// Where it cannot be written.
pub fn write_rollback(dir: &Path, run: &str, state: &str, account: &RollbackAccount) -> io::Result<()> {
    make_dir(dir)?;
    let mut text = serde_json::to_vec_pretty(&rollback_json(run, state, account))?;
    text.push(b'\n');
    write_private(&dir.join("rollback.json"), &text)
}

/// A kept row as one JSON object: table, the row's key, the Redis key, and why.
pub fn kept_json(table: &str, row: &KeptRow) -> Value {
    let mut object: Map<String, Value> = Map::new();
    object.insert("table".to_owned(), table.into());
    let row_key = serde_json::from_str(&row.row_key).unwrap_or_else(|_| row.row_key.as_str().into());
    object.insert("row_key".to_owned(), row_key);
    if let Some(key) = &row.redis_key {
        object.append(&mut key_json("key", key));
    }
    object.insert("reason".to_owned(), row.reason.name().into());
    object.insert("detail".to_owned(), row.detail.as_str().into());
    object.into()
}

/// The account as a table, and below it why rows were kept.
pub fn rollback_summary(account: &RollbackAccount, would: bool) -> String {
    let words = if would { ["would delete", "would restore", "would keep"] } else { ["deleted", "restored", "kept"] };
    let header = ["table", words[0], words[1], words[2]];
    let rows = account.tables.iter().map(|(name, table)| {
        vec![name.clone(), table.deleted.to_string(), table.restored.to_string(), table.kept().to_string()]
    });
    let mut text = format!("{}\n", plain_table(&header, rows));
    for (name, table) in &account.tables {
        for (reason, rows) in &table.kept {
            let reason: KeptReason = *reason;
            text.push_str(&format!("kept in {name}: {rows} ({}): {reason}\n", reason.name()));
        }
        if let Some(what) = &table.table {
            text.push_str(&format!("table {name}, which the run made: {what}\n"));
        }
        if table.left_out {
            text.push_str(&format!("table {name}: left out\n"));
        }
    }
    text
}
