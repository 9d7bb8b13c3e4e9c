//! Attempts at one piece of work: how often, and when there is no point in another.

use super::errors::{caused, is_loading, is_refused_for_good, is_transient, refused};
use super::loading::{Loading, Waiting};
use crate::flow::Backoff;
use crate::model::Failure;
use fred::error::Error;
use fred::types::config::Server;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

/// Attempts at one piece of work: bounded in number, with growing pauses. A server that is loading its data is waited for
/// beside them.
pub(super) struct Retry<'a> {
    command: &'static str,
    backoff: Backoff,
    loading: Loading,
    waiting: Waiting<'a>,
    /// The client's news of attempts to connect again that failed.
    refusals: Option<&'a Refusals>,
}

/// The client's news of connections that were lost or could not be made again, and why.
pub(super) struct Refusals(Mutex<Receiver<(Error, Option<Server>)>>);

impl Refusals {
    pub(super) fn new(news: Receiver<(Error, Option<Server>)>) -> Self {
        Self(Mutex::new(news))
    }

    /// The last of the news that say something, of those that were not looked at yet: a refusal that no further attempt
    /// mends, or that the server is loading its data.
    fn last(&self) -> Option<Error> {
        let mut news = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut last: Option<Error> = None;
        loop {
            match news.try_recv() {
                Ok((error, _)) if is_refused_for_good(&error) => last = Some(error),
                Ok((error, _)) if is_loading(&error) && !last.as_ref().is_some_and(is_refused_for_good) => {
                    last = Some(error);
                }
                Ok(_) => {}
                Err(TryRecvError::Lagged(_)) => {}
                Err(TryRecvError::Empty | TryRecvError::Closed) => return last,
            }
        }
    }
}

impl<'a> Retry<'a> {
    /// As many further attempts at `command` as the settings allow, but for those that were `made` already.
    pub(super) fn new(command: &'static str, waiting: Waiting<'a>, made: u32) -> Self {
        let backoff = Backoff::at_most(waiting.settings.reconnect_attempts.saturating_sub(made));
        Self { command, backoff, loading: Loading::new(waiting.settings), waiting, refusals: None }
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
            return Err(refused(&error, self.command, self.waiting.target));
        }
        let news = self.refusals.and_then(Refusals::last);
        if let Some(refusal) = news.as_ref().filter(|news| is_refused_for_good(news)) {
            return Err(refused(refusal, self.command, self.waiting.target));
        }
        // A connection that is made anew is not there before the data is: the command itself is only told that it waited.
        if let Some(loading) = [Some(&error), news.as_ref()].into_iter().flatten().find(|error| is_loading(error)) {
            return self.loading.wait(loading, self.waiting).await;
        }
        let Some(pause) = self.backoff.pause(Instant::now()) else {
            let (place, command) = (self.waiting.target.place(), self.command);
            let text = self.waiting.target.scrub(error.details());
            let tries = self.backoff.pauses() + 1;
            let lost = Failure::redis(
                format!("Redis at {place} was lost and did not come back in {tries} attempts at {command}: {text}"),
                "Wait until Redis is back, then start again.",
            );
            return Err(caused(lost, &error, self.waiting.target));
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
    use crate::flow::Level;
    use crate::model::Event;
    use crate::source::redis::SourceSettings;
    use crate::source::redis::loading::{LastTold, Teller, Waiting};
    use crate::source::redis::target::Target;
    use fred::error::{Error, ErrorKind};
    use std::time::{Duration, Instant};
    use tokio::sync::mpsc;

    fn loading() -> Error {
        Error::new(ErrorKind::Unknown, "LOADING Redis is loading the dataset in memory")
    }

    #[tokio::test]
    async fn attempts_end() {
        let settings = SourceSettings { reconnect_attempts: 3, ..SourceSettings::new("redis://h") };
        let (target, told) = (Target::parse(&settings).unwrap(), LastTold::default());
        let teller = Teller::silent(&told);
        let mut retry = Retry::new("MGET", Waiting { settings: &settings, target: &target, teller }, 1);
        assert!(retry.after(Error::new(ErrorKind::IO, "reset")).await.is_ok());
        assert!(retry.after(Error::new(ErrorKind::Timeout, "late")).await.is_ok());
        let end = retry.after(Error::new(ErrorKind::IO, "reset")).await.unwrap_err();
        assert_eq!(end.exit.code(), 5);
        assert!(end.hint.contains("start again"));
    }

    #[tokio::test]
    async fn a_server_that_loads_is_waited_for_by_the_clock_and_not_by_attempts_and_it_is_told() {
        let loading_timeout = Duration::from_millis(1_200);
        let settings = SourceSettings { reconnect_attempts: 0, loading_timeout, ..SourceSettings::new("redis://h") };
        let (target, told) = (Target::parse(&settings).unwrap(), LastTold::default());
        let (events, mut heard) = mpsc::channel(64);
        let hearer = events.downgrade();
        let teller = Teller { events: Some(&hearer), ..Teller::silent(&told) };
        let mut retry = Retry::new("TYPE", Waiting { settings: &settings, target: &target, teller }, 0);
        let began = Instant::now();
        let end = loop {
            match retry.after(loading()).await {
                Ok(()) => {}
                Err(end) => break end,
            }
        };
        assert!(began.elapsed() >= loading_timeout, "{:?}", began.elapsed());
        assert!(end.exit.code() == 5 && end.message.contains("source.loading_timeout"), "{end}");
        let mut notices = Vec::new();
        while let Ok(Event::Notice(text)) = heard.try_recv() {
            notices.push(text);
        }
        assert_eq!(notices.len(), 1, "a word a minute is enough: {notices:?}");
        assert!(notices[0].contains("is loading its data") && notices[0].contains("up to 1s"), "{notices:?}");
    }

    #[tokio::test]
    async fn a_stop_ends_the_waiting_for_a_server_that_loads() {
        let settings = SourceSettings::new("redis://h");
        let (target, told) = (Target::parse(&settings).unwrap(), LastTold::default());
        let teller = Teller::silent(&told);
        let mut retry = Retry::new("TYPE", Waiting { settings: &settings, target: &target, teller }, 0);
        assert!(retry.after(loading()).await.is_ok());
        settings.stop.raise(Level::Drain);
        assert_eq!(retry.after(loading()).await.unwrap_err().exit.code(), 7);
    }
}
