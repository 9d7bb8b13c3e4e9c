//! What a column does with values that do not say clearly what they are, or do not fit as they are.

use super::{Encoding, EpochUnit, Format, Note};
use crate::model::ROUNDED;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// The rules of one column. All of them are off by default: such a value is refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Whether an empty text means NULL.
    pub empty_as_null: bool,
    /// Texts that mean NULL.
    pub null_tokens: Vec<String>,
    /// The offset of timestamps without zone, in seconds east of UTC; without it they are refused.
    pub assume_offset: Option<i32>,
    /// The zone of timestamps without zone, where it is no fixed offset.
    pub assume_zone: Option<TimeZone>,
    /// The zone in which a column without zone keeps moments; without it UTC.
    pub store_zone: Option<TimeZone>,
    /// The unit of timestamps and intervals that are numbers; without it they are refused.
    pub epoch_unit: Option<EpochUnit>,
    /// Spellings of dates and times that are tried before ISO 8601, in this order.
    pub formats: Vec<Format>,
    /// Whether 0001-01-01T00:00:00, .NET's least value, means NULL.
    pub min_value_as_null: bool,
    /// Whether digits that the column does not hold are rounded away.
    pub round: bool,
    /// Whether an integer written with an exponent is refused.
    pub reject_exponent: bool,
    /// What becomes of NaN and infinities.
    pub nonfinite: Option<Nonfinite>,
    /// What becomes of a text that is too long.
    pub too_long: Option<TooLong>,
    /// What becomes of characters U+0000 in a text.
    pub nul: Option<Nul>,
    /// Whether an empty JSON object is an empty array, as Lua's cjson writes it.
    pub empty_object_as_array: bool,
    /// How a text stands for the bytes of a bytea column; without it, its own are taken.
    pub encoding: Option<Encoding>,
    /// Whether it is told where the type itself keeps less than a value says: see [`crate::model::ROUNDED`].
    pub tells_losses: bool,
}

/// What becomes of a text that is too long for its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TooLong {
    /// Its end is cut off.
    Truncate,
}

/// What becomes of characters U+0000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nul {
    /// They are left out.
    Strip,
    /// Each becomes U+FFFD.
    Replace,
}

/// What becomes of NaN and infinities, which arrive as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nonfinite {
    /// They are NULL.
    Null,
    /// They are stored as PostgreSQL's own NaN and infinities.
    Keep,
}

/// What becomes of an integer that is written with an exponent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromExponent {
    /// The record is rejected.
    Reject,
}

impl Policy {
    /// Whether a text stands for NULL.
    #[inline]
    pub(super) fn is_null(&self, text: &str) -> bool {
        (self.empty_as_null && text.is_empty()) || self.null_tokens.iter().any(|token| token == text)
    }

    /// Whether timestamps are more than ISO 8601 and numbers in a unit, or more is told of them.
    pub(super) fn reads_moments_otherwise(&self) -> bool {
        !self.formats.is_empty() || self.min_value_as_null || self.tells_losses
    }

    /// That the type keeps less than a value says, where that is so and is to be told.
    #[inline]
    pub(super) fn loss(&self, lost: impl FnOnce() -> bool) -> Note {
        (self.tells_losses && lost()).then_some(ROUNDED)
    }

    /// Whether some values are put in as others: those that a repair covers, that stand for null, or for bytes.
    pub(super) fn repairs(&self) -> bool {
        let Self { empty_as_null, null_tokens, min_value_as_null, round, nonfinite, too_long, nul, .. } = self;
        *empty_as_null
            || !null_tokens.is_empty()
            || *min_value_as_null
            || *round
            || *nonfinite == Some(Nonfinite::Null)
            || too_long.is_some()
            || nul.is_some()
            || self.empty_object_as_array
            || self.encoding.is_some()
    }
}
