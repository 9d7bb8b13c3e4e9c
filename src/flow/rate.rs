//! How fast the source may be read: keys and bytes a second, each optional.
//!
//! Uses governor. Claims larger than its burst are split, since governor refuses such a claim for ever.

use governor::{DefaultDirectRateLimiter, Quota};
use std::num::NonZeroU32;

/// The burst is this part of a second's allowance: short enough to be smooth, long enough for a timer.
const BURSTS_PER_SECOND: u32 = 10;

/// A limit on keys and bytes a second. Without either it never waits.
#[derive(Debug, Default)]
pub struct RateLimit {
    keys: Option<Lane>,
    bytes: Option<Lane>,
}

#[derive(Debug)]
struct Lane {
    limiter: DefaultDirectRateLimiter,
    burst: NonZeroU32,
    /// How many bytes (or keys) one of governor's cells stands for: governor counts in `u32`.
    grain: u64,
}

impl RateLimit {
    /// Limits to so many keys and bytes a second; `None` or 0 is no limit.
    pub fn new(keys_per_second: Option<u64>, bytes_per_second: Option<u64>) -> Self {
        Self { keys: keys_per_second.and_then(Lane::new), bytes: bytes_per_second.and_then(Lane::new) }
    }

    /// Waits until so many keys and bytes may pass. Cancel-safe, though what was waited for in part is spent.
    pub async fn take(&self, keys: u64, bytes: u64) {
        if let Some(lane) = &self.keys {
            lane.take(keys).await;
        }
        if let Some(lane) = &self.bytes {
            lane.take(bytes).await;
        }
    }

    /// How many keys may pass in one burst; `None` where keys are not limited. Reading more at once would be a long wait
    /// and then a jolt, where a limit is there to be gentle.
    pub fn keys_at_once(&self) -> Option<usize> {
        let lane = self.keys.as_ref()?;
        Some(usize::try_from(u64::from(lane.burst.get()) * lane.grain).unwrap_or(usize::MAX))
    }
}

impl Lane {
    fn new(per_second: u64) -> Option<Self> {
        let grain = if per_second > u64::from(u32::MAX) { 1024 } else { 1 };
        let cells = u32::try_from(per_second / grain).unwrap_or(u32::MAX);
        let rate = NonZeroU32::new(cells)?;
        let burst = NonZeroU32::new(cells / BURSTS_PER_SECOND).unwrap_or(NonZeroU32::MIN);
        let limiter = DefaultDirectRateLimiter::direct(Quota::per_second(rate).allow_burst(burst));
        Some(Self { limiter, burst, grain })
    }

    async fn take(&self, amount: u64) {
        let mut left = amount.div_ceil(self.grain);
        while let Some(claim) = NonZeroU32::new(u32::try_from(left).unwrap_or(u32::MAX).min(self.burst.get())) {
            // Fails only for a claim above the burst, which `min` rules out.
            let _ = self.limiter.until_n_ready(claim).await;
            left -= u64::from(claim.get());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::RateLimit;
    use std::time::{Duration, Instant};

    async fn seconds(limit: &RateLimit, keys: u64, bytes: u64) -> f64 {
        let start = Instant::now();
        tokio::time::timeout(Duration::from_secs(20), limit.take(keys, bytes)).await.unwrap();
        start.elapsed().as_secs_f64()
    }

    #[tokio::test]
    async fn a_claim_above_the_burst_is_split_and_takes_its_time() {
        let limit = RateLimit::new(Some(1000), None);
        let took = seconds(&limit, 400, u64::MAX).await;
        // 100 pass at once, the other 300 at 1,000 a second.
        assert!((0.25..2.0).contains(&took), "{took}");
    }

    #[tokio::test]
    async fn the_slower_of_the_two_decides() {
        let limit = RateLimit::new(Some(1_000_000), Some(10_000));
        let took = seconds(&limit, 10, 4_000).await;
        assert!((0.25..2.0).contains(&took), "{took}");
    }

    #[tokio::test]
    async fn no_limit_never_waits() {
        let limit = RateLimit::new(None, Some(0));
        assert_eq!(limit.keys_at_once(), None);
        assert!(seconds(&limit, u64::MAX, u64::MAX).await < 0.1);
    }

    #[tokio::test]
    async fn rates_beyond_four_gigabytes_and_below_the_burst_grain_work() {
        assert!(seconds(&RateLimit::new(None, Some(100 << 30)), 0, 1 << 30).await < 1.0);
        assert!(seconds(&RateLimit::new(Some(3), None), 1, 0).await < 0.2);
    }
}
