//! One record to one row: the hot path. Owns the order of things; what a value is comes from `source` and `encode`.

use super::lineage::push_members;
use super::plan::{Mapping, ParentRef, Target};
use super::scratch::{Scratch, keep};
use super::source::{Context, Found, inner};
use super::target::unwrapped;
use crate::decode::{DecodeError, Field, Kind, decode, push_json_string, scan, unescape};
use crate::encode::EncodeError;
use crate::model::{Digest, Record, RedisKey, Reject, Row, Shape, Splice, UnixMillis};
use std::borrow::Cow;

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
            } else if let Some(piece) =
                target.spliced(&found, &record.value).filter(|_| splice.is_none() && index >= self.key_columns)
            {
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
        let reference = target.candidates.iter().find_map(|candidate| candidate.reference(context))?;
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
        self.top.check(scanned.kind).map_err(refused)?;
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
    fn document_id<'r>(&'r self, context: &Context<'r>) -> Cow<'r, str> {
        match self.lineage_id.as_ref().and_then(|source| source.evaluate(context).ok()) {
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

#[cold]
fn undecoded(record: &Record, error: DecodeError) -> Reject {
    let mut reject = Reject::new(record.key.clone(), error.reason, error.detail, Some(record.value.clone()));
    reject.path = error.path;
    reject
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
