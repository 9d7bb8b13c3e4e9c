//! A restore, for people and as files: `restore.json` and `left.jsonl`. Mode 0600, complete or absent.

use super::files::{make_dir, write_private};
use super::rejects::key_json;
use super::table::plain_table;
use crate::backup::{Entry, Header, KeyCounts};
use crate::config::clean;
use crate::model::{LeftKey, RestoreAccount, RestoreCounts};
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// What the report says beside the account.
#[derive(Clone, Debug)]
pub struct RestoreFacts<'a> {
    /// The file.
    pub file: &'a str,
    /// The Redis, without secrets.
    pub target: &'a str,
    /// `done`, `planned` or `stopped`.
    pub state: &'static str,
    /// What it exits with.
    pub exit_code: u8,
    /// Keys of the file that were asked for.
    pub matched: u64,
    /// What is damaged in the file.
    pub damage: &'a [String],
    /// What else is to be known.
    pub notices: &'a [String],
    /// Some of the keys that are not as the file has them.
    pub left: &'a [LeftKey],
    /// Why it did not go to its end.
    pub error: Option<String>,
}

/// A restore as one JSON object.
pub fn restore_json(facts: &RestoreFacts<'_>, account: &RestoreAccount) -> Value {
    let total = account.total();
    json!({
        "file": facts.file,
        "target": facts.target,
        "state": facts.state,
        "exit_code": facts.exit_code,
        "matched": facts.matched,
        "restored": total.restored,
        "replaced": total.replaced,
        "equal": total.equal,
        "kept": total.kept,
        "failed": total.failed,
        "databases": account.databases,
        "damage": facts.damage,
        "notices": facts.notices,
        "left": facts.left.iter().map(left_json).collect::<Vec<_>>(),
        "error": facts.error,
    })
}

/// A key that is not as the file has it, as one JSON object.
pub fn left_json(left: &LeftKey) -> Value {
    let mut object: Map<String, Value> = Map::new();
    object.insert("database".to_owned(), left.database.into());
    object.append(&mut key_json("key", left.key.as_bytes()));
    object.insert("reason".to_owned(), left.reason.into());
    object.insert("detail".to_owned(), left.detail.as_str().into());
    object.into()
}

/// Writes `restore.json` into `dir`, which is made (mode 0700) where it is missing.
///
/// # Errors
/// Where it cannot be written.
pub fn write_restore(dir: &Path, facts: &RestoreFacts<'_>, account: &RestoreAccount) -> io::Result<()> {
    make_dir(dir)?;
    let mut text = serde_json::to_vec_pretty(&restore_json(facts, account))?;
    text.push(b'\n');
    write_private(&dir.join("restore.json"), &text)
}

/// The account as a table, and below it why keys are not as the file has them.
pub fn restore_summary(account: &RestoreAccount, would: bool) -> String {
    let words = if would { ["would restore", "would replace"] } else { ["restored", "replaced"] };
    let header = ["database", words[0], words[1], "equal", "kept", "failed"];
    let total = account.total();
    let all = (account.databases.len() > 1).then_some(("total".to_owned(), &total));
    let databases = account.databases.iter().map(|(number, counts)| (number.to_string(), counts));
    let row = |(name, counts): (String, &RestoreCounts)| {
        let numbers = [counts.restored, counts.replaced, counts.equal, counts.kept(), counts.failed()];
        std::iter::once(name).chain(numbers.iter().map(ToString::to_string)).collect()
    };
    let mut text = format!("{}\n", plain_table(&header, databases.chain(all).map(row)));
    for (why, keys) in &total.kept {
        text.push_str(&format!("kept: {keys} ({}): {why}\n", why.name()));
    }
    for (why, keys) in &total.failed {
        text.push_str(&format!("failed: {keys} ({}): {why}\n", why.name()));
    }
    text
}

/// What a backup holds.
#[derive(Clone, Copy, Debug)]
pub struct ContentsFacts<'a> {
    /// The file.
    pub file: &'a Path,
    /// What it says of itself.
    pub header: &'a Header,
    /// The keys that are whole, by database and type.
    pub keys: &'a KeyCounts,
    /// Entries of keys that stand again further on.
    pub superseded: u64,
    /// Keys of which a part is missing.
    pub torn: u64,
    /// What is damaged.
    pub damage: &'a [String],
}

/// What a backup holds, as one JSON object.
pub fn contents_json(facts: &ContentsFacts<'_>) -> Value {
    json!({
        "file": facts.file.display().to_string(),
        "header": shown_header(facts.header),
        "keys": shown_keys(facts.keys),
        "total": facts.keys.total(),
        "superseded": facts.superseded,
        "damaged_keys": facts.torn,
        "damage": facts.damage,
    })
}

/// What a file says of itself may be anything, and is told without secrets and control characters.
fn shown_header(header: &Header) -> Header {
    let all = |text: &String| clean(text);
    Header {
        tool: clean(&header.tool),
        command: clean(&header.command),
        created_at: clean(&header.created_at),
        source: clean(&header.source),
        redis_version: header.redis_version.as_ref().map(all),
        flavour: header.flavour.as_ref().map(all),
        pattern: header.pattern.as_ref().map(all),
        ..header.clone()
    }
}

/// So are the names of types.
fn shown_keys(keys: &KeyCounts) -> KeyCounts {
    let mut shown = KeyCounts::default();
    for (database, types) in &keys.0 {
        let of = shown.0.entry(*database).or_default();
        types.iter().for_each(|(name, keys)| *of.entry(clean(name)).or_default() += keys);
    }
    shown
}

/// What a backup holds, for people.
pub fn contents_text(facts: &ContentsFacts<'_>) -> String {
    let Header { tool, command, created_at, source, redis_version, flavour, pattern, listed, .. } = facts.header;
    // What a file says of itself may be anything: none of it makes a line of its own.
    let line = |text: &str| text.replace(['\n', '\r'], " ");
    let mut text = format!("{}\n", facts.file.display());
    let server = format!("{} {}", flavour.as_deref().unwrap_or("redis"), redis_version.as_deref().unwrap_or("?"));
    // Writing to a String does not fail.
    let made = format!("made {created_at} by redis2pg {tool} ({command}), from {source} ({server})");
    let _ = writeln!(text, "{}", line(&made));
    if let Some(pattern) = pattern {
        let _ = writeln!(text, "keys that match {}", line(pattern));
    }
    if *listed {
        let _ = writeln!(text, "keys of a list alone (--keys-from)");
    }
    let rows = facts.keys.0.iter().flat_map(|(database, types)| {
        types.iter().map(move |(name, keys)| vec![database.to_string(), line(name), keys.to_string()])
    });
    let _ = writeln!(text, "{}", plain_table(&["database", "type", "keys"], rows));
    let _ = writeln!(text, "{} keys in all", facts.keys.total());
    if facts.superseded > 0 {
        let _ = writeln!(
            text,
            "{} of them stand again further on: of each key the last entry counts, and the others are left out by a restore",
            facts.superseded
        );
    }
    for damage in facts.damage {
        let _ = writeln!(text, "damaged {damage}");
    }
    if facts.torn > 0 {
        let _ = writeln!(text, "{} keys have parts missing", facts.torn);
    }
    text
}

/// A key of a backup as one JSON object.
pub fn entry_json(entry: &Entry) -> Value {
    let mut object = key_json("key", entry.key.as_bytes());
    object.insert("database".to_owned(), entry.database.into());
    object.insert("type".to_owned(), clean(&entry.type_name).into());
    object.insert("expires_at".to_owned(), entry.expires_at.into());
    object.into()
}

/// A key of a backup in one line: database, type, time of expiry in Unix milliseconds or a dash, and the key.
pub fn entry_line(entry: &Entry) -> String {
    let expires = entry.expires_at.map_or_else(|| "-".to_owned(), |at| at.to_string());
    format!("{}\t{}\t{expires}\t{}", entry.database, entry.type_name.escape_default(), entry.key)
}
