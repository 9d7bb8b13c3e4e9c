//! Where a notice goes: to stderr once, and into the log where that is a file.

use crate::support::Case;
use std::fs;

const NOTICE: &str = "the run that is validated is the latest one";

fn lines_with(text: &str, words: &str) -> usize {
    text.lines().filter(|line| line.contains(words)).count()
}

#[test]
fn a_notice_is_told_once_and_a_log_file_has_it_too() {
    let case = Case::new();
    let config = fs::read_to_string("config/presets/contract-reviewer.toml").unwrap();
    case.redis().set("document:1", r#"{"filename":"1.pdf","file_path":"1.pdf","file_size":1}"#);
    case.run(&[]).exits(0);
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("redis2pg.log");
    let without = case.validate(&config, &[]).exits(0);
    assert_eq!(lines_with(&without.stderr, NOTICE), 1, "{}", without.stderr);
    let with = case.validate(&config, &["--log-file", log.to_str().unwrap()]).exits(0);
    assert_eq!(lines_with(&with.stderr, NOTICE), 1, "{}", with.stderr);
    let logged = fs::read_to_string(&log).unwrap();
    assert_eq!(lines_with(&logged, NOTICE), 1, "{logged}");
}
