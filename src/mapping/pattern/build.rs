//! Making a key of a pattern: the other way round.

use super::{Part, Pattern};
use crate::model::RedisKey;

impl Pattern {
    /// The key whose one capture is `text`; `None` where there are more captures or none, or where the key would be read
    /// otherwise: an empty text, one of the wrong shape, one that holds what ends it.
    pub(super) fn build(&self, text: &str) -> Option<RedisKey> {
        if text.is_empty() || self.names.len() != 1 {
            return None;
        }
        let key: String = self
            .parts
            .iter()
            .map(|part| match part {
                Part::Literal(literal) => literal.as_str(),
                Part::Capture(_) => text,
            })
            .collect();
        let same = self.captures(key.as_bytes())?.text(&key, 0) == text;
        same.then(|| RedisKey::new(key.into_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn keys_are_built_back_where_they_would_be_read_the_same() {
        let built = |text: &str, id: &str| Pattern::parse(text).unwrap().build(id).map(|key| key.to_string());
        assert_eq!(built("document:{id..}", "a:b").as_deref(), Some("document:a:b"));
        assert_eq!(built("document:{id}", "a:b"), None);
        assert_eq!(built("t:{id}:meta", "7").as_deref(), Some("t:7:meta"));
        assert_eq!(built("t:{id}-meta", "7-meta"), None);
        assert_eq!(built("document:{id..}", ""), None);
        assert_eq!(built("{a}:{b}", "7"), None);
        assert_eq!(built("document", "7"), None);
        assert_eq!(built("document:{id:int}", "7").as_deref(), Some("document:7"));
        assert_eq!(built("document:{id:int}", "x"), None);
        assert_eq!(built("document:{id:uuid}", "7"), None);
        assert_eq!(built("{{{id}}}:x", "a").as_deref(), Some("{a}:x"));
    }
}
