//! Strings of any size: which mappings take them without having them in memory.
//!
//! Such a mapping puts a string's bytes into one column as they are, and reads nothing else in them.

use super::explode::Explode;
use super::plan::{Mapping, Target};
use super::source::Source;
use super::value::Prepared;
use crate::decode::{Content, Decoder, Form, not_utf8};
use crate::model::{Record, Reject, Stored};
use std::borrow::Cow;

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

impl Mapping {
    /// What is left to look at of a value that is not in memory: nothing.
    #[cold]
    pub(super) fn prepare_stored<'r>(&self, record: &'r Record, stored: &Stored) -> Result<Prepared<'r>, Reject> {
        let content = match self.decoder.chain.form {
            _ if !self.wanted.streams => {
                let detail = format!("the value has {} bytes and is not in memory as a whole", stored.len);
                return Err(Reject::of(record, "value_too_large", detail));
            }
            Form::Text => match stored.invalid_utf8 {
                Some(at) => return Err(self.undecoded(record, not_utf8(&stored.head, at))),
                None => Content::Text(Cow::Borrowed("")),
            },
            _ => Content::Bytes(Cow::Borrowed(&[])),
        };
        Ok(Prepared { content, altered: Vec::new() })
    }
}
