//! Whether the rows of a mapping hold all that a key holds, and of each row whether its columns hold what its value says: what
//! must be known before a key may be given up for its rows.

use super::candidate::Candidate;
use super::explode::Explode;
use super::plan::{Comparison, Mapping, Plan, Target};
use super::rest::Rest;
use super::source::Source;
use crate::decode::{Form, Policies};
use crate::model::RedisType;

impl Plan {
    /// The same plan, whose rows also tell where a column's type keeps less than a value says, or where only the server knows
    /// ([`Losses`](crate::model::Losses)): but not of rows in which another column has all of the value, nor of a column that may
    /// keep less (`may_lose`: the mapping's name, and the column's).
    pub fn telling_losses(&self, may_lose: impl Fn(&str, &str) -> bool) -> Self {
        let mut plan = self.clone();
        for mapping in &mut plan.mappings {
            let has_all: Vec<bool> = mapping.targets.iter().map(|target| mapping.takes_all(target)).collect();
            for ((target, column), has_all) in mapping.targets.iter_mut().zip(&mapping.columns).zip(has_all) {
                let may_lose = may_lose(&mapping.name, &column.name);
                // A column that may keep less does not answer for others.
                target.has_all = has_all && !may_lose;
                if !may_lose {
                    target.encoder = target.encoder.telling_losses();
                }
            }
        }
        plan
    }
}

impl Mapping {
    /// Whether some column takes the whole value, or of a key that is several rows the whole of each element: as it is, or as the
    /// fields that no other column takes as they are. Where none does, something of a value may be in no column: what only such a
    /// column has that the table lacks, a function makes another of, or a repair changes.
    pub fn keeps_whole(&self) -> bool {
        let has = |wanted: fn(&Source) -> bool| {
            let sources = self.targets.iter().filter(|target| self.takes_all(target)).filter_map(first);
            sources.map(|candidate| &candidate.source).any(wanted)
        };
        let order_is_kept =
            || self.targets.iter().filter_map(first).any(|candidate| matches!(candidate.source, Source::ElementIndex));
        match &self.explode {
            // What stands beside the array is in no row.
            Some(Explode::At(..)) => return false,
            Some(Explode::Value) if self.wanted.types.iter().any(RedisType::is_whole) && !order_is_kept() => {
                return false;
            }
            _ => {}
        }
        has(|source| matches!(source, Source::Whole | Source::Value | Source::Dump))
            || self.keeps_rest()
            || self.keeps_parts()
    }

    /// Whether a column has all that Redis knows of a key, such as the groups of a stream.
    pub fn keeps_dump(&self) -> bool {
        let plain = self.targets.iter().filter(|target| is_plain(target)).filter_map(first);
        plain.map(|candidate| &candidate.source).any(|source| matches!(source, Source::Dump))
    }

    /// Of a column with a dump: the one that has the value itself wherever it is not NULL, and is compared; where there is one.
    pub fn value_beside(&self, dump: usize) -> Option<&str> {
        let has = |index: &usize| {
            let target = self.targets.get(*index);
            let as_json = |target: &Target| matches!(first(target), Some(Candidate { source: Source::AsJson, .. }));
            target.is_some_and(|target| is_plain(target) && as_json(target) && has_no_stand_in(target))
                && self.comparison(*index) == Comparison::Exact
        };
        let found = (0..self.columns().len()).find(has).filter(|_| self.comparison(dump) == Comparison::Dump);
        found.and_then(|index| self.columns().get(index)).map(|column| column.name.as_str())
    }

    /// Whether columns have each part of the elements of its collections as it is.
    fn keeps_parts(&self) -> bool {
        let has = |part: &&str| {
            let is_index = |target: &Target| {
                *part == "index" && matches!(first(target), Some(Candidate { source: Source::ElementIndex, .. }))
            };
            self.targets.iter().any(|target| Self::takes_field(target, part) || is_plain(target) && is_index(target))
        };
        self.explode == Some(Explode::Value)
            && self.reads_as_it_is()
            && self.wanted.types.iter().all(|redis_type| {
                let parts = parts_of(redis_type);
                !parts.is_empty() && parts.iter().all(has)
            })
    }

    /// Whether a column has all of the value wherever it is not NULL.
    fn takes_all(&self, target: &Target) -> bool {
        first(target).filter(|_| is_plain(target) && has_no_stand_in(target)).is_some_and(|candidate| {
            match candidate.source {
                Source::Dump | Source::AsJson | Source::AsBytes => true,
                Source::Whole | Source::Value => self.reads_as_it_is(),
                _ => false,
            }
        })
    }

    /// Whether a value is read as it is: nothing is repaired in it, and it is not put into another form.
    fn reads_as_it_is(&self) -> bool {
        let as_it_is = matches!(self.decoder.chain.form, Form::Json | Form::Text | Form::Bytes);
        as_it_is && self.decoder.policies == Policies::default() && !self.unwrap_json_string && !self.items.repair()
    }

    /// Whether the rest and what it leaves out are in columns as they are.
    fn keeps_rest(&self) -> bool {
        let rests = self.targets.iter().filter(|target| is_plain(target)).filter_map(first);
        let mut rests = rests.filter_map(|candidate| match &candidate.source {
            Source::Rest(rest) => Some(rest),
            _ => None,
        });
        self.reads_as_it_is() && rests.any(|rest| self.keeps_what_leaves(rest))
    }

    fn keeps_what_leaves(&self, rest: &Rest) -> bool {
        rest.left_out().all(|field| self.targets.iter().any(|target| Self::takes_field(target, field)))
    }

    /// Whether a column has a field of the value or the element as it is.
    fn takes_field(target: &Target, field: &str) -> bool {
        let path = match target.candidates.as_slice() {
            [Candidate { source: Source::Path(path), .. }] => path.only_key(),
            _ => None,
        };
        path == Some(field) && is_plain(target) && target.null_as.is_none()
    }
}

/// What an element of a collection is made of; nothing of what is no collection.
fn parts_of(redis_type: RedisType) -> &'static [&'static str] {
    match redis_type {
        RedisType::Hash => &["field", "value"],
        RedisType::List => &["index", "value"],
        RedisType::Set => &["member"],
        RedisType::Zset => &["member", "score"],
        RedisType::Stream => &["id", "fields"],
        _ => &[],
    }
}

fn first(target: &Target) -> Option<&Candidate> {
    target.candidates.first()
}

/// Whether nothing else comes into the column where the first candidate has no value, or null.
fn has_no_stand_in(target: &Target) -> bool {
    target.candidates.len() == 1 && target.default.is_none() && target.null_as.is_none()
}

/// Whether the first candidate's value goes into the column as it is, whenever there is one.
fn is_plain(target: &Target) -> bool {
    let is_bare = |candidate: &Candidate| candidate.with.is_empty() && candidate.when.is_none();
    first(target).is_some_and(is_bare) && !target.unwrap_json_string && !target.encoder.repairs()
}
