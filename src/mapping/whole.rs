//! Whether the rows of a mapping hold all that a key holds.

use super::plan::Mapping;
use super::source::Source;

impl Mapping {
    /// Whether some column takes the whole value, or of a key that is several rows the whole of each element: as it is, or with the
    /// fields that no other column takes. Where none does, something of a value may be in no column.
    pub fn keeps_whole(&self) -> bool {
        let whole = |source: &Source| {
            matches!(
                source,
                Source::Whole | Source::Value | Source::Rest(_) | Source::Dump | Source::AsJson | Source::AsBytes
            )
        };
        self.targets.iter().filter_map(|target| target.candidates.first()).any(|candidate| whole(&candidate.source))
    }
}
