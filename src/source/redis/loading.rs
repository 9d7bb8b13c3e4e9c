//! Waiting for a server that reads its data from disk: bounded by the clock, since how long that takes goes by how much
//! it holds; told, and ended by a stop.

use super::bytes_of;
use super::errors::caused;
use super::server::field;
use super::settings::SourceSettings;
use super::target::Target;
use super::wire::send;
use super::{Hearer, notify};
use crate::flow::Backoff;
use crate::model::{Exit, Failure, Side};
use fred::clients::Client;
use fred::error::Error;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A wait that is shorter is not worth a word.
const QUIET: Duration = Duration::from_millis(500);
/// From one word to the next.
const EVERY: Duration = Duration::from_secs(60);
/// How long the server may take to say how far it is.
const ANSWER: Duration = Duration::from_secs(1);

/// When it was told last that a server is loading: several wait for it at once, and one word is enough.
#[derive(Default)]
pub(super) struct LastTold(Mutex<Option<Instant>>);

/// Who is told, and who may be asked how long it will take.
#[derive(Clone, Copy)]
pub(super) struct Teller<'a> {
    pub(super) events: Option<&'a Hearer>,
    /// The connection; `None` where there is none yet.
    pub(super) client: Option<&'a Client>,
    pub(super) told: &'a LastTold,
}

impl<'a> Teller<'a> {
    /// Tells nobody but the log.
    pub(super) fn silent(told: &'a LastTold) -> Self {
        Self { events: None, client: None, told }
    }
}

/// Whose loading is waited for, and how.
#[derive(Clone, Copy)]
pub(super) struct Waiting<'a> {
    pub(super) settings: &'a SourceSettings,
    pub(super) target: &'a Target,
    pub(super) teller: Teller<'a>,
}

/// How long one piece of work has waited.
pub(super) struct Loading {
    backoff: Backoff,
    since: Option<Instant>,
}

impl Loading {
    /// Waits for `loading_timeout` at most.
    pub(super) fn new(settings: &SourceSettings) -> Self {
        Self { backoff: Backoff::until(settings.loading_timeout), since: None }
    }

    /// Waits before the next attempt, or says why there is none.
    pub(super) async fn wait(&mut self, error: &Error, how: Waiting<'_>) -> Result<(), Failure> {
        let (place, now) = (how.target.place(), Instant::now());
        let waited = now.saturating_duration_since(*self.since.get_or_insert(now));
        let Some(pause) = self.backoff.pause(now) else { return Err(late(error, how.target, waited)) };
        if waited >= QUIET && how.teller.told.is_due(now) {
            how.tell(&place).await;
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => Ok(()),
            () = how.settings.stop.wait_drain() => {
                let message = format!("stopped while Redis at {place} was loading its data");
                Err(Failure::new(Exit::Stopped, Side::Redis, message, ""))
            }
        }
    }
}

fn late(error: &Error, target: &Target, waited: Duration) -> Failure {
    let (place, text) = (target.place(), target.scrub(error.details()));
    let late = Failure::redis(
        format!("Redis at {place} was still loading its data after {waited:.0?} (source.loading_timeout): {text}"),
        "Wait until it has loaded, then start again; or raise source.loading_timeout / --loading-timeout.",
    );
    caused(late, error, target)
}

impl Waiting<'_> {
    async fn tell(self, place: &str) {
        let most = self.settings.loading_timeout;
        let left = self.teller.left().await.map(|seconds| format!(", for about {seconds} s more by its own word"));
        let left = left.unwrap_or_default();
        let text = format!(
            "Redis at {place} is loading its data{left}; it is waited for up to {most:.0?} (source.loading_timeout)"
        );
        notify(self.teller.events, text);
    }
}

impl Teller<'_> {
    /// How many seconds the server thinks that it needs.
    async fn left(self) -> Option<u64> {
        let asked = send(self.client?, "INFO", vec!["persistence".into()]);
        let text = bytes_of(tokio::time::timeout(ANSWER, asked).await.ok()?.ok()?)?;
        field(&String::from_utf8_lossy(&text), "loading_eta_seconds")?.parse().ok()
    }
}

impl LastTold {
    fn is_due(&self, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last.is_none_or(|last| now.saturating_duration_since(last) >= EVERY);
        if due {
            *last = Some(now);
        }
        due
    }
}
