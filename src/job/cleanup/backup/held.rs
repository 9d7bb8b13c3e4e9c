//! Whether what a backup read of a key is what was compared of it; and what the key must be like to go, so that the backup has all of
//! it. Pure.

use crate::backup::{Entry, Logical};
use crate::model::{ContentHasher, FieldExpiries, RedisType, UnixMillis};
use crate::source::redis::{Candidate, Content, StreamReading};

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
    /// A hash with the times of its fields, where the server tells them and they were not compared.
    with_times: Option<ContentHasher>,
    /// What a stream has beside its entries.
    stream: StreamReading,
    expires_at: Option<UnixMillis>,
}

impl Held {
    /// Nothing yet. `tells_times`: whether the server tells when the fields of hashes expire.
    pub(super) fn new(candidate: &Candidate, tells_times: bool) -> Self {
        let timed_fields = matches!(&candidate.content, Content::Digest(digest) if digest.has_field_expiry());
        let (redis_type, hasher) = (candidate.redis_type, ContentHasher::new(candidate.redis_type));
        let with_times = (redis_type == RedisType::Hash && tells_times && !timed_fields).then(|| hasher.clone());
        let (agrees, has_content, stream, expires_at) = (true, false, StreamReading::new(), None);
        Self { redis_type, timed_fields, hasher, agrees, has_content, with_times, stream, expires_at }
    }

    /// Takes in an entry. One with the number 0 begins anew.
    pub(super) fn push(&mut self, entry: &Entry) {
        if entry.part.is_first() {
            (self.hasher, self.agrees, self.has_content) = (ContentHasher::new(self.redis_type), true, false);
            self.stream = StreamReading::new();
            self.with_times.iter_mut().for_each(|hasher| *hasher = ContentHasher::new(self.redis_type));
        }
        self.expires_at = entry.expires_at;
        self.agrees &= entry.redis_type() == self.redis_type;
        self.has_content |= entry.logical.is_some() || self.redis_type == RedisType::Module;
        match (&entry.logical, &entry.dump) {
            (Some(Logical::Bytes(bytes) | Logical::Items(bytes)), _) => self.hasher.update(bytes, None),
            (Some(Logical::Hash { items, expiries }), _) => {
                let untimed = || vec![-1; crate::model::Items::of(items).pairs().count()];
                let fields = FieldExpiries { at: expiries.clone().unwrap_or_else(untimed), now: None };
                self.hasher.update(items, self.timed_fields.then_some(&fields));
                self.with_times.iter_mut().for_each(|hasher| hasher.update(items, Some(&fields)));
            }
            (Some(Logical::Stream { entries, facts, groups }), _) => {
                self.hasher.update(entries, None);
                self.stream.take(facts.as_ref(), groups);
            }
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
        self.agrees && self.hasher.clone().finish() == candidate.digest()
    }

    /// The candidate, which must be as the backup has it also in what was not compared: when the key expires, and the fields of a
    /// hash; what a stream has beside its entries.
    pub(super) fn bind(self, candidate: Candidate) -> Candidate {
        let content = match (candidate.redis_type, self.with_times) {
            (RedisType::Hash, Some(hasher)) => Content::Digest(hasher.finish()),
            (RedisType::Stream, _) => Content::Stream(candidate.digest(), self.stream.finish()),
            _ => candidate.content,
        };
        let expires_at = candidate.expires_at.or(Some(self.expires_at));
        Candidate { expires_at, content, ..candidate }
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
        let mut held = Held::new(candidate, true);
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
            let mut held = Held::new(&document, true);
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

    #[test]
    fn what_was_not_compared_must_be_as_the_backup_has_it() {
        let items = packed(&["f", "1"]);
        let plain = candidate(RedisType::Hash, Content::Digest(ContentDigest::of(RedisType::Hash, &items)));
        let bound = |expiries, tells_times| {
            let logical = Logical::Hash { items: items.clone(), expiries };
            let mut held = Held::new(&plain, tells_times);
            held.push(&Entry { expires_at: Some(7), ..entry(RedisType::Hash, logical, (0, true)) });
            assert!(held.is(&plain));
            held.bind(plain.clone())
        };
        let digest = |expiries, tells_times| bound(expiries, tells_times).digest();
        assert_eq!(bound(None, true).expires_at, Some(Some(7)));
        assert_ne!(digest(Some(vec![5]), true), digest(None, true));
        assert!(digest(None, true).has_field_expiry(), "one that gets a time later is another");
        // Where the server tells none there is none to ask for.
        assert_eq!(digest(None, false), plain.digest());
    }
}
