//! The types that a key's value can have in Redis, as far as they are read.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A type that can be read. The names are those that TYPE gives, but for RedisJSON's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RedisType {
    /// A string of bytes.
    #[default]
    String,
    /// Fields with values, without an order.
    Hash,
    /// A list.
    List,
    /// A set.
    Set,
    /// A sorted set: members with scores.
    Zset,
    /// A stream: entries with ids, each with fields.
    Stream,
    /// A JSON document of the module RedisJSON.
    Json,
    /// Any type of a module but RedisJSON's: there is no reading its values, but for DUMP.
    Module,
}

/// TYPE's answer for a document of RedisJSON.
const REDIS_JSON: &str = "ReJSON-RL";

impl RedisType {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::String, Self::Hash, Self::List, Self::Set, Self::Zset, Self::Stream, Self::Json, Self::Module];

    /// What TYPE answers for it; `module` for the types of modules, each of which has a name of its own.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Hash => "hash",
            Self::List => "list",
            Self::Set => "set",
            Self::Zset => "zset",
            Self::Stream => "stream",
            Self::Json => REDIS_JSON,
            Self::Module => "module",
        }
    }

    /// The type that TYPE names so: a name that Redis itself does not have is a module's.
    pub fn named(name: &str) -> Self {
        Self::ALL.into_iter().find(|known| known.name() == name).unwrap_or(Self::Module)
    }

    /// Whether the value is a collection of items.
    pub fn has_items(self) -> bool {
        !self.is_whole() && self != Self::Module
    }

    /// Whether the value is one run of bytes, as opposed to items.
    pub fn is_whole(self) -> bool {
        matches!(self, Self::String | Self::Json)
    }
}

impl fmt::Display for RedisType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RedisTypes(u8);

impl RedisTypes {
    /// No more than strings.
    pub const STRING: Self = Self(1);

    /// Whether a type is among them.
    pub fn has(self, redis_type: RedisType) -> bool {
        self.0 >> redis_type as u8 & 1 == 1
    }

    /// The one type that it holds, where it is one.
    pub fn only(self) -> Option<RedisType> {
        let mut all = self.iter();
        all.next().filter(|_| all.next().is_none())
    }

    /// The types.
    pub fn iter(self) -> impl Iterator<Item = RedisType> {
        RedisType::ALL.into_iter().filter(move |known| self.has(*known))
    }
}

impl FromIterator<RedisType> for RedisTypes {
    fn from_iter<I: IntoIterator<Item = RedisType>>(types: I) -> Self {
        Self(types.into_iter().fold(0, |all, one| all | 1 << one as u8))
    }
}

/// Their names, joined by commas.
impl fmt::Display for RedisTypes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, redis_type) in self.iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            redis_type.fmt(f)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{RedisType, RedisTypes};

    #[test]
    fn types_go_by_the_names_that_redis_gives_them() {
        for redis_type in RedisType::ALL {
            assert_eq!(RedisType::named(redis_type.name()), redis_type);
        }
        assert_eq!(RedisType::named("MBbloom--"), RedisType::Module);
    }

    #[test]
    fn sets_of_types() {
        let types: RedisTypes = [RedisType::Hash, RedisType::String].into_iter().collect();
        assert!(types.has(RedisType::Hash) && types.has(RedisType::String) && !types.has(RedisType::List));
        assert_eq!(types.only(), None);
        assert_eq!(types.to_string(), "string, hash");
        assert_eq!(RedisTypes::STRING.only(), Some(RedisType::String));
    }
}
