//! The ledger in schema `redis2pg` of the target: runs, shards with their lease, batches (the journal), rejects,
//! before-images and lineage without a column. Uses `model` and `postgres`.
//!
//! A load transaction only inserts here, so that writers never wait for each other; what is derived from the journal
//! (watermark, totals) is derived by the coordinator, and again at resume.

mod batches;
mod cleanup;
mod collisions;
mod end;
mod journal_tables;
mod last_sources;
mod pending;
mod read;
mod read_rejects;
mod reject_columns;
mod rejects;
mod resume;
mod retry;
mod rollback;
mod run_tables;
mod runs;
mod schema;
mod shards;
mod undoable;
mod validations;

pub use batches::{Journal, is_committed, totals, write_journal};
pub use cleanup::{
    Cleanable, CleanupBatch, CleanupClaim, CleanupEnd, CleanupEntry, CleanupFile, CleanupFinish, CleanupLease,
    NewCleanup, Settlement, Unsettled, any_cleaned, batch_keys, begin_cleanup_batch, claim_cleanup, cleanable,
    cleaned_among, cleaned_of_source, cleanup_at_work, cleanup_files, cleanups_of, finish_cleanup, forgo_cleanup_files,
    keys_beyond, renew_cleanup, seal_cleanup_file, settle_cleanup_batch, unsettled,
};
pub use collisions::collisions;
pub use end::{Finish, RunEnd, finish};
pub use journal_tables::{JournalTable, inserted_rows, journal_tables};
pub use last_sources::{LastSource, last_sources};
pub use pending::{Pending, pending_among, pending_by_id, pending_count, pending_page};
pub use read::{RunEntry, list_runs, runs_named, show_run};
pub use read_rejects::{
    RejectEntry, RejectFilter, RejectGroup, WhichState, count_filtered, count_rejects, group_rejects, list_rejects,
};
pub use rejects::{
    Known, Rejected, Removed, known, record as record_rejects, reopen, reopen_closed, reopen_closed_of, resolve, touch,
};
pub use resume::to_resume;
pub use retry::{
    KeptValue, OpenKey, Origin, RetryFilter, RetryOf, kept_values, last_reject, open_count, open_elsewhere, open_page,
    origin, unheld,
};
pub use rollback::{
    RollbackClaim, claim_rollback, hold_rollback, is_rollback_held, release_rollback, renew_rollback, save_rollback,
};
pub use run_tables::{LineagePlace, RunTable, present_name, run_tables, write_run_tables};
pub use runs::{NewRun, Start, Started, is_busy, renew, start};
pub use schema::{Outstanding, exists, last_migrations, migrate, outstanding, version};
pub use shards::{
    Checkpoint, Shard, ShardId, begin_held, end_where_idle, fence, holder_name, idle_timeout, load_all_if, open, save,
    taken_over,
};
pub use undoable::{Undoable, changed_by, found_unchanged, image_tables, in_a_circle, undoable};
pub use validations::{
    OtherRun, Recorded, Validatable, ValidationEntry, last_validation, other_run, record_validation, runs_like,
    to_validate,
};
