//! In which order rows are put back: parents before children, each transaction with rows of one former run.

use crate::sink::undo::{Group, Lack};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// The batches, one behind the other; in each, parents come before children. Rows in a circle come last, those of a group
/// together: one statement may put them back.
pub(super) fn in_order(groups: BTreeMap<Group, Vec<String>>, lacks: &[Lack]) -> Vec<(Group, Vec<String>)> {
    if lacks.is_empty() {
        return groups.into_iter().collect();
    }
    let groups: Vec<(Group, Vec<String>)> = groups.into_iter().collect();
    let keys =
        || groups.iter().enumerate().flat_map(|(place, (_, keys))| keys.iter().map(move |key| (key.as_str(), place)));
    let place: HashMap<&str, usize> = keys().collect();
    let mut waits: HashMap<&str, usize> = HashMap::new();
    let mut children: HashMap<&str, Vec<&str>> = HashMap::new();
    for lack in lacks {
        if let Some(parent) = lack.parent.as_deref().filter(|parent| *parent != lack.key && place.contains_key(parent))
        {
            *waits.entry(&lack.key).or_default() += 1;
            children.entry(parent).or_default().push(&lack.key);
        }
    }
    let mut ready: Vec<VecDeque<&str>> = vec![VecDeque::new(); groups.len()];
    keys().filter(|(key, _)| !waits.contains_key(key)).for_each(|(key, place)| ready[place].push_back(key));
    let mut batches = Vec::new();
    while let Some(group) =
        (0..ready.len()).max_by_key(|group| ready[*group].len()).filter(|group| !ready[*group].is_empty())
    {
        let mut batch = Vec::new();
        while let Some(key) = ready[group].pop_front() {
            batch.push(key.to_owned());
            for child in children.remove(key).unwrap_or_default() {
                let Some(left) = waits.get_mut(child) else { continue };
                *left -= 1;
                if *left == 0 {
                    waits.remove(child);
                    ready[place[child]].push_back(child);
                }
            }
        }
        batches.push((groups[group].0.clone(), batch));
    }
    for (group, keys) in &groups {
        let circle: Vec<String> = keys.iter().filter(|key| waits.contains_key(key.as_str())).cloned().collect();
        if !circle.is_empty() {
            batches.push((group.clone(), circle));
        }
    }
    batches
}

#[cfg(test)]
mod tests {
    use super::in_order;
    use crate::sink::undo::{Group, Lack};
    use std::collections::BTreeMap;

    fn group(former: &str) -> Group {
        Group { former: Some(former.to_owned()), missing: Vec::new(), lost: Vec::new(), there: false }
    }

    fn lacks(pairs: &[(&str, &str)]) -> Vec<Lack> {
        let lack = |(key, parent): &(&str, &str)| Lack {
            key: (*key).to_owned(),
            parent: Some((*parent).to_owned()),
            constraint: String::new(),
        };
        pairs.iter().map(lack).collect()
    }

    fn ordered(groups: &[(&str, &[&str])], pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let groups: BTreeMap<Group, Vec<String>> =
            groups.iter().map(|(of, keys)| (group(of), keys.iter().map(|key| (*key).to_owned()).collect())).collect();
        in_order(groups, &lacks(pairs)).into_iter().map(|(of, keys)| (of.former.unwrap(), keys.concat())).collect()
    }

    #[test]
    fn parents_come_first_in_as_few_batches_as_there_are_changes_of_the_former_run() {
        let batches = ordered(&[("1", &["a", "b", "c"]), ("2", &["x"])], &[("a", "b"), ("b", "x"), ("c", "c")]);
        assert_eq!(batches, [("2".to_owned(), "x".to_owned()), ("1".to_owned(), "cba".to_owned())]);
        assert_eq!(
            ordered(&[("1", &["a", "b", "c"])], &[("a", "b"), ("b", "c")]),
            [("1".to_owned(), "cba".to_owned())]
        );
    }

    #[test]
    fn a_circle_stays_together_and_comes_last() {
        let batches = ordered(&[("1", &["a", "b", "c", "d"])], &[("a", "b"), ("b", "a"), ("c", "b")]);
        assert_eq!(batches, [("1".to_owned(), "d".to_owned()), ("1".to_owned(), "abc".to_owned())]);
    }
}
