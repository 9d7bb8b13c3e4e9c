//! `match` as it is written: one pattern, or a list of them.

use serde::de::{SeqAccess, Visitor, value::SeqAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;

/// One key pattern or several, not yet understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPatterns(Vec<String>);

impl KeyPatterns {
    /// The patterns in their order.
    pub fn iter(&self) -> impl Iterator<Item = &String> {
        self.0.iter()
    }
}

impl From<&str> for KeyPatterns {
    fn from(pattern: &str) -> Self {
        Self(vec![pattern.to_owned()])
    }
}

impl Serialize for KeyPatterns {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            // As it is written mostly: the hash of a mapping goes by it.
            [one] => one.serialize(serializer),
            several => several.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for KeyPatterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrSeveral)
    }
}

struct OneOrSeveral;

impl<'de> Visitor<'de> for OneOrSeveral {
    type Value = KeyPatterns;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a pattern or a list of patterns")
    }

    fn visit_str<E>(self, pattern: &str) -> Result<KeyPatterns, E> {
        Ok(pattern.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, patterns: A) -> Result<KeyPatterns, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(patterns)).map(KeyPatterns)
    }
}

#[cfg(test)]
mod tests {
    use crate::mapping::KeyPatterns;

    #[test]
    fn one_pattern_is_written_as_it_was_before_there_could_be_several() {
        let read = |text: &str| serde_json::from_str::<KeyPatterns>(text);
        for text in [r#""a:{id}""#, r#"["a:{id}","b:{id}"]"#] {
            assert_eq!(serde_json::to_string(&read(text).unwrap()).unwrap(), text);
        }
        assert_eq!(read(r#"["a"]"#).unwrap(), "a".into());
        assert!(read("1").unwrap_err().to_string().contains("a pattern or a list of patterns"));
    }
}
