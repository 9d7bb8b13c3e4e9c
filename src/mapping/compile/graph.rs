//! The order of the mappings: a phase for each rank of the graph of parents.

use crate::mapping::MappingSpec;
use crate::model::MappingId;

/// The mappings by phase, parents first.
///
/// # Errors
/// The name of a mapping whose parents lead back to it through others.
pub(super) fn phases(specs: &[MappingSpec]) -> Result<Vec<Vec<MappingId>>, String> {
    let mut ranks: Vec<Option<usize>> = vec![None; specs.len()];
    // Each round ranks every mapping whose predecessors are ranked; as many rounds as mappings rank them all.
    for _ in specs {
        for (index, spec) in specs.iter().enumerate() {
            // Which keys no other mapping takes does not depend on what became of the others; it is loaded last all the same.
            let others = specs.iter().filter(|other| spec.unmatched && !other.unmatched).map(|other| &other.name);
            // Rows that refer to rows of the same mapping are settled within its phase.
            let parents = spec.parents.iter().map(|parent| &parent.mapping).filter(|parent| **parent != spec.name);
            let named = parents.chain(&spec.after);
            let mut before = named.chain(others).filter_map(|name| {
                // A name that is no mapping is a finding of its own.
                specs.iter().position(|other| other.name == *name)
            });
            let highest = before.try_fold(0, |highest, predecessor| {
                let rank = ranks.get(predecessor).copied().flatten()?;
                Some(highest.max(rank + 1))
            });
            if let (Some(slot), Some(rank)) = (ranks.get_mut(index), highest) {
                *slot = Some(rank);
            }
        }
    }
    let mut phases: Vec<Vec<MappingId>> = Vec::new();
    for (index, (rank, spec)) in ranks.iter().zip(specs).enumerate() {
        let rank = rank.ok_or_else(|| spec.name.clone())?;
        if phases.len() <= rank {
            phases.resize(rank + 1, Vec::new());
        }
        if let Some(phase) = phases.get_mut(rank) {
            phase.push(MappingId(index as u16));
        }
    }
    Ok(phases)
}
