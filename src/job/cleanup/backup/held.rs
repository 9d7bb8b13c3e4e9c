//! Whether what a backup read of a key is what was compared of it. Pure.

use crate::backup::{Entry, Logical};
use crate::model::{ContentDigest, ContentHasher, FieldExpiries, RedisType};
use crate::source::redis::{Candidate, Content};

/// What was read of a key so far, entry by entry.
pub(super) struct Held {
    redis_type: RedisType,
    /// Whether it counts when fields expire.
    timed_fields: bool,
    hasher: ContentHasher,
    /// Whether it is of the type that was compared.
    agrees: bool,
    /// Whether anything was read that can be compared: a dump says nothing of a document.
    has_content: bool,
}

impl Held {
    /// Nothing yet.
    pub(super) fn new(candidate: &Candidate) -> Self {
        let timed_fields = matches!(&candidate.content, Content::Digest(digest) if digest.has_field_expiry());
        let hasher = ContentHasher::new(candidate.redis_type);
        Self { redis_type: candidate.redis_type, timed_fields, hasher, agrees: true, has_content: false }
    }

    /// Takes in an entry. One with the number 0 begins anew.
    pub(super) fn push(&mut self, entry: &Entry) {
        if entry.part.is_first() {
            (self.hasher, self.agrees, self.has_content) = (ContentHasher::new(self.redis_type), true, false);
        }
        self.agrees &= entry.redis_type() == self.redis_type;
        self.has_content |= entry.logical.is_some() || self.redis_type == RedisType::Module;
        match (&entry.logical, &entry.dump) {
            (Some(Logical::Bytes(bytes) | Logical::Items(bytes)), _) => self.hasher.update(bytes, None),
            (Some(Logical::Hash { items, expiries }), _) => {
                let untimed = || vec![-1; crate::model::Items::of(items).pairs().count()];
                let at = self.timed_fields.then(|| expiries.clone().unwrap_or_else(untimed));
                let fields = at.map(|at| FieldExpiries { at, now: None });
                self.hasher.update(items, fields.as_ref());
            }
            (Some(Logical::Stream { entries, .. }), _) => self.hasher.update(entries, None),
            (None, Some(dump)) if self.redis_type == RedisType::Module => self.hasher.update(dump, None),
            (None, _) => {}
        }
    }

    /// Whether what was read of a key cannot be compared: it is of the type that was, and nothing tells what it holds.
    pub(super) fn is_incomparable(&self) -> bool {
        self.agrees && !self.has_content
    }

    /// Whether all of it is what was compared.
    pub(super) fn is(&self, candidate: &Candidate) -> bool {
        let expected = match &candidate.content {
            Content::Exact(bytes) => ContentDigest::of(candidate.redis_type, bytes),
            Content::Digest(digest) => *digest,
        };
        self.agrees && self.hasher.clone().finish() == expected
    }
}

#[cfg(test)]
mod tests {
    use super::Held;
    use crate::backup::{Entry, Logical, Part};
    use crate::model::{ContentDigest, ContentHasher, FieldExpiries, Packer, RedisKey, RedisType};
    use crate::source::redis::{Candidate, Content};
    use bytes::Bytes;

    fn entry(redis_type: RedisType, logical: Logical, (number, last): (u32, bool)) -> Entry {
        Entry {
            database: 0,
            key: RedisKey::new("k"),
            type_name: redis_type.name().into(),
            expires_at: None,
            part: Part { number, last },
            dump: None,
            logical: Some(logical),
        }
    }

    fn packed(items: &[&'static str]) -> Bytes {
        items.iter().map(|item| item.as_bytes()).collect::<Packer>().finish()
    }

    fn candidate(redis_type: RedisType, content: Content) -> Candidate {
        Candidate { key: RedisKey::new("k"), redis_type, expires_at: None, content }
    }

    fn holds(candidate: &Candidate, entries: &[Entry]) -> bool {
        let mut held = Held::new(candidate);
        entries.iter().for_each(|entry| held.push(entry));
        held.is(candidate)
    }

    #[test]
    fn parts_are_put_together_and_a_first_part_begins_anew() {
        let digest = ContentDigest::of(RedisType::Set, &packed(&["a", "b", "c"]));
        let set = candidate(RedisType::Set, Content::Digest(digest));
        let part = |items: &[&'static str], place| entry(RedisType::Set, Logical::Items(packed(items)), place);
        assert!(holds(&set, &[part(&["c", "a", "b"], (0, true))]));
        assert!(holds(&set, &[part(&["x"], (0, false)), part(&["b"], (0, false)), part(&["a", "c"], (1, true))]));
        assert!(!holds(&set, &[part(&["a", "b"], (0, true))]));
        assert!(!holds(&set, &[entry(RedisType::List, Logical::Items(packed(&["a", "b", "c"])), (0, true))]));
    }

    #[test]
    fn a_document_is_compared_by_its_text_and_never_by_its_dump_alone() {
        let text = Bytes::from_static(b"{\"a\":1}");
        let document = candidate(RedisType::Json, Content::Digest(ContentDigest::of(RedisType::Json, &text)));
        let written = |text: &'static str, place| entry(RedisType::Json, Logical::Bytes(text.into()), place);
        let dumped = |place| Entry { dump: Some("dump".into()), logical: None, ..written("", place) };
        let both = Entry { dump: Some("dump".into()), ..written("{\"a\":1}", (0, true)) };
        assert!(holds(&document, &[both]));
        assert!(holds(&document, &[dumped((0, false)), written("{\"a\"", (1, false)), written(":1}", (2, true))]));
        let incomparable = |entries: &[Entry]| {
            let mut held = Held::new(&document);
            entries.iter().for_each(|entry| held.push(entry));
            (held.is(&document), held.is_incomparable())
        };
        assert_eq!(incomparable(&[dumped((0, true))]), (false, true));
        // Begun anew, another document, and what is none any more.
        assert_eq!(incomparable(&[written("{}", (0, false)), dumped((0, true))]), (false, true));
        assert_eq!(incomparable(&[written("{}", (0, true))]), (false, false));
        assert_eq!(incomparable(&[entry(RedisType::String, Logical::Bytes("{}".into()), (0, true))]), (false, false));
    }

    #[test]
    fn the_bytes_of_a_string_are_compared_and_times_of_fields_where_they_count() {
        let string = candidate(RedisType::String, Content::Exact(Bytes::from_static(b"v")));
        let bytes = |text: &'static [u8]| entry(RedisType::String, Logical::Bytes(Bytes::from_static(text)), (0, true));
        assert!(holds(&string, &[bytes(b"v")]) && !holds(&string, &[bytes(b"w")]));
        let items = packed(&["f", "1"]);
        let hash = |expiries| entry(RedisType::Hash, Logical::Hash { items: items.clone(), expiries }, (0, true));
        let plain = candidate(RedisType::Hash, Content::Digest(ContentDigest::of(RedisType::Hash, &items)));
        assert!(holds(&plain, &[hash(Some(vec![5]))]) && holds(&plain, &[hash(None)]));
        let mut hasher = ContentHasher::new(RedisType::Hash);
        hasher.update(&items, Some(&FieldExpiries { at: vec![5], now: None }));
        let timed = candidate(RedisType::Hash, Content::Digest(hasher.finish()));
        assert!(holds(&timed, &[hash(Some(vec![5]))]) && !holds(&timed, &[hash(None)]));
    }
}
