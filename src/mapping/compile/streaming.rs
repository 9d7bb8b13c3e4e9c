//! Strings of any size: which mappings take them without having them in memory.
//!
//! Such a mapping puts a string's bytes into one column as they are, and reads nothing else in them.

use crate::decode::Decoder;
use crate::mapping::explode::Explode;
use crate::mapping::plan::Target;
use crate::mapping::source::Source;

/// Whether a mapping takes large strings in slices; if so, the column that they go into is marked.
pub(super) fn settle(
    targets: &mut [Target],
    key_columns: usize,
    decoder: &Decoder,
    explode: Option<&Explode>,
    lineage_id: Option<&Source>,
) -> bool {
    let as_it_is = decoder.takes_as_it_is() && explode.is_none() && lineage_id.is_none_or(is_blind);
    let whole = |target: &Target| target.candidates.iter().any(|candidate| !is_blind(&candidate.source));
    let mut readers = targets.iter_mut().enumerate().filter(|(_, target)| whole(target));
    let (Some((index, target)), None) = (readers.next(), readers.next()) else { return false };
    let [candidate] = target.candidates.as_slice() else { return false };
    let alone = matches!(candidate.source, Source::Value) && candidate.with.is_empty() && candidate.when.is_none();
    target.streams = as_it_is && alone && index >= key_columns && !target.lineage && target.encoder.takes_stored();
    target.streams
}

/// Whether a source says the same whatever the value is, or what is known of one without its bytes.
fn is_blind(source: &Source) -> bool {
    source.is_of_key() || matches!(source, Source::Digest)
}
