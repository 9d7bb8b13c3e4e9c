//! The order in which rows that wait for rows of their own table are tried again: parents before their children.

use crate::model::Row;
use crate::sink::{SelfReference, SelfReferenceColumn};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// Rows that wait, by the ids of their rejects. Of a row only hashes are kept: of what others refer to it by, and of what
/// it refers to. Some hundred bytes each.
#[derive(Debug, Default)]
pub(super) struct Order {
    ids: Vec<i64>,
    /// Which of them is referred to by this.
    known: HashMap<u64, usize>,
    /// Who refers to what.
    references: Vec<(usize, u64)>,
    hasher: RandomState,
}

impl Order {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.ids.len()
    }

    /// Takes a key that waits, with its rows as far as it has any.
    pub(super) fn add<'r>(&mut self, id: i64, rows: impl IntoIterator<Item = &'r Row>, references: &[SelfReference]) {
        let at = self.ids.len();
        self.ids.push(id);
        for row in rows {
            for (place, reference) in references.iter().enumerate() {
                let columns = reference.columns.as_slice();
                if let Some(own) = self.hash(place, row, columns, |column| column.to_index) {
                    self.known.insert(own, at);
                }
                if let Some(parent) = self.hash(place, row, columns, |column| Some(column.from)) {
                    self.references.push((at, parent));
                }
            }
        }
    }

    fn hash(
        &self,
        place: usize,
        row: &Row,
        columns: &[SelfReferenceColumn],
        index: impl Fn(&SelfReferenceColumn) -> Option<usize>,
    ) -> Option<u64> {
        let fields: Option<Vec<&[u8]>> = columns.iter().map(|column| row.field(index(column)?)).collect();
        Some(self.hasher.hash_one((place, fields?)))
    }

    /// The ids in pages of about `size`: level by level, then the rows in circles and those below them. A circle is not cut
    /// unless it is longer than a page.
    pub(super) fn pages(self, size: usize) -> Vec<Vec<i64>> {
        let parents: Vec<(usize, usize)> = (self.references.iter())
            .filter_map(|(child, parent)| Some((*child, *self.known.get(parent)?)))
            .filter(|(child, parent)| child != parent)
            .collect();
        let levels = levels(self.ids.len(), &parents);
        let mut placed = vec![false; self.ids.len()];
        levels.iter().for_each(|at| placed[*at] = true);
        let mut pages: Vec<Vec<usize>> = levels.chunks(size).map(<[usize]>::to_vec).collect();
        for path in paths(&parents, placed) {
            match pages.last_mut().filter(|page| page.len() + path.len() <= size) {
                Some(page) => page.extend(path),
                None => pages.extend(path.chunks(size).map(<[usize]>::to_vec)),
            }
        }
        let id = |at: usize| self.ids.get(at).copied();
        pages.into_iter().map(|page| page.into_iter().filter_map(id).collect()).collect()
    }
}

/// Those that no circle keeps back, each behind its parents.
fn levels(count: usize, parents: &[(usize, usize)]) -> Vec<usize> {
    let mut waits = vec![0_usize; count];
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (child, parent) in parents {
        waits[*child] += 1;
        children[*parent].push(*child);
    }
    let mut order: Vec<usize> = (0..count).filter(|at| waits[*at] == 0).collect();
    let mut next = 0;
    while let Some(at) = order.get(next).copied() {
        next += 1;
        for child in std::mem::take(&mut children[at]) {
            waits[child] -= 1;
            if waits[child] == 0 {
                order.push(child);
            }
        }
    }
    order
}

/// The others, in runs from an ancestor down: a circle is the beginning of a run, and all of it is in it.
fn paths(parents: &[(usize, usize)], mut placed: Vec<bool>) -> Vec<Vec<usize>> {
    let mut above: HashMap<usize, usize> = HashMap::new();
    // Of several references, one that keeps the row back.
    parents.iter().filter(|(_, parent)| !placed[*parent]).for_each(|(child, parent)| {
        above.entry(*child).or_insert(*parent);
    });
    let mut paths = Vec::new();
    for start in 0..placed.len() {
        let (mut path, mut at) = (Vec::new(), Some(start));
        while let Some(here) = at.filter(|here| !placed[*here]) {
            placed[here] = true;
            path.push(here);
            at = above.get(&here).copied();
        }
        if !path.is_empty() {
            path.reverse();
            paths.push(path);
        }
    }
    paths
}

#[cfg(test)]
mod tests {
    use super::Order;

    /// Row `n` is referred to by `n`.
    fn order(parents: &[(i64, Option<u64>)]) -> Order {
        let mut order = Order::default();
        for (at, (id, parent)) in parents.iter().enumerate() {
            order.ids.push(*id);
            order.known.insert(*id as u64, at);
            order.references.extend(parent.map(|parent| (at, parent)));
        }
        order
    }

    #[test]
    fn parents_come_before_their_children_whatever_the_depth() {
        let chain: Vec<_> = (1..=5_000).rev().map(|id| (id, Some(id as u64 - 1))).collect();
        let pages = order(&chain).pages(500);
        assert_eq!(pages.len(), 10);
        assert_eq!(pages.concat(), (1..=5_000).collect::<Vec<_>>());
    }

    #[test]
    fn each_is_tried_once_and_one_that_is_its_own_parent_is_a_root() {
        let pages = order(&[(1, Some(1)), (2, Some(1)), (3, None), (4, Some(99))]).pages(10);
        assert_eq!(pages, [[1, 3, 4, 2]]);
        assert!(order(&[]).pages(10).is_empty());
    }

    #[test]
    fn a_circle_comes_in_one_page_before_what_is_below_it() {
        // 1 → 2 → 3 → 1, and 4 and 5 below 1; two others first.
        let rows = [(8, None), (9, None), (5, Some(4)), (4, Some(1)), (1, Some(2)), (2, Some(3)), (3, Some(1))];
        let pages = order(&rows).pages(5);
        assert_eq!(pages[0], [8, 9]);
        let circle: std::collections::BTreeSet<i64> = pages[1][..3].iter().copied().collect();
        assert_eq!(circle, [1, 2, 3].into());
        assert_eq!(pages[1][3..], [4, 5]);
        assert_eq!(pages.concat().len(), 7);
    }
}
