//! Nothing goes without a yes: dry runs, and the questions on a terminal.

use crate::support::Case;
use crate::{ITEMS, came_to, ends, keys, loaded, number, set_items};
use std::process::{Command, Stdio};

#[test]
fn without_a_yes_and_without_a_terminal_it_only_shows() {
    let case = loaded(9);
    case.sql("DELETE FROM items WHERE id = '0'");
    let before = case.fingerprint();
    for args in [&[][..], &["--dry-run"], &["--dry-run", "--yes"]] {
        let outcome = ends(case.cleanup(ITEMS, args), 0);
        came_to(&outcome, 0, &[("missing", 1)]);
        assert_eq!((number(&outcome, "would_delete"), keys(&case)), (8, 9), "{outcome}");
        assert!(outcome.stdout.starts_with("Dry run: nothing is deleted."), "{outcome}");
        assert!(outcome.stdout.contains("8 keys would be deleted from Redis\n"), "{outcome}");
        assert_eq!(outcome.stderr.contains("--yes deletes these keys"), args.is_empty(), "{outcome}");
    }
    assert_eq!(case.fingerprint(), before, "nothing was written");
    let notes = ends(case.cleanup(ITEMS, &["--dry-run"]), 0).report["cleanup"]["notes"].to_string();
    assert!(notes.contains("items keeps no more of a value than its columns take"), "{notes}");
}

/// `cleanup` on a terminal of its own (by `script` of util-linux), with these lines typed.
fn typed(case: &Case, lines: &str) -> (i32, String) {
    let dir = tempfile::tempdir().unwrap();
    let command = case.cleanup_command(dir.path(), ITEMS, &["--progress", "none"]);
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| format!("'{}'", word.to_str().unwrap()))
        .collect();
    let mut script = Command::new("script");
    script.args(["-q", "-e", "-c", &words.join(" "), "/dev/null"]);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, lines.as_bytes()).unwrap();
    // Kept open: its end would be the end of the terminal.
    let output = {
        let output = std::thread::spawn(move || child.wait_with_output().unwrap());
        output.join().unwrap()
    };
    drop(stdin);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code().unwrap(), said)
}

#[test]
fn on_a_terminal_it_asks_twice_and_the_second_time_for_the_number() {
    let case = loaded(7);
    for (lines, asked) in [("n\n", 1), ("\n", 1), ("y\nyes\n", 2), ("y\n6\n", 2), ("y\n\n", 2)] {
        let (code, said) = typed(&case, lines);
        assert_eq!((code, keys(&case)), (0, 7), "{lines:?}: {said}");
        assert!(said.contains("7 keys would be deleted from Redis"), "{lines:?}: {said}");
        assert!(said.contains("Delete 7 keys from redis://"), "{lines:?}: {said}");
        assert!(said.contains("No backup is written"), "{lines:?}: {said}");
        assert_eq!(said.contains("type the number of keys:"), asked == 2, "{lines:?}: {said}");
        assert_eq!(said.contains("That is not the number: it is 7."), asked == 2, "{lines:?}: {said}");
        assert!(said.contains("Nothing was deleted."), "{lines:?}: {said}");
    }
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.cleanups"), 0);
    let (code, said) = typed(&case, "y\n7\n");
    assert_eq!((code, keys(&case)), (0, 0), "{said}");
    assert!(said.contains("7 keys are deleted from Redis"), "{said}");
    let (code, said) = typed(&case, "");
    assert!(code == 0 && said.contains("There is nothing to delete."), "{said}");
}

#[test]
fn json_is_one_document_and_secrets_are_in_none() {
    let case = loaded(3);
    set_items(&case, 3);
    let outcome = ends(case.cleanup(ITEMS, &["--json", "--yes"]), 0);
    let report: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!((report["cleanup"]["deleted"].as_i64(), report["exit_code"].as_i64()), (Some(3), Some(0)));
    for secret in case.secrets() {
        assert!(
            !outcome.said().contains(&secret)
                && !case.sql("SELECT settings, source FROM redis2pg.cleanups").contains(&secret)
        );
    }
}
