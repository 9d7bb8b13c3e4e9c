//! Counts events and shows progress on the way: bars, lines, JSON lines, or notices alone. All of it on stderr.

use super::bars::Bars;
use super::books::{Books, rate};
use super::files::peak_memory;
use super::log::{LogGate, NOTICES};
use super::table::{clock, mebibytes};
use crate::config::{Progress, scrub};
use crate::model::{Event, RedisKey};
use serde_json::json;
use std::fmt;
use std::io::{self, Write};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

/// Bars move smoothly, and cost nothing that a batch would notice.
const BAR_PERIOD: Duration = Duration::from_millis(200);
/// Lines are read afterwards, in a log.
const LINE_PERIOD: Duration = Duration::from_secs(5);

/// How progress is shown.
#[derive(Debug)]
pub struct Renderer {
    kind: Kind,
    /// Whether it shows a validation.
    validates: bool,
}

enum Kind {
    Bars(Bars),
    Lines(Box<dyn Write + Send>),
    Json(Box<dyn Write + Send>),
    /// No progress: what a person has to know is told all the same.
    Notices(Box<dyn Write + Send>),
}

impl fmt::Debug for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bars(_) => "Bars",
            Self::Lines(_) => "Lines",
            Self::Json(_) => "Json",
            Self::Notices(_) => "Notices",
        })
    }
}

impl Renderer {
    /// Progress on stderr. `gate` is the one that log lines go through, so that they and the bars do not overwrite
    /// each other.
    pub fn new(progress: Progress, terminal: bool, gate: &LogGate) -> Self {
        let kind = match (progress, terminal) {
            (Progress::Bars, _) | (Progress::Auto, true) => Kind::Bars(Bars::new(gate.bars())),
            (Progress::Lines, _) | (Progress::Auto, false) => Kind::Lines(Box::new(io::stderr())),
            (Progress::Json, _) => Kind::Json(Box::new(io::stderr())),
            (Progress::None, _) => Kind::Notices(Box::new(io::stderr())),
        };
        Self { kind, validates: false }
    }

    /// One in the same way, for the validation that comes after what this one shows.
    #[must_use]
    pub fn of_validation(&self) -> Self {
        let kind = match &self.kind {
            Kind::Bars(bars) => Kind::Bars(bars.below()),
            Kind::Lines(_) => Kind::Lines(Box::new(io::stderr())),
            Kind::Json(_) => Kind::Json(Box::new(io::stderr())),
            Kind::Notices(_) => Kind::Notices(Box::new(io::stderr())),
        };
        Self { kind, validates: true }
    }

    fn period(&self) -> Duration {
        if matches!(self.kind, Kind::Bars(_)) { BAR_PERIOD } else { LINE_PERIOD }
    }

    /// Shows an event that a person wants to see at once. A terminal that cannot be written to is no reason to stop.
    fn event(&mut self, event: &Event, books: &Books) {
        let text = match event {
            Event::Notice(text) => {
                let text = notice(text);
                tracing::info!(target: NOTICES, "{text}");
                text
            }
            Event::RunStarted { run, .. } if self.validates => format!("validating run {run}"),
            Event::RunStarted { run, resumed: false, .. } => format!("run {run}"),
            Event::RunStarted { run, resumed: true, .. } => format!("run {run} goes on"),
            Event::PhaseStarted { phase, mappings, .. } => {
                let names: Vec<String> = mappings.iter().map(|id| books.name(*id)).collect();
                let round = if self.validates { "round" } else { "phase" };
                format!("{round} {phase}: {}", names.join(", "))
            }
            _ => return,
        };
        let _ = match &mut self.kind {
            Kind::Bars(bars) => bars.line(&text),
            Kind::Lines(out) => writeln!(out, "{text}"),
            Kind::Json(out) => writeln!(out, "{}", json!({"event": "notice", "text": text})),
            Kind::Notices(out) if matches!(event, Event::Notice(_)) => writeln!(out, "{text}"),
            Kind::Notices(_) => Ok(()),
        };
    }

    fn progress(&mut self, books: &Books, event: &str) {
        // A run that is refused has made no progress; the message says why.
        if books.run().is_none() {
            return;
        }
        let stage = if self.validates { "validation" } else { "run" };
        let _ = match &mut self.kind {
            Kind::Bars(bars) => {
                bars.draw(books);
                Ok(())
            }
            Kind::Lines(out) => writeln!(out, "{}", line(books, if self.validates { "round" } else { "phase" })),
            Kind::Json(out) => writeln!(out, "{}", snapshot(books, (event, stage))),
            Kind::Notices(_) => Ok(()),
        };
    }

    fn finish(&mut self, books: &Books) {
        self.progress(books, "end");
        if let Kind::Bars(bars) = &self.kind {
            bars.finish();
        }
    }
}

/// A notice without secrets and control characters, its hint on a line of its own. A line break of anybody else's is none.
fn notice(text: &str) -> String {
    const HINT: &str = "\n  hint: ";
    let shown = |text: &str| RedisKey::new(scrub(text).into_owned()).to_string();
    match text.rsplit_once(HINT) {
        Some((said, hint)) => format!("{}{HINT}{}", shown(said), shown(hint)),
        None => shown(text),
    }
}

/// Counts and shows every event until the last sender is gone, and gives the books.
pub async fn drive(mut events: mpsc::Receiver<Event>, mut renderer: Renderer) -> Books {
    let mut books = Books::new(Instant::now());
    let mut tick = interval(renderer.period());
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
    // The first tick comes at once, when there is nothing to show yet.
    tick.tick().await;
    loop {
        // Both are cancel-safe.
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => {
                    books.apply(&event, Instant::now());
                    renderer.event(&event, &books);
                }
                None => break,
            },
            _ = tick.tick() => {
                books.pass(Instant::now());
                renderer.progress(&books, "progress");
            }
        }
    }
    renderer.finish(&books);
    books
}

/// `part`: what the parts of the work are called.
fn line(books: &Books, part: &str) -> String {
    let total = books.total();
    let done = u64::try_from(total.settled()).unwrap_or(0);
    let mut text = clock(books.elapsed());
    if let Some(phase) = books.phases().last() {
        let of = phase.expected.map(|expected| format!(" of {expected}")).unwrap_or_default();
        text.push_str(&format!(" {part} {}: {}{of} keys looked at;", phase.number, phase.scanned));
    }
    text.push_str(&format!(
        " {done} of {} done, {:.0}/s, {} rejected, {} skipped, {} in flight",
        total.matched,
        rate(done, books.elapsed()),
        total.rejects(),
        total.skips(),
        mebibytes(books.in_flight().0),
    ));
    text
}

fn snapshot(books: &Books, (event, stage): (&str, &str)) -> serde_json::Value {
    let phase = books.phases().last();
    let mappings: serde_json::Map<String, serde_json::Value> =
        books.mappings().map(|id| (books.name(id), json!(books.tally(id)))).collect();
    json!({
        "event": event,
        "stage": stage,
        "run": books.run(),
        "seconds": books.elapsed().as_secs_f64(),
        "phase": phase.map(|phase| phase.number),
        "scanned": phase.map(|phase| phase.scanned),
        "expected": phase.and_then(|phase| phase.expected),
        "tally": books.total(),
        "mappings": mappings,
        "in_flight_bytes": books.in_flight().0,
        "peak_memory_bytes": peak_memory(),
    })
}

#[cfg(test)]
mod tests {
    use super::{Kind, Renderer, drive, notice};
    use crate::model::{Event, Finding, MappingId, Side, Tally};
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex, PoisonError};
    use tokio::sync::mpsc;

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Shared {
        fn text(&self) -> String {
            String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
        }
    }

    async fn play(kind: Kind) -> super::Books {
        let (sender, receiver) = mpsc::channel(4);
        let tell = async move {
            let names = ["documents".to_owned()];
            let tally = Tally { inserted: 1, ..Tally::default() };
            for event in [
                Event::RunStarted { run: "r1".into(), mappings: names.into(), resumed: false },
                Event::PhaseStarted { phase: 1, mappings: vec![MappingId(0)], expected: None },
                Event::Listed { matched: vec![(MappingId(0), 1)], scanned: 1 },
                Event::Notice("lost redis://u:hunter2@h\u{1b}[31m".into()),
                Event::Settled { mapping: MappingId(0), tally, bytes: 1, pending: 0 },
            ] {
                assert!(sender.send(event).await.is_ok());
            }
        };
        tokio::join!(drive(receiver, Renderer { kind, validates: false }), tell).0
    }

    #[tokio::test]
    async fn lines_tell_of_phases_notices_and_the_end_without_secrets() {
        let out = Shared::default();
        let books = play(Kind::Lines(Box::new(out.clone()))).await;
        assert!(books.balance() && books.total().inserted == 1);
        let text = out.text();
        assert!(text.contains("run r1\nphase 1: documents\nlost redis://u:***@h\\x1b[31m\n"), "{text}");
        assert!(text.contains("1 of 1 done") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn a_hint_has_a_line_of_its_own_and_nothing_else_breaks_one() {
        let finding = Finding::warning(Side::Postgres, "limits", "few are left:\nrun r2", "Use fewer\u{7}.");
        let told = notice(&finding.to_string());
        assert_eq!(told, "warning: postgres limits: few are left:\\x0arun r2\n  hint: Use fewer\\x07.");
        assert_eq!(notice("hint: a\nb"), "hint: a\\x0ab");
    }

    #[tokio::test]
    async fn a_run_that_never_starts_shows_no_progress() {
        let out = Shared::default();
        let (sender, receiver) = mpsc::channel(4);
        assert!(sender.send(Event::Notice("a notice".into())).await.is_ok());
        drop(sender);
        drive(receiver, Renderer { kind: Kind::Lines(Box::new(out.clone())), validates: false }).await;
        assert_eq!(out.text(), "a notice\n");
    }

    #[tokio::test]
    async fn without_progress_notices_are_told_all_the_same() {
        let out = Shared::default();
        play(Kind::Notices(Box::new(out.clone()))).await;
        assert_eq!(out.text(), "lost redis://u:***@h\\x1b[31m\n");
    }

    #[tokio::test]
    async fn json_lines_are_json_each() {
        let out = Shared::default();
        play(Kind::Json(Box::new(out.clone()))).await;
        let lines: Vec<serde_json::Value> =
            out.text().lines().map(|line| serde_json::from_str(line).unwrap_or_default()).collect();
        assert!(lines.iter().all(serde_json::Value::is_object));
        assert_eq!(lines.last().map(|line| line["tally"]["inserted"].as_i64()), Some(Some(1)));
        assert_eq!(lines.last().map(|line| line["event"] == "end"), Some(true));
    }
}
