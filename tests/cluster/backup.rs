//! A backup of a cluster: all of its keys, each from whichever node has it.

use crate::harness::{Fixture, home, slot};
use crate::support::{Ended, entries_of, until};
use redis2pg::backup::{Found, Logical, Reader, verify};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};

#[test]
fn keys_of_all_types_and_nodes_are_in_one_file() {
    let mut fixture = Fixture::new(0);
    fixture.fill("s", 700);
    for number in 0..20 {
        let key = |kind: &str| format!("document:{kind}{number}");
        fixture.say(&["HSET", &key("h"), "a", "1", "b", "two"]);
        fixture.say(&["RPUSH", &key("l"), "x", "y"]);
        fixture.say(&["XADD", &key("x"), "1-1", "f", "v"]);
    }
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("b");
    let mut command = fixture.case.command();
    let output = command.args(["backup", "--json", "--from", &fixture.case.source, "--file"]).arg(&file).output();
    let output = output.expect("run redis2pg");
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let summary = verify(Reader::open(&file).expect("a backup"), |_| ()).expect("a whole backup");
    assert_eq!(summary.keys.total(), 760);
    let mut reader = Reader::open(&file).expect("a backup");
    let mut keys = BTreeSet::new();
    while let Some(Found::Entry { entry, .. }) = reader.read().expect("an entry") {
        if let Some(Logical::Hash { items, .. }) = &entry.logical {
            assert_eq!(redis2pg::model::Items::of(items).count(), 4);
            assert!(entry.dump.is_some());
        }
        keys.insert(entry.key);
    }
    assert_eq!(keys.len(), 760);
}

/// A backup that takes seconds, once its first entries are written.
fn begun(fixture: &Fixture, file: &Path) -> Child {
    let mut command: Command = fixture.case.command();
    command
        .args(["backup", "--json", "--max-keys-per-second", "200", "--from", &fixture.case.source, "--file"])
        .arg(file);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("run redis2pg");
    let partial = redis2pg::backup::partial_of(file);
    until("entries in the file", || std::fs::metadata(&partial).is_ok_and(|facts| facts.len() > 1_000));
    child
}

/// All keys are listed long before they are read. No page tells that a node has lost those that it listed.
#[test]
fn a_node_that_restarts_has_the_cluster_read_from_the_beginning() {
    let mut fixture = Fixture::new(0);
    fixture.fill("s", 900);
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("b");
    let child = begun(&fixture, &file);
    // Whichever is read last, the keys of one of these two are not all read by now.
    for node in [1, 2] {
        fixture.cluster.say(node, &["FLUSHALL"]).expect("flush a node");
        fixture.cluster.node(node).restart().expect("restart a node");
    }
    let ended = Ended::of(&child.wait_with_output().expect("wait for redis2pg")).exits(0);
    let left = (0..900).filter(|number| home(&format!("document:s{number}")) == 0).count();
    assert_eq!((ended.count("kept"), ended.count("gone")), (left as u64, 0), "{}", ended.stdout);
    assert_eq!(entries_of(&file).len(), left);
}

/// The nodes are the same, and a key is read from whichever has it.
#[test]
fn a_slot_that_moves_is_no_other_server() {
    let mut fixture = Fixture::new(0);
    fixture.fill("s", 600);
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("b");
    let child = begun(&fixture, &file);
    let slots: BTreeSet<u16> = (0..600).map(|number| slot(&format!("document:s{number}"))).take(20).collect();
    for slot in slots {
        let from = crate::harness::home_of(slot);
        fixture.cluster.move_slot(slot, from, (from + 1) % 3).expect("move a slot");
    }
    let ended = Ended::of(&child.wait_with_output().expect("wait for redis2pg")).exits(0);
    assert_eq!((entries_of(&file).len(), ended.count("gone")), (600, 0), "{}", ended.stdout);
}
