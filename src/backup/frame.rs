//! Frames: what a file is made of behind its first bytes. Each has a head that tells what follows, and checksums.

use flate2::Crc;

/// What every frame begins with.
pub(super) const MARKER: [u8; 4] = [0xf7, b'R', b'2', b'F'];
/// Bytes of a frame's head.
pub(super) const HEAD: usize = 36;
/// Bytes of a frame's content, before compression, at most. A writer cuts what is longer into parts, but for single items.
pub(super) const MAX_RAW: usize = 1 << 30;
/// Bytes of a header or an end mark at most: what they tell is held in memory.
pub(super) const MAX_ENDS: usize = 4 << 20;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Header,
    Block,
    End,
}

/// How a frame's content is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compression {
    None,
    /// The block format of LZ4.
    Lz4,
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) compression: Compression,
    /// The same in all frames of a file, and by chance in no other's.
    pub(super) file_id: [u8; 8],
    /// The frame's place in the file, from 0.
    pub(super) number: u32,
    /// Bytes of the content as it is stored.
    pub(super) stored: u32,
    /// Bytes of the content before compression.
    pub(super) raw: u32,
    /// CRC-32 of the content as it is stored.
    pub(super) crc: u32,
}

impl Head {
    pub(super) fn to_bytes(self) -> [u8; HEAD] {
        let kind = match self.kind {
            Kind::Header => b'H',
            Kind::Block => b'B',
            Kind::End => b'E',
        };
        let compression = match self.compression {
            Compression::None => 0,
            Compression::Lz4 => 1,
        };
        let mut bytes = Vec::with_capacity(HEAD);
        bytes.extend(MARKER);
        bytes.extend([kind, compression, 0, 0]);
        bytes.extend(self.file_id);
        [self.number, self.stored, self.raw, self.crc].iter().for_each(|number| bytes.extend(number.to_be_bytes()));
        bytes.extend(crc(&bytes).to_be_bytes());
        let mut head = [0; HEAD];
        head.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        head
    }

    /// The head that these bytes are; `None` where they are none, or damaged.
    pub(super) fn of(bytes: &[u8; HEAD]) -> Option<Self> {
        let (told, sum) = bytes.split_last_chunk::<4>()?;
        let rest = told.strip_prefix(&MARKER)?;
        if crc(told) != u32::from_be_bytes(*sum) {
            return None;
        }
        let (&[kind, compression, 0, 0], rest) = rest.split_first_chunk::<4>()? else { return None };
        let (file_id, rest) = rest.split_first_chunk::<8>()?;
        let [number, stored, raw, crc] = rest.as_chunks::<4>().0 else { return None };
        let kind = match kind {
            b'H' => Kind::Header,
            b'B' => Kind::Block,
            b'E' => Kind::End,
            _ => return None,
        };
        let compression = match compression {
            0 => Compression::None,
            1 => Compression::Lz4,
            _ => return None,
        };
        Some(Self {
            kind,
            compression,
            file_id: *file_id,
            number: u32::from_be_bytes(*number),
            stored: u32::from_be_bytes(*stored),
            raw: u32::from_be_bytes(*raw),
            crc: u32::from_be_bytes(*crc),
        })
    }
}

/// CRC-32 as zlib, gzip and PNG have it.
pub(super) fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::{Compression, HEAD, Head, Kind, crc};

    #[test]
    fn the_checksum_is_the_usual_one() {
        assert_eq!(crc(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn a_head_comes_back_and_no_bit_of_it_can_be_wrong() {
        let head = Head {
            kind: Kind::Block,
            compression: Compression::Lz4,
            file_id: *b"\0\x01234567",
            number: 7,
            stored: 1000,
            raw: 4000,
            crc: 0xdead_beef,
        };
        let bytes = head.to_bytes();
        assert_eq!(Head::of(&bytes), Some(head));
        for bit in 0..HEAD * 8 {
            let mut flipped = bytes;
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Head::of(&flipped), None, "bit {bit}");
        }
    }
}
