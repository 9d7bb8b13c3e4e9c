//! Sources: where a value comes from, read from the configuration and evaluated on one record.

pub(super) use super::found::{Found, inner};
use super::jq::Program;
use super::pattern::{Captures, Pattern};
use super::rest::Rest;
use super::template::Template;
use super::top::Top;
use crate::decode::{Field, JsonPath, lookup, push_json_string};
use crate::encode::EncodeError;
use crate::model::{Digest, Record, UnixMillis};
use std::borrow::Cow;
use std::sync::Arc;

/// A source, compiled.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Whole,
    Value,
    Path(JsonPath),
    Collect(Vec<String>),
    Rest(Rest),
    Key,
    ExpiresAt,
    ElementIndex,
    Digest,
    RunId,
    /// When the row is made.
    Now,
    Template(Template),
    Jq(Arc<Program>),
    /// A constant text.
    Text(String),
    /// A constant, as JSON text.
    Json(String),
}

/// A record that was decoded: its text, and the fields of its top level where that is a JSON object.
pub(super) struct Context<'r> {
    pub(super) record: &'r Record,
    pub(super) place: Place,
    pub(super) key: &'r str,
    pub(super) captures: Captures,
    pub(super) text: &'r str,
    /// The value of a mapping that reads bytes; its text is empty.
    pub(super) bytes: Option<&'r [u8]>,
    pub(super) fields: &'r [Field],
    pub(super) escaped_keys: bool,
    pub(super) run_id: &'r str,
}

/// What is known of a row beside its record.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    /// Its place, where it is an element of a key that is taken apart.
    pub(super) index: Option<u64>,
    /// The digest of the record's value, where it was worked out already.
    pub(super) digest: Option<Digest>,
    /// When the row is made.
    pub(super) now: UnixMillis,
}

impl Place {
    /// That of an element of which nothing else is asked.
    pub(super) fn element(index: u64) -> Self {
        Self { index: Some(index), ..Self::default() }
    }
}

impl<'r> Context<'r> {
    pub(super) fn path(&self, path: &JsonPath) -> Option<&'r str> {
        path.find(self.text, self.fields, self.escaped_keys)
    }

    pub(super) fn found(&self, path: &JsonPath) -> Found<'r> {
        match self.path(path) {
            None => Found::Absent,
            Some("null") => Found::Null,
            Some(raw) => Found::Raw(Cow::Borrowed(raw)),
        }
    }
}

impl Source {
    /// Reads a source: a path, a name such as `redis.key`, or a template of captures and paths.
    ///
    /// # Errors
    /// Where the text is none of these.
    pub(super) fn parse(text: &str, pattern: &Pattern) -> Result<Self, String> {
        match text {
            "$" => Ok(Self::Whole),
            "rest" => Ok(Self::Rest(Rest::default())),
            "value" => Ok(Self::Value),
            "redis.key" => Ok(Self::Key),
            "redis.expires_at" => Ok(Self::ExpiresAt),
            "element.index" => Ok(Self::ElementIndex),
            "redis.digest" => Ok(Self::Digest),
            "run.id" => Ok(Self::RunId),
            "run.now" => Ok(Self::Now),
            text if text.starts_with('$') => {
                if text.contains(['{', '}']) && !text.contains("[\"") {
                    return Err(format!("`{text}`: in a template, a path stands in braces: `{{$.name}}`"));
                }
                JsonPath::parse(text).map(Self::Path)
            }
            text if text.contains(['{', '}']) => Template::parse(text, pattern).map(Self::Template),
            text => Err(format!(
                "`{text}` is no source: `$.path`, `value`, `rest`, `redis.key`, `redis.expires_at`, `redis.digest`, `element.index`, `run.id`, `run.now`, a \
                 template such as `{{id}}`, or a constant such as {{ value = \"{text}\" }}"
            )),
        }
    }

    /// What the record's value must be at the top for this source.
    pub(super) fn top(&self) -> Top {
        match self {
            Self::Path(path) => Top::of(path),
            Self::Collect(_) | Self::Rest(_) => Top::OBJECT,
            Self::Template(template) => template.top(),
            _ => Top::default(),
        }
    }

    /// Whether it says the same of every element of a key.
    pub(super) fn is_of_key(&self) -> bool {
        match self {
            Self::Key | Self::ExpiresAt | Self::RunId | Self::Now | Self::Text(_) | Self::Json(_) => true,
            Self::Template(template) => template.paths().next().is_none(),
            _ => false,
        }
    }

    /// The fields of the record's top level that it takes, as far as that is known beforehand.
    pub(super) fn fields(&self) -> Vec<&str> {
        match self {
            Self::Path(path) => path.first_key().into_iter().collect(),
            Self::Collect(names) => names.iter().map(String::as_str).collect(),
            Self::Template(template) => template.paths().filter_map(JsonPath::first_key).collect(),
            _ => Vec::new(),
        }
    }

    /// The value on a record.
    ///
    /// # Errors
    /// `type_mismatch` where a template meets an object or array, and what a filter says.
    #[inline]
    pub(super) fn evaluate<'r>(&'r self, context: &Context<'r>) -> Result<Found<'r>, EncodeError> {
        Ok(match self {
            Self::Path(path) => context.found(path),
            Self::Whole => Found::Raw(Cow::Borrowed(context.text.trim_ascii())),
            Self::Value => match context.bytes {
                Some(bytes) => Found::Bytes(bytes),
                None => Found::Text(Cow::Borrowed(context.text)),
            },
            Self::Collect(names) => collect(names, context),
            Self::Rest(rest) => rest.evaluate(context),
            Self::Key => Found::Text(Cow::Borrowed(context.key)),
            Self::ExpiresAt => context.record.expires_at.map_or(Found::Null, Found::Millis),
            Self::ElementIndex => {
                context.place.index.map_or(Found::Absent, |index| Found::Text(Cow::Owned(index.to_string())))
            }
            Self::Digest => {
                let digest = context.place.digest.unwrap_or_else(|| Digest::of(&context.record.value));
                Found::Text(Cow::Owned(digest.to_string()))
            }
            Self::Now => Found::Millis(context.place.now),
            Self::RunId => Found::Text(Cow::Borrowed(context.run_id)),
            Self::Template(template) => return template.evaluate(context),
            Self::Jq(program) => return program.evaluate(context.text),
            Self::Text(text) => Found::Text(Cow::Borrowed(text)),
            Self::Json(text) => Found::Raw(Cow::Borrowed(text)),
        })
    }

    /// The value of a constant; `None` where it takes a record.
    pub(super) fn constant(&self) -> Option<Found<'_>> {
        match self {
            Self::Text(text) => Some(Found::Text(Cow::Borrowed(text))),
            Self::Json(text) => Some(Found::Raw(Cow::Borrowed(text))),
            _ => None,
        }
    }
}

/// The fields of these names that the record has, as one object; absent where it has none.
fn collect<'r>(names: &[String], context: &Context<'r>) -> Found<'r> {
    let mut object = String::new();
    for name in names {
        if let Some(raw) = lookup(context.text, context.fields, context.escaped_keys, name) {
            object.push(if object.is_empty() { '{' } else { ',' });
            push_json_string(&mut object, name);
            object.push(':');
            object.push_str(raw);
        }
    }
    if object.is_empty() {
        return Found::Absent;
    }
    object.push('}');
    Found::Raw(Cow::Owned(object))
}
