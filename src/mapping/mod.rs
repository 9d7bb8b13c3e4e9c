//! From record to row: key patterns, candidates, functions and lineage, compiled once for a run.
//!
//! Owns the mapping language. Pure: no I/O, no async. Uses `decode`, `encode` and `model`.

mod spec;

pub use spec::{
    CandidateSpec, CollectCandidate, ColumnSpec, Expect, Format, FullCandidate, Function, LineageSpec, MappingSpec,
    OnConflict, ParentSpec, parse_mappings,
};

/// The presets that ship with the tool: name and TOML text.
pub fn presets() -> &'static [(&'static str, &'static str)] {
    &[("contract-reviewer", include_str!("../../config/presets/contract-reviewer.toml"))]
}
