//! What a key of the same name does to rows, once the one that they were made of was deleted: whoever adds to a key that is not
//! there any more begins a new one.

use super::candidate::Candidate;
use super::explode::Explode;
use super::plan::{Mapping, Target};
use super::source::Source;
use crate::model::RedisType;

/// What the place of an element of a list is called in it, as JSON.
const INDEX: &str = "index";

impl Mapping {
    /// Whether rows of lists are known by the place of their element, wholly or in part, as far as that can be told: what is pushed
    /// to a list that was deleted begins at place 0 again, and its rows would take the place of those that are there.
    pub fn knows_by_place(&self) -> bool {
        let names_place = |candidate: &Candidate| candidate.source.may_have_place();
        let of_place = |target: &Target| target.candidates.iter().any(names_place);
        let is_list = self.explode == Some(Explode::Value) && self.wanted.types.has(RedisType::List);
        is_list && self.targets.iter().take(self.key_columns).any(of_place)
    }

    /// Whether each element of a list is a row of its own for certain: a column of the key is its place, and nothing else in any row.
    pub(super) fn tells_places_apart(&self) -> bool {
        let is_place = |candidate: &Candidate| {
            let says_it = match &candidate.source {
                Source::ElementIndex => true,
                Source::Path(path) => path.only_key() == Some(INDEX),
                _ => false,
            };
            says_it && candidate.with.is_empty() && candidate.when.is_none()
        };
        let is_always = |target: &Target| !target.candidates.is_empty() && target.candidates.iter().all(is_place);
        let is_list = self.explode == Some(Explode::Value) && self.wanted.types.has(RedisType::List);
        is_list && self.targets.iter().take(self.key_columns).any(is_always)
    }

    /// Whether a key to which items are added is one row: those that are added to one that was deleted are all that the key holds
    /// then, and the row too.
    pub fn holds_items_in_a_row(&self) -> bool {
        self.explode.is_none() && self.wanted.types.iter().any(RedisType::has_items)
    }
}

impl Source {
    /// Whether what it says of an element of a list may be its place, or hold it.
    fn may_have_place(&self) -> bool {
        match self {
            Self::ElementIndex | Self::Whole | Self::Rest(_) | Self::Jq(_) => true,
            Self::Path(path) => path.first_key() == Some(INDEX),
            Self::Template(template) => template.paths().any(|path| path.first_key() == Some(INDEX)),
            Self::Collect(names) => names.iter().any(|name| name == INDEX),
            _ => false,
        }
    }
}
