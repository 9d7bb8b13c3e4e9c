//! A plain recursive reader of JSON as PostgreSQL's jsonb takes it, which repairs what it is told to.

use super::node::Node;
use std::collections::BTreeSet;

/// How deep values may nest: the product's own limit.
const DEPTH: usize = 1_000;

/// What is repaired, and how.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Rules {
    /// What takes the place of U+0000.
    pub(crate) nul: Option<&'static str>,
    /// Whether U+FFFD takes the place of half a surrogate pair.
    pub(crate) surrogates: bool,
    /// Whether a number that JSON does not have becomes a text; else it becomes null.
    pub(crate) nonfinite: Option<bool>,
}

/// Why a text is refused: the reason's code, and the byte.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refusal {
    pub(crate) reason: &'static str,
    pub(crate) at: usize,
}

/// What was read.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) node: Node,
    /// The repairs that were made.
    pub(crate) repairs: BTreeSet<&'static str>,
    /// Whether two keys of an object that were written differently are the same after a repair of one of them.
    pub(crate) made_equal: bool,
}

/// Reads a text that is one JSON value.
pub(crate) fn read(text: &str, rules: Rules) -> Result<Read, Refusal> {
    let mut reader = Reader { bytes: text.as_bytes(), at: 0, rules, repairs: BTreeSet::new(), made_equal: false };
    reader.space();
    let node = reader.value(0)?;
    reader.space();
    if reader.at < text.len() {
        return Err(reader.refuse("json_syntax"));
    }
    Ok(Read { node, repairs: reader.repairs, made_equal: reader.made_equal })
}

/// Reads a text that must be JSON without any repair.
pub(crate) fn strict(text: &str) -> Result<Node, Refusal> {
    read(text, Rules::default()).map(|read| read.node)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    rules: Rules,
    repairs: BTreeSet<&'static str>,
    made_equal: bool,
}

/// A string: its text, the bytes between its quotes, and whether it was repaired.
struct Quoted<'a> {
    text: String,
    written: &'a [u8],
    repaired: bool,
}

impl<'a> Reader<'a> {
    fn refuse(&self, reason: &'static str) -> Refusal {
        Refusal { reason, at: self.at }
    }

    fn begins(&self, text: &str) -> bool {
        self.bytes[self.at..].starts_with(text.as_bytes())
    }

    fn skip(&mut self, text: &str) -> Result<(), Refusal> {
        if !self.begins(text) {
            return Err(self.refuse("json_syntax"));
        }
        self.at += text.len();
        Ok(())
    }

    fn space(&mut self) {
        while self.bytes.get(self.at).is_some_and(|byte| b" \t\r\n".contains(byte)) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, Refusal> {
        for (word, node) in [("null", Node::Null), ("true", Node::Bool(true)), ("false", Node::Bool(false))] {
            if self.begins(word) {
                self.at += word.len();
                return Ok(node);
            }
        }
        for word in ["NaN", "Infinity", "-Infinity"] {
            let behind = self.bytes.get(self.at + word.len());
            if self.begins(word) && !behind.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_') {
                let Some(as_text) = self.rules.nonfinite else { return Err(self.refuse("json_nonfinite")) };
                self.at += word.len();
                self.repairs.insert("nonfinite");
                return Ok(if as_text { Node::Text(word.to_owned()) } else { Node::Null });
            }
        }
        match self.bytes.get(self.at) {
            Some(b'"') => Ok(Node::Text(self.string()?.text)),
            Some(b'[' | b'{') if depth == DEPTH => Err(self.refuse("json_depth")),
            Some(b'[') => self.array(depth + 1),
            Some(b'{') => self.object(depth + 1),
            _ => self.number(),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Node, Refusal> {
        let mut items = Vec::new();
        self.skip("[")?;
        self.space();
        while !self.begins("]") {
            if !items.is_empty() {
                self.skip(",")?;
                self.space();
            }
            items.push(self.value(depth)?);
            self.space();
        }
        self.at += 1;
        Ok(Node::Array(items))
    }

    fn object(&mut self, depth: usize) -> Result<Node, Refusal> {
        let mut members = Vec::new();
        let mut keys: Vec<Quoted<'a>> = Vec::new();
        self.skip("{")?;
        self.space();
        while !self.begins("}") {
            if !members.is_empty() {
                self.skip(",")?;
                self.space();
            }
            let key = self.string()?;
            self.space();
            self.skip(":")?;
            self.space();
            members.push((key.text.clone(), self.value(depth)?));
            self.space();
            // Only the nearest of the equal ones counts, as for a reader that remembers the last one.
            let equal = keys.iter().rev().find(|known| known.text == key.text);
            self.made_equal |=
                equal.is_some_and(|known| known.written != key.written && (known.repaired || key.repaired));
            keys.push(key);
        }
        self.at += 1;
        Ok(Node::Object(members))
    }

    fn string(&mut self) -> Result<Quoted<'a>, Refusal> {
        self.skip("\"")?;
        let (start, mut text, mut repaired) = (self.at, Vec::new(), false);
        loop {
            match self.bytes.get(self.at) {
                None | Some(..b' ') => return Err(self.refuse("json_syntax")),
                Some(b'"') => break,
                Some(b'\\') => repaired |= self.escape(&mut text)?,
                Some(byte) => {
                    text.push(*byte);
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        let text = String::from_utf8(text).unwrap();
        Ok(Quoted { text, written: &self.bytes[start..self.at - 1], repaired })
    }

    /// Reads an escape; says whether it had to be repaired.
    fn escape(&mut self, text: &mut Vec<u8>) -> Result<bool, Refusal> {
        const KNOWN: [(u8, u8); 8] = [
            (b'"', b'"'),
            (b'\\', b'\\'),
            (b'/', b'/'),
            (b'b', 8),
            (b'f', 12),
            (b'n', b'\n'),
            (b'r', b'\r'),
            (b't', b'\t'),
        ];
        let escaped = self.bytes.get(self.at + 1).copied().unwrap_or_default();
        if let Some((_, byte)) = KNOWN.iter().find(|(known, _)| *known == escaped) {
            text.push(*byte);
            self.at += 2;
            return Ok(false);
        }
        let Some(high) = self.unit(self.at) else { return Err(self.refuse("json_syntax")) };
        let mut push = |c: char| text.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        let low = self.unit(self.at + 6).filter(|low| (0xdc00..0xe000).contains(low));
        match (high, low) {
            (0, _) => {
                let Some(stand_in) = self.rules.nul else { return Err(self.refuse("json_nul")) };
                stand_in.chars().for_each(push);
                self.repairs.insert("nul");
            }
            (0xd800..0xdc00, Some(low)) => {
                push(char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00)).unwrap());
                self.at += 6;
            }
            (0xd800..0xe000, _) if self.rules.surrogates => {
                push('\u{fffd}');
                self.repairs.insert("surrogates");
            }
            (0xd800..0xe000, _) => return Err(self.refuse("json_surrogate")),
            (unit, _) => push(char::from_u32(unit).unwrap()),
        }
        self.at += 6;
        Ok(high == 0 || (0xd800..0xe000).contains(&high) && !(high < 0xdc00 && low.is_some()))
    }

    fn unit(&self, at: usize) -> Option<u32> {
        let digits = self.bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
        let digits = std::str::from_utf8(digits).ok().filter(|text| text.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u32::from_str_radix(digits, 16).ok()
    }

    fn digits(&mut self) -> Result<usize, Refusal> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == start { Err(self.refuse("json_syntax")) } else { Ok(self.at - start) }
    }

    fn number(&mut self) -> Result<Node, Refusal> {
        let start = self.at;
        self.at += usize::from(self.begins("-"));
        if self.begins("0") {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.begins(".") {
            self.at += 1;
            self.digits()?;
        }
        if self.begins("e") || self.begins("E") {
            self.at += 1;
            self.at += usize::from(self.begins("+") || self.begins("-"));
            self.digits()?;
        }
        let number = std::str::from_utf8(&self.bytes[start..self.at]).unwrap().to_owned();
        if !numeric_holds(&number) {
            return Err(Refusal { reason: "json_number_range", at: start });
        }
        Ok(Node::Number(number))
    }
}

/// Whether PostgreSQL's numeric holds a number: at most 131,072 digits before the point and 16,383 behind it.
fn numeric_holds(number: &str) -> bool {
    let number = number.trim_start_matches('-').to_ascii_lowercase();
    let (mantissa, exponent) = number.split_once('e').unwrap_or((&number, "0"));
    // The product refuses exponents beyond a milliard unseen; PostgreSQL does a little later.
    let Some(exponent) = exponent.parse::<i64>().ok().filter(|exponent| exponent.abs() <= 1_000_000_000) else {
        return false;
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let before = match all.find(|digit| digit != '0') {
        Some(first) => whole.len() as i64 - first as i64 + exponent,
        None => 0,
    };
    before <= 131_072 && fraction.len() as i64 - exponent <= 16_383
}
