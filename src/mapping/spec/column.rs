//! A column as it is written: what feeds it, and what becomes of values that do not fit.

use super::one_or_list::one_or_list;
use super::source::constant_text;
use super::{CandidateSpec, FunctionSpec, is_false};
use crate::encode::{Encoding, EpochUnit, FromExponent, Nonfinite, Nul, TooLong};
use serde::{Deserialize, Serialize};

/// One column and where its value comes from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ColumnSpec {
    /// The column's name in the table.
    pub name: String,
    /// Its type, as PostgreSQL writes it, such as `numeric(10,2)[]`: what the column is made with, or must have.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub sql_type: Option<String>,
    /// Candidates, tried in order; one that is absent or null passes on to the next.
    #[serde(default, deserialize_with = "one_or_list", skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<CandidateSpec>,
    /// Functions applied to whichever candidate gave a value, after its own.
    #[serde(default, deserialize_with = "one_or_list", skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<FunctionSpec>,
    /// The value where no candidate gave one (as text; JSON text for json columns).
    #[serde(default, deserialize_with = "constant_text", skip_serializing_if = "Option::is_none")]
    pub default: Option<String>,
    /// The value where the record says null (as text; JSON text for json columns).
    #[serde(default, deserialize_with = "constant_text", skip_serializing_if = "Option::is_none")]
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
    #[serde(default, deserialize_with = "one_or_list", skip_serializing_if = "Vec::is_empty")]
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
    #[serde(default, deserialize_with = "one_or_list", skip_serializing_if = "Vec::is_empty")]
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
    /// How a text stands for the bytes of a bytea column; without it, its own are taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<Encoding>,
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
