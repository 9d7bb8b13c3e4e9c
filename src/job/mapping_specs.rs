//! The mappings of the settings, understood and checked as far as that goes without a server. Everything that is wrong
//! with them is found at once, each mistake with its place in the file.

use crate::config::{MappingTable, Settings, nearest};
use crate::mapping::{MappingSpec, check_specs};
use crate::model::{Finding, Severity, Side};

/// What is wrong with the mappings. That there are none is no mistake of a file that says nothing of it.
pub fn check_mappings(settings: &Settings) -> Vec<Finding> {
    if settings.mappings.is_empty() {
        return Vec::new();
    }
    read(settings).err().unwrap_or_default()
}

/// The mappings of the settings.
///
/// # Errors
/// Every finding.
pub(super) fn read(settings: &Settings) -> Result<Vec<MappingSpec>, Vec<Finding>> {
    let mut findings = Vec::new();
    let specs: Vec<MappingSpec> =
        settings.mappings.iter().filter_map(|mapping| understand(mapping, &mut findings)).collect();
    findings.extend(check_specs(&specs).into_iter().filter(|finding| finding.severity == Severity::Critical));
    for finding in &mut findings {
        place(finding, settings, &specs);
    }
    if findings.is_empty() { Ok(specs) } else { Err(findings) }
}

/// Adds to a finding about a mapping where in the file it is, unless it says so.
pub(super) fn place(finding: &mut Finding, settings: &Settings, specs: &[MappingSpec]) {
    if finding.place.is_some() {
        return;
    }
    for spec in specs {
        let Some(table) = settings.mappings.iter().find(|table| table.name() == Some(&spec.name)) else { continue };
        let setting = match finding.subject.strip_prefix(&format!("{}.", spec.into)) {
            Some(column) if spec.columns.iter().any(|known| known.name == column) => format!("column {column}"),
            Some(column) if spec.key.iter().any(|known| known == column) => "key".to_owned(),
            _ if finding.subject == format!("mapping {}", spec.name) => named(&finding.message),
            _ => continue,
        };
        let origin = table.places.find(&setting).unwrap_or(&table.origin);
        finding.place = Some(origin.place());
        return;
    }
}

/// The setting that a message begins with, such as `` `explode` ``, or that it is about the keys.
fn named(message: &str) -> String {
    let setting = quoted(message).filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
    setting.unwrap_or("match").to_owned()
}

/// What a message begins with, between backticks.
fn quoted(message: &str) -> Option<&str> {
    message.strip_prefix('`')?.split_once('`').map(|(name, _)| name)
}

/// Reads a mapping's table. Each setting that there is not is a finding of its own, with the nearest that there is.
fn understand(mapping: &MappingTable, findings: &mut Vec<Finding>) -> Option<MappingSpec> {
    let name = mapping.name().unwrap_or("without a name").to_owned();
    let mut table = mapping.table.clone();
    loop {
        let error = match toml::Value::Table(table.clone()).try_into::<MappingSpec>() {
            // With findings it goes no further; what else is wrong with it is told all the same.
            Ok(spec) => return Some(spec),
            Err(error) => error,
        };
        let message = error.message().to_owned();
        let removed = unknown_field(&message).and_then(|(field, known)| {
            let place = remove(&mut table, field)?;
            Some((place, field.to_owned(), known))
        });
        let Some((place, field, known)) = removed else {
            let setting = quoted(&message).unwrap_or_default();
            findings.push(finding(mapping, &format!("mapping {name}"), setting, &message, "See docs/mapping.md."));
            return None;
        };
        let setting = if place.is_empty() { field.clone() } else { format!("{place}.{field}") };
        let hint = match nearest(&field, known.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are: {}", known.join(", ")),
        };
        let subject = format!("mapping {name}: {setting}");
        findings.push(finding(mapping, &subject, &setting, "there is no such setting", &hint));
    }
}

fn finding(mapping: &MappingTable, subject: &str, setting: &str, message: &str, hint: &str) -> Finding {
    let origin = mapping.places.find(setting).unwrap_or(&mapping.origin);
    Finding::critical(Side::Settings, subject, message, hint).at(origin.place())
}

/// The field that serde does not know, and those that it does.
fn unknown_field(message: &str) -> Option<(&str, Vec<String>)> {
    let (field, rest) = message.strip_prefix("unknown field `")?.split_once('`')?;
    let known = rest.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    Some((field, known))
}

/// Takes the field out of the mapping, or of the first column that has it; gives the column.
fn remove(table: &mut toml::Table, field: &str) -> Option<String> {
    if table.remove(field).is_some() {
        return Some(String::new());
    }
    let columns = table.get_mut("column")?.as_array_mut()?;
    columns.iter_mut().filter_map(toml::Value::as_table_mut).find_map(|column| {
        column.remove(field)?;
        let name = column.get("name").and_then(toml::Value::as_str).unwrap_or("without a name");
        Some(format!("column {name}"))
    })
}

#[cfg(test)]
mod tests {
    use super::check_mappings;
    use crate::config::{FlagValues, Settings};

    const FILE: &str = r#"
[flow]
memry = "64MiB"

[[mapping]]
name = "profiles"
match = "user:{id"
into = "profiles"
key = ["id"]
decode = ["gzip", "jsn"]
explde = true

[[mapping.column]]
name = "id"
from = ["{id}"]
with = ["lwer"]

[[mapping.column]]
name = "email"
form = ["$.email"]

[[mapping]]
name = "others"
match = "other:{x}"
into = "public.others"
key = ["id", "gone"]
parents = [{ mapping = "profils", column = "id" }]
column = [
  { name = "id", from = ["{y}"] },
  { name = "text", from = ["$.a["], required = true, default = "x" },
]

[[mapping]]
name = "third"
type = "sset"
"#;

    #[test]
    fn every_mistake_is_told_at_once_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        std::fs::write(&path, FILE).unwrap();
        let flags = FlagValues { config: Some(path), ..FlagValues::default() };
        let Err(findings) = Settings::load(flags, std::iter::empty(), &|_| None, &check_mappings) else {
            panic!("it is refused")
        };
        let told: Vec<String> = findings.iter().map(ToString::to_string).collect();
        for (line, part) in [
            (3, "flow.memry"),
            (11, "explde"),
            (20, "form"),
            (7, "`user:{id`"),
            (8, "`into`"),
            (10, "jsn"),
            (30, "$.a["),
            (30, "contradict"),
            (29, "no capture `y`"),
            (27, "profils"),
            (26, "gone"),
            (35, "there is no `sset` (did you mean `zset`?)"),
        ] {
            let found =
                told.iter().any(|finding| finding.contains(part) && finding.contains(&format!("c.toml:{line})")));
            assert!(found, "{part} in line {line}: {told:#?}");
        }
    }
}
