//! What `--resume` refuses, and what it says where there is nothing to go on with.

use crate::books::assert_undisturbed;
use crate::harness::{Job, SLOW, cache, database, postgres};
use std::io::Write;

#[test]
fn with_nothing_to_resume_it_starts_anew_and_says_so() {
    let (name, url) = database();
    for _ in 0..2 {
        let ended = Job::run(&cache(), &url, &["--resume"]).expect(3);
        assert!(ended.stderr.contains("starting anew"), "{}", ended.stderr);
        assert_eq!(ended.report().0["resumed"], false);
    }
    assert_eq!(postgres().execute(&name, "SELECT count(*) FROM redis2pg.runs WHERE state = 'done'").unwrap(), "2");
}

#[test]
fn with_another_mapping_it_refuses_and_names_it() {
    let (name, url) = database();
    Job::run(&cache(), &url, &[&SLOW[..], &["--max-rejects", "1"]].concat()).expect(7);
    let preset = include_str!("../../config/presets/contract-reviewer.toml");
    let sessions = preset.split("[[mapping]]").find(|part| part.contains("name = \"sessions\"")).unwrap();
    let changed = sessions.replacen("name = \"sessions\"", "name = \"sessions\"\non_conflict = \"update\"", 1);
    let mut config = tempfile::NamedTempFile::new().unwrap();
    write!(config, "[[mapping]]{changed}").unwrap();
    let path = config.path().to_str().unwrap();
    let refused = Job::run(&cache(), &url, &["--resume", "--config", path]).expect(2);
    assert!(refused.stderr.contains("sessions (changed)"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("documents (changed)"), "{}", refused.stderr);
    // The refusal cost nothing: the run itself can still be resumed.
    let ended = Job::run(&cache(), &url, &["--resume"]).expect(3);
    ended.report().assert_balanced();
    assert_undisturbed(postgres(), &name);
    // What is resumed has been reading since it began.
    let began = "SELECT to_char(started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM redis2pg.runs";
    assert_eq!(ended.report().0["window"]["from"], postgres().execute(&name, began).unwrap());
}
