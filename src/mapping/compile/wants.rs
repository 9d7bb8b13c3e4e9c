//! What a mapping's sources want to be read of its keys, and what cannot be had of some types.

use super::decoding::Mistake;
use crate::encode::Encoder;
use crate::mapping::candidate::Candidate;
use crate::mapping::plan::Target;
use crate::mapping::source::Source;
use crate::model::{Column, ColumnType, FieldTimes, RedisType, RedisTypes, ValueWanted, Wanted};

/// What the sources of a mapping want.
#[derive(Debug, Default)]
pub(super) struct Wants {
    expiry: bool,
    ttl: bool,
    idle: bool,
    dump: bool,
    field_expiry: bool,
    field_ttl: bool,
    /// The value as far as it can be had.
    as_it_is: bool,
    /// The first source that reads the value itself.
    value: Option<String>,
}

impl Wants {
    /// What the candidates of all columns want, and what names the document in the lineage.
    pub(super) fn of<'c>(candidates: impl Iterator<Item = &'c Candidate>, lineage_id: Option<&Source>) -> Self {
        let mut wants = Self::default();
        for candidate in candidates {
            wants.add(&candidate.source, &candidate.label);
            if candidate.when.is_some() {
                wants.value.get_or_insert_with(|| format!("the condition of {}", candidate.label));
            }
        }
        if let Some(source) = lineage_id {
            wants.add(source, "lineage.document_id");
        }
        wants
    }

    fn add(&mut self, source: &Source, label: &str) {
        match source {
            Source::ExpiresAt => self.expiry = true,
            Source::Ttl => self.ttl = true,
            Source::Idle => self.idle = true,
            Source::Dump => self.dump = true,
            Source::ElementExpiresAt => self.field_expiry = true,
            Source::ElementTtl => self.field_ttl = true,
            Source::AsJson | Source::AsBytes => self.as_it_is = true,
            source if source.reads_value() => {
                self.value.get_or_insert_with(|| label.to_owned());
            }
            _ => {}
        }
    }

    /// Whether values are taken as they are: nothing is decoded, so that no value is refused for what it is.
    pub(super) fn is_undecoded(&self, types: RedisTypes) -> bool {
        self.value.is_none() && (self.dump || self.as_it_is || types.has(RedisType::Module))
    }

    /// What is to be read of a key; `lineage`: its time of expiry goes into the lineage.
    pub(super) fn wanted(&self, types: RedisTypes, slices: bool, lineage: bool, streams: bool) -> Wanted {
        let value = match () {
            () if slices || !self.is_undecoded(types) => ValueWanted::Always,
            () if self.as_it_is => ValueWanted::IfPossible,
            () => ValueWanted::Never,
        };
        let expiry = self.expiry || self.ttl || lineage;
        // What is beside the value is read with it, at once.
        let streams = streams && !self.dump && !self.idle && !self.ttl;
        Wanted {
            types,
            expiry,
            slices,
            streams,
            value,
            ttl: self.ttl,
            idle: self.idle,
            dump: self.dump,
            fields: match () {
                () if self.field_ttl => FieldTimes::ExpiryAndTtl,
                () if self.field_expiry => FieldTimes::Expiry,
                () => FieldTimes::Unasked,
            },
            one_moment: false,
        }
    }

    /// What the mapping asks for and cannot have.
    pub(super) fn mistakes(&self, types: RedisTypes, explodes: bool) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        if let Some(label) = self.value.as_ref().filter(|_| types.has(RedisType::Module)) {
            let message =
                format!("`type`: {label} reads the value, and keys of the types of modules have none that can be read");
            mistakes.push((message, "Take `module` (or `any`) out of `type`, or read `redis.dump`."));
        }
        if explodes && types.has(RedisType::Module) {
            let message = "`explode` makes rows of elements, and keys of the types of modules have none".to_owned();
            mistakes.push((message, "Take `module` (or `any`) out of `type`."));
        }
        if explodes && (self.dump || self.as_it_is) {
            let message = "`redis.dump`, `redis.value` and `redis.bytes` are of a whole key, and `explode` makes several rows of it";
            mistakes.push((message.to_owned(), "Read them in a mapping of its own, into another table."));
        }
        mistakes
    }
}

/// Whether a column can take what its sources give of a key.
pub(super) fn facts_fit(column: &Column, candidates: &[Candidate], encoder: &Encoder) -> Result<(), Mistake> {
    let bytes = |candidate: &&Candidate| matches!(candidate.source, Source::Dump | Source::AsBytes);
    let json = |candidate: &&Candidate| matches!(candidate.source, Source::AsJson);
    if let Some(candidate) = candidates.iter().find(bytes) {
        if !candidate.with.is_empty() {
            return Err((format!("`from`: {} is bytes, and functions take text", candidate.label), "Take `with` out."));
        }
        if column.column_type != ColumnType::Bytea {
            let message = format!("`from`: {} is bytes, and the column takes none", candidate.label);
            return Err((message, "Make the column bytea."));
        }
    }
    if let Some(candidate) = candidates.iter().find(json).filter(|_| !encoder.takes_json()) {
        let message = format!("`from`: {} is JSON, and the column takes none", candidate.label);
        return Err((message, "Make the column jsonb."));
    }
    Ok(())
}

/// Whether a mapping takes keys that are no text: all that it reads of a key is its bytes.
pub(super) fn takes_any_key(columns: &[Column], targets: &[Target]) -> bool {
    let mut read = false;
    for (column, target) in columns.iter().zip(targets) {
        for candidate in target.candidates.iter().filter(|candidate| candidate.source.reads_key()) {
            let whole = matches!(candidate.source, Source::Key) && candidate.with.is_empty();
            if !whole || column.column_type != ColumnType::Bytea {
                return false;
            }
            read = true;
        }
    }
    // The lineage in a column names the key as text.
    read && !targets.iter().any(|target| target.lineage)
}
