//! What is wrong with documents and analyses.

use crate::contracts::{analysis, document, id};
use crate::json::{object, quoted, replaced};
use crate::keyspace::{Entry, Fate, Held, Keyspace, Mend};

/// What is wrong with a document: the member, its text or nothing, the reason.
const DOCUMENTS: [(&str, Option<&str>, &str); 25] = [
    ("file_size", Some("\"1,234\""), "integer"),
    ("file_size", Some("\"12\\u00a0\""), "integer"),
    ("file_size", Some("9223372036854775808"), "number_range"),
    ("file_size", Some("1.5"), "integer"),
    ("file_size", Some("{}"), "type_mismatch"),
    ("file_size", Some("\"\""), "integer"),
    ("file_size", Some("null"), "not_null"),
    ("file_size", None, "field_missing"),
    ("file_path", None, "field_missing"),
    ("file_path", Some("[\"a\"]"), "type_mismatch"),
    ("file_path", Some("\"a\\u0000b\""), "json_nul"),
    ("upload_timestamp", Some("\"01/02/2024\""), "timestamp_ambiguous"),
    ("upload_timestamp", Some("\"\""), "timestamp_empty"),
    ("upload_timestamp", Some("1704164645"), "timestamp_format"),
    ("upload_timestamp", Some("\"2024-02-30T00:00:00\""), "timestamp_range"),
    ("upload_timestamp", Some("\"yesterday\""), "timestamp_format"),
    ("metadata", Some("[1]"), "json_not_object (array)"),
    ("metadata", Some("\"plain\""), "json_not_object (string)"),
    ("metadata", Some("5"), "json_not_object (number)"),
    ("metadata", Some("false"), "json_not_object (boolean)"),
    ("metadata", Some("{\"a\":NaN}"), "json_nonfinite"),
    ("metadata", Some("{\"a\":\"cut \\ud83d\"}"), "json_surrogate"),
    ("metadata", Some("\"{\\\"a\\\":Infinity}\""), "json_nonfinite"),
    ("metadata", Some("{\"a\":1,}"), "json_syntax"),
    ("metadata", Some("{\"a\":'x'}"), "json_syntax"),
];

const ANALYSES: [(&str, Option<&str>, &str); 9] = [
    ("document_id", None, "field_missing"),
    ("document_id", Some("[]"), "type_mismatch"),
    ("analysis", Some("[1]"), "json_not_object (array)"),
    ("analysis", Some("\"text\""), "json_not_object (string)"),
    ("analysis", Some("{\"a\":\"\\u0000\"}"), "json_nul"),
    ("analysis", None, "field_missing"),
    ("processing_time_ms", Some("2147483648"), "number_range"),
    ("processing_time_ms", Some("\"fast\""), "integer"),
    ("created_at", Some("\"2024-1-2 3:4:5\""), "timestamp_ambiguous"),
];

/// Puts every kind of trouble.
pub(crate) fn trouble(space: &mut Keyspace, times: usize) {
    for _ in 0..times {
        for (member, text, reason) in DOCUMENTS {
            broken_document(space, member, text, reason);
        }
        for (member, text, reason) in ANALYSES {
            broken_analysis(space, member, text, reason);
        }
        for long in [256, 300, 5000] {
            broken_document(space, "filename", Some(&quoted(&"日".repeat(long))), "too_long");
        }
        orphan(space);
        rivals(space);
    }
}

/// A document with one member that is wrong, and now and then an analysis, which has no parent then.
fn broken_document(space: &mut Keyspace, member: &'static str, text: Option<&str>, reason: &'static str) {
    let id = id(space);
    let (members, row, altered) = document(&mut space.random, &id);
    let broken = replaced(&members, member, text.map(str::as_bytes));
    let (broken, fine) = (object(&mut space.random, &broken), object(&mut space.random, &members));
    let entry = Entry::new("documents", format!("document:{}", id.0), Held::Text(broken)).rejected(&[reason]);
    space.put(entry.mended(Held::Text(fine), row).altered(altered));
    if space.random.once_in(3) {
        let uuid = space.random.uuid();
        let (members, row, altered) = analysis(&mut space.random, &uuid, &id);
        let held = Held::Text(object(&mut space.random, &members));
        let deleted = space.random.once_in(3);
        let entry = Entry::new("analyses", format!("analysis:{uuid}"), held).rejected(&["missing_parent"]);
        space.put(entry.helped(deleted, row).altered(altered));
    }
}

fn broken_analysis(space: &mut Keyspace, member: &'static str, text: Option<&str>, reason: &'static str) {
    let parent = id(space);
    let (members, row, altered) = document(&mut space.random, &parent);
    let held = Held::Text(object(&mut space.random, &members));
    space.put(Entry::new("documents", format!("document:{}", parent.0), held).loaded(row).altered(altered));
    let uuid = space.random.uuid();
    let (mut members, row, altered) = analysis(&mut space.random, &uuid, &parent);
    let fine = object(&mut space.random, &members);
    for (name, _) in &mut members {
        if *name == "analysis_data" {
            *name = "analysis";
        }
    }
    let broken = object(&mut space.random, &replaced(&members, member, text.map(str::as_bytes)));
    let entry = Entry::new("analyses", format!("analysis:{uuid}"), Held::Text(broken)).rejected(&[reason]);
    space.put(entry.mended(Held::Text(fine), row).altered(altered));
}

/// An analysis whose document was never there; it is written when things are mended.
fn orphan(space: &mut Keyspace) {
    let (parent, uuid) = (id(space), space.random.uuid());
    let (members, row, altered) = analysis(&mut space.random, &uuid, &parent);
    let held = Held::Text(object(&mut space.random, &members));
    let entry = Entry::new("analyses", format!("analysis:{uuid}"), held).rejected(&["missing_parent"]);
    let deleted = space.random.once_in(2);
    let mut entry = entry.helped(deleted, row).altered(altered);
    let (members, row, altered) = document(&mut space.random, &parent);
    let value = Held::Text(object(&mut space.random, &members));
    let parent = Entry::new("documents", format!("document:{}", parent.0), value).loaded(row).altered(altered);
    entry.parent = Some(Box::new(parent));
    space.put(entry);
}

/// Spellings of one UUID: one row, which only one of them can have.
fn rivals(space: &mut Keyspace) {
    let (uuid, group) = (space.random.uuid(), space.rivalry());
    let mut spellings = [uuid.clone(), uuid.to_uppercase(), uuid.replace('-', "")];
    space.random.shuffle(&mut spellings);
    for spelling in spellings.into_iter().take(2) {
        let id = (spelling, uuid.clone());
        let (members, row, altered) = document(&mut space.random, &id);
        let held = Held::Text(object(&mut space.random, &members));
        let entry = Entry::new("documents", format!("document:{}", id.0), held).loaded(row.clone()).altered(altered);
        let mut entry = entry.ends(Fate::Rival(group, "key_collision"));
        entry.mend = Some((Mend::InPlaceOfRival, vec![row]));
        space.put(entry);
    }
}
