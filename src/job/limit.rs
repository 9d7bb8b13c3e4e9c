//! Events on their way to the books, with an eye on the rejects: beyond what is allowed, the run stops.

use crate::config::{MaxRejects, Settings};
use crate::flow::{Level, Stop};
use crate::model::Event;
use tokio::sync::mpsc;

/// A share says little before so many keys have an outcome: the first reject of three keys is a third of them. It is
/// judged from here on, and at the end of each phase.
const ENOUGH: i64 = 1000;

/// Passes events on, and looks whether there are too many rejects. Gives whether there were.
pub(super) async fn tap(mut events: mpsc::Receiver<Event>, out: mpsc::Sender<Event>, mut limit: RejectLimit) -> bool {
    while let Some(event) = events.recv().await {
        let beyond = limit.look(&event);
        if out.send(event).await.is_err() {
            break;
        }
        if let Some(text) = beyond {
            let _ = out.send(Event::Notice(text)).await;
        }
    }
    limit.crossed
}

/// Raises a drain once there are more rejects than allowed.
pub(super) struct RejectLimit {
    most: MaxRejects,
    /// Whether a single one is too many.
    first: bool,
    /// Rejects that this attempt has found, and sightings that have their outcome by it.
    rejects: i64,
    settled: i64,
    /// Whether it has stopped the run.
    crossed: bool,
    stop: Stop,
}

impl RejectLimit {
    /// The limit that the settings name.
    pub(super) fn new(settings: &Settings, stop: Stop) -> Self {
        let errors = &settings.errors;
        Self {
            most: errors.max_rejects,
            first: !errors.continue_on_error,
            rejects: 0,
            settled: 0,
            crossed: false,
            stop,
        }
    }

    /// What to tell a person where the run stops by this event.
    fn look(&mut self, event: &Event) -> Option<String> {
        let enough = match event {
            Event::Settled { tally, pending, .. } => {
                self.rejects += tally.rejects() - pending;
                self.settled += tally.settled();
                self.settled >= ENOUGH
            }
            Event::PhaseEnded { .. } => self.settled > 0,
            _ => return None,
        };
        let why = self.beyond(enough).filter(|_| !self.stop.requested())?;
        self.crossed = true;
        self.stop.raise(Level::Drain);
        Some(format!("{why}: stopping"))
    }

    /// Why there are too many; `enough`: a share can be judged.
    fn beyond(&self, enough: bool) -> Option<String> {
        let Self { rejects, settled, .. } = *self;
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

    /// Whether a run stops by so many keys, of which so many are rejected, `pending` of them to be tried again.
    fn stops(most: MaxRejects, (settled, rejects, pending): (i64, i64, i64), ended: bool) -> bool {
        let mut limit = RejectLimit { most, first: false, rejects: 0, settled: 0, crossed: false, stop: Stop::new() };
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
