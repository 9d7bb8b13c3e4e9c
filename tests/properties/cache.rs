//! Random caches: few ids in several spellings, so that keys collide and refer to each other, and values of all kinds.

use crate::support::Case;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::collections::BTreeMap;
use std::fmt;

/// Bytes that are shown as text in a failure.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(pub(crate) Vec<u8>);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl Key {
    /// The mapping that takes it, by its prefix.
    pub(crate) fn mapping(&self) -> Option<&'static str> {
        let families = [("document:", "documents"), ("analysis:", "analyses"), ("session:", "sessions")];
        families.into_iter().find(|(prefix, _)| self.0.starts_with(prefix.as_bytes())).map(|(_, mapping)| mapping)
    }

    /// The key with its id as PostgreSQL's uuid reads it: spellings of one UUID are one row.
    pub(crate) fn row(&self) -> Vec<u8> {
        self.0.iter().filter(|byte| **byte != b'-').map(u8::to_ascii_lowercase).collect()
    }
}

/// What a key holds.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    kind: Kind,
    /// Shown in the row: which version of the value was loaded.
    pub(crate) number: u16,
    /// The document that it refers to.
    parent: String,
}

#[derive(Clone, Debug)]
enum Kind {
    Good,
    /// One of the values that are broken for every mapping.
    Broken(&'static [u8]),
    /// A field that a good value has is missing or of another kind.
    Odd,
    Hash,
}

const BROKEN: [&[u8]; 8] =
    [b"", b" ", b"{", b"[1]", b"{\"a\":NaN}", b"{\"a\":\"\\u0000\"}", b"\x1f\x8b\x08", b"{\"a\":\"\xff\"}"];

impl Held {
    /// The string of a key of that mapping; `None` for a hash.
    fn value(&self, mapping: Option<&str>) -> Option<Vec<u8>> {
        let (number, parent) = (self.number, serde_json::to_string(&self.parent).unwrap());
        let text = match (&self.kind, mapping) {
            (Kind::Hash, _) => return None,
            (Kind::Broken(bytes), _) => return Some(bytes.to_vec()),
            (Kind::Good, Some("documents")) => {
                format!(r#"{{"file_path":"f/{number}.pdf","file_size":{number},"metadata":"{{\"n\":1}}"}}"#)
            }
            (Kind::Odd, Some("documents")) => format!(r#"{{"file_path":"f","file_size":"{number} bytes"}}"#),
            (Kind::Good, Some("analyses")) => {
                format!(r#"{{"document_id":{parent},"analysis":{{"summary":"{number}"}}}}"#)
            }
            (Kind::Odd, Some("analyses")) => r#"{"analysis":{}}"#.to_owned(),
            (Kind::Odd, Some("sessions")) => r#"{"created_at":"yesterday"}"#.to_owned(),
            _ => format!(r#"{{"user_id":"{number}","document_id":{parent}}}"#),
        };
        Some(text.into_bytes())
    }
}

/// Keys and what they hold.
#[derive(Clone, Debug)]
pub(crate) struct Cache(pub(crate) BTreeMap<Key, Held>);

/// What happens to a cache between two runs.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    Rewrite(Index, Held),
    Remove(Index),
    Add(Key, Held),
}

impl Cache {
    /// Writes it into the Redis of the case, over what is there.
    pub(crate) fn load(&self, case: &Case) {
        let mut client = case.redis();
        assert_eq!(client.answer(&[b"FLUSHDB"]), "+OK");
        for (key, held) in &self.0 {
            match held.value(key.mapping()) {
                Some(value) => assert_eq!(client.answer(&[b"SET", &key.0, &value]), "+OK"),
                None => assert_eq!(client.integer(&[b"HSET", &key.0, b"f", b"v"]), 1),
            }
        }
    }

    /// Changes some keys.
    pub(crate) fn change(&mut self, changes: &[Change]) {
        for change in changes {
            let at = |index: &Index, cache: &Self| cache.0.keys().nth(index.index(cache.0.len())).cloned();
            match change {
                Change::Add(key, held) => {
                    self.0.insert(key.clone(), held.clone());
                }
                Change::Rewrite(..) | Change::Remove(_) if self.0.is_empty() => {}
                Change::Rewrite(index, held) => {
                    self.0.insert(at(index, self).unwrap(), held.clone());
                }
                Change::Remove(index) => {
                    self.0.remove(&at(index, self).unwrap());
                }
            }
        }
    }
}

/// How the command is told to work; none of it may change what comes out.
#[derive(Clone, Debug)]
pub(crate) struct Knobs {
    batch_rows: &'static str,
    writers: &'static str,
    staging: &'static str,
    spill_limit: &'static str,
}

impl Knobs {
    /// Its arguments.
    pub(crate) fn arguments(&self) -> [&'static str; 9] {
        let Self { batch_rows, writers, staging, spill_limit } = self;
        let [rows, spill] = ["--batch-rows", "--spill-limit"];
        [rows, batch_rows, "--writers", writers, "--staging", staging, spill, spill_limit, "--allow-empty"]
    }
}

/// Spellings of three UUIDs, and ids that are text.
fn id() -> impl Strategy<Value = String> {
    let spelled = |(number, spelling): (u8, u8)| {
        let uuid = format!("aaaaaaaa-0000-4000-8000-00000000000{number}");
        match spelling {
            0 => uuid.to_uppercase(),
            1 => uuid.replace('-', ""),
            _ => uuid,
        }
    };
    let text = select(vec!["a", "A", " a", "x:y", "é"]);
    prop_oneof![3 => (0..3_u8, 0..4_u8).prop_map(spelled), 2 => text.prop_map(str::to_owned)]
}

fn key() -> impl Strategy<Value = Key> {
    let family = prop_oneof![5 => Just("document:"), 4 => Just("analysis:"), 2 => Just("session:"), 1 => Just("x:")];
    let odd = select(vec![b"".as_slice(), b"\xff\xfe", b"a\0b"]).prop_map(<[u8]>::to_vec);
    let id = prop_oneof![9 => id().prop_map(String::into_bytes), 1 => odd];
    (family, id).prop_map(|(family, id)| Key([family.as_bytes(), &id].concat()))
}

fn held() -> impl Strategy<Value = Held> {
    let broken = select(BROKEN.to_vec()).prop_map(Kind::Broken);
    let kind = prop_oneof![8 => Just(Kind::Good), 2 => broken, 1 => Just(Kind::Odd), 1 => Just(Kind::Hash)];
    (kind, 0..1000_u16, id()).prop_map(|(kind, number, parent)| Held { kind, number, parent })
}

/// Caches of up to thirty keys.
pub(crate) fn cache() -> impl Strategy<Value = Cache> {
    prop::collection::btree_map(key(), held(), 0..30).prop_map(Cache)
}

/// Up to a dozen changes.
pub(crate) fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        (any::<Index>(), held()).prop_map(|(index, held)| Change::Rewrite(index, held)),
        any::<Index>().prop_map(Change::Remove),
        (key(), held()).prop_map(|(key, held)| Change::Add(key, held)),
    ];
    prop::collection::vec(change, 0..12)
}

/// Batches of one row and of all rows, with and without the short ways.
pub(crate) fn knobs() -> impl Strategy<Value = Knobs> {
    let rows = select(vec!["8000", "3", "1"]);
    let (writers, staging) = (select(vec!["1", "2"]), select(vec!["auto", "always"]));
    (rows, writers, staging, select(vec!["1MiB", "0"])).prop_map(|(batch_rows, writers, staging, spill_limit)| Knobs {
        batch_rows,
        writers,
        staging,
        spill_limit,
    })
}
