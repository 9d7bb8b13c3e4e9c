//! Keys that no mapping took: how many, of which families, and which of them look like a mapping's own.
//!
//! Bounded, however many keys and families there are.

use super::{Family, MappingId, RedisKey};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// Families that are told apart. Beyond them the rarest are put together.
const FAMILIES: usize = 1000;
/// Families that are kept where little room is.
const FAMILIES_IN_BRIEF: usize = 50;
/// Keys that are named for each mapping.
const EXAMPLES: usize = 5;
/// Characters of a key that is named.
const EXAMPLE_LENGTH: usize = 120;

/// The keys that no mapping took.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Unmatched {
    /// All of them.
    pub keys: u64,
    /// Those among them that somebody set apart: an exclusion takes them, or a mapping that is switched off.
    pub set_apart: u64,
    /// Those that nobody set apart, and that the glob of some mapping finds.
    pub shape_refused: u64,
    families: BTreeMap<String, FamilyCount>,
    /// Families that there was no room for.
    other: FamilyCount,
    refused: BTreeMap<MappingId, Refused>,
}

/// How many unmatched keys a family has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FamilyCount {
    /// All of them.
    pub keys: u64,
    /// Those among them that somebody set apart.
    pub set_apart: u64,
}

/// Keys that a mapping's glob finds and its patterns do not take.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// How many.
    pub keys: u64,
    /// A few of them, for people.
    pub examples: Vec<String>,
}

impl FamilyCount {
    fn add(&mut self, other: Self) {
        self.keys += other.keys;
        self.set_apart += other.set_apart;
    }
}

impl Unmatched {
    /// Counts keys of a page, each with whether somebody set it apart.
    pub fn count<'k>(keys: impl Iterator<Item = (&'k RedisKey, bool)>) -> Self {
        let mut families = HashMap::<Family<'k>, FamilyCount>::new();
        let mut all = FamilyCount::default();
        for (key, set_apart) in keys {
            let one = FamilyCount { keys: 1, set_apart: u64::from(set_apart) };
            families.entry(Family::of(key.as_bytes())).or_default().add(one);
            all.add(one);
        }
        let families = families.into_iter().map(|(family, count)| (family.to_string(), count)).collect();
        let mut counted = Self { keys: all.keys, set_apart: all.set_apart, families, ..Self::default() };
        counted.shrink(FAMILIES);
        counted
    }

    /// Notes that a mapping's glob finds a key, and its patterns do not take it.
    pub fn refuse(&mut self, mapping: MappingId, key: &RedisKey) {
        let refused = self.refused.entry(mapping).or_default();
        refused.keys += 1;
        if refused.examples.len() < EXAMPLES {
            refused.examples.push(shortened(key));
        }
    }

    /// Adds others.
    pub fn add(&mut self, other: Self) {
        self.keys += other.keys;
        self.set_apart += other.set_apart;
        self.shape_refused += other.shape_refused;
        self.other.add(other.other);
        for (family, count) in other.families {
            self.families.entry(family).or_default().add(count);
        }
        self.shrink(FAMILIES);
        for (mapping, more) in other.refused {
            let refused = self.refused.entry(mapping).or_default();
            refused.keys += more.keys;
            let room = EXAMPLES.saturating_sub(refused.examples.len());
            refused.examples.extend(more.examples.into_iter().take(room));
        }
    }

    /// The same with fewer families, for where it is written often.
    #[must_use]
    pub fn in_brief(&self) -> Self {
        let mut brief = self.clone();
        brief.shrink(FAMILIES_IN_BRIEF);
        brief
    }

    /// Those that nobody set apart.
    pub fn unexplained(&self) -> u64 {
        self.keys.saturating_sub(self.set_apart)
    }

    /// The `count` families with the most keys, the largest first. `of` says which keys of a family count; families
    /// without such a key are left out.
    pub fn families(&self, count: usize, of: impl Fn(&FamilyCount) -> u64) -> Vec<(&str, u64)> {
        let counted = self.families.iter().map(|(family, count)| (family.as_str(), of(count)));
        let mut families: Vec<(&str, u64)> = counted.filter(|(_, keys)| *keys > 0).collect();
        families.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        families.truncate(count);
        families
    }

    /// The keys that a mapping's glob finds and its patterns do not take; `None` where there are none.
    pub fn refused(&self, mapping: MappingId) -> Option<&Refused> {
        self.refused.get(&mapping)
    }

    /// Where there are more families than `most`, the rarest are put together until half as many are left: room for new
    /// ones, and the common ones stay.
    fn shrink(&mut self, most: usize) {
        if self.families.len() <= most {
            return;
        }
        let mut families: Vec<(String, FamilyCount)> = std::mem::take(&mut self.families).into_iter().collect();
        families.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for (_, count) in families.drain(most.div_ceil(2)..) {
            self.other.add(count);
        }
        self.families = families.into_iter().collect();
    }
}

fn shortened(key: &RedisKey) -> String {
    // No character takes more than four bytes.
    let begin = key.bytes().slice(..key.as_bytes().len().min(4 * EXAMPLE_LENGTH + 4));
    let text = RedisKey::new(begin).to_string();
    match text.char_indices().nth(EXAMPLE_LENGTH) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{EXAMPLES, FAMILIES, FamilyCount, Unmatched};
    use crate::model::{MappingId, RedisKey};

    fn count(keys: &[&str]) -> Unmatched {
        let keys: Vec<RedisKey> = keys.iter().map(|key| RedisKey::new(key.as_bytes().to_vec())).collect();
        Unmatched::count(keys.iter().map(|key| (key, key.as_bytes().starts_with(b"x"))))
    }

    fn all(count: &FamilyCount) -> u64 {
        count.keys
    }

    #[test]
    fn families_are_counted_and_the_common_ones_come_first() {
        let mut unmatched = count(&["a:1", "b:1", "b:2", "x:1"]);
        unmatched.add(count(&["c:1", "b:3", "x:2", "x:3", "x:4"]));
        assert_eq!((unmatched.keys, unmatched.set_apart, unmatched.unexplained()), (9, 4, 5));
        assert_eq!(unmatched.families(3, all), [("x:*", 4), ("b:*", 3), ("a:*", 1)]);
        let unexplained = unmatched.families(9, |count| count.keys - count.set_apart);
        assert_eq!(unexplained, [("b:*", 3), ("a:*", 1), ("c:*", 1)]);
    }

    #[test]
    fn there_is_a_bound_and_common_families_outlive_it() {
        let mut unmatched = Unmatched::default();
        for page in 0..10 {
            let keys: Vec<String> = (0..FAMILIES).map(|n| format!("{page}-{n}:1")).collect();
            let mut keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            keys.extend(["often:1", "often:2"]);
            unmatched.add(count(&keys));
            assert!(unmatched.families.len() <= FAMILIES);
        }
        assert_eq!(unmatched.families(1, all), [("often:*", 20)]);
        let named: u64 = unmatched.families.values().map(all).sum();
        assert_eq!((named + unmatched.other.keys, unmatched.keys), (10_020, 10_020));
        let brief = unmatched.in_brief();
        assert!(brief.families.len() <= 50 && brief.keys == unmatched.keys);
        assert_eq!(brief.families(1, all), [("often:*", 20)]);
    }

    #[test]
    fn refused_keys_are_counted_and_a_few_are_named() {
        let mut unmatched = Unmatched::default();
        for n in 0..EXAMPLES + 2 {
            let mut page = Unmatched::default();
            page.refuse(MappingId(1), &RedisKey::new(format!("d:{n}")));
            unmatched.add(page);
        }
        unmatched.refuse(MappingId(2), &RedisKey::new("\u{1}".repeat(1000)));
        let refused = unmatched.refused(MappingId(1)).unwrap();
        assert_eq!((refused.keys, refused.examples.len(), refused.examples[0].as_str()), (7, 5, "d:0"));
        let long = &unmatched.refused(MappingId(2)).unwrap().examples[0];
        assert_eq!(*long, format!("{}…", r"\x01".repeat(30)));
        assert_eq!(unmatched.refused(MappingId(0)), None);
    }

    #[test]
    fn it_is_read_back_as_it_was_written() {
        let mut unmatched = count(&["a:1", "x"]);
        unmatched.refuse(MappingId(3), &RedisKey::new("a:1"));
        let text = serde_json::to_string(&unmatched).unwrap();
        assert_eq!(serde_json::from_str::<Unmatched>(&text).unwrap(), unmatched);
        assert_eq!(serde_json::from_str::<Unmatched>("{}").unwrap(), Unmatched::default());
    }
}
