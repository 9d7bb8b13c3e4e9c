//! What happened, told once to the one place that counts and reports.

use super::{MappingId, Tally, Unmatched};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Something that happened in a run. One event a page or a batch, never one a key.
#[derive(Clone, Debug)]
pub enum Event {
    /// The run has an id: what follows belongs to it.
    RunStarted {
        /// The run's id.
        run: String,
        /// The names of the mappings, by [`MappingId`].
        mappings: Arc<[String]>,
        /// Whether the run goes on with an earlier one.
        resumed: bool,
    },
    /// A phase began.
    PhaseStarted {
        /// Its number, from 1.
        phase: u32,
        /// The mappings that it loads.
        mappings: Vec<MappingId>,
        /// How many keys it will look at, where that is known (DBSIZE, or keys set aside).
        expected: Option<u64>,
    },
    /// Keys were listed: `scanned` sightings, of which `matched` belong to this phase, by mapping.
    Listed {
        /// Sightings in this page that mappings of this phase took.
        matched: Vec<(MappingId, u64)>,
        /// All keys looked at, for the progress bar.
        scanned: u64,
    },
    /// Keys that were listed and are not read, since a stop was asked for: no sightings after all.
    Unread {
        /// The mapping that would take them.
        mapping: MappingId,
        /// How many.
        keys: u64,
    },
    /// Sightings that no mapping of any phase took, by the last pass that looked at all keys; told once a run.
    Unmatched(Box<Unmatched>),
    /// Values were read.
    Read {
        /// Bytes of keys and values.
        bytes: u64,
    },
    /// Sightings got their outcome: a batch was committed, or the dry run judged it.
    Settled {
        /// The mapping.
        mapping: MappingId,
        /// What became of them; `matched` and `scanned` are left 0.
        tally: Tally,
        /// Bytes sent to PostgreSQL.
        bytes: u64,
        /// Rejects among them that the run itself tries again; negative where a second try takes them back.
        pending: i64,
    },
    /// What earlier attempts at a resumed run have settled, of one mapping.
    Earlier {
        /// The mapping.
        mapping: MappingId,
        /// What became of its sightings.
        tally: Tally,
    },
    /// Bytes in flight between reading and COMMIT.
    InFlight {
        /// Now.
        bytes: u64,
    },
    /// A phase ended.
    PhaseEnded {
        /// Its number, from 1.
        phase: u32,
    },
    /// Something that a person should know and that does not end the run: a retry, a reconnection, a restarted scan.
    Notice(String),
}

/// The target of log lines for notices that were sent as events as well: where those are shown at once, these are not logged.
pub const SENT_NOTICES: &str = "redis2pg::sent_notice";

/// Where events go. Bounded: a slow terminal slows the run, it never fills the memory.
pub type EventSender = mpsc::Sender<Event>;
