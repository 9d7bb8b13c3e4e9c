//! Findings as JSON: what a check prints and what a report holds are the same.

use crate::config::scrub;
use crate::model::{Finding, Severity};
use serde_json::{Value, json};

/// One finding, without what was typed: a message may quote a URL.
pub fn finding_json(finding: &Finding) -> Value {
    let file = finding.place.as_ref().filter(|place| place.line.is_some());
    json!({
        "severity": match finding.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Critical => "error",
        },
        "side": finding.side.to_string(),
        "subject": scrub(&finding.subject),
        "from": finding.place.as_ref().map(ToString::to_string),
        "file": file.map(|place| &place.source),
        "line": file.and_then(|place| place.line),
        "message": scrub(&finding.message),
        "hint": finding.hint,
    })
}
