//! Rows of one table that refer to one another: which of them lack a parent, directly or through others.

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Rows whose parent is not in the table, and the rows beside them that may be it.
#[derive(Debug, Default)]
pub struct Families {
    /// How many rows may be the parent, for each row and reference.
    parents: BTreeMap<(i32, usize), usize>,
    children: HashMap<i32, Vec<(i32, usize)>>,
}

impl Families {
    /// Takes a row, by its number, whose reference `place` leads to no row of the table. `parent`: a row beside it that may
    /// be the one. Of several, each is taken by itself; one of them is enough.
    pub fn add(&mut self, place: usize, ordinal: i32, parent: Option<i32>) {
        let parents = self.parents.entry((ordinal, place)).or_default();
        if let Some(parent) = parent {
            *parents += 1;
            self.children.entry(parent).or_default().push((ordinal, place));
        }
    }

    /// The rows that lack a parent, each with the reference that leads nowhere: a row without a parent is none for its
    /// children either. `without`: rows that are known not to be there, and are not among these.
    pub fn without_parent(mut self, without: &BTreeSet<i32>) -> BTreeMap<i32, usize> {
        let mut lost = BTreeMap::new();
        let mut due: Vec<(i32, usize)> =
            self.parents.iter().filter(|(_, parents)| **parents == 0).map(|(child, _)| *child).collect();
        while let Some((ordinal, place)) = due.pop() {
            if without.contains(&ordinal) || lost.contains_key(&ordinal) {
                continue;
            }
            lost.insert(ordinal, place);
            for child in self.children.remove(&ordinal).unwrap_or_default() {
                let Some(parents) = self.parents.get_mut(&child) else { continue };
                *parents = parents.saturating_sub(1);
                if *parents == 0 {
                    due.push(child);
                }
            }
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::Families;
    use std::collections::BTreeSet;

    fn lost(parents: &[(i32, Option<i32>)], without: &[i32]) -> Vec<i32> {
        let without: BTreeSet<i32> = without.iter().copied().collect();
        let mut families = Families::default();
        for (ordinal, parent) in parents {
            families.add(0, *ordinal, parent.filter(|parent| !without.contains(parent)));
        }
        families.without_parent(&without).into_keys().collect()
    }

    #[test]
    fn a_row_without_a_parent_takes_all_below_it_along() {
        // 0 is a root and not named; 4 has no parent anywhere.
        assert_eq!(lost(&[(1, Some(0)), (2, Some(1)), (4, None), (3, Some(4)), (5, Some(3))], &[]), [3, 4, 5]);
        assert_eq!(lost(&[(1, Some(0)), (2, Some(1))], &[0]), [1, 2], "its parent is not written");
        assert_eq!(lost(&[(1, None)], &[1]), [0; 0], "it is lost already");
    }

    #[test]
    fn a_circle_is_written_together_or_not_at_all() {
        assert_eq!(lost(&[(1, Some(2)), (2, Some(1)), (3, Some(3))], &[]), [0; 0]);
        assert_eq!(lost(&[(1, Some(2)), (2, Some(3)), (3, Some(1))], &[2]), [1, 3]);
    }

    #[test]
    fn all_references_of_a_row_lead_to_rows() {
        let mut families = Families::default();
        families.add(0, 1, Some(0));
        families.add(1, 1, None);
        assert_eq!(families.without_parent(&BTreeSet::new()).into_iter().collect::<Vec<_>>(), [(1, 1)]);
    }
}
