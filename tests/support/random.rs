//! Random numbers that can be had again.

#![expect(clippy::print_stderr, reason = "the seed of what failed is to be known")]

use std::time::{SystemTime, UNIX_EPOCH};

/// The seed of this run: `REDIS2PG_TEST_SEED`, or one of the moment. It is printed, so that a failure can be repeated.
pub(crate) fn seed() -> u64 {
    let given = std::env::var("REDIS2PG_TEST_SEED").ok().map(|text| text.parse().expect("a number"));
    let clock = || SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_nanos() as u64;
    let seed = given.unwrap_or_else(clock);
    eprintln!("REDIS2PG_TEST_SEED={seed}");
    seed
}

/// SplitMix64.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Bytes of any kind: mostly few, sometimes none, text or not.
    pub(crate) fn bytes(&mut self, most: u64) -> Vec<u8> {
        let length = self.below(most + 1);
        match self.below(3) {
            0 => (0..length).map(|_| self.next() as u8).collect(),
            1 => self.next().to_string().into_bytes(),
            _ => (0..length).map(|_| b'a' + (self.next() % 26) as u8).collect(),
        }
    }
}
