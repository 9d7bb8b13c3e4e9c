//! The mappings of the settings, understood and checked as far as that goes without a server. Everything that is wrong
//! with them is found at once, each mistake with its place in the file.

use super::design::designs;
use super::mapping_parse::parse;
use crate::config::Settings;
use crate::mapping::{MappingSpec, check_specs};
use crate::model::{Finding, Severity};

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
        settings.mappings.iter().filter_map(|mapping| parse(mapping, &mut findings)).collect();
    findings.extend(check_specs(&specs).into_iter().filter(|finding| finding.severity == Severity::Critical));
    findings.extend(designs(&specs).err().unwrap_or_default());
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
            _ => match finding.subject.strip_prefix(&format!("mapping {}", spec.name)) {
                Some("") => named(&finding.message),
                Some(setting) if setting.starts_with(": ") => setting[2..].to_owned(),
                _ => continue,
            },
        };
        let origin = table.places.find(&setting).unwrap_or(&table.origin);
        finding.place = Some(origin.place());
        return;
    }
}

/// The setting that a message begins with, such as `` `explode` ``, or that it is about the keys.
fn named(message: &str) -> String {
    let quoted = message.strip_prefix('`').and_then(|rest| rest.split_once('`')).map(|(name, _)| name);
    let setting = quoted.filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
    setting.unwrap_or("match").to_owned()
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
  { name = "cut", from = [{ source = "$.a", wth = "trim" }], too_long = "cut", nul = "cut" },
]

[[mapping]]
name = "third"
type = "sset"
create = "yes"
min_ttl = 10
on_conflict = "updat"
key = 7
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
            (31, "as `wth`"),
            (31, "column cut.too_long"),
            (31, "column cut.nul"),
            (36, "there is no `sset` (did you mean `zset`?)"),
            (37, "`true` or `false` is wanted, not the text \"yes\""),
            (38, "a text in quotes is wanted, not integer `10`"),
            (39, "there is no `updat`"),
            (40, "a list, or one alone is wanted, not integer `7`"),
        ] {
            let found =
                told.iter().any(|finding| finding.contains(part) && finding.contains(&format!("c.toml:{line})")));
            assert!(found, "{part} in line {line}: {told:#?}");
        }
    }
}
