//! A cleanup as a text for people.

use crate::model::Cleanup;
use crate::report::table::{bare, cell};
use comfy_table::CellAlignment;
use std::fmt::Write as _;

/// Kept keys that are named to people.
const NAMED: usize = 20;
/// Characters of a key that they are shown.
const WIDTH: usize = 120;

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
        "positional" => {
            "positional (its rows are known by places in the list: a push after its deletion would overwrite them; cleanup.positional \
             lets it go)"
        }
        "no_row" => "no_row (it makes no row)",
        "not_read" => "not_read (what it holds was not read as a whole)",
        "not_saved" => "not_saved (it cannot be kept in the backup)",
        "changed" => "changed (it was written to after it was compared)",
        "retimed" => "retimed (its time of expiry was set anew after it was compared)",
        "outdated" => {
            "outdated (it waited for more than ten seconds after it was compared: another cleanup looks again, with another --backup if any)"
        }
        "no_memory" => {
            "no_memory (too large to go from a Redis that has no memory left; with a higher maxmemory another cleanup lets it go)"
        }
        "not_reached" => "not_reached (a stop or a failure came before it)",
        "unmatched" => "unmatched (no mapping takes it)",
        "shape_refused" => "shape_refused (like a mapping's keys, and of another shape)",
        "excluded" => "excluded (by `exclude`, phases.skip, run.limit, or never read by the run)",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::cleanup_text;
    use crate::report::cleanup::tests::cleanup;

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
}
