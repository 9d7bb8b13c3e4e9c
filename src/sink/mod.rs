//! The ends of the pipeline: what becomes of a batch. Uses `model`, `flow`, `postgres` and `ledger`.
//!
//! `load` writes it to PostgreSQL; `dry` only judges it. Both settle every sighting of the batch exactly once. `compare` says what
//! the rows in PostgreSQL are to it.

mod batch;
mod compare;
mod dry;
mod families;
pub mod load;
mod owned;
mod ownership;
mod table;
pub mod undo;

pub use batch::{Batch, Deduplicated};
pub use compare::{CompareOptions, Compared, Comparer, Comparison, Proof, Proven, StillOwned, Unproven, still_owned};
pub use dry::{DryRun, Sample, Shown};
pub use families::Families;
pub use load::{
    GoneCounts, LoadOptions, Loader, ProbeGauge, SourceRun, StagingTables, Writers, runs_elsewhere, runs_of_source,
};
pub use owned::{Extent, OwnedReader, OwnedRow, RowSum, SliceSums, SumsWanted};
pub use table::{
    Compare, Conflict, Exact, Exactly, LoadColumn, LoadTable, ParentCheck, Provenance, SelfReference,
    SelfReferenceColumn,
};
