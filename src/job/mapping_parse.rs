//! A mapping's table becomes what it specifies. Everything in it that cannot be is told, each by its setting.

use crate::config::{MappingTable, nearest};
use crate::mapping::MappingSpec;
use crate::model::{Finding, Side};
use serde_path_to_error::Segment;

/// Reads a mapping's table. What cannot be read is a finding and is taken out, and the rest is read again, so that all
/// of it is told at once.
pub(super) fn parse(mapping: &MappingTable, findings: &mut Vec<Finding>) -> Option<MappingSpec> {
    let mut table = mapping.table.clone();
    let mut removed: Vec<String> = Vec::new();
    let mut told: Vec<String> = Vec::new();
    let mut columns_removed = 0;
    loop {
        let value = toml::Value::Table(table.clone());
        let (path, message) = match serde_path_to_error::deserialize(value) {
            // With findings it goes no further; what else is wrong with it is told all the same.
            Ok(spec) => return Some(spec),
            Err(error) => (steps(error.path()), error.inner().message().to_owned()),
        };
        let fault = Fault::of(&message, &path);
        if removed.iter().any(|name| fault.missing() == Some(name.as_str())) {
            return None;
        }
        let setting = setting(&table, &fault.steps, columns_removed);
        // What is missing or left over in a setting from which a part was taken follows from that part.
        if fault.unknown.is_some() || fault.steps.is_empty() || !(fault.follows() && told.contains(&setting)) {
            findings.push(fault.finding(mapping, &setting));
        }
        told.push(setting);
        match fault.steps.last().filter(|_| remove(&mut table, &fault.steps)) {
            Some(Step::Field(name)) => removed.push(name.clone()),
            // An element of a list is not missed; those behind it move up.
            Some(Step::Index(_)) => {
                let column = matches!(fault.steps.as_slice(), [Step::Field(list), _] if list == "column");
                columns_removed += usize::from(column);
            }
            None => return None,
        }
    }
}

/// A step on the way to a value.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    Field(String),
    Index(usize),
}

fn steps(path: &serde_path_to_error::Path) -> Vec<Step> {
    let step = |segment: &Segment| match segment {
        Segment::Map { key } => Some(Step::Field(key.clone())),
        Segment::Seq { index } => Some(Step::Index(*index)),
        Segment::Enum { .. } | Segment::Unknown => None,
    };
    path.iter().map_while(step).collect()
}

/// What cannot be read, and where it is.
struct Fault<'e> {
    message: &'e str,
    steps: Vec<Step>,
    /// The field that there is not, and those that there are.
    unknown: Option<(&'e str, Vec<&'e str>)>,
}

impl<'e> Fault<'e> {
    fn of(message: &'e str, path: &[Step]) -> Self {
        let mut steps = path.to_vec();
        let unknown = unknown_field(message);
        if let Some((field, _)) = &unknown
            && steps.last() != Some(&Step::Field((*field).to_owned()))
        {
            steps.push(Step::Field((*field).to_owned()));
        }
        Self { message, steps, unknown }
    }

    /// The field that is said to be missing.
    fn missing(&self) -> Option<&'e str> {
        self.message.strip_prefix("missing field `")?.split_once('`').map(|(field, _)| field)
    }

    /// Whether it can be what is left of another mistake: something is missing, or does not go together.
    fn follows(&self) -> bool {
        self.missing().is_some() || !self.message.starts_with("invalid ") && !self.message.starts_with("unknown ")
    }

    fn finding(&self, mapping: &MappingTable, setting: &str) -> Finding {
        let name = mapping.name().unwrap_or("without a name");
        let subject = if setting.is_empty() { format!("mapping {name}") } else { format!("mapping {name}: {setting}") };
        let (message, hint) = match &self.unknown {
            None => plain(self.message, setting),
            Some((field, known)) if setting.rsplit('.').next() == Some(*field) => {
                ("there is no such setting".to_owned(), did_you_mean(field, known))
            }
            Some((field, known)) => {
                (format!("there is no such setting in it as `{field}`"), did_you_mean(field, known))
            }
        };
        let place = mapping.places.find(setting).unwrap_or(&mapping.origin).place();
        Finding::critical(Side::Settings, subject, message, hint).at(place)
    }
}

/// What serde says, in words that are no programmer's, and what to do.
fn plain(message: &str, setting: &str) -> (String, String) {
    let last = setting.rsplit('.').next().unwrap_or_default();
    let hint = written(last).map_or_else(
        || "docs/mapping.md lists the settings of a mapping and of a column.".to_owned(),
        |example| format!("write it like `{example}`"),
    );
    if let Some(field) = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`')) {
        let hint = written(field).filter(|_| setting.is_empty()).map(|example| format!("add it, such as `{example}`"));
        let hint = hint.unwrap_or_else(|| format!("add it; docs/mapping.md says what `{field}` is"));
        return (format!("has no `{field}`"), hint);
    }
    if let Some((variant, known)) = unknown(message, "unknown variant `") {
        return (format!("there is no `{variant}`"), did_you_mean(variant, &known));
    }
    let mismatch = ["invalid type: ", "invalid value: "].iter().find_map(|start| message.strip_prefix(start));
    let mismatch = mismatch.and_then(|rest| rest.split_once(", expected "));
    match mismatch {
        Some((found, wanted)) => (format!("{} is wanted, not {}", in_toml(wanted), in_toml(found)), hint),
        None => (message.to_owned(), hint),
    }
}

/// How a setting is written whose form a message does not show.
fn written(setting: &str) -> Option<&'static str> {
    Some(match setting {
        "name" => "name = \"profiles\"",
        "match" => "match = \"profile:{id}\"",
        "into" => "into = \"public.profiles\"",
        "key" => "key = \"id\"",
        "parents" => "parents = [{ mapping = \"documents\", column = \"document_id\" }]",
        "grants" => "grants = { app = [\"SELECT\"] }",
        "min_ttl" => "min_ttl = \"10s\"",
        "column" => "column = [{ name = \"id\", from = \"{id}\" }]",
        "from" => "from = \"$.name\"",
        "with" => "with = [\"trim\", \"lower\"]",
        "lineage" => "lineage = { column = \"metadata\", document_id = \"{id}\" }",
        _ => return None,
    })
}

/// What serde calls a type, or a value with its type, as TOML writes it.
fn in_toml(name: &str) -> String {
    match name {
        "a boolean" => "`true` or `false`".to_owned(),
        "a string" => "a text in quotes".to_owned(),
        "a sequence" => "a list in brackets".to_owned(),
        "sequence" => "a list".to_owned(),
        "map" => "a table".to_owned(),
        name if name.starts_with("struct ") => "a table".to_owned(),
        _ => {
            let value = |kind, called| name.strip_prefix(kind).map(|value| format!("{called} {value}"));
            value("string ", "the text").or_else(|| value("integer ", "the number")).unwrap_or_else(|| name.to_owned())
        }
    }
}

fn did_you_mean(field: &str, known: &[&str]) -> String {
    match nearest(field, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are: {}", known.join(", ")),
    }
}

/// The field that serde does not know, and those that it does.
fn unknown_field(message: &str) -> Option<(&str, Vec<&str>)> {
    unknown(message, "unknown field `")
}

fn unknown<'m>(message: &'m str, start: &str) -> Option<(&'m str, Vec<&'m str>)> {
    let (field, rest) = message.strip_prefix(start)?.split_once('`')?;
    Some((field, rest.split('`').skip(1).step_by(2).collect()))
}

/// The setting as it is called for its place: `explode`, `column email`, `column email.from`. Columns without a name are
/// counted, with those that were taken out before them.
fn setting(table: &toml::Table, steps: &[Step], removed: usize) -> String {
    let of_column = |index: usize| {
        let name = table.get("column")?.as_array()?.get(index)?.as_table()?.get("name")?.as_str()?;
        Some(format!("column {name}"))
    };
    match steps {
        [Step::Field(list), Step::Index(index), inner @ ..] if list == "column" => {
            let column = of_column(*index).unwrap_or_else(|| format!("column number {}", index + 1 + removed));
            match inner.first() {
                Some(Step::Field(field)) => format!("{column}.{field}"),
                _ => column,
            }
        }
        [Step::Field(field), ..] => field.clone(),
        _ => String::new(),
    }
}

/// Takes a value out of the table. Gives whether it was there.
fn remove(table: &mut toml::Table, steps: &[Step]) -> bool {
    let Some((Step::Field(first), mut rest)) = steps.split_first() else { return false };
    if rest.is_empty() {
        return table.remove(first).is_some();
    }
    let Some(mut value) = table.get_mut(first) else { return false };
    while let Some((step, after)) = rest.split_first() {
        if after.is_empty() {
            return remove_from(value, step);
        }
        let inner = match step {
            Step::Field(name) => value.get_mut(name.as_str()),
            Step::Index(index) => value.get_mut(*index),
        };
        let Some(inner) = inner else { return false };
        (value, rest) = (inner, after);
    }
    false
}

fn remove_from(value: &mut toml::Value, step: &Step) -> bool {
    match (value, step) {
        (toml::Value::Table(table), Step::Field(name)) => table.remove(name).is_some(),
        (toml::Value::Array(list), Step::Index(index)) if *index < list.len() => {
            list.remove(*index);
            true
        }
        _ => false,
    }
}
