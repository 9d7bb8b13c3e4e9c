//! From what a person wrote to a plan: every mistake is found at once, before the first key is read.
//!
//! `offline` finds what needs no table, `Plan::compile` the rest; both by way of `Check`, which collects findings. What is
//! said of one column is in `column`, `target` and `policy`, of several mappings in `references` and `conflict`.

mod column;
pub(super) mod conflict;
mod coverage;
pub(super) mod decoding;
mod graph;
mod identity;
mod idle;
mod known_type;
mod offline;
mod policy;
mod references;
mod sameness;
mod score;
mod streaming;
mod target;
mod unreachable;
mod wants;

pub use conflict::check_keys;
pub use offline::{always_has_value, check_specs, wanted_of};

use super::candidate::Candidate;
use super::collection::ItemForms;
use super::expiry::ExpiryPolicy;
use super::explode::Explode;
use super::pattern::{KeySet, Pattern};
use super::plan::{Mapping, Plan, Purpose, RunStamp, Target};
use super::rest;
use super::source::Source;
use super::top::Top;
use super::{ColumnSpec, ItemForm, LineageSpec, MappingSpec};
use crate::decode::{Decoder, Form, push_json_string};
use crate::encode::Encoder;
use crate::model::{Column, Database, Finding, RedisType, RedisTypes, Severity, Side, Table, TableName, sha256_hex};
use decoding::{Mistake, decoder, has_members, has_values, unreadable, whole_fits};
use graph::phases;
use sameness::fingerprint;
use std::collections::HashMap;
use std::sync::Arc;
use wants::{Wants, facts_fit, takes_any_key};

/// A row's shape has one bit for each column.
const MAX_COLUMNS: usize = 64;

/// What to do about keys that cannot be read.
pub(super) const WHICH_KEYS: &str = "See docs/mapping.md, \"Which keys\".";

/// What to do about the name of a table.
pub(super) const QUALIFIED: &str = "Write it with its schema, such as \"public.profiles\".";

/// What to do about the id in the lineage.
pub(super) const AN_ID: &str = "Name a capture or a path, such as \"{id}\".";

/// The hash of the mappings that identifies what a resumed run goes on with: formatting and comments play no part.
pub fn specs_hash(specs: &[MappingSpec]) -> String {
    // Plain structs of strings always serialise; were that ever untrue, their Debug form identifies them as well.
    let canonical = serde_json::to_vec(specs).unwrap_or_else(|_| format!("{specs:?}").into_bytes());
    sha256_hex(&canonical)
}

impl Plan {
    /// Compiles the mappings against the tables of the target database.
    ///
    /// # Errors
    /// All findings, where at least one is critical: a table or column that is missing or cannot be written, a NOT NULL
    /// column that nothing feeds, overlapping patterns, a circle of parents, more than 64 columns, a setting that
    /// cannot be read.
    pub fn compile(
        specs: &[MappingSpec],
        tables: &HashMap<TableName, Table>,
        stamp: RunStamp,
    ) -> Result<Self, Vec<Finding>> {
        let mut check = Check::default();
        let specs: Vec<_> = specs.iter().map(MappingSpec::with_lineage_columns).collect();
        let specs = specs.as_slice();
        if specs.is_empty() {
            check.critical("mapping", "there is no mapping", "Name a preset, or write a [[mapping]].");
        }
        let mut mappings: Vec<Mapping> = specs.iter().filter_map(|spec| check.mapping(spec, tables, &stamp)).collect();
        let mut doubts = Vec::new();
        if mappings.len() == specs.len() {
            check.names(&mappings);
            doubts = check.keys(&mappings, stamp.database);
            check.parents(specs, &mut mappings);
        }
        let phases = phases(specs).unwrap_or_else(|circle| {
            check.circle(specs, &circle);
            Vec::new()
        });
        if check.findings.iter().any(|finding| finding.severity == Severity::Critical) {
            return Err(check.findings);
        }
        let plan = Self { mappings, phases, warnings: check.findings, doubts };
        Ok(plan.within(Database::only(stamp.database)))
    }
}

/// The findings so far.
#[derive(Default)]
pub(super) struct Check {
    pub(super) findings: Vec<Finding>,
}

impl Check {
    pub(super) fn critical(&mut self, subject: impl Into<String>, message: impl Into<String>, hint: &str) {
        self.findings.push(Finding::critical(Side::Settings, subject, message, hint));
    }

    pub(super) fn target(&mut self, subject: impl Into<String>, message: impl Into<String>, hint: &str) {
        self.findings.push(Finding::critical(Side::Postgres, subject, message, hint));
    }

    /// A value that could not be read becomes a finding.
    pub(super) fn read<T>(&mut self, subject: &str, read: Result<T, String>, hint: &str) -> Option<T> {
        read.map_err(|message| self.critical(subject, message, hint)).ok()
    }

    fn mapping(&mut self, spec: &MappingSpec, tables: &HashMap<TableName, Table>, stamp: &RunStamp) -> Option<Mapping> {
        let subject = format!("mapping {}", spec.name);
        let pattern = self.read(&subject, KeySet::parse(spec), WHICH_KEYS);
        let name = self.read(&subject, spec.table_name(), QUALIFIED);
        self.read(&format!("{subject}: audit"), spec.audit_table(), QUALIFIED);
        let decoder = self.decoder(spec);
        self.told_apart(spec, &subject, stamp.database);
        let expiry_policy = ExpiryPolicy::read(spec).map_err(|mistake| self.mistake(subject.clone(), mistake));
        let expiry_policy = expiry_policy.unwrap_or_default();
        let (pattern, name) = (pattern?, name?);
        let Some(table) = tables.get(&name) else {
            self.target(name.to_string(), "the table is missing", "Create it, or have its migration run.");
            return None;
        };
        let (columns, mut targets) = self.columns(spec, table, pattern.first());
        let decoder = decoder?;
        for (column, target) in columns.iter().zip(&targets) {
            let subject = format!("{}.{}", spec.into, column.name);
            self.sources_fit(subject, column, &target.candidates, &target.encoder, decoder.chain.form);
        }
        self.too_many_columns(&subject, spec);
        let lineage_id = self.lineage_id(spec, pattern.first());
        let entered = targets.iter().flat_map(|target| &target.candidates).map(Candidate::top);
        let top = entered.chain(lineage_id.as_ref().map(Source::top)).fold(Top::default(), Top::and);
        let wants = Wants::of(targets.iter().flat_map(|target| &target.candidates), lineage_id.as_ref());
        let types = self.types(&subject, spec);
        let explode = self.explode(spec, types, &targets);
        let takes_infinity = score::takes_infinity(spec, &columns, &targets);
        let key_columns = spec.key.len();
        let streams = types.has(RedisType::String)
            && streaming::settle(&mut targets, key_columns, &decoder, explode.as_ref(), lineage_id.as_ref());
        wants.mistakes(types, spec.explodes()).into_iter().for_each(|mistake| self.mistake(subject.clone(), mistake));
        let lineage = self.lineage(spec, &columns, &targets)?;
        if stamp.purpose != Purpose::Comparison {
            self.moving_key(spec, (&columns, &targets), lineage);
        }
        let fingerprint = fingerprint(spec, &columns, &targets, stamp);
        let any_key = takes_any_key(&columns, &targets);
        let mut run_json = String::new();
        push_json_string(&mut run_json, &stamp.run_id);
        Some(Mapping {
            name: spec.name.clone(),
            table: name,
            pattern,
            columns,
            targets,
            key_columns,
            lineage,
            wanted: wants.wanted(
                types,
                explode.is_some(),
                lineage_id.is_some() && stamp.purpose != Purpose::Rehearsal || expiry_policy.wants_expiry(),
                streams,
            ),
            undecoded: explode.is_none() && wants.is_undecoded(types),
            any_key,
            expiry: expiry_policy,
            explode,
            deletes_removed: spec.deletes_rows(),
            items: ItemForms::of(spec),
            takes_infinity,
            lineage_id,
            top,
            decoder,
            unwrap_json_string: spec.unwrap_json_string,
            purpose: stamp.purpose,
            on_conflict: spec.on_conflict,
            parents: Vec::new(),
            parent_patterns: Vec::new(),
            fingerprint,
            run_id: stamp.run_id.as_str().into(),
            run_json: run_json.into(),
            databases: spec.databases.clone(),
            own: stamp.database,
            database: Database::only(stamp.database),
            database_text: Arc::from(""),
            here: true,
            server_version: stamp.server_version.as_deref().map(Into::into),
        })
    }

    /// The columns that the mapping writes, in their order, and what each is made of.
    fn columns(&mut self, spec: &MappingSpec, table: &Table, pattern: &Pattern) -> (Vec<Column>, Vec<Target>) {
        let written = ordered(spec).filter_map(|column| self.column(spec, column, table, pattern));
        let (columns, mut targets): (Vec<Column>, Vec<Target>) = written.unzip();
        rest::settle(&mut targets);
        self.coverage(spec, table, &columns);
        (columns, targets)
    }

    /// How keys are taken apart, if they are.
    fn explode(&mut self, spec: &MappingSpec, types: RedisTypes, targets: &[Target]) -> Option<Explode> {
        let of_key =
            targets.iter().take(spec.key.len()).flat_map(|target| &target.candidates).all(Candidate::is_of_key);
        let read = Explode::read(spec, types, of_key);
        read.unwrap_or_else(|(message, hint)| {
            self.critical(format!("mapping {}", spec.name), message, hint);
            None
        })
    }

    /// Where the id comes from that the lineage names.
    fn lineage_id(&mut self, spec: &MappingSpec, pattern: &Pattern) -> Option<Source> {
        let Some(LineageSpec::Column { document_id, .. }) = &spec.lineage else { return None };
        let subject = format!("mapping {}", spec.name);
        let id = self.read(&subject, Source::parse(document_id, pattern), AN_ID);
        if matches!(id, Some(Source::Rest(_))) {
            self.critical(subject, "`lineage.document_id` names the rest, which is no id", AN_ID);
        }
        id
    }

    /// How the mapping's values are decoded; what its sources cannot read of them is found with it.
    pub(super) fn decoder(&mut self, spec: &MappingSpec) -> Option<Decoder> {
        for (subject, mistake) in unreadable(spec) {
            self.mistake(subject, mistake);
        }
        let mistakes = match decoder(spec) {
            Ok(decoder) => return Some(decoder),
            Err(mistakes) => mistakes,
        };
        mistakes.into_iter().for_each(|mistake| self.mistake(format!("mapping {}", spec.name), mistake));
        None
    }

    /// Whether a column can take what its sources give.
    pub(super) fn sources_fit(
        &mut self,
        subject: String,
        column: &Column,
        candidates: &[Candidate],
        encoder: &Encoder,
        form: Form,
    ) {
        let fits = whole_fits(column, candidates, encoder, form).and_then(|()| facts_fit(column, candidates, encoder));
        if let Err(mistake) = fits {
            self.mistake(subject, mistake);
        }
    }

    /// More columns than a row's shape has bits for.
    pub(super) fn too_many_columns(&mut self, subject: &str, spec: &MappingSpec) {
        if spec.columns.len() > MAX_COLUMNS {
            let message = format!("`column`: {} columns, those of the lineage among them", spec.columns.len());
            self.critical(subject, message, "A mapping writes at most 64 columns.");
        }
    }

    pub(super) fn mistake(&mut self, subject: String, (message, hint): Mistake) {
        self.critical(subject, message, hint);
    }

    pub(super) fn types(&mut self, subject: &str, spec: &MappingSpec) -> RedisTypes {
        if spec.types.is_empty() {
            self.critical(subject, "`type` names no type", "Leave it out for strings, or name those that it takes.");
        }
        if !spec.types.iter().any(|redis_type| redis_type.is_whole()) && spec.decode != ["json"] {
            self.critical(subject, "`decode` is for strings, and the mapping takes none", "Take it out.");
        }
        if spec.items != ItemForm::Text && !spec.types.iter().any(|redis_type| has_values(*redis_type)) {
            let hint = "Take it out, or take hashes, lists or streams.";
            self.critical(subject, "`items` is about the values of hashes, lists and streams", hint);
        }
        if spec.members != ItemForm::Text && !spec.types.iter().any(|redis_type| has_members(*redis_type)) {
            let hint = "Take it out, or take sets or sorted sets.";
            self.critical(subject, "`members` is about the members of sets and sorted sets", hint);
        }
        spec.types.iter().copied().collect()
    }
}

/// The columns with those of the key first.
fn ordered(spec: &MappingSpec) -> impl Iterator<Item = &ColumnSpec> {
    let keys = spec.key.iter().filter_map(|key| spec.columns.iter().find(|column| column.name == *key));
    keys.chain(spec.columns.iter().filter(|column| !spec.key.contains(&column.name)))
}
