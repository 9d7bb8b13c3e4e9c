//! Which images that wait for others come back, in a dry run.

use super::foresee::Waiting;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};

/// Rows by their hashes.
#[derive(Default)]
pub(super) struct Kept {
    hashes: HashSet<u64>,
    hasher: RandomState,
}

impl Kept {
    pub(super) fn insert(&mut self, table: &str, key: &str) {
        self.hashes.insert(self.hasher.hash_one((table, key)));
    }

    pub(super) fn len(&self) -> usize {
        self.hashes.len()
    }

    pub(super) fn has(&self, (table, key): (&str, &str)) -> bool {
        self.hashes.contains(&self.hasher.hash_one((table, key)))
    }
}

/// Those that come back: all that they wait for comes back before them; or, in a circle within one table and one group, with them.
pub(super) fn coming(waiting: &HashMap<(String, String), Waiting>, kept: &Kept) -> HashSet<(String, String)> {
    let mut children: HashMap<(&str, &str), Vec<&(String, String)>> = HashMap::new();
    let (mut open, mut ready, mut coming) = (HashMap::new(), Vec::new(), HashSet::new());
    for (of, found) in waiting {
        let holds = |table: &String, key: &String| {
            let above = (table.clone(), key.clone());
            // A row is there with itself.
            above != *of && (kept.has((table, key)) || waiting.contains_key(&above))
        };
        let holding: Vec<_> = found.parents.iter().filter(|(table, key, _)| holds(table, key)).collect();
        for (table, key, _) in &holding {
            children.entry((table.as_str(), key.as_str())).or_default().push(of);
        }
        open.insert(of, holding.len());
        if holding.is_empty() {
            ready.push(of);
        }
    }
    while let Some(of) = ready.pop() {
        coming.insert(of.clone());
        for child in children.remove(&(of.0.as_str(), of.1.as_str())).unwrap_or_default() {
            if let Some(left) = open.get_mut(child) {
                *left -= 1;
                if *left == 0 {
                    ready.push(child);
                }
            }
        }
    }
    coming.extend(together(waiting, kept, &coming));
    coming
}

/// Of those that are left, the ones in circles, or behind them, that one statement can put back.
fn together(
    waiting: &HashMap<(String, String), Waiting>,
    kept: &Kept,
    coming: &HashSet<(String, String)>,
) -> Vec<(String, String)> {
    let mut left: HashSet<&(String, String)> = waiting.keys().filter(|of| !coming.contains(*of)).collect();
    // Those that fall out, one after the other, each with those that needed it.
    let mut out: Vec<&(String, String)> = Vec::new();
    let mut needed_by: HashMap<(String, String), Vec<&(String, String)>> = HashMap::new();
    for of in &left {
        let Some(found) = waiting.get(*of) else { continue };
        for (table, key, _) in &found.parents {
            let parent = (table.clone(), key.clone());
            let comes = match waiting.get(&parent) {
                None => !kept.has((table, key)),
                Some(_) if coming.contains(&parent) => true,
                Some(above) => of.0 == parent.0 && above.group == found.group,
            };
            match comes {
                false => out.push(of),
                true => needed_by.entry(parent).or_default().push(of),
            }
        }
    }
    while let Some(of) = out.pop() {
        if left.remove(of) {
            out.extend(needed_by.remove(of).unwrap_or_default());
        }
    }
    left.into_iter().cloned().collect()
}
