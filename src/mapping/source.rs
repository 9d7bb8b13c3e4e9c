//! Sources and candidates: where a value comes from, read from the configuration and evaluated on one record.

use super::Function;
use super::pattern::{Captures, Pattern};
use super::spec::{CandidateSpec, FullCandidate};
use crate::decode::{Field, JsonPath, Kind, unescape};
use crate::encode::{EncodeError, Value, utf8};
use crate::model::{Digest, Record};
use std::borrow::Cow;

/// One place that a value can come from, compiled.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) source: Source,
    /// The candidate's functions, then the column's.
    pub(super) with: Vec<Function>,
    /// Whether the candidate derives its value, so that a null in its source is not the column's null.
    pub(super) derived: bool,
    pub(super) when: Option<JsonPath>,
    /// How it is called when it is missed.
    pub(super) label: String,
}

#[derive(Clone, Debug)]
pub(super) enum Source {
    Whole,
    Value,
    Path(JsonPath),
    Collect(Vec<String>),
    Key,
    ExpiresAt,
    Digest,
    RunId,
    Template(Vec<Piece>),
}

#[derive(Clone, Debug)]
pub(super) enum Piece {
    Literal(String),
    Capture(usize),
}

/// A record that was decoded: its text, and the fields of its top level where that is a JSON object.
pub(super) struct Context<'r> {
    pub(super) record: &'r Record,
    pub(super) key: &'r str,
    pub(super) captures: Captures,
    pub(super) text: &'r str,
    /// The value of a mapping that reads bytes; its text is empty.
    pub(super) bytes: Option<&'r [u8]>,
    pub(super) fields: &'r [Field],
    pub(super) escaped_keys: bool,
    pub(super) run_id: &'r str,
}

/// What a source gave.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Found<'r> {
    Absent,
    Null,
    /// JSON text of any kind.
    Raw(Cow<'r, str>),
    Text(Cow<'r, str>),
    Bytes(&'r [u8]),
    Millis(i64),
}

impl<'r> Found<'r> {
    /// The value for an encoder; `json` where the column takes JSON text as it is. `spare` holds an unescaped text.
    pub(super) fn value<'v>(&'v self, json: bool, spare: &'v mut String) -> Value<'v> {
        match self {
            Self::Absent | Self::Null => Value::Null,
            Self::Text(text) => Value::Text(text),
            Self::Bytes(bytes) => Value::Bytes(bytes),
            Self::Millis(millis) => Value::Millis(*millis),
            Self::Raw(raw) if json => Value::Json(raw),
            Self::Raw(raw) => match Kind::of(raw) {
                Kind::Object | Kind::Array => Value::Json(raw),
                Kind::Number => Value::Number(raw),
                Kind::Bool => Value::Bool(raw.starts_with('t')),
                Kind::Null => Value::Null,
                Kind::String => match unescape(inner(raw)) {
                    Cow::Borrowed(text) => Value::Text(text),
                    Cow::Owned(text) => {
                        *spare = text;
                        Value::Text(spare)
                    }
                },
            },
        }
    }

    /// The value as text; nothing for null.
    fn into_text(self) -> Result<Option<Cow<'r, str>>, EncodeError> {
        Ok(match self {
            Self::Absent | Self::Null => None,
            Self::Text(text) => Some(text),
            Self::Bytes(bytes) => Some(Cow::Borrowed(utf8(bytes)?)),
            Self::Millis(millis) => Some(Cow::Owned(millis.to_string())),
            Self::Raw(raw) => match (Kind::of(&raw), raw) {
                (Kind::Null, _) => None,
                (Kind::String, Cow::Borrowed(raw)) => Some(unescape(inner(raw))),
                (Kind::String, Cow::Owned(raw)) => Some(Cow::Owned(unescape(inner(&raw)).into_owned())),
                (Kind::Number | Kind::Bool, raw) => Some(raw),
                (kind @ (Kind::Object | Kind::Array), _) => {
                    let detail = format!("text is wanted and the value is JSON ({})", kind.name());
                    return Err(EncodeError::new("type_mismatch", detail));
                }
            },
        })
    }
}

/// A JSON string without its quotes.
pub(super) fn inner(raw: &str) -> &str {
    raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default()
}

impl Candidate {
    /// Reads a candidate; `pattern` names the captures, `column_with` follows the candidate's own functions.
    pub(super) fn parse(spec: &CandidateSpec, pattern: &Pattern, column_with: &[Function]) -> Result<Self, String> {
        let (text, own, when) = match spec {
            CandidateSpec::Source(text) => (text, &[][..], None),
            CandidateSpec::Full(FullCandidate { source, with, when }) => (source, with.as_slice(), when.as_deref()),
            CandidateSpec::Collect(collect) => {
                let label = collect.collect.iter().map(|name| format!("$.{name}")).collect::<Vec<_>>().join(", ");
                let source = Source::Collect(collect.collect.clone());
                return Ok(Self { source, with: column_with.to_vec(), derived: false, when: None, label });
            }
        };
        Ok(Self {
            source: Source::parse(text, pattern)?,
            with: own.iter().chain(column_with).copied().collect(),
            derived: !own.is_empty() || when.is_some(),
            when: when.map(JsonPath::parse).transpose()?,
            label: text.clone(),
        })
    }

    /// Whether the record's value must be a JSON object for this candidate.
    pub(super) fn needs_object(&self) -> bool {
        self.when.is_some() || matches!(self.source, Source::Path(_) | Source::Collect(_))
    }

    /// The candidate's value on a record, its functions applied.
    pub(super) fn evaluate<'r>(&self, context: &Context<'r>) -> Result<Found<'r>, EncodeError> {
        if let Some(when) = &self.when
            && context.path(when).is_none_or(|raw| Kind::of(raw) == Kind::Null)
        {
            return Ok(Found::Absent);
        }
        let found = self.source.evaluate(context);
        if self.with.is_empty() || matches!(found, Found::Absent | Found::Null) {
            return Ok(found);
        }
        let mut text = found.into_text()?;
        for function in &self.with {
            text = text.and_then(|text| function.apply(text));
        }
        Ok(text.map_or(Found::Absent, Found::Text))
    }

    /// The candidate's text before any function, where it is text: what a reference says.
    pub(super) fn raw_text<'r>(&self, context: &Context<'r>) -> Option<Cow<'r, str>> {
        self.source.evaluate(context).into_text().ok().flatten()
    }
}

impl<'r> Context<'r> {
    fn path(&self, path: &JsonPath) -> Option<&'r str> {
        path.find(self.text, self.fields, self.escaped_keys)
    }
}

impl Source {
    /// Reads a source: a path, a name such as `redis.key`, or a template of captures.
    pub(super) fn parse(text: &str, pattern: &Pattern) -> Result<Self, String> {
        match text {
            "$" => Ok(Self::Whole),
            "value" => Ok(Self::Value),
            "redis.key" => Ok(Self::Key),
            "redis.expires_at" => Ok(Self::ExpiresAt),
            "redis.digest" => Ok(Self::Digest),
            "run.id" => Ok(Self::RunId),
            text if text.starts_with('$') => JsonPath::parse(text).map(Self::Path),
            text if text.contains('{') => template(text, pattern).map(Self::Template),
            text => Err(format!(
                "`{text}` is no source: `$.path`, `value`, `redis.key`, `redis.expires_at`, `redis.digest`, `run.id`, or a \
                 template such as `{{id}}`"
            )),
        }
    }

    pub(super) fn evaluate<'r>(&self, context: &Context<'r>) -> Found<'r> {
        match self {
            Self::Whole => Found::Raw(Cow::Borrowed(context.text.trim_ascii())),
            Self::Value => match context.bytes {
                Some(bytes) => Found::Bytes(bytes),
                None => Found::Text(Cow::Borrowed(context.text)),
            },
            Self::Path(path) => match context.path(path) {
                None => Found::Absent,
                Some("null") => Found::Null,
                Some(raw) => Found::Raw(Cow::Borrowed(raw)),
            },
            Self::Collect(names) => collect(names, context),
            Self::Key => Found::Text(Cow::Borrowed(context.key)),
            Self::ExpiresAt => context.record.expires_at.map_or(Found::Null, Found::Millis),
            Self::Digest => Found::Text(Cow::Owned(Digest::of(&context.record.value).to_string())),
            Self::RunId => Found::Text(Cow::Borrowed(context.run_id)),
            Self::Template(pieces) => Found::Text(match pieces.as_slice() {
                [Piece::Capture(index)] => Cow::Borrowed(context.captures.text(context.key, *index)),
                pieces => pieces
                    .iter()
                    .map(|piece| match piece {
                        Piece::Literal(literal) => literal.as_str(),
                        Piece::Capture(index) => context.captures.text(context.key, *index),
                    })
                    .collect::<String>()
                    .into(),
            }),
        }
    }
}

fn template(text: &str, pattern: &Pattern) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some((literal, tail)) = rest.split_once('{') {
        let (name, tail) = tail.split_once('}').ok_or_else(|| format!("`{text}`: a `{{` is not closed"))?;
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal.to_owned()));
        }
        let index = pattern.names().position(|known| known == name);
        pieces.push(Piece::Capture(index.ok_or_else(|| format!("`{text}`: the pattern has no capture `{name}`"))?));
        rest = tail;
    }
    if !rest.is_empty() {
        pieces.push(Piece::Literal(rest.to_owned()));
    }
    Ok(pieces)
}

/// The fields of these names that the record has, as one object; absent where it has none.
fn collect<'r>(names: &[String], context: &Context<'r>) -> Found<'r> {
    let mut object = String::new();
    for name in names {
        if let Some(raw) = crate::decode::lookup(context.text, context.fields, context.escaped_keys, name) {
            object.push(if object.is_empty() { '{' } else { ',' });
            crate::decode::push_json_string(&mut object, name);
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
