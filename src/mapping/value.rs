//! From a record's bytes to what its columns are read from: the one place that decides what a value is.

use super::plan::Mapping;
use super::source::inner;
use super::target::unwrapped;
use crate::decode::{DecodeError, Field, Kind, decode, scan, unescape};
use crate::model::{Record, Reject};
use std::borrow::Cow;

/// A record's JSON text, checked.
pub(super) struct Prepared<'r> {
    pub(super) text: Cow<'r, str>,
    pub(super) escaped_keys: bool,
    pub(super) altered: Vec<&'static str>,
}

impl Mapping {
    /// Reads the value of a record; the fields of its top level go to `fields`.
    ///
    /// # Errors
    /// A reject with its reason and path, where the value is not what the mapping reads.
    pub(super) fn prepare<'r>(&self, record: &'r Record, fields: &mut Vec<Field>) -> Result<Prepared<'r>, Reject> {
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
