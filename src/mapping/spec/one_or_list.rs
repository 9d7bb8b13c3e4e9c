//! A setting that is a list, as it is written: the list, or what would be its only element.

use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer, StrDeserializer};
use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::marker::PhantomData;

/// Reads a list of texts or tables, or a single one.
pub(super) fn one_or_list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    deserializer.deserialize_any(OneOrList(PhantomData))
}

/// The same for a setting that may be left out.
pub(super) fn one_or_list_if_any<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<Vec<T>>, D::Error> {
    one_or_list(deserializer).map(Some)
}

struct OneOrList<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrList<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list, or one alone")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        T::deserialize(StrDeserializer::new(text)).map(|one| vec![one])
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|one| vec![one])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list))
    }
}

#[cfg(test)]
mod tests {
    use crate::mapping::{parse_mappings, specs_hash};

    const LISTS: &str = r#"
        [[mapping]]
        name = "a"
        match = ["a:{id}"]
        exclude = ["a:0"]
        decode = ["json"]
        into = "a.a"
        key = ["id"]
        after = ["b"]
        [[mapping.column]]
        name = "id"
        from = [{ source = "{id}", with = ["lower"] }]
        with = ["trim"]
        null_tokens = ["None"]
        formats = ["rfc2822"]
    "#;

    #[test]
    fn one_alone_is_a_list_of_one_and_the_same_mapping() {
        let alone = LISTS
            .replace(['[', ']'], "")
            .replace("mapping\n", "[[mapping]]\n")
            .replace("mapping.column\n", "[[mapping.column]]\n");
        let (alone, lists) = (parse_mappings(&alone).unwrap(), parse_mappings(LISTS).unwrap());
        assert_eq!(alone, lists);
        assert_eq!(specs_hash(&alone), specs_hash(&lists));
    }

    #[test]
    fn a_number_that_stands_for_no_value_needs_no_quotes() {
        let with = |default: &str| parse_mappings(&format!("{LISTS}default = {default}")).unwrap();
        assert_eq!(with("0"), with("'0'"));
        assert_eq!(with("true"), with("'true'"));
    }

    #[test]
    fn what_is_neither_is_told() {
        for (list, other) in [("[\"id\"]", "7"), ("[\"trim\"]", "{ mpa = {} }"), ("[\"a:0\"]", "[7]")] {
            let error = parse_mappings(&LISTS.replace(list, other)).unwrap_err().to_string();
            let expected = ["a list, or one alone", "unknown field `mpa`", "expected a string"];
            assert!(expected.iter().any(|part| error.contains(part)), "{other}: {error}");
        }
    }
}
