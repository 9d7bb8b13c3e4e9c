//! On a terminal a rollback shows what it would do, and asks.

use crate::support::Case;
use crate::{ITEMS, id, items};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::process::{Command, Stdio};

/// Rolls a run back on a terminal, where somebody types `answer`; gives the exit code and what was printed there.
fn asked(case: &Case, run: &str, answer: &str) -> (i32, String, String) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
    let terminal = OpenOptions::new().read(true).write(true).open(name).unwrap();
    let mut keyboard = File::from(master);
    let mut command: Command = case.command();
    command.args(["rollback", "--to", &case.target, "--run", run]).stdin(Stdio::from(terminal));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let mut said = Vec::new();
    let mut byte = [0];
    while !said.ends_with(b"[y/N] ") {
        assert_eq!(stderr.read(&mut byte).unwrap(), 1, "it did not ask: {}", String::from_utf8_lossy(&said));
        said.push(byte[0]);
    }
    assert!(case.sql("SELECT count(*) FROM items") == "2", "nothing is done before the answer");
    keyboard.write_all(answer.as_bytes()).unwrap();
    stderr.read_to_end(&mut said).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&said).into_owned();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned(), said)
}

#[test]
fn on_a_terminal_it_shows_what_it_would_do_and_does_it_only_when_told_to() {
    let case = items(&[("a", 1), ("b", 2)]);
    let run = id(&case.run_config(ITEMS, &[]).exits(0));
    for no in ["n\n", "\n", "perhaps\n", "\u{4}"] {
        let (code, stdout, stderr) = asked(&case, &run, no);
        assert_eq!((code, stdout.as_str()), (0, ""), "{stderr}");
        assert!(stderr.contains("public.items") && stderr.ends_with("Nothing was done.\n"), "{stderr}");
        assert_eq!(case.number("SELECT count(*) FROM items"), 2);
        assert_eq!(case.number("SELECT count(*) FROM redis2pg.runs WHERE rollback_lease IS NOT NULL"), 0);
    }
    let (code, stdout, stderr) = asked(&case, &run, "Y\n");
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains(&format!("Run {run} is rolled back.")), "{stdout}");
    assert_eq!(case.number("SELECT count(*) FROM items"), 0);
}
