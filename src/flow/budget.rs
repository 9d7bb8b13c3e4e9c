//! The memory bound of the pipeline: a budget in bytes, claimed before reading and given back after COMMIT.
//!
//! Owns the count of what is in flight. Uses tokio's semaphore (fair: first come, first served).

use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Semaphore, watch};

/// The grain of the budget in bytes. Semaphores count in `u32`, so that bytes themselves would end at 4 GiB.
const UNIT: u64 = 1024;

/// A budget in bytes, shared by cloning.
#[derive(Clone, Debug)]
pub struct ByteBudget {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    free: Semaphore,
    total: u32,
    books: Mutex<Books>,
    waiting: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Books {
    /// Units held by permits.
    held: u64,
    /// Units held beyond the total, by permits that grew. Paid back before anybody gets new ones.
    debt: u64,
}

/// Bytes claimed from a budget; dropping it gives them back.
#[derive(Debug)]
pub struct Permit {
    inner: Arc<Inner>,
    units: u64,
}

impl ByteBudget {
    /// A budget of `bytes` (rounded up to KiB, at least one; at most 2 TiB).
    pub fn new(bytes: u64) -> Self {
        let most = u64::from(u32::MAX >> 1).min(Semaphore::MAX_PERMITS as u64);
        let total = u32::try_from(units(bytes).min(most)).unwrap_or(u32::MAX >> 1);
        let inner = Inner {
            free: Semaphore::new(total as usize),
            total,
            books: Mutex::default(),
            waiting: watch::Sender::new(0),
        };
        Self { inner: Arc::new(inner) }
    }

    /// The whole budget in bytes.
    pub fn total(&self) -> u64 {
        u64::from(self.inner.total) * UNIT
    }

    /// Bytes claimed and not given back. Above [`Self::total`] where permits grew.
    pub fn in_flight(&self) -> u64 {
        self.inner.books().held * UNIT
    }

    /// Waits for `bytes`, in turn. A claim above the total is clamped to it: the one oversized item passes alone.
    /// Cancel-safe: a dropped claim takes nothing, but loses its turn.
    pub async fn claim(&self, bytes: u64) -> Permit {
        let wanted = u32::try_from(units(bytes)).unwrap_or(u32::MAX).min(self.inner.total);
        let taken = match self.inner.free.try_acquire_many(wanted) {
            Ok(taken) => Ok(taken),
            Err(_) => {
                let _waiting = Waiting::new(&self.inner.waiting);
                self.inner.free.acquire_many(wanted).await
            }
        };
        // The semaphore is never closed; were it, an unbounded claim would still be the lesser evil than a panic.
        if let Ok(taken) = taken {
            taken.forget();
        }
        self.inner.books().held += u64::from(wanted);
        Permit { inner: self.inner.clone(), units: u64::from(wanted) }
    }

    /// Completes as soon as somebody waits for bytes; at once while somebody does. For the `select!` of a stage that
    /// holds open batches: select on it only while there is something to flush. Cancel-safe.
    pub async fn pressured(&self) {
        let mut waiting = self.inner.waiting.subscribe();
        // An error means that the budget is gone, which `self` rules out.
        let _ = waiting.wait_for(|count| *count > 0).await;
    }
}

impl Permit {
    /// The bytes that it holds.
    pub fn bytes(&self) -> u64 {
        self.units * UNIT
    }

    /// Gives back all but `bytes`. Does nothing where it holds less.
    pub fn shrink(&mut self, bytes: u64) {
        let keep = units(bytes).min(self.units);
        self.inner.release(self.units - keep);
        self.units = keep;
    }

    /// Grows to `bytes` without waiting, for memory that is already held: what is free is taken, the rest is owed and
    /// paid back before a waiting claim gets anything. Does nothing where it holds more.
    pub fn grow_unchecked(&mut self, bytes: u64) {
        let more = units(bytes).saturating_sub(self.units);
        if more == 0 {
            return;
        }
        let mut books = self.inner.books();
        let taken = self.inner.free.forget_permits(usize::try_from(more).unwrap_or(usize::MAX)) as u64;
        books.debt += more - taken;
        books.held += more;
        drop(books);
        self.units += more;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.inner.release(self.units);
    }
}

impl Inner {
    fn books(&self) -> std::sync::MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self, units: u64) {
        if units == 0 {
            return;
        }
        let mut books = self.books();
        let paid = units.min(books.debt);
        books.debt -= paid;
        books.held = books.held.saturating_sub(units);
        self.free.add_permits(usize::try_from(units - paid).unwrap_or(0));
    }
}

/// Counts a waiting claim, also where its future is dropped.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn new(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count = count.saturating_sub(1));
    }
}

fn units(bytes: u64) -> u64 {
    bytes.div_ceil(UNIT).max(1)
}

#[cfg(test)]
mod tests {
    use super::{ByteBudget, UNIT};
    use futures::FutureExt;
    use std::time::Duration;

    #[tokio::test]
    async fn an_oversized_claim_passes_alone() {
        let budget = ByteBudget::new(10 * UNIT);
        let small = budget.claim(1).await;
        assert!(budget.claim(100 * UNIT).now_or_never().is_none(), "it must wait for the other one");
        drop(small);
        let big = budget.claim(100 * UNIT).await;
        assert_eq!(big.bytes(), 10 * UNIT);
        assert!(budget.claim(1).now_or_never().is_none());
        drop(big);
        assert_eq!(budget.in_flight(), 0);
    }

    #[tokio::test]
    async fn pressure_is_felt_while_somebody_waits_and_no_longer() {
        let budget = ByteBudget::new(4 * UNIT);
        let held = budget.claim(4 * UNIT).await;
        assert!(budget.pressured().now_or_never().is_none());
        let (waiter, sensed) = (budget.clone(), budget.clone());
        let claim = tokio::spawn(async move { waiter.claim(UNIT).await });
        tokio::time::timeout(Duration::from_secs(5), sensed.pressured()).await.unwrap();
        drop(held);
        let permit = claim.await.unwrap();
        assert!(budget.pressured().now_or_never().is_none());
        assert_eq!(permit.bytes(), UNIT);
    }

    #[tokio::test]
    async fn a_dropped_claim_leaves_no_pressure_and_no_bytes() {
        let budget = ByteBudget::new(UNIT);
        let held = budget.claim(UNIT).await;
        assert!(budget.claim(UNIT).now_or_never().is_none());
        assert!(budget.pressured().now_or_never().is_none());
        drop(held);
        assert!(budget.claim(UNIT).now_or_never().is_some());
    }

    #[tokio::test]
    async fn what_grew_beyond_the_total_is_paid_back_first() {
        let budget = ByteBudget::new(4 * UNIT);
        let mut grown = budget.claim(2 * UNIT).await;
        let other = budget.claim(UNIT).await;
        grown.grow_unchecked(7 * UNIT);
        assert_eq!(budget.in_flight(), 8 * UNIT);
        drop(other);
        assert!(budget.claim(UNIT).now_or_never().is_none(), "7 of 4 are still held");
        grown.shrink(3 * UNIT);
        assert!(budget.claim(UNIT).now_or_never().is_some());
        drop(grown);
        assert_eq!(budget.in_flight(), 0);
        assert!(budget.claim(4 * UNIT).now_or_never().is_some(), "all of it is free again");
    }
}
