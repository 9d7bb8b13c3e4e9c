//! Attempts at one piece of work on a cluster: between them it is asked who serves what now.

use super::Cluster;
use crate::flow::Backoff;
use crate::model::{Exit, Failure};
use crate::source::redis::errors;
use crate::source::redis::loading::Loading;
use std::time::Instant;

/// Attempts that were made, and how many there may be.
pub(in crate::source::redis) struct Attempts {
    backoff: Backoff,
    loading: Loading,
}

impl Attempts {
    pub(in crate::source::redis) fn new(cluster: &Cluster) -> Self {
        let settings = &cluster.settings;
        Self { backoff: Backoff::at_most(settings.reconnect_attempts), loading: Loading::new(settings) }
    }

    /// How many failed, those not counted at which a node was loading its data.
    pub(super) fn failed(&self) -> u32 {
        self.backoff.pauses()
    }

    /// Waits before the next attempt and asks the cluster anew, or says why there is none.
    pub(in crate::source::redis) async fn after(&mut self, cluster: &Cluster, failure: Failure) -> Result<(), Failure> {
        if !passes(&failure) {
            return Err(failure);
        }
        if let Some(error) = errors::cause(&failure).filter(|error| errors::is_loading(error)) {
            self.loading.wait(error, cluster.waiting()).await?;
            // Another node may have taken its place.
            let _ = cluster.refresh().await;
            return Ok(());
        }
        let Some(pause) = self.backoff.pause(Instant::now()) else { return Err(self.given_up(cluster, failure)) };
        tracing::debug!(attempt = self.failed(), "{failure}; asking the cluster again");
        // The first redirection is followed at once: the slot has moved, and that is all.
        if !(is_redirected(&failure) && self.failed() == 1) {
            tokio::time::sleep(pause).await;
        }
        // Where nobody answers, the next attempt says so.
        let _ = cluster.refresh().await;
        Ok(())
    }

    fn given_up(&self, cluster: &Cluster, failure: Failure) -> Failure {
        let tries = self.failed() + 1;
        let why = match errors::cause(&failure).filter(|_| is_redirected(&failure)) {
            Some(error) => {
                format!("its nodes keep sending the question on: {}", cluster.target.scrub(error.details()))
            }
            None => failure.message,
        };
        let message = format!("the Redis Cluster at {} failed in {tries} attempts: {why}", cluster.target.place());
        let hint = "Make the cluster whole (`redis-cli --cluster check`), then start again.";
        Failure::redis(message, hint)
    }
}

/// Whether the key is another node's.
pub(super) fn is_redirected(failure: &Failure) -> bool {
    errors::cause(failure).is_some_and(errors::is_redirect)
}

/// Whether a later attempt, or another node, may do.
fn passes(failure: &Failure) -> bool {
    match errors::cause(failure) {
        Some(error) => errors::is_redirect(error) || errors::is_transient(error),
        None => failure.exit == Exit::Redis,
    }
}
