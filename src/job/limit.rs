//! Events on their way to the books, with an eye on the rejects: beyond what is allowed, the run stops.
//!
//! What became of a reject is certain once its batch is settled: a key may be one that was counted before. Reading runs
//! ahead of that. So rejects are noted where they arise, and where those in flight may be too many, reading waits until
//! they are settled.

use crate::config::{MaxRejects, Settings};
use crate::flow::{Level, Stop};
use crate::model::Event;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, watch};

/// A share says little before so many keys have an outcome: the first reject of three keys is a third of them. It is
/// judged from here on, and at the end of each phase.
const ENOUGH: i64 = 1000;

/// Passes events on, and looks whether there are too many rejects. Gives why the run was stopped, where it was.
pub(super) async fn tap(
    mut events: mpsc::Receiver<Event>,
    out: mpsc::Sender<Event>,
    limit: Arc<RejectLimit>,
) -> Option<String> {
    while let Some(event) = events.recv().await {
        let beyond = limit.look(&event);
        if out.send(event).await.is_err() {
            break;
        }
        if let Some(text) = beyond {
            let _ = out.send(Event::Notice(text)).await;
        }
    }
    limit.counts().crossed.clone()
}

/// Raises a drain once there are more rejects than allowed.
pub(super) struct RejectLimit {
    most: MaxRejects,
    /// Whether a single one is too many.
    first: bool,
    counts: Mutex<Counted>,
    /// Whether reading waits.
    held: watch::Sender<bool>,
    stop: Stop,
}

#[derive(Debug, Default)]
struct Counted {
    /// Rejects that this attempt has found, and sightings that have their outcome by it.
    rejects: i64,
    settled: i64,
    /// Rejects that were noted and are not settled.
    in_flight: i64,
    /// Why it has stopped the run, if it has.
    crossed: Option<String>,
    /// Whether nothing is held back any more.
    given_up: bool,
}

impl RejectLimit {
    /// The limit that the settings name.
    pub(super) fn new(settings: &Settings, stop: Stop) -> Self {
        let errors = &settings.errors;
        Self {
            most: errors.max_rejects,
            first: !errors.continue_on_error,
            counts: Mutex::default(),
            held: watch::Sender::new(false),
            stop,
        }
    }

    /// None: nothing is loaded.
    pub(super) fn none(stop: Stop) -> Self {
        let (most, counts) = (MaxRejects::Unlimited, Mutex::default());
        Self { most, first: false, counts, held: watch::Sender::new(false), stop }
    }

    /// Notes rejects that are in flight.
    pub(super) fn note(&self, rejects: i64) {
        let mut counts = self.counts();
        counts.in_flight += rejects;
        self.hold(&counts);
    }

    /// Completes when reading may go on. Cancel-safe.
    pub(super) async fn wait(&self) {
        // The sender is its own.
        let _ = self.held.subscribe().wait_for(|held| !held).await;
    }

    /// Holds nothing back any more: the run fails.
    pub(super) fn give_up(&self) {
        let mut counts = self.counts();
        counts.given_up = true;
        self.hold(&counts);
    }

    /// Lets reading wait where the rejects in flight, if all of them count, are too many. A share is judged by what is
    /// settled alone: nobody knows yet of how many keys those in flight are.
    fn hold(&self, counts: &Counted) {
        let rejects = counts.rejects + counts.in_flight;
        let doubtful = counts.in_flight > 0
            && match self.most {
                _ if self.first => rejects > 0,
                MaxRejects::Count(most) => i128::from(rejects) > i128::from(most),
                MaxRejects::Unlimited | MaxRejects::Share(_) => false,
            };
        self.held.send_replace(doubtful && !counts.given_up);
    }

    fn counts(&self) -> MutexGuard<'_, Counted> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to tell a person where the run stops by this event.
    fn look(&self, event: &Event) -> Option<String> {
        let mut counts = self.counts();
        let enough = match event {
            Event::Settled { tally, pending, .. } => {
                counts.rejects += tally.rejects() - pending;
                counts.settled += tally.settled();
                counts.in_flight -= tally.noted;
                counts.settled >= ENOUGH
            }
            Event::PhaseEnded { .. } => counts.settled > 0,
            _ => return None,
        };
        let why = self.beyond(&counts, enough).filter(|_| !self.stop.requested());
        if why.is_some() {
            counts.crossed.clone_from(&why);
            self.stop.raise(Level::Drain);
        }
        self.hold(&counts);
        let why = why?;
        Some(format!("{why}: stopping"))
    }

    /// Why there are too many; `enough`: a share can be judged.
    fn beyond(&self, counts: &Counted, enough: bool) -> Option<String> {
        let Counted { rejects, settled, .. } = counts;
        let (rejects, settled) = (*rejects, *settled);
        if self.first && rejects > 0 {
            return Some("there is a reject, and errors.continue_on_error is off".to_owned());
        }
        let beyond = match self.most {
            MaxRejects::Unlimited => false,
            MaxRejects::Count(most) => i128::from(rejects) > i128::from(most),
            MaxRejects::Share(share) => {
                enough && i128::from(rejects) * 10_000 > i128::from(share) * i128::from(settled)
            }
        };
        beyond.then(|| {
            let of =
                if matches!(self.most, MaxRejects::Share(_)) { format!(" of {settled} keys") } else { String::new() };
            format!("there are {rejects} rejects{of}, more than errors.max_rejects ({}) allows", self.most)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::RejectLimit;
    use crate::config::MaxRejects;
    use crate::flow::Stop;
    use crate::model::{Event, MappingId, Tally};
    use std::sync::Mutex;
    use tokio::sync::watch;

    fn limit(most: MaxRejects) -> RejectLimit {
        RejectLimit { most, first: false, counts: Mutex::default(), held: watch::Sender::new(false), stop: Stop::new() }
    }

    #[test]
    fn reading_waits_while_rejects_in_flight_may_be_too_many() {
        let limit = limit(MaxRejects::Count(2));
        let held = |limit: &RejectLimit| *limit.held.borrow();
        limit.note(2);
        assert!(!held(&limit), "no more than allowed");
        limit.note(1);
        assert!(held(&limit));
        // One of the three was counted before: it is no further reject.
        let mut tally = Tally { noted: 3, ..Tally::default() };
        tally.reject("json_syntax");
        tally.reject("json_syntax");
        let settled = |tally| Event::Settled { mapping: MappingId(0), tally, bytes: 0, pending: 0 };
        assert!(limit.look(&settled(tally)).is_none());
        assert!(!held(&limit), "each counts once");
        limit.note(1);
        assert!(held(&limit));
        limit.give_up();
        assert!(!held(&limit), "nobody waits for what is never settled");
    }

    /// Whether a run stops by so many keys, of which so many are rejected, `pending` of them to be tried again.
    fn stops(most: MaxRejects, (settled, rejects, pending): (i64, i64, i64), ended: bool) -> bool {
        let limit = limit(most);
        let mut tally = Tally { inserted: settled - rejects, ..Tally::default() };
        (0..rejects).for_each(|_| tally.reject("json_syntax"));
        let settled = Event::Settled { mapping: MappingId(0), tally, bytes: 0, pending };
        let by_keys = limit.look(&settled).is_some();
        by_keys || ended && limit.look(&Event::PhaseEnded { phase: 1 }).is_some()
    }

    #[test]
    fn a_share_is_judged_once_there_are_keys_enough_or_the_phase_is_over() {
        let tenth = MaxRejects::Share(1000);
        assert!(!stops(tenth, (3, 1, 0), false));
        assert!(stops(tenth, (3, 1, 0), true));
        assert!(!stops(tenth, (999, 900, 0), false));
        assert!(!stops(tenth, (1000, 100, 0), true), "no more than allowed");
        assert!(stops(tenth, (1000, 101, 0), false));
        assert!(!stops(tenth, (1000, 101, 1), false), "what is tried again is no reject yet");
    }

    #[test]
    fn a_number_is_judged_at_once() {
        assert!(!stops(MaxRejects::Count(2), (3, 2, 0), true));
        assert!(stops(MaxRejects::Count(2), (3, 3, 0), false));
        assert!(!stops(MaxRejects::Unlimited, (2000, 2000, 0), true));
    }
}
