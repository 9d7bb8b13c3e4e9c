//! What the keys of a sample tell: some may not be read, and some look like a mapping's with something before them.

use super::client_prefix::Prefixed;
use super::survey::Survey;
use crate::config::Settings;
use crate::mapping::{KeySet, MappingSpec, Pattern};
use crate::model::{Failure, Finding, RedisKey, Side};
use crate::source::redis::{KeyRights, RedisSource};
use std::collections::{BTreeMap, BTreeSet};

/// Clients' prefixes that are named at most, for each mapping and database; further ones are summed up.
const NAMED: usize = 3;

/// Finds out what there is to say of the keys that were looked at, and of the patterns of this user.
///
/// # Errors
/// Redis is gone.
pub(super) async fn judge(
    source: &RedisSource,
    (specs, settings): (&[MappingSpec], &Settings),
    surveys: &[Survey],
) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    let rights = source.key_rights().await?;
    let on = || specs.iter().filter(|spec| !settings.phases.skip.contains(&spec.name));
    let mut samples = Vec::new();
    for spec in on() {
        samples.push((spec, Sample::of(spec, surveys).await?));
    }
    let (asked, refused) =
        samples.iter().fold((0, 0), |(asked, refused), (_, sample)| (asked + sample.asked, refused + sample.refused));
    // Where this user may not ask for its patterns, the keys tell.
    let none_of_all = asked > 0 && refused == asked;
    if none_of_all || rights.as_ref().is_some_and(KeyRights::is_none) {
        let example = samples.iter().find_map(|(_, sample)| sample.example.as_ref()).filter(|_| none_of_all);
        let seen = example.map(|key| format!(": none of {asked} that were looked at, such as {key}"));
        let message = format!("may read no key{}", seen.unwrap_or_default());
        let patterns: Vec<String> = on().flat_map(globs).map(|glob| format!("~{glob}")).collect();
        let hint = format!("ACL SETUSER {} {}", source.user(), patterns.join(" "));
        findings.push(Finding::critical(Side::Redis, format!("user {}", source.user()), message, hint));
        return Ok(findings);
    }
    for (spec, sample) in samples.iter().filter(|(spec, _)| !spec.unmatched) {
        let Sample { asked, refused, example } = sample;
        let why = match example {
            Some(key) => {
                format!("this user may not read {refused} of {asked} of its keys that were looked at, such as {key}")
            }
            None => match rights.as_ref().filter(|rights| !globs(spec).iter().all(|glob| rights.cover(glob))) {
                Some(rights) => format!("this user's key patterns ({rights}) are not known to cover all of its keys"),
                None => continue,
            },
        };
        findings.push(forbidden(source.user(), spec, &why));
    }
    findings.extend(surveys.iter().flat_map(|survey| prefixed(survey, surveys)));
    Ok(findings)
}

/// Keys of one mapping that were asked for.
#[derive(Default)]
struct Sample {
    asked: usize,
    /// How many of them this user may not read.
    refused: usize,
    /// The first of those.
    example: Option<RedisKey>,
}

impl Sample {
    async fn of(spec: &MappingSpec, surveys: &[Survey]) -> Result<Self, Failure> {
        let mut sample = Self::default();
        for survey in surveys {
            let keys = survey.taken_by(&spec.name);
            if keys.is_empty() {
                continue;
            }
            let unreadable = survey.source().unreadable(keys).await?;
            sample.asked += keys.len();
            sample.refused += unreadable.iter().filter(|unreadable| **unreadable).count();
            let first = keys.iter().zip(&unreadable).find_map(|(key, unreadable)| unreadable.then_some(key));
            sample.example = sample.example.or_else(|| first.cloned());
        }
        Ok(sample)
    }
}

/// The globs of the mappings that are on, each once.
pub(super) fn all_globs(specs: &[MappingSpec], settings: &Settings) -> Vec<String> {
    let on = specs.iter().filter(|spec| !settings.phases.skip.contains(&spec.name));
    let all: BTreeSet<String> = on.flat_map(globs).collect();
    all.into_iter().collect()
}

fn globs(spec: &MappingSpec) -> Vec<String> {
    KeySet::parse(spec).map(|set| set.patterns().map(Pattern::glob).collect()).unwrap_or_default()
}

fn forbidden(user: &str, spec: &MappingSpec, why: &str) -> Finding {
    let patterns: Vec<String> = globs(spec).iter().map(|glob| format!("%R~{glob}")).collect();
    let message = format!("{why}: such keys are skipped as forbidden");
    let hint = format!("To move them too: ACL SETUSER {user} {}", patterns.join(" "));
    Finding::warning(Side::Redis, format!("mapping {}", spec.name), message, hint)
}

/// Keys that no mapping takes and that look like keys of one behind a client's prefix.
fn prefixed(survey: &Survey, surveys: &[Survey]) -> Vec<Finding> {
    let mut found: BTreeMap<&str, Vec<&(Prefixed, u64)>> = BTreeMap::new();
    for family in survey.prefixed() {
        found.entry(family.0.mapping()).or_default().push(family);
    }
    let mut findings = Vec::new();
    for (mapping, families) in found {
        // Of the databases together: the pattern goes for all of them.
        let has_own = surveys.iter().any(|survey| !survey.taken_by(mapping).is_empty());
        let (named, further) = families.split_at(families.len().min(NAMED));
        findings.extend(named.iter().map(|family| family_of(family, survey, has_own)));
        let unnamed = survey.unnamed(mapping);
        if !further.is_empty() {
            let keys = further.iter().map(|(_, keys)| keys).sum::<u64>() + unnamed;
            let at_least = if unnamed > 0 { " or more" } else { "" };
            let message = format!(
                "and {}{at_least} more families with {keys} keys in {} look like its own with something before them",
                further.len(),
                survey.source().display()
            );
            let hint = "Where what comes before them says something, such as whose they are, take it with a capture \
                        instead of a pattern for each. Where they are something else, name them in its `exclude`.";
            findings.push(Finding::warning(Side::Redis, format!("mapping {mapping}"), message, hint));
        }
    }
    findings
}

/// Keys behind one prefix. `has_own`: the mapping takes others as it is.
fn family_of((prefixed, keys): &(Prefixed, u64), survey: &Survey, has_own: bool) -> Finding {
    let message = format!(
        "{keys} of {} keys that were looked at in {} look like its own with something before them (`{}…`), and no mapping \
         takes them",
        survey.looked(),
        survey.source().display(),
        prefixed.begins()
    );
    let hint = format!("{} Where they are something else, name them in its `exclude`.", prefixed.hint(has_own));
    Finding::warning(Side::Redis, format!("mapping {}", prefixed.mapping()), message, hint)
}
