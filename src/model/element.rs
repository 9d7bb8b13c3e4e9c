//! Which element of a key a reject is of, and what is said of several: a key that is several rows has one reject.

use super::{Digest, Items, Reason, RedisKey, RedisType, Reject, Rivals};
use bytes::Bytes;

/// The most characters of a field's or member's name.
const NAME_WIDTH: usize = 80;
/// How many rejected elements are named behind the first.
const NAMED: usize = 5;
/// How many rejected elements of a key are known by their digests; of those beyond it nothing is known.
pub const ELEMENTS_KNOWN: usize = 512;

/// An element of a key, as far as it takes to say which one it is.
#[derive(Clone, Copy, Debug)]
pub struct ElementOf<'a> {
    /// The type of its key.
    pub redis_type: RedisType,
    /// Its bytes; of a collection packed.
    pub bytes: &'a [u8],
    /// Its place in the key, from 0.
    pub index: u64,
}

impl ElementOf<'_> {
    /// How people are told of it, such as `field "size"`, `entry 1704164645123-0` or `element 3`. Long names are cut.
    pub fn name(self) -> String {
        let first = || Items::of(self.bytes).next().map(cut).unwrap_or_default();
        match self.redis_type {
            RedisType::Hash => format!("field \"{}\"", first()),
            RedisType::Set | RedisType::Zset => format!("member \"{}\"", first()),
            RedisType::Stream => format!("entry {}", first()),
            _ => format!("element {}", self.index),
        }
    }

    /// The place in the key's value of a place in the element, where the place of the element says which one it is: in a
    /// list, and in the JSON array `array`. Of other elements it is the place within.
    pub(super) fn path(self, array: &str, within: Option<String>) -> Option<String> {
        let (array, tail) = match (self.redis_type, within.as_deref()) {
            (RedisType::Hash | RedisType::Set | RedisType::Zset | RedisType::Stream, _) => return within,
            // An element of a list is seen as `{"index", "value"}`.
            (RedisType::List, tail) => ("$", tail.and_then(|tail| tail.strip_prefix("$.value"))),
            (_, tail) => (array, tail.and_then(|tail| tail.strip_prefix('$'))),
        };
        Some(format!("{array}[{}]{}", self.index, tail.unwrap_or_default()))
    }
}

/// A name for people, as keys are printed.
fn cut(name: &[u8]) -> String {
    // No character has more than four bytes.
    let head = name.get(..NAME_WIDTH * 4).unwrap_or(name);
    let printed = RedisKey::new(Bytes::copy_from_slice(head)).to_string();
    match printed.char_indices().nth(NAME_WIDTH) {
        Some((end, _)) => printed.get(..end).unwrap_or_default().to_owned() + "…",
        None => printed,
    }
}

/// The rejected elements of a key: the first in full, the next ones by name, the others counted.
#[derive(Clone, Debug)]
pub(super) struct RejectedElements {
    first: Reject,
    named: Vec<String>,
    more: u64,
    /// Of the bytes of each, as far as they were read.
    digests: Vec<Digest>,
    rivals: Option<Box<Rivals>>,
}

impl RejectedElements {
    /// Begins with the first.
    pub(super) fn new(mut first: Reject) -> Self {
        let digests = digest(&first).into_iter().collect();
        let rivals = first.rivals.take();
        Self { first, named: Vec::new(), more: 0, digests, rivals }
    }

    /// Adds another one.
    pub(super) fn add(&mut self, reject: &Reject) {
        self.more += 1;
        self.meet(reject.rivals.as_deref());
        if self.named.len() < NAMED {
            self.named.push(named(reject.element(), &reject.reason));
        }
        if self.digests.len() < ELEMENTS_KNOWN {
            self.digests.extend(digest(reject));
        }
    }

    /// Adds those of another reading, or of another part of the key.
    pub(super) fn extend(&mut self, other: &Self) {
        self.add(&other.first);
        self.meet(other.rivals.as_deref());
        self.more += other.more;
        let room = NAMED.saturating_sub(self.named.len());
        self.named.extend(other.named.iter().take(room).cloned());
        // The first of them is known already.
        let further = other.digests.iter().skip(usize::from(other.first.value.is_some()));
        self.digests.extend(further.take(ELEMENTS_KNOWN.saturating_sub(self.digests.len())));
    }

    fn meet(&mut self, rivals: Option<&Rivals>) {
        if let Some(rivals) = rivals {
            self.rivals.get_or_insert_default().extend(rivals);
        }
    }

    /// The reject of the key.
    pub(super) fn into_reject(self) -> Reject {
        let Self { first: mut reject, named, more, digests, rivals } = self;
        if let Some(replay) = &mut reject.replay {
            replay.elements = Some(digests.iter().flat_map(|digest| digest.bytes()).collect());
        }
        reject.rivals = rivals;
        if let Some(element) = reject.element() {
            reject.detail = format!("{element}: {}", reject.detail);
        }
        if more > 0 {
            let were = if more == 1 { "was" } else { "were" };
            reject.detail.push_str(&format!("; {more} more of its elements {were} rejected: {}", named.join(", ")));
            let others = more - named.len() as u64;
            if others > 0 {
                reject.detail.push_str(&format!(" and {others} others"));
            }
        }
        reject
    }
}

/// What a rejected element is known by.
fn digest(reject: &Reject) -> Option<Digest> {
    reject.value.as_ref().map(|value| Digest::of(value))
}

fn named(element: Option<&str>, reason: &Reason) -> String {
    format!("{} ({reason})", element.unwrap_or("an element"))
}

#[cfg(test)]
mod tests {
    use super::{ELEMENTS_KNOWN, ElementOf, RejectedElements};
    use crate::model::{Digest, Packer, RedisKey, RedisType, Reject, Replay};
    use bytes::Bytes;

    fn packed(items: &[&'static [u8]]) -> bytes::Bytes {
        items.iter().copied().collect::<Packer>().finish()
    }

    #[test]
    fn an_element_is_named_by_what_its_type_knows_it_by() {
        let name =
            |redis_type, items: &[&'static [u8]]| ElementOf { redis_type, bytes: &packed(items), index: 3 }.name();
        assert_eq!(name(RedisType::Hash, &[b"si\xffze", b"1"]), r#"field "si\xffze""#);
        assert_eq!(name(RedisType::Zset, &[b"ann", b"1.5"]), r#"member "ann""#);
        assert_eq!(name(RedisType::Set, &[b"red"]), r#"member "red""#);
        assert_eq!(name(RedisType::Stream, &[b"17-0", b"1", b"a", b"b"]), "entry 17-0");
        assert_eq!(name(RedisType::List, &[b"x"]), "element 3");
        let long: &'static [u8] = Box::leak(vec![b'x'; 100_000].into_boxed_slice());
        assert!(name(RedisType::Set, &[long]).chars().count() < 100);
    }

    #[test]
    fn the_path_of_an_element_with_a_place_is_one_of_the_value() {
        let path = |redis_type, array: &str, within: Option<&str>| {
            ElementOf { redis_type, bytes: b"", index: 3 }.path(array, within.map(str::to_owned))
        };
        let text = |path: Option<String>| path.unwrap_or_default();
        assert_eq!(text(path(RedisType::String, "$.items", Some("$.price"))), "$.items[3].price");
        assert_eq!(text(path(RedisType::Json, "$", None)), "$[3]");
        assert_eq!(text(path(RedisType::List, "$", Some("$.value.n"))), "$[3].n");
        assert_eq!(text(path(RedisType::List, "$", Some("$.index"))), "$[3]");
        assert_eq!(text(path(RedisType::Hash, "$", Some("$.value.n"))), "$.value.n");
        assert_eq!(path(RedisType::Stream, "$", None), None);
    }

    #[test]
    fn some_rejected_elements_are_named_and_the_others_counted() {
        let reject = |name: usize| Reject {
            replay: Some(Box::new(Replay { element: Some(format!("element {name}")), ..Replay::default() })),
            ..Reject::new(RedisKey::new("k"), "integer", "no integer", None)
        };
        let mut all = RejectedElements::new(reject(0));
        assert_eq!(all.clone().into_reject().detail, "element 0: no integer");
        all.add(&reject(1));
        assert_eq!(
            all.clone().into_reject().detail,
            "element 0: no integer; 1 more of its elements was rejected: element 1 (integer)"
        );
        assert_eq!(
            all.clone().into_reject().replay.and_then(|replay| replay.elements),
            Some(Bytes::new()),
            "no value was read"
        );
        let mut further = RejectedElements::new(reject(2));
        (3..100).for_each(|name| further.add(&reject(name)));
        all.extend(&further);
        let detail = all.into_reject().detail;
        assert!(
            detail.starts_with("element 0: no integer; 99 more of its elements were rejected: element 1 (integer), e")
        );
        assert!(detail.ends_with("element 5 (integer) and 94 others"), "{detail}");
    }

    #[test]
    fn rejected_elements_are_known_by_their_bytes() {
        let reject = |name: usize| Reject {
            replay: Some(Box::new(Replay::default())),
            ..Reject::new(RedisKey::new("k"), "integer", "no integer", Some(Bytes::from(name.to_string())))
        };
        let all = |names: std::ops::Range<usize>| {
            let mut names = names.map(reject);
            let mut all = RejectedElements::new(names.next().unwrap());
            names.for_each(|reject| all.add(&reject));
            all
        };
        let known = |all: RejectedElements| all.into_reject().replay.and_then(|replay| replay.elements).unwrap();
        let mut some = all(0..3);
        some.extend(&all(3..5));
        let digests: Vec<u8> = (0..5).flat_map(|name| Digest::of(name.to_string().as_bytes()).bytes()).collect();
        assert_eq!(known(some), digests);
        let mut many = all(0..ELEMENTS_KNOWN);
        many.add(&reject(1));
        many.extend(&all(0..9));
        assert_eq!(known(many).len(), ELEMENTS_KNOWN * 16);
    }
}
