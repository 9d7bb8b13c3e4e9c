//! A page of docs/ that can be walked: its commands are run, and what it says that they print is what they print.

#![expect(clippy::panic, reason = "a page that cannot be walked is a failed test")]

use super::Case;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A command of the page and the lines that it says are printed.
struct Step {
    command: String,
    expected: Vec<String>,
}

/// The fenced blocks of a page, each with its language.
fn blocks(page: &str) -> impl Iterator<Item = (&str, &str)> {
    page.split("\n```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'))
}

fn steps(block: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step { command: command.to_owned(), expected: Vec::new() }),
            (None, Some(step)) => step.expected.push(line.trim_end().to_owned()),
            (None, None) => panic!("printed before there is a command: {line}"),
        }
    }
    steps
}

/// The words of a command, as a shell takes them apart: quotes of both kinds, nothing else.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in command.chars() {
        match quote {
            Some(end) if c == end => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c == ' ' => words.extend(word.take()),
            None => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Runs a command and gives the lines that it printed.
fn printed(case: &Case, dir: &Path, command: &str) -> Vec<String> {
    let words = words(command);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let text = match words.as_slice() {
        ["redis-cli", command @ ..] => {
            let command: Vec<&[u8]> = command.iter().map(|word| word.as_bytes()).collect();
            let answer = case.redis().answer(&command);
            assert!(!answer.starts_with('-'), "{command:?}: {answer}");
            String::new()
        }
        ["psql", option, sql] => {
            let expanded = if option.contains('x') { "\\x on\n" } else { "" };
            // As the owner of the tables, in whose own schema the ledger is.
            let session = "SET timezone = 'UTC'; SET ROLE redis2pg; SET search_path = public;";
            case.sql(&format!("\\pset format aligned\n\\pset tuples_only off\n{expanded}{session}\n{sql};"))
        }
        ["redis2pg", args @ .., ">", file] => {
            let command = format!("redis2pg {}", args.join(" "));
            fs::write(dir.join(file), printed(case, dir, &command).join("\n")).expect("write the file");
            String::new()
        }
        ["sed", args @ ..] => {
            let status = Command::new("sed").args(args).current_dir(dir).status().expect("run sed");
            assert!(status.success(), "{command}");
            String::new()
        }
        ["redis2pg", args @ ..] => {
            let mut command = case.command();
            let ends = command.env("REDIS_URL", &case.source).env("DATABASE_URL", &case.target);
            let output = ends.args(args).current_dir(dir).output().expect("run redis2pg");
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(matches!(output.status.code(), Some(0 | 3)), "{args:?}: {stderr}");
            String::from_utf8(output.stdout).expect("UTF-8")
        }
        _ => panic!("the page has a command that this test does not know: {command}"),
    };
    text.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// Walks through a page, or a part of one, in a directory of its own: the blocks of TOML are files, named in their first
/// line, and those of the console are commands with what they print. Gives how many files and commands there were.
pub(crate) fn walk(case: &Case, page: &str) -> (usize, usize) {
    let dir = tempfile::tempdir().expect("a directory");
    let (mut files, mut commands) = (0, 0);
    for (language, block) in blocks(page) {
        match language {
            "toml" => {
                let name = block.lines().next().and_then(|line| line.strip_prefix("# ")).expect("a name");
                fs::write(dir.path().join(name), block).expect("write the file");
                // Without the ends, in which the data of some pieces come after the file.
                let check = case.command().current_dir(dir.path()).args(["config", "check", "--config", name]).output();
                let check = String::from_utf8(check.expect("run redis2pg").stdout).expect("UTF-8");
                assert_eq!(check, "The settings are sound.\n", "{name}");
                files += 1;
            }
            "console" => {
                for Step { command, expected } in steps(block) {
                    let printed = printed(case, dir.path(), &command);
                    commands += 1;
                    if command.starts_with("psql") {
                        assert!(expected.is_empty() || printed == expected, "{command}\n{printed:#?}\n{expected:#?}");
                    } else {
                        for line in expected {
                            assert!(printed.contains(&line), "{command}\ndoes not print\n{line}\nbut\n{printed:#?}");
                        }
                    }
                }
            }
            // Statements to copy.
            "sql" => {}
            other => panic!("a block of another language: {other}"),
        }
    }
    let lines = |start: &str| page.lines().filter(|line| line.starts_with(start)).count();
    assert_eq!((files, commands), (lines("```toml"), lines("$ ")), "every block is found");
    (files, commands)
}
