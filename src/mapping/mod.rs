//! From record to row: key patterns, candidates, functions and lineage, compiled once for a run.
//!
//! Owns the mapping language. Pure: no I/O, no async. Uses `decode`, `encode`, `model`
//! and the sizes of `config`.

mod archive;
mod as_it_is;
mod candidate;
mod collection;
mod column;
mod compile;
mod conflict;
mod coverage;
mod databases;
mod decoding;
mod expiry;
mod explode;
mod found;
mod functions;
mod graph;
mod identity;
mod idle;
mod jq;
mod key_patterns;
mod known_type;
mod lineage;
mod lineage_spec;
mod offline;
mod one_or_list;
mod pattern;
mod place;
mod plan;
mod policy;
mod redis_types;
mod reference;
mod references;
mod rest;
mod rights;
mod row;
mod sameness;
mod score;
mod scratch;
mod source;
mod spec;
mod spec_source;
mod streaming;
mod target;
mod template;
mod top;
mod unreachable;
mod value;
mod wants;

pub use archive::ARCHIVE;
pub use compile::specs_hash;
pub use conflict::check_keys;
pub use databases::Databases;
pub use expiry::Expired;
pub use explode::RemovedElements;
pub use functions::ID_NAMESPACE;
pub use key_patterns::KeyPatterns;
pub use lineage::{LINEAGE_KEYS, Lineage, SOURCE_METADATA};
pub use lineage_spec::{LineageApart, LineageColumns, LineageSpec};
pub use offline::check_specs;
pub use pattern::{KeySet, Miss, Pattern, escape_literal};
pub use plan::{Comparison, Mapping, ParentRef, Plan, RunStamp};
pub use rights::Right;
pub use scratch::Scratch;
pub use spec::{
    ColumnSpec, Expect, ExplodeSpec, ItemForm, MappingSpec, OnConflict, ParentSpec, SizeSpec, parse_mappings,
};
pub use spec_source::{CandidateSpec, ConstantSpec, FunctionSpec, LookupSpec, SourceTable};

/// The presets that ship with the tool: name and TOML text.
pub fn presets() -> &'static [(&'static str, &'static str)] {
    &[("contract-reviewer", include_str!("../../config/presets/contract-reviewer.toml"))]
}

#[cfg(test)]
mod tests;
