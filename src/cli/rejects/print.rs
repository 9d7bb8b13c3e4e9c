//! The printing of rejects as the ledger knows them.

use super::value::printed;
use super::{RejectsFilter, StateArg};
use crate::config::clean;
use crate::job::ledger::{KeptReject, RejectGroup};
use crate::model::{RedisKey, Reject, Withheld};
use crate::report::{RejectLine, Standing, cell, key_json, plain_table};
use serde_json::Value;
use std::io::{self, Write};

/// The most characters of a key in a table.
const KEY_WIDTH: usize = 80;
/// The most characters of a detail in a table.
const DETAIL_WIDTH: usize = 200;

/// How rejects are written for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectForm {
    /// A line each.
    Lines,
    /// A line each, with what became of it.
    LinesWithState,
    /// All that is known.
    Full,
}

/// One reject, for printing.
#[derive(Clone, Debug)]
pub struct RejectView {
    /// The mapping's name.
    pub mapping: String,
    /// The reject, its value where it is kept.
    pub reject: Reject,
    /// Size and hash of a value that was read, kept or not.
    pub withheld: Option<Withheld>,
    /// Whether the number of its database stands beside the key.
    pub names_database: bool,
    /// What the ledger says of it; `None` of a dry run's.
    pub standing: Option<Standing>,
}

impl From<KeptReject> for RejectView {
    fn from(kept: KeptReject) -> Self {
        let KeptReject { mapping, reject, withheld, elsewhere, standing, .. } = kept;
        Self { mapping, reject, withheld, names_database: elsewhere, standing: Some(standing) }
    }
}

impl RejectView {
    /// The key, with its database where that is not the source's own.
    fn key(&self) -> String {
        named(&self.reject.key, self.reject.database.filter(|_| self.names_database).map(i32::from))
    }

    fn json(&self) -> Value {
        let Self { mapping, reject, withheld, standing, .. } = self;
        let line = RejectLine { mapping, reject, withheld: withheld.as_ref(), standing: standing.as_ref() };
        line.json(usize::MAX)
    }
}

fn named(key: &RedisKey, database: Option<i32>) -> String {
    database.map_or_else(|| key.to_string(), |number| format!("{key} (database {number})"))
}

/// Writes counts of rejects by mapping and reason, as a table or as one JSON document.
///
/// # Errors
/// Where `out` cannot be written.
pub fn write_groups(out: &mut dyn Write, groups: &[RejectGroup], json: bool) -> io::Result<()> {
    if json {
        let all: Vec<Value> = groups.iter().map(group_json).collect();
        serde_json::to_writer_pretty(&mut *out, &all)?;
        return writeln!(out);
    }
    let rows = groups.iter().map(|group| {
        let RejectGroup { mapping, reason, rejects, key, database, detail } = group;
        let (key, detail) = (cell(&named(key, *database), KEY_WIDTH), cell(&clean(detail), DETAIL_WIDTH));
        vec![rejects.to_string(), clean(mapping), clean(reason), key, detail]
    });
    writeln!(out, "{}", plain_table(&["rejects", "mapping", "reason", "such as", "detail"], rows))
}

fn group_json(group: &RejectGroup) -> Value {
    let mut object = key_json("example", group.key.as_bytes());
    object.insert("mapping".to_owned(), group.mapping.as_str().into());
    object.insert("reason".to_owned(), group.reason.as_str().into());
    object.insert("rejects".to_owned(), group.rejects.into());
    object.insert("example_database".to_owned(), group.database.into());
    object.insert("example_detail".to_owned(), group.detail.as_str().into());
    object.into()
}

/// Writes rejects in a form for people, or as one JSON document.
///
/// # Errors
/// Where `out` cannot be written.
pub fn write_rejects(out: &mut dyn Write, rejects: &[RejectView], form: RejectForm, json: bool) -> io::Result<()> {
    if json {
        let all: Vec<_> = rejects.iter().map(RejectView::json).collect();
        serde_json::to_writer_pretty(&mut *out, &all)?;
        return writeln!(out);
    }
    if form == RejectForm::Full {
        return rejects.iter().try_for_each(|view| write_one(out, view));
    }
    let with_state = form == RejectForm::LinesWithState;
    let rows = rejects.iter().map(|view| {
        let RejectView { mapping, reject, standing, .. } = view;
        let (key, detail) = (cell(&view.key(), KEY_WIDTH), cell(&clean(&reject.detail), DETAIL_WIDTH));
        // Where no column is concerned, the place in the value says more than nothing.
        let place = reject.column.as_deref().or(reject.path.as_deref().filter(|path| *path != "$"));
        let column = place.map_or_else(|| "-".to_owned(), |place| cell(&clean(place), KEY_WIDTH));
        let state = standing.as_ref().filter(|_| with_state).map(|standing| clean(&standing.state));
        let cells = [key, clean(mapping)].into_iter().chain(state).chain([column, clean(&reject.reason), detail]);
        cells.collect()
    });
    let header = ["key", "mapping", "state", "column", "reason", "detail"];
    let header: Vec<&str> = header.into_iter().filter(|name| with_state || *name != "state").collect();
    writeln!(out, "{}", plain_table(&header, rows))
}

/// What to say where not all of them are shown.
pub(super) fn cut_list(shown: usize, all: i64) -> String {
    format!("{shown} of {all} rejects are shown: --limit NUMBER shows more, and `redis2pg rejects export` writes all.")
}

/// What to say where nothing was found.
pub(super) fn nothing_found(filter: &RejectsFilter, of_key: bool) -> String {
    let RejectsFilter { run, reason, mapping, state, .. } = filter;
    let state = match state {
        StateArg::Open => "open ",
        StateArg::Closed => "closed ",
        StateArg::All => "",
    };
    let what =
        if of_key { format!("There is no {state}reject of that key") } else { format!("There are no {state}rejects") };
    let with = |what: &str, name: &Option<String>| {
        name.as_ref().map(|name| format!(" {what} {}", clean(name))).unwrap_or_default()
    };
    let (reason, mapping) = (with("with the reason", reason), with("of the mapping", mapping));
    let run = run.as_ref().map_or_else(|| "the latest run".to_owned(), |run| format!("run {}", clean(run)));
    format!("{what}{reason}{mapping} in {run}.")
}

fn write_one(out: &mut dyn Write, view: &RejectView) -> io::Result<()> {
    let RejectView { mapping, reject, withheld, standing, .. } = view;
    writeln!(out, "{}", view.key())?;
    writeln!(out, "  mapping   {}", clean(mapping))?;
    writeln!(out, "  reason    {}", clean(&reject.reason))?;
    writeln!(out, "  detail    {}", clean(&reject.detail))?;
    for (name, value) in [("path", &reject.path), ("column", &reject.column), ("sqlstate", &reject.sqlstate)] {
        if let Some(value) = value {
            writeln!(out, "  {name:<9} {}", clean(value))?;
        }
    }
    writeln!(out, "  type      {}", clean(&reject.redis_type))?;
    if let Some(standing) = standing {
        write_standing(out, standing)?;
    }
    if let Some(expires) = reject.replay.as_ref().and_then(|replay| replay.expires_at) {
        writeln!(out, "  expires   {}", moment(expires))?;
    }
    let part = reject.replay.as_ref().is_some_and(|replay| replay.part);
    match (&reject.value, withheld) {
        (Some(value), _) => writeln!(out, "  value     {}\n", printed(&reject.redis_type, value, part)),
        (None, Some(Withheld { bytes, sha256 })) => {
            writeln!(
                out,
                "  value     (not kept: {bytes} bytes, more than errors.value_cap; SHA-256 {})\n",
                clean(sha256)
            )
        }
        (None, None) => writeln!(out, "  value     (none was read)\n"),
    }
}

fn write_standing(out: &mut dyn Write, standing: &Standing) -> io::Result<()> {
    let Standing { run, phase, table, state, attempts, created_at, tried_at, closed_at, closed_by } = standing;
    writeln!(out, "  table     {}", clean(table))?;
    writeln!(out, "  found     {}, in phase {phase} of run {}", clean(created_at), clean(run))?;
    let tried = tried_at.as_ref().map(|at| format!(", a retry last at {}", clean(at))).unwrap_or_default();
    writeln!(out, "  attempts  {attempts}{tried}")?;
    let closed = closed_at.as_ref().zip(closed_by.as_ref());
    let closed = closed.map(|(at, by)| format!(" at {} by run {}", clean(at), clean(by))).unwrap_or_default();
    writeln!(out, "  state     {}{closed}", clean(state))
}

/// Unix milliseconds for people; those beyond the calendar as a number.
fn moment(millis: i64) -> String {
    jiff::Timestamp::from_millisecond(millis).map_or_else(|_| format!("{millis} ms"), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::{RejectForm, RejectView, write_rejects};
    use crate::model::{RedisKey, Reject};
    use bytes::Bytes;

    fn written(key: &str, value: &'static [u8], form: RejectForm) -> String {
        let value = Some(Bytes::from_static(value));
        let reject = Reject { value, ..Reject::new(RedisKey::new(key.to_owned()), "number", "d".repeat(500), None) };
        let view =
            RejectView { mapping: "m".to_owned(), reject, withheld: None, names_database: false, standing: None };
        let mut out = Vec::new();
        let other = RejectView { reject: Reject::new(RedisKey::new("b"), "number", "d", None), ..view.clone() };
        assert!(write_rejects(&mut out, &[view, other], form, false).is_ok());
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn one_long_key_does_not_pad_every_line() {
        let key = "k".repeat(100_000);
        let text = written(&key, b"", RejectForm::Lines);
        assert!(text.len() < 1500 && text.contains("kkk…") && text.contains("ddd…"), "{}", text.len());
        assert!(written(&key, b"", RejectForm::Full).contains(&key), "in full it is whole");
    }

    #[test]
    fn a_line_names_the_column_that_had_no_place_for_the_value() {
        let reject =
            Reject { column: Some("age".into()), ..Reject::new(RedisKey::new("a"), "number", "no number", None) };
        let view =
            RejectView { mapping: "m".to_owned(), reject, withheld: None, names_database: false, standing: None };
        let mut out = Vec::new();
        let pathed = Reject { column: None, path: Some("$.tags[2]".into()), ..view.reject.clone() };
        let pathed = RejectView { reject: pathed, ..view.clone() };
        assert!(write_rejects(&mut out, &[view, pathed], RejectForm::Lines, false).is_ok());
        let words: Vec<String> = String::from_utf8_lossy(&out).split_whitespace().map(str::to_owned).collect();
        assert_eq!(words[..5], ["key", "mapping", "column", "reason", "detail"]);
        assert_eq!(words[5..8], ["a", "m", "age"]);
        let last = words.iter().rposition(|word| word == "m").and_then(|at| words.get(at + 1));
        assert_eq!(last.map(String::as_str), Some("$.tags[2]"));
    }

    #[test]
    fn a_value_stands_as_it_is_but_for_control_characters() {
        let text = written(r"a\b", b"{\"path\":\"C:\\x\"}\x1b[31m", RejectForm::Full);
        assert!(text.starts_with(r"a\\b"), "{text}");
        assert!(text.contains(r#"value     {"path":"C:\x"}\u{1b}[31m"#), "{text}");
        assert!(written("a", b"\xff\\", RejectForm::Full).contains(r"value     \xff\\"));
    }
}
