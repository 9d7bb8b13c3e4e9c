//! `type` as it is written: one type of Redis, or a list of them.

use crate::config::nearest;
use crate::model::RedisType;
use serde::de::value::{Error as Unknown, SeqAccessDeserializer, StrDeserializer};
use serde::de::{Error, IntoDeserializer, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;

/// The names of the types, as a mapping has them.
const NAMES: [&str; 8] = ["string", "hash", "list", "set", "zset", "stream", "json", "module"];
/// What stands for all of them.
const ANY: &str = "any";

/// Reads one type or several.
pub(super) fn one_or_several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<RedisType>, D::Error> {
    deserializer.deserialize_any(OneOrSeveral)
}

fn named<E: Error>(name: &str) -> Result<Vec<RedisType>, E> {
    match name {
        ANY => return Ok(RedisType::ALL.to_vec()),
        "hyperloglog" => {
            let message =
                "`type`: `hyperloglog` is no type of its own: to Redis it is a string, which `redis.dump` saves";
            return Err(E::custom(message));
        }
        _ => {}
    }
    let deserializer: StrDeserializer<'_, Unknown> = name.into_deserializer();
    RedisType::deserialize(deserializer).map(|one| vec![one]).map_err(|_| {
        let near = nearest(name, NAMES.into_iter().chain([ANY]))
            .map(|near| format!(" (did you mean `{near}`?)"))
            .unwrap_or_default();
        E::custom(format!("`type`: there is no `{name}`{near}; the types are {} and {ANY}", NAMES.join(", ")))
    })
}

struct OneOrSeveral;

impl<'de> Visitor<'de> for OneOrSeveral {
    type Value = Vec<RedisType>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a type of Redis or a list of types")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<Self::Value, E> {
        named(name)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, names: A) -> Result<Self::Value, A::Error> {
        let names: Vec<String> = Vec::deserialize(SeqAccessDeserializer::new(names))?;
        let types: Vec<Vec<RedisType>> = names.iter().map(|name| named(name)).collect::<Result<_, _>>()?;
        Ok(types.concat())
    }
}

#[cfg(test)]
mod tests {
    use super::{NAMES, one_or_several};
    use crate::model::RedisType;

    fn read(json: &str) -> Result<Vec<RedisType>, String> {
        one_or_several(&mut serde_json::Deserializer::from_str(json)).map_err(|error| error.to_string())
    }

    #[test]
    fn every_type_has_its_name_and_a_mistake_is_told_with_the_nearest() {
        let all: Vec<RedisType> = NAMES.iter().flat_map(|name| read(&format!("{name:?}")).unwrap()).collect();
        assert_eq!(all, RedisType::ALL);
        assert_eq!(read(r#"["set","zset"]"#).unwrap(), [RedisType::Set, RedisType::Zset]);
        for json in [r#""sset""#, r#"["hash","sset"]"#] {
            let error = read(json).unwrap_err();
            assert!(error.contains("`type`: there is no `sset` (did you mean `zset`?)"), "{error}");
        }
        let error = read(r#""bloom""#).unwrap_err();
        assert!(error.contains("there is no `bloom`; the types are string, hash"), "{error}");
        assert!(read("1").unwrap_err().contains("a type of Redis or a list of types"));
    }
}
