//! What a person writes: a `[[mapping]]` of the configuration file, as data, not yet checked against any table.
//!
//! Owns the vocabulary of the mapping language; `compile` gives it meaning. Uses `model::TableName`,
//! the names of `decode`'s and `encode`'s policies, and serde; checks are `compile`'s.

mod column;
pub(super) mod databases;
mod key_patterns;
mod lineage;
mod of_redis;
mod one_or_list;
mod redis_types;
mod rights;
mod source;

pub use column::{ColumnSpec, Expect};
pub use databases::Databases;
pub use key_patterns::KeyPatterns;
pub use lineage::{LineageApart, LineageColumns, LineageSpec};
pub use rights::Right;
pub use source::{CandidateSpec, ConstantSpec, FunctionSpec, LookupSpec, SourceTable};

use super::{Expired, RemovedElements};
use crate::decode::{BytesPolicy, Charset, DuplicateKeys, NonfinitePolicy, NulPolicy, SurrogatePolicy};
use crate::model::{RedisType, TableName};
use one_or_list::one_or_list;
use redis_types::one_or_several;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One `[[mapping]]`: which keys, which table, and where each column's value comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappingSpec {
    /// The mapping's name: in reports, and in `parents` and `after` of other mappings.
    pub name: String,
    /// The keys it takes: a pattern or several, as docs/mapping.md describes them. All have the same captures.
    #[serde(rename = "match")]
    pub matches: KeyPatterns,
    /// Patterns of keys that it leaves alone although `match` takes them.
    #[serde(default, deserialize_with = "one_or_list", skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// The logical databases of the source that its keys come from: numbers, or `all`; the one of the source's URL where
    /// it says none.
    #[serde(default, skip_serializing_if = "Databases::is_own")]
    pub databases: Databases,
    /// Whether it takes the keys that no other mapping takes, whatever `match` says. Not for people to write: the
    /// archive of the program's own.
    #[serde(skip)]
    pub unmatched: bool,
    /// What separates the segments of its keys; a colon where it does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
    /// The target table as `schema.table`.
    pub into: String,
    /// The columns that identify a row: a primary key or a unique constraint.
    #[serde(deserialize_with = "one_or_list")]
    pub key: Vec<String>,
    /// The Redis types that it takes: one or several, or `any`; strings where it says none. A key of another type is
    /// rejected.
    #[serde(default = "strings", rename = "type", deserialize_with = "one_or_several")]
    pub types: Vec<RedisType>,
    /// Whether a key becomes a row for each of its elements: of a collection, or of a JSON array, which may be at a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explode: Option<ExplodeSpec>,
    /// What happens to the rows of elements that a key no longer has.
    #[serde(default, skip_serializing_if = "RemovedElements::is_delete")]
    pub removed_elements: RemovedElements,
    /// What the values of a hash or stream, and the elements of a list, are.
    #[serde(default, skip_serializing_if = "ItemForm::is_text")]
    pub items: ItemForm,
    /// What the members of a set or sorted set are.
    #[serde(default, skip_serializing_if = "ItemForm::is_text")]
    pub members: ItemForm,
    /// What happens to an empty item where items are JSON (counted as altered); without it the record is rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_items: Option<EmptyItems>,
    /// The steps that a value's bytes go through, and what they are then: such as `["zstd?", "json"]`.
    #[serde(default = "json_alone", deserialize_with = "one_or_list", skip_serializing_if = "is_json_alone")]
    pub decode: Vec<String>,
    /// The most bytes that a step may inflate a value to: a number, or a text such as `16MiB`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_inflated: Option<SizeSpec>,
    /// What happens to U+0000 in a text (counted as altered); without it the record is rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nul: Option<NulPolicy>,
    /// What happens to half of a surrogate pair in JSON (counted as altered); without it the record is rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub surrogates: Option<SurrogatePolicy>,
    /// What happens to `NaN` and `Infinity` in JSON (counted as altered); without it the record is rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonfinite: Option<NonfinitePolicy>,
    /// The encoding of texts that are not UTF-8 (counted as altered); without it the record is rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalid_utf8: Option<Charset>,
    /// What happens to a JSON object that has a key twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duplicate_keys: Option<DuplicateKeys>,
    /// What happens to bytes that are no text in MessagePack and PHP (counted as altered); without it the record is
    /// rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<BytesPolicy>,
    /// Whether a value that is a JSON string with JSON in it is unwrapped once (counted as altered).
    #[serde(default)]
    pub unwrap_json_string: bool,
    /// What happens to a row that is there already.
    #[serde(default)]
    pub on_conflict: OnConflict,
    /// Mappings whose rows this one's rows refer to; they are loaded first.
    #[serde(default, deserialize_with = "one_or_list", skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<ParentSpec>,
    /// Mappings that are loaded before this one although nothing refers to them.
    #[serde(default, deserialize_with = "one_or_list", skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// The application's audit log as `schema.table`, with columns `action`, `resource_type`, `resource_id` and
    /// `details` (jsonb): a run writes one row into it for this mapping's table. One that is not there is left
    /// alone, and a warning says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<String>,
    /// Whether the table is made where it is missing, and its schema with it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub create: bool,
    /// Whether the table that is made gets an index on what comes from `redis.expires_at` or `element.expires_at`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub expiry_index: bool,
    /// Whether the table that is made gets a foreign key for each of `parents`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub foreign_keys: bool,
    /// Roles that get rights on the table that is made.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub grants: BTreeMap<String, Vec<Right>>,
    /// What happens to a key whose time of expiry has passed when its row is made.
    #[serde(default, skip_serializing_if = "Expired::is_skip")]
    pub expired: Expired,
    /// Keys with less time left are skipped as `short_lived`: a duration such as `10s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_ttl: Option<String>,
    /// Where it is kept where a row came from: in the ledger, unless it says otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lineage: Option<LineageSpec>,
    /// The columns that the mapping writes.
    #[serde(default, rename = "column")]
    pub columns: Vec<ColumnSpec>,
}

impl MappingSpec {
    /// The target table's name.
    ///
    /// # Errors
    /// Where `into` is not `schema.table`: an unqualified name would mean another table under another search_path.
    pub fn table_name(&self) -> Result<TableName, String> {
        qualified(&self.into)
    }

    /// Whether a key becomes several rows.
    pub fn explodes(&self) -> bool {
        !matches!(self.explode, None | Some(ExplodeSpec::Value(false)))
    }

    /// Whether rows are deleted whose elements their key no longer has. The ledger says which these are.
    pub fn deletes_rows(&self) -> bool {
        let unknown = self.lineage == Some(LineageSpec::Apart(LineageApart::None));
        self.explodes() && self.removed_elements.is_delete() && !unknown
    }

    /// The audit log's table, where one is named.
    ///
    /// # Errors
    /// As [`Self::table_name`].
    pub fn audit_table(&self) -> Result<Option<TableName>, String> {
        self.audit.as_deref().map(qualified).transpose()
    }
}

fn qualified(name: &str) -> Result<TableName, String> {
    match name.split_once('.') {
        Some((schema, table)) if !schema.is_empty() && !table.is_empty() => {
            Ok(TableName { schema: schema.to_owned(), table: table.to_owned() })
        }
        _ => Err(format!("`{name}` is not of the form schema.table")),
    }
}

/// What the values within a collection are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ItemForm {
    /// Text: each is a JSON string.
    #[default]
    Text,
    /// JSON: each stands as it is.
    Json,
    /// Bytes: each is a JSON string in base64, whatever it is.
    Bytes,
}

/// What happens to an empty item where items are JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EmptyItems {
    /// It is null.
    Null,
}

impl ItemForm {
    fn is_text(&self) -> bool {
        *self == Self::Text
    }
}

/// What a key's rows are made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ExplodeSpec {
    /// The value's elements; `false` makes one row of a key.
    Value(bool),
    /// The elements of the array at a path.
    At(String),
}

/// A number of bytes, bare or with a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SizeSpec {
    /// Bytes.
    Bytes(u64),
    /// A text such as `64MiB`.
    Text(String),
}

/// What happens to a row that is in the table already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnConflict {
    /// Rows that a run loaded and nobody changed since are updated; others are left alone.
    #[default]
    UpdateOwn,
    /// Redis wins.
    Update,
    /// The row in the table wins.
    Skip,
    /// The record is rejected.
    Error,
}

/// A reference to a row of another mapping.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParentSpec {
    /// The parent mapping's name.
    pub mapping: String,
    /// The column of this mapping that refers to it.
    pub column: String,
}

#[derive(Deserialize)]
struct MappingList {
    #[serde(default)]
    mapping: Vec<MappingSpec>,
}

/// Reads the `[[mapping]]` tables of a TOML text; its other tables are none of this room's business.
///
/// # Errors
/// Where the text is not TOML, or a mapping has an unknown or missing setting.
pub fn parse_mappings(text: &str) -> Result<Vec<MappingSpec>, toml::de::Error> {
    toml::from_str::<MappingList>(text).map(|list| list.mapping)
}

fn strings() -> Vec<RedisType> {
    vec![RedisType::String]
}

fn is_false(flag: &bool) -> bool {
    !*flag
}

fn json_alone() -> Vec<String> {
    vec!["json".to_owned()]
}

fn is_json_alone(chain: &[String]) -> bool {
    matches!(chain, [only] if only == "json")
}
