//! What a person writes: a `[[mapping]]` of the configuration file, as data, not yet checked against any table.
//!
//! Owns the vocabulary of the mapping language; `compile` gives it meaning. Uses `model::TableName`,
//! `encode`'s names of policies and serde only.

use crate::encode::{EpochUnit, FromExponent, Nonfinite, Nul, TooLong};
use crate::model::TableName;
use serde::{Deserialize, Serialize};

/// One `[[mapping]]`: which keys, which table, and where each column's value comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappingSpec {
    /// The mapping's name: in reports, and in `parents` and `after` of other mappings.
    pub name: String,
    /// The keys it takes: literal text with captures. `{id..}` takes all the rest, `{id}` one segment (no colon);
    /// `{{` and `}}` are literal braces.
    #[serde(rename = "match")]
    pub matches: String,
    /// The target table as `schema.table`.
    pub into: String,
    /// The columns that identify a row: a primary key or a unique constraint.
    pub key: Vec<String>,
    /// Whether a value that is a JSON string with JSON in it is unwrapped once (counted as altered).
    #[serde(default)]
    pub unwrap_json_string: bool,
    /// What happens to a row that is there already.
    #[serde(default)]
    pub on_conflict: OnConflict,
    /// Mappings whose rows this one's rows refer to; they are loaded first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<ParentSpec>,
    /// Mappings that are loaded before this one although nothing refers to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// The application's audit log as `schema.table`, with columns `action`, `resource_type`, `resource_id` and
    /// `details` (jsonb): a run writes one row into it for this mapping's table. One that is not there is left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<String>,
    /// Where a row says where it came from; without it the ledger does.
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

/// The place for lineage in the row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineageSpec {
    /// A jsonb column: the lineage is added to the object that the record itself has for it.
    pub column: String,
    /// What `redis_document_id` says: a candidate such as `"{id}"` or `"$.document_id"`.
    pub document_id: String,
}

/// One column and where its value comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnSpec {
    /// The column's name in the table.
    pub name: String,
    /// Candidates, tried in order; one that is absent or null passes on to the next.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<CandidateSpec>,
    /// Functions applied to whichever candidate gave a value, after its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<Function>,
    /// The value where no candidate gave one (as text; JSON text for json columns).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// The value where the record says null (as text; JSON text for json columns).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub null_as: Option<String>,
    /// Whether a record without a value for the column is rejected (`field_missing`).
    #[serde(default, skip_serializing_if = "is_false")]
    pub required: bool,
    /// Whether the table may lack the column.
    #[serde(default, skip_serializing_if = "is_false")]
    pub optional: bool,
    /// Whether a JSON string that holds JSON is unwrapped once (counted as altered).
    #[serde(default, skip_serializing_if = "is_false")]
    pub unwrap_json_string: bool,
    /// The JSON type that the value must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
    /// Whether a difference in this column alone leaves a row unchanged: for what the table itself keeps, such as a
    /// trigger's `updated_at`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub ignore_changes: bool,
    /// Whether an empty string means NULL.
    #[serde(default, skip_serializing_if = "is_false")]
    pub empty_as_null: bool,
    /// Texts that mean NULL, such as `None`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub null_tokens: Vec<String>,
    /// The zone of timestamps that name none: `UTC`, an offset such as `+05:30`, or a name such as `Europe/Paris`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assume_timezone: Option<String>,
    /// The zone in which a column without zone keeps moments; UTC unless named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub store_timezone: Option<String>,
    /// The unit of timestamps and intervals that are numbers; without it they are rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch_unit: Option<EpochUnit>,
    /// Spellings of dates and times beside ISO 8601: strptime patterns, or names such as `jackson_array`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub formats: Vec<String>,
    /// Whether 0001-01-01T00:00:00 means NULL.
    #[serde(default, skip_serializing_if = "is_false")]
    pub min_value_as_null: bool,
    /// Whether digits that the column does not hold are rounded away; without it such a value is rejected.
    #[serde(default, skip_serializing_if = "is_false")]
    pub round: bool,
    /// What becomes of an integer that is written with an exponent; without it, it is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integer_from_exponent: Option<FromExponent>,
    /// What becomes of `NaN` and infinities; without it they are rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonfinite: Option<Nonfinite>,
    /// What becomes of a text that is too long; without it, it is rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub too_long: Option<TooLong>,
    /// What becomes of the character U+0000 in a text; without it the text is rejected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nul: Option<Nul>,
    /// Whether `{}` is an empty array.
    #[serde(default, skip_serializing_if = "is_false")]
    pub empty_object_as_array: bool,
}

/// One place that a value can come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum CandidateSpec {
    /// A source alone: `"$.path"`, `"$"` (the whole value), `"redis.key"`, `"redis.expires_at"`, `"redis.digest"`,
    /// `"run.id"`, or a template of captures such as `"migrated_{id}"`.
    Source(String),
    /// A source with functions of its own, or under a condition.
    Full(FullCandidate),
    /// Several fields of the record's top level, collected into one object as they are.
    Collect(CollectCandidate),
}

/// A source with functions of its own, or under a condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FullCandidate {
    /// The source, as in the short form.
    pub source: String,
    /// Functions applied to this candidate's value; one that gives nothing passes on to the next candidate.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<Function>,
    /// A path that must be present and not null for the candidate to count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
}

/// Fields of the record's top level, collected into an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CollectCandidate {
    /// The fields' names; those that the record has are taken.
    pub collect: Vec<String>,
}

/// A named function over text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    /// The last part of a path (`/` or `\`); nothing where it is empty.
    Basename,
    /// The lower-case extension with its dot; nothing without one.
    Extension,
    /// The MIME type that a path's extension, or an extension such as `.pdf`, stands for; nothing where unknown.
    MimeType,
    /// A UUID stays itself, any other text becomes a stable UUIDv5; nothing for an empty text.
    #[serde(rename = "uuid_or_uuid5")]
    UuidOrUuid5,
    /// Lower case.
    Lower,
    /// Upper case.
    Upper,
    /// Without white space at both ends.
    Trim,
}

/// The JSON type that a column's value must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Expect {
    /// An object.
    Object,
    /// An array.
    Array,
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

fn is_false(flag: &bool) -> bool {
    !*flag
}
