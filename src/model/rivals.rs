//! The keys whose rows a rejected key maps to.

use super::RedisKey;
use std::collections::BTreeSet;
use std::fmt::Write;

/// So many are named. A key of many elements may meet the rows of as many others.
const NAMED: usize = 1000;

/// What stands for those that are not named.
const MORE: &str = "*";

/// Keys, each with the number of its database, whose rows a key maps to that was rejected for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rivals(BTreeSet<String>);

impl Rivals {
    /// One key.
    pub fn one(database: u8, key: &RedisKey) -> Self {
        Self(BTreeSet::from([Self::name(database, key)]))
    }

    /// How the ledger names a key.
    pub fn name(database: u8, key: &RedisKey) -> String {
        let mut name = format!("{database}/");
        for byte in key.as_bytes() {
            // Writing to a String does not fail.
            let _ = write!(name, "{byte:02x}");
        }
        name
    }

    /// Adds those of another element of the key. Beyond a thousand it is only known that there are more.
    pub fn extend(&mut self, other: &Self) {
        for name in &other.0 {
            if self.0.len() >= NAMED && !self.0.contains(name) {
                self.0.insert(MORE.to_owned());
                return;
            }
            self.0.insert(name.clone());
        }
    }

    /// The names, as the ledger keeps them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Whether this name stands for keys that are not named.
    pub fn is_more(name: &str) -> bool {
        name == MORE
    }
}

#[cfg(test)]
mod tests {
    use super::{NAMED, Rivals};
    use crate::model::RedisKey;

    #[test]
    fn beyond_so_many_it_is_only_known_that_there_are_more() {
        let mut rivals = Rivals::one(3, &RedisKey::new(&b"a\xff/"[..]));
        assert_eq!(rivals.names().collect::<Vec<_>>(), ["3/61ff2f"]);
        for number in 0..2 * NAMED {
            rivals.extend(&Rivals::one(0, &RedisKey::new(number.to_string())));
        }
        assert_eq!(rivals.names().count(), NAMED + 1);
        assert!(rivals.names().any(Rivals::is_more));
        let mut few = Rivals::default();
        few.extend(&rivals);
        assert!(few.names().any(Rivals::is_more), "what is not named is not forgotten");
    }
}
