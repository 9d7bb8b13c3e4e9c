//! What a run says it did, against what must have become of each key.

use crate::keyspace::{Entry, Fate, Held};
use crate::story::{Place, Story};
use crate::support::Outcome;
use redis2pg::model::{REASONS, sha256_hex};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Reasons that no cache gives by what is in it: a key that changes under the reader, and a mistake in the program.
const ELSEWHERE: [&str; 2] = ["changed_while_read", "key_pattern"];

impl Story {
    /// Fails unless each reason that there is stands somewhere as the only right one.
    pub(crate) fn has_every_reason(self) -> Self {
        let mut lacking: BTreeSet<&str> = REASONS.into_iter().collect();
        for entry in &self.space.entries {
            let reason = match &entry.fate {
                Fate::Rejected(reasons) if reasons.len() == 1 => reasons[0],
                Fate::Rival(_, reason) => reason,
                _ => continue,
            };
            lacking.remove(reason.split(" (").next().unwrap_or(reason));
        }
        assert!(lacking.into_iter().eq(ELSEWHERE), "a reason has no place in the cache");
        self
    }

    /// Each key that must be rejected is, under its mapping and a right reason; no other is.
    pub(crate) fn check_outcomes(&self, rejects: &BTreeMap<Place, (String, String)>) {
        let mut wrong = Vec::new();
        let mut known = BTreeSet::new();
        for entry in &self.space.entries {
            let place = (entry.database, entry.key.clone());
            let found = rejects.get(&place);
            known.insert(place);
            let right = match (&entry.fate, found) {
                (Fate::Rejected(reasons), Some((mapping, reason))) => {
                    mapping == entry.mapping && reasons.contains(&reason.as_str())
                }
                (Fate::Rejected(_), None) => false,
                (_, found) => found.is_none(),
            };
            if !right {
                wrong.push(format!(
                    "{} is {found:?} and not {:?}: {}",
                    shown(&entry.key),
                    entry.fate,
                    held(&entry.held)
                ));
            }
        }
        wrong.extend(
            rejects.keys().filter(|place| !known.contains(*place)).map(|(_, key)| format!("{} is no key", shown(key))),
        );
        assert!(wrong.is_empty(), "{} keys ended otherwise than they must:\n{}", wrong.len(), first(&wrong));
    }

    /// The report counts, for each mapping, just what became of its keys.
    pub(crate) fn check_books(&self, outcome: &Outcome) {
        let mut expected: BTreeMap<&str, Counted> = BTreeMap::new();
        for entry in &self.space.entries {
            expected.entry(entry.mapping).or_default().count(entry);
        }
        let unmatched = expected.remove("").unwrap_or_default().keys;
        let mut wrong = Vec::new();
        for (mapping, counted) in &expected {
            let report = &outcome.report["mappings"][mapping];
            wrong.extend(counted.differences(report).into_iter().map(|difference| format!("{mapping}: {difference}")));
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        let keys: i64 = expected.values().map(|counted| counted.keys).sum();
        assert_eq!((outcome.total("matched"), outcome.total("unmatched")), (keys, unmatched), "{}", outcome.stdout);
    }

    /// With each reject of a string its value is kept, or its size and hash where it is large.
    pub(crate) fn check_kept(&self, outcome: &Outcome) {
        let run = outcome.report["run"].as_str().unwrap();
        let sql = format!(
            "SELECT encode(key, 'hex'), coalesce(redis_db, {}), coalesce(encode(value, 'hex'), '-'), value_size, value_hash \
             FROM redis2pg.rejects WHERE run_id = '{run}'",
            self.space.databases[0]
        );
        let kept = self.case.sql(&sql).replace("\\n", "");
        let kept: HashMap<(String, String), Vec<String>> = kept
            .lines()
            .map(|line| line.split('|').map(str::to_owned).collect::<Vec<_>>())
            .map(|fields| ((fields[0].clone(), fields[1].clone()), fields[2..].to_vec()))
            .collect();
        for entry in &self.space.entries {
            let (Fate::Rejected(reasons), Held::Text(value)) = (&entry.fate, &entry.held) else { continue };
            // Of one that is several rows the element is kept.
            if reasons.iter().any(|reason| reason.starts_with("redis_type")) || entry.mapping == "lines" {
                continue;
            }
            let place = (hex(&entry.key), self.space.databases[entry.database].clone());
            let right = match value.len() {
                0..=65_536 => vec![hex(value)],
                large => vec!["-".to_owned(), large.to_string(), sha256_hex(value)],
            };
            let found = kept.get(&place).map(|found| &found[..right.len()]);
            assert_eq!(found, Some(&right[..]), "what is kept of {}", shown(&entry.key));
        }
    }
}

/// What became of the keys of a mapping.
#[derive(Default)]
struct Counted {
    keys: i64,
    inserted: i64,
    unchanged: i64,
    rejected: i64,
    skipped: BTreeMap<&'static str, i64>,
    altered: BTreeMap<&'static str, i64>,
}

impl Counted {
    fn count(&mut self, entry: &Entry) {
        self.keys += 1;
        match &entry.fate {
            Fate::Inserted => self.inserted += 1,
            Fate::Unchanged => self.unchanged += 1,
            Fate::Skipped(reason) => *self.skipped.entry(reason).or_default() += 1,
            Fate::Rejected(_) => self.rejected += 1,
            Fate::Unmatched | Fate::Rival(..) => {}
        }
        // Of a key that is several rows some may be stored although it is rejected.
        if entry.fate == Fate::Inserted || entry.rows.iter().any(|row| !row.foreign) {
            entry.altered.iter().for_each(|repair| *self.altered.entry(repair).or_default() += 1);
        }
    }

    /// In what the report's tally differs.
    fn differences(&self, report: &serde_json::Value) -> Vec<String> {
        let rejected: i64 =
            report["rejected"].as_object().into_iter().flatten().filter_map(|(_, count)| count.as_i64()).sum();
        let mut wrong = Vec::new();
        for (name, right, found) in [
            ("matched", self.keys, report["matched"].as_i64()),
            ("inserted", self.inserted, report["inserted"].as_i64()),
            ("updated", 0, report["updated"].as_i64()),
            ("unchanged", self.unchanged, report["unchanged"].as_i64()),
            ("duplicates", 0, report["duplicates"].as_i64()),
            ("rejected", self.rejected, Some(rejected)),
        ] {
            if found != Some(right) {
                wrong.push(format!("{name} {found:?}, not {right}"));
            }
        }
        for (name, right) in [("skipped", &self.skipped), ("altered", &self.altered)] {
            if report[name] != serde_json::to_value(right).unwrap() {
                wrong.push(format!("{name} {}, not {right:?}", report[name]));
            }
        }
        wrong
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn shown(key: &[u8]) -> String {
    key.escape_ascii().to_string()
}

fn held(held: &Held) -> String {
    let text = match held {
        Held::Text(bytes) => bytes.escape_ascii().to_string(),
        other => format!("{other:?}"),
    };
    text.chars().take(300).collect()
}

fn first(lines: &[String]) -> String {
    lines.iter().take(40).cloned().collect::<Vec<_>>().join("\n")
}
