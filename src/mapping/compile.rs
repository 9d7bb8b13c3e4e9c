//! From what a person wrote to a plan: every mistake is found at once, before the first key is read.

use super::candidate::Candidate;
use super::conflict::{Doubt, conflicts};
use super::decoding::{Mistake, decoder, unreadable, whole_fits};
use super::expiry::ExpiryPolicy;
use super::explode::Explode;
use super::graph::phases;
use super::pattern::{KeySet, Pattern};
use super::plan::{Mapping, ParentRef, Plan, RunStamp, Target};
use super::policy::compile_policy;
use super::reference::functions_before_id;
use super::rest;
use super::sameness::{comparison, fingerprint};
use super::score;
use super::source::Source;
use super::streaming;
use super::top::Top;
use super::wants::{Wants, facts_fit, takes_any_key};
use super::{ColumnSpec, ItemForm, LineageSpec, MappingSpec};
use crate::decode::{Decoder, push_json_string};
use crate::encode::{Encoder, Policy};
use crate::model::{
    Column, ColumnType, Finding, MappingId, RedisType, RedisTypes, Severity, Side, Table, TableName, sha256_hex,
};
use std::collections::HashMap;

/// A row's shape has one bit for each column.
const MAX_COLUMNS: usize = 64;

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
            doubts = check.keys(&mappings);
            check.parents(specs, &mut mappings);
        }
        let phases = phases(specs).unwrap_or_else(|circle| {
            check.critical(circle, "its parents lead back to itself", "Take one of the references out.");
            Vec::new()
        });
        if check.findings.iter().any(|finding| finding.severity == Severity::Critical) {
            return Err(check.findings);
        }
        Ok(Self { mappings, phases, warnings: check.findings, doubts })
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
    pub(super) fn read<T>(&mut self, subject: &str, read: Result<T, String>) -> Option<T> {
        read.map_err(|message| self.critical(subject, message, "")).ok()
    }

    fn mapping(&mut self, spec: &MappingSpec, tables: &HashMap<TableName, Table>, stamp: &RunStamp) -> Option<Mapping> {
        let subject = format!("mapping {}", spec.name);
        let pattern = self.read(&subject, KeySet::parse(spec));
        let name = self.read(&subject, spec.table_name());
        self.read(&format!("{subject}: audit"), spec.audit_table());
        let decoder = self.decoder(spec);
        let expiry_policy = ExpiryPolicy::read(spec).map_err(|mistake| self.mistake(subject.clone(), mistake));
        let expiry_policy = expiry_policy.unwrap_or_default();
        let (pattern, name) = (pattern?, name?);
        let Some(table) = tables.get(&name) else {
            self.target(name.to_string(), "the table is missing", "Create it, or have its migration run.");
            return None;
        };
        let (columns, mut targets): (Vec<Column>, Vec<Target>) =
            ordered(spec).filter_map(|column| self.column(spec, column, table, pattern.first())).unzip();
        rest::settle(&mut targets);
        self.coverage(spec, table, &columns);
        let decoder = decoder?;
        for (column, target) in columns.iter().zip(&targets) {
            let fits = whole_fits(column, target, decoder.chain.form).and_then(|()| facts_fit(column, target));
            if let Err(mistake) = fits {
                self.mistake(format!("{}.{}", spec.into, column.name), mistake);
            }
        }
        if columns.len() > MAX_COLUMNS {
            self.critical(&subject, format!("{} columns", columns.len()), "A mapping writes at most 64 columns.");
        }
        let lineage_id = match &spec.lineage {
            Some(LineageSpec::Column { document_id, .. }) => {
                self.read(&subject, Source::parse(document_id, pattern.first()))
            }
            _ => None,
        };
        if matches!(lineage_id, Some(Source::Rest(_))) {
            self.critical(
                &subject,
                "`lineage.document_id` names the rest, which is no id",
                "Name a capture or a path.",
            );
        }
        let entered = targets.iter().flat_map(|target| &target.candidates).map(Candidate::top);
        let top = entered.chain(lineage_id.as_ref().map(Source::top)).fold(Top::default(), Top::and);
        let wants = Wants::of(&targets, lineage_id.as_ref());
        let types = self.types(&subject, spec);
        let explode = Explode::read(spec, types, targets.get(..spec.key.len()).unwrap_or(&targets))
            .map_err(|(message, hint)| self.critical(&subject, message, hint))
            .ok()
            .flatten();
        let takes_infinity = score::takes_infinity(spec, &columns, &targets);
        let key_columns = spec.key.len();
        let streams = types.has(RedisType::String)
            && streaming::settle(&mut targets, key_columns, &decoder, explode.as_ref(), lineage_id.as_ref());
        wants.mistakes(types, spec.explodes()).into_iter().for_each(|mistake| self.mistake(subject.clone(), mistake));
        let lineage = self.lineage(spec, &columns, &targets)?;
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
                lineage_id.is_some() && !stamp.rehearsal || expiry_policy.wants_expiry(),
                streams,
            ),
            undecoded: explode.is_none() && wants.is_undecoded(types),
            any_key,
            expiry: expiry_policy,
            explode,
            deletes_removed: spec.deletes_rows(),
            items: spec.items,
            takes_infinity,
            lineage_id,
            top,
            decoder,
            unwrap_json_string: spec.unwrap_json_string,
            rehearsal: stamp.rehearsal,
            on_conflict: spec.on_conflict,
            parents: Vec::new(),
            parent_patterns: Vec::new(),
            fingerprint,
            run_id: stamp.run_id.as_str().into(),
            run_json: run_json.into(),
            database: stamp.database.to_string().into(),
            server_version: stamp.server_version.as_deref().map(Into::into),
        })
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

    fn mistake(&mut self, subject: String, (message, hint): Mistake) {
        self.critical(subject, message, hint);
    }

    fn column(
        &mut self,
        spec: &MappingSpec,
        wanted: &ColumnSpec,
        table: &Table,
        pattern: &Pattern,
    ) -> Option<(Column, Target)> {
        let subject = format!("{}.{}", spec.into, wanted.name);
        let Some(column) = table.column(&wanted.name) else {
            self.missing_column(spec, wanted, subject);
            return None;
        };
        let is_key = spec.key.contains(&wanted.name);
        let lineage = spec.lineage_column() == Some(&wanted.name);
        let policy = self.policy(&subject, wanted, &column.column_type)?;
        let policy = score::keep_infinity(spec, wanted, &column.column_type, policy);
        let Some(encoder) = Encoder::new(column, policy) else {
            let (message, hint) = match &column.column_type {
                ColumnType::Unsupported(name) => {
                    (format!("nothing can be written to the type {name}"), "Leave the column out of the mapping.")
                }
                _ => ("the column is generated and cannot be written".into(), "Leave the column out of the mapping."),
            };
            self.target(subject, message, hint);
            return None;
        };
        if lineage && column.column_type != ColumnType::Jsonb {
            self.target(subject, "lineage needs a jsonb column", "Name another column, or leave `lineage` out.");
            return None;
        }
        self.constants(&subject, wanted, &encoder);
        self.contradictions(&subject, wanted, &encoder, lineage);
        let candidates = self.candidates(&subject, wanted, pattern);
        self.constant_candidates(&subject, &candidates, &encoder);
        let target = Target {
            comparison: comparison(wanted.ignore_changes, lineage, &candidates),
            encoder,
            candidates,
            default: wanted.default.clone(),
            null_as: wanted.null_as.clone(),
            // A NOT NULL column says so of null itself.
            wants_value: wanted.required && !column.not_null,
            required: wanted.required || is_key || (column.not_null && !column.has_default),
            unwrap_json_string: wanted.unwrap_json_string,
            expect: wanted.expect,
            lineage,
            streams: false,
        };
        Some((column.clone(), target))
    }

    pub(super) fn types(&mut self, subject: &str, spec: &MappingSpec) -> RedisTypes {
        if spec.types.is_empty() {
            self.critical(subject, "`type` names no type", "Leave it out for strings, or name those that it takes.");
        }
        if !spec.types.iter().any(|redis_type| redis_type.is_whole()) && spec.decode != ["json"] {
            self.critical(subject, "`decode` is for strings, and the mapping takes none", "Take it out.");
        }
        let has_values =
            |redis_type: &RedisType| matches!(redis_type, RedisType::Hash | RedisType::List | RedisType::Stream);
        if spec.items == ItemForm::Json && !spec.types.iter().any(has_values) {
            let hint = "Take it out, or take hashes, lists or streams.";
            self.critical(subject, "`items` is about the values of hashes, lists and streams", hint);
        }
        spec.types.iter().copied().collect()
    }

    fn missing_column(&mut self, spec: &MappingSpec, wanted: &ColumnSpec, subject: String) {
        if !wanted.optional || spec.key.contains(&wanted.name) {
            return self.target(subject, "the column is missing", "Add it, or take it out of the mapping.");
        }
        let lineage = spec.lineage_column() == Some(&wanted.name);
        let message = if lineage {
            "the column is missing: the lineage is kept in the ledger, and the records' own values are left out"
        } else {
            "the column is missing: its values are left out"
        };
        self.findings.push(Finding::warning(Side::Postgres, subject, message, "Add the column to keep them."));
    }

    fn policy(&mut self, subject: &str, wanted: &ColumnSpec, column_type: &ColumnType) -> Option<Policy> {
        compile_policy(wanted, column_type)
            .map_err(|faults| {
                faults.iter().for_each(|fault| self.critical(subject, fault.message.as_str(), fault.hint))
            })
            .ok()
    }

    /// Whether the columns that the mapping names are there, each once.
    pub(super) fn own_coverage(&mut self, spec: &MappingSpec) {
        if spec.key.is_empty() {
            let message = "`key` names no column";
            self.critical(format!("mapping {}", spec.name), message, "Name the columns that identify a row.");
        }
        for key in &spec.key {
            if !spec.columns.iter().any(|column| column.name == *key) {
                self.critical(
                    format!("{}.{key}", spec.into),
                    "the key column is not mapped",
                    "Say where it comes from.",
                );
            }
        }
        for (index, column) in spec.columns.iter().enumerate() {
            if spec.columns.iter().take(index).any(|earlier| earlier.name == column.name) {
                self.critical(format!("{}.{}", spec.into, column.name), "the column is mapped twice", "");
            }
        }
        if let Some(lineage) = spec.lineage_column()
            && !spec.columns.iter().any(|column| column.name == lineage)
        {
            let subject = format!("{}.{lineage}", spec.into);
            self.critical(subject, "the lineage's column is not among the columns", "Add it, with `from = []`.");
        }
    }

    fn coverage(&mut self, spec: &MappingSpec, table: &Table, columns: &[Column]) {
        self.own_coverage(spec);
        for column in &table.columns {
            let mapped = columns.iter().any(|mapped| mapped.name == column.name)
                || spec.columns.iter().any(|mapped| mapped.name == column.name);
            if column.not_null && !column.has_default && !column.generated && !mapped {
                let subject = format!("{}.{}", spec.into, column.name);
                self.target(subject, "NOT NULL without a default, and no column of the mapping feeds it", "Map it.");
            }
        }
    }

    fn names(&mut self, mappings: &[Mapping]) {
        for (index, mapping) in mappings.iter().enumerate() {
            if mappings.iter().take(index).any(|earlier| earlier.name == mapping.name) {
                self.critical(format!("mapping {}", mapping.name), "the name is taken", "");
            }
        }
    }

    fn keys(&mut self, mappings: &[Mapping]) -> Vec<Doubt> {
        let sets: Vec<(&str, &KeySet)> =
            mappings.iter().map(|mapping| (mapping.name.as_str(), &mapping.pattern)).collect();
        let (findings, doubts) = conflicts(&sets);
        self.findings.extend(findings);
        doubts
    }

    fn parents(&mut self, specs: &[MappingSpec], mappings: &mut [Mapping]) {
        let known: Vec<(String, KeySet)> = mappings.iter().map(|m| (m.name.clone(), m.pattern.clone())).collect();
        for (spec, mapping) in specs.iter().zip(mappings) {
            let subject = format!("mapping {}", spec.name);
            for after in spec.after.iter().filter(|after| !known.iter().any(|(name, _)| name == *after)) {
                self.critical(&subject, format!("`after` names `{after}`, which is no mapping"), "");
            }
            for parent in &spec.parents {
                let index = known.iter().position(|(name, _)| *name == parent.mapping);
                let column = mapping.columns.iter().position(|column| column.name == parent.column);
                let (Some(index), Some(column)) = (index, column) else {
                    let message =
                        format!("`parents`: no mapping `{}` or no column `{}`", parent.mapping, parent.column);
                    self.critical(&subject, message, "");
                    continue;
                };
                mapping.parents.push(ParentRef { mapping: MappingId(index as u16), column });
                if let (Some(target), Some(parent_spec)) = (mapping.targets.get_mut(column), specs.get(index)) {
                    refer(target, spec, &parent.column, parent_spec);
                }
                mapping.parent_patterns.extend(known.get(index).map(|(_, pattern)| pattern.clone()));
            }
        }
    }
}

/// The columns with those of the key first.
fn ordered(spec: &MappingSpec) -> impl Iterator<Item = &ColumnSpec> {
    let keys = spec.key.iter().filter_map(|key| spec.columns.iter().find(|column| column.name == *key));
    keys.chain(spec.columns.iter().filter(|column| !spec.key.contains(&column.name)))
}

/// Tells the candidates of a referring column how to get at the id in the parent's key.
fn refer(target: &mut Target, spec: &MappingSpec, column: &str, parent: &MappingSpec) {
    let own = spec.columns.iter().find(|known| known.name == column);
    let key = parent.columns.iter().find(|known| parent.key.first() == Some(&known.name));
    let (Some(own), Some(key)) = (own, key) else { return };
    for (candidate, from) in target.candidates.iter_mut().zip(&own.from) {
        candidate.before_id = functions_before_id(own, from, key);
    }
}
