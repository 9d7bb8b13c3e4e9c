//! Which pages of a scan are settled: the watermark below which a resume need not look again.
//!
//! A page is settled once every batch that took something from it was committed. Batches hold parts of a page; a part
//! that is dropped without being settled leaves its page open for ever, so that no error path can claim too much.

use crate::model::Unmatched;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What is settled in one shard, by page number.
#[derive(Clone, Debug, Default)]
pub struct Watermark(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    epoch: u32,
    /// The `run_id` of the server that the epoch reads.
    server: Option<String>,
    position: Position,
    /// Settled pages above the watermark.
    settled: BTreeMap<u64, PageEnd>,
}

/// How far a shard is settled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The first page that is not settled.
    pub page: u64,
    /// The cursor that asks for that page; empty at the start.
    pub cursor: String,
    /// The keys that no mapping took, in the pages below.
    pub unmatched: Unmatched,
}

#[derive(Debug)]
struct PageEnd {
    cursor: String,
    unmatched: Unmatched,
}

impl Watermark {
    /// Starts at a position of an epoch.
    pub fn at(epoch: u32, position: Position) -> Self {
        Self(Arc::new(Mutex::new(State { epoch, position, ..State::default() })))
    }

    /// States which epoch is read and from which server. A new epoch begins at its first page: pages of earlier ones
    /// count no more.
    pub fn enter(&self, epoch: u32, server: Option<&str>) {
        let mut state = self.state();
        if state.epoch != epoch {
            *state = State { epoch, ..State::default() };
        }
        if state.server.as_deref() != server {
            state.server = server.map(str::to_owned);
        }
    }

    /// The epoch and how far it is settled.
    pub fn position(&self) -> (u32, Position) {
        let state = self.state();
        (state.epoch, state.position.clone())
    }

    /// The `run_id` of the server that the epoch reads, where it is known.
    pub fn server(&self) -> Option<String> {
        self.state().server.clone()
    }

    /// A page that was just read; `next_cursor` asks for the page after it.
    pub fn page(&self, (epoch, number): (u32, u64), next_cursor: String, unmatched: Unmatched) -> PagePart {
        PagePart {
            page: Arc::new(Page {
                epoch,
                number,
                end: Mutex::new(Some(PageEnd { cursor: next_cursor, unmatched })),
                left_open: AtomicBool::new(false),
                watermark: self.clone(),
            }),
            settled: false,
        }
    }

    fn settle(&self, epoch: u32, number: u64, end: PageEnd) {
        let mut state = self.state();
        if state.epoch != epoch || number < state.position.page {
            return;
        }
        state.settled.insert(number, end);
        while let Some(end) = {
            let next = state.position.page;
            state.settled.remove(&next)
        } {
            state.position.page += 1;
            state.position.cursor = end.cursor;
            state.position.unmatched.add(end.unmatched);
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        // Nothing that holds the lock can panic half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Debug)]
struct Page {
    epoch: u32,
    number: u64,
    end: Mutex<Option<PageEnd>>,
    left_open: AtomicBool,
    watermark: Watermark,
}

impl Drop for Page {
    fn drop(&mut self) {
        let end = self.end.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let (false, Some(end)) = (*self.left_open.get_mut(), end) {
            self.watermark.settle(self.epoch, self.number, end);
        }
    }
}

/// A part in a page: what one batch took from it.
#[derive(Debug)]
pub struct PagePart {
    page: Arc<Page>,
    settled: bool,
}

impl PagePart {
    /// Another part of the same page, for another batch.
    pub fn split(&self) -> Self {
        Self { page: self.page.clone(), settled: false }
    }

    /// The page's number within its epoch.
    pub fn number(&self) -> u64 {
        self.page.number
    }

    /// This part's sightings have their outcome, in a committed transaction.
    pub fn settle(mut self) {
        self.settled = true;
    }
}

impl Drop for PagePart {
    fn drop(&mut self) {
        if !self.settled {
            self.page.left_open.store(true, Ordering::Release);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PagePart, Position, Watermark};
    use crate::model::Unmatched;

    fn page(watermark: &Watermark, number: u64) -> PagePart {
        watermark.page((0, number), format!("c{}", number + 1), unmatched(2))
    }

    fn unmatched(keys: u64) -> Unmatched {
        let mut unmatched = Unmatched::default();
        unmatched.keys = keys;
        unmatched
    }

    #[test]
    fn the_watermark_stops_at_the_first_open_page() {
        let watermark = Watermark::default();
        let [first, second, third] = [0, 1, 2].map(|number| page(&watermark, number));
        third.settle();
        assert_eq!(watermark.position().1, Position::default());
        first.settle();
        assert_eq!(watermark.position().1, Position { page: 1, cursor: "c1".into(), unmatched: unmatched(2) });
        second.settle();
        assert_eq!(watermark.position().1, Position { page: 3, cursor: "c3".into(), unmatched: unmatched(6) });
    }

    #[test]
    fn a_part_dropped_by_a_failure_leaves_its_page_open() {
        let watermark = Watermark::default();
        let first = page(&watermark, 0);
        let other = first.split();
        first.settle();
        drop(other);
        assert_eq!(watermark.position().1.page, 0);
    }

    #[test]
    fn pages_of_an_earlier_scan_do_not_count() {
        let watermark = Watermark::default();
        let old = page(&watermark, 0);
        watermark.enter(1, None);
        old.settle();
        assert_eq!(watermark.position(), (1, Position::default()));
    }
}
