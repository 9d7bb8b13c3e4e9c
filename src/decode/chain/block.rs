//! Compressed blocks without a magic: used only where a mapping names them, since nothing in the bytes tells.

use super::step::Trouble;

type Inflated = Result<Vec<u8>, Trouble>;

/// An LZ4 block behind its inflated size, four bytes in little-endian order: what `lz4.block` of Python writes, and
/// most libraries that have to find out how much room to make.
pub(super) fn lz4(bytes: &[u8], limit: usize) -> Inflated {
    /// The format's best ratio: a claim beyond it is a lie, and no memory is made for it.
    const BEST_RATIO: usize = 255;
    let Some((size, block)) = bytes.split_first_chunk::<4>() else {
        return Err(Trouble::failed("too short for the size that stands before the block"));
    };
    let size = u32::from_le_bytes(*size) as usize;
    if size > block.len().saturating_mul(BEST_RATIO) {
        return Err(Trouble::failed(format!("a block of {} bytes cannot hold {size}", block.len())));
    }
    if size > limit {
        return Err(Trouble::TooLarge);
    }
    let out = lz4_flex::block::decompress(block, size).map_err(Trouble::failed)?;
    exactly(out, size)
}

/// A snappy block; it begins with its inflated size.
pub(super) fn snappy(bytes: &[u8], limit: usize) -> Inflated {
    let size = snap::raw::decompress_len(bytes).map_err(Trouble::failed)?;
    if size > limit {
        return Err(Trouble::TooLarge);
    }
    snap::raw::Decoder::new().decompress_vec(bytes).map_err(Trouble::failed)
}

fn exactly(out: Vec<u8>, size: usize) -> Inflated {
    if out.len() == size {
        return Ok(out);
    }
    Err(Trouble::failed(format!("the block holds {} bytes and states {size}", out.len())))
}

/// An LZF block without a size before it, as PHP's `lzf_compress` and Redis itself write it.
pub(super) fn lzf(bytes: &[u8], limit: usize) -> Inflated {
    let (mut rest, mut out) = (bytes, Vec::new());
    while let Some((control, tail)) = rest.split_first() {
        let control = usize::from(*control);
        rest = if control < 32 { literals(control + 1, tail, &mut out) } else { repeat(control, tail, &mut out) }
            .ok_or_else(|| Trouble::failed("the block is damaged or cut short"))?;
        if out.len() > limit {
            return Err(Trouble::TooLarge);
        }
    }
    if out.is_empty() { Err(Trouble::failed("the block is empty")) } else { Ok(out) }
}

fn literals<'a>(length: usize, rest: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let (literal, rest) = rest.split_at_checked(length)?;
    out.extend_from_slice(literal);
    Some(rest)
}

/// Copies what stood some way back: three bits of length, thirteen of distance; a length of 7 goes on in a byte.
fn repeat<'a>(control: usize, mut rest: &'a [u8], out: &mut Vec<u8>) -> Option<&'a [u8]> {
    let mut length = (control >> 5) + 2;
    if control >> 5 == 7 {
        let (more, tail) = rest.split_first()?;
        length += usize::from(*more);
        rest = tail;
    }
    let (low, rest) = rest.split_first()?;
    let distance = ((control & 31) << 8 | usize::from(*low)) + 1;
    let start = out.len().checked_sub(distance)?;
    // It may reach into what it writes itself, so byte by byte.
    for at in start..start + length {
        out.push(*out.get(at)?);
    }
    Some(rest)
}
