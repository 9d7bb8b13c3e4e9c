//! Renders `config/default.toml` from the table of keys, so that the file and the code cannot differ. Pure.

use super::settings::{KEYS, SECTIONS};
use std::fmt::Write as _;

const HEAD: &str = "\
# Every setting of redis2pg with its default. A setting without a default is commented out.
#
# Layers: defaults < preset < this kind of file (--config FILE) < environment < flags.
# Sizes: 64MiB, 64MB or a number of bytes. Durations: 500ms, 15s, 2m, 1h.
# This file is what `redis2pg config show --defaults` prints; a test keeps it so.
";

const TAIL: &str = "
# Mappings say which keys become rows of which table. A preset brings its own; one of the same name written here takes
# its place, others are added. Two in one file may not share a name. Each begins with [[mapping]].
";

/// The text of `config/default.toml`.
pub fn default_toml() -> String {
    let mut out = HEAD.to_owned();
    for (section, doc) in SECTIONS {
        out.push('\n');
        comment(&mut out, doc);
        out.push_str(&format!("[{section}]\n"));
        for key in KEYS.iter().filter(|key| key.section == *section) {
            comment(&mut out, key.doc);
            let flag = if key.flag.is_empty() { String::new() } else { format!("--{}, ", key.flag) };
            let also = key.short_env().map(|short| format!("{short}, ")).unwrap_or_default();
            // Writing to a String does not fail.
            let _ = writeln!(out, "#   {flag}{also}{}", key.env());
            let _ = match (key.kind, key.default) {
                ("NAME,…", "") => writeln!(out, "{} = []", key.name),
                (kind, "") => writeln!(out, "# {} = {}", key.name, placeholder(kind)),
                ("NUMBER" | "BOOL" | "N|P%", bare) if !bare.ends_with('%') => writeln!(out, "{} = {bare}", key.name),
                (_, text) => writeln!(out, "{} = \"{text}\"", key.name),
            };
        }
    }
    out.push_str(TAIL);
    out
}

fn placeholder(kind: &str) -> String {
    if kind == "NUMBER" { "0".to_owned() } else { format!("\"{kind}\"") }
}

fn comment(out: &mut String, doc: &str) {
    for line in doc.lines().map(str::trim).filter(|line| !line.is_empty()) {
        out.push_str("# ");
        out.push_str(line);
        out.push('\n');
    }
}
