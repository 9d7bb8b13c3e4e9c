//! Documents, analyses and sessions of the contract reviewer, with the preset's own mappings.

use crate::expected::{Lineage, OWN_METADATA, Table};
use crate::json::{At, Hole, Members, object, quoted};
use crate::keyspace::{Entry, Held, Keyspace, Row};
use crate::random::Random;
use uuid::Uuid;

pub(crate) const TABLES: [Table; 3] = [
    Table {
        name: "documents",
        target: "document_hub.documents",
        key: &["id"],
        columns: &[
            "id",
            "filename",
            "original_filename",
            "file_path",
            "file_size",
            "file_type",
            "mime_type",
            "seen.at(upload_timestamp) AS uploaded",
            "seen.at(analysis_timestamp) AS analysed",
            "status",
            OWN_METADATA,
            "seen.at(created_at) AS created",
            "metadata ->> 'redis_document_id' AS document",
        ],
        lineage: Lineage::Metadata,
        whole: true,
    },
    Table {
        name: "analyses",
        target: "document_hub.analysis_results",
        key: &["id"],
        columns: &[
            "id",
            "document_id",
            "analysis_type",
            "analysis_data",
            "model_used",
            "processing_time_ms",
            "seen.at(created_at) AS created",
            OWN_METADATA,
        ],
        lineage: Lineage::Metadata,
        whole: true,
    },
    Table {
        name: "sessions",
        target: "document_hub.sessions",
        key: &["id"],
        columns: &[
            "id",
            "document_id",
            "user_id",
            "data",
            "seen.at(created_at) AS created",
            "round(extract(epoch FROM expires_at) * 1000)::bigint AS expires",
        ],
        lineage: Lineage::Metadata,
        whole: true,
    },
];

/// An id as the application has it, and as the table has it.
pub(crate) fn id(space: &mut Keyspace) -> (String, String) {
    let number = space.number();
    let text = match space.random.below(12) {
        0 => format!("2025:legal:{number:07}"),
        1 => format!("vertrag-nr-{number}-ü"),
        2 => {
            let uuid = space.random.uuid();
            return (uuid.to_uppercase(), uuid);
        }
        _ => {
            let uuid = space.random.uuid();
            return (uuid.clone(), uuid);
        }
    };
    let uuid = Uuid::new_v5(&Uuid::NAMESPACE_OID, text.as_bytes()).to_string();
    (text, uuid)
}

/// A document: its members, its row, and what is repaired.
pub(crate) fn document(random: &mut Random, (id, uuid): &(String, String)) -> (Members, Row, Vec<&'static str>) {
    let (extension, mime) =
        random.pick(&[("pdf", "application/pdf"), ("PDF", "application/pdf"), ("txt", "text/plain")]);
    let name = format!("f{}.{extension}", random.text(8).replace(['/', '\\', '.'], "_").trim());
    let (path, size, at) = (format!("files/{}/{name}", random.word()), random.between(0, 1 << 40), random.moment());
    let hole = Hole::new(random, At::Value, false);
    let (mut metadata, mut shown, mut altered) = (hole.text("1.10"), hole.text("1.10"), vec![]);
    match random.below(12) {
        0 => (metadata, altered) = (quoted(&metadata), vec!["unwrap_json_string"]),
        1 => (metadata, shown) = ("null".to_owned(), "{}".to_owned()),
        2 => {
            metadata = r#"{"a":1,"redis_key":"mine"}"#.to_owned();
            shown = r#"{"a":1,"source_metadata":{"redis_key":"mine"}}"#.to_owned();
        }
        _ => {}
    }
    let mut members: Members = vec![
        ("filename", quoted(&name).into_bytes()),
        ("file_path", quoted(&path).into_bytes()),
        ("file_size", spelled(random, size).into_bytes()),
        ("upload_timestamp", quoted(&at.iso()).into_bytes()),
        ("metadata", metadata.into_bytes()),
    ];
    let newer = random.once_in(3);
    let (mut original, mut status, mut created) = (name.clone(), "uploaded".to_owned(), "now".to_owned());
    if newer {
        (original, status, created) = (random.text(20), random.word(), at.shown());
        members.push(("original_filename", quoted(&original).into_bytes()));
        members.push(("status", quoted(&status).into_bytes()));
        members.push(("created_at", quoted(&format!("{}+00:00", at.iso())).into_bytes()));
    }
    let fields = [&name, &original, &path, &size.to_string()].map(|text| Some(text.clone()));
    let kind = [format!(".{}", extension.to_lowercase()), mime.to_owned(), at.shown()].map(Some);
    let rest = [None, Some(status), Some(shown), Some(created), Some(id.clone())];
    let row = [Some(uuid.clone())].into_iter().chain(fields).chain(kind).chain(rest);
    (members, Row::new("documents", row), altered)
}

fn spelled(random: &mut Random, number: i64) -> String {
    match random.below(6) {
        0 => format!("\" {number} \""),
        1 => format!("{number}.0"),
        2 => format!("\"+{number}\""),
        _ => number.to_string(),
    }
}

/// An analysis of a document: its members and its row.
pub(crate) fn analysis(random: &mut Random, uuid: &str, of: &(String, String)) -> (Members, Row, Vec<&'static str>) {
    let (data, model, millis) =
        (Hole::new(random, At::Text, false).text("risk"), random.text(12), random.below(99_999));
    let at = random.moment();
    let (name, text, altered) = match random.below(4) {
        0 => ("analysis_data", quoted(&data), vec!["unwrap_json_string"]),
        1 => ("analysis_data", data.clone(), vec![]),
        _ => ("analysis", data.clone(), vec![]),
    };
    let members: Members = vec![
        ("document_id", quoted(&of.0).into_bytes()),
        (name, text.into_bytes()),
        ("model_used", quoted(&model).into_bytes()),
        ("processing_time_ms", millis.to_string().into_bytes()),
        ("created_at", quoted(&at.iso()).into_bytes()),
    ];
    let millis = millis.to_string();
    let fields = [uuid, &of.1, "contract_review", &data, &model, &millis, &at.shown(), "{}"];
    // What has no metadata of its own has lineage there, and nothing else.
    (members, Row::full("analyses", fields), altered)
}

fn session(random: &mut Random, id: &str, of: &(String, String), expires: u64) -> (Vec<u8>, Row) {
    let (user, at) = (random.text(6), random.moment());
    let members: Members = vec![
        ("session_id", quoted(id).into_bytes()),
        ("document_id", quoted(&of.0).into_bytes()),
        ("user_id", quoted(&user).into_bytes()),
        ("created_at", quoted(&at.iso()).into_bytes()),
    ];
    let value = object(random, &members);
    let data = String::from_utf8(value.clone()).unwrap();
    let row = [id, &of.1, &user, &data, &at.shown(), &expires.to_string()];
    (value, Row::full("sessions", row))
}

/// Puts a document and gives its id; now and then with an analysis and a session.
pub(crate) fn fill(space: &mut Keyspace, documents: usize) {
    for place in 0..documents {
        let id = id(space);
        let (members, row, altered) = document(&mut space.random, &id);
        let held = Held::Text(object(&mut space.random, &members));
        space.put(Entry::new("documents", format!("document:{}", id.0), held).loaded(row).altered(altered));
        if place % 5 != 0 {
            put_analysis(space, &id);
        }
        if place % 4 == 0 {
            put_session(space, &id);
        }
    }
}

fn put_analysis(space: &mut Keyspace, of: &(String, String)) {
    let uuid = space.random.uuid();
    let (members, row, altered) = analysis(&mut space.random, &uuid, of);
    let held = Held::Text(object(&mut space.random, &members));
    space.put(Entry::new("analyses", format!("analysis:{uuid}"), held).loaded(row).altered(altered));
}

fn put_session(space: &mut Keyspace, of: &(String, String)) {
    // Far in the future, to the millisecond.
    let expires = 4_000_000_000_000 + space.random.below(1_000_000) as u64;
    let id = format!("session_{}_{}", space.random.uuid(), space.number());
    let (value, row) = session(&mut space.random, &id, of, expires);
    let mut entry = Entry::new("sessions", format!("session:{id}"), Held::Text(value)).loaded(row);
    entry.expires = Some(expires);
    space.put(entry);
}
