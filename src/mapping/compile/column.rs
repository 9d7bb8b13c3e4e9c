//! The settings of one column: what feeds it, and whether they agree with each other and with the table.

use super::Check;
use crate::decode::scan;
use crate::encode::{Encoder, Value};
use crate::mapping::ColumnSpec;
use crate::mapping::candidate::Candidate;
use crate::mapping::found::Found;
use crate::mapping::functions::Function;
use crate::mapping::pattern::Pattern;

impl Check {
    /// The candidates of a column.
    pub(super) fn candidates(&mut self, subject: &str, wanted: &ColumnSpec, pattern: &Pattern) -> Vec<Candidate> {
        const WITH: &str = "docs/mapping.md, \"Functions\", lists them.";
        const FROM: &str = "docs/mapping.md, \"Sources\", lists them.";
        let with = wanted.with.iter().map(|spec| Function::parse(spec).map_err(|why| format!("`with`: {why}")));
        let with: Vec<_> = with.filter_map(|read| self.read(subject, read, WITH)).collect();
        let parsed = wanted.from.iter().map(|from| Candidate::parse(from, pattern, &with));
        let parsed = parsed.map(|read| read.map_err(|why| format!("`from`: {why}")));
        parsed.filter_map(|read| self.read(subject, read, FROM)).collect()
    }

    /// Settings that contradict each other, or the column.
    pub(super) fn contradictions(&mut self, subject: &str, wanted: &ColumnSpec, encoder: &Encoder, lineage: bool) {
        self.own_contradictions(subject, wanted, lineage);
        self.unfit_expectation(subject, wanted, encoder);
    }

    /// A JSON type that a column is to have that takes no JSON.
    pub(super) fn unfit_expectation(&mut self, subject: &str, wanted: &ColumnSpec, encoder: &Encoder) {
        if wanted.expect.is_some() && !encoder.takes_json() {
            self.critical(subject, "`expect` names a JSON type, and the column takes no JSON", "Take it out.");
        }
    }

    /// Settings that contradict each other, whatever the column is.
    pub(super) fn own_contradictions(&mut self, subject: &str, wanted: &ColumnSpec, lineage: bool) {
        if wanted.required && wanted.default.is_some() {
            let message = "`required` and `default` contradict each other: with a default, nothing is ever missing";
            self.critical(subject, message, "Take one of them out.");
        }
        if wanted.required && wanted.optional {
            let message = "`required` and `optional` contradict each other: the table may lack what each row must have";
            self.critical(subject, message, "Take one of them out.");
        }
        if wanted.empty_as_null && wanted.null_tokens.iter().any(String::is_empty) {
            let message = "`null_tokens` names the empty text, of which `empty_as_null` says the same";
            self.critical(subject, message, "Say it once.");
        }
        if wanted.from.is_empty() && wanted.default.is_none() && !lineage {
            self.critical(subject, "`from`: nothing feeds the column", "Say where it comes from: `from = \"$.name\"`.");
        }
        if wanted.from.is_empty() && !wanted.with.is_empty() {
            self.critical(subject, "`with` has no candidate to work on", "Take it out.");
        }
    }

    /// Constants must fit their column before any record needs them.
    pub(super) fn constants(&mut self, subject: &str, wanted: &ColumnSpec, encoder: &Encoder) {
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
            self.fits(subject, &format!("`{setting}`"), encoder, value);
        }
    }

    /// What candidates give that take nothing from a record must fit the column.
    pub(super) fn constant_candidates(&mut self, subject: &str, candidates: &[Candidate], encoder: &Encoder) {
        for candidate in candidates {
            match candidate.constant() {
                None if candidate.gives_object() => {
                    let refused = encoder.encode(Value::Json("{}"), &mut Vec::new()).err();
                    if refused.is_some_and(|error| error.reason == "type_mismatch") {
                        let message =
                            format!("`from`: {} gives an object, which the column does not take", candidate.label);
                        self.critical(subject, message, "Map it to a json or jsonb column.");
                    }
                }
                None => {}
                Some(Err(error)) => {
                    let message = format!("`from`: {}: {error}", candidate.label);
                    self.critical(subject, message, "Change the constant, or its functions.");
                }
                Some(Ok(Found::Absent | Found::Null)) => {
                    let message = format!("`from`: the functions make nothing of {}", candidate.label);
                    self.critical(subject, message, "Take the candidate out.");
                }
                Some(Ok(found)) => {
                    let mut spare = String::new();
                    let value = found.value(encoder.takes_json(), &mut spare);
                    self.fits(subject, &format!("`from`: {}", candidate.label), encoder, value);
                }
            }
        }
    }

    fn fits(&mut self, subject: &str, what: &str, encoder: &Encoder, value: Value<'_>) {
        if let Err(error) = encoder.encode(value, &mut Vec::new()) {
            let message = format!("{what} does not fit the column: {error}");
            self.critical(subject, message, "Write one that the column's type takes.");
        }
    }
}
