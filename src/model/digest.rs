//! The digest of a value: tells whether a key still holds what a row was made from.

use sha2::{Digest as _, Sha256};
use std::fmt;

/// The first 128 bits of the SHA-256 of a value's bytes as read. `sha256sum` and PostgreSQL's `sha256()` give the same,
/// so that anybody can check a row against Redis. Half of the hash is kept: collisions are as far off as 2⁶⁴ values.
///
/// SHA-256 rather than a newer hash: on values of a kilobyte, with the instructions that servers have for it, it takes
/// half the time of BLAKE3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Digest([u8; 16]);

impl Digest {
    /// How many hexadecimal digits it has.
    pub const HEX_DIGITS: u32 = 32;

    /// The digest of a value.
    pub fn of(value: &[u8]) -> Self {
        Self::of_sha256(&Sha256::digest(value).into())
    }

    /// The digest of a value with this SHA-256.
    pub fn of_sha256(sha256: &[u8; 32]) -> Self {
        let mut half = [0; 16];
        half.iter_mut().zip(sha256).for_each(|(to, from)| *to = *from);
        Self(half)
    }

    /// Its 16 bytes.
    pub fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// Its 32 hexadecimal digits, in lower case.
    pub fn hex(self) -> [u8; 32] {
        const DIGITS: [u8; 16] = *b"0123456789abcdef";
        let mut hex = [0; 32];
        for (pair, byte) in hex.chunks_exact_mut(2).zip(self.0) {
            pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
        hex
    }
}

/// 32 hexadecimal digits.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hex().iter().try_for_each(|digit| fmt::Write::write_char(f, char::from(*digit)))
    }
}

/// The whole SHA-256 in hexadecimal, for what is compared by people and their tools.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex_digits(&Sha256::digest(bytes))
}

/// Bytes in hexadecimal, in lower case.
pub(crate) fn hex_digits(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = fmt::Write::write_fmt(&mut hex, format_args!("{byte:02x}"));
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::{Digest, sha256_hex};

    #[test]
    fn it_is_the_start_of_what_sha256sum_says() {
        let whole = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_hex(b"abc"), whole);
        assert_eq!(Digest::of(b"abc").to_string(), whole[..32]);
    }
}
