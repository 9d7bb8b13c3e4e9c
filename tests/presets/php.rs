//! What PHP's serialize writes of JSON's values.

use serde_json::Value;

/// Serializes a value as PHP would: objects and arrays are arrays there.
pub(crate) fn serialize(value: &Value) -> String {
    let pairs = |length: usize, pairs: String| format!("a:{length}:{{{pairs}}}");
    match value {
        Value::Null => "N;".to_owned(),
        Value::Bool(flag) => format!("b:{};", u8::from(*flag)),
        Value::Number(number) if number.is_f64() => format!("d:{number};"),
        Value::Number(number) => format!("i:{number};"),
        Value::String(text) => string(text),
        Value::Array(items) => {
            pairs(items.len(), (0..).zip(items).map(|(i, item)| format!("i:{i};{}", serialize(item))).collect())
        }
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| format!("{}{}", string(name), serialize(value));
            pairs(fields.len(), fields.iter().map(field).collect())
        }
    }
}

/// A string; its length is in bytes.
pub(crate) fn string(text: &str) -> String {
    format!("s:{}:\"{text}\";", text.len())
}
