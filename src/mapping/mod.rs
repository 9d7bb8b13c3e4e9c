//! From record to row: key patterns, candidates, functions and lineage, compiled once for a run.
//!
//! Owns the mapping language. Pure: no I/O, no async. Uses `decode`, `encode` and `model`.

mod compile;
mod functions;
mod graph;
mod lineage;
mod pattern;
mod plan;
mod policy;
mod row;
mod scratch;
mod source;
mod spec;
mod target;

pub use compile::specs_hash;
pub use functions::ID_NAMESPACE;
pub use lineage::{LINEAGE_KEYS, Lineage, SOURCE_METADATA};
pub use pattern::Pattern;
pub use plan::{Comparison, Mapping, ParentRef, Plan, RunStamp};
pub use scratch::Scratch;
pub use spec::{
    CandidateSpec, CollectCandidate, ColumnSpec, Expect, FullCandidate, Function, LineageSpec, MappingSpec, OnConflict,
    ParentSpec, parse_mappings,
};

/// The presets that ship with the tool: name and TOML text.
pub fn presets() -> &'static [(&'static str, &'static str)] {
    &[("contract-reviewer", include_str!("../../config/presets/contract-reviewer.toml"))]
}

#[cfg(test)]
mod tests;
