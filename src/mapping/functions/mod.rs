//! The functions over a value on its way into a column. Each gives a value, or nothing, which passes on to the next
//! candidate. Owns what they do and how they are written; `source` calls them.

mod call;
mod coding;
mod known;
mod path;
mod text;

use super::found::Found;
use crate::decode::scan;
use crate::encode::{EncodeError, parse_uuid};
use crate::model::sha256_hex;
use regex::Regex;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// The namespace of the UUIDv5 that stands for an id which is no UUID: the standard namespace for object identifiers,
/// so that `uuid_generate_v5(uuid_ns_oid(), id)` gives the same in PostgreSQL.
pub const ID_NAMESPACE: Uuid = Uuid::NAMESPACE_OID;

/// A function, compiled. One without arguments is a plain word, so that calling it costs no look elsewhere.
#[derive(Clone, Debug)]
pub(super) enum Function {
    Base64Decode,
    Basename,
    Dirname,
    Extension,
    Json,
    Length,
    Lower,
    Md5,
    MimeType,
    Sha256,
    Text,
    Trim,
    TrimEnd,
    TrimStart,
    Upper,
    UrlDecode,
    UuidOrUuid5,
    With(Arc<Arguments>),
}

/// A function that has arguments, with them.
#[derive(Debug)]
pub(super) enum Arguments {
    Lookup { map: HashMap<String, String>, default: Option<String> },
    PadStart { width: usize, fill: char },
    Prefix(String),
    Regex { regex: Regex, group: usize },
    Replace { from: String, to: String },
    Split { separator: String, index: i64 },
    StripPrefix(String),
    StripSuffix(String),
    Substring { start: i64, length: Option<usize> },
    Suffix(String),
    Uuid5(Uuid),
}

impl Function {
    /// Whether it may give U+0000 where its value has none.
    pub(super) fn may_make_nul(&self) -> bool {
        match self {
            Self::Base64Decode | Self::UrlDecode => true,
            Self::With(arguments) => match arguments.as_ref() {
                Arguments::Lookup { map, default } => map.values().chain(default).any(|text| text.contains('\0')),
                Arguments::PadStart { fill, .. } => *fill == '\0',
                Arguments::Prefix(text) | Arguments::Suffix(text) | Arguments::Replace { to: text, .. } => {
                    text.contains('\0')
                }
                _ => false,
            },
            _ => false,
        }
    }

    /// Applies the function.
    ///
    /// # Errors
    /// `type_mismatch` where the value is an object or array and the function wants text; what `base64_decode`,
    /// `url_decode` and `json` say of a text that they cannot read.
    pub(super) fn apply<'r>(&'r self, found: Found<'r>) -> Result<Found<'r>, EncodeError> {
        match self {
            Self::Json => json(found),
            Self::Text => Ok(as_text(found)),
            function => {
                let Some(text) = found.into_text()? else { return Ok(Found::Absent) };
                function.over_text(text)
            }
        }
    }

    /// Whether the function takes objects and arrays.
    pub(super) fn takes_json(&self) -> bool {
        matches!(self, Self::Json | Self::Text)
    }

    fn over_text<'r>(&'r self, text: Cow<'r, str>) -> Result<Found<'r>, EncodeError> {
        let given = match self {
            Self::Json | Self::Text => Some(text),
            Self::Basename => piece(text, path::basename),
            Self::Dirname => piece(text, path::dirname),
            Self::Extension => piece(text, path::extension).map(lower),
            Self::MimeType => path::mime_type(&text).map(Cow::Borrowed),
            Self::UuidOrUuid5 if text.is_empty() => None,
            Self::UuidOrUuid5 if parse_uuid(&text).is_some() => Some(text),
            Self::UuidOrUuid5 => Some(uuid5(&ID_NAMESPACE, &text)),
            Self::Lower => Some(lower(text)),
            Self::Upper => Some(Cow::Owned(text.to_uppercase())),
            Self::Trim => piece(text, |text| Some(text.trim())),
            Self::TrimStart => piece(text, |text| Some(text.trim_start())),
            Self::TrimEnd => piece(text, |text| Some(text.trim_end())),
            Self::Sha256 => Some(Cow::Owned(sha256_hex(text.as_bytes()))),
            Self::Md5 => Some(Cow::Owned(coding::md5_hex(text.as_bytes()))),
            Self::Length => return Ok(Found::Raw(Cow::Owned(text.chars().count().to_string()))),
            Self::Base64Decode => return coding::base64_decode(&text).map(|text| Found::Text(Cow::Owned(text))),
            Self::UrlDecode => return coding::url_decode(text).map(Found::Text),
            Self::With(arguments) => arguments.apply(text),
        };
        Ok(given.map_or(Found::Absent, Found::Text))
    }
}

impl Arguments {
    fn apply<'r>(&'r self, text: Cow<'r, str>) -> Option<Cow<'r, str>> {
        match self {
            Self::Lookup { map, default } => map.get(text.as_ref()).or(default.as_ref()).map(|to| Cow::Borrowed(&**to)),
            Self::PadStart { width, fill } => Some(text::pad_start(text, *width, *fill)),
            Self::Prefix(prefix) => Some(Cow::Owned(format!("{prefix}{text}"))),
            Self::Suffix(suffix) => Some(Cow::Owned(text.into_owned() + suffix)),
            Self::Regex { regex, group } => piece(text, |text| Some(regex.captures(text)?.get(*group)?.as_str())),
            Self::Replace { from, .. } if !text.contains(from.as_str()) => Some(text),
            Self::Replace { from, to } => Some(Cow::Owned(text.replace(from, to))),
            Self::Split { separator, index } => piece(text, |text| text::split(text, separator, *index)),
            Self::StripPrefix(prefix) => piece(text, |text| text.strip_prefix(prefix.as_str()).or(Some(text))),
            Self::StripSuffix(suffix) => piece(text, |text| text.strip_suffix(suffix.as_str()).or(Some(text))),
            Self::Substring { start, length } => piece(text, |text| text::substring(text, *start, *length)),
            Self::Uuid5(namespace) => (!text.is_empty()).then(|| uuid5(namespace, &text)),
        }
    }
}

/// Lower case, without a copy where it is that already.
fn lower(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return text;
    }
    Cow::Owned(text.to_lowercase())
}

/// A piece of a text, without a copy where the text is borrowed.
fn piece<'a>(text: Cow<'a, str>, cut: impl Fn(&str) -> Option<&str>) -> Option<Cow<'a, str>> {
    match text {
        Cow::Borrowed(text) => cut(text).map(Cow::Borrowed),
        Cow::Owned(text) => cut(&text).map(|piece| Cow::Owned(piece.to_owned())),
    }
}

fn uuid5(namespace: &Uuid, text: &str) -> Cow<'static, str> {
    Cow::Owned(Uuid::new_v5(namespace, text.as_bytes()).to_string())
}

/// A text that holds JSON becomes that JSON; what is JSON of another kind stays.
fn json(found: Found<'_>) -> Result<Found<'_>, EncodeError> {
    if found.is_composite() {
        return Ok(found);
    }
    let Some(text) = found.into_text()? else { return Ok(Found::Absent) };
    match scan(&text, &mut Vec::new()) {
        Ok(scanned) if scanned.span.of(&text) == "null" => Ok(Found::Null),
        Ok(scanned) => Ok(Found::Raw(match text {
            Cow::Borrowed(text) => Cow::Borrowed(scanned.span.of(text)),
            Cow::Owned(text) => Cow::Owned(scanned.span.of(&text).to_owned()),
        })),
        Err(fault) => {
            let error = fault.explain(&text);
            let detail = format!("the text holds no JSON that PostgreSQL takes: {}", error.detail);
            Err(EncodeError { reason: error.reason, detail })
        }
    }
}

/// JSON becomes its text: a string what it says, an object or array its JSON text as it stands.
fn as_text(found: Found<'_>) -> Found<'_> {
    match found {
        Found::Raw(raw) if Found::Raw(Cow::Borrowed(&raw)).is_composite() => Found::Text(raw),
        found => found.into_text().ok().flatten().map_or(Found::Absent, Found::Text),
    }
}

#[cfg(test)]
mod tests;
