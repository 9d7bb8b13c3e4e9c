//! The infinite scores of sorted sets, which JSON has no number for: where they can be stored as what they are.

use crate::decode::JsonPath;
use crate::encode::{Nonfinite, Policy};
use crate::mapping::plan::Target;
use crate::mapping::source::Source;
use crate::mapping::{CandidateSpec, ColumnSpec, ExplodeSpec, MappingSpec};
use crate::model::{Column, ColumnType};

/// How a source reads the score of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reads {
    /// Not at all.
    Nothing,
    /// Alone, or within a text.
    Score,
    /// As a part of JSON.
    Json,
}

/// The column's policy: one of floats that reads nothing but the score keeps its infinities, which are good numbers there.
pub(super) fn keep_infinity(
    spec: &MappingSpec,
    wanted: &ColumnSpec,
    column_type: &ColumnType,
    policy: Policy,
) -> Policy {
    if keeps_infinity(spec, wanted, column_type) {
        return Policy { nonfinite: Some(Nonfinite::Keep), ..policy };
    }
    policy
}

fn keeps_infinity(spec: &MappingSpec, wanted: &ColumnSpec, column_type: &ColumnType) -> bool {
    let score = |from: &CandidateSpec| matches!(from, CandidateSpec::Source(text) if JsonPath::parse(text).is_ok_and(|path| is_score(&path)));
    matches!(column_type, ColumnType::Float4 | ColumnType::Float8)
        && takes_collections_apart(spec)
        && (wanted.nonfinite.is_none() && wanted.with.is_empty())
        && (!wanted.from.is_empty() && wanted.from.iter().all(score))
}

/// Whether every column that reads the score of an element can take the text `inf` for it, so that nothing is stored as
/// something else. `targets` stand in the order of `columns`.
pub(super) fn takes_infinity(spec: &MappingSpec, columns: &[Column], targets: &[Target]) -> bool {
    let takes = |(column, target): (&Column, &Target)| {
        let read: Vec<Reads> = target.candidates.iter().map(|candidate| reads(&candidate.source)).collect();
        let wanted = spec.columns.iter().find(|wanted| wanted.name == column.name);
        !read.contains(&Reads::Json)
            && (!read.contains(&Reads::Score)
                || is_text(&column.column_type)
                || wanted.is_some_and(|wanted| {
                    wanted.nonfinite.is_some() || keeps_infinity(spec, wanted, &column.column_type)
                }))
    };
    takes_collections_apart(spec) && columns.iter().zip(targets).all(takes)
}

fn takes_collections_apart(spec: &MappingSpec) -> bool {
    spec.explode == Some(ExplodeSpec::Value(true)) && !spec.types.iter().any(|redis_type| redis_type.is_whole())
}

fn reads(source: &Source) -> Reads {
    let (alone, json) = match source {
        Source::Path(path) => (is_score(path), false),
        Source::Template(template) => (template.paths().any(is_score), false),
        Source::Collect(names) => (false, names.iter().any(|name| name == "score")),
        Source::Rest(rest) => (false, !rest.leaves_out("score")),
        Source::Whole | Source::Value | Source::Jq(_) => (false, true),
        _ => (false, false),
    };
    match (alone, json) {
        (_, true) => Reads::Json,
        (true, _) => Reads::Score,
        _ => Reads::Nothing,
    }
}

fn is_score(path: &JsonPath) -> bool {
    JsonPath::parse("$.score").is_ok_and(|score| score == *path)
}

fn is_text(column_type: &ColumnType) -> bool {
    use ColumnType::{Bpchar, Citext, Name, Text, Varchar};
    matches!(column_type, Text | Varchar(_) | Bpchar(_) | Citext(_) | Name)
}
