//! What a validation found, as JSON and as text. Uses `table`, `files` and `differences`.

use super::differences::discrepancy_json;
use super::files::{make_dir, write_private};
use super::table::{bare, cell};
use crate::model::{Class, Discrepancy, MappingCounts, Validation};
use comfy_table::CellAlignment;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// Keys that are named to people, of all mappings.
const NAMED: usize = 20;
/// Characters of a value that they are shown.
const VALUE: usize = 60;

/// The validation as it stands in `report.json`.
pub fn validation_json(validation: &Validation) -> Value {
    let total = validation.total();
    let differences: Vec<Value> =
        validation.discrepancies.iter().map(|(mapping, found)| discrepancy_json(mapping, found)).collect();
    json!({
        "run": validation.run,
        "started": validation.started,
        "ended": validation.ended,
        "parts": validation.parts,
        "sample": validation.sample,
        "pattern": validation.pattern,
        "strict": validation.strict,
        "rounds": validation.rounds,
        "complete": validation.complete,
        "keys": total.keys,
        "rows": total.rows,
        "source_keys": total.source_keys,
        "passed_over": total.passed_over,
        "mappings": validation.mappings,
        "differences": differences,
        "warnings": validation.warnings,
        "untold": validation.untold,
    })
}

/// What a person wants to know of a validation.
pub fn validation_text(validation: &Validation) -> String {
    let mut out = String::new();
    let found = match (validation.passed(), validation.complete) {
        (Some(true), _) => "passed",
        (Some(false), true) => "not passed",
        (Some(false), false) => "not passed, and stopped before its end",
        (None, true) => "nothing was looked at",
        (None, false) => "stopped before its end",
    };
    // Writing to a String does not fail.
    let of = validation.sample.as_ref().map(|share| format!(" ({share} of the keys)")).unwrap_or_default();
    let like = validation.pattern.as_ref().map(|keys| format!(" (keys like {keys})")).unwrap_or_default();
    let _ = writeln!(out, "Validation of run {}{of}{like}: {found}", validation.run);
    for text in &validation.warnings {
        let _ = writeln!(out, "\nWARNING: {text}");
    }
    let _ = writeln!(out, "\n{}\n", classes(validation));
    for (name, counts) in &validation.mappings {
        mapping(&mut out, name, counts);
    }
    // What fails first. What the run knows is listed with its rejects.
    let known = |found: &Discrepancy| found.class == Class::Rejected;
    let mut named: Vec<&Discrepancy> = validation.discrepancies.iter().map(|(_, found)| found).collect();
    let databases: BTreeSet<u8> = named.iter().map(|found| found.database).collect();
    named.retain(|found| !known(found));
    named.sort_by_key(|found| std::cmp::Reverse(found.class));
    for found in named.iter().take(NAMED) {
        discrepancy(&mut out, found, databases.len() > 1);
    }
    if named.len() > NAMED {
        let _ = writeln!(out, "… and others: see differences.jsonl of --report DIR");
    }
    for text in &validation.untold {
        let _ = writeln!(out, "note: {text}");
    }
    out
}

/// The classes of each mapping's keys, a line each.
fn classes(validation: &Validation) -> String {
    let shown = Class::ALL.into_iter().rev();
    let mut header = vec!["mapping".to_owned(), Class::Equal.name().to_owned()];
    header.extend(shown.clone().filter(|class| *class != Class::Equal).map(|class| class.name().to_owned()));
    let mut table = bare(header);
    let total = validation.total();
    let all = validation.mappings.iter().map(|(name, counts)| (name.as_str(), counts));
    let all = all.chain((validation.mappings.len() != 1).then_some(("total", &total)));
    for (name, counts) in all {
        let mut row = vec![name.to_owned(), counts.keys.get(Class::Equal).to_string()];
        let others = shown.clone().filter(|class| *class != Class::Equal);
        row.extend(others.map(|class| counts.keys.get(class).to_string()));
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

/// What there is to say of a mapping beside its classes.
fn mapping(out: &mut String, name: &str, counts: &MappingCounts) {
    let mut rows = Vec::new();
    // The server's estimate may be behind what was just loaded; then it says nothing.
    let estimate = counts.target_rows.filter(|rows| counts.owned_rows.is_none_or(|owned| *rows >= owned));
    rows.extend(estimate.map(|rows| format!("about {rows} in the table")));
    rows.extend(counts.owned_rows.map(|rows| format!("{rows} of this run and those before it, unchanged since")));
    if !rows.is_empty() {
        let _ = writeln!(out, "{name}: {} in Redis; rows: {}", counted(counts.source_keys, "key"), rows.join(", "));
    }
    for (reason, count) in &counts.passed_over {
        let _ = writeln!(out, "{name}: {count} not compared: {reason}");
    }
    for (column, count) in &counts.columns {
        let _ = writeln!(out, "{name}: {column} differs in {}", counted(*count, "row"));
    }
}

/// So many of something, as people say it: 1 key, 2 keys.
pub fn counted(count: i64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A key that is not equal; `placed`: with its database.
fn discrepancy(out: &mut String, found: &Discrepancy, placed: bool) {
    let mut said = Vec::new();
    if !found.detail.is_empty() {
        said.push(found.detail.clone());
    }
    let shown = |value: &Option<String>| value.as_ref().map_or_else(|| "NULL".to_owned(), |value| printable(value));
    for values in &found.values {
        said.push(format!("{} is {}, should be {}", values.column, shown(&values.found), shown(&values.expected)));
    }
    if found.values.is_empty() && !found.columns.is_empty() {
        said.push(found.columns.join(", "));
    }
    let said = if said.is_empty() { String::new() } else { format!(": {}", said.join("; ")) };
    let mut place = if placed { format!(" of database {}", found.database) } else { String::new() };
    place.extend(found.element.iter().map(|element| format!(", {element}")));
    let _ = writeln!(out, "{} {}{place}{said}", found.class.name(), cell(&found.key.to_string(), 2 * VALUE));
}

/// A value on one line, without control characters.
fn printable(value: &str) -> String {
    let escaped: String = value
        .chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect();
    cell(&escaped, VALUE)
}

/// What `redis2pg validate` reports beside the validation.
#[derive(Clone, Debug)]
pub struct ValidationFacts {
    /// What it exits with.
    pub exit_code: u8,
    /// Why it did not go to its end.
    pub error: Option<String>,
    /// The settings without secrets.
    pub settings: Value,
    /// What a person should know.
    pub notices: Vec<String>,
}

/// The content of the `report.json` of `redis2pg validate`.
pub fn validation_report(facts: &ValidationFacts, validation: Option<&Validation>) -> Value {
    let all: Map<String, Value> = [
        ("run", json!(validation.map(|validation| &validation.run))),
        ("version", env!("CARGO_PKG_VERSION").into()),
        ("exit_code", facts.exit_code.into()),
        ("error", json!(facts.error)),
        ("settings", facts.settings.clone()),
        ("validation", validation.map(validation_json).into()),
        ("validation_passed", validation.and_then(Validation::passed).into()),
        ("notices", json!(facts.notices)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into_iter()
    .collect();
    all.into()
}

/// Writes `report.json` and `summary.txt` of a validation into `dir`, which is created (mode 0700) where it is missing.
///
/// # Errors
/// Where a file cannot be written.
pub fn write_validation(dir: &Path, facts: &ValidationFacts, validation: Option<&Validation>) -> io::Result<()> {
    make_dir(dir)?;
    let mut json = serde_json::to_vec_pretty(&validation_report(facts, validation))?;
    json.push(b'\n');
    write_private(&dir.join("report.json"), &json)?;
    let mut text = validation.map(validation_text).unwrap_or_default();
    if let Some(error) = &facts.error {
        text.push_str(&format!("It failed: {error}\n"));
    }
    write_private(&dir.join("summary.txt"), text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{validation_json, validation_text};
    use crate::model::{Class, ColumnValues, Discrepancy, MappingCounts, MappingId, RedisKey, Validation};

    fn validation() -> Validation {
        let mut counts =
            MappingCounts { source_keys: 3, target_rows: Some(4), owned_rows: Some(2), ..MappingCounts::default() };
        counts.keys.add(Class::Equal, 2);
        counts.keys.add(Class::Different, 1);
        counts.columns.insert("title".to_owned(), 1);
        counts.passed_over.insert("gone".to_owned(), 1);
        let values = vec![ColumnValues { column: "title".into(), expected: Some("a\u{1b}[31m".into()), found: None }];
        let found = Discrepancy {
            mapping: MappingId(0),
            database: 2,
            key: RedisKey::new("d:1"),
            class: Class::Different,
            element: Some("field \"a\"".into()),
            detail: String::new(),
            columns: vec!["title".into()],
            values,
        };
        Validation {
            run: "r1".into(),
            complete: true,
            mappings: [("documents".to_owned(), counts)].into(),
            discrepancies: vec![("documents".to_owned(), found)],
            warnings: vec!["much is gone".into()],
            untold: vec!["something".into()],
            ..Validation::default()
        }
    }

    #[test]
    fn the_text_says_what_differs_and_how() {
        let text = validation_text(&validation());
        for part in [
            "Validation of run r1: not passed\n\nWARNING: much is gone\n",
            "documents: 3 keys in Redis; rows: about 4 in the table, 2 of this run",
            "documents: 1 not compared: gone\n",
            "documents: title differs in 1 row\n",
            "different d:1, field \"a\": title is NULL, should be a\\u{1b}[31m\n",
            "note: something\n",
        ] {
            assert!(text.contains(part), "{part} is missing in:\n{text}");
        }
        let mut passed = validation();
        passed.mappings.clear();
        assert!(validation_text(&passed).contains("passed\n"));
        passed.complete = false;
        assert!(validation_text(&passed).contains("stopped before its end\n"));
    }

    #[test]
    fn the_json_has_every_class() {
        let validation = validation();
        let json = validation_json(&validation);
        assert_eq!((json["keys"]["different"].as_i64(), json["keys"]["stale"].as_i64()), (Some(1), Some(0)));
        assert_eq!(json["differences"][0]["values"][0]["found"], serde_json::Value::Null);
    }
}
