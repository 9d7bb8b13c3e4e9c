//! What a mapping may ask to have repaired. Each policy is off unless it is asked for, and counted when it acts.

use serde::{Deserialize, Serialize};

/// What happens to the character U+0000, which PostgreSQL cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NulPolicy {
    /// It is left out.
    Strip,
    /// U+FFFD takes its place.
    Replace,
}

/// What happens to half of a surrogate pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SurrogatePolicy {
    /// U+FFFD takes its place.
    Replace,
}

/// What happens to the bare tokens `NaN`, `Infinity` and `-Infinity`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NonfinitePolicy {
    /// They become null.
    Null,
    /// They become strings of the same spelling.
    String,
}

/// The encoding of texts that are not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Charset {
    /// ISO 8859-1: every byte is the character of that number.
    Latin1,
    /// Windows-1252; its five bytes without a meaning are refused.
    Cp1252,
}

/// What happens to an object that has a key twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DuplicateKeys {
    /// The last one wins, as in jsonb.
    #[default]
    Last,
    /// The record is rejected, at whatever depth the object is.
    Reject,
}

/// What happens to bytes that are no text, in a form that becomes JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BytesPolicy {
    /// They become a string in base64, with padding.
    Base64,
}

/// The policies of a mapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policies {
    /// For U+0000.
    pub nul: Option<NulPolicy>,
    /// For half surrogate pairs.
    pub surrogates: Option<SurrogatePolicy>,
    /// For numbers that JSON does not have.
    pub nonfinite: Option<NonfinitePolicy>,
    /// For texts that are not UTF-8.
    pub invalid_utf8: Option<Charset>,
    /// For keys that are there twice.
    pub duplicate_keys: DuplicateKeys,
    /// For bytes where JSON has only text.
    pub bytes: Option<BytesPolicy>,
}
