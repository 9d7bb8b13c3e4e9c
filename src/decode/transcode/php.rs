//! What PHP's `serialize` writes, to JSON text: scalars and arrays. Objects are refused: they say what code would run.
//!
//! As in PHP's own `json_encode`, an array with the keys 0, 1, 2 … in this order is a list, any other an object. Which it
//! is shows only at its end, so the text is read twice: the first time for that alone.

use super::super::json::{MAX_DEPTH, scan};
use super::super::scanned::Kind;
use super::super::{DecodeError, Policies};
use super::writer::Writer;

/// Reads one value and writes it as JSON text; the names of policies that acted go to `altered`.
///
/// # Errors
/// `php_syntax`, `encoding_unsupported (php_object)`, `encoding_unsupported (php_reference)`,
/// `encoding_bytes_in_json`, `duplicate_key_after_conversion`, `json_depth`.
pub(in super::super) fn from_php(
    bytes: &[u8],
    policies: &Policies,
    altered: &mut Vec<&'static str>,
) -> Result<String, DecodeError> {
    let lists = find_lists(&mut Reader { bytes, at: 0 })?;
    let mut lists = lists.into_iter();
    let (mut reader, mut writer) = (Reader { bytes, at: 0 }, Writer::new(policies, altered));
    loop {
        while writer.level().is_some_and(|level| level.left == 0) {
            reader.end()?;
            writer.close()?;
        }
        let object = writer.level().map(|level| level.object);
        if object.is_none() && reader.at > 0 {
            return Ok(writer.finish());
        }
        if object.is_some() {
            match (reader.key()?, object) {
                (Token::Text(key), Some(true)) => writer.key(key)?,
                (Token::Integer(key), Some(true)) => writer.key(key.to_string().as_bytes())?,
                // The keys of a list are its order.
                _ => {}
            }
        }
        match reader.token()? {
            Token::Null => writer.raw("null")?,
            Token::Bool(flag) => writer.raw(if flag { "true" } else { "false" })?,
            Token::Integer(number) => writer.raw(&number.to_string())?,
            Token::Float(number) => writer.raw(number)?,
            Token::Text(text) => writer.text(text)?,
            Token::Array(length) => writer.open(!lists.next().unwrap_or(false), length)?,
        }
    }
}

/// Whether each array is a list, in the order in which they begin. Checks the whole text on the way.
fn find_lists(reader: &mut Reader<'_>) -> Result<Vec<bool>, DecodeError> {
    let mut lists: Vec<bool> = Vec::new();
    // Of each open array: its place in `lists`, the values that are to come, and the key that makes it a list.
    let mut open: Vec<(usize, usize, i64)> = Vec::new();
    loop {
        while open.pop_if(|(_, left, _)| *left == 0).is_some() {
            reader.end()?;
        }
        match open.last_mut() {
            None if reader.at > 0 => break,
            None => {}
            Some((list, left, next)) => {
                let in_order = matches!(reader.key()?, Token::Integer(key) if key == *next);
                if let Some(is_list) = lists.get_mut(*list) {
                    *is_list &= in_order;
                }
                (*left, *next) = (*left - 1, *next + 1);
            }
        }
        if let Token::Array(length) = reader.token()? {
            if open.len() == MAX_DEPTH {
                return Err(DecodeError::new("json_depth", format!("nested deeper than {MAX_DEPTH} levels")));
            }
            open.push((lists.len(), length, 0));
            lists.push(true);
        }
    }
    if reader.at < reader.bytes.len() {
        return Err(reader.error("something follows the value"));
    }
    Ok(lists)
}

/// Whether a text is a number of JSON, and nothing stands around it.
fn is_number(text: &str) -> bool {
    let scanned = scan(text, &mut Vec::new());
    scanned.is_ok_and(|scanned| scanned.kind == Kind::Number && scanned.span.of(text) == text)
}

enum Token<'a> {
    Null,
    Bool(bool),
    Integer(i64),
    /// As it was written, or a word that JSON does not have.
    Float(&'a str),
    Text(&'a [u8]),
    /// The start of an array of so many pairs.
    Array(usize),
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    #[cold]
    fn error(&self, what: &str) -> DecodeError {
        let mut error = DecodeError::new("php_syntax", format!("{what} at byte {}", self.at));
        error.offset = Some(self.at);
        error
    }

    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    fn expect(&mut self, wanted: &'static str) -> Result<(), DecodeError> {
        if !self.rest().starts_with(wanted.as_bytes()) {
            return Err(self.error(&format!("expected `{wanted}`")));
        }
        self.at += wanted.len();
        Ok(())
    }

    /// The end of an array.
    fn end(&mut self) -> Result<(), DecodeError> {
        self.expect("}")
    }

    /// The text up to a mark, and the mark.
    fn until(&mut self, mark: u8) -> Result<&'a str, DecodeError> {
        let length = memchr::memchr(mark, self.rest());
        let text = length.and_then(|length| std::str::from_utf8(self.rest().get(..length)?).ok());
        let text = text.ok_or_else(|| self.error("the value is cut short"))?;
        self.at += text.len() + 1;
        Ok(text)
    }

    fn parsed<T: std::str::FromStr>(&mut self, mark: u8) -> Result<T, DecodeError> {
        let start = self.at;
        let text = self.until(mark)?;
        text.parse().map_err(|_| {
            self.at = start;
            self.error("expected a number")
        })
    }

    fn key(&mut self) -> Result<Token<'a>, DecodeError> {
        match self.rest() {
            [b'i' | b's', ..] => self.token(),
            _ => Err(self.error("expected a key")),
        }
    }

    fn token(&mut self) -> Result<Token<'a>, DecodeError> {
        if self.rest().starts_with(b"N;") {
            self.at += 2;
            return Ok(Token::Null);
        }
        let [kind, b':', ..] = self.rest() else { return Err(self.error("expected a value")) };
        match kind {
            b'O' | b'C' | b'E' => return Err(self.refused("php_object", "an object")),
            b'r' | b'R' => return Err(self.refused("php_reference", "a reference to another value")),
            b'b' | b'i' | b'd' | b's' | b'a' => self.at += 2,
            _ => return Err(self.error("expected a value")),
        }
        match kind {
            b'b' => match self.until(b';')? {
                "0" => Ok(Token::Bool(false)),
                "1" => Ok(Token::Bool(true)),
                _ => Err(self.error("expected a boolean before the one")),
            },
            b'i' => self.parsed(b';').map(Token::Integer),
            b'd' => self.float(),
            b's' => self.text(),
            _ => {
                let length = self.parsed(b':')?;
                self.expect("{")?;
                Ok(Token::Array(length))
            }
        }
    }

    fn float(&mut self) -> Result<Token<'a>, DecodeError> {
        let text = self.until(b';')?;
        match text {
            "NAN" => Ok(Token::Float("NaN")),
            "INF" => Ok(Token::Float("Infinity")),
            "-INF" => Ok(Token::Float("-Infinity")),
            // PHP spells its numbers as JSON does.
            text if is_number(text) => Ok(Token::Float(text)),
            _ => Err(self.error("expected a number before the one")),
        }
    }

    fn text(&mut self) -> Result<Token<'a>, DecodeError> {
        let length: usize = self.parsed(b':')?;
        self.expect("\"")?;
        let text = self.rest().get(..length).ok_or_else(|| self.error("the value is cut short"))?;
        self.at += length;
        self.expect("\";")?;
        Ok(Token::Text(text))
    }

    #[cold]
    fn refused(&self, name: &str, what: &str) -> DecodeError {
        let mut error = self.error(&format!("{what} of PHP, which is never built,"));
        error.reason = format!("encoding_unsupported ({name})").into();
        error
    }
}
