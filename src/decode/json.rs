//! One pass over JSON text that checks all that PostgreSQL's jsonb would refuse and notes the fields of the top level.
//!
//! Owns the scanner. It is iterative (nesting cannot overflow the stack) and copies nothing.

use super::error::{A_VALUE, FOUR_DIGITS, Fault, FaultKind};
use super::number;
use super::open_keys::OpenKeys;
use super::scanned::{Field, Kind, Scanned, Span};

/// How deep objects and arrays may nest. PostgreSQL's parser gives up at some thousands, by its stack.
pub const MAX_DEPTH: usize = 1_000;
/// The longest text that jsonb holds as a key or string, and the longest jsonb of objects and arrays.
pub const MAX_JSONB_BYTES: usize = 268_435_454;
/// The longest text that is looked at: PostgreSQL's limit for a field is a little below 1 GiB.
pub const MAX_TEXT_BYTES: usize = 1_000_000_000;

/// Checks a text and finds the fields of its top level, where it is an object. `fields` is cleared first.
///
/// # Errors
/// `json_syntax`, `json_nul`, `json_surrogate`, `json_nonfinite`, `json_depth`, `json_number_range`, `value_too_large`,
/// all by way of [`Fault::explain`].
pub fn scan(text: &str, fields: &mut Vec<Field>) -> Result<Scanned, Fault> {
    fields.clear();
    if text.len() > MAX_TEXT_BYTES {
        return Err(Fault { kind: FaultKind::TooLarge, at: 0 });
    }
    let mut scanner =
        Scanner { bytes: text.as_bytes(), at: 0, nesting: [0; WORDS], depth: 0, keys: OpenKeys::default() };
    scanner.space();
    let start = scanner.at;
    let escaped_keys = scanner.value(fields)?;
    let end = scanner.at;
    scanner.space();
    if scanner.at != text.len() {
        return Err(scanner.fault(FaultKind::Trailing));
    }
    let kind = Kind::of(text.get(start..).unwrap_or_default());
    Ok(Scanned { kind, span: Span::new(start, end), escaped_keys, may_repeat: scanner.keys.may_repeat() })
}

const WORDS: usize = MAX_DEPTH / 64 + 1;

struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    /// One bit for each open level: whether it is an object.
    nesting: [u64; WORDS],
    depth: usize,
    keys: OpenKeys,
}

impl Scanner<'_> {
    fn fault(&self, kind: FaultKind) -> Fault {
        Fault { kind, at: self.at }
    }

    fn expected(&self, what: &'static str) -> Fault {
        self.fault(if self.at >= self.bytes.len() { FaultKind::End } else { FaultKind::Syntax(what) })
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline]
    fn space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn push(&mut self, object: bool) -> Result<(), Fault> {
        if self.depth == MAX_DEPTH {
            return Err(self.fault(FaultKind::Depth));
        }
        let (word, bit) = (self.depth / 64, self.depth % 64);
        self.nesting[word] = self.nesting[word] & !(1 << bit) | u64::from(object) << bit;
        if object {
            self.keys.open(self.depth);
        }
        self.depth += 1;
        self.at += 1;
        self.space();
        Ok(())
    }

    #[inline]
    fn in_object(&self) -> bool {
        let level = self.depth.wrapping_sub(1);
        self.nesting.get(level / 64).is_some_and(|word| word >> (level % 64) & 1 == 1)
    }

    /// Scans one value with all that is in it; says whether a key of the top level has escapes.
    fn value(&mut self, fields: &mut Vec<Field>) -> Result<bool, Fault> {
        let mut escaped_keys = false;
        let mut field: Option<Field> = None;
        loop {
            // A value starts here. An empty container ends at once, any other goes on with its first element.
            if self.open()? {
                if self.in_object() {
                    self.member(&mut field, &mut escaped_keys)?;
                }
                continue;
            }
            // A value ended here: close what ends with it, then go on with the next element.
            loop {
                if self.depth == 1
                    && let Some(mut done) = field.take()
                {
                    done.value.end = self.at as u32;
                    fields.push(done);
                }
                if self.depth == 0 {
                    return Ok(escaped_keys);
                }
                self.space();
                let object = self.in_object();
                match self.peek() {
                    Some(b',') => {
                        self.at += 1;
                        self.space();
                        if object {
                            self.member(&mut field, &mut escaped_keys)?;
                        }
                        break;
                    }
                    Some(b'}') if object => {
                        self.close();
                        self.keys.close(self.depth);
                    }
                    Some(b']') if !object => self.close(),
                    _ => return Err(self.expected(if object { "`,` or `}`" } else { "`,` or `]`" })),
                }
            }
        }
    }

    #[inline]
    fn close(&mut self) {
        self.at += 1;
        self.depth -= 1;
    }

    /// Scans a scalar or opens a container; says whether a container is open now and wants its first element.
    #[inline]
    fn open(&mut self) -> Result<bool, Fault> {
        match self.peek() {
            Some(b'"') => self.string().map(|_| false),
            Some(open @ (b'{' | b'[')) => {
                self.push(open == b'{')?;
                let empty = self.peek() == Some(if open == b'{' { b'}' } else { b']' });
                if empty {
                    self.close();
                }
                Ok(!empty)
            }
            Some(b'-' | b'0'..=b'9') => self.number().map(|()| false),
            Some(b't') => self.word(b"true").map(|()| false),
            Some(b'f') => self.word(b"false").map(|()| false),
            Some(b'n') => self.word(b"null").map(|()| false),
            _ => Err(self.expected(A_VALUE)),
        }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), Fault> {
        if self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            self.at += word.len();
            return Ok(());
        }
        Err(self.expected(A_VALUE))
    }

    /// Scans a key and its colon, up to its value.
    #[inline]
    fn member(&mut self, field: &mut Option<Field>, escaped_keys: &mut bool) -> Result<(), Fault> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a key in double quotes"));
        }
        let start = self.at + 1;
        let key_escaped = self.string()?;
        let key = Span::new(start, self.at - 1);
        self.space();
        if self.peek() != Some(b':') {
            return Err(self.expected("`:`"));
        }
        self.at += 1;
        self.space();
        if self.depth == 1 {
            *escaped_keys |= key_escaped;
            *field = Some(Field { key, value: Span::new(self.at, self.at), key_escaped });
        }
        let key = self.bytes.get(start..key.end as usize).unwrap_or_default();
        self.keys.add(self.depth - 1, key, key_escaped);
        Ok(())
    }

    /// Scans a string from its opening quote to behind its closing one; says whether it has escapes.
    #[inline]
    fn string(&mut self) -> Result<bool, Fault> {
        self.at += 1;
        let mut escaped = false;
        loop {
            self.plain();
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    self.escape()?;
                }
                Some(_) => return Err(self.expected("no raw control character in a string")),
                None => return Err(self.fault(FaultKind::End)),
            }
        }
    }

    /// Passes over what needs no look: eight bytes at a time, up to a quote, a backslash or a control character.
    #[inline]
    fn plain(&mut self) {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const HIGH: u64 = 0x8080_8080_8080_8080;
        while let Some(chunk) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<8>()) {
            let word = u64::from_le_bytes(*chunk);
            let quote = word ^ (ONES * b'"' as u64);
            let slash = word ^ (ONES * b'\\' as u64);
            // The lowest marked byte is exact: a borrow only ever marks bytes above a true hit.
            let hits = (quote.wrapping_sub(ONES) & !quote
                | slash.wrapping_sub(ONES) & !slash
                | word.wrapping_sub(ONES * 0x20) & !word)
                & HIGH;
            if hits != 0 {
                self.at += hits.trailing_zeros() as usize / 8;
                return;
            }
            self.at += 8;
        }
        while self.peek().is_some_and(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\') {
            self.at += 1;
        }
    }

    fn escape(&mut self) -> Result<(), Fault> {
        let Some(byte) = self.bytes.get(self.at + 1) else { return Err(self.fault(FaultKind::End)) };
        match byte {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 2,
            b'u' => match self.unit(self.at)? {
                0 => return Err(self.fault(FaultKind::Nul)),
                0xd800..=0xdbff => {
                    let rest = self.bytes.get(self.at + 6..).unwrap_or_default();
                    if br"\u".starts_with(rest) {
                        // Cut off between the halves, or before it was to be seen that the other one is missing.
                        return Err(Fault { kind: FaultKind::End, at: self.bytes.len() });
                    }
                    let low = self.bytes.get(self.at + 6..self.at + 8) == Some(br"\u");
                    if !low || !(0xdc00..=0xdfff).contains(&self.unit(self.at + 6)?) {
                        return Err(self.fault(FaultKind::Surrogate));
                    }
                    self.at += 12;
                }
                0xdc00..=0xdfff => return Err(self.fault(FaultKind::Surrogate)),
                _ => self.at += 6,
            },
            _ => return Err(self.fault(FaultKind::Syntax("a known escape"))),
        }
        Ok(())
    }

    /// The code unit of a `\uXXXX` at that place.
    fn unit(&self, at: usize) -> Result<u32, Fault> {
        let digits = self.bytes.get(at + 2..at + 6).unwrap_or_default();
        let value = digits.iter().try_fold(0, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?));
        match value {
            Some(value) if digits.len() == 4 => Ok(value),
            _ => Err(Fault { kind: FaultKind::Syntax(FOUR_DIGITS), at }),
        }
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(self.expected("a digit")) } else { Ok(()) }
    }

    fn number(&mut self) -> Result<(), Fault> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits()?,
            _ if self.at > start => return Err(Fault { kind: FaultKind::Syntax(A_VALUE), at: start }),
            _ => return Err(self.expected(A_VALUE)),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        let exponent = matches!(self.peek(), Some(b'e' | b'E'));
        if exponent {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        let text = self.bytes.get(start..self.at).unwrap_or_default();
        // Short numbers without an exponent always fit.
        if (exponent || text.len() > 16_000) && !number::fits(text) {
            return Err(Fault { kind: FaultKind::NumberRange, at: start });
        }
        Ok(())
    }
}
