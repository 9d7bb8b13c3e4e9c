//! The layers that settings come from, and reading a TOML text into one. Does no I/O. Uses `keys`, `value`, `toml_errors`, `toml`.

use super::keys::{Key, nearest_key, nearest_section};
use super::places::Places;
use super::secret::scrub;
use super::settings::{KEYS, SECTIONS};
use super::toml_errors::worth_telling;
use super::value::{Raw, SettingValue};
use crate::model::{Finding, Place, Side};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The default.
    Default,
    /// A variable that other tools share, such as `DATABASE_URL`.
    Fallback(String),
    /// A preset, by name.
    Preset(String),
    /// A line of the configuration file.
    File {
        /// The file's path, for people.
        path: String,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Env(String),
    /// A flag, with its dashes.
    Flag(String),
}

impl Origin {
    /// The place, for a finding.
    pub fn place(&self) -> Place {
        match self {
            Self::File { path, line } => Place { source: path.clone(), line: Some(*line) },
            other => Place { source: other.to_string(), line: None },
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Fallback(variable) | Self::Env(variable) => f.write_str(variable),
            Self::Preset(name) => write!(f, "preset {name}"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// What the command line gave.
#[derive(Clone, Debug, Default)]
pub struct FlagValues {
    /// `--config FILE`.
    pub config: Option<PathBuf>,
    /// Values by `section.name`.
    pub values: BTreeMap<&'static str, Raw>,
}

/// One `[[mapping]]` as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct MappingTable {
    /// The table.
    pub table: toml::Table,
    /// Where it begins.
    pub origin: Origin,
    /// Where its settings stand.
    pub places: Places,
}

impl MappingTable {
    /// Its `name`, where it has one.
    pub fn name(&self) -> Option<&str> {
        self.table.get("name").and_then(toml::Value::as_str)
    }
}

/// One text's settings: what a file or a preset says.
#[derive(Default)]
pub(super) struct Layer {
    pub(super) values: BTreeMap<&'static str, (Raw, Origin)>,
    pub(super) mappings: Vec<MappingTable>,
}

/// All layers laid over one another.
#[derive(Default)]
pub(super) struct Layers {
    values: BTreeMap<&'static str, (Raw, Origin)>,
    pub(super) mappings: Vec<MappingTable>,
}

impl Layers {
    /// The lowest layer.
    pub(super) fn defaults() -> Self {
        let values = KEYS.iter().map(|key| (key.path, (Raw::Text(key.default.to_owned()), Origin::Default))).collect();
        Self { values, mappings: Vec::new() }
    }

    /// Lays one value over what is there.
    pub(super) fn set(&mut self, key: &'static str, raw: Raw, origin: Origin) {
        self.values.insert(key, (raw, origin));
    }

    /// Lays a text's settings over what is there. A mapping takes the place of one with the same name.
    pub(super) fn lay(&mut self, layer: Layer) {
        self.values.extend(layer.values);
        for mapping in layer.mappings {
            let same = |old: &&mut MappingTable| old.name().is_some() && old.name() == mapping.name();
            match self.mappings.iter_mut().find(same) {
                Some(old) => *old = mapping,
                None => self.mappings.push(mapping),
            }
        }
    }

    /// The text of a setting, where it has one.
    pub(super) fn text(&self, key: &str) -> Option<(&str, &Origin)> {
        match self.values.get(key) {
            Some((Raw::Text(text), origin)) if !text.is_empty() => Some((text, origin)),
            _ => None,
        }
    }

    /// Where each value came from.
    pub(super) fn origins(&self) -> BTreeMap<&'static str, Origin> {
        self.values.iter().map(|(key, (_, origin))| (*key, origin.clone())).collect()
    }

    /// Reads and checks one setting. What is wrong goes to `findings`, and the type's default stands in for it.
    pub(super) fn read<T: SettingValue>(
        &self,
        key: &'static str,
        check: impl Fn(&T) -> Result<(), String>,
        findings: &mut Vec<Finding>,
    ) -> T {
        let Some((raw, origin)) = self.values.get(key) else { return T::default() };
        let read = T::read(raw).and_then(|value| check(&value).map(|()| value));
        read.unwrap_or_else(|message| {
            findings.push(finding(key, origin, &message, Key::find(key).map_or("", |key| key.doc)));
            T::default()
        })
    }
}

/// A finding about one setting, with the place where it was set.
pub(super) fn finding(subject: &str, origin: &Origin, message: &str, hint: &str) -> Finding {
    let hint = hint.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    Finding::critical(Side::Settings, subject, scrub(message), hint.trim()).at(origin.place())
}

/// Reads a TOML text. Everything that is wrong with it goes to `findings`.
pub(super) fn parse(text: &str, origin: &dyn Fn(usize) -> Origin, findings: &mut Vec<Finding>) -> Layer {
    let line = |offset: usize| 1 + text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count();
    let (spans, errors) = DeTable::parse_recoverable(text);
    let whole = text.parse::<toml::Table>();
    // The message alone: the error's Display quotes the line, which may hold a password.
    let errors = if errors.is_empty() { whole.as_ref().err().into_iter().cloned().collect() } else { errors };
    for (at, message, hint) in worth_telling(text, &errors, &line) {
        findings.push(finding("TOML", &origin(at), &message, hint));
    }
    let (Ok(whole), true) = (whole, errors.is_empty()) else { return Layer::default() };
    let mut layer = Layer::default();
    let top = spans.get_ref();
    let at = |offset| origin(line(offset));
    for (name, value) in &whole {
        let here = at(top.get_key_value(name.as_str()).map_or(0, |(key, _)| key.span().start));
        let inner = top.get(name.as_str()).map(Spanned::get_ref);
        let known = SECTIONS.iter().any(|(known, _)| known == name);
        let mut refuse = |subject: &str, message, hint: &str| findings.push(finding(subject, &here, message, hint));
        match value {
            toml::Value::Array(items) if name == "mapping" => {
                layer.mappings = mappings(items, inner, &at, findings);
            }
            _ if name == "mapping" => refuse(name, "is no list", "write [[mapping]] above each"),
            toml::Value::Table(table) if known => section(&mut layer, name, table, inner, &at, findings),
            toml::Value::Table(_) => {
                refuse(&format!("[{name}]"), "there is no such section", &nearest_section(name));
            }
            _ if known => refuse(name, "is a section", &format!("write [{name}] and its settings below")),
            _ => refuse(name, "there is no such setting outside of a section", &nearest_section(name)),
        }
    }
    layer
}

/// Takes the settings of one section.
fn section(
    layer: &mut Layer,
    section: &str,
    table: &toml::Table,
    spans: Option<&DeValue<'_>>,
    origin: &dyn Fn(usize) -> Origin,
    findings: &mut Vec<Finding>,
) {
    let spans = spans.and_then(DeValue::as_table);
    for (name, value) in table {
        let span = spans.and_then(|table| table.get_key_value(name.as_str())).map_or(0, |(key, _)| key.span().start);
        let path = format!("{section}.{name}");
        match Key::find(&path) {
            Some(key) => {
                layer.values.insert(key.path, (raw(value), origin(span)));
            }
            None => {
                let hint = nearest_key(section, name);
                findings.push(finding(&path, &origin(span), "there is no such setting", &hint));
            }
        }
    }
}

fn mappings(
    items: &[toml::Value],
    spans: Option<&DeValue<'_>>,
    origin: &dyn Fn(usize) -> Origin,
    findings: &mut Vec<Finding>,
) -> Vec<MappingTable> {
    let mut tables = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let span = spans.and_then(DeValue::as_array).and_then(|array| array.get(i)).map_or(0, |item| item.span().start);
        match item {
            toml::Value::Table(table) => {
                let spans = spans.and_then(DeValue::as_array).and_then(|array| array.get(i)?.get_ref().as_table());
                let places = spans.map(|spans| Places::of(spans, origin)).unwrap_or_default();
                tables.push(MappingTable { table: table.clone(), origin: origin(span), places });
            }
            _ => findings.push(finding("mapping", &origin(span), "is no table", "write [[mapping]] above it")),
        }
    }
    refuse_same_names(&tables, findings);
    tables
}

/// Two mappings of one text with one name: which of them is meant nobody can tell. (A name that another layer has is
/// meant: that mapping is replaced.)
fn refuse_same_names(tables: &[MappingTable], findings: &mut Vec<Finding>) {
    let mut first: BTreeMap<&str, &Origin> = BTreeMap::new();
    for table in tables {
        let Some(name) = table.name() else { continue };
        if let Some(earlier) = first.get(name) {
            let subject = format!("mapping \"{name}\"");
            let message = format!("has the name of another mapping in the same text ({earlier})");
            findings.push(finding(&subject, &table.origin, &message, "give one of them another name, or leave it out"));
        } else {
            first.insert(name, &table.origin);
        }
    }
}

fn raw(value: &toml::Value) -> Raw {
    match value {
        toml::Value::String(text) => Raw::Text(text.clone()),
        toml::Value::Integer(number) => Raw::Int(*number),
        toml::Value::Boolean(value) => Raw::Bool(*value),
        toml::Value::Array(items) => {
            let texts: Option<Vec<String>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
            texts.map_or(Raw::Other("a list of other things than texts"), Raw::List)
        }
        toml::Value::Float(_) => Raw::Other("a number with a fraction"),
        toml::Value::Datetime(_) => Raw::Other("a date"),
        toml::Value::Table(_) => Raw::Other("a table"),
    }
}
