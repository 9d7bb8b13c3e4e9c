//! In which order rows go that refer to one another: children before parents.

use std::collections::{BTreeMap, HashMap};

/// The rows, those first that no other of them refers to, and each behind all that do; as many of one database together as that lets. Those in a
/// circle come last, one behind the other as they refer to one another, so that a batch may have a circle whole. `references`: rows, each
/// with one that it refers to; of others than these too. `of`: the place of a row's database.
pub(super) fn children_first(
    rows: Vec<String>,
    references: &[(String, String)],
    of: impl Fn(&str) -> usize,
) -> Vec<String> {
    let (parents, waits) = graph(&rows, references);
    let bases: Vec<usize> = rows.iter().map(|row| of(row)).collect();
    let mut order = from_the_leaves(&parents, waits, &bases);
    let mut placed = vec![false; rows.len()];
    order.iter().for_each(|row| placed[*row] = true);
    for first in 0..rows.len() {
        let mut open = vec![first];
        while let Some(row) = open.pop() {
            if !std::mem::replace(&mut placed[row], true) {
                order.push(row);
                open.extend(&parents[row]);
            }
        }
    }
    let mut rows: Vec<Option<String>> = rows.into_iter().map(Some).collect();
    order.into_iter().filter_map(|row| rows[row].take()).collect()
}

/// Of each row those that it refers to, and how many refer to it, by places.
fn graph(rows: &[String], references: &[(String, String)]) -> (Vec<Vec<usize>>, Vec<usize>) {
    let place: HashMap<&str, usize> = rows.iter().enumerate().map(|(place, row)| (row.as_str(), place)).collect();
    let (mut parents, mut waits) = (vec![Vec::new(); rows.len()], vec![0_usize; rows.len()]);
    for (child, parent) in references {
        if let (Some(child), Some(parent)) = (place.get(child.as_str()), place.get(parent.as_str()))
            && child != parent
        {
            parents[*child].push(*parent);
            waits[*parent] += 1;
        }
    }
    (parents, waits)
}

/// All that are in no circle and lead to none, each behind those that refer to it (A. B. Kahn, Topological sorting of large networks, 1962).
fn from_the_leaves(parents: &[Vec<usize>], mut waits: Vec<usize>, bases: &[usize]) -> Vec<usize> {
    let mut ready = BTreeMap::<usize, Vec<usize>>::new();
    for row in (0..bases.len()).filter(|row| waits[*row] == 0) {
        ready.entry(bases[row]).or_default().push(row);
    }
    let mut order = Vec::with_capacity(bases.len());
    while let Some((base, mut of_base)) = ready.pop_first() {
        while let Some(row) = of_base.pop() {
            order.push(row);
            for parent in &parents[row] {
                waits[*parent] -= 1;
                if waits[*parent] == 0 {
                    let its = bases[*parent];
                    if its == base { &mut of_base } else { ready.entry(its).or_default() }.push(*parent);
                }
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::children_first;

    fn ordered(rows: &[&str], references: &[(&str, &str)]) -> String {
        let references: Vec<(String, String)> =
            references.iter().map(|(child, parent)| ((*child).to_owned(), (*parent).to_owned())).collect();
        // Those of capital letters are of another database.
        let base = |row: &str| usize::from(row.starts_with(char::is_uppercase));
        children_first(rows.iter().map(|row| (*row).to_owned()).collect(), &references, base).concat()
    }

    #[test]
    fn rows_of_one_database_stand_together() {
        assert_eq!(ordered(&["A", "b", "C", "d", "E", "f"], &[]), "fdbECA");
        // The parent of one of the others comes once that has gone.
        assert_eq!(ordered(&["A", "b", "C", "d"], &[("C", "b")]), "dCAb");
    }

    #[test]
    fn a_row_comes_behind_all_that_refer_to_it() {
        assert_eq!(
            ordered(&["b", "d", "a", "c"], &[("a", "b"), ("b", "c"), ("c", "d"), ("x", "a"), ("d", "y")]),
            "abcd"
        );
        let order = ordered(&["p", "a", "b"], &[("a", "p"), ("b", "p"), ("b", "b"), ("a", "b"), ("a", "b")]);
        assert_eq!(order, "abp");
    }

    #[test]
    fn a_circle_comes_last_and_together() {
        let order = ordered(&["a", "l", "b", "m", "c"], &[("a", "b"), ("b", "c"), ("c", "a"), ("l", "m")]);
        assert_eq!(order, "lmabc");
    }
}
