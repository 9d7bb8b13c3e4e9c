//! Settings that could never act: mistakes of whoever wrote them, found without a server.

use super::candidate::Candidate;
use super::compile::Check;
use super::source::Source;
use super::{ColumnSpec, MappingSpec};
use crate::decode::Form;

impl Check {
    /// A column by itself. `candidates` are those of its sources that could be read.
    pub(super) fn idle(&mut self, spec: &MappingSpec, subject: &str, column: &ColumnSpec, candidates: &[Candidate]) {
        if column.nul.is_some() && candidates.len() == column.from.len() && !meets_nul(spec, column, candidates) {
            let hint =
                "Take it out. In JSON the mapping's own `nul` repairs it; a key with a byte 0 is always rejected.";
            self.critical(subject, "`nul` does nothing: none of the column's sources can give U+0000", hint);
        }
    }
}

/// Whether a text with U+0000 can come to the column at all.
fn meets_nul(spec: &MappingSpec, column: &ColumnSpec, candidates: &[Candidate]) -> bool {
    let form = spec.decode.last().and_then(|last| Form::named(last));
    let raw = form == Some(Form::Bytes) || form == Some(Form::Text) && spec.nul.is_none();
    let constants = [&column.default, &column.null_as].into_iter().flatten();
    constants.into_iter().any(|text| text.contains('\0'))
        || candidates.iter().any(|candidate| {
            let from_source = match &candidate.source {
                Source::Value => raw,
                // A filter can make any text.
                Source::Jq(_) => true,
                Source::Text(text) => text.contains('\0'),
                Source::Template(template) => template.has_nul(),
                _ => false,
            };
            from_source || candidate.with.iter().any(super::functions::Function::may_make_nul)
        })
}
