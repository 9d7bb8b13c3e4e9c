//! Every reason for a reject that the source can give is in docs/rejects.md.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Where a reason is given: the first text behind one of these is its code.
const GIVEN: [&str; 14] = [
    "DecodeError::new(",
    "EncodeError::new(",
    "Reject::new(",
    "Reject::of(",
    "Reject::of_row(",
    "let reason = format!(",
    "Read::Unreadable(",
    "Unreadable { key, redis_type, reason: ",
    "writer.error(",
    "self.error(",
    "self.refused(",
    ".reject(",
    "return reject(",
    "Some(Expect::Array) => ",
];

/// Every source file that is not a test, up to its tests.
fn sources(directory: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "tests" && name != "sandbox" && name != "dataset" {
                sources(&path, found);
            }
        } else if name.ends_with(".rs") && name != "tests.rs" {
            let text = fs::read_to_string(&path).unwrap();
            found.push(text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_owned());
        }
    }
}

/// The code in a text such as `json_not_object (array)`: what stands before the brackets.
fn code(text: &str) -> Option<&str> {
    let code = text.split(" (").next().unwrap_or(text);
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    (!code.is_empty() && code.chars().all(plain)).then_some(code)
}

fn given(source: &str) -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for mark in GIVEN {
        for (at, _) in source.match_indices(mark) {
            let call = source[at + mark.len()..].split(';').next().unwrap_or_default();
            // A key may come first; a text that is not the code is a sentence.
            let literal = call.split('"').nth(1).and_then(code);
            codes.extend(literal.map(str::to_owned));
        }
    }
    // The scanner's faults and the server's codes are put into words by tables.
    for (at, _) in source.match_indices("(\"") {
        let (text, tail) = source[at + 2..].split_once('"').unwrap_or_default();
        let is_words = tail.starts_with(", format!") || tail.starts_with(", \"the value");
        codes.extend(code(text).filter(|_| is_words).map(str::to_owned));
    }
    for (at, _) in source.match_indices("\" => \"") {
        let sqlstate = source[..at].chars().rev().take(6).collect::<String>();
        let is_sqlstate = sqlstate.ends_with('"') && sqlstate.chars().take(5).all(|c| c.is_ascii_alphanumeric());
        let text = source[at + 6..].split('"').next().and_then(code);
        codes.extend(text.filter(|_| is_sqlstate).map(str::to_owned));
    }
    codes
}

#[test]
fn every_reason_is_documented() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = fs::read_to_string(root.join("docs/rejects.md")).unwrap();
    let mut files = Vec::new();
    sources(&root.join("src"), &mut files);
    let codes: BTreeSet<String> = files.iter().flat_map(|source| given(source)).collect();
    // Some of each kind: the test must find them to mean anything.
    for known in [
        "json_nul",
        "empty_value",
        "field_missing",
        "too_long",
        "redis_type",
        "changed_while_read",
        "msgpack_key",
        "not_stored",
        "key_null",
        "decompress_failed",
        "json_surrogate",
        "timestamp_range",
        "php_syntax",
        "encoding_unsupported",
        "base64",
        "json_duplicate_key",
        "out_of_range",
        "missing_parent",
        "key_empty_id",
        "exclusion",
        "json_nonfinite",
        "json_not_array",
        "json_number_range",
    ] {
        assert!(codes.contains(known), "{known} is not found in the source: {codes:?}");
    }
    let documented = |code: &str| docs.contains(&format!("`{code}`")) || docs.contains(&format!("`{code} ("));
    let missing: Vec<&String> = codes.iter().filter(|code| !documented(code)).collect();
    assert!(missing.is_empty(), "docs/rejects.md lacks {missing:?}");
}
