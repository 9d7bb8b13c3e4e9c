//! The names of one setting, and the nearest name to one that does not exist. Pure.

use super::settings::{KEYS, SECTIONS};

/// One setting: all its names, its default and what it is for.
#[derive(Debug)]
pub struct Key {
    /// `section.name`, as in the file.
    pub path: &'static str,
    /// The section.
    pub section: &'static str,
    /// The name in its section.
    pub name: &'static str,
    /// The flag without its dashes; empty for a password, which a command line would show to everybody.
    pub flag: &'static str,
    /// The default as text; empty where there is none.
    pub default: &'static str,
    /// What the value is, such as `SIZE`.
    pub kind: &'static str,
    /// What it is for, and why the default is what it is; one line of text a line.
    pub doc: &'static str,
}

impl Key {
    /// The setting at `section.name`.
    pub fn find(path: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.path == path)
    }

    /// The environment variable that always works: `REDIS2PG_SECTION_NAME`.
    pub fn env(&self) -> String {
        format!("REDIS2PG_{}_{}", self.section, self.name).to_ascii_uppercase()
    }

    /// The short environment variable, named like the flag; `None` where it is the same or there is no flag.
    pub fn short_env(&self) -> Option<String> {
        let short = format!("REDIS2PG_{}", self.flag.replace('-', "_")).to_ascii_uppercase();
        (!self.flag.is_empty() && short != self.env()).then_some(short)
    }

    /// A variable that other tools share, asked only when nothing else names this end.
    pub fn fallback_env(&self) -> Option<&'static str> {
        match self.path {
            "source.url" => Some("REDIS_URL"),
            "target.url" => Some("DATABASE_URL"),
            _ => None,
        }
    }

    /// The setting that an environment variable stands for (fallbacks left out).
    pub fn by_env(variable: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.env() == variable || key.short_env().as_deref() == Some(variable))
    }

    /// The first sentence of what it is for.
    pub fn summary(&self) -> String {
        self.doc.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
    }
}

/// Settings that had another name, with what to write instead.
const RENAMED: [(&str, &str); 1] =
    [("stop_at_first", "it is errors.continue_on_error now, which says the opposite: continue_on_error = false")];

/// A hint that names the nearest existing setting to `section.name`, or the section's settings.
pub(super) fn nearest_key(section: &str, name: &str) -> String {
    if let Some((_, hint)) = RENAMED.iter().find(|(known, _)| *known == name) {
        return (*hint).to_owned();
    }
    let elsewhere = KEYS.iter().find(|key| key.name == name && key.section != section);
    if let Some(key) = elsewhere {
        return format!("did you mean `{}` in [{}]?", key.name, key.section);
    }
    let names = KEYS.iter().filter(|key| key.section == section).map(|key| key.name);
    match nearest(name, names.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("[{section}] has: {}", names.collect::<Vec<_>>().join(", ")),
    }
}

/// A hint that names the nearest section, or all of them.
pub(super) fn nearest_section(name: &str) -> String {
    if let Some(key) = KEYS.iter().find(|key| key.name == name) {
        return format!("did you mean `{name}` in [{}]?", key.section);
    }
    if name.starts_with("column") {
        return "did you mean [[mapping.column]]?".to_owned();
    }
    let names = SECTIONS.iter().map(|(name, _)| *name).chain(["mapping"]);
    match nearest(name, names.clone()) {
        Some("mapping") => "did you mean [[mapping]]?".to_owned(),
        Some(near) => format!("did you mean [{near}]?"),
        None => format!("the sections are: {}", names.collect::<Vec<_>>().join(", ")),
    }
}

/// A hint that names the nearest environment variable.
pub(super) fn nearest_env(variable: &str) -> String {
    let lower = variable.to_ascii_lowercase();
    if let Some((_, hint)) = RENAMED.iter().find(|(known, _)| lower.ends_with(known)) {
        return (*hint).to_owned();
    }
    let names: Vec<String> = KEYS.iter().flat_map(|key| [Some(key.env()), key.short_env()]).flatten().collect();
    let tail = |name: &str| name.trim_start_matches("REDIS2PG_").to_owned();
    let tails: Vec<String> = names.iter().map(|name| tail(name)).collect();
    match nearest(&tail(variable), tails.iter().map(String::as_str)) {
        Some(near) => format!("did you mean REDIS2PG_{near}?"),
        None => "`redis2pg config show` lists every setting with its variable".to_owned(),
    }
}

/// A hint that names the preset that is most like one that does not exist, or all of them. `presets` are `(name, TOML text)`.
pub fn nearest_preset(presets: &[(&str, &str)], wanted: &str) -> String {
    let names = presets.iter().map(|(name, _)| *name);
    match nearest(wanted, names.clone()) {
        Some(near) => format!("Did you mean {near}?"),
        None => format!("The presets are {}.", names.collect::<Vec<_>>().join(", ")),
    }
}

/// The name that is most like `wanted`, if one is like it at all: six of ten letters in place.
pub fn nearest<'a>(wanted: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const ALIKE: f64 = 0.6;
    names
        .map(|name| (strsim::normalized_damerau_levenshtein(wanted, name), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
