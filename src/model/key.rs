//! A Redis key. Keys are bytes everywhere: a key that is not UTF-8 must not end a scan.

use bytes::Bytes;
use std::fmt;

/// The bytes of one Redis key. Cheap to clone; usually a slice of the SCAN reply it came in.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RedisKey(Bytes);

impl RedisKey {
    /// Wraps the bytes of a key as Redis sent them.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        Self(bytes.into())
    }

    /// The bytes of the key.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The key's bytes, shared.
    pub fn bytes(&self) -> Bytes {
        self.0.clone()
    }

    /// The key as text, where it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }

    /// The key that is printed like this, where that is not the one of the same bytes: a doubled backslash is one, and
    /// `\\xff` a byte. `None` where nothing is escaped, or otherwise than here.
    pub fn printed_as(text: &[u8]) -> Option<Self> {
        memchr::memchr(b'\\', text)?;
        let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text);
        while let Some((byte, tail)) = rest.split_first() {
            rest = tail;
            let (escaped, length) = match (byte, tail) {
                (b'\\', [b'\\', ..]) => (b'\\', 1),
                (b'\\', [b'x', digits @ ..]) => {
                    let digits = digits.first_chunk::<2>().filter(|digits| digits.iter().all(u8::is_ascii_hexdigit))?;
                    (u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?, 3)
                }
                (b'\\', _) => return None,
                (byte, _) => (*byte, 0),
            };
            bytes.push(escaped);
            rest = rest.get(length..).unwrap_or_default();
        }
        Some(Self::new(bytes))
    }

    /// A copy that owns just its own bytes, for keys that outlive the page they came in.
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }
}

/// Prints the key for people: UTF-8 as it is, control characters and invalid bytes as `\xNN`, a backslash doubled.
impl fmt::Display for RedisKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                match c {
                    '\\' => f.write_str("\\\\")?,
                    c if c.is_control() => {
                        let mut buffer = [0; 4];
                        for byte in c.encode_utf8(&mut buffer).bytes() {
                            write!(f, "\\x{byte:02x}")?;
                        }
                    }
                    c => write!(f, "{c}")?,
                }
            }
            for byte in chunk.invalid() {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for RedisKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::RedisKey;

    #[test]
    fn display_escapes_what_a_terminal_must_not_see() {
        let key = RedisKey::new(&b"document:\xff\x00\x1b[31m\\\xc3\xa9"[..]);
        assert_eq!(key.to_string(), r"document:\xff\x00\x1b[31m\\é");
    }

    #[test]
    fn what_is_printed_leads_back_to_the_key() {
        for bytes in [&b"document:\xff\x00\x1b[31m\\\xc3\xa9"[..], b"\\xff", b"\\", b"a\xf0\x9f"] {
            let key = RedisKey::new(bytes);
            assert_eq!(RedisKey::printed_as(key.to_string().as_bytes()), Some(key));
        }
        for other in [&b"document:1"[..], b"", br"a\", br"a\xf", br"a\xzz", br"a\n", br"\x+f"] {
            assert_eq!(RedisKey::printed_as(other), None);
        }
    }
}
