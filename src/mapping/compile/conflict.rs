//! Keys that more than one mapping would take, or one mapping in two ways: found before the first key is read where that
//! can be found out, else by looking at every key.

use super::WHICH_KEYS;
use crate::mapping::pattern::{KeySet, Overlap};
use crate::mapping::plan::{Mapping, Plan};
use crate::mapping::{Databases, MappingSpec};
use crate::model::{Finding, MappingId, Side};

/// Two mappings of which it is not known whether they have a key in common; one and the same where it is not known
/// whether two of its patterns read a key differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mapping) struct Doubt {
    first: usize,
    second: usize,
}

/// The keys of a mapping, for comparing.
pub(super) struct Keys<'a> {
    pub(super) mapping: &'a str,
    pub(super) set: &'a KeySet,
    pub(super) databases: &'a Databases,
}

/// Understands the keys of all mappings and compares them with each other, without a look at any table; `own` is the
/// number of the source's own database. Gives every pattern that cannot be read, every pair of mappings that would take
/// the same key, and as a warning every pair of which that could not be found out.
pub fn check_keys(specs: &[MappingSpec], own: u8) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut sets = Vec::new();
    for spec in specs {
        match KeySet::parse(spec) {
            Ok(set) => sets.push((spec, set)),
            Err(why) => findings.push(critical(&spec.name, why, WHICH_KEYS)),
        }
    }
    let all: Vec<Keys<'_>> =
        (sets.iter()).map(|(spec, set)| Keys { mapping: &spec.name, set, databases: &spec.databases }).collect();
    findings.extend(conflicts(&all, own).0);
    findings
}

/// What is wrong with these mappings' keys, and what has to be looked at key by key.
pub(super) fn conflicts(all: &[Keys<'_>], own: u8) -> (Vec<Finding>, Vec<Doubt>) {
    let (mut findings, mut doubts) = (Vec::new(), Vec::new());
    for (second, Keys { mapping: name, set, databases }) in all.iter().enumerate() {
        let (ambiguity, patterns) = set.ambiguity();
        match (ambiguity, patterns) {
            (Overlap::Key(key), Some((one, two))) => {
                let message = format!("`match`: `{key}` is read differently by `{}` and `{}`", one.text(), two.text());
                findings.push(critical(name, message, "Make the patterns exclude each other."));
            }
            (Overlap::Unknown, _) => doubts.push(Doubt { first: second, second }),
            _ => {}
        }
        for (first, Keys { mapping: earlier, set: other, databases: theirs }) in all.iter().enumerate().take(second) {
            match if databases.meet(theirs, own) { other.overlap(set) } else { Overlap::Never } {
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
        let takes = |mapping: &Mapping| mapping.here && mapping.pattern.matches(key);
        let both = takes(first) && takes(second);
        both.then(|| format!("is taken by the mappings `{}` and `{}`", first.name, second.name))
    }
}
