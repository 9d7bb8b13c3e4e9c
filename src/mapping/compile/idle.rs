//! Settings that could never act, and sources that say nothing: mistakes of whoever wrote them, found without a server.

use super::Check;
use crate::decode::Form;
use crate::mapping::candidate::Candidate;
use crate::mapping::functions::Function;
use crate::mapping::source::Source;
use crate::mapping::{ColumnSpec, ExplodeSpec, MappingSpec};
use crate::model::RedisType;

impl Check {
    /// A column by itself. `candidates` are those of its sources that could be read.
    pub(super) fn idle(&mut self, spec: &MappingSpec, subject: &str, column: &ColumnSpec, candidates: &[Candidate]) {
        if column.nul.is_some() && candidates.len() == column.from.len() && !meets_nul(spec, column, candidates) {
            let hint =
                "Take it out. In JSON the mapping's own `nul` repairs it; a key with a byte 0 is always rejected.";
            self.critical(subject, "`nul` does nothing: none of the column's sources can give U+0000", hint);
        }
        if candidates.iter().any(|candidate| matches!(candidate.source, Source::ElementIndex)) {
            self.element_index(spec, subject);
        }
        let of_field =
            |candidate: &&Candidate| matches!(candidate.source, Source::ElementExpiresAt | Source::ElementTtl);
        if let Some(candidate) = candidates.iter().find(of_field) {
            self.field_ttl(spec, subject, &candidate.label);
        }
    }

    /// What a column asks of JSON that none of its sources gives.
    pub(super) fn unmet(&mut self, subject: &str, column: &ColumnSpec, candidates: &[Candidate]) {
        if candidates.is_empty() || candidates.len() != column.from.len() || candidates.iter().any(gives_json) {
            return;
        }
        for (setting, given) in [("expect", column.expect.is_some()), ("unwrap_json_string", column.unwrap_json_string)]
        {
            if given {
                let message = format!(
                    "`{setting}` is about JSON, and none of the column's sources gives any: functions make text"
                );
                self.critical(subject, message, "Take it out, or end `with` in `json`.");
            }
        }
    }

    /// A column that the key names more than once.
    pub(super) fn key_twice(&mut self, subject: &str, spec: &MappingSpec) {
        for (index, column) in spec.key.iter().enumerate() {
            if spec.key.iter().take(index).any(|earlier| earlier == column) {
                self.critical(subject, format!("`key` names the column {column} twice"), "Name each column once.");
            }
        }
    }

    /// Whether there are fields of a hash whose time of expiry could be told, each for itself.
    fn field_ttl(&mut self, spec: &MappingSpec, subject: &str, label: &str) {
        if spec.explode != Some(ExplodeSpec::Value(true)) {
            let message = format!("`{label}` is that of one field of a hash, and the mapping makes no row of each");
            self.critical(subject, message, "Set `explode = true`, or read `redis.expires_at`: the key's.");
        } else if !spec.types.contains(&RedisType::Hash) {
            let message = format!("`{label}` says nothing here: of all elements only the fields of hashes have a TTL");
            self.critical(subject, message, "Take it out, or read `redis.expires_at`: the key's.");
        }
    }

    /// Whether the place of an element says something.
    pub(super) fn element_index(&mut self, spec: &MappingSpec, subject: &str) {
        let unordered = |redis_type: &&RedisType| !redis_type.is_whole() && **redis_type != RedisType::List;
        if matches!(spec.explode, None | Some(ExplodeSpec::Value(false))) {
            let message = "`from`: `element.index` is the place of an element, and the mapping makes one row of a key";
            self.critical(subject, message, "Set `explode`, or take it out.");
        } else if let Some(redis_type) = spec.types.iter().find(unordered) {
            let message = format!(
                "`from`: `element.index` says nothing of a {redis_type}: its elements have no place of their own"
            );
            let hint = "Take it out: `$.field`, `$.member` or `$.id` tells them apart, and a sorted set has `$.score`.";
            self.critical(subject, message, hint);
        }
    }
}

/// Whether what comes of a candidate can be JSON: a field of the value, or what a function has read as JSON.
fn gives_json(candidate: &Candidate) -> bool {
    match (candidate.with.last(), &candidate.source) {
        (Some(function), _) => matches!(function, Function::Json),
        (None, Source::Whole | Source::Path(_) | Source::Collect(_) | Source::Rest(_)) => true,
        (None, source) => matches!(source, Source::Jq(_) | Source::Json(_) | Source::AsJson),
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
            from_source || candidate.with.iter().any(Function::may_make_nul)
        })
}
