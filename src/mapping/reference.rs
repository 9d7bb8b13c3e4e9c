//! References to rows of other mappings: what of a referring text is the id that the parent's key has.

use super::{CandidateSpec, ColumnSpec, FunctionSpec};

/// How many of a candidate's functions lead from what the record says to the id in the parent's key.
///
/// The functions that the parent's key column has as well come after that id: they make the same of it on both sides. So
/// it is those before them; none where the two columns do not end alike, since nobody knows then.
pub(super) fn functions_before_id(column: &ColumnSpec, from: &CandidateSpec, parent_key: &ColumnSpec) -> usize {
    let own = functions(column, from);
    let parents = parent_key.from.first().map(|from| functions(parent_key, from)).unwrap_or_default();
    if own.ends_with(&parents) { own.len() - parents.len() } else { 0 }
}

/// The functions over a candidate, in their order.
fn functions<'a>(column: &'a ColumnSpec, from: &'a CandidateSpec) -> Vec<&'a FunctionSpec> {
    let own = match from {
        CandidateSpec::Source(_) => &[],
        CandidateSpec::Table(table) => table.with.as_slice(),
    };
    own.iter().chain(&column.with).collect()
}
