//! The mappings of the settings, understood and checked as far as that goes without a server. Everything that is wrong
//! with them is found at once, each mistake with its place in the file.

use super::design::designs;
use super::mapping_parse::parse;
use super::setup::own_database;
use crate::config::{Settings, UnmatchedKeys};
use crate::mapping::{ARCHIVE, MappingSpec, check_specs};
use crate::model::{Finding, Severity, Side};
use std::collections::BTreeSet;

/// What is wrong with the mappings. That there are none is no mistake of a file that says nothing of it.
pub fn check_mappings(settings: &Settings) -> Vec<Finding> {
    if settings.mappings.is_empty() {
        return Vec::new();
    }
    read(settings).err().unwrap_or_default()
}

/// What a run could live with and a person should know of the mappings, such as keys that cannot be compared beforehand.
/// Of mappings in which nothing is wrong.
pub fn mapping_warnings(settings: &Settings) -> Vec<Finding> {
    let specs: Vec<MappingSpec> =
        settings.mappings.iter().filter_map(|mapping| parse(mapping, &mut Vec::new())).collect();
    let mut warnings = check_specs(&specs, own_database(settings));
    warnings.retain(|finding| finding.severity == Severity::Warning);
    for warning in &mut warnings {
        let _ = place(warning, settings, &specs);
    }
    warnings
}

/// The mappings of the settings.
///
/// # Errors
/// Every finding.
pub(super) fn read(settings: &Settings) -> Result<Vec<MappingSpec>, Vec<Finding>> {
    let mut findings = Vec::new();
    let specs: Vec<MappingSpec> =
        settings.mappings.iter().filter_map(|mapping| parse(mapping, &mut findings)).collect();
    let unread: BTreeSet<String> = findings.iter().map(|finding| finding.subject.clone()).collect();
    findings.extend(archive_name(settings, &specs));
    findings.extend(
        check_specs(&specs, own_database(settings))
            .into_iter()
            .filter(|finding| finding.severity == Severity::Critical),
    );
    findings.extend(designs(&specs).err().unwrap_or_default());
    // What is left of a setting that could not be read is no mistake of its own.
    findings.retain_mut(|finding| match place(finding, settings, &specs) {
        Some(setting) => !unread.contains(&setting),
        None => true,
    });
    if findings.is_empty() { Ok(specs) } else { Err(findings) }
}

/// A mapping that has the name of the archive's, where there is an archive.
fn archive_name(settings: &Settings, specs: &[MappingSpec]) -> Option<Finding> {
    let taken = settings.run.unmatched == UnmatchedKeys::Archive && specs.iter().any(|spec| spec.name == ARCHIVE);
    let message = "`name`: the name is the archive's, which run.unmatched asks for";
    let hint = "Give it another name, or leave run.unmatched at ignore.";
    taken.then(|| Finding::critical(Side::Settings, format!("mapping {ARCHIVE}"), message, hint))
}

/// Adds to a finding about a mapping where in the file it is, unless it says so. Gives the setting that was found, as
/// `mapping profiles: column email.from`.
pub(super) fn place(finding: &mut Finding, settings: &Settings, specs: &[MappingSpec]) -> Option<String> {
    if finding.place.is_some() {
        return None;
    }
    for spec in specs {
        let Some(table) = settings.mappings.iter().find(|table| table.name() == Some(&spec.name)) else { continue };
        let Some(setting) = setting(finding, spec) else { continue };
        let origin = table.places.find(&setting).unwrap_or(&table.origin);
        finding.place = Some(origin.place());
        return Some(format!("mapping {}: {setting}", spec.name));
    }
    None
}

/// The setting of a mapping that a finding is about; `None` where it is about another mapping, or none.
fn setting(finding: &Finding, spec: &MappingSpec) -> Option<String> {
    let said = named(&finding.message);
    if finding.subject == spec.into {
        // Of several mappings into the table, the one whose key it is.
        let key = format!("({})", spec.key.join(", "));
        return match said.as_deref() {
            Some("key") if !finding.message.contains(&key) => None,
            _ => Some(said.unwrap_or_else(|| "into".to_owned())),
        };
    }
    if let Some(column) = finding.subject.strip_prefix(&format!("{}.", spec.into))
        && spec.columns.iter().any(|known| known.name == column)
    {
        return Some(format!("column {column}{}", said.map(|setting| format!(".{setting}")).unwrap_or_default()));
    }
    match finding.subject.strip_prefix(&format!("mapping {}", spec.name))? {
        "" => Some(said.unwrap_or_else(|| "match".to_owned())),
        setting => setting.strip_prefix(": ").map(str::to_owned),
    }
}

/// The setting that a message begins with, such as `` `explode` ``.
fn named(message: &str) -> Option<String> {
    let quoted = message.strip_prefix('`').and_then(|rest| rest.split_once('`')).map(|(name, _)| name);
    quoted.filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_')).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::{check_mappings, mapping_warnings};
    use crate::config::{FlagValues, Settings};
    use crate::model::{Finding, Severity};

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

    fn load(file: &str) -> Result<Settings, Vec<Finding>> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        std::fs::write(&path, file).unwrap();
        let flags = FlagValues { config: Some(path), ..FlagValues::default() };
        Settings::load(flags, std::iter::empty(), &[], &check_mappings)
    }

    #[test]
    fn what_a_run_can_live_with_is_told_beside_the_mistakes() {
        let mapping = |name: &str, from: char| {
            format!(
                "[[mapping]]\nname = '{name}'\nmatch = 'd:{{id:/[{from}-z]*m[{from}-z]{{20}}/}}'\ninto = 'public.{name}'\n\
                 key = 'id'\ncolumn = [{{ name = 'id', from = '{{id}}' }}]\n"
            )
        };
        let settings = load(&(mapping("one", 'a') + &mapping("two", 'k'))).expect("no mistake");
        let warnings = mapping_warnings(&settings);
        let [warning] = warnings.as_slice() else { panic!("{warnings:?}") };
        assert_eq!(warning.severity, Severity::Warning);
        let told = warning.to_string();
        assert!(told.contains("mapping two") && told.contains("c.toml:9)") && told.contains("`one`"), "{told}");
        assert_eq!(mapping_warnings(&load(&mapping("one", 'a')).expect("no mistake")), []);
    }

    #[test]
    fn every_mistake_is_told_at_once_with_its_line() {
        let Err(findings) = load(FILE) else { panic!("it is refused") };
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
            (38, "a text in quotes is wanted, not the number `10`"),
            (39, "there is no `updat`"),
            (40, "a list, or one alone is wanted, not the number `7`"),
        ] {
            let found =
                told.iter().any(|finding| finding.contains(part) && finding.contains(&format!("c.toml:{line})")));
            assert!(found, "{part} in line {line}: {told:#?}");
        }
    }
}
