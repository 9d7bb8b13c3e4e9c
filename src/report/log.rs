//! The log, and the gate that keeps its lines from being overwritten by bars. Uses tracing-subscriber and indicatif.

use crate::config::{Log, LogFormat};
use crate::model::{Failure, SENT_NOTICES, Side};
use indicatif::MultiProgress;
use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Mutex;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// Where notices go in the log, so that a log of its own has them, and a log on stderr not once more beside the notice.
pub(super) const NOTICES: &str = "redis2pg::notice";

/// stderr, shared by log lines and bars: bars step aside while a line is written.
#[derive(Clone, Debug, Default)]
pub struct LogGate(MultiProgress);

impl LogGate {
    /// The bars that step aside.
    pub(super) fn bars(&self) -> MultiProgress {
        self.0.clone()
    }
}

impl<'a> MakeWriter<'a> for LogGate {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for LogGate {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().lock().write_all(line)).map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// Starts the log. `shows`: whether the command shows notices at once, by a renderer. Other crates log warnings at most: their lower levels can quote data and URLs. fred warns of each
/// command that is still queued when we leave; what matters of it reaches us as an error.
///
/// # Errors
/// Where the log file cannot be opened, or a log was started before.
pub fn init_log(log: &Log, gate: &LogGate, shows: bool) -> Result<(), Failure> {
    let (writer, terminal) = match &log.file {
        Some(path) => {
            // Keys and reasons are data: the file is for its owner alone.
            let file = OpenOptions::new().create(true).append(true).mode(0o600).open(path).map_err(|error| {
                let message = format!("log.file {} cannot be opened", path.display());
                Failure::usage(Side::Settings, message, "check the path and its rights").because(error)
            })?;
            (BoxMakeWriter::new(Mutex::new(file)), false)
        }
        None => (BoxMakeWriter::new(gate.clone()), io::stderr().is_terminal()),
    };
    let others = if log.level.as_str() == "error" { "error" } else { "warn" };
    let (level, on) = (log.level.as_str(), |on: bool| if on { log.level.as_str() } else { "off" });
    let (notices, sent) = (on(log.file.is_some()), on(!shows));
    let own = format!("redis2pg={level},{NOTICES}={notices},{SENT_NOTICES}={sent}");
    let filter = format!("{others},fred=error,sqlx::postgres::notice=error,{own}");
    let json = match log.format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let builder =
        tracing_subscriber::fmt().with_env_filter(EnvFilter::new(filter)).with_writer(writer).with_ansi(terminal);
    let started = if json { builder.json().try_init() } else { builder.try_init() };
    started.map_err(|error| Failure::internal("the log was started twice").because(error))
}
