//! A collection as JSON text, so that paths, whole values and everything else are the same for every type.
//!
//! A hash is an object, a list and a set are arrays, a sorted set is an array of `{"member": …, "score": …}` by rank, a
//! stream an array of `{"id": …, "fields": {…}}`. What is in them are strings, unless the mapping says that it is JSON.

use super::ItemForm;
use crate::decode::{BytesPolicy, DecodeError, NonfinitePolicy, push_json_string, scan};
use crate::model::{Items, RedisType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Writes items as JSON.
pub(super) struct ItemWriter<'a> {
    /// What the values of hashes and streams and the elements of lists are.
    pub(super) form: ItemForm,
    /// What becomes of items that are no text.
    pub(super) bytes: Option<BytesPolicy>,
    /// What becomes of infinite scores.
    pub(super) nonfinite: Option<NonfinitePolicy>,
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
                writer.string(member, &format!("$[{place}].member"))?;
                writer.out.push_str(",\"score\":");
                writer.number(score, &format!("$[{place}].score"))?;
                writer.out.push('}');
                Ok(())
            }),
            RedisType::Stream => self.stream(items),
            RedisType::List => self.array(items, |writer, item, place| writer.value(item, &format!("$[{place}]"))),
            _ => self.array(items, |writer, item, place| writer.string(item, &format!("$[{place}]"))),
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
    pub(super) fn object<'i>(
        &mut self,
        pairs: impl Iterator<Item = (&'i [u8], &'i [u8])>,
        path: &str,
    ) -> Result<(), DecodeError> {
        self.out.push('{');
        for (place, (name, value)) in pairs.enumerate() {
            if place > 0 {
                self.out.push(',');
            }
            self.string(name, path)?;
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
            writer.object(fields.into_iter(), &format!("$[{place}].fields"))?;
            writer.out.push('}');
            Ok(())
        })
    }

    /// Writes a value: as the JSON that it is, or as a string.
    pub(super) fn value(&mut self, item: &[u8], path: &str) -> Result<(), DecodeError> {
        if self.form == ItemForm::Text {
            return self.string(item, path);
        }
        let text = std::str::from_utf8(item).map_err(|error| not_text(error.valid_up_to(), path))?;
        match scan(text, &mut Vec::new()) {
            Ok(scanned) => {
                self.out.push_str(scanned.span.of(text));
                Ok(())
            }
            Err(fault) => {
                let mut error = fault.explain(text);
                error.path = Some(path.to_owned());
                Err(error)
            }
        }
    }

    /// Writes an item as a string.
    pub(super) fn string(&mut self, item: &[u8], path: &str) -> Result<(), DecodeError> {
        match (std::str::from_utf8(item), self.bytes) {
            (Ok(text), _) => push_json_string(self.out, text),
            (Err(_), Some(BytesPolicy::Base64)) => {
                self.out.push('"');
                STANDARD.encode_string(item, self.out);
                self.out.push('"');
                if !self.altered.contains(&"bytes") {
                    self.altered.push("bytes");
                }
            }
            (Err(error), None) => return Err(not_text(error.valid_up_to(), path)),
        }
        Ok(())
    }

    /// Writes a score. Redis prints them as C's `%.17g` does; but for the infinities that is JSON.
    pub(super) fn number(&mut self, score: &[u8], path: &str) -> Result<(), DecodeError> {
        match std::str::from_utf8(score) {
            Ok(text) if text.parse::<f64>().is_ok_and(f64::is_finite) => {
                self.out.push_str(text);
                Ok(())
            }
            _ => self.infinity(score, path),
        }
    }

    #[cold]
    fn infinity(&mut self, score: &[u8], path: &str) -> Result<(), DecodeError> {
        match self.nonfinite {
            None if self.takes_infinity => return self.string(score, path),
            None => {
                let text = String::from_utf8_lossy(score);
                let mut error = DecodeError::new("json_nonfinite", format!("the score {text} is no number of JSON"));
                error.path = Some(path.to_owned());
                return Err(error);
            }
            Some(NonfinitePolicy::Null) => self.out.push_str("null"),
            Some(NonfinitePolicy::String) => self.string(score, path)?,
        }
        if !self.altered.contains(&"nonfinite") {
            self.altered.push("nonfinite");
        }
        Ok(())
    }
}

fn not_text(at: usize, path: &str) -> DecodeError {
    let mut error = DecodeError::new("invalid_utf8", format!("not UTF-8 at byte {at} of the item"));
    error.path = Some(path.to_owned());
    error
}

fn field_path(path: &str, name: &[u8]) -> String {
    format!("{path}[{:?}]", String::from_utf8_lossy(name))
}

#[cfg(test)]
mod tests {
    use super::ItemWriter;
    use crate::decode::BytesPolicy;
    use crate::mapping::ItemForm;
    use crate::model::{Packer, RedisType};

    fn json(redis_type: RedisType, items: &[&[u8]]) -> Result<String, String> {
        written(redis_type, items, ItemForm::Text, None)
    }

    fn written(
        redis_type: RedisType,
        items: &[&[u8]],
        form: ItemForm,
        bytes: Option<BytesPolicy>,
    ) -> Result<String, String> {
        let packed = items.iter().copied().collect::<Packer>().finish();
        let (mut out, mut altered) = (String::new(), Vec::new());
        let mut writer =
            ItemWriter { form, bytes, nonfinite: None, takes_infinity: false, out: &mut out, altered: &mut altered };
        match writer.whole(redis_type, &packed) {
            Ok(()) => Ok(out),
            Err(error) => Err(format!("{} {}", error.reason, error.path.unwrap_or_default())),
        }
    }

    #[test]
    fn each_type_has_one_form() {
        assert_eq!(json(RedisType::Hash, &[b"a", b"1", b"b\"", b""]).unwrap(), r#"{"a":"1","b\"":""}"#);
        assert_eq!(json(RedisType::List, &[b"x", b"y"]).unwrap(), r#"["x","y"]"#);
        assert_eq!(json(RedisType::Set, &[]).unwrap(), "[]");
        assert_eq!(
            json(RedisType::Zset, &[b"m", b"-1.5", b"n", b"1e+20"]).unwrap(),
            r#"[{"member":"m","score":-1.5},{"member":"n","score":1e+20}]"#
        );
        assert_eq!(
            json(RedisType::Stream, &[b"1-0", b"2", b"a", b"1", b"b", b"2", b"2-0", b"0"]).unwrap(),
            r#"[{"id":"1-0","fields":{"a":"1","b":"2"}},{"id":"2-0","fields":{}}]"#
        );
    }

    #[test]
    fn what_json_cannot_hold_is_named_with_its_place() {
        assert_eq!(json(RedisType::Hash, &[b"a", b"\xff"]).unwrap_err(), r#"invalid_utf8 $["a"]"#);
        assert_eq!(json(RedisType::List, &[b"a", b"\xff"]).unwrap_err(), "invalid_utf8 $[1]");
        assert_eq!(json(RedisType::Zset, &[b"a", b"inf"]).unwrap_err(), "json_nonfinite $[0].score");
    }

    #[test]
    fn values_that_are_json_stand_as_they_are() {
        let json = |items: &[&[u8]]| written(RedisType::Hash, items, ItemForm::Json, None);
        assert_eq!(json(&[b"a", br#" {"x":1.10} "#, b"b", b"2"]).unwrap(), r#"{"a":{"x":1.10},"b":2}"#);
        assert_eq!(json(&[b"a", b"{"]).unwrap_err(), r#"json_syntax $["a"]"#);
        assert_eq!(written(RedisType::Set, &[b"x"], ItemForm::Json, None).unwrap(), r#"["x"]"#, "members are names");
    }

    #[test]
    fn bytes_become_base64_where_it_is_asked_for() {
        let written = written(RedisType::List, &[b"\xff\xd8", b"x"], ItemForm::Text, Some(BytesPolicy::Base64));
        assert_eq!(written.unwrap(), r#"["/9g=","x"]"#);
    }
}
