//! Whole values as JSON: strict, and with every repair.

use crate::expected::{Lineage, Table};
use crate::json::{At, Hole};
use crate::keyspace::{Entry, Held, Keyspace, Row};
use crate::poisons::{FINE, REPAIRED, WHOLE, WITHIN};

pub(crate) const TABLES: [Table; 4] = [
    table("strict", "public.strict", &["id", "doc", "btrim(raw::text, E' \\n\\t\\r') AS raw"]),
    table("mended", "public.mended", &["id", "doc", "size"]),
    table("marked", "public.marked", &["id", "doc"]),
    table("objects", "public.objects", &["id", "doc", "note"]),
];

const fn table(name: &'static str, target: &'static str, columns: &'static [&'static str]) -> Table {
    Table { name, target, key: &["id"], columns, lineage: Lineage::Ledger, whole: true }
}

pub(crate) const SQL: &str = "
CREATE TABLE strict (id text PRIMARY KEY, doc jsonb, raw json);
CREATE TABLE mended (id text PRIMARY KEY, doc jsonb, size bigint);
CREATE TABLE marked (id text PRIMARY KEY, doc jsonb);
CREATE TABLE objects (id text PRIMARY KEY, doc jsonb, note text);
";

pub(crate) const MAPPINGS: &str = r#"
[[mapping]]
name = "strict"
match = "strict:{id..}"
into = "public.strict"
key = ["id"]
column = [{ name = "id", from = "{id}" }, { name = "doc", from = "$" }, { name = "raw", from = "$" }]

[[mapping]]
name = "mended"
match = "mended:{id..}"
into = "public.mended"
key = ["id"]
nul = "strip"
surrogates = "replace"
nonfinite = "null"
invalid_utf8 = "cp1252"
unwrap_json_string = true
column = [{ name = "id", from = "{id}" }, { name = "doc", from = "$" }, { name = "size", from = "$.size" }]

[[mapping]]
name = "marked"
match = "marked:{id..}"
into = "public.marked"
key = ["id"]
nul = "replace"
nonfinite = "string"
duplicate_keys = "reject"
column = [{ name = "id", from = "{id}" }, { name = "doc", from = "$" }]

[[mapping]]
name = "objects"
match = "objects:{id..}"
into = "public.objects"
key = ["id"]
column = [{ name = "id", from = "{id}" }, { name = "doc", from = "$.doc" }, { name = "note", from = "$.note" }]
"#;

fn strict_row(id: &str, text: &str) -> Row {
    Row::full("strict", [id, text, text])
}

pub(crate) fn fill(space: &mut Keyspace, good: usize) {
    for place in 0..good {
        let id = space.id();
        let hole = Hole::new(&mut space.random, At::Value, false);
        match place % 4 {
            0 | 1 => {
                let (value, shown, repair) = match FINE.get(space.random.below(40)) {
                    Some((value, shown, repair)) => ((*value).to_owned(), (*shown).to_owned(), *repair),
                    None => (hole.text("1"), hole.text("1"), None),
                };
                let entry = Entry::new("strict", format!("strict:{id}"), Held::text(value)).altered(repair);
                space.put(entry.loaded(strict_row(&id, &shown)));
            }
            2 => {
                let text = hole.text("1");
                let row = Row::full("marked", [&id, &text]);
                space.put(Entry::new("marked", format!("marked:{id}"), Held::text(text)).loaded(row));
            }
            _ => {
                let (doc, note) = (hole.text("{}"), space.random.text(9));
                let value = format!("{{\"note\":{},\"other\":[1],\"doc\":{doc}}}", crate::json::quoted(&note));
                let row = Row::full("objects", [&id, &doc, &note]);
                space.put(Entry::new("objects", format!("objects:{id}"), Held::text(value)).loaded(row));
            }
        }
    }
}

pub(crate) fn trouble(space: &mut Keyspace, times: usize) {
    for time in 0..times {
        for (at, piece, reason) in WITHIN {
            within(space, at, piece, reason);
        }
        for (value, reason) in WHOLE {
            whole(space, value.to_vec(), &[reason]);
        }
        for (at, piece, shown, repairs) in REPAIRED {
            repaired(space, at, piece, shown, repairs);
        }
        cut_short(space);
        whole(space, "[".repeat(1_001 + time).into_bytes(), &["json_depth"]);
        marked(space);
        no_objects(space);
    }
}

/// The same value in the hole, wrong and mended; now and then a second thing is wrong, or the value is large.
fn within(space: &mut Keyspace, at: At, piece: &[u8], reason: &'static str) {
    let id = space.id();
    let mut hole = Hole::new(&mut space.random, at, false);
    if space.random.once_in(12) {
        hole = hole.large(70_000);
    }
    let good = if at == At::Value { "2.50" } else { "mended" };
    let (mut value, mut reasons) = (hole.with(piece), vec![reason]);
    if space.random.once_in(5) {
        // Outside the object, too.
        let (more, also) =
            space.random.pick(&[(&b" x"[..], "json_syntax"), (b"\xff", "invalid_utf8"), (b"]", "json_syntax")]);
        value.extend_from_slice(more);
        reasons.push(also);
    }
    let entry = Entry::new("strict", format!("strict:{id}"), Held::Text(value)).rejected(&reasons);
    space.put(entry.mended(Held::text(hole.text(good)), strict_row(&id, &hole.text(good))));
}

fn whole(space: &mut Keyspace, value: Vec<u8>, reasons: &[&'static str]) {
    let id = space.id();
    let text = Hole::new(&mut space.random, At::Value, false).text("null");
    let entry = Entry::new("strict", format!("strict:{id}"), Held::Text(value)).rejected(reasons);
    space.put(entry.mended(Held::text(text.clone()), strict_row(&id, &text)));
}

/// An object of which the end is missing, at any byte.
fn cut_short(space: &mut Keyspace) {
    let text = Hole::new(&mut space.random, At::Text, true).text("x");
    let end = 1 + space.random.below(text.len() - 1);
    whole(space, text.into_bytes()[..end].to_vec(), &["json_syntax"]);
}

fn repaired(space: &mut Keyspace, at: At, piece: &[u8], shown: &str, repairs: &[&'static str]) {
    let id = space.id();
    // What is read in another encoding is read so as a whole.
    let hole = Hole::new(&mut space.random, at, repairs.contains(&"invalid_utf8"));
    let (value, text) = (hole.with(piece), hole.text(shown));
    let row = Row::new("mended", [Some(id.clone()), Some(text), None]);
    let entry = Entry::new("mended", format!("mended:{id}"), Held::Text(value));
    space.put(entry.loaded(row).altered(repairs.iter().copied()));
}

/// What other repairs, and the refusal of equal keys, make of it.
fn marked(space: &mut Keyspace) {
    for (at, piece, shown, repair) in [
        (At::Text, r"a\u0000", r"a\ufffd", "nul"),
        (At::Value, "NaN", "\"NaN\"", "nonfinite"),
        (At::Value, "-Infinity", "\"-Infinity\"", "nonfinite"),
    ] {
        let id = space.id();
        let hole = Hole::new(&mut space.random, at, false);
        let row = Row::full("marked", [&id, &hole.text(shown)]);
        let entry = Entry::new("marked", format!("marked:{id}"), Held::text(hole.text(piece)));
        space.put(entry.loaded(row).altered([repair]));
    }
    for (piece, reason) in [
        (r#"{"a":1,"b":{},"a":2}"#, "json_duplicate_key"),
        (r#"[{"x":{"\u0061":1,"a":1}}]"#, "json_duplicate_key"),
        (r#"{"a\u0000":1,"a\ufffd":2}"#, "duplicate_key_after_conversion"),
        (r#""\ud83d""#, "json_surrogate"),
    ] {
        let id = space.id();
        let hole = Hole::new(&mut space.random, At::Value, false);
        let row = Row::full("marked", [&id, &hole.text("1")]);
        let entry = Entry::new("marked", format!("marked:{id}"), Held::text(hole.text(piece))).rejected(&[reason]);
        space.put(entry.mended(Held::text(hole.text("1")), row));
    }
}

/// Values that are no objects where fields are wanted.
fn no_objects(space: &mut Keyspace) {
    for (value, kind) in [
        ("[{\"doc\":1}]", "json_not_object (array)"),
        ("42", "json_not_object (number)"),
        ("true", "json_not_object (boolean)"),
        ("null", "json_not_object (null)"),
        ("\"{\\\"doc\\\":1}\"", "json_not_object (string)"),
    ] {
        let id = space.id();
        let entry = Entry::new("objects", format!("objects:{id}"), Held::text(value)).rejected(&[kind]);
        let row = Row::new("objects", [Some(id), Some("5".to_owned()), None]);
        space.put(entry.mended(Held::text("{\"doc\":5}"), row));
    }
    let id = space.id();
    // Wrapped once; twice is refused.
    let row = Row::full("mended", [&id, "{\"size\":5}", "5"]);
    let entry = Entry::new("mended", format!("mended:{id}"), Held::text("\"{\\\"size\\\":5}\""));
    space.put(entry.loaded(row).altered(["unwrap_json_string"]));
    let id = space.id();
    let row = Row::new("mended", [Some(id.clone()), Some("{}".to_owned()), None]);
    let entry = Entry::new("mended", format!("mended:{id}"), Held::text("\"\\\"{}\\\"\""));
    space.put(entry.rejected(&["json_not_object (string)"]).mended(Held::text("{}"), row));
}
