//! From what a person wrote to a plan: every mistake is found at once, before the first key is read.

use super::graph::phases;
use super::lineage::Lineage;
use super::pattern::Pattern;
use super::plan::{Comparison, Mapping, ParentRef, Plan, RunStamp, Target};
use super::policy::compile_policy;
use super::source::{Candidate, Source};
use super::{ColumnSpec, MappingSpec};
use crate::decode::{push_json_string, scan};
use crate::encode::{Encoder, Policy, Value};
use crate::model::{Column, ColumnType, Finding, MappingId, Severity, Side, Table, TableName, sha256_hex};
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
        let mut check = Check { findings: Vec::new() };
        if specs.is_empty() {
            check.critical("mapping", "there is no mapping", "Name a preset, or write a [[mapping]].");
        }
        let mut mappings: Vec<Mapping> = specs.iter().filter_map(|spec| check.mapping(spec, tables, &stamp)).collect();
        if mappings.len() == specs.len() {
            check.names_and_overlaps(&mappings);
            check.parents(specs, &mut mappings);
        }
        let phases = phases(specs).unwrap_or_else(|circle| {
            check.critical(circle, "its parents lead back to itself", "Take one of the references out.");
            Vec::new()
        });
        if check.findings.iter().any(|finding| finding.severity == Severity::Critical) {
            return Err(check.findings);
        }
        Ok(Self { mappings, phases, warnings: check.findings })
    }
}

struct Check {
    findings: Vec<Finding>,
}

impl Check {
    fn critical(&mut self, subject: impl Into<String>, message: impl Into<String>, hint: &str) {
        self.findings.push(Finding::critical(Side::Settings, subject, message, hint));
    }

    fn target(&mut self, subject: impl Into<String>, message: impl Into<String>, hint: &str) {
        self.findings.push(Finding::critical(Side::Postgres, subject, message, hint));
    }

    /// A value that could not be read becomes a finding.
    fn read<T>(&mut self, subject: &str, read: Result<T, String>) -> Option<T> {
        read.map_err(|message| self.critical(subject, message, "")).ok()
    }

    fn mapping(&mut self, spec: &MappingSpec, tables: &HashMap<TableName, Table>, stamp: &RunStamp) -> Option<Mapping> {
        let subject = format!("mapping {}", spec.name);
        let pattern = self.read(&subject, Pattern::parse(&spec.matches));
        let name = self.read(&subject, spec.table_name());
        self.read(&format!("{subject}: audit"), spec.audit_table());
        let (pattern, name) = (pattern?, name?);
        let Some(table) = tables.get(&name) else {
            self.target(name.to_string(), "the table is missing", "Create it, or have its migration run.");
            return None;
        };
        if spec.key.is_empty() {
            self.critical(&subject, "`key` names no column", "Name the columns that identify a row.");
        }
        let (columns, targets): (Vec<Column>, Vec<Target>) =
            ordered(spec).filter_map(|column| self.column(spec, column, table, &pattern)).unzip();
        self.coverage(spec, table, &columns);
        if columns.len() > MAX_COLUMNS {
            self.critical(&subject, format!("{} columns", columns.len()), "A mapping writes at most 64 columns.");
        }
        let lineage_id =
            spec.lineage.as_ref().and_then(|l| self.read(&subject, Source::parse(&l.document_id, &pattern)));
        let needs_object = targets.iter().flat_map(|target| &target.candidates).any(Candidate::needs_object)
            || matches!(lineage_id, Some(Source::Path(_)));
        let expiry = |candidate: &Candidate| matches!(candidate.source, Source::ExpiresAt);
        let wants_ttl = spec.lineage.is_some() && !stamp.rehearsal
            || targets.iter().any(|target| target.candidates.iter().any(expiry));
        let lineage = targets.iter().position(|target| target.lineage).map_or(Lineage::Ledger, Lineage::Column);
        let spec_hash = specs_hash(std::slice::from_ref(spec));
        let fingerprint = sha256_hex(format!("{} {spec_hash} {columns:?}", env!("CARGO_PKG_VERSION")).as_bytes());
        let mut run_json = String::new();
        push_json_string(&mut run_json, &stamp.run_id);
        Some(Mapping {
            name: spec.name.clone(),
            table: name,
            pattern,
            columns,
            targets,
            key_columns: spec.key.len(),
            lineage,
            lineage_id,
            needs_object,
            unwrap_json_string: spec.unwrap_json_string,
            wants_ttl,
            rehearsal: stamp.rehearsal,
            on_conflict: spec.on_conflict,
            parents: Vec::new(),
            parent_patterns: Vec::new(),
            fingerprint,
            run_id: stamp.run_id.as_str().into(),
            run_json: run_json.into(),
        })
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
        let lineage = spec.lineage.as_ref().is_some_and(|lineage| lineage.column == wanted.name);
        let policy = self.policy(&subject, wanted, &column.column_type)?;
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
        let parsed: Vec<_> = wanted.from.iter().map(|from| Candidate::parse(from, pattern, &wanted.with)).collect();
        let candidates: Vec<Candidate> = parsed.into_iter().filter_map(|read| self.read(&subject, read)).collect();
        let target = Target {
            comparison: comparison(wanted.ignore_changes, lineage, &candidates),
            encoder,
            candidates,
            default: wanted.default.clone(),
            null_as: wanted.null_as.clone(),
            required: wanted.required || is_key || (column.not_null && !column.has_default),
            unwrap_json_string: wanted.unwrap_json_string,
            expect: wanted.expect,
            lineage,
        };
        Some((column.clone(), target))
    }

    fn missing_column(&mut self, spec: &MappingSpec, wanted: &ColumnSpec, subject: String) {
        if !wanted.optional || spec.key.contains(&wanted.name) {
            return self.target(subject, "the column is missing", "Add it, or take it out of the mapping.");
        }
        let lineage = spec.lineage.as_ref().is_some_and(|lineage| lineage.column == wanted.name);
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

    /// `default` and `null_as` must fit their column before any record needs them.
    fn constants(&mut self, subject: &str, wanted: &ColumnSpec, encoder: &Encoder) {
        for (setting, constant) in [("default", &wanted.default), ("null_as", &wanted.null_as)] {
            let Some(constant) = constant else { continue };
            if encoder.takes_json() && scan(constant, &mut Vec::new()).is_err() {
                self.critical(
                    subject,
                    format!("`{setting}` is not JSON"),
                    "A text needs quotes of its own: '\"text\"'.",
                );
                continue;
            }
            let value = if encoder.takes_json() { Value::Json(constant) } else { Value::Text(constant) };
            if let Err(error) = encoder.encode(value, &mut Vec::new()) {
                self.critical(subject, format!("`{setting}` does not fit the column: {error}"), "");
            }
        }
    }

    fn coverage(&mut self, spec: &MappingSpec, table: &Table, columns: &[Column]) {
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
        for column in &table.columns {
            let mapped = columns.iter().any(|mapped| mapped.name == column.name)
                || spec.columns.iter().any(|mapped| mapped.name == column.name);
            if column.not_null && !column.has_default && !column.generated && !mapped {
                let subject = format!("{}.{}", spec.into, column.name);
                self.target(subject, "NOT NULL without a default, and no column of the mapping feeds it", "Map it.");
            }
        }
        if let Some(lineage) = &spec.lineage
            && !spec.columns.iter().any(|column| column.name == lineage.column)
        {
            let subject = format!("{}.{}", spec.into, lineage.column);
            self.critical(subject, "the lineage's column is not among the columns", "Add it, with `from = []`.");
        }
    }

    fn names_and_overlaps(&mut self, mappings: &[Mapping]) {
        for (index, mapping) in mappings.iter().enumerate() {
            for earlier in mappings.iter().take(index) {
                let subject = format!("mapping {}", mapping.name);
                if earlier.name == mapping.name {
                    self.critical(&subject, "the name is taken", "");
                }
                if earlier.pattern.overlaps(&mapping.pattern) {
                    let message = format!("some keys would be taken by `{}` as well", earlier.name);
                    self.critical(&subject, message, "Make the patterns exclude each other.");
                }
            }
        }
    }

    fn parents(&mut self, specs: &[MappingSpec], mappings: &mut [Mapping]) {
        let known: Vec<(String, Pattern)> = mappings.iter().map(|m| (m.name.clone(), m.pattern.clone())).collect();
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

fn comparison(ignore_changes: bool, lineage: bool, candidates: &[Candidate]) -> Comparison {
    let fed_by = |wanted: fn(&Source) -> bool| candidates.iter().any(|candidate| wanted(&candidate.source));
    if ignore_changes {
        Comparison::Ignored
    } else if lineage {
        Comparison::WithoutLineage
    } else if fed_by(|source| matches!(source, Source::ExpiresAt)) {
        Comparison::WithinSecond
    } else if !candidates.is_empty()
        && candidates.iter().all(|candidate| matches!(candidate.source, Source::RunId | Source::Digest))
    {
        Comparison::Ignored
    } else {
        Comparison::Exact
    }
}
