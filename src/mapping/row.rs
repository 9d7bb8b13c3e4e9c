//! One record to one row: the hot path. Owns the order of things; what a value is comes from `source` and `encode`.

use super::Expect;
use super::lineage::{Lineage, Own, own_members, push_members};
use super::plan::{Mapping, ParentRef, Target};
use super::source::{Context, Found, inner};
use crate::decode::{DecodeError, Field, Kind, decode, push_json_string, scan, unescape};
use crate::encode::{EncodeError, Value};
use crate::model::{Digest, Record, RedisKey, Reject, Row, Shape, Splice, UnixMillis};
use bytes::{Bytes, BytesMut};
use std::borrow::Cow;
use std::ops::Range;

/// Rows are written into blocks of this size, which they share: an allocation for each row, made by one thread and freed
/// by another, costs more than the copy.
const BLOCK: usize = 64 * 1024;

/// From this length on, JSON text that goes in as it is stays where it was read: below, a copy is cheaper.
const SPLICED: usize = 256;

/// Buffers that are used again for every record. One for each worker.
#[derive(Debug, Default)]
pub struct Scratch {
    out: Vec<u8>,
    block: BytesMut,
    fields: Vec<Field>,
    own_fields: Vec<Field>,
    lineage: String,
}

/// A record's JSON text, checked.
struct Prepared<'r> {
    text: Cow<'r, str>,
    escaped_keys: bool,
    altered: Vec<&'static str>,
}

impl Mapping {
    /// Maps a record to a row. `now` is the moment that the lineage states.
    ///
    /// # Errors
    /// A reject with its reason, path and column, where the key or the value cannot become a row.
    pub fn map(&self, record: &Record, now: UnixMillis, scratch: &mut Scratch) -> Result<Row, Reject> {
        let (key, captures) = self.read_key(record)?;
        let mut prepared = self.prepare(record, &mut scratch.fields)?;
        let context = Context {
            record,
            key,
            captures,
            text: &prepared.text,
            fields: &scratch.fields,
            escaped_keys: prepared.escaped_keys,
            run_id: &self.run_id,
        };
        // Hashing costs as much as checking the text.
        let digest = if self.rehearsal { Digest::default() } else { Digest::of(&record.value) };
        let out = &mut scratch.out;
        out.clear();
        let (mut shape, mut key_len, mut splice) = (0_u64, 0, None);
        for (index, target) in self.targets.iter().enumerate() {
            let found = self.column(index, target, &context, &mut prepared.altered)?;
            let written = if target.lineage {
                let document_id = self.document_id(&context);
                scratch.lineage.clear();
                push_members(&mut scratch.lineage, (record, digest), &document_id, &self.run_json, now);
                target.join_lineage(&found, &scratch.lineage, &mut scratch.own_fields, out)
            } else if found == Found::Absent {
                continue;
            } else if let Some(piece) = target.spliced(&found, &record.value).filter(|_| splice.is_none()) {
                let begun = target.encoder.begin_json(piece.len(), out);
                splice = Some(Splice { at: out.len() as u32, start: piece.start as u32, len: piece.len() as u32 });
                begun.map(|()| None)
            } else {
                let mut spare = String::new();
                target.encoder.encode(found.value(target.encoder.takes_json(), &mut spare), out)
            };
            let note = written.map_err(|error| self.refused(record, index, error, None))?;
            prepared.altered.extend(note);
            shape |= 1 << index;
            if index + 1 == self.key_columns {
                key_len = out.len() as u32;
            }
        }
        let parent_keys = if self.rehearsal { self.parent_keys(&context) } else { Vec::new() };
        let (key, value) = (record.key.clone(), record.value.clone());
        let fields = keep(&mut scratch.block, out);
        let altered = prepared.altered;
        Ok(Row { key, value, digest, shape: Shape(shape), fields, splice, key_len, parent_keys, altered })
    }

    /// The key of the row that a record refers to: the parent's pattern, built back from the reference as it is
    /// written. `None` where the record has no reference, or the pattern cannot be inverted.
    pub fn parent_key(&self, parent: &ParentRef, record: &Record) -> Option<RedisKey> {
        let place = self.parents.iter().position(|known| known == parent)?;
        let (key, captures) = self.read_key(record).ok()?;
        let mut fields = Vec::new();
        let prepared = self.prepare(record, &mut fields).ok()?;
        let (text, escaped_keys) = (prepared.text.as_ref(), prepared.escaped_keys);
        let context = Context { record, key, captures, text, fields: &fields, escaped_keys, run_id: &self.run_id };
        self.referred(place, &context)
    }

    fn parent_keys(&self, context: &Context<'_>) -> Vec<Option<RedisKey>> {
        (0..self.parents.len()).map(|place| self.referred(place, context)).collect()
    }

    fn referred(&self, place: usize, context: &Context<'_>) -> Option<RedisKey> {
        let target = self.targets.get(self.parents.get(place)?.column)?;
        let reference = target.candidates.iter().find_map(|candidate| candidate.raw_text(context))?;
        self.parent_patterns.get(place)?.build(&reference)
    }

    fn read_key<'r>(&self, record: &'r Record) -> Result<(&'r str, super::pattern::Captures), Reject> {
        let reject = |reason: &'static str, detail: &str| {
            Err(Reject::new(record.key.clone(), reason, detail, Some(record.value.clone())))
        };
        let Some(captures) = self.pattern.captures(record.key.as_bytes()) else {
            return reject("key_pattern", "the key is not of the mapping's pattern");
        };
        if captures.any_empty() {
            return reject("key_empty_id", "the key has an empty id");
        }
        let Some(key) = record.key.as_str() else { return reject("key_not_utf8", "the key is not UTF-8") };
        if memchr::memchr(0, key.as_bytes()).is_some() {
            return reject("text_nul", "the key has a byte 0, which PostgreSQL's text cannot hold");
        }
        Ok((key, captures))
    }

    fn prepare<'r>(&self, record: &'r Record, fields: &mut Vec<Field>) -> Result<Prepared<'r>, Reject> {
        let refused = |error: DecodeError| undecoded(record, error);
        let decoded = decode(&record.value, fields).map_err(refused)?;
        let mut altered = Vec::new();
        if decoded.bom {
            altered.push("bom");
        }
        let (mut text, mut scanned) = (Cow::Borrowed(decoded.text), decoded.scanned);
        if self.unwrap_json_string && scanned.kind == Kind::String {
            let inside = unescape(inner(scanned.span.of(decoded.text))).into_owned();
            match scan(&inside, fields) {
                Ok(found) => {
                    altered.push("unwrap_json_string");
                    (text, scanned) = (Cow::Owned(inside), found);
                }
                Err(fault) => return Err(refused(unwrapped(fault.explain(&inside)))),
            }
        }
        if self.needs_object && scanned.kind != Kind::Object {
            return Err(refused(DecodeError::new(
                format!("json_not_object ({})", scanned.kind.name()),
                format!("the mapping reads fields of an object, and the value is JSON ({})", scanned.kind.name()),
            )));
        }
        if duplicate_key(&text, fields) {
            altered.push("json_duplicate_key");
        }
        Ok(Prepared { text, escaped_keys: scanned.escaped_keys, altered })
    }

    /// The value of one column: candidates, then what stands for null or for nothing, then its JSON type.
    fn column<'r>(
        &self,
        index: usize,
        target: &'r Target,
        context: &Context<'r>,
        altered: &mut Vec<&'static str>,
    ) -> Result<Found<'r>, Reject> {
        let record = context.record;
        let (mut found, mut place) = (Found::Absent, None);
        for candidate in &target.candidates {
            match candidate.evaluate(context) {
                Err(error) => return Err(self.refused(record, index, error, Some(&candidate.label))),
                Ok(Found::Absent) => {}
                Ok(Found::Null) if candidate.derived => {}
                Ok(Found::Null) => found = Found::Null,
                Ok(given) => {
                    (found, place) = (given, Some(candidate.label.as_str()));
                    break;
                }
            }
        }
        let stand_in = match found {
            Found::Null => target.null_as.as_ref().or(target.default.as_ref()),
            Found::Absent => target.default.as_ref(),
            _ => None,
        };
        if let Some(constant) = stand_in {
            let text = Cow::Borrowed(constant.as_str());
            found = if target.encoder.takes_json() { Found::Raw(text) } else { Found::Text(text) };
        }
        if found == Found::Null && index < self.key_columns {
            return Err(self.refused(record, index, EncodeError::new("key_null", "a key column would be NULL"), place));
        }
        if found == Found::Absent && target.required && !target.lineage {
            let labels: Vec<&str> = target.candidates.iter().map(|candidate| candidate.label.as_str()).collect();
            let detail = format!("the record has no {}", labels.join(", "));
            return Err(self.refused(record, index, EncodeError::new("field_missing", detail), None));
        }
        if let Found::Raw(raw) = &mut found {
            let checked = target.unwrap(raw, altered).and_then(|()| target.check(raw));
            checked.map_err(|error| self.refused(record, index, error, place))?;
        }
        Ok(found)
    }

    /// The reference that the lineage names, as JSON text.
    fn document_id<'r>(&self, context: &Context<'r>) -> Cow<'r, str> {
        match self.lineage_id.as_ref().map(|source| source.evaluate(context)) {
            Some(Found::Raw(raw)) if !matches!(Kind::of(&raw), Kind::Number | Kind::Bool) => raw,
            Some(Found::Raw(text) | Found::Text(text)) => {
                let mut json = String::with_capacity(text.len() + 2);
                push_json_string(&mut json, &text);
                Cow::Owned(json)
            }
            Some(Found::Millis(millis)) => Cow::Owned(millis.to_string()),
            Some(Found::Absent | Found::Null) | None => Cow::Borrowed("null"),
        }
    }

    #[cold]
    fn refused(&self, record: &Record, index: usize, error: EncodeError, place: Option<&str>) -> Reject {
        let mut reject = Reject::new(record.key.clone(), error.reason, error.detail, Some(record.value.clone()));
        reject.column = self.columns.get(index).map(|column| column.name.clone());
        // Without a known place, the one path that the column is read from.
        let only = match self.targets.get(index).map(|target| target.candidates.as_slice()) {
            Some([candidate]) => Some(candidate.label.as_str()),
            _ => None,
        };
        reject.path = place.or(only).filter(|place| place.starts_with('$')).map(str::to_owned);
        reject
    }
}

impl Target {
    /// Where in the value the JSON stands that goes into the column as it is, if it is long enough to be left there.
    fn spliced(&self, found: &Found<'_>, value: &[u8]) -> Option<Range<usize>> {
        let Found::Raw(Cow::Borrowed(raw)) = found else { return None };
        if raw.len() < SPLICED || !self.encoder.takes_json() {
            return None;
        }
        // Not all borrowed text is the value's: a text that was unwrapped is not. A slice knows where it lies.
        let start = raw.as_ptr().addr().checked_sub(value.as_ptr().addr())?;
        let end = start.checked_add(raw.len()).filter(|end| *end <= value.len().min(u32::MAX as usize))?;
        Some(start..end)
    }

    /// Unwraps a JSON string that holds JSON, once.
    fn unwrap(&self, raw: &mut Cow<'_, str>, altered: &mut Vec<&'static str>) -> Result<(), EncodeError> {
        if !self.unwrap_json_string || Kind::of(raw) != Kind::String {
            return Ok(());
        }
        let inside = unescape(inner(raw)).into_owned();
        match scan(&inside, &mut Vec::new()) {
            Ok(scanned) => {
                altered.push("unwrap_json_string");
                *raw = Cow::Owned(scanned.span.of(&inside).to_owned());
                Ok(())
            }
            Err(fault) => {
                let error = unwrapped(fault.explain(&inside));
                Err(EncodeError { reason: error.reason, detail: error.detail })
            }
        }
    }

    fn check(&self, raw: &str) -> Result<(), EncodeError> {
        let (wanted, name) = match self.expect {
            Some(Expect::Object) => (Kind::Object, "json_not_object"),
            Some(Expect::Array) => (Kind::Array, "json_not_array"),
            None => return Ok(()),
        };
        let kind = Kind::of(raw);
        if kind == wanted {
            return Ok(());
        }
        let detail = format!("JSON ({}) is wanted and the value is JSON ({})", wanted.name(), kind.name());
        Err(EncodeError { reason: format!("{name} ({})", kind.name()).into(), detail })
    }

    /// Writes the record's own object together with the lineage.
    fn join_lineage(
        &self,
        found: &Found<'_>,
        lineage: &str,
        fields: &mut Vec<Field>,
        out: &mut Vec<u8>,
    ) -> Result<Option<&'static str>, EncodeError> {
        let own = match found {
            Found::Raw(raw) if Kind::of(raw) == Kind::Object => own_members(raw, fields),
            Found::Absent | Found::Null => Own::Empty,
            other => {
                // Only a mapping without `expect = "object"` comes here: lineage can join nothing but an object.
                let mut spare = String::new();
                let detail = match other.value(true, &mut spare) {
                    Value::Json(raw) => {
                        format!("lineage joins an object, and the value is JSON ({})", Kind::of(raw).name())
                    }
                    _ => "lineage joins an object, and the value is text".to_owned(),
                };
                return Err(EncodeError::new("json_not_object", detail));
            }
        };
        match &own {
            Own::Empty => self.encoder.encode_json(&["{", lineage, "}"], out),
            Own::Kept(kept) => self.encoder.encode_json(&["{", kept, ",", lineage, "}"], out),
            Own::Moved(moved) => self.encoder.encode_json(&["{", moved, ",", lineage, "}"], out),
        }
    }
}

impl Lineage {
    /// The column, where it is one.
    pub fn column(self) -> Option<usize> {
        match self {
            Self::Column(index) => Some(index),
            Self::Ledger => None,
        }
    }
}

/// Copies a row's fields into the current block, or into one of their own where they would fill most of it.
fn keep(block: &mut BytesMut, fields: &[u8]) -> Bytes {
    if fields.len() > BLOCK / 4 {
        return Bytes::copy_from_slice(fields);
    }
    if block.capacity() < fields.len() {
        *block = BytesMut::with_capacity(BLOCK);
    }
    block.extend_from_slice(fields);
    block.split().freeze()
}

#[cold]
fn undecoded(record: &Record, error: DecodeError) -> Reject {
    let mut reject = Reject::new(record.key.clone(), error.reason, error.detail, Some(record.value.clone()));
    reject.path = error.path;
    reject
}

/// A string that holds no JSON is just a string, where an object is wanted.
#[cold]
fn unwrapped(error: DecodeError) -> DecodeError {
    match error.reason.as_ref() {
        "json_syntax" => DecodeError::new("json_not_object (string)", "the value is a string without JSON in it"),
        _ => error,
    }
}

/// Whether a key of the top level is there twice. The last one wins, in the columns as in jsonb.
fn duplicate_key(text: &str, fields: &[Field]) -> bool {
    /// Beyond this many fields nobody looks: the answer is for a counter.
    const LOOKED_AT: usize = 256;
    let mut seen = 0_u64;
    for (index, field) in fields.iter().enumerate().take(LOOKED_AT) {
        let key = field.key.of(text);
        let mark = |bytes: &[u8]| match bytes {
            [first, .., last] => {
                usize::from(*first).wrapping_mul(7) ^ usize::from(*last).wrapping_mul(31) ^ bytes.len()
            }
            bytes => bytes.len(),
        };
        let bit = 1 << (mark(key.as_bytes()) % 64);
        let same = |earlier: &Field| unescape(earlier.key.of(text)) == unescape(key);
        if (seen & bit != 0 || field.key_escaped) && fields.iter().take(index).any(same) {
            return true;
        }
        seen |= bit;
    }
    false
}
