//! When two rows are the same: how each column is compared, and what makes the same row of the same value.

use super::specs_hash;
use crate::mapping::candidate::Candidate;
use crate::mapping::plan::{Comparison, RunStamp, Target};
use crate::mapping::source::Source;
use crate::mapping::{Databases, MappingSpec};
use crate::model::{Column, sha256_hex};

/// What makes the same row of the same key and value.
pub(super) fn fingerprint(spec: &MappingSpec, columns: &[Column], targets: &[Target], stamp: &RunStamp) -> String {
    // Which databases it reads does not change what it makes of a key.
    let spec = MappingSpec { databases: Databases::Own, ..spec.clone() };
    let hash = specs_hash(std::slice::from_ref(&spec));
    let mut made_by = format!("{} {hash} {columns:?}", env!("CARGO_PKG_VERSION"));
    let of_database = |candidate: &Candidate| matches!(candidate.source, Source::Database);
    if targets.iter().any(|target| target.candidates.iter().any(of_database)) {
        made_by.push_str(&format!(" {}", stamp.database));
    }
    sha256_hex(made_by.as_bytes())
}

/// How a column is compared.
pub(super) fn comparison(ignore_changes: bool, lineage: bool, candidates: &[Candidate]) -> Comparison {
    let fed_by = |wanted: fn(&Source) -> bool| candidates.iter().any(|candidate| wanted(&candidate.source));
    if ignore_changes {
        Comparison::Ignored
    } else if lineage {
        Comparison::WithoutLineage
    } else if fed_by(|source| matches!(source, Source::ExpiresAt | Source::ElementExpiresAt)) {
        Comparison::WithinSecond
    } else if !candidates.is_empty() && candidates.iter().all(|candidate| candidate.source.is_of_the_moment()) {
        Comparison::Ignored
    } else if !candidates.is_empty() && candidates.iter().all(|candidate| matches!(candidate.source, Source::Dump)) {
        Comparison::Dump
    } else {
        Comparison::Exact
    }
}
