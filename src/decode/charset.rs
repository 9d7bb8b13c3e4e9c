//! Texts in the two single-byte encodings that a mapping may name for what is not UTF-8.

use super::{Charset, DecodeError};
use std::str::Utf8Error;

/// What Windows-1252 has for the bytes 80 to 9F; `\0` where it has nothing.
const CP1252: [char; 32] = [
    '€', '\0', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\0', 'Ž', '\0', '\0', '‘', '’', '“', '”', '•',
    '–', '—', '˜', '™', 'š', '›', 'œ', '\0', 'ž', 'Ÿ',
];

impl Charset {
    /// Reads bytes that are not UTF-8 as a text of this encoding.
    ///
    /// # Errors
    /// `invalid_utf8`, where they are no text of this encoding either.
    pub(crate) fn stand_in(self, bytes: &[u8], error: Utf8Error) -> Result<String, DecodeError> {
        self.read(bytes).map_err(|at| {
            let utf8 = error.valid_up_to();
            let mut refused = DecodeError::new(
                "invalid_utf8",
                format!("not UTF-8 at byte {utf8}, and the mapping's `invalid_utf8` has no character for byte {at}"),
            );
            refused.offset = Some(utf8);
            refused
        })
    }

    /// Reads bytes as a text of this encoding.
    ///
    /// # Errors
    /// The place of the first byte that the encoding has no character for.
    fn read(self, bytes: &[u8]) -> Result<String, usize> {
        let character = |(at, byte): (usize, &u8)| match (self, byte) {
            (Self::Cp1252, 0x80..=0x9f) => match CP1252.get(usize::from(byte - 0x80)) {
                Some('\0') | None => Err(at),
                Some(known) => Ok(*known),
            },
            (_, byte) => Ok(char::from(*byte)),
        };
        bytes.iter().enumerate().map(character).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Charset;

    #[test]
    fn every_byte_has_its_character_or_none() {
        assert_eq!(Charset::Latin1.read(b"caf\xe9 \x80").unwrap(), "café \u{80}");
        assert_eq!(Charset::Cp1252.read(b"\x93caf\xe9\x94 5\x80 \x9f").unwrap(), "“café” 5€ Ÿ");
        for undefined in [0x81, 0x8d, 0x8f, 0x90, 0x9d] {
            assert_eq!(Charset::Cp1252.read(&[b'a', undefined]), Err(1));
        }
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(Charset::Latin1.read(&all).unwrap().chars().map(|c| c as u32).sum::<u32>(), 255 * 128);
    }
}
