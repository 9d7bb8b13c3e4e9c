//! How a person writes where a column's value comes from: a text, or a table. As data, not yet checked.

use super::one_or_list::{one_or_list, one_or_list_if_any};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

/// One place that a value can come from.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum CandidateSpec {
    /// A source alone: `"$.path"`, `"$"` (the whole value), `"rest"`, `"redis.key"`, `"redis.expires_at"`,
    /// `"redis.digest"`, `"run.id"`, or a template of captures and paths such as `"{id}-{$.lang}"`.
    Source(String),
    /// A source of another kind, with functions of its own, or under a condition.
    Table(Box<SourceTable>),
}

/// A source as a table. Exactly one of `source`, `value`, `json`, `jq` and `collect` is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceTable {
    /// The source, as in the short form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// A constant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<ConstantSpec>,
    /// A constant, as JSON text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<String>,
    /// A jq filter over the whole value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jq: Option<String>,
    /// Fields of the record's top level, collected into one object as they are; those that the record has are taken.
    #[serde(default, deserialize_with = "one_or_list_if_any", skip_serializing_if = "Option::is_none")]
    pub collect: Option<Vec<String>>,
    /// Fields that `rest` leaves out besides those that other columns take.
    #[serde(default, deserialize_with = "one_or_list", skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
    /// Functions applied to this candidate's value; one that gives nothing passes on to the next candidate.
    #[serde(default, deserialize_with = "one_or_list", skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<FunctionSpec>,
    /// A path that must be present and not null for the candidate to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
}

/// A constant, of the type that it has in TOML.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a text, a number, `true` or `false` is expected")]
pub enum ConstantSpec {
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a point or an exponent, of double precision.
    Float(f64),
    /// A text.
    Text(String),
}

impl fmt::Display for ConstantSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(flag) => flag.fmt(f),
            Self::Integer(number) => number.fmt(f),
            // With its point, as it was written.
            Self::Float(number) => write!(f, "{number:?}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Reads a constant as the text that stands for it.
pub(super) fn constant_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    ConstantSpec::deserialize(deserializer).map(|constant| Some(constant.to_string()))
}

/// A function over a value.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum FunctionSpec {
    /// A name such as `lower`, or a call such as `split(':', 1)`.
    Call(String),
    /// A table in which texts are looked up.
    Lookup(LookupSpec),
}

/// A table in which texts are looked up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookupSpec {
    /// What each text becomes.
    pub map: BTreeMap<String, ConstantSpec>,
    /// What any other text becomes; without it, nothing, which passes on to the next candidate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<ConstantSpec>,
}

impl<'de> Deserialize<'de> for CandidateSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = |table: SourceTable| Self::Table(Box::new(table));
        deserializer.deserialize_any(TextOrTable { wanted: "a source", text: Self::Source, table, read: PhantomData })
    }
}

impl<'de> Deserialize<'de> for FunctionSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (text, table) = (Self::Call, Self::Lookup);
        deserializer.deserialize_any(TextOrTable { wanted: "a function", text, table, read: PhantomData })
    }
}

/// Reads a text or a table. serde's own untagged enums do not say which setting of a table is wrong.
struct TextOrTable<T, F, G> {
    wanted: &'static str,
    text: F,
    table: G,
    read: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>, O, F: FnOnce(String) -> O, G: FnOnce(T) -> O> Visitor<'de> for TextOrTable<T, F, G> {
    type Value = O;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: a text or a table", self.wanted)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<O, E> {
        Ok((self.text)(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<O, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(self.table)
    }
}

#[cfg(test)]
mod tests {
    use crate::mapping::ColumnSpec;
    use crate::mapping::{CandidateSpec, ConstantSpec, FunctionSpec};

    fn from(text: &str) -> Result<Vec<CandidateSpec>, String> {
        let column = toml::from_str::<ColumnSpec>(&format!("name = 'a'\nfrom = [{text}]"));
        column.map(|column| column.from).map_err(|error| error.to_string())
    }

    #[test]
    fn sources_are_texts_or_tables() {
        let read =
            from("'$.a', { value = 1 }, { source = 'rest', except = ['x'], with = ['text', { map = {} }] }").unwrap();
        let [CandidateSpec::Source(path), CandidateSpec::Table(one), CandidateSpec::Table(rest)] = read.as_slice()
        else {
            panic!("{read:?}");
        };
        assert_eq!((path.as_str(), &one.value), ("$.a", &Some(ConstantSpec::Integer(1))));
        assert_eq!((rest.source.as_deref(), rest.except.as_slice()), (Some("rest"), &["x".to_owned()][..]));
        assert!(matches!(rest.with.as_slice(), [FunctionSpec::Call(_), FunctionSpec::Lookup(_)]));
    }

    #[test]
    fn what_is_wrong_with_a_table_is_said() {
        let error = |text: &str| from(text).unwrap_err();
        assert!(error("{ sorce = '$.a' }").contains("unknown field `sorce`"), "{}", error("{ sorce = '$.a' }"));
        assert!(error("5").contains("a source: a text or a table"));
        assert!(error("{ value = [1] }").contains("a text, a number, `true` or `false`"));
        assert!(error("{ source = '$.a', with = [5] }").contains("a function: a text or a table"));
        assert!(error("{ source = '$.a', with = [{ maps = {} }] }").contains("unknown field `maps`"));
    }
}
