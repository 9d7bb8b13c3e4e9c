//! Events on their way to the books, with an eye on the rejects: beyond what is allowed, the run stops.

use crate::config::Settings;
use crate::flow::{Level, Stop};
use crate::model::Event;
use tokio::sync::mpsc;

/// Passes events on, and looks whether there are too many rejects.
pub(super) async fn tap(mut events: mpsc::Receiver<Event>, out: mpsc::Sender<Event>, mut limit: RejectLimit) {
    while let Some(event) = events.recv().await {
        let beyond = limit.look(&event);
        if out.send(event).await.is_err() {
            return;
        }
        if beyond {
            let _ = out.send(Event::Notice(limit.reason.to_owned())).await;
        }
    }
}

/// Raises a drain once there are more rejects than allowed.
pub(super) struct RejectLimit {
    most: Option<i64>,
    seen: i64,
    stop: Stop,
    /// What to tell a person once it is raised.
    reason: &'static str,
}

impl RejectLimit {
    /// The limit that the settings name.
    pub(super) fn new(settings: &Settings, stop: Stop) -> Self {
        let (most, reason) = match (settings.errors.stop_at_first, settings.errors.max_rejects) {
            (true, _) => (Some(0), "there is a reject, and errors.stop_at_first is on: stopping"),
            (false, 0) => (None, ""),
            (false, most) => (
                Some(i64::try_from(most).unwrap_or(i64::MAX)),
                "there are more rejects than errors.max_rejects allows: stopping",
            ),
        };
        Self { most, seen: 0, stop, reason }
    }

    fn look(&mut self, event: &Event) -> bool {
        let (Some(most), Event::Settled { tally, pending, .. }) = (self.most, event) else { return false };
        self.seen += tally.rejects() - pending;
        let beyond = self.seen > most && !self.stop.requested();
        if beyond {
            self.stop.raise(Level::Drain);
        }
        beyond
    }
}
