//! What the keys of a sample tell: some may not be read, and some look like a mapping's with something before them.

use super::survey::Survey;
use crate::config::Settings;
use crate::mapping::{KeySet, MappingSpec, Pattern};
use crate::model::{Failure, Finding, Side};
use crate::source::redis::{KeyRights, RedisSource};

/// Clients' prefixes that are named at most, for each mapping.
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
    if rights.as_ref().is_some_and(KeyRights::is_none) {
        let patterns: Vec<String> = specs.iter().flat_map(globs).map(|glob| format!("~{glob}")).collect();
        let hint = format!("ACL SETUSER {} {}", source.user(), patterns.join(" "));
        findings.push(Finding::critical(Side::Redis, format!("user {}", source.user()), "may read no key", hint));
        return Ok(findings);
    }
    let on = specs.iter().filter(|spec| !settings.phases.skip.contains(&spec.name) && !spec.unmatched);
    for spec in on {
        let (mut asked, mut refused, mut example) = (0_usize, 0_usize, None);
        for survey in surveys {
            let keys = survey.taken_by(&spec.name);
            if keys.is_empty() {
                continue;
            }
            let unreadable = survey.source().unreadable(keys).await?;
            asked += keys.len();
            refused += unreadable.iter().filter(|unreadable| **unreadable).count();
            let first = keys.iter().zip(&unreadable).find_map(|(key, unreadable)| unreadable.then_some(key));
            example = example.or(first);
        }
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
    for survey in surveys {
        findings.extend(prefixed(survey));
    }
    Ok(findings)
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
fn prefixed(survey: &Survey) -> Vec<Finding> {
    let mut named: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    let mut findings = Vec::new();
    for (prefixed, keys) in survey.prefixed() {
        let count = named.entry(prefixed.mapping()).or_default();
        *count += 1;
        if *count <= NAMED {
            let message = format!(
                "{keys} of {} keys that were looked at in {} look like its own with something before them (`{}…`), and no \
                 mapping takes them",
                survey.looked(),
                survey.source().display(),
                prefixed.begins()
            );
            let hint = format!("{prefixed} Where they are something else, name them in its `exclude`.");
            findings.push(Finding::warning(Side::Redis, format!("mapping {}", prefixed.mapping()), message, hint));
        }
    }
    findings
}
