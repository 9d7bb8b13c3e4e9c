//! What is left of an object once other columns have taken their fields. By text: what is kept is kept as it was read.

use super::found::Found;
use super::plan::Target;
use super::source::{Context, Source};
use crate::decode::unescape;
use std::borrow::Cow;
use std::collections::HashSet;

/// The fields that are left out of the rest.
#[derive(Clone, Debug, Default)]
pub(super) struct Rest {
    left_out: HashSet<String>,
}

impl Rest {
    /// The rest without these fields, until [`settle`] adds those of the other columns.
    pub(super) fn without(except: &[String]) -> Self {
        Self { left_out: except.iter().cloned().collect() }
    }

    /// The fields that it never has.
    pub(super) fn left_out(&self) -> impl Iterator<Item = &str> {
        self.left_out.iter().map(String::as_str)
    }

    /// Whether it never has this field.
    pub(super) fn leaves_out(&self, field: &str) -> bool {
        self.left_out.contains(field)
    }

    /// The object at the top without the fields that are left out; the last one of a key that is there twice.
    pub(super) fn evaluate<'r>(&self, context: &Context<'r>) -> Found<'r> {
        let mut seen: HashSet<Cow<'r, str>> = HashSet::with_capacity(context.fields.len());
        let mut kept: Vec<_> = context
            .fields
            .iter()
            .rev()
            .filter(|field| {
                let key = unescape(field.key.of(context.text));
                !self.left_out.contains(key.as_ref()) && seen.insert(key)
            })
            .collect();
        if kept.len() == context.fields.len() {
            return Found::Raw(Cow::Borrowed(context.text.trim_ascii()));
        }
        kept.reverse();
        let mut object = String::from("{");
        for field in kept {
            if object.len() > 1 {
                object.push(',');
            }
            object.push('"');
            object.push_str(field.key.of(context.text));
            object.push_str("\":");
            object.push_str(field.value.of(context.text));
        }
        object.push('}');
        Found::Raw(Cow::Owned(object))
    }
}

/// Leaves out of each column's rest what the other columns take.
pub(super) fn settle(targets: &mut [Target]) {
    for index in 0..targets.len() {
        let (before, rest) = targets.split_at_mut(index);
        let Some((target, after)) = rest.split_first_mut() else { continue };
        let others = || before.iter().chain(after.iter()).flat_map(|other| &other.candidates);
        for candidate in &mut target.candidates {
            if let Source::Rest(rest) = &mut candidate.source {
                let taken = others().flat_map(|other| other.source.fields());
                rest.left_out.extend(taken.map(str::to_owned));
            }
        }
    }
}
