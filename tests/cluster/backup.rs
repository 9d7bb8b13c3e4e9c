//! A backup of a cluster: all of its keys, each from whichever node has it.

use crate::harness::Fixture;
use redis2pg::backup::{Found, Logical, Reader, verify};
use std::collections::BTreeSet;

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
