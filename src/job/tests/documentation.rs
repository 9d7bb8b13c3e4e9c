//! The examples of the documentation that are TOML: each is a file without mistakes, or a part of one.

use crate::config::{FlagValues, Settings};
use crate::job::check_mappings;
use crate::model::Finding;

const PAGES: [&str; 8] = [
    include_str!("../../../README.md"),
    include_str!("../../../docs/mapping.md"),
    include_str!("../../../docs/walkthrough.md"),
    include_str!("../../../docs/configuration.md"),
    include_str!("../../../docs/operations.md"),
    include_str!("../../../docs/contract-reviewer.md"),
    include_str!("../../../docs/rejects.md"),
    include_str!("../../../docs/design.md"),
];

/// What an example leaves out that is a part of a mapping. The reader knows the mapping of users.
const HEAD: &str = "[[mapping]]\nname = 'example'\ninto = 'shop.example'\nkey = 'id'\n";
const MATCH: &str = "match = 'a:{id}'\n";
const COLUMN: &str = "[[mapping.column]]\nname = 'id'\nfrom = 'redis.key'\n";
const USERS: &str = "[[mapping]]\nname = 'users'\nmatch = 'user:{id}'\ninto = 'shop.users'\nkey = 'id'\n\
                     column = [{ name = 'id', from = '{id}' }]\n";

/// The files that an example stands for: where a setting is shown several times, one for each.
fn files(example: &str) -> Vec<String> {
    if example.contains("[[mapping]]") {
        let column = if example.contains("column") { "" } else { COLUMN };
        let parent = if example.contains("mapping = \"users\"") { USERS } else { "" };
        return vec![format!("{example}{column}{parent}")];
    }
    if example.starts_with("[[mapping.column]]") {
        let column = if example.contains("name = \"id\"") { "" } else { COLUMN };
        return vec![format!("{HEAD}{MATCH}{example}{column}")];
    }
    if example.starts_with('[') {
        return vec![example.to_owned()];
    }
    let mut parts: Vec<Vec<&str>> = vec![Vec::new()];
    for line in example.lines().filter(|line| !line.is_empty()) {
        let setting = line.split(' ').next();
        let part = parts.last_mut().expect("there is one");
        match part.iter().any(|earlier| earlier.split(' ').next() == setting) {
            true => parts.push(vec![line]),
            false => part.push(line),
        }
    }
    let file = |part: Vec<&str>| {
        let keys = if part.iter().any(|line| line.starts_with("match")) { "" } else { MATCH };
        format!("{HEAD}{keys}{}\n{COLUMN}", part.join("\n"))
    };
    parts.into_iter().map(file).collect()
}

fn findings(file: &str) -> Vec<Finding> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("example.toml");
    std::fs::write(&path, file).unwrap();
    let flags = FlagValues { config: Some(path), ..FlagValues::default() };
    Settings::load(flags, std::iter::empty(), &[], &check_mappings).err().unwrap_or_default()
}

#[test]
fn every_example_is_sound() {
    let (mut examples, mut read) = (0, 0);
    for page in PAGES {
        for example in page.split("```toml\n").skip(1) {
            let (example, _) = example.split_once("```").expect("it ends");
            examples += 1;
            for file in files(example) {
                assert_eq!(findings(&file), [], "{file}");
                read += 1;
            }
        }
    }
    assert!(examples > 30 && read > examples + 5, "{examples} examples, {read} files");
}

#[test]
fn an_example_with_a_mistake_is_found() {
    for example in [
        "[[mapping.column]]\nname = \"a\"\nfrom = [\"$.a\"]\nformats = [\"jackson_arry\"]\n",
        "[run]\nunmatched = \"archiv\"\n",
        "decode = [\"gzip\", \"json\"]\ndecode = [\"gzp\", \"json\"]\n",
        "match = \"a:{id}\"\nmatch = \"a:{id\"\n",
    ] {
        assert!(files(example).iter().any(|file| !findings(file).is_empty()), "{example}");
    }
}
