//! From a record's bytes to what its columns are read from: the one place that decides what a value is.

use super::collection::as_json;
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
        let refused = |error: DecodeError| self.undecoded(record, error);
        let mut altered = Vec::new();
        let (mut text, mut scanned) = if record.redis_type.is_whole() {
            let decoded = decode(&record.value, fields).map_err(refused)?;
            if decoded.bom {
                altered.push("bom");
            }
            (Cow::Borrowed(decoded.text), decoded.scanned)
        } else {
            let mut text = String::with_capacity(record.value.len() + record.value.len() / 4);
            as_json(record.redis_type, &record.value, &mut text).map_err(refused)?;
            let scanned = scan(&text, fields).map_err(|fault| refused(fault.explain(&text)))?;
            (Cow::Owned(text), scanned)
        };
        if self.unwrap_json_string && scanned.kind == Kind::String {
            let inside = unescape(inner(scanned.span.of(&text))).into_owned();
            match scan(&inside, fields) {
                Ok(found) => {
                    altered.push("unwrap_json_string");
                    (text, scanned) = (Cow::Owned(inside), found);
                }
                Err(fault) => return Err(refused(unwrapped(fault.explain(&inside)))),
            }
        }
        if self.explode.is_none() {
            self.top.check(scanned.kind).map_err(refused)?;
        }
        if duplicate_key(&text, fields) {
            altered.push("json_duplicate_key");
        }
        Ok(Prepared { text, escaped_keys: scanned.escaped_keys, altered })
    }

    #[cold]
    pub(super) fn undecoded(&self, record: &Record, error: DecodeError) -> Reject {
        let mut reject = Reject::of(record, error.reason, error.detail);
        reject.path = error.path;
        reject
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
