//! One record to one row: the hot path. Owns the order of things; what a value is comes from `source` and `encode`.

use super::lineage::{push_compared_members, push_members};
use super::pattern::Captures;
use super::place::{ElementPlace, Place};
use super::plan::{Mapping, ParentRef, Purpose, Target};
use super::scratch::{Scratch, keep};
use super::source::{Context, Found};
use super::value::Prepared;
use crate::decode::{Content, Decoder, Field, Kind, push_json_string, scan};
use crate::encode::EncodeError;
use crate::model::{Digest, Losses, Record, RedisKey, RedisType, Reject, Row, Shape, UnixMillis};
use std::borrow::Cow;
use std::cell::Cell;

impl Mapping {
    /// Maps a record to a row. `now` is the moment that the lineage states.
    ///
    /// # Errors
    /// A reject with its reason, path and column, where the key or the value cannot become a row.
    pub fn map(&self, record: &Record, now: UnixMillis, scratch: &mut Scratch) -> Result<Row, Reject> {
        let prepared = self.prepare(record, &mut scratch.fields)?;
        self.row(record, prepared, None, now, scratch)
    }

    /// The row of a value whose fields are in the scratch; `element` is which one it is of a key that is taken apart.
    #[inline]
    pub(super) fn row(
        &self,
        record: &Record,
        mut prepared: Prepared<'_>,
        element: Option<ElementPlace>,
        now: UnixMillis,
        scratch: &mut Scratch,
    ) -> Result<Row, Reject> {
        let (key, captures) = self.read_key(record)?;
        let rehearsal = self.purpose == Purpose::Rehearsal;
        // Hashing costs as much as checking the text.
        let digest = match element {
            _ if rehearsal => Digest::default(),
            Some(element) => element_digest(record, element.index),
            None => record.digest(),
        };
        let known = Some(digest).filter(|_| element.is_none() && !rehearsal);
        let place = Place { element, digest: known, now };
        let context = self.context(record, place, (key, captures), &prepared.content, &scratch.fields);
        let out = &mut scratch.out;
        out.clear();
        let (mut shape, mut key_len, mut splice, mut has_all) = (0_u64, 0, None, false);
        let mut losses = Losses::default();
        for (index, target) in self.targets.iter().enumerate() {
            let begun = out.len();
            let found = self.column(index, target, &context, &mut prepared.altered)?;
            let written = if target.lineage {
                self.lineage_members(&context, digest, &mut scratch.lineage);
                target.join_lineage(&found, &scratch.lineage, &mut scratch.own_fields, out)
            } else if found == Found::Absent {
                continue;
            } else {
                target.write(&found, (record, index < self.key_columns), &mut splice, out)
            };
            let note = written.map_err(|error| self.refused(record, index, error, None))?;
            // Policies of the column make NULL of values too.
            if is_null(out, begun) && (index < self.key_columns || target.wants_value) {
                return Err(self.refused(record, index, target.null(index < self.key_columns), None));
            }
            has_all |= target.has_all && note.is_none() && !is_null(out, begun);
            prepared.altered.extend(note.filter(|note| !losses.take(note, index)));
            shape |= 1 << index;
            if index + 1 == self.key_columns {
                key_len = out.len() as u32;
            }
        }
        let parent_keys = if rehearsal { self.all_referred(&context) } else { Vec::new() };
        let (key, value, redis_type) = (record.key.clone(), record.value.clone(), record.redis_type);
        let fields = keep(&mut scratch.block, out);
        let altered = prepared.altered;
        Ok(Row {
            key,
            redis_type,
            value,
            stored: record.stored.clone(),
            expires_at: record.expires_at,
            facts: record.facts.clone(),
            digest,
            shape: Shape(shape),
            fields,
            splice,
            key_len,
            group: None,
            element: element.map_or(0, |element| element.index),
            parent_keys,
            altered,
            // Where another of its columns has all of the value, nothing is lost.
            losses: if has_all { Losses::default() } else { losses },
        })
    }

    /// The keys that the rows may have that a record refers to: each of the parent's patterns, built back from the
    /// reference as it is written. None where the record has no reference, or no pattern can be inverted.
    pub fn parent_keys(&self, parent: &ParentRef, record: &Record) -> Vec<RedisKey> {
        let Some(place) = self.parents.iter().position(|known| known == parent) else { return Vec::new() };
        if self.explodes() {
            return self.parents_of_elements(place, record);
        }
        self.parents_of_value(place, record).unwrap_or_default()
    }

    fn parents_of_value(&self, place: usize, record: &Record) -> Option<Vec<RedisKey>> {
        let (key, captures) = self.read_key(record).ok()?;
        let mut fields = Vec::new();
        let prepared = self.prepare(record, &mut fields).ok()?;
        let context = self.context(record, Place::default(), (key, captures), &prepared.content, &fields);
        self.referred(place, &context)
    }

    pub(super) fn context<'r>(
        &'r self,
        record: &'r Record,
        place: Place,
        (key, captures): (&'r str, Captures),
        content: &'r Content<'_>,
        fields: &'r [Field],
    ) -> Context<'r> {
        let (text, bytes, escaped_keys) = match content {
            Content::Json(text, scanned) => (text.as_ref(), None, scanned.escaped_keys),
            Content::Text(text) => (text.as_ref(), None, false),
            Content::Bytes(bytes) => ("", Some(bytes.as_ref()), false),
        };
        Context {
            record,
            place,
            key,
            captures,
            text,
            bytes,
            fields,
            escaped_keys,
            mapping: self,
            is_json: Cell::new(None),
        }
    }

    fn all_referred(&self, context: &Context<'_>) -> Vec<Vec<RedisKey>> {
        (0..self.parents.len()).map(|place| self.referred(place, context).unwrap_or_default()).collect()
    }

    pub(super) fn referred(&self, place: usize, context: &Context<'_>) -> Option<Vec<RedisKey>> {
        let target = self.targets.get(self.parents.get(place)?.column)?;
        let reference = target.candidates.iter().find_map(|candidate| candidate.reference(context))?;
        Some(self.parent_patterns.get(place)?.build(&reference))
    }

    pub(super) fn read_key<'r>(&self, record: &'r Record) -> Result<(&'r str, Captures), Reject> {
        let reject = |reason: &'static str, detail: &str| Err(Reject::of(record, reason, detail));
        let Some(captures) = self.pattern.captures(record.key.as_bytes()) else {
            return reject("key_pattern", "the key is not of the mapping's pattern");
        };
        if captures.any_empty() {
            return reject("key_empty_id", "the key has an empty id");
        }
        if self.any_key {
            return Ok((record.key.as_str().unwrap_or_default(), captures));
        }
        let Some(key) = record.key.as_str() else { return reject("key_not_utf8", "the key is not UTF-8") };
        if memchr::memchr(0, key.as_bytes()).is_some() {
            return reject("text_nul", "the key has a byte 0, which PostgreSQL's text cannot hold");
        }
        Ok((key, captures))
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
        let (mut found, mut place, mut read_json) = (Found::Absent, None, false);
        for candidate in &target.candidates {
            match candidate.evaluate(context) {
                Err(error) => return Err(self.refused(record, index, error, Some(&candidate.label))),
                Ok(Found::Absent) => {}
                Ok(Found::Null) if candidate.derived => {}
                Ok(Found::Null) => found = Found::Null,
                Ok(given) if target.means_null(&given) => found = Found::Null,
                Ok(given) => {
                    (found, place) = (given, Some(candidate.label.as_str()));
                    read_json = candidate.reads_json();
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
        if found == Found::Null && (index < self.key_columns || target.wants_value && !target.lineage) {
            return Err(self.refused(record, index, target.null(index < self.key_columns), place));
        }
        if found == Found::Absent && target.required && !target.lineage {
            let labels: Vec<&str> = target.candidates.iter().map(|candidate| candidate.label.as_str()).collect();
            let detail = format!("the record has no {}", labels.join(", "));
            return Err(self.refused(record, index, EncodeError::new("field_missing", detail), None));
        }
        let unwrapped = match &mut found {
            Found::Raw(raw) => target.unwrap(raw, &self.decoder, altered),
            _ => Ok(()),
        };
        let judged = match &found {
            Found::Raw(raw) if read_json => unwrapped.and_then(|()| judge(raw, &self.decoder, altered)),
            _ => unwrapped,
        };
        let checked = judged.and_then(|()| target.check(&found));
        checked.map_err(|error| self.refused(record, index, error, place))?;
        Ok(found)
    }

    /// Writes the members of the lineage object.
    fn lineage_members(&self, context: &Context<'_>, digest: Digest, out: &mut String) {
        out.clear();
        let (record, database) = (context.record, self.named_database());
        if self.purpose == Purpose::Comparison {
            return push_compared_members(out, record, database);
        }
        let document_id = self.document_id(context);
        push_members(out, (record, digest, database), &document_id, &self.run_json, context.place.now);
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
            // A mapping whose values are bytes names none of them here.
            Some(Found::Absent | Found::Null | Found::Bytes(_)) | None => Cow::Borrowed("null"),
        }
    }

    #[cold]
    fn refused(&self, record: &Record, index: usize, error: EncodeError, place: Option<&str>) -> Reject {
        let mut reject = Reject::of(record, error.reason, error.detail);
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

/// Looks for keys that stand twice in JSON that a function has read out of a text, which was not part of the value's own.
#[cold]
fn judge(raw: &str, decoder: &Decoder, altered: &mut Vec<&'static str>) -> Result<(), EncodeError> {
    let Ok(scanned) = scan(raw, &mut Vec::new()) else { return Ok(()) };
    let judged = decoder.judge_keys(raw, scanned, altered);
    judged.map_err(|error| EncodeError { reason: error.reason, detail: error.detail })
}

/// Whether the field that begins at `begun` is NULL.
#[inline]
fn is_null(out: &[u8], begun: usize) -> bool {
    out.get(begun..begun + 4) == Some(&[0xff; 4])
}

/// What a row of an element is made of: its bytes, and its place where the place says something.
fn element_digest(record: &Record, index: u64) -> Digest {
    match record.redis_type {
        RedisType::String | RedisType::Json | RedisType::List => {
            let mut bytes = record.value.to_vec();
            bytes.extend_from_slice(&index.to_be_bytes());
            Digest::of(&bytes)
        }
        _ => Digest::of(&record.value),
    }
}
