//! A collection as JSON text, so that paths, whole values and everything else are the same for every type.
//!
//! A hash is an object of strings, a list and a set are arrays of strings, a sorted set is an array of
//! `{"member": …, "score": …}` by rank, a stream an array of `{"id": …, "fields": {…}}`.

use crate::decode::{DecodeError, push_json_string};
use crate::model::{Items, RedisType};

/// Writes the collection as JSON.
///
/// # Errors
/// `invalid_utf8` for an item that is no text, `json_nonfinite` for a score that is no number of JSON.
pub(super) fn as_json(redis_type: RedisType, packed: &[u8], out: &mut String) -> Result<(), DecodeError> {
    let items = Items::of(packed);
    match redis_type {
        RedisType::Hash => object(items.pairs(), "$", out),
        RedisType::Zset => array(items.pairs(), out, |(member, score), place, out| {
            out.push_str("{\"member\":");
            string(member, &format!("$[{place}].member"), out)?;
            out.push_str(",\"score\":");
            number(score, &format!("$[{place}].score"), out)?;
            out.push('}');
            Ok(())
        }),
        RedisType::Stream => stream(items, out),
        _ => array(items, out, |item, place, out| string(item, &format!("$[{place}]"), out)),
    }
}

fn array<T>(
    items: impl Iterator<Item = T>,
    out: &mut String,
    mut write: impl FnMut(T, usize, &mut String) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    out.push('[');
    for (place, item) in items.enumerate() {
        if place > 0 {
            out.push(',');
        }
        write(item, place, out)?;
    }
    out.push(']');
    Ok(())
}

pub(super) fn object<'a>(
    pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>,
    path: &str,
    out: &mut String,
) -> Result<(), DecodeError> {
    out.push('{');
    for (place, (name, value)) in pairs.enumerate() {
        if place > 0 {
            out.push(',');
        }
        string(name, path, out)?;
        out.push(':');
        string(value, &field_path(path, name), out)?;
    }
    out.push('}');
    Ok(())
}

fn stream(mut items: Items<'_>, out: &mut String) -> Result<(), DecodeError> {
    let entries = std::iter::from_fn(|| {
        let (id, count) = (items.next()?, items.next()?);
        let count: usize = std::str::from_utf8(count).ok()?.parse().ok()?;
        let fields: Vec<(&[u8], &[u8])> = (0..count).map_while(|_| items.next().zip(items.next())).collect();
        Some((id, fields))
    });
    array(entries, out, |(id, fields), place, out| {
        out.push_str("{\"id\":");
        string(id, &format!("$[{place}].id"), out)?;
        out.push_str(",\"fields\":");
        object(fields.into_iter(), &format!("$[{place}].fields"), out)?;
        out.push('}');
        Ok(())
    })
}

pub(super) fn string(item: &[u8], path: &str, out: &mut String) -> Result<(), DecodeError> {
    match std::str::from_utf8(item) {
        Ok(text) => {
            push_json_string(out, text);
            Ok(())
        }
        Err(error) => {
            let at = error.valid_up_to();
            let mut error = DecodeError::new("invalid_utf8", format!("not UTF-8 at byte {at} of the item"));
            error.path = Some(path.to_owned());
            Err(error)
        }
    }
}

/// Redis prints scores as C's `%.17g` does; but for the infinities that is JSON.
pub(super) fn number(score: &[u8], path: &str, out: &mut String) -> Result<(), DecodeError> {
    match std::str::from_utf8(score) {
        Ok(text) if text.parse::<f64>().is_ok_and(f64::is_finite) => {
            out.push_str(text);
            Ok(())
        }
        _ => {
            let text = String::from_utf8_lossy(score);
            let mut error = DecodeError::new("json_nonfinite", format!("the score {text} is no number of JSON"));
            error.path = Some(path.to_owned());
            Err(error)
        }
    }
}

fn field_path(path: &str, name: &[u8]) -> String {
    format!("{path}[{:?}]", String::from_utf8_lossy(name))
}

#[cfg(test)]
mod tests {
    use super::as_json;
    use crate::model::{Packer, RedisType};

    fn json(redis_type: RedisType, items: &[&[u8]]) -> Result<String, String> {
        let packed = items.iter().copied().collect::<Packer>().finish();
        let mut out = String::new();
        match as_json(redis_type, &packed, &mut out) {
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
}
