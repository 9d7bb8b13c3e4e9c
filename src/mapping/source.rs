//! Sources: where a value comes from, read from the configuration and evaluated on one record.

use super::as_it_is::logical;
pub(super) use super::found::{Found, inner};
use super::jq::Program;
use super::pattern::{Captures, Pattern};
use super::place::Place;
use super::plan::Mapping;
use super::rest::Rest;
use super::template::Template;
use super::top::Top;
use crate::config::nearest;
use crate::decode::{Field, JsonPath, lookup, push_json_string};
use crate::encode::EncodeError;
use crate::model::{FieldExpiry, Record, RedisType};
use std::borrow::Cow;
use std::cell::Cell;
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
    /// When the element expires.
    ElementExpiresAt,
    /// The milliseconds until it does.
    ElementTtl,
    Digest,
    /// What TYPE answers.
    Type,
    Database,
    Version,
    Ttl,
    Idle,
    Dump,
    /// The value as JSON, as far as JSON can hold it.
    AsJson,
    /// The bytes of a string that JSON cannot hold.
    AsBytes,
    RunId,
    RunTime,
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
    pub(super) mapping: &'r Mapping,
    /// Whether the value is JSON as far as that is wanted, once it is known.
    pub(super) is_json: Cell<Option<bool>>,
}

impl<'r> Context<'r> {
    pub(super) fn path(&self, path: &JsonPath) -> Option<&'r str> {
        path.find(self.text, self.fields, self.escaped_keys)
    }

    /// The value as JSON, as far as JSON can hold it.
    fn as_json(&self) -> Option<Cow<'r, str>> {
        let json = logical(self.record);
        self.is_json.set(Some(json.is_some()));
        json
    }

    /// When the element expires; `None` where it has no TTL.
    fn element_expiry(&self) -> Option<FieldExpiry> {
        self.place.element?.expiry
    }

    /// The bytes of a string that JSON cannot hold.
    fn as_bytes(&self) -> Option<&'r [u8]> {
        let record = self.record;
        if record.redis_type != RedisType::String || !record.has_value() {
            return None;
        }
        let is_json = self.is_json.get().unwrap_or_else(|| self.as_json().is_some());
        (!is_json).then_some(record.value.as_ref())
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
    /// The name of the source that is the number of the key's database.
    pub(super) const DATABASE: &'static str = "redis.db";

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
            "element.expires_at" => Ok(Self::ElementExpiresAt),
            "element.ttl" => Ok(Self::ElementTtl),
            "redis.digest" => Ok(Self::Digest),
            "redis.type" => Ok(Self::Type),
            Self::DATABASE => Ok(Self::Database),
            "redis.version" => Ok(Self::Version),
            "redis.ttl" => Ok(Self::Ttl),
            "redis.idle" => Ok(Self::Idle),
            "redis.dump" => Ok(Self::Dump),
            "redis.value" => Ok(Self::AsJson),
            "redis.bytes" => Ok(Self::AsBytes),
            "run.id" => Ok(Self::RunId),
            "run.time" => Ok(Self::RunTime),
            text if text.starts_with('$') => {
                if text.contains(['{', '}']) && !text.contains("[\"") {
                    return Err(format!("`{text}`: in a template, a path stands in braces: `{{$.name}}`"));
                }
                JsonPath::parse(text).map(Self::Path)
            }
            text if text.contains(['{', '}']) => Template::parse(text, pattern).map(Self::Template),
            text => Err(no_source(text)),
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
            Self::Template(template) => template.paths().next().is_none(),
            source => !source.reads_value() && !source.is_of_element() && !matches!(source, Self::Digest),
        }
    }

    /// Whether it says something of one element of a key, other than its value.
    pub(super) fn is_of_element(&self) -> bool {
        matches!(self, Self::ElementIndex | Self::ElementExpiresAt | Self::ElementTtl)
    }

    /// Whether it reads the value, and takes a record that has one.
    pub(super) fn reads_value(&self) -> bool {
        match self {
            Self::Whole | Self::Value | Self::Path(_) | Self::Collect(_) | Self::Rest(_) | Self::Jq(_) => true,
            Self::Template(template) => template.paths().next().is_some(),
            _ => false,
        }
    }

    /// Whether it says something about the reading rather than about the key: it differs the next time, and what it
    /// said is true all the same.
    pub(super) fn is_of_the_moment(&self) -> bool {
        use Source::{Digest, ElementTtl, Idle, RunId, RunTime, Ttl, Version};
        matches!(self, RunId | RunTime | Digest | Ttl | ElementTtl | Idle | Version)
    }

    /// Whether it reads the key.
    pub(super) fn reads_key(&self) -> bool {
        matches!(self, Self::Key) || matches!(self, Self::Template(template) if template.has_captures())
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
            Self::Key if context.mapping.any_key => Found::Bytes(context.record.key.as_bytes()),
            Self::Key => Found::Text(Cow::Borrowed(context.key)),
            Self::ExpiresAt => context.record.expires_at.map_or(Found::Null, Found::Millis),
            Self::ElementIndex => {
                context.place.element.map_or(Found::Absent, |at| Found::Text(Cow::Owned(at.index.to_string())))
            }
            Self::ElementExpiresAt => context.element_expiry().map_or(Found::Null, |expiry| Found::Millis(expiry.at)),
            Self::Digest => {
                let digest = context.place.digest.unwrap_or_else(|| context.record.digest());
                Found::Text(Cow::Owned(digest.to_string()))
            }
            Self::RunId => Found::Text(Cow::Borrowed(&context.mapping.run_id)),
            Self::RunTime => Found::Millis(context.place.now),
            Self::Template(template) => return template.evaluate(context),
            Self::Jq(program) => return program.evaluate(context.text),
            Self::Text(text) => Found::Text(Cow::Borrowed(text)),
            Self::Json(text) => Found::Raw(Cow::Borrowed(text)),
            source => source.fact(context),
        })
    }

    /// What is known of the key beside its value.
    fn fact<'r>(&self, context: &Context<'r>) -> Found<'r> {
        let record = context.record;
        let facts = record.facts.as_deref();
        let number = |number: Option<String>| number.map(|number| Found::Raw(Cow::Owned(number)));
        let found = match self {
            Self::Type => Some(Found::Text(record.type_name())),
            Self::Database => Some(Found::Raw(Cow::Borrowed(&context.mapping.database_text))),
            Self::Version => context.mapping.server_version.as_ref().map(|version| Found::Text(Cow::Borrowed(version))),
            Self::Ttl => number(facts.and_then(|facts| facts.ttl).map(|ttl| ttl.to_string())),
            Self::ElementTtl => {
                number(context.element_expiry().and_then(|expiry| expiry.ttl).map(|ttl| ttl.to_string()))
            }
            Self::Idle => number(facts.and_then(|facts| facts.idle).map(|idle| idle.to_string())),
            Self::Dump => record.dump().map(|dump| Found::Bytes(dump)),
            Self::AsJson => context.as_json().map(Found::Raw),
            Self::AsBytes => context.as_bytes().map(Found::Bytes),
            _ => None,
        };
        found.unwrap_or(Found::Null)
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

/// What a text may have meant that is no source.
fn no_source(text: &str) -> String {
    const NAMES: [&str; 18] = [
        "rest",
        "value",
        "element.index",
        "element.expires_at",
        "element.ttl",
        "run.id",
        "run.time",
        "redis.key",
        "redis.expires_at",
        "redis.digest",
        "redis.type",
        "redis.db",
        "redis.version",
        "redis.ttl",
        "redis.idle",
        "redis.dump",
        "redis.value",
        "redis.bytes",
    ];
    if text.contains('.')
        && let Some(near) = nearest(text, NAMES.into_iter())
    {
        return format!("`{text}` is no source; did you mean `{near}`?");
    }
    match text.chars().all(|c| c.is_alphanumeric() || c == '_') && !text.is_empty() {
        true => format!(
            "`{text}` is no source: a field of the value is `$.{text}`, a capture of the key `{{{text}}}`, and a text that \
             stands for itself {{ value = \"{text}\" }}"
        ),
        false => format!(
            "`{text}` is no source: a path such as `$.name`, a template such as `{{id}}`, a constant such as \
             {{ value = \"{text}\" }}, or one of `{}`",
            NAMES.join("`, `")
        ),
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
