//! Tables for people. Uses `books` and comfy-table. Pure: gives text.

use super::books::{Books, rate};
use super::files::peak_memory;
use crate::model::{Counts, GoneRow, Tally};
use comfy_table::{CellAlignment, Table, presets};
use std::fmt::Write as _;
use std::time::Duration;

/// Families of unmatched keys that are named.
pub(super) const FAMILIES: usize = 10;

/// A table without borders: readable on a narrow terminal, and by `awk`.
pub fn plain_table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = bare(header.iter().map(|name| (*name).to_owned()).collect());
    for row in rows {
        table.add_row(row);
    }
    table.trim_fmt()
}

/// A text as it stands in a table: no longer than so many characters, an ellipsis at its end where it is cut. One long
/// cell would pad every line to its width.
pub fn cell(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        None => text.to_owned(),
        Some(_) => text.chars().take(most.saturating_sub(1)).chain(['…']).collect(),
    }
}

pub(super) fn bare(header: Vec<String>) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header);
    table
}

/// The tallies, a line each, by name; those of a dry run in its own words.
pub fn tally_table<'a>(tallies: impl Iterator<Item = (&'a str, &'a Tally)>, dry: bool) -> String {
    let all: Vec<(&str, &Tally)> = tallies.collect();
    // A dry run compares nothing with rows that are there: unchanged are keys that have no element to make a row of.
    let outcomes = if dry { ["would load", "without rows"].as_slice() } else { &["inserted", "updated", "unchanged"] };
    let mut header = vec!["mapping", "matched"];
    header.extend(outcomes);
    header.extend(["duplicates", "rejected", "skipped"]);
    let mut table = bare(header.iter().map(|name| (*name).to_owned()).collect());
    for (name, tally) in all {
        let mut row = vec![name.to_owned(), tally.matched.to_string()];
        let counts = if dry {
            [tally.would_load, tally.unchanged].to_vec()
        } else {
            [tally.inserted, tally.updated, tally.unchanged].to_vec()
        };
        row.extend(counts.iter().map(ToString::to_string));
        row.extend([tally.duplicates, tally.rejects(), tally.skips()].iter().map(ToString::to_string));
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

/// What a person wants to know at the end of a run. `state` is the ledger's word for it.
pub fn summary(books: &Books, state: &str, dry_run: bool) -> String {
    let mut out = String::new();
    let total = books.total();
    let named: Vec<(String, &Tally)> =
        books.mappings().filter_map(|id| Some((books.name(id), books.tally(id)?))).collect();
    let lines = named.iter().map(|(name, tally)| (name.as_str(), *tally));
    let all = (named.len() != 1).then_some(("total", &total));
    // Writing to a String does not fail.
    let run = books.run().unwrap_or("(not started)");
    let _ = writeln!(out, "Run {run}: {state}{}", if dry_run { " (dry run: nothing was written)" } else { "" });
    let _ = writeln!(out, "\n{}\n", tally_table(lines.chain(all), dry_run));
    let _ = writeln!(out, "scanned {}, of which {} matched no mapping", total.scanned, total.unmatched);
    for (name, tally) in named.iter().filter(|(_, tally)| !tally.rows.is_empty()) {
        let _ = writeln!(out, "rows of {name}: {}", row_counts(&tally.rows));
    }
    for (name, tally) in named.iter().filter(|(_, tally)| !tally.deleted_gone.is_empty()) {
        // Of what may not be asked for nobody knows whether it is gone.
        let (unknown, gone): (Counts, Counts) =
            tally.deleted_gone.clone().into_iter().partition(|(what, _)| what == GoneRow::Forbidden.name());
        if !gone.is_empty() {
            let _ = writeln!(out, "rows of {name} whose keys are gone: {}", row_counts(&gone));
        }
        for rows in unknown.values() {
            let _ = writeln!(out, "rows of {name} whose keys may not be asked for: {rows} kept");
        }
    }
    unmatched(&mut out, books);
    out.push_str(&reasons(&total));
    speed(&mut out, books);
    if total.rejects() > 0 && !dry_run {
        let _ = writeln!(out, "What was rejected, and why: redis2pg rejects list --run {run}");
    }
    out
}

/// The keys that no mapping took: the most common families, and what looks like a mapping's own.
fn unmatched(out: &mut String, books: &Books) {
    let unmatched = books.unmatched();
    let families = unmatched.families(FAMILIES, |family| family.keys);
    let named: u64 = families.iter().map(|(_, keys)| keys).sum();
    for (family, keys) in families {
        let _ = writeln!(out, "unmatched {keys}: {}", named_family(family));
    }
    if unmatched.keys > named {
        let _ = writeln!(out, "unmatched {}: other families", unmatched.keys - named);
    }
    if unmatched.set_apart > 0 {
        let _ = writeln!(out, "set apart {}: by `exclude` or phases.skip", unmatched.set_apart);
    }
    for (name, refused) in books.mappings().filter_map(|id| Some((books.name(id), unmatched.refused(id)?))) {
        let (keys, examples) = (refused.keys, refused.examples.join(", "));
        let _ = writeln!(out, "of another shape than {name} wants {keys}: such as {examples}");
    }
}

/// A family for people: that of the empty key has no name of its own.
pub fn named_family(family: &str) -> &str {
    if family.is_empty() { "(the empty key)" } else { family }
}

/// What was rejected, skipped and repaired, a line for each reason.
pub fn reasons(tally: &Tally) -> String {
    let mut out = String::new();
    for (what, counts) in [("rejected", &tally.rejected), ("skipped", &tally.skipped), ("repaired", &tally.altered)] {
        for (reason, count) in counts {
            let _ = writeln!(out, "{what} {count}: {reason}");
        }
    }
    out
}

/// What became of the rows of keys that are several rows each: `8 inserted, 1 deleted`.
pub fn row_counts(rows: &Counts) -> String {
    let counts: Vec<String> = rows.iter().map(|(what, count)| format!("{count} {}", what.replace('_', " "))).collect();
    counts.join(", ")
}

fn speed(out: &mut String, books: &Books) {
    let time = books.elapsed();
    let work = books.mappings().map(|id| books.work(id));
    let (settled, bytes) = work.fold((0, 0), |(keys, bytes), work| (keys + work.settled, bytes + work.bytes));
    let _ = write!(out, "{}, {:.0} keys/s, {:.1} MB/s", clock(time), rate(settled, time), rate(bytes, time) / 1e6);
    match peak_memory() {
        Some(peak) => {
            let _ = writeln!(out, ", peak memory {}", mebibytes(peak));
        }
        None => out.push('\n'),
    }
}

/// A duration for people: `1h02m03s`, `2m03s`, `3.4s`.
pub(super) fn clock(time: Duration) -> String {
    let seconds = time.as_secs();
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, _) => format!("{:.1}s", time.as_secs_f64()),
        (0, minutes, seconds) => format!("{minutes}m{seconds:02}s"),
        (hours, minutes, seconds) => format!("{hours}h{minutes:02}m{seconds:02}s"),
    }
}

/// Bytes for people, in MiB.
pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", rate(bytes, Duration::from_secs(1)) / f64::from(1 << 20))
}

#[cfg(test)]
mod tests {
    use super::{cell, clock, plain_table, summary};
    use crate::model::{Event, MappingId, RedisKey, Tally, Unmatched};
    use crate::report::Books;
    use std::time::{Duration, Instant};

    fn books(tally: Tally) -> Books {
        let now = Instant::now();
        let mut books = Books::new(now);
        let names = ["documents".to_owned()];
        books.apply(&Event::RunStarted { run: "r1".into(), mappings: names.into(), resumed: false }, now);
        books.apply(&Event::Listed { matched: vec![(MappingId(0), 2)], scanned: 3 }, now);
        let keys: Vec<RedisKey> = (0..12).map(|n| RedisKey::new(format!("f{n:02}:1"))).collect();
        let mut unmatched = Unmatched::count(keys.iter().map(|key| (key, key == &keys[0])));
        unmatched.refuse(MappingId(0), &RedisKey::new("f01:1"));
        books.apply(&Event::Unmatched(Box::new(unmatched)), now);
        books.apply(&Event::Settled { mapping: MappingId(0), tally, bytes: 9, pending: 0 }, now);
        books
    }

    #[test]
    fn the_summary_names_reasons_and_where_to_read_on() {
        let mut tally = Tally { inserted: 1, ..Tally::default() };
        tally.reject("json_syntax");
        let text = summary(&books(tally), "done", false);
        for part in [
            "Run r1: done",
            "rejected 1: json_syntax",
            "rejects list --run r1",
            "scanned 14, of which 12",
            "unmatched 1: f00:*\n",
            "unmatched 2: other families",
            "set apart 1: by `exclude`",
            "of another shape than documents wants 1: such as f01:1\n",
        ] {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
    }

    #[test]
    fn the_empty_key_is_named() {
        let now = Instant::now();
        let mut books = Books::new(now);
        let key = RedisKey::new("");
        books.apply(&Event::Unmatched(Box::new(Unmatched::count([(&key, false)].into_iter()))), now);
        let text = summary(&books, "done", false);
        assert!(text.contains("unmatched 1: (the empty key)\n"), "{text}");
    }

    #[test]
    fn a_dry_run_shows_what_would_be_loaded() {
        let text = summary(&books(Tally { would_load: 2, ..Tally::default() }), "done", true);
        assert!(text.contains("would load") && !text.contains("inserted"), "{text}");
        let mut tally = Tally { unchanged: 2, ..Tally::default() };
        tally.rows.insert("would_load".to_owned(), 7);
        let text = summary(&books(tally), "done", true);
        assert!(text.contains("without rows") && text.contains("rows of documents: 7 would load\n"), "{text}");
    }

    #[test]
    fn a_run_that_failed_on_its_way_is_not_said_to_have_lost_keys() {
        let text = summary(&books(Tally { inserted: 1, ..Tally::default() }), "failed", false);
        assert!(text.contains("Run r1: failed") && !text.contains("balance"), "{text}");
    }

    #[test]
    fn a_long_cell_is_cut_between_characters() {
        assert_eq!((cell("ééé", 3), cell("éééé", 3)), ("ééé".to_owned(), "éé…".to_owned()));
        let rows = [vec![cell(&"k".repeat(100_000), 80)], vec!["short".to_owned()]];
        assert!(plain_table(&["key"], rows).len() < 300);
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(clock(Duration::from_millis(3_400)), "3.4s");
        assert_eq!(clock(Duration::from_secs(123)), "2m03s");
        assert_eq!(clock(Duration::from_secs(3723)), "1h02m03s");
    }
}
