//! The block format of LZ4: what a block comes to, and its bytes.

/// Bytes that are made room for without a look at what they are to be unpacked from.
const UNSEEN: usize = 4 << 20;

/// The bytes of a block, which must be so many; `None` where it is none, or of another length. What it claims to be is not believed: there
/// is room made for much only where the block comes to that.
pub(super) fn unpack(stored: &[u8], length: usize) -> Option<Vec<u8>> {
    if length > UNSEEN && length_of(stored)? != length {
        return None;
    }
    let content = lz4_flex::block::decompress(stored, length).ok()?;
    (content.len() == length).then_some(content)
}

/// How many bytes a block comes to, by the lengths in its sequences; `None` where it ends within one.
fn length_of(mut rest: &[u8]) -> Option<usize> {
    let mut length = 0_usize;
    loop {
        let token = take(&mut rest, 1)?.first().copied()?;
        let literals = run(token >> 4, &mut rest)?;
        take(&mut rest, literals)?;
        length = length.checked_add(literals)?;
        // The last sequence is literals alone.
        if rest.is_empty() {
            return Some(length);
        }
        take(&mut rest, 2)?;
        length = length.checked_add(run(token & 15, &mut rest)?)?.checked_add(4)?;
    }
}

/// A length that begins with four bits, and goes on in bytes where these are all set.
fn run(begun: u8, rest: &mut &[u8]) -> Option<usize> {
    let mut length = usize::from(begun);
    let mut goes_on = begun == 15;
    while goes_on {
        let more = take(rest, 1)?.first().copied()?;
        length = length.checked_add(usize::from(more))?;
        goes_on = more == u8::MAX;
    }
    Some(length)
}

fn take<'b>(rest: &mut &'b [u8], count: usize) -> Option<&'b [u8]> {
    let (taken, behind) = rest.split_at_checked(count)?;
    *rest = behind;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use super::{length_of, unpack};

    fn sample(length: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut byte = |place: usize| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            if place % 1000 < 400 { b'a' } else { (state >> 24) as u8 }
        };
        (0..length).map(&mut byte).collect()
    }

    #[test]
    fn a_block_tells_its_length_and_comes_back() {
        for length in [0, 1, 4, 14, 15, 16, 270, 271, 5000, 70_000, 5 << 20] {
            for raw in [sample(length), vec![0; length]] {
                let stored = lz4_flex::block::compress(&raw);
                assert_eq!(length_of(&stored), Some(length));
                assert_eq!(unpack(&stored, length).as_ref(), Some(&raw));
                assert_eq!(unpack(&stored, length + 1), None);
                assert_eq!(unpack(&stored, (1 << 30) + length), None);
            }
        }
    }

    #[test]
    fn a_block_that_is_cut_is_none() {
        let stored = lz4_flex::block::compress(&sample(3000));
        let cut = (0..stored.len()).filter(|to| length_of(stored.get(..*to).unwrap_or_default()) == Some(3000));
        assert_eq!(cut.count(), 0);
        assert_eq!(length_of(&[0xf0, 255, 255]), None);
    }
}
