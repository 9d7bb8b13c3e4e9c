//! Fields and rows of binary COPY: each is read back by an independent reader as what was put in.
//!
//! The first line of an input is the column's type with its policies, such as `numeric(5,2) round`, and the second one what
//! kind of value the rest is: `text`, `number`, `json` or `bytes`. With `row` as the type, the rest is the value of a key
//! that becomes a row: see `rows`.

use super::columns_read::{Exact, address, array, field, int16, int32};
use super::columns_settings::{OID, column_type, policy};
use super::node::Node;
use super::{lines, node_reader, rows};
use redis2pg::encode::{Encoder, Encoding, Nonfinite, Policy, Value};
use redis2pg::model::{ArrayType, Column, ColumnType};

pub(crate) fn holds(data: &[u8]) {
    let ([settings, kind], bytes) = lines::take::<2>(data);
    let words: Vec<&str> = settings.split(' ').collect();
    if words[0] == "row" {
        return rows::holds(&words, bytes);
    }
    let Some(column_type) = column_type(words[0]) else { return };
    let policy = policy(&words);
    let text = std::str::from_utf8(bytes);
    let node = text.map(node_reader::strict);
    let value = match (kind.as_ref(), text) {
        ("text", Ok(text)) => Value::Text(text),
        ("number", Ok(text)) if matches!(node, Ok(Ok(Node::Number(_)))) && !text.contains([' ', '\n', '\t', '\r']) => {
            Value::Number(text)
        }
        ("json", Ok(text)) if matches!(node, Ok(Ok(_))) => Value::Json(text.trim_ascii()),
        ("bytes", _) => Value::Bytes(bytes),
        _ => return,
    };
    let column = Column {
        name: "c".into(),
        column_type: column_type.clone(),
        not_null: words.contains(&"required"),
        has_default: false,
        generated: false,
    };
    let mut out = vec![7];
    let note = match Encoder::new(&column, policy.clone()).unwrap().encode(value, &mut out) {
        Ok(note) => note,
        Err(error) => return assert!(!error.reason.is_empty() && !error.detail.is_empty()),
    };
    let (found, rest) = field(&out[1..]);
    assert!(out[0] == 7 && rest.is_empty(), "a field is what its length says, behind what was there");
    match found {
        None => assert!(!column.not_null && (policy.empty_as_null || policy.nonfinite.is_some() || note.is_some())),
        // What was repaired means something else on purpose.
        Some(found) if note.is_none() || note == Some("integer_from_exponent") => {
            is_value(&column_type, value, found, &policy)
        }
        Some(found) => is_well_formed(&column_type, found),
    }
}

/// Whether the bytes are some value of the type.
fn is_well_formed(column_type: &ColumnType, bytes: &[u8]) {
    let text = || std::str::from_utf8(bytes).unwrap();
    match column_type {
        ColumnType::Int2 => drop(int16(bytes)),
        ColumnType::Int4 | ColumnType::Float4 => drop(int32(bytes)),
        ColumnType::Int8 | ColumnType::Float8 | ColumnType::Macaddr8 => assert_eq!(bytes.len(), 8),
        ColumnType::Numeric(_) => drop(Exact::of_numeric(bytes)),
        ColumnType::Varchar(limit) | ColumnType::Bpchar(limit) => {
            assert!(text().chars().count() <= *limit as usize && !text().contains('\0'))
        }
        ColumnType::Name => assert!(text().len() <= 63 && !text().contains('\0')),
        ColumnType::Text | ColumnType::Citext(_) | ColumnType::Cast(_) => assert!(!text().contains('\0')),
        ColumnType::Jsonb => assert!(bytes[0] == 1 && node_reader::strict(&text()[1..]).is_ok()),
        ColumnType::Json => assert!(node_reader::strict(text()).is_ok()),
        ColumnType::Array(array) => {
            let (_, _, elements) = self::array(bytes);
            elements.into_iter().flatten().for_each(|element| is_well_formed(&array.element, element));
        }
        _ => {}
    }
}

/// The text that a value is for columns that read text.
fn shown(value: Value<'_>) -> String {
    match value {
        Value::Text(text) | Value::Number(text) | Value::Json(text) => text.to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Bytes(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        other => panic!("{other:?} is no text"),
    }
}

/// Whether the bytes are what the value says.
fn is_value(column_type: &ColumnType, value: Value<'_>, bytes: &[u8], policy: &Policy) {
    is_well_formed(column_type, bytes);
    match column_type {
        ColumnType::Array(array_type) => return is_array(array_type, value, bytes, policy),
        ColumnType::Json => return is_json(value, std::str::from_utf8(bytes).unwrap()),
        ColumnType::Jsonb => return is_json(value, std::str::from_utf8(&bytes[1..]).unwrap()),
        ColumnType::Bytea => return is_bytea(value, bytes, policy),
        _ => {}
    }
    let text = shown(value);
    let trimmed = text.trim_matches(' ');
    if policy.nonfinite == Some(Nonfinite::Keep)
        && trimmed.ends_with(|c: char| "nNfFyY".contains(c))
        && is_nonfinite(column_type, trimmed, bytes)
    {
        return;
    }
    match column_type {
        ColumnType::Bool => {
            let known = ["1", "on", "t", "true", "y", "yes"].contains(&trimmed.to_ascii_lowercase().as_str());
            assert_eq!(bytes, [u8::from(known)], "{text}");
        }
        ColumnType::Uuid => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(digits, text.to_ascii_lowercase().replace(['-', '{', '}'], ""));
        }
        ColumnType::Inet | ColumnType::Cidr => is_address(trimmed, bytes, matches!(column_type, ColumnType::Cidr)),
        ColumnType::Macaddr | ColumnType::Macaddr8 => is_mac(trimmed, bytes),
        ColumnType::Enum(labels) => assert!(labels.contains(&text) && bytes == text.as_bytes()),
        ColumnType::Int2
        | ColumnType::Int4
        | ColumnType::Int8
        | ColumnType::Float4
        | ColumnType::Float8
        | ColumnType::Numeric(_) => is_number(column_type, trimmed, bytes),
        // The texts of those are put together anew.
        ColumnType::Cast(cast) if cast.name == "hstore" && matches!(value, Value::Json(_)) => {}
        _ => assert_eq!(bytes, text.as_bytes()),
    }
}

/// Whether the bytes are the number that a text is.
fn is_number(column_type: &ColumnType, text: &str, bytes: &[u8]) {
    let whole = || Exact::of_text(text).and_then(|exact| exact.whole());
    match column_type {
        ColumnType::Int2 => assert_eq!(Some(int16(bytes).into()), whole(), "{text}"),
        ColumnType::Int4 => assert_eq!(Some(int32(bytes).into()), whole(), "{text}"),
        ColumnType::Int8 => assert_eq!(Some(i64::from_be_bytes(bytes.try_into().unwrap()).into()), whole(), "{text}"),
        ColumnType::Float4 => {
            let found = f32::from_be_bytes(bytes.try_into().unwrap());
            assert!(found.is_finite() && Ok(found) == text.parse(), "{found} of {text}");
        }
        ColumnType::Float8 => {
            let found = f64::from_be_bytes(bytes.try_into().unwrap());
            assert!(found.is_finite() && Ok(found) == text.parse(), "{found} of {text}");
        }
        ColumnType::Numeric(limit) => {
            let found = Exact::of_numeric(bytes);
            assert_eq!(found, Exact::of_text(text), "{text}");
            let exact = found.unwrap();
            let before = exact.digits.len() as i64 + exact.power;
            assert!(
                limit.is_none_or(|limit| exact.digits.is_empty() || before <= i64::from(limit.precision - limit.scale)),
                "{text}"
            );
            assert!(limit.is_none_or(|limit| exact.power >= -i64::from(limit.scale)), "{text}");
        }
        other => panic!("{other:?} holds no numbers"),
    }
}

/// Whether the bytes are the NaN or the infinity that a text names.
fn is_nonfinite(column_type: &ColumnType, text: &str, bytes: &[u8]) -> bool {
    let Some(known) = text.parse::<f64>().ok().filter(|known| !known.is_finite()) else { return false };
    let same = |found: f64| found.to_bits() == known.to_bits() || found.is_nan() && known.is_nan();
    match column_type {
        ColumnType::Float4 => same(f32::from_be_bytes(bytes.try_into().unwrap()).into()),
        ColumnType::Float8 => same(f64::from_be_bytes(bytes.try_into().unwrap())),
        ColumnType::Numeric(_) => {
            let sign = if known.is_nan() {
                0xc000
            } else if known > 0.0 {
                0xd000
            } else {
                0xf000
            };
            bytes[4..6] == u16::to_be_bytes(sign)
        }
        _ => false,
    }
}

fn is_address(text: &str, bytes: &[u8], cidr: bool) {
    let (found, bits) = address(bytes, cidr);
    let (known, mask) = text.split_once('/').unwrap_or((text, if bytes[0] == 2 { "32" } else { "128" }));
    assert_eq!((Ok(found), Ok(bits)), (known.parse(), mask.parse()), "{text}");
}

fn is_mac(text: &str, bytes: &[u8]) {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let known = text.to_ascii_lowercase().replace([':', '-', '.'], "");
    let widened = known.len() == 12 && bytes.len() == 8;
    assert_eq!(digits, if widened { format!("{}fffe{}", &known[..6], &known[6..]) } else { known }, "{text}");
}

fn is_json(value: Value<'_>, found: &str) {
    match value {
        Value::Text(text) => assert_eq!(node_reader::strict(found), Ok(Node::Text(text.to_owned()))),
        value => assert_eq!(found, shown(value), "JSON goes in as it is"),
    }
}

fn is_bytea(value: Value<'_>, bytes: &[u8], policy: &Policy) {
    match (value, policy.encoding) {
        (Value::Bytes(given), None) => assert_eq!(bytes, given),
        (value, None) => assert_eq!(bytes, shown(value).as_bytes()),
        (value, Some(Encoding::Hex)) => {
            let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let text = shown(value);
            assert_eq!(digits, text.strip_prefix("\\x").unwrap_or(&text).to_ascii_lowercase());
        }
        (value, Some(Encoding::Base64)) => {
            use base64::Engine as _;
            let known = base64::engine::general_purpose::STANDARD_NO_PAD.encode(bytes);
            let text: String = shown(value).split_ascii_whitespace().collect();
            assert_eq!(known, text.trim_end_matches('=').replace('-', "+").replace('_', "/"));
        }
    }
}

/// The elements of a JSON array, however deep, are those of the array, each as it would be by itself.
fn is_array(array_type: &ArrayType, value: Value<'_>, bytes: &[u8], policy: &Policy) {
    let (lengths, oid, elements) = array(bytes);
    assert_eq!(oid, OID);
    let json = matches!(array_type.element, ColumnType::Json | ColumnType::Jsonb);
    let (mut known, mut leaves) = (Vec::new(), Vec::new());
    leaves_of(&node_reader::strict(&shown(value)).unwrap(), json, 0, &mut known, &mut leaves);
    assert_eq!(lengths, if leaves.is_empty() { Vec::new() } else { known });
    assert_eq!(elements.len(), leaves.len());
    for (element, leaf) in elements.into_iter().zip(leaves) {
        let text = match &leaf {
            Node::Text(text) => text.clone(),
            other => {
                let mut text = String::new();
                other.print(&mut text);
                text
            }
        };
        match (element, &leaf) {
            (None, leaf) => assert!(*leaf == Node::Null || policy.empty_as_null || policy.nonfinite.is_some()),
            (Some(element), _) if json => {
                let element = if array_type.element == ColumnType::Jsonb { &element[1..] } else { element };
                assert_eq!(node_reader::strict(std::str::from_utf8(element).unwrap()), Ok(leaf));
            }
            (Some(element), Node::Text(_)) => is_value(&array_type.element, Value::Text(&text), element, policy),
            (Some(element), Node::Bool(flag)) => is_value(&array_type.element, Value::Bool(*flag), element, policy),
            (Some(element), Node::Number(_)) => is_value(&array_type.element, Value::Number(&text), element, policy),
            // bytea takes any JSON as its text.
            (Some(_), _) => assert_eq!(array_type.element, ColumnType::Bytea),
        }
    }
}

fn leaves_of(array: &Node, json: bool, level: usize, lengths: &mut Vec<i32>, leaves: &mut Vec<Node>) {
    let Node::Array(items) = array else { panic!("{array:?} is no array") };
    if lengths.len() == level {
        lengths.push(items.len() as i32);
    }
    assert_eq!(lengths[level], items.len() as i32, "arrays of different lengths");
    for item in items {
        match item {
            Node::Array(_) if !json => leaves_of(item, json, level + 1, lengths, leaves),
            item => leaves.push(item.clone()),
        }
    }
}
