//! On a terminal a rollback shows what it would do, and asks.

use crate::support::{Case, answered};
use crate::{ITEMS, id, items};
use std::process::Command;

/// Rolls a run back on a terminal, where somebody types `answer`; gives the exit code and what was printed there.
fn asked(case: &Case, run: &str, answer: &str) -> (i32, String, String) {
    let mut command: Command = case.command();
    command.args(["rollback", "--to", &case.target, "--run", run]);
    let untouched = || assert!(case.sql("SELECT count(*) FROM items") == "2", "nothing is done before the answer");
    answered(command, untouched, answer)
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
