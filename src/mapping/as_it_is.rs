//! A value of any type as JSON, as far as JSON in PostgreSQL can hold it without a loss.

use super::collection::{ItemForms, ItemWriter};
use crate::decode::{MAX_JSONB_BYTES, Policies, has_duplicate_keys, push_json_string, scan};
use crate::model::{Record, RedisType};
use std::borrow::Cow;

/// The value as JSON: text that is JSON as it is, other text as a string, a collection as docs/mapping.md has it. `None`
/// where jsonb could not hold all of it: bytes that are no text, U+0000, a score that is no number, what is too large.
pub(super) fn logical(record: &Record) -> Option<Cow<'_, str>> {
    if !record.has_value() || record.redis_type == RedisType::Module {
        return None;
    }
    let text = if record.redis_type.has_items() {
        let mut text = String::with_capacity(record.value.len() + record.value.len() / 4);
        let mut altered = Vec::new();
        let mut writer = ItemWriter {
            forms: ItemForms::default(),
            json: None,
            policies: Policies::default(),
            takes_infinity: false,
            out: &mut text,
            altered: &mut altered,
        };
        writer.whole(record.redis_type, &record.value).ok()?;
        Cow::Owned(is_faithful(&text).then_some(text)?)
    } else {
        let text = std::str::from_utf8(&record.value).ok()?;
        if is_faithful(text) { Cow::Borrowed(text.trim_ascii()) } else { Cow::Owned(string(text)?) }
    };
    Some(text).filter(|text| text.len() <= MAX_JSONB_BYTES)
}

/// Whether a text is JSON of which jsonb loses nothing but white space and the order of keys.
fn is_faithful(text: &str) -> bool {
    scan(text, &mut Vec::new()).is_ok() && !has_duplicate_keys(text)
}

fn string(text: &str) -> Option<String> {
    if text.contains('\0') {
        return None;
    }
    let mut json = String::with_capacity(text.len() + 2);
    push_json_string(&mut json, text);
    Some(json)
}

#[cfg(test)]
mod tests {
    use super::logical;
    use crate::model::{KeyFacts, Packer, Record, RedisKey, RedisType};
    use bytes::Bytes;
    use std::sync::Arc;

    fn record(redis_type: RedisType, value: Bytes) -> Record {
        Record { key: RedisKey::new("k"), redis_type, value, stored: None, slice: None, expires_at: None, facts: None }
    }

    fn string(value: &'static [u8]) -> Option<String> {
        logical(&record(RedisType::String, Bytes::from_static(value))).map(|text| text.into_owned())
    }

    #[test]
    fn text_is_itself_where_it_is_json_and_a_string_elsewhere() {
        for (value, form) in [
            (&br#" {"a": 1.10} "#[..], r#"{"a": 1.10}"#),
            (b"42", "42"),
            (b"007", r#""007""#),
            (b"hello \"you\"", r#""hello \"you\"""#),
            (b"", r#""""#),
            // What jsonb would refuse or lose as JSON is kept as the text that it is.
            (br#"{"a":"\u0000"}"#, r#""{\"a\":\"\\u0000\"}""#),
            (br#"[{"a":1,"a":2}]"#, r#""[{\"a\":1,\"a\":2}]""#),
            (b"NaN", r#""NaN""#),
        ] {
            assert_eq!(string(value).as_deref(), Some(form));
        }
        assert_eq!((string(b"\xff"), string(b"a\0b")), (None, None));
    }

    #[test]
    fn collections_are_json_where_all_of_their_items_are() {
        let packed = |items: &[&[u8]]| items.iter().copied().collect::<Packer>().finish();
        let form = |redis_type, items: &[&[u8]]| {
            let record = record(redis_type, packed(items));
            logical(&record).map(|text| text.into_owned())
        };
        assert_eq!(form(RedisType::Hash, &[b"a", b"1"]).as_deref(), Some(r#"{"a":"1"}"#));
        assert_eq!(form(RedisType::List, &[b"\xff"]), None);
        assert_eq!(form(RedisType::Set, &[b"a\0"]), None);
        assert_eq!(form(RedisType::Zset, &[b"m", b"inf"]), None);
    }

    #[test]
    fn what_was_not_read_has_no_form() {
        let mut record = record(RedisType::String, Bytes::new());
        record.facts = Some(Arc::new(KeyFacts { without_value: true, ..KeyFacts::default() }));
        assert_eq!(logical(&record), None);
    }
}
