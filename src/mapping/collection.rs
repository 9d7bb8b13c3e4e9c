//! A collection as JSON text, so that paths, whole values and everything else are the same for every type.
//!
//! A hash is an object, a list and a set are arrays, a sorted set is an array of `{"member": …, "score": …}` by rank, a
//! stream an array of `{"id": …, "fields": {…}}`. What is in them are strings, unless the mapping says that it is JSON.

use crate::decode::{BytesPolicy, DecodeError, Decoder, NonfinitePolicy, Policies, push_json_string, push_key};
use crate::model::{Items, RedisType};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;
use std::collections::HashMap;

/// Writes items as JSON.
pub(super) struct ItemWriter<'a> {
    /// What reads the values of hashes and streams and the elements of lists where they are JSON; else they are text.
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
            writer.object(fields.iter().copied(), &format!("$[{place}].fields"))?;
            writer.out.push('}');
            Ok(())
        })
    }

    /// Writes a value: as the JSON that it is, or as a string.
    pub(super) fn value(&mut self, item: &[u8], path: &str) -> Result<(), DecodeError> {
        let Some(decoder) = self.json else { return self.string(item, path) };
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
            _ => {
                let detail = format!("not UTF-8 at byte {} of the item", error.valid_up_to());
                Err(DecodeError::new("invalid_utf8", detail))
            }
        }
    }

    /// Refuses different names that become the same text, as MessagePack's are refused.
    #[cold]
    fn refuse_equal<'i>(&self, names: impl Iterator<Item = &'i [u8]>, path: &str) -> Result<(), DecodeError> {
        let mut seen: HashMap<Cow<'i, str>, &[u8]> = HashMap::new();
        for name in names {
            let (text, _) = self.text(name).map_err(|error| at(error, path))?;
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

/// The path of a field, as paths are written elsewhere.
fn field_path(path: &str, name: &[u8]) -> String {
    let mut out = path.to_owned();
    push_key(&mut out, &String::from_utf8_lossy(name));
    out
}

#[cfg(test)]
mod tests {
    use super::ItemWriter;
    use crate::decode::{BytesPolicy, Chain, Charset, Decoder, NulPolicy, Policies};
    use crate::mapping::ItemForm;
    use crate::model::{Packer, RedisType};

    fn json(redis_type: RedisType, items: &[&[u8]]) -> Result<String, String> {
        written(redis_type, items, ItemForm::Text, Policies::default())
    }

    fn written(redis_type: RedisType, items: &[&[u8]], form: ItemForm, policies: Policies) -> Result<String, String> {
        let packed = items.iter().copied().collect::<Packer>().finish();
        let (mut out, mut altered) = (String::new(), Vec::new());
        let decoder = Decoder { chain: Chain::parse(&["json".to_owned()]).unwrap(), policies, max_inflated: 1 << 20 };
        let json = (form == ItemForm::Json).then_some(&decoder);
        let mut writer = ItemWriter { json, policies, takes_infinity: false, out: &mut out, altered: &mut altered };
        match writer.whole(redis_type, &packed) {
            Ok(()) => Ok(altered.into_iter().fold(out, |out, repair| format!("{out} {repair}"))),
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
    fn a_score_has_the_shortest_digits_that_read_back_equal() {
        for (sent, written) in [
            ("19.989999999999998", "19.99"),
            ("19.99", "19.99"),
            ("0.10000000000000001", "0.1"),
            ("9.9999999999999995e-08", "1e-7"),
            ("0.0001", "0.0001"),
            ("3", "3"),
            ("-0", "-0"),
            ("1704164645123.456", "1704164645123.456"),
            ("9007199254740993", "9007199254740992"),
            ("99999999999999984", "99999999999999984"),
            ("9.9999999999999984e+16", "99999999999999984"),
            ("1e+20", "1e+20"),
            ("-1.7976931348623157e+308", "-1.7976931348623157e+308"),
            ("4.9406564584124654e-324", "5e-324"),
        ] {
            let member = json(RedisType::Zset, &[b"m", sent.as_bytes()]).unwrap();
            assert_eq!(member, format!(r#"[{{"member":"m","score":{written}}}]"#), "{sent}");
        }
    }

    #[test]
    fn what_json_cannot_hold_is_named_with_its_place() {
        assert_eq!(json(RedisType::Hash, &[b"a", b"\xff"]).unwrap_err(), r#"invalid_utf8 $.a"#);
        assert_eq!(json(RedisType::List, &[b"a", b"\xff"]).unwrap_err(), "invalid_utf8 $[1]");
        assert_eq!(json(RedisType::Zset, &[b"a", b"inf"]).unwrap_err(), "json_nonfinite $[0].score");
    }

    #[test]
    fn values_that_are_json_stand_as_they_are() {
        let json = |items: &[&[u8]]| written(RedisType::Hash, items, ItemForm::Json, Policies::default());
        assert_eq!(json(&[b"a", br#" {"x":1.10} "#, b"b", b"2"]).unwrap(), r#"{"a":{"x":1.10},"b":2}"#);
        assert_eq!(json(&[b"a", b"{"]).unwrap_err(), r#"json_syntax $.a"#);
        assert_eq!(json(&[b"a", br#"{"b":["\u0000"]}"#]).unwrap_err(), r#"json_nul $.a.b[0]"#);
        assert_eq!(json(&[b"a", b"\x1f\x8b\x08"]).unwrap_err(), r#"encoding_unsupported (gzip) $.a"#);
        assert_eq!(json(&[b"a", b" "]).unwrap_err(), r#"empty_value $.a"#);
        assert_eq!(json(&[b"a", b"\xef\xbb\xbf1", b"b", b"\xef\xbb\xbf2"]).unwrap(), r#"{"a":1,"b":2} bom"#);
        let set = written(RedisType::Set, &[b"x"], ItemForm::Json, Policies::default());
        assert_eq!(set.unwrap(), r#"["x"]"#, "members are names");
    }

    #[test]
    fn items_are_repaired_as_far_as_policies_go() {
        let base64 = Policies { bytes: Some(BytesPolicy::Base64), ..Policies::default() };
        let list = |item: &[u8], form, policies| written(RedisType::List, &[item, b"1"], form, policies);
        assert_eq!(list(b"\xff\xd8", ItemForm::Text, base64).unwrap(), r#"["/9g=","1"] bytes"#);
        let latin1 = Policies { invalid_utf8: Some(Charset::Latin1), nul: Some(NulPolicy::Strip), ..base64 };
        assert_eq!(list(b"caf\xe9", ItemForm::Text, latin1).unwrap(), "[\"café\",\"1\"] invalid_utf8");
        let both = list(b"\"caf\xe9\\u0000\"", ItemForm::Json, latin1);
        assert_eq!(both.unwrap(), "[\"café\",1] invalid_utf8 nul");
        let field = |redis_type, names: [&[u8]; 2], policies| {
            let of_hash = [names[0], &b"1"[..], names[1], b"2"];
            let of_stream = [&b"1-0"[..], b"2", names[0], b"1", names[1], b"2"];
            let items = if redis_type == RedisType::Hash { &of_hash[..] } else { &of_stream };
            written(redis_type, items, ItemForm::Text, policies)
        };
        for (redis_type, path) in [(RedisType::Hash, "$"), (RedisType::Stream, "$[0].fields")] {
            let equal = Err(format!("duplicate_key_after_conversion {path}[\"/w==\"]"));
            assert_eq!(field(redis_type, [b"\xff", b"/w=="], base64), equal);
            assert_eq!(field(redis_type, [b"/w==", b"\xff"], base64), equal);
            let equal = Err(format!("duplicate_key_after_conversion {path}.é"));
            assert_eq!(field(redis_type, [b"\xe9", "é".as_bytes()], latin1), equal);
        }
        let twice = field(RedisType::Stream, [b"\xff", b"\xff"], base64).unwrap();
        assert_eq!(twice, r#"[{"id":"1-0","fields":{"/w==":"1","/w==":"2"}}] bytes"#, "one field, twice");
        let cp1252 = Policies { invalid_utf8: Some(Charset::Cp1252), ..base64 };
        assert_eq!(list(b"\x81", ItemForm::Text, cp1252).unwrap_err(), "invalid_utf8 $[0]");
    }
}
