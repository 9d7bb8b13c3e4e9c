//! What the writers of a run share, and the connections that wait for the next phase.
//!
//! A server process keeps what it has learned: the catalog, and which of the shared buffers are mapped. A new one for
//! each phase begins with page faults, which were 3% of a load's CPU time.

use super::loader::{LoadOptions, Loader};
use crate::flow::Stop;
use crate::ledger::ShardId;
use crate::model::EventSender;
use crate::postgres::Target;
use crate::sink::table::LoadTable;
use sqlx::postgres::PgConnection;
use std::sync::{Arc, Mutex, PoisonError};

/// Makes writers. Cheap to clone.
#[derive(Clone)]
pub struct Writers {
    pub(super) target: Target,
    pub(super) tables: Arc<[LoadTable]>,
    pub(super) options: LoadOptions,
    pub(super) events: EventSender,
    pub(super) stop: Stop,
    idle: Arc<Mutex<Vec<PgConnection>>>,
}

impl Writers {
    /// Writers that load these tables.
    pub fn new(
        target: Target,
        tables: Arc<[LoadTable]>,
        options: LoadOptions,
        events: EventSender,
        stop: Stop,
    ) -> Self {
        Self { target, tables, options, events, stop, idle: Arc::default() }
    }

    /// A writer for one phase. Takes a connection that is idle, or connects with its first batch.
    pub fn writer(&self, shard: ShardId) -> Loader {
        let connection = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Loader::new(self.clone(), shard, connection)
    }

    /// Keeps a connection that is in order and in no transaction.
    pub(super) fn keep(&self, connection: PgConnection) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}
