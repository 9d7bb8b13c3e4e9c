//! Keys that more than one mapping would take, or one mapping in two ways: found before the first key is read where that
//! can be found out, else by looking at every key.

use super::MappingSpec;
use super::compile::WHICH_KEYS;
use super::pattern::{KeySet, Overlap};
use super::plan::Plan;
use crate::model::{Finding, MappingId, Side};

/// Two mappings of which it is not known whether they have a key in common; one and the same where it is not known
/// whether two of its patterns read a key differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Doubt {
    first: usize,
    second: usize,
}

/// Understands the keys of all mappings and compares them with each other, without a look at any table.
/// Gives every pattern that cannot be read, every pair of mappings that would take the same key, and as a warning every pair of
/// which that could not be found out.
pub fn check_keys(specs: &[MappingSpec]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut sets = Vec::new();
    for spec in specs {
        match KeySet::parse(spec) {
            Ok(set) => sets.push((spec.name.as_str(), set)),
            Err(why) => findings.push(critical(&spec.name, why, WHICH_KEYS)),
        }
    }
    let named: Vec<(&str, &KeySet)> = sets.iter().map(|(name, set)| (*name, set)).collect();
    findings.extend(conflicts(&named).0);
    findings
}

/// What is wrong with these mappings' keys, and what has to be looked at key by key.
pub(super) fn conflicts(sets: &[(&str, &KeySet)]) -> (Vec<Finding>, Vec<Doubt>) {
    let (mut findings, mut doubts) = (Vec::new(), Vec::new());
    for (second, (name, set)) in sets.iter().enumerate() {
        let (ambiguity, patterns) = set.ambiguity();
        match (ambiguity, patterns) {
            (Overlap::Key(key), Some((one, two))) => {
                let message = format!("`match`: `{key}` is read differently by `{}` and `{}`", one.text(), two.text());
                findings.push(critical(name, message, "Make the patterns exclude each other."));
            }
            (Overlap::Unknown, _) => doubts.push(Doubt { first: second, second }),
            _ => {}
        }
        for (first, (earlier, other)) in sets.iter().enumerate().take(second) {
            match other.overlap(set) {
                Overlap::Never => {}
                Overlap::Key(key) => {
                    let message = format!("`match`: some keys would be taken by `{earlier}` as well, such as `{key}`");
                    let hint = "Make the patterns exclude each other, or name the keys of one in `exclude` of the other. \
                                To load the same keys into two tables, give each mapping a file and a run of its own.";
                    findings.push(critical(name, message, hint));
                }
                Overlap::Unknown => {
                    doubts.push(Doubt { first, second });
                    findings.push(doubtful(name, earlier));
                }
            }
        }
    }
    (findings, doubts)
}

fn critical(mapping: &str, message: String, hint: &str) -> Finding {
    Finding::critical(Side::Settings, format!("mapping {mapping}"), message, hint)
}

fn doubtful(mapping: &str, other: &str) -> Finding {
    Finding::warning(
        Side::Settings,
        format!("mapping {mapping}"),
        format!("the patterns are too large to find out whether `{other}` takes some of its keys"),
        "Every key is looked at; one that both take ends the run. Simpler regular expressions can be compared.",
    )
}

impl Plan {
    /// Why a key that `taken` takes must not be loaded: another mapping takes it too, or one that reads it in two ways.
    /// Only pairs are looked at that could not be compared beforehand; mostly there are none.
    #[inline]
    pub fn dispute(&self, key: &[u8], taken: MappingId) -> Option<String> {
        let taken = usize::from(taken.0);
        let concerned = self.doubts.iter().filter(|doubt| doubt.first == taken || doubt.second == taken);
        concerned.into_iter().find_map(|doubt| self.settle(key, *doubt))
    }

    fn settle(&self, key: &[u8], doubt: Doubt) -> Option<String> {
        let (first, second) = (self.mappings.get(doubt.first)?, self.mappings.get(doubt.second)?);
        if doubt.first == doubt.second {
            let (one, two) = first.pattern.disagreement(key)?;
            return Some(format!(
                "is read differently by `{}` and `{}` of mapping `{}`",
                one.text(),
                two.text(),
                first.name
            ));
        }
        let both = first.pattern.matches(key) && second.pattern.matches(key);
        both.then(|| format!("is taken by the mappings `{}` and `{}`", first.name, second.name))
    }
}
