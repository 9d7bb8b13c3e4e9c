//! Which of several workers takes a key or a row: always the same one, so that two reads of one key stay in order.

/// The worker, below `workers`, that takes these bytes.
///
/// FNV-1a: the bytes are short, and whoever picks them can unbalance the workers but nothing else.
pub(super) fn worker(bytes: &[u8], workers: usize) -> usize {
    let hash = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3));
    // Its low bits alone are weak: the high ones are folded in.
    ((hash ^ (hash >> 32)) % workers.max(1) as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::worker;

    #[test]
    fn work_is_shared_evenly_and_always_the_same_way() {
        let mut shares = [0; 3];
        for number in 0..3_000_u32 {
            let key = format!("document:{number}");
            assert_eq!(worker(key.as_bytes(), 3), worker(key.as_bytes(), 3));
            shares[worker(key.as_bytes(), 3)] += 1;
        }
        assert!(shares.iter().all(|share| (900..1100).contains(share)), "{shares:?}");
    }
}
