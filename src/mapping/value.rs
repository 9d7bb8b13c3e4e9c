//! From a record's bytes to what its columns are read from: the one place that decides what a value is.

use super::collection::ItemWriter;
use super::plan::Mapping;
use super::source::inner;
use super::target::unwrapped;
use crate::decode::{Content, DecodeError, Field, Form, Kind, Scanned, not_utf8, unescape};
use crate::model::{Record, Reject, Stored};
use std::borrow::Cow;

/// A record's value, decoded.
pub(super) struct Prepared<'r> {
    pub(super) content: Content<'r>,
    pub(super) altered: Vec<&'static str>,
}

impl Mapping {
    /// Reads the value of a record; the fields of its top level go to `fields`.
    ///
    /// # Errors
    /// A reject with its reason and path, where the value is not what the mapping reads.
    pub(super) fn prepare<'r>(&self, record: &'r Record, fields: &mut Vec<Field>) -> Result<Prepared<'r>, Reject> {
        if let Some(stored) = &record.stored {
            fields.clear();
            return self.prepare_stored(record, stored);
        }
        let mut altered = Vec::new();
        if self.undecoded {
            fields.clear();
            return Ok(Prepared { content: Content::Bytes(Cow::Borrowed(&record.value)), altered });
        }
        let decoded = if record.redis_type.is_whole() {
            self.decoder.decode(&record.value, fields, &mut altered)
        } else {
            self.collection(record, fields, &mut altered)
        };
        let content = match decoded.map_err(|error| self.undecoded(record, error))? {
            Content::Json(text, scanned) => self
                .json(text, scanned, fields, &mut altered)
                .map(|(text, scanned)| Content::Json(text, scanned))
                .map_err(|error| self.undecoded(record, error))?,
            other => other,
        };
        Ok(Prepared { content, altered })
    }

    /// A collection, as JSON.
    fn collection(
        &self,
        record: &Record,
        fields: &mut Vec<Field>,
        altered: &mut Vec<&'static str>,
    ) -> Result<Content<'static>, DecodeError> {
        let mut text = String::with_capacity(record.value.len() + record.value.len() / 4);
        self.item_writer(&mut text, altered).whole(record.redis_type, &record.value)?;
        let (text, scanned) = self.decoder.check(text, fields, altered)?;
        Ok(Content::Json(Cow::Owned(text), scanned))
    }

    /// Writes items into `out`, as the mapping reads them.
    pub(super) fn item_writer<'a>(&'a self, out: &'a mut String, altered: &'a mut Vec<&'static str>) -> ItemWriter<'a> {
        ItemWriter {
            forms: self.items,
            json: Some(&self.decoder),
            policies: self.decoder.policies,
            takes_infinity: self.takes_infinity,
            out,
            altered,
        }
    }

    /// What the mapping asks of a value that is JSON.
    fn json<'r>(
        &self,
        mut text: Cow<'r, str>,
        mut scanned: Scanned,
        fields: &mut Vec<Field>,
        altered: &mut Vec<&'static str>,
    ) -> Result<(Cow<'r, str>, Scanned), DecodeError> {
        if self.unwrap_json_string && scanned.kind == Kind::String {
            let inside = unescape(inner(scanned.span.of(&text))).into_owned();
            let (unwrapped, found) = self.decoder.check(inside, fields, altered).map_err(unwrapped)?;
            altered.push("unwrap_json_string");
            (text, scanned) = (Cow::Owned(unwrapped), found);
        }
        if self.explode.is_none() {
            self.top.check(scanned.kind)?;
        }
        Ok((text, scanned))
    }

    #[cold]
    pub(super) fn undecoded(&self, record: &Record, error: DecodeError) -> Reject {
        let mut reject = Reject::of(record, error.reason, error.detail);
        reject.path = error.path;
        reject
    }

    /// What is left to look at of a value that is not in memory: nothing.
    #[cold]
    fn prepare_stored<'r>(&self, record: &'r Record, stored: &Stored) -> Result<Prepared<'r>, Reject> {
        let content = match self.decoder.chain.form {
            _ if !self.wanted.streams => {
                let detail = format!("the value has {} bytes and is not in memory as a whole", stored.len);
                return Err(Reject::of(record, "value_too_large", detail));
            }
            Form::Text => match stored.invalid_utf8 {
                Some(at) => return Err(self.undecoded(record, not_utf8(&stored.head, at))),
                None => Content::Text(Cow::Borrowed("")),
            },
            _ => Content::Bytes(Cow::Borrowed(&[])),
        };
        Ok(Prepared { content, altered: Vec::new() })
    }
}
