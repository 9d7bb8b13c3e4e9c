//! The stop signal: first finish what is in flight and checkpoint, then cut between batches.
//!
//! Owns the level; stages look at it between units of work, never in the middle of a COPY or a commit.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How far a stop has gone. Levels only rise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Go on.
    #[default]
    Running,
    /// Read nothing new; load and commit what is in flight, then write the checkpoint.
    Drain,
    /// Give up what is in flight at the next boundary between batches.
    Cut,
}

/// The stop signal, shared by cloning.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    level: watch::Sender<Level>,
}

impl Stop {
    /// A signal that nobody has given yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The level now.
    pub fn level(&self) -> Level {
        *self.level.borrow()
    }

    /// Whether a stop of any level was asked for.
    pub fn requested(&self) -> bool {
        self.level() >= Level::Drain
    }

    /// Whether to give up what is in flight.
    pub fn cut(&self) -> bool {
        self.level() >= Level::Cut
    }

    /// Raises the signal to `level`; a lower level changes nothing.
    pub fn raise(&self, level: Level) {
        self.level.send_if_modified(|now| {
            let higher = level > *now;
            *now = level.max(*now);
            higher
        });
    }

    /// Raises the signal by one level, as each further Ctrl-C does.
    pub fn raise_next(&self) {
        let next = if self.requested() { Level::Cut } else { Level::Drain };
        self.raise(next);
    }

    /// Completes when a stop of any level is asked for. Cancel-safe.
    pub async fn wait_drain(&self) {
        self.wait(Level::Drain).await;
    }

    /// Completes when what is in flight is to be given up. Cancel-safe.
    pub async fn wait_cut(&self) {
        self.wait(Level::Cut).await;
    }

    async fn wait(&self, level: Level) {
        // An error means that the sender is gone, which `self` rules out.
        let _ = self.level.subscribe().wait_for(|now| *now >= level).await;
    }

    /// Listens for SIGINT, SIGTERM and SIGHUP from now on: the first asks for [`Level::Drain`], the second for
    /// [`Level::Cut`]. A SIGHUP that was ignored when the process began, as under `nohup`, stays ignored.
    ///
    /// # Errors
    /// Where the system refuses a signal handler.
    pub fn listen_for_signals(&self) -> io::Result<JoinHandle<()>> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hangup = if ignores_hangup() { None } else { Some(signal(SignalKind::hangup())?) };
        let stop = self.clone();
        Ok(tokio::spawn(async move {
            loop {
                let received = tokio::select! {
                    received = interrupt.recv() => received,
                    received = terminate.recv() => received,
                    Some(received) = next(&mut hangup) => received,
                };
                if received.is_none() {
                    return;
                }
                stop.raise_next();
            }
        }))
    }
}

/// The next of a signal that is listened for; `None` at once for one that is not.
async fn next(signal: &mut Option<Signal>) -> Option<Option<()>> {
    match signal {
        Some(signal) => Some(signal.recv().await),
        None => None,
    }
}

/// Whether this process was started with SIGHUP ignored. Where the system does not say so, it was not.
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().find_map(|line| line.strip_prefix("SigIgn:")).is_some_and(has_hangup)
}

/// Whether SIGHUP, the first of the signals, is in a set as /proc writes it.
fn has_hangup(set: &str) -> bool {
    u64::from_str_radix(set.trim(), 16).is_ok_and(|set| set & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::{Level, Stop, has_hangup};
    use futures::FutureExt;
    use std::time::Duration;

    #[tokio::test]
    async fn levels_rise_one_by_one_and_never_fall() {
        let stop = Stop::new();
        assert!(!stop.requested());
        assert!(stop.wait_drain().now_or_never().is_none());
        stop.raise_next();
        assert_eq!(stop.level(), Level::Drain);
        stop.wait_drain().await;
        assert!(stop.wait_cut().now_or_never().is_none());
        stop.raise_next();
        assert!(stop.cut());
        stop.raise(Level::Drain);
        assert!(stop.cut());
    }

    #[tokio::test]
    async fn a_waiter_wakes_up() {
        let stop = Stop::new();
        let waiter = stop.clone();
        let task = tokio::spawn(async move { waiter.wait_drain().await });
        tokio::task::yield_now().await;
        stop.raise(Level::Drain);
        tokio::time::timeout(Duration::from_secs(5), task).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_signal_asks_for_a_drain() {
        let stop = Stop::new();
        let task = stop.listen_for_signals().unwrap();
        let pid = std::process::id().to_string();
        assert!(std::process::Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        tokio::time::timeout(Duration::from_secs(5), stop.wait_drain()).await.unwrap();
        assert_eq!(stop.level(), Level::Drain);
        task.abort();
    }

    #[test]
    fn an_ignored_hangup_is_known_by_its_bit() {
        assert!(has_hangup("\t0000000000000001") && has_hangup("0000000000001003"));
        assert!(!has_hangup("0000000000001000") && !has_hangup(""));
    }
}
