//! What a command exits with where nobody reads what it says.

use crate::support::Case;
use std::fs::OpenOptions;
use std::process::{Command, Stdio};

fn unread(mut command: Command) -> std::io::Result<Option<i32>> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    drop(child.stdout.take());
    Ok(child.wait()?.code())
}

#[test]
fn the_exit_code_is_that_of_what_was_done_whoever_reads_it() {
    let case = Case::new();
    case.redis().set("document:1", "{");
    case.redis().set("document:2", r#"{"filename":"2.pdf","file_path":"2.pdf","file_size":2}"#);
    let command = |words: &[&str]| {
        let mut command = case.command();
        command.args(words).args(["--from", &case.source, "--to", &case.target, "--preset", "contract-reviewer"]);
        command
    };
    assert_eq!(unread(command(&["run"])).unwrap(), Some(3), "a reject");
    assert_eq!(unread(command(&["run", "--json"])).unwrap(), Some(3));
    case.sql("DELETE FROM document_hub.documents");
    assert_eq!(unread(command(&["validate"])).unwrap(), Some(4), "a row that is missing");
    let mut check = case.command();
    check.args(["config", "check", "--from", "redis://", "--to", "nowhere"]);
    assert_eq!(unread(check).unwrap(), Some(2));
    // A listing comes to no other end than that it was read.
    let mut list = case.command();
    list.args(["runs", "list", "--to", &case.target]);
    assert_eq!(unread(list).unwrap(), Some(0));
}

#[test]
fn what_cannot_be_written_is_said_and_the_run_is_what_it_was() {
    let case = Case::new();
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = case.command();
    command.args(["run", "--from", &case.source, "--to", &case.target, "--preset", "contract-reviewer"]);
    case.redis().set("document:1", "{");
    let output = command.stdout(full()).stderr(Stdio::piped()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("not all of the output could be written") && said.contains("came to exit code 3"), "{said}");
}
