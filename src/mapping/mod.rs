//! From record to row: key patterns, candidates, functions and lineage, compiled once for a run.
//!
//! Owns the mapping language: `spec` is what a person writes, `compile` makes a plan of it, once a run, and all else is what
//! a plan does with each record (`row` is where that begins). Pure: no I/O, no async. Uses `decode`, `encode`, `model`,
//! the sizes of `config`, and of `postgres` how names are quoted in a statement that is shown.

mod archive;
mod as_it_is;
mod begun_anew;
mod by_lineage;
mod candidate;
mod collection;
mod compile;
mod expiry;
mod explode;
mod found;
mod functions;
mod jq;
mod lineage;
mod moving;
mod pattern;
mod place;
mod plan;
mod presets;
mod reference;
mod rest;
mod row;
mod scratch;
mod source;
mod spec;
mod target;
mod template;
mod top;
mod value;
mod whole;

pub use archive::ARCHIVE;
pub use compile::{always_has_value, check_keys, check_specs, specs_hash, wanted_of};
pub use expiry::Expired;
pub use explode::RemovedElements;
pub use functions::ID_NAMESPACE;
pub use lineage::{LINEAGE_KEYS, Lineage, SOURCE_METADATA};
pub use pattern::{KeySet, Miss, Pattern, escape_literal};
pub use plan::{Comparison, Mapping, ParentRef, Plan, Purpose, RunStamp};
pub use presets::presets;
pub use scratch::Scratch;
pub use spec::{
    CandidateSpec, ColumnSpec, ConstantSpec, Databases, EmptyItems, Expect, ExplodeSpec, FunctionSpec, ItemForm,
    KeyPatterns, LineageApart, LineageColumns, LineageSpec, LookupSpec, MappingSpec, OnConflict, ParentSpec, Right,
    SizeSpec, SourceTable, parse_mappings,
};

#[cfg(test)]
mod tests;
