//! A collection as JSON text, so that paths, whole values and everything else are the same for every type.
//!
//! A hash is an object, a list and a set are arrays, a sorted set is an array of `{"member": …, "score": …}` by rank, a
//! stream an array of `{"id": …, "fields": {…}}`. What is in them are strings, unless the mapping says that it is JSON, or
//! bytes.

use super::{EmptyItems, ItemForm, MappingSpec};
use crate::decode::{
    BytesPolicy, DecodeError, Decoder, NonfinitePolicy, Policies, not_utf8, push_json_string, push_key,
};
use crate::model::{Items, RedisKey, RedisType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use std::borrow::Cow;
use std::collections::HashMap;

/// What the items of a mapping's collections are.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ItemForms {
    /// The values of hashes and streams, and the elements of lists.
    values: ItemForm,
    /// The members of sets and sorted sets.
    members: ItemForm,
    /// What an empty one is where they are JSON.
    empty: Option<EmptyItems>,
}

impl ItemForms {
    pub(super) fn of(spec: &MappingSpec) -> Self {
        Self { values: spec.items, members: spec.members, empty: spec.empty_items }
    }

    /// Whether some items become others.
    pub(super) fn repair(self) -> bool {
        self.empty.is_some()
    }
}

/// The most bytes of a field's name that is told of.
const NAME_BYTES: usize = 200;

/// Writes items as JSON.
pub(super) struct ItemWriter<'a> {
    /// What the items are.
    pub(super) forms: ItemForms,
    /// What reads those that are JSON.
    pub(super) json: Option<&'a Decoder>,
    /// What becomes of items that are no text, and of infinite scores.
    pub(super) policies: Policies,
    /// Whether an infinite score is written as a string where nothing else is said of it: whoever reads it can take it.
    pub(super) takes_infinity: bool,
    pub(super) out: &'a mut String,
    /// The repairs made.
    pub(super) altered: &'a mut Vec<&'static str>,
}

impl ItemWriter<'_> {
    /// Writes a whole collection.
    ///
    /// # Errors
    /// `invalid_utf8` for an item that is no text, `json_nonfinite` for a score that is no number of JSON, and those of
    /// JSON for an item that is to be JSON.
    pub(super) fn whole(&mut self, redis_type: RedisType, packed: &[u8]) -> Result<(), DecodeError> {
        let items = Items::of(packed);
        match redis_type {
            RedisType::Hash => self.object(items.pairs(), "$"),
            RedisType::Zset => self.array(items.pairs(), |writer, (member, score), place| {
                writer.out.push_str("{\"member\":");
                writer.member(member, &format!("$[{place}].member"))?;
                writer.out.push_str(",\"score\":");
                writer.number(score, &format!("$[{place}].score"))?;
                writer.out.push('}');
                Ok(())
            }),
            RedisType::Stream => self.stream(items),
            RedisType::List => self.array(items, |writer, item, place| writer.value(item, &format!("$[{place}]"))),
            _ => self.array(items, |writer, item, place| writer.member(item, &format!("$[{place}]"))),
        }
    }

    fn array<T>(
        &mut self,
        items: impl Iterator<Item = T>,
        mut write: impl FnMut(&mut Self, T, usize) -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        self.out.push('[');
        for (place, item) in items.enumerate() {
            if place > 0 {
                self.out.push(',');
            }
            write(self, item, place)?;
        }
        self.out.push(']');
        Ok(())
    }

    /// Writes names and values as an object.
    ///
    /// # Errors
    /// As [`Self::whole`]; `duplicate_key_after_conversion` where two different names become one.
    pub(super) fn object<'i>(
        &mut self,
        pairs: impl Iterator<Item = (&'i [u8], &'i [u8])> + Clone,
        path: &str,
    ) -> Result<(), DecodeError> {
        let Policies { invalid_utf8, bytes, .. } = self.policies;
        let converts = invalid_utf8.is_some() || bytes.is_some();
        if converts && pairs.clone().any(|(name, _)| std::str::from_utf8(name).is_err()) {
            self.refuse_equal(pairs.clone().map(|(name, _)| name), path)?;
        }
        self.out.push('{');
        for (place, (name, value)) in pairs.enumerate() {
            if place > 0 {
                self.out.push(',');
            }
            self.name(name, path)?;
            self.out.push(':');
            self.value(value, &field_path(path, name))?;
        }
        self.out.push('}');
        Ok(())
    }

    fn stream(&mut self, mut items: Items<'_>) -> Result<(), DecodeError> {
        let entries = std::iter::from_fn(|| {
            let (id, count) = (items.next()?, items.next()?);
            let count: usize = std::str::from_utf8(count).ok()?.parse().ok()?;
            let fields: Vec<(&[u8], &[u8])> = (0..count).map_while(|_| items.next().zip(items.next())).collect();
            Some((id, fields))
        });
        self.array(entries, |writer, (id, fields), place| {
            writer.out.push_str("{\"id\":");
            writer.string(id, &format!("$[{place}].id"))?;
            writer.out.push_str(",\"fields\":");
            writer.object(fields.iter().copied(), &format!("$[{place}].fields"))?;
            writer.out.push('}');
            Ok(())
        })
    }

    /// Writes a value of a hash or stream, or an element of a list, as what the mapping says that it is.
    pub(super) fn value(&mut self, item: &[u8], path: &str) -> Result<(), DecodeError> {
        self.formed(self.forms.values, item, path)
    }

    /// Writes a member of a set or sorted set, as what the mapping says that it is.
    pub(super) fn member(&mut self, item: &[u8], path: &str) -> Result<(), DecodeError> {
        self.formed(self.forms.members, item, path)
    }

    fn formed(&mut self, form: ItemForm, item: &[u8], path: &str) -> Result<(), DecodeError> {
        let decoder = match (form, self.json) {
            (ItemForm::Bytes, _) => {
                push_json_string(self.out, &STANDARD.encode(item));
                return Ok(());
            }
            (ItemForm::Json, Some(decoder)) => decoder,
            _ => return self.string(item, path),
        };
        if item.is_empty() && self.forms.empty == Some(EmptyItems::Null) {
            self.out.push_str("null");
            self.note("empty_items");
            return Ok(());
        }
        let mut repairs = Vec::new();
        let (text, scanned) = decoder.item(item, &mut repairs).map_err(|mut error| {
            let inside = error.path.as_deref().and_then(|inside| inside.strip_prefix('$')).unwrap_or_default();
            error.path = Some(format!("{path}{inside}"));
            error
        })?;
        self.out.push_str(scanned.span.of(&text));
        repairs.into_iter().for_each(|repair| self.note(repair));
        Ok(())
    }

    /// Writes an item as a string.
    pub(super) fn string(&mut self, item: &[u8], path: &str) -> Result<(), DecodeError> {
        let (text, repair) = self.text(item).map_err(|error| at(error, path))?;
        push_json_string(self.out, &text);
        repair.into_iter().for_each(|repair| self.note(repair));
        Ok(())
    }

    /// Writes the name of a field as a string.
    pub(super) fn name(&mut self, name: &[u8], path: &str) -> Result<(), DecodeError> {
        self.string(name, path).map_err(|error| of_name(error, name, path))
    }

    /// An item as text, and the repair that made it one.
    fn text<'i>(&self, item: &'i [u8]) -> Result<(Cow<'i, str>, Option<&'static str>), DecodeError> {
        let error = match std::str::from_utf8(item) {
            Ok(text) => return Ok((Cow::Borrowed(text), None)),
            Err(error) => error,
        };
        match self.policies {
            Policies { invalid_utf8: Some(charset), .. } => {
                Ok((Cow::Owned(charset.stand_in(item, error)?), Some("invalid_utf8")))
            }
            Policies { bytes: Some(BytesPolicy::Base64), .. } => Ok((Cow::Owned(STANDARD.encode(item)), Some("bytes"))),
            _ => Err(not_utf8(item, error.valid_up_to() as u64)),
        }
    }

    /// Refuses different names that become the same text, as MessagePack's are refused.
    #[cold]
    fn refuse_equal<'i>(&self, names: impl Iterator<Item = &'i [u8]>, path: &str) -> Result<(), DecodeError> {
        let mut seen: HashMap<Cow<'i, str>, &[u8]> = HashMap::new();
        for name in names {
            let (text, _) = self.text(name).map_err(|error| of_name(error, name, path))?;
            if seen.insert(text.clone(), name).is_some_and(|other| other != name) {
                let detail = format!("two fields become the same key {text:?}");
                let error = DecodeError::new("duplicate_key_after_conversion", detail);
                return Err(at(error, &field_path(path, text.as_bytes())));
            }
        }
        Ok(())
    }

    /// Notes a repair, once for all items.
    fn note(&mut self, repair: &'static str) {
        if !self.altered.contains(&repair) {
            self.altered.push(repair);
        }
    }

    /// Writes a score, which is a float: in the shortest digits that read back equal, whatever digits the server sends.
    pub(super) fn number(&mut self, score: &[u8], path: &str) -> Result<(), DecodeError> {
        let number = std::str::from_utf8(score).ok().and_then(|text| text.parse::<f64>().ok());
        match number.filter(|number| number.is_finite()) {
            Some(number) => {
                push_float(number, self.out);
                Ok(())
            }
            None => self.infinity(score, path),
        }
    }

    #[cold]
    fn infinity(&mut self, score: &[u8], path: &str) -> Result<(), DecodeError> {
        match self.policies.nonfinite {
            None if self.takes_infinity => return self.string(score, path),
            None => {
                let text = String::from_utf8_lossy(score);
                let detail = format!("the score {text} is no number of JSON");
                return Err(at(DecodeError::new("json_nonfinite", detail), path));
            }
            Some(NonfinitePolicy::Null) => self.out.push_str("null"),
            Some(NonfinitePolicy::String) => self.string(score, path)?,
        }
        self.note("nonfinite");
        Ok(())
    }
}

/// Appends a finite float in the form of C's `%g`: whole numbers below 1e17 have all of their digits, and no point.
fn push_float(number: f64, out: &mut String) {
    let size = number.abs();
    if number == 0.0 {
        out.push_str(if number.is_sign_negative() { "-0" } else { "0" });
    } else if number.fract() == 0.0 && size < 1e17 {
        out.push_str(&(number as i64).to_string());
    } else if (1e-4..1e17).contains(&size) {
        out.push_str(&number.to_string());
    } else {
        let text = format!("{number:e}");
        out.push_str(&if text.contains("e-") { text } else { text.replace('e', "e+") });
    }
}

fn at(mut error: DecodeError, path: &str) -> DecodeError {
    error.path = Some(path.to_owned());
    error
}

/// The same of the name of a field, and not of what is in it.
#[cold]
fn of_name(mut error: DecodeError, name: &[u8], path: &str) -> DecodeError {
    let field = RedisKey::new(Bytes::copy_from_slice(name.get(..NAME_BYTES).unwrap_or(name)));
    let cut = if name.len() > NAME_BYTES { "…" } else { "" };
    error.detail = format!("the name of the field \"{field}{cut}\": {}", error.detail);
    at(error, path)
}

/// The path of a field, as paths are written elsewhere.
fn field_path(path: &str, name: &[u8]) -> String {
    let mut out = path.to_owned();
    push_key(&mut out, &String::from_utf8_lossy(name));
    out
}

#[cfg(test)]
mod tests;
