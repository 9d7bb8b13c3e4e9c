//! MessagePack to JSON text. Integers keep every digit, and nothing is guessed: what JSON has no place for is refused.

use super::super::{DecodeError, Policies};
use super::writer::Writer;
use jiff::Timestamp;

/// Reads one value and writes it as JSON text; the names of policies that acted go to `altered`.
///
/// Integer keys become strings, timestamps become RFC 3339, floats are written with as many digits as tell them apart.
///
/// # Errors
/// `msgpack_syntax`, `msgpack_key`, `duplicate_key_after_conversion`, `encoding_bytes_in_json`,
/// `encoding_unsupported (msgpack_ext)`, `timestamp_range`, `json_depth`.
pub(in super::super) fn from_msgpack(
    bytes: &[u8],
    policies: &Policies,
    altered: &mut Vec<&'static str>,
) -> Result<String, DecodeError> {
    let (mut reader, mut writer) = (Reader { bytes, at: 0 }, Writer::new(policies, altered));
    loop {
        while writer.level().is_some_and(|level| level.left == 0) {
            writer.close()?;
        }
        match writer.level() {
            None if reader.at > 0 => break,
            Some(level) if level.object => key(reader.token()?, &mut writer)?,
            _ => {}
        }
        value(reader.token()?, &mut writer)?;
    }
    if reader.at < bytes.len() {
        return Err(reader.error("something follows the value"));
    }
    Ok(writer.finish())
}

fn value(token: Token<'_>, writer: &mut Writer<'_>) -> Result<(), DecodeError> {
    match token {
        Token::Nil => writer.raw("null"),
        Token::Bool(flag) => writer.raw(if flag { "true" } else { "false" }),
        Token::Integer(number) => writer.raw(&number.to_string()),
        Token::Float(number) if number.is_nan() => writer.raw("NaN"),
        Token::Float(f64::INFINITY) => writer.raw("Infinity"),
        Token::Float(f64::NEG_INFINITY) => writer.raw("-Infinity"),
        // Debug writes the shortest digits that read back equal, with an exponent where they would be many zeros.
        Token::Float(number) => writer.raw(&format!("{number:?}")),
        Token::Text(bytes) => writer.text(bytes),
        Token::Bytes(bytes) => writer.bytes(bytes),
        Token::Array(length) => writer.open(false, length),
        Token::Map(length) => writer.open(true, length),
        Token::Ext(-1, data) => timestamp(data, writer),
        Token::Ext(kind, data) => {
            let detail = format!("an extension of type {kind} with {} bytes", data.len());
            Err(writer.error("encoding_unsupported (msgpack_ext)", detail))
        }
    }
}

fn key(token: Token<'_>, writer: &mut Writer<'_>) -> Result<(), DecodeError> {
    match token {
        Token::Text(bytes) | Token::Bytes(bytes) => writer.key(bytes),
        Token::Integer(number) => writer.key(number.to_string().as_bytes()),
        _ => Err(writer.error("msgpack_key", "a map's key is no text and no integer")),
    }
}

/// The timestamp extension: seconds since 1970, and nanoseconds from zero to a second.
fn timestamp(data: &[u8], writer: &mut Writer<'_>) -> Result<(), DecodeError> {
    let parts = match *data {
        [a, b, c, d] => Some((i64::from(u32::from_be_bytes([a, b, c, d])), 0)),
        [a, b, c, d, e, f, g, h] => {
            let both = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
            Some(((both & 0x3_ffff_ffff) as i64, (both >> 34) as u32))
        }
        [a, b, c, d, ref seconds @ ..] => {
            seconds.try_into().ok().map(|seconds| (i64::from_be_bytes(seconds), u32::from_be_bytes([a, b, c, d])))
        }
        _ => None,
    };
    let Some((seconds, nanoseconds)) = parts.filter(|(_, nanoseconds)| *nanoseconds < 1_000_000_000) else {
        return Err(writer.error("msgpack_syntax", "a timestamp that is none"));
    };
    match Timestamp::new(seconds, nanoseconds as i32) {
        Ok(moment) => writer.text(moment.to_string().as_bytes()),
        Err(_) => Err(writer.error("timestamp_range", format!("{seconds} seconds from 1970 are beyond the calendar"))),
    }
}

enum Token<'a> {
    Nil,
    Bool(bool),
    /// From `i64::MIN` to `u64::MAX`.
    Integer(i128),
    Float(f64),
    Text(&'a [u8]),
    Bytes(&'a [u8]),
    Array(usize),
    Map(usize),
    Ext(i8, &'a [u8]),
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    #[cold]
    fn error(&self, what: &str) -> DecodeError {
        let mut error = DecodeError::new("msgpack_syntax", format!("{what} at byte {}", self.at));
        error.offset = Some(self.at);
        error
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let taken = self.at.checked_add(length).and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| self.error("the value is cut short"))?;
        self.at += length;
        Ok(taken)
    }

    /// A big-endian number without sign, of `size` bytes.
    fn number(&mut self, size: usize) -> Result<u64, DecodeError> {
        Ok(self.take(size)?.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// The same with a sign.
    fn signed(&mut self, size: usize) -> Result<Token<'a>, DecodeError> {
        let unused = 64 - 8 * size as u32;
        Ok(Token::Integer(i128::from((self.number(size)? << unused) as i64 >> unused)))
    }

    fn length(&mut self, size: usize) -> Result<usize, DecodeError> {
        self.number(size).map(|length| length as usize)
    }

    fn ext(&mut self, length: usize) -> Result<Token<'a>, DecodeError> {
        let kind = self.number(1)? as u8;
        Ok(Token::Ext(kind.cast_signed(), self.take(length)?))
    }

    fn token(&mut self) -> Result<Token<'a>, DecodeError> {
        let marker = self.number(1)? as u8;
        // The low bits of four of the markers are the size of the length that follows: 1, 2 or 4 bytes.
        let size = |first: u8| 1_usize << (marker - first);
        Ok(match marker {
            0x00..=0x7f => Token::Integer(i128::from(marker)),
            0x80..=0x8f => Token::Map(usize::from(marker & 0x0f)),
            0x90..=0x9f => Token::Array(usize::from(marker & 0x0f)),
            0xa0..=0xbf => Token::Text(self.take(usize::from(marker & 0x1f))?),
            0xc0 => Token::Nil,
            0xc1 => {
                self.at -= 1;
                return Err(self.error("c1, which MessagePack never uses,"));
            }
            0xc2 | 0xc3 => Token::Bool(marker == 0xc3),
            0xc4..=0xc6 => self.length(size(0xc4)).and_then(|length| self.take(length)).map(Token::Bytes)?,
            0xc7..=0xc9 => self.length(size(0xc7)).and_then(|length| self.ext(length))?,
            0xca => Token::Float(f64::from(f32::from_bits(self.number(4)? as u32))),
            0xcb => Token::Float(f64::from_bits(self.number(8)?)),
            0xcc..=0xcf => Token::Integer(i128::from(self.number(size(0xcc))?)),
            0xd0..=0xd3 => self.signed(size(0xd0))?,
            0xd4..=0xd8 => self.ext(size(0xd4))?,
            0xd9..=0xdb => self.length(size(0xd9)).and_then(|length| self.take(length)).map(Token::Text)?,
            0xdc | 0xdd => Token::Array(self.length(size(0xdc) * 2)?),
            0xde | 0xdf => Token::Map(self.length(size(0xde) * 2)?),
            0xe0..=0xff => Token::Integer(i128::from(marker.cast_signed())),
        })
    }
}
