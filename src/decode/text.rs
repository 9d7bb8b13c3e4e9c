//! JSON strings to text and back. Owns the escapes; expects what it unescapes to have been checked by `scan`.

use std::borrow::Cow;

/// The text of a string between its quotes. Borrowed where it has no escapes.
pub fn unescape(inner: &str) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', inner.as_bytes()) else { return Cow::Borrowed(inner) };
    let mut out = String::with_capacity(inner.len());
    let (plain, mut rest) = inner.split_at(first);
    out.push_str(plain);
    while let Some(tail) = rest.strip_prefix('\\') {
        rest = escape(tail, &mut out);
        let next = memchr::memchr(b'\\', rest.as_bytes()).unwrap_or(rest.len());
        let (plain, tail) = rest.split_at(next);
        out.push_str(plain);
        rest = tail;
    }
    Cow::Owned(out)
}

/// Writes what the escape at the start of `tail` (its backslash taken off) stands for; gives what follows it.
fn escape<'a>(tail: &'a str, out: &mut String) -> &'a str {
    let mut chars = tail.chars();
    let c = match chars.next() {
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('u') => {
            let high = unit(tail.get(1..5));
            let low = tail.get(5..).and_then(|rest| rest.strip_prefix("\\u")).map_or(0, |rest| unit(rest.get(..4)));
            let pair = (0xd800..0xdc00).contains(&high) && (0xdc00..0xe000).contains(&low);
            let code = if pair { 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00) } else { high };
            out.push(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            return tail.get(if pair { 11 } else { 5 }..).unwrap_or_default();
        }
        Some(other) => other,
        None => return "",
    };
    out.push(c);
    chars.as_str()
}

fn unit(digits: Option<&str>) -> u32 {
    digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(0)
}

/// Appends a text as a JSON string, quotes included.
pub fn push_json_string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        let (plain, tail) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = tail.chars();
        if let Some(c) = chars.next() {
            push_escaped(out, c);
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

#[cold]
fn push_escaped(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        c => {
            const HEX: [char; 16] = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
            out.push_str("\\u00");
            out.push(HEX[c as usize >> 4 & 15]);
            out.push(HEX[c as usize & 15]);
        }
    }
}
