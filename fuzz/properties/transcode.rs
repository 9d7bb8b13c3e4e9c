//! MessagePack and PHP's serialize, which become JSON text.
//!
//! The first line of an input is `msgpack` or `php`, and the rest is such a value; or `json`, and the rest is a JSON value
//! that is written in both forms first.

use super::lines;
use super::node::Node;
use super::node_reader;
use super::php::{self, Php};
use redis2pg::decode::{Chain, Content, DecodeError, Decoder, Policies};
use rmpv::{Integer, Value};

pub(crate) fn holds(data: &[u8]) {
    let ([form], value) = lines::take::<1>(data);
    match form.as_ref() {
        "msgpack" => msgpack(value),
        "php" => from_php(value),
        _ => std::str::from_utf8(value).into_iter().for_each(written_and_read),
    }
}

/// The JSON text that the product makes of a value.
fn read(form: &str, value: &[u8]) -> Result<Node, DecodeError> {
    let chain = Chain::parse(&[form.to_owned()]).unwrap();
    let decoder = Decoder { chain, policies: Policies::default(), max_inflated: 1 << 20 };
    let mut altered = Vec::new();
    let Content::Json(text, _) = decoder.decode(value, &mut Vec::new(), &mut altered)? else {
        panic!("{form} becomes JSON")
    };
    assert_eq!(altered, Vec::<&str>::new(), "nothing is repaired that was not asked for");
    Ok(node_reader::strict(&text).unwrap_or_else(|refusal| panic!("{refusal:?} in {text}")))
}

/// A value that is accepted is whole: without its last byte, or with one more, it is none.
fn is_whole(form: &str, value: &[u8]) {
    assert!(read(form, &value[..value.len() - 1]).is_err(), "a value that is cut short was accepted");
    assert!(read(form, &[value, b"\x01"].concat()).is_err(), "something behind the value was passed over");
}

/// Reasons for which a value of MessagePack or PHP that is none too bad is refused: JSON or jsonb has no place for it.
const NO_PLACE: [&str; 9] = [
    "msgpack_key",
    "duplicate_key_after_conversion",
    "encoding_bytes_in_json",
    "encoding_unsupported (msgpack_ext)",
    "timestamp_range",
    "json_nul",
    "json_nonfinite",
    "json_depth",
    "json_number_range",
];

fn msgpack(value: &[u8]) {
    let mut rest = value;
    let known = rmpv::decode::read_value_with_max_depth(&mut rest, 4_000).ok().filter(|_| rest.is_empty());
    match (read("msgpack", value), known) {
        (Ok(node), Some(known)) => {
            assert!(is_node(&known, &node), "{known:?} became {node:?}");
            assert!(!node.repeats_keys());
            is_whole("msgpack", value);
        }
        (Ok(node), None) => panic!("read as {node:?}, and rmpv does not"),
        (Err(error), known) => {
            let placeless = NO_PLACE.contains(&error.reason.as_ref());
            // A timestamp with too many nanoseconds is well-formed otherwise, and rmpv takes c1 for nil.
            let unused = error.detail.starts_with("c1");
            let bad = known.as_ref().is_none_or(|known| placeless || unused || has_timestamp(known));
            assert!(bad, "{error}: {known:?}");
        }
    }
}

fn has_timestamp(value: &Value) -> bool {
    match value {
        Value::Ext(kind, _) => *kind == -1,
        Value::Array(items) => items.iter().any(has_timestamp),
        Value::Map(pairs) => pairs.iter().any(|(_, value)| has_timestamp(value)),
        _ => false,
    }
}

fn is_node(value: &Value, node: &Node) -> bool {
    match (value, node) {
        (Value::Nil, Node::Null) => true,
        (Value::Boolean(flag), Node::Bool(found)) => flag == found,
        (Value::Integer(number), Node::Number(found)) => number.to_string() == *found,
        (Value::F32(number), Node::Number(found)) => {
            found.parse() == Ok(f64::from(*number)) && found.parse() == Ok(*number)
        }
        (Value::F64(number), Node::Number(found)) => {
            found.parse().is_ok_and(|found: f64| found.to_bits() == number.to_bits())
        }
        (Value::String(text), Node::Text(found)) => text.as_str() == Some(found),
        (Value::Ext(-1, data), Node::Text(found)) => is_moment(data, found),
        (Value::Array(items), Node::Array(found)) => {
            items.len() == found.len() && items.iter().zip(found).all(|(item, found)| is_node(item, found))
        }
        (Value::Map(pairs), Node::Object(found)) => {
            let same = |((key, value), (found_key, found)): (&(Value, Value), &(String, Node))| {
                key_text(key).as_ref() == Some(found_key) && is_node(value, found)
            };
            pairs.len() == found.len() && pairs.iter().zip(found).all(same)
        }
        _ => false,
    }
}

fn key_text(key: &Value) -> Option<String> {
    match key {
        Value::String(text) => text.as_str().map(str::to_owned),
        Value::Binary(bytes) => String::from_utf8(bytes.clone()).ok(),
        Value::Integer(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Whether a text is the moment of a timestamp extension, by the format's own description.
fn is_moment(data: &[u8], text: &str) -> bool {
    let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let (seconds, nanos) = match data.len() {
        4 => (number(data) as i64, 0),
        8 => ((number(data) % (1 << 34)) as i64, number(data) >> 34),
        12 => (number(&data[4..]) as i64, number(&data[..4])),
        _ => return false,
    };
    let moment: jiff::Timestamp = text.parse().unwrap();
    moment.as_nanosecond() == i128::from(seconds) * 1_000_000_000 + i128::from(nanos)
}

fn from_php(value: &[u8]) {
    let known = php::read(value);
    match (read("php", value), known) {
        (Ok(node), Some(known)) => {
            assert_eq!(Some(&node), known.to_node().as_ref());
            assert!(!node.repeats_keys());
            is_whole("php", value);
        }
        (Ok(node), None) => panic!("read as {node:?}, and it is no PHP"),
        (Err(error), Some(known)) => {
            let node = known.to_node();
            let refused = node.as_ref().is_none_or(Node::repeats_keys) || NO_PLACE.contains(&error.reason.as_ref());
            assert!(refused, "{error}: {known:?}");
        }
        (Err(_), None) => {}
    }
}

/// A JSON value, written in both forms by others, is read as what it was.
fn written_and_read(text: &str) {
    let Ok(node) = node_reader::strict(text) else { return };
    if node.repeats_keys() {
        return;
    }
    let mut packed = Vec::new();
    let exact = to_msgpack(&node).inspect(|value| rmpv::encode::write_value(&mut packed, value).unwrap());
    if exact.is_some() {
        let read = read("msgpack", &packed).unwrap_or_else(|error| panic!("{error}: {node:?}"));
        assert_eq!(read, node);
    }
    packed.clear();
    Php::of_node(&node).write(&mut packed);
    let read = read("php", &packed).unwrap_or_else(|error| panic!("{error}: {node:?}"));
    // An empty array is a list, whatever it was.
    assert_eq!(read, emptied(&node));
}

/// A value in MessagePack; `None` where a number would not come back as it is written.
fn to_msgpack(node: &Node) -> Option<Value> {
    Some(match node {
        Node::Null => Value::Nil,
        Node::Bool(flag) => Value::Boolean(*flag),
        Node::Number(number) => {
            let signed = number.parse::<i64>().ok().map(Integer::from);
            let whole = signed.or_else(|| number.parse::<u64>().ok().map(Integer::from));
            Value::Integer(whole.filter(|whole| whole.to_string() == *number)?)
        }
        Node::Text(text) => Value::from(text.as_str()),
        Node::Array(items) => Value::Array(items.iter().map(to_msgpack).collect::<Option<_>>()?),
        Node::Object(members) => {
            let pair = |(key, value): &(String, Node)| Some((Value::from(key.as_str()), to_msgpack(value)?));
            Value::Map(members.iter().map(pair).collect::<Option<_>>()?)
        }
    })
}

fn emptied(node: &Node) -> Node {
    match node {
        Node::Object(members) if members.is_empty() => Node::Array(Vec::new()),
        Node::Object(members) => {
            Node::Object(members.iter().map(|(key, value)| (key.clone(), emptied(value))).collect())
        }
        Node::Array(items) => Node::Array(items.iter().map(emptied).collect()),
        other => other.clone(),
    }
}
