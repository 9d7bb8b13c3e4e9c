//! One record of each kind that a migration must reject, each with the reason that it must give.

use super::record::{Generator, PREFIXES};
use super::resp::Connection;
use super::{BrokenKey, Options, Summary};
use std::io;

/// A document or analysis whose value is fine but for one thing. `DOCUMENT` stands for the id of one that is fine.
const STRINGS: [(&str, &str, &str, &str); 8] = [
    (PREFIXES.document, "broken-cut-short", "json_syntax", r#"{"filename":"a.pdf","file_path":"contracts/a.pdf","#),
    (
        PREFIXES.document,
        "broken-trailing-garbage",
        "json_syntax",
        r#"{"filename":"b.pdf","file_path":"contracts/b.pdf","file_size":1,"metadata":{}} <!-- end -->"#,
    ),
    (
        PREFIXES.document,
        "broken-nul",
        "json_nul",
        r#"{"filename":"c.pdf","file_path":"contracts/c.pdf","file_size":1,"metadata":{"title":"ab\u0000cd"}}"#,
    ),
    (
        PREFIXES.document,
        "broken-surrogate",
        "json_surrogate",
        r#"{"filename":"d.pdf","file_path":"contracts/d.pdf","file_size":1,"metadata":{"title":"cut \ud83d"}}"#,
    ),
    (PREFIXES.document, "broken-no-path", "field_missing", r#"{"filename":"e.pdf","file_size":1,"metadata":{}}"#),
    (
        PREFIXES.analysis,
        "broken-nan",
        "json_nonfinite",
        r#"{"document_id":"DOCUMENT","analysis":{"summary":"s","confidence":NaN}}"#,
    ),
    (
        PREFIXES.analysis,
        "broken-orphan",
        "missing_parent",
        r#"{"document_id":"00000000-0000-4000-8000-000000000000","analysis":{"summary":"s"}}"#,
    ),
    (
        PREFIXES.analysis,
        "broken-parent-rejected",
        "missing_parent",
        r#"{"document_id":"broken-no-path","analysis":{"summary":"s"}}"#,
    ),
];

/// Writes the broken records and books them in the summary.
pub(super) fn load(
    redis: &mut Connection,
    generator: &Generator,
    options: &Options,
    summary: &mut Summary,
) -> io::Result<()> {
    let parent = generator.document(0).id;
    for (prefix, id, reason, value) in STRINGS {
        let ttl = if prefix == PREFIXES.document { options.document_ttl } else { options.analysis_ttl };
        let key = format!("{prefix}{id}");
        summary.bytes += redis.set(&key, value.replace("DOCUMENT", &parent).as_bytes(), ttl)?;
        book(summary, key, reason);
    }
    let key = format!("{}broken-long-name", PREFIXES.document);
    let name = "a-very-long-name-".repeat(18);
    let value =
        format!(r#"{{"filename":"{name}.pdf","file_path":"contracts/{name}.pdf","file_size":1,"metadata":{{}}}}"#);
    summary.bytes += redis.set(&key, value.as_bytes(), options.document_ttl)?;
    book(summary, key, "too_long");
    let key = format!("{}broken-hash", PREFIXES.document);
    summary.bytes += redis.hash(&key, "filename", "f.pdf", options.document_ttl)?;
    book(summary, key, "redis_type (hash)");
    Ok(())
}

fn book(summary: &mut Summary, key: String, reason: &'static str) {
    *summary.family(&key).reject.entry(reason).or_default() += 1;
    summary.broken.push(BrokenKey { key, reason });
}
