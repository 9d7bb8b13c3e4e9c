//! What every backup begins with, whatever the version of its format: so a newer one is told from one that is damaged.

use super::FORMAT;
use super::damage::Fault;
use super::frame::crc;

/// The first bytes of every backup.
const MAGIC: &[u8; 16] = b"redis2pg-backup\n";
/// Bytes before the first frame: the magic, the version of the format, and a checksum of both.
pub(super) const PREAMBLE: usize = MAGIC.len() + 8;

/// The preamble of a file of this version of the format.
pub(super) fn preamble(format: u32) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(format.to_be_bytes());
    bytes.extend(crc(&bytes).to_be_bytes());
    bytes
}

/// What is wrong with a file that begins with these bytes, [`PREAMBLE`] of them where it has as many. Its version is believed
/// only where the checksum is right.
pub(super) fn check(bytes: &[u8]) -> Result<(), Fault> {
    let magic = bytes.get(..MAGIC.len()).unwrap_or(bytes);
    if magic.is_empty() {
        return Err(Fault::Empty);
    }
    if !MAGIC.starts_with(magic) {
        return Err(Fault::NotABackup);
    }
    let Ok([told @ .., _, _, _, _]) = <&[u8; PREAMBLE]>::try_from(bytes) else {
        return Err(Fault::Cut(bytes.len() as u64));
    };
    let number = |at: usize| bytes.get(at..).and_then(<[u8]>::first_chunk).map(|four| u32::from_be_bytes(*four));
    if number(told.len()) != Some(crc(told)) {
        return Err(Fault::Checksum);
    }
    match number(MAGIC.len()) {
        Some(FORMAT) => Ok(()),
        other => Err(Fault::UnknownFormat(other.unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::{PREAMBLE, check, preamble};
    use crate::backup::{FORMAT, Fault};

    #[test]
    fn no_bit_that_is_wrong_makes_another_version_of_it() {
        let own = preamble(FORMAT);
        assert_eq!((own.len(), check(&own)), (PREAMBLE, Ok(())));
        assert_eq!(check(&preamble(2)), Err(Fault::UnknownFormat(2)));
        for bit in 0..PREAMBLE * 8 {
            let mut flipped = own.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let expected = if bit < 16 * 8 { Fault::NotABackup } else { Fault::Checksum };
            assert_eq!(check(&flipped), Err(expected), "bit {bit}");
        }
        for end in 1..PREAMBLE {
            assert_eq!(check(&own[..end]), Err(Fault::Cut(end as u64)));
        }
    }
}
