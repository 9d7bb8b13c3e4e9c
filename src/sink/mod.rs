//! The ends of the pipeline: what becomes of a batch. Uses `model`, `flow`, `postgres` and `ledger`.
//!
//! `load` writes it to PostgreSQL; `dry` only judges it. Both settle every sighting of the batch exactly once.

mod batch;
mod dry;
mod families;
pub mod load;
mod owned;
mod ownership;
mod table;

pub use batch::{Batch, Deduplicated};
pub use dry::{DryRun, Sample, Shown};
pub use families::Families;
pub use load::{LoadOptions, Loader, ProbeGauge, Writers};
pub use owned::{Extent, OwnedReader, OwnedRow};
pub use table::{
    Compare, Conflict, Exact, Exactly, LoadColumn, LoadTable, ParentCheck, Provenance, Referrer, SelfReference,
    SelfReferenceColumn,
};
