//! docs/rejects.md explains every reason for a reject, and none that there is not. What the reasons are says one list in the
//! model; a reject of any other fails whatever test makes it.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use redis2pg::model::{REASONS, RedisKey, Reject, SkipReason, is_reason};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const PAGE: &str = include_str!("../../docs/rejects.md");

/// The codes in the tables of reasons in some sections of the page, each with what its row says last: what to do.
fn explained(sections: impl Iterator<Item = &'static str>) -> BTreeSet<(&'static str, &'static str)> {
    let mut explained = BTreeSet::new();
    let mut of_reasons = false;
    for line in sections.flat_map(str::lines) {
        of_reasons = line.starts_with("| reason |") || of_reasons && line.starts_with('|');
        let cells: Vec<&str> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        if let ([codes, ..], true) = (cells.as_slice(), of_reasons && line.starts_with("| `")) {
            let codes = codes.split('`').skip(1).step_by(2).map(|code| code.split(" (").next().unwrap_or(code));
            explained.extend(codes.map(|code| (code, cells.last().copied().unwrap_or_default())));
        }
    }
    explained
}

fn sections(skips: bool) -> impl Iterator<Item = &'static str> {
    PAGE.split("\n## ").filter(move |section| {
        let title = section.lines().next().unwrap_or_default();
        if skips { title == "Not rejects: what is skipped" } else { !title.starts_with("Not rejects") }
    })
}

/// Every source file, apart from the list itself.
fn sources(directory: &Path, found: &mut String) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "tests" && name != "sandbox" && name != "dataset" {
                sources(&path, found);
            }
        } else if name.ends_with(".rs") && name != "tests.rs" && name != "reason.rs" {
            let text = fs::read_to_string(&path).unwrap();
            found.push_str(text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default());
        }
    }
}

#[test]
fn every_reason_is_explained_with_what_to_do_and_none_that_there_is_not() {
    let explained = explained(sections(false));
    let named: BTreeSet<&str> = explained.iter().map(|(code, _)| *code).collect();
    let all: BTreeSet<&str> = REASONS.into_iter().collect();
    assert_eq!(named, all, "left: the page; right: the list");
    let poor: Vec<_> = explained.iter().filter(|(_, what_to_do)| what_to_do.len() < "Repair it.".len()).collect();
    assert!(poor.is_empty(), "{poor:?}");
}

#[test]
fn every_reason_is_given_somewhere() {
    let mut source = String::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut source);
    let given = |reason: &&str| source.contains(&format!("\"{reason}\"")) || source.contains(&format!("\"{reason} ("));
    let never: Vec<&str> = REASONS.into_iter().filter(|reason| !given(reason)).collect();
    assert!(never.is_empty(), "no place gives {never:?}");
}

#[test]
#[should_panic(expected = "made_up is not among the reasons")]
fn a_reject_of_another_reason_fails_its_test() {
    let _ = Reject::new(RedisKey::new("k"), "made_up", "why", None);
}

#[test]
fn every_skip_is_explained_and_none_that_there_is_not() {
    let named: BTreeSet<&str> = explained(sections(true)).into_iter().map(|(code, _)| code).collect();
    let all: BTreeSet<&str> = SkipReason::ALL.into_iter().map(SkipReason::code).collect();
    assert_eq!(named, all, "left: the page; right: the code");
    assert!(all.iter().all(|code| !is_reason(code)), "a code is of a reject or of a skip");
}
