//! Elements without a row of their own, of a key that is several rows: whether the row was lost, is another element's, or the element
//! came after the run. Pure.
//!
//! The ledger keeps the lineage of a row that somebody else deleted. So an element without a row that has lineage has lost it. One
//! that has none, of a key whose other elements have some, no run has written: it was rejected, or the key got it later.

use crate::model::{Class, Digest, ELEMENTS_KNOWN};

/// Elements of a key that are told apart; the others are counted.
const TOLD_APART: usize = 1000;
/// Bytes of a digest.
const DIGEST: usize = 16;

/// Why an element has no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Why {
    /// No run wrote one.
    New,
    /// The row of its key is another key's.
    Taken,
    /// A run wrote one, and it is gone.
    Lost,
}

/// An element without a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) why: Why,
    /// Of its bytes.
    pub(super) digest: Digest,
    /// How people are told of it.
    pub(super) name: String,
    /// A sentence for people; empty where `why` says all.
    pub(super) detail: String,
}

/// The elements of a key that map as they should and have no row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rowless {
    told: Vec<Element>,
    /// Those beyond: new, taken and lost ones.
    more: [i64; 3],
    /// Of elements whose row is there and differs, each with its class: the row may be that of another element.
    differing: Vec<(Digest, Class)>,
    /// Whether a run knows the key: it has written a row of it, or rejected an element.
    known: bool,
}

impl Rowless {
    /// Adds an element.
    pub(super) fn add(&mut self, element: Element) {
        if self.told.len() < TOLD_APART {
            self.told.push(element);
        } else if let Some(count) = self.more.get_mut(element.why as usize) {
            *count += 1;
        }
    }

    /// Adds an element whose row differs.
    pub(super) fn add_differing(&mut self, digest: Digest, class: Class) {
        if self.differing.len() < TOLD_APART {
            self.differing.push((digest, class));
        }
    }

    /// Whether the run may have rejected an element for the row of another one.
    pub(super) fn any_differing(&self) -> bool {
        !self.differing.is_empty()
    }

    /// Takes out those that the run rejected since their row is another element's; gives the class of each.
    pub(super) fn excuse_differing(&mut self, elements: &[u8]) -> Vec<Class> {
        let known: Vec<&[u8]> = elements.chunks_exact(DIGEST).collect();
        let is_known = |(digest, _): &mut (Digest, Class)| known.contains(&digest.bytes().as_slice());
        self.differing.extract_if(.., is_known).map(|(_, class)| class).collect()
    }

    /// Notes that a run knows the key.
    pub(super) fn is_known(&mut self) {
        self.known = true;
    }

    /// Takes out those that the run is known to have rejected; gives how many they are. `elements`: what the ledger knows of them; where
    /// that is nothing, and the reject is `by_writing`, all are taken for rejected that no run has written.
    pub(super) fn excuse(&mut self, elements: Option<&[u8]>, by_writing: bool) -> i64 {
        let before = self.told.len();
        let known = elements.unwrap_or_default().chunks_exact(DIGEST).collect::<Vec<_>>();
        self.told.retain(|element| !known.contains(&element.digest.bytes().as_slice()));
        // An old ledger names none, and of so many not all are named. What mapping rejects is known without the ledger.
        let unnamed = by_writing && elements.is_none_or(|_| known.len() >= ELEMENTS_KNOWN);
        let mut counted = 0;
        if unnamed {
            self.told.retain(|element| element.why == Why::Lost);
            for why in [Why::New, Why::Taken] {
                counted += self.more.get_mut(why as usize).map(std::mem::take).unwrap_or_default();
            }
        }
        (before - self.told.len()) as i64 + counted
    }

    /// Takes out those that the key got after the run, where that can be told: how many they are, and the first one's name.
    pub(super) fn take_new(&mut self) -> (i64, Option<String>) {
        if !self.known {
            return (0, None);
        }
        let is_new = |element: &mut Element| element.why == Why::New;
        let new: Vec<Element> = self.told.extract_if(.., is_new).collect();
        let more = self.more.get_mut(Why::New as usize).map(std::mem::take).unwrap_or_default();
        (new.len() as i64 + more, new.into_iter().next().map(|element| element.name))
    }

    /// The worst of those that are left, the first one of them.
    pub(super) fn worst(&self) -> Option<&Element> {
        let worst = self.told.iter().map(|element| element.why).max()?;
        self.told.iter().find(|element| element.why == worst)
    }

    /// How many are left.
    pub(super) fn len(&self) -> i64 {
        self.told.len() as i64 + self.more.iter().sum::<i64>()
    }

    /// Whether the row of any of those that are left was lost.
    pub(super) fn any_lost(&self) -> bool {
        self.more.get(Why::Lost as usize).is_some_and(|lost| *lost > 0)
            || self.told.iter().any(|element| element.why == Why::Lost)
    }
}

#[cfg(test)]
mod tests {
    use super::{ELEMENTS_KNOWN, Element, Rowless, TOLD_APART, Why};
    use crate::model::Digest;

    fn element(why: Why, name: &str) -> Element {
        Element { why, digest: Digest::of(name.as_bytes()), name: name.to_owned(), detail: String::new() }
    }

    fn rowless(elements: &[(Why, &str)]) -> Rowless {
        let mut rowless = Rowless::default();
        elements.iter().for_each(|(why, name)| rowless.add(element(*why, name)));
        rowless
    }

    const ALL: [(Why, &str); 4] = [(Why::New, "a"), (Why::Lost, "b"), (Why::Taken, "c"), (Why::Lost, "d")];

    #[test]
    fn the_elements_that_were_rejected_are_excused_and_no_others() {
        let known =
            |names: &[&str]| -> Vec<u8> { names.iter().flat_map(|name| Digest::of(name.as_bytes()).bytes()).collect() };
        let mut all = rowless(&ALL);
        assert_eq!((all.excuse(Some(&known(&["x", "d", "a"])), true), all.len()), (2, 2));
        assert_eq!(all.worst().map(|element| element.name.as_str()), Some("b"));
        let mut old = rowless(&ALL);
        let many: Vec<u8> = (0..ELEMENTS_KNOWN).flat_map(|n| Digest::of(&n.to_be_bytes()).bytes()).collect();
        assert_eq!((old.excuse(None, false), old.excuse(Some(&many), false)), (0, 0));
        assert_eq!((rowless(&ALL).excuse(Some(&many), true), old.excuse(None, true), old.len()), (2, 2, 2));
        assert!(old.any_lost() && old.told.iter().all(|element| element.why == Why::Lost));
    }

    #[test]
    fn an_element_that_no_run_wrote_came_later_where_a_run_knows_the_key() {
        let mut all = rowless(&ALL);
        assert_eq!(all.take_new(), (0, None));
        all.is_known();
        assert_eq!(all.take_new(), (1, Some("a".to_owned())));
        assert_eq!((all.take_new().0, all.len()), (0, 3));
    }

    #[test]
    fn of_very_many_some_are_counted_only() {
        let mut many = Rowless::default();
        (0..TOLD_APART + 7).for_each(|number| many.add(element(Why::New, &number.to_string())));
        many.add(element(Why::Lost, "lost"));
        many.is_known();
        assert_eq!((many.take_new().0, many.len(), many.any_lost()), (TOLD_APART as i64 + 7, 1, true));
    }
}
