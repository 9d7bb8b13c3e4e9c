//! The way from gathering to one writer: batches go right, and whether the writer has anything to do can be seen.

use crate::sink::Batch;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Notify, mpsc};

/// The gathering end.
pub(super) struct Outlet {
    batches: mpsc::Sender<Batch>,
    unfinished: Arc<AtomicUsize>,
}

/// The writer's end.
pub(super) struct Inlet {
    batches: mpsc::Receiver<Batch>,
    unfinished: Arc<AtomicUsize>,
    finished: Arc<Notify>,
    at_work: bool,
}

/// The writers are gone: somebody failed, and who sends to them ends with them.
pub(super) struct Closed;

/// The two ends; `finished` is told whenever the writer is done with a batch. One batch waits beside the one at work.
pub(super) fn outlet(finished: Arc<Notify>) -> (Outlet, Inlet) {
    let (sender, batches) = mpsc::channel(1);
    let unfinished = Arc::<AtomicUsize>::default();
    let inlet = Inlet { batches, unfinished: unfinished.clone(), finished, at_work: false };
    (Outlet { batches: sender, unfinished }, inlet)
}

impl Outlet {
    /// Hands a batch over, once there is room for it.
    pub(super) async fn send(&self, batch: Batch) -> Result<(), Closed> {
        self.unfinished.fetch_add(1, Ordering::AcqRel);
        self.batches.send(batch).await.map_err(|_| Closed)
    }

    /// Whether the writer has nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        self.unfinished.load(Ordering::Acquire) == 0
    }
}

impl Inlet {
    /// The next batch; the one before is finished. `None` when there are no more.
    pub(super) async fn next(&mut self) -> Option<Batch> {
        if std::mem::take(&mut self.at_work) {
            self.unfinished.fetch_sub(1, Ordering::AcqRel);
            self.finished.notify_one();
        }
        let batch = self.batches.recv().await;
        self.at_work = batch.is_some();
        batch
    }
}

#[cfg(test)]
mod tests {
    use super::outlet;
    use crate::sink::Batch;
    use futures::FutureExt;
    use std::sync::Arc;
    use tokio::sync::Notify;

    #[tokio::test]
    async fn a_writer_is_idle_once_it_asks_for_more_and_there_is_none() {
        let finished = Arc::<Notify>::default();
        let (outlet, mut inlet) = outlet(finished.clone());
        assert!(outlet.is_idle());
        assert!(outlet.send(Batch::default()).await.is_ok());
        assert!(!outlet.is_idle());
        assert!(inlet.next().await.is_some());
        assert!(outlet.send(Batch::default()).await.is_ok());
        assert!(inlet.next().await.is_some());
        assert!(!outlet.is_idle(), "the second one is at work");
        assert!(inlet.next().now_or_never().is_none());
        assert!(outlet.is_idle());
        finished.notified().await;
    }
}
