//! Progress bars on a terminal: one for each mapping of the phases so far. Uses `books` and indicatif.

use super::books::{Books, rate};
use super::table::mebibytes;
use crate::model::MappingId;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::BTreeMap;

const KNOWN: &str = "{prefix:>16} {bar:24} {percent:>3}% {msg}, {eta} left";
const UNKNOWN: &str = "{prefix:>16} {spinner} {msg}";
const DONE: &str = "{prefix:>16} {msg}";

/// The bars of a run.
#[derive(Debug)]
pub(super) struct Bars {
    multi: MultiProgress,
    bars: BTreeMap<MappingId, ProgressBar>,
}

impl Bars {
    pub(super) fn new(multi: MultiProgress) -> Self {
        Self { multi, bars: BTreeMap::new() }
    }

    /// Bars for what comes next, below these.
    pub(super) fn below(&self) -> Self {
        Self::new(self.multi.clone())
    }

    /// Draws what the books say now: the bar of a mapping moves with the keys that its phase has looked at.
    pub(super) fn draw(&mut self, books: &Books) {
        let elapsed = books.elapsed();
        for phase in books.phases() {
            for mapping in &phase.mappings {
                let bar = self.bars.entry(*mapping).or_insert_with(|| {
                    let bar = match phase.expected {
                        Some(expected) => ProgressBar::new(expected).with_style(style(KNOWN)),
                        None => ProgressBar::no_length().with_style(style(UNKNOWN)),
                    };
                    self.multi.add(bar.with_prefix(books.name(*mapping)))
                });
                if bar.is_finished() {
                    continue;
                }
                let Some(tally) = books.tally(*mapping) else { continue };
                let done = u64::try_from(tally.settled()).unwrap_or(0);
                let work = books.work(*mapping);
                let time = if work.time.is_zero() { elapsed } else { work.time };
                let speed = rate(work.settled, time);
                let mut message = format!("{done} done, {speed:.0}/s, {} rejected", tally.rejects());
                if phase.ended.is_some() {
                    bar.set_style(style(DONE));
                    bar.finish_with_message(message);
                    continue;
                }
                message.push_str(&format!(", {} in flight", mebibytes(books.in_flight().0)));
                // More keys than expected may turn up while the cache is alive.
                bar.set_length(phase.expected.unwrap_or(0).max(phase.scanned));
                bar.set_position(phase.scanned);
                bar.set_message(message);
            }
        }
    }

    /// Writes a line above the bars.
    pub(super) fn line(&self, text: &str) -> std::io::Result<()> {
        self.multi.println(text)
    }

    /// Leaves the bars as they are.
    pub(super) fn finish(&self) {
        for bar in self.bars.values().filter(|bar| !bar.is_finished()) {
            bar.abandon();
        }
    }
}

/// A style; the plain bar where the template were wrong, which a test rules out.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(test)]
mod tests {
    use super::{Bars, DONE, KNOWN, UNKNOWN};
    use crate::model::{Event, MappingId, Tally};
    use crate::report::Books;
    use indicatif::{MultiProgress, ProgressDrawTarget, ProgressStyle, TermLike};
    use std::io;
    use std::sync::{Arc, Mutex, PoisonError};
    use std::time::{Duration, Instant};

    /// A terminal that keeps everything that was ever drawn.
    #[derive(Clone, Debug, Default)]
    struct Recorder(Arc<Mutex<String>>);

    impl Recorder {
        /// What was drawn since the last call.
        fn take(&self) -> String {
            std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
        }
    }

    impl TermLike for Recorder {
        fn width(&self) -> u16 {
            120
        }
        fn move_cursor_up(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_bar_shows_count_rejects_and_bytes_in_flight() {
        for template in [KNOWN, UNKNOWN, DONE] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
        let term = Recorder::default();
        let multi = MultiProgress::with_draw_target(ProgressDrawTarget::term_like(Box::new(term.clone())));
        let start = Instant::now();
        let mut books = Books::new(start);
        let names = ["documents".to_owned()];
        books.apply(&Event::RunStarted { run: "r1".into(), mappings: names.into(), resumed: false }, start);
        books.apply(&Event::PhaseStarted { phase: 1, mappings: vec![MappingId(0)], expected: Some(10) }, start);
        books.apply(&Event::Listed { matched: vec![(MappingId(0), 5)], scanned: 5 }, start);
        books.apply(&Event::InFlight { bytes: 3 << 20 }, start);
        let mut tally = Tally { inserted: 4, ..Tally::default() };
        tally.reject("json_syntax");
        let later = start + Duration::from_secs(1);
        books.apply(&Event::Settled { mapping: MappingId(0), tally, bytes: 1, pending: 0 }, later);
        let mut bars = Bars::new(multi);
        bars.draw(&books);
        let shown = term.take();
        for part in ["documents", "50%", "5 done, 5/s, 1 rejected", "3.0 MiB in flight"] {
            assert!(shown.contains(part), "{part} is missing in {shown}");
        }
        books.apply(&Event::PhaseEnded { phase: 1 }, later);
        bars.draw(&books);
        let shown = term.take();
        assert!(shown.contains("5 done") && !shown.contains("in flight"), "{shown}");
    }
}
