//! What is wrong with mappings as they are written, whatever the tables are.

use super::conflict::check_keys;
use super::graph::phases;
use super::known_type::known_type;
use super::policy::unreadable_policies;
use super::references::ITS_OWN;
use super::wants::Wants;
use super::{AN_ID, Check, QUALIFIED};
use crate::encode::Encoder;
use crate::mapping::candidate::Candidate;
use crate::mapping::expiry::ExpiryPolicy;
use crate::mapping::explode::Explode;
use crate::mapping::pattern::KeySet;
use crate::mapping::source::Source;
use crate::mapping::{ColumnSpec, LineageSpec, MappingSpec};
use crate::model::{Column, Finding, Wanted};

/// Everything that can be found without a look at any table: keys, chains, sources, functions, references, and the policies of
/// columns whose type is stated. `own` is the number of the source's own database.
pub fn check_specs(specs: &[MappingSpec], own: u8) -> Vec<Finding> {
    let specs: Vec<_> = specs.iter().map(MappingSpec::with_lineage_columns).collect();
    let specs = specs.as_slice();
    let mut check = Check::default();
    check.findings.extend(check_keys(specs, own));
    for (index, spec) in specs.iter().enumerate() {
        let subject = format!("mapping {}", spec.name);
        if spec.name.is_empty() {
            check.critical(&subject, "`name` is empty", "Give it a name: reports and other mappings call it so.");
        }
        if specs.iter().take(index).any(|earlier| earlier.name == spec.name) {
            check.critical(&subject, "`name` is taken by another mapping", ITS_OWN);
        }
        check.alone(spec, &subject);
        check.told_apart(spec, &subject, own);
        check.references(specs, spec, &subject);
    }
    if let Err(circle) = phases(specs) {
        check.circle(specs, &circle);
    }
    check.findings
}

/// What a mapping wants to be read of its keys, as far as that is known without its table: of values that are read in
/// pieces nothing is. `None` where the mapping cannot be read.
pub fn wanted_of(spec: &MappingSpec) -> Option<Wanted> {
    let (spec, mut check) = (spec.with_lineage_columns(), Check::default());
    let keys = KeySet::parse(&spec).ok()?;
    let columns = spec.columns.iter();
    let candidates: Vec<Candidate> = columns.flat_map(|column| check.candidates("", column, keys.first())).collect();
    let lineage_id = match &spec.lineage {
        Some(LineageSpec::Column { document_id, .. }) => Source::parse(document_id, keys.first()).ok(),
        _ => None,
    };
    let expiry = lineage_id.is_some() || ExpiryPolicy::read(&spec).ok()?.wants_expiry();
    let types = check.types("", &spec);
    Some(Wants::of(candidates.iter(), lineage_id.as_ref()).wanted(types, spec.explodes(), expiry, false))
}

/// Whether a column of a mapping has a value on every record, such as one that comes from a capture of the key: it is never
/// NULL then. `false` where that cannot be told from the mapping alone.
pub fn always_has_value(spec: &MappingSpec, column: &str) -> bool {
    let (Ok(keys), Some(column)) = (KeySet::parse(spec), spec.columns.iter().find(|known| known.name == column)) else {
        return false;
    };
    let candidates = Check::default().candidates("", column, keys.first());
    candidates.iter().any(|candidate| candidate.always_gives(column))
}

impl Check {
    /// One mapping by itself.
    fn alone(&mut self, spec: &MappingSpec, subject: &str) {
        self.read(subject, spec.table_name().map_err(|why| format!("`into`: {why}")), QUALIFIED);
        self.read(subject, spec.audit_table().map_err(|why| format!("`audit`: {why}")), QUALIFIED);
        let form = self.decoder(spec).map(|decoder| decoder.chain.form);
        let types = self.types(subject, spec);
        self.own_coverage(spec);
        self.key_twice(subject, spec);
        self.too_many_columns(subject, spec);
        if let Err(mistake) = ExpiryPolicy::read(spec) {
            self.mistake(subject.to_owned(), mistake);
        }
        // A pattern that cannot be read is told already.
        let keys = KeySet::parse(spec).ok();
        if keys.as_ref().is_some_and(KeySet::takes_nothing) {
            let message = "`exclude` takes every key that `match` takes: nothing is left for the mapping";
            self.critical(subject, message, "Name less in `exclude`, or take the mapping out.");
        }
        let mut read = Vec::new();
        for column in &spec.columns {
            let subject = format!("{}.{}", spec.into, column.name);
            let lineage = spec.lineage_column() == Some(&column.name);
            self.own_contradictions(&subject, column, lineage);
            let encoder = self.typed(&subject, column);
            let Some(keys) = &keys else { continue };
            let candidates = self.candidates(&subject, column, keys.first());
            self.idle(spec, &subject, column, &candidates);
            self.unreachable(&subject, column, &candidates);
            self.volatile_key(spec, &subject, column, &candidates);
            if encoder.as_ref().is_none_or(|(_, encoder)| encoder.takes_json()) {
                self.unmet(&subject, column, &candidates);
            }
            if let (Some((known, encoder)), Some(form)) = (&encoder, form) {
                self.constant_candidates(&subject, &candidates, encoder);
                self.sources_fit(subject, known, &candidates, encoder, form);
            }
            read.push((column, candidates));
        }
        let Some(keys) = keys else { return };
        let lineage_id = match &spec.lineage {
            Some(LineageSpec::Column { document_id, .. }) => {
                let read = Source::parse(document_id, keys.first());
                self.read(subject, read.map_err(|why| format!("`lineage`: document_id: {why}")), AN_ID)
            }
            _ => None,
        };
        let wants = Wants::of(read.iter().flat_map(|(_, candidates)| candidates), lineage_id.as_ref());
        if !spec.explodes() && wants.is_undecoded(types) {
            self.undecoded(spec, subject);
        }
        wants
            .mistakes(types, spec.explodes())
            .into_iter()
            .for_each(|mistake| self.mistake(subject.to_owned(), mistake));
        // A source that could not be read may be one of the element.
        let of_key = |(column, candidates): &(&ColumnSpec, Vec<Candidate>)| {
            candidates.len() == column.from.len() && candidates.iter().all(Candidate::is_of_key)
        };
        let mut key = read.iter().filter(|(column, _)| spec.key.contains(&column.name)).peekable();
        let of_key = key.peek().is_some() && key.all(of_key);
        if let Err(mistake) = Explode::read(spec, types, of_key) {
            self.mistake(subject.to_owned(), mistake);
        }
    }

    /// The column's settings held against its type, as far as the mapping states one that is known without a server.
    fn typed(&mut self, subject: &str, column: &ColumnSpec) -> Option<(Column, Encoder)> {
        let Some(column_type) = column.sql_type.as_deref().and_then(known_type) else {
            for fault in unreadable_policies(column) {
                self.critical(subject, fault.message, fault.hint);
            }
            return None;
        };
        let policy = self.policy(subject, column, &column_type)?;
        let (name, not_null) = (column.name.clone(), column.required);
        let known = Column { name, column_type, not_null, has_default: false, generated: false };
        let encoder = Encoder::new(&known, policy)?;
        self.constants(subject, column, &encoder);
        self.unfit_expectation(subject, column, &encoder);
        Some((known, encoder))
    }
}
