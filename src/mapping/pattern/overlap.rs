//! Is there a key that two patterns would both take? Decided by walking through both automata at once.

use super::Pattern;
use super::automaton::{Automaton, State};
use super::letters::Letters;
use crate::model::RedisKey;
use std::collections::HashSet;

/// Where the walk is given up: patterns of ordinary length need some hundred places.
const MOST_PLACES: usize = 50_000;

/// What is known of the keys that two patterns have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::mapping) enum Overlap {
    /// There is none.
    Never,
    /// This one, among others.
    Key(RedisKey),
    /// It could not be found out: every key has to be looked at.
    Unknown,
}

impl Overlap {
    /// What is known of several together.
    pub(super) fn or(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::Key(_) => self,
            Self::Unknown => match other() {
                Self::Never => Self::Unknown,
                other => other,
            },
            Self::Never => other(),
        }
    }
}

/// Which keys of two patterns are asked for.
pub(super) struct Common<'p> {
    pub(super) left: &'p Pattern,
    pub(super) right: &'p Pattern,
    /// Keys of these do not count.
    pub(super) excludes: Vec<&'p Pattern>,
    /// Only keys count of which the captures take different bytes.
    pub(super) differing: bool,
}

/// A place on the walk: how far both patterns have read the same bytes, and how far those that exclude have.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Place {
    left: State,
    right: State,
    excludes: Vec<Vec<State>>,
    differs: bool,
}

impl Common<'_> {
    /// Looks for such a key. One in which no capture is empty is preferred.
    pub(super) fn find(&self) -> Overlap {
        if self.is_told_apart_by_its_ends() {
            return Overlap::Never;
        }
        self.walk(false).or(|| self.walk(true))
    }

    /// Whether the literal text at the beginning or the end already says that no key fits both. Of the many pairs of a
    /// long list of mappings that are nearly all, and automata cost ten thousand times as much.
    fn is_told_apart_by_its_ends(&self) -> bool {
        let (left, right) = (self.left.prefix(), self.right.prefix());
        let (left_end, right_end) = (self.left.suffix(), self.right.suffix());
        !(left.starts_with(right) || right.starts_with(left))
            || !(left_end.ends_with(right_end) || right_end.ends_with(left_end))
    }

    fn walk(&self, empty: bool) -> Overlap {
        let walk = Walk::new(self, empty);
        let first = walk.first(!self.differing);
        let mut seen = HashSet::from([first.clone()]);
        // Each place with the one that it was reached from, and by which byte.
        let mut places = vec![(first, 0, 0)];
        let (mut unsure, mut at) = (false, 0);
        while let Some((place, _, _)) = places.get(at).cloned() {
            if walk.is_end(&place) {
                let key = key_to(&places, at);
                if self.is_one(&key) {
                    return Overlap::Key(RedisKey::new(key));
                }
                unsure = true;
            }
            for byte in &walk.bytes {
                let new = walk.next(&place, *byte).into_iter().filter(|next| seen.insert(next.clone()));
                places.extend(new.map(|next| (next, at, *byte)));
            }
            at += 1;
            if places.len() > MOST_PLACES {
                return Overlap::Unknown;
            }
        }
        if unsure { Overlap::Unknown } else { Overlap::Never }
    }

    /// Whether a key is what is looked for, by the patterns themselves.
    fn is_one(&self, key: &[u8]) -> bool {
        let (Some(left), Some(right)) = (self.left.captures(key), self.right.captures(key)) else { return false };
        let differs = !self.differing || left.texts(key) != right.texts(key);
        differs && !self.excludes.iter().any(|exclude| exclude.matches(key))
    }
}

/// What a walk goes by.
struct Walk {
    left: Automaton,
    right: Automaton,
    excludes: Vec<Automaton>,
    /// One byte of each kind that any of them tells apart.
    bytes: Vec<u8>,
}

impl Walk {
    fn new(common: &Common<'_>, empty: bool) -> Self {
        let (left, right) = (Automaton::new(common.left, empty), Automaton::new(common.right, empty));
        // One whose texts are not known might exclude any key, and is asked once there is a key.
        let known = common.excludes.iter().filter(|pattern| pattern.is_known());
        let excludes: Vec<Automaton> = known.map(|pattern| Automaton::new(pattern, true)).collect();
        let mut letters = Letters::new();
        [&left, &right].into_iter().chain(&excludes).for_each(|automaton| automaton.tell_apart(&mut letters));
        Self { left, right, excludes, bytes: letters.examples() }
    }

    fn first(&self, differs: bool) -> Place {
        let excludes = self.excludes.iter().map(|exclude| vec![exclude.start()]).collect();
        Place { left: self.left.start(), right: self.right.start(), excludes, differs }
    }

    /// Whether a key may end here.
    fn is_end(&self, place: &Place) -> bool {
        let mut excludes = self.excludes.iter().zip(&place.excludes);
        place.differs
            && self.left.accepts(place.left)
            && self.right.accepts(place.right)
            && !excludes.any(|(by, states)| states.iter().any(|state| by.accepts(*state)))
    }

    /// The places after one more byte.
    fn next(&self, place: &Place, byte: u8) -> Vec<Place> {
        let excludes = self.excludes.iter().zip(&place.excludes);
        let excludes: Vec<Vec<State>> = excludes.map(|(by, states)| all_next(by, states, byte)).collect();
        let mut places = Vec::new();
        for (left, left_owner) in next(&self.left, place.left, byte) {
            for (right, right_owner) in next(&self.right, place.right, byte) {
                let differs = place.differs || left_owner != right_owner;
                places.push(Place { left, right, excludes: excludes.clone(), differs });
            }
        }
        places
    }
}

fn next(automaton: &Automaton, state: State, byte: u8) -> Vec<(State, Option<usize>)> {
    let mut out = Vec::new();
    automaton.next(state, byte, &mut out);
    out
}

fn all_next(automaton: &Automaton, states: &[State], byte: u8) -> Vec<State> {
    let mut out = Vec::new();
    states.iter().for_each(|state| automaton.next(*state, byte, &mut out));
    let mut states: Vec<State> = out.into_iter().map(|(state, _)| state).collect();
    states.sort_unstable();
    states.dedup();
    states
}

fn key_to(places: &[(Place, usize, u8)], mut at: usize) -> Vec<u8> {
    let mut key = Vec::new();
    while let (Some((_, from, byte)), true) = (places.get(at), at > 0) {
        key.push(*byte);
        at = *from;
    }
    key.reverse();
    key
}

#[cfg(test)]
mod tests {
    use super::{Common, Overlap};
    use crate::mapping::pattern::Pattern;

    fn common(left: &str, right: &str, differing: bool) -> Overlap {
        let (left, right) = (Pattern::parse(left).unwrap(), Pattern::parse(right).unwrap());
        let found = |left, right| Common { left, right, excludes: Vec::new(), differing }.find();
        let there = found(&left, &right);
        let back = found(&right, &left);
        assert_eq!(matches!(there, Overlap::Key(_)), matches!(back, Overlap::Key(_)), "{left:?} {right:?}");
        there
    }

    #[track_caller]
    fn overlap(left: &str, right: &str) -> String {
        match common(left, right, false) {
            Overlap::Key(key) => key.to_string(),
            other => panic!("{left} and {right}: {other:?}"),
        }
    }

    #[track_caller]
    fn never(left: &str, right: &str) {
        assert_eq!(common(left, right, false), Overlap::Never, "{left} and {right}");
    }

    #[test]
    fn overlaps_are_found_with_a_key() {
        assert_eq!(overlap("document:{id..}", "document:{id}:meta"), "document:a:meta");
        assert_eq!(overlap("document:{id..}", "document:{a}"), "document:a");
        assert_eq!(overlap("{a}:x", "b:{c}"), "b:x");
        assert_eq!(overlap("a:{b}:{c..}", "a:{b}:x:y"), "a:a:x:y");
        assert_eq!(overlap("a:{b}", "a:"), "a:");
        assert_eq!(overlap("", ""), "");
        assert_eq!(overlap("{a}-{b}", "{a}--{b}"), "a--a");
        overlap("{a..}", "session:{id}");
    }

    #[test]
    fn patterns_without_a_common_key_are_known() {
        never("document:{id}", "document:{id}:meta");
        never("document:{id..}", "documents:{id..}");
        never("{a}:x", "b:{c}:y");
        never("a:{x}:z", "a:{x}:{y}:z");
        never("", "a");
    }

    #[test]
    fn shapes_tell_patterns_apart() {
        never("d:{id:uuid}", "d:{id:int}");
        never("d:{id:int}", "d:latest");
        never("d:{id:uuid}", "d:latest");
        never("d:{id:int}", "d:{id:/[a-z]+/}");
        never("d:{id:/[a-f]+/}", "d:{id:/[g-z]+/}");
        never("d:{id:/[a-z]+/}:x", "d:{id:/[a-z]+[0-9]/}:x");
        assert_eq!(overlap("d:{id:int}", "d:007"), "d:007");
        assert_eq!(overlap("d:{id:/[a-z]+/}", r"d:{id:/\w{3}/}").len(), 5);
        assert_eq!(overlap("d:{id}", "d:{id:uuid}").len(), 38);
        assert_eq!(overlap("d:{id:/a+/}-{n:int}", "d:aaa-{x}"), "d:aaa-0");
    }

    #[test]
    fn what_is_too_large_to_work_out_is_not_guessed() {
        // The automata of both have a million states.
        let wide = |end: &str| format!("d:{{id:/[ab]*a[ab]{{20}}{end}/}}");
        assert_eq!(common(&wide("x"), &wide("y"), false), Overlap::Unknown);
        never(&wide("x"), "e:{id}");
    }

    #[test]
    fn patterns_that_read_a_key_alike_do_not_differ() {
        let differ = |left: &str, right: &str| common(left, right, true);
        assert_eq!(differ("u:{id}", "u:{id..}"), Overlap::Never);
        assert_eq!(differ("u:{id}", "u:{id:int}"), Overlap::Never);
        assert!(matches!(differ("u:{id..}", "u:x:{id}"), Overlap::Key(key) if key.as_bytes() == b"u:x:a"));
        assert!(matches!(differ("{a}:{b..}", "{a}:x:{b}"), Overlap::Key(_)));
    }

    #[test]
    fn excluded_keys_do_not_count() {
        let pattern = |text: &str| Pattern::parse(text).unwrap();
        let (left, right) = (pattern("u:{id..}"), pattern("u:{id}:lock"));
        let find = |excludes: &[Pattern]| {
            Common { left: &left, right: &right, excludes: excludes.iter().collect(), differing: false }.find()
        };
        assert!(matches!(find(&[]), Overlap::Key(_)));
        assert_eq!(find(&[pattern("u:{id}:lock")]), Overlap::Never);
        assert_eq!(find(&[pattern("u:{id}:{what}")]), Overlap::Never);
        let Overlap::Key(key) = find(&[pattern("u:{id:/[a-z]*/}:lock")]) else { panic!("a number is left") };
        assert_eq!(key.to_string(), "u:0:lock");
        assert!(matches!(find(&[pattern("u:{id:/[ab]*a[ab]{20}/}:lock")]), Overlap::Key(_) | Overlap::Unknown));
    }
}
