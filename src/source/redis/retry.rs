//! Attempts at one piece of work: how often, and when there is no point in another.

use super::errors::{is_refused_for_good, is_transient, refused};
use super::settings::Target;
use crate::flow::Backoff;
use crate::model::Failure;
use fred::error::Error;
use fred::types::config::Server;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

/// Attempts at one piece of work: bounded in number, with growing pauses.
pub(super) struct Retry<'a> {
    target: &'a Target,
    command: &'static str,
    backoff: Backoff,
    /// The client's news of attempts to connect again that failed.
    refusals: Option<&'a Refusals>,
}

/// The client's news of connections that were lost or could not be made again, and why.
pub(super) struct Refusals(Mutex<Receiver<(Error, Option<Server>)>>);

impl Refusals {
    pub(super) fn new(news: Receiver<(Error, Option<Server>)>) -> Self {
        Self(Mutex::new(news))
    }

    /// The last refusal that no further attempt mends, of those that were not looked at yet.
    fn last(&self) -> Option<Error> {
        let mut news = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut last = None;
        loop {
            match news.try_recv() {
                Ok((error, _)) => last = is_refused_for_good(&error).then_some(error).or(last),
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return last,
            }
        }
    }
}

impl<'a> Retry<'a> {
    /// At most `most` further attempts at `command`.
    pub(super) fn new(target: &'a Target, command: &'static str, most: u32) -> Self {
        Self { target, command, backoff: Backoff::at_most(most), refusals: None }
    }

    /// Gives up as soon as the server refuses to be connected to again: its password was changed, say.
    pub(super) fn heeding(self, refusals: &'a Refusals) -> Self {
        // What was refused before has been overcome.
        let _ = refusals.last();
        Self { refusals: Some(refusals), ..self }
    }

    /// Waits before the next attempt, or says why there is none.
    pub(super) async fn after(&mut self, error: Error) -> Result<(), Failure> {
        if !is_transient(&error) {
            return Err(refused(&error, self.command, self.target));
        }
        if let Some(refusal) = self.refusals.and_then(Refusals::last) {
            return Err(refused(&refusal, self.command, self.target));
        }
        let Some(pause) = self.backoff.pause(Instant::now()) else {
            let (place, command) = (self.target.place(), self.command);
            let text = self.target.scrub(error.details());
            let tries = self.backoff.pauses() + 1;
            return Err(Failure::redis(
                format!("Redis at {place} was lost and did not come back in {tries} attempts at {command}: {text}"),
                "What was loaded is safe. Once Redis is back, start again with --resume to go on.",
            ));
        };
        let attempt = self.backoff.pauses();
        tracing::debug!(command = self.command, attempt, "Redis is not ready; trying again");
        tokio::time::sleep(pause).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Retry;
    use crate::source::redis::SourceSettings;
    use crate::source::redis::settings::Target;
    use fred::error::{Error, ErrorKind};

    #[tokio::test]
    async fn attempts_end() {
        let target = Target::parse(&SourceSettings::new("redis://h")).unwrap();
        let mut retry = Retry::new(&target, "MGET", 2);
        assert!(retry.after(Error::new(ErrorKind::IO, "reset")).await.is_ok());
        assert!(retry.after(Error::new(ErrorKind::Timeout, "late")).await.is_ok());
        let end = retry.after(Error::new(ErrorKind::IO, "reset")).await.unwrap_err();
        assert_eq!(end.exit.code(), 5);
        assert!(end.hint.contains("--resume"));
    }
}
