//! Candidates: a source with its functions and its condition.

use super::found::Found;
use super::functions::Function;
use super::jq::Program;
use super::pattern::Pattern;
use super::rest::Rest;
use super::source::{Context, Source};
use super::top::Top;
use super::{CandidateSpec, ConstantSpec, SourceTable};
use crate::decode::{JsonPath, Kind, scan};
use crate::encode::EncodeError;
use std::borrow::Cow;
use std::sync::Arc;

/// One place that a value can come from, compiled.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) source: Source,
    /// The candidate's functions, then the column's.
    pub(super) with: Vec<Function>,
    /// Whether the candidate derives its value, so that a null in its source is not the column's null.
    pub(super) derived: bool,
    pub(super) when: Option<JsonPath>,
    /// How many of the functions lead to the id that a parent's key has, where the column refers to a parent.
    pub(super) before_id: usize,
    /// How it is called when it is missed.
    pub(super) label: String,
}

impl Candidate {
    /// Reads a candidate; `pattern` names the captures, `column_with` follows the candidate's own functions.
    ///
    /// # Errors
    /// Where a source, function or condition cannot be read, or they contradict each other.
    pub(super) fn parse(spec: &CandidateSpec, pattern: &Pattern, column_with: &[Function]) -> Result<Self, String> {
        let candidate = match spec {
            CandidateSpec::Source(text) => Self {
                source: Source::parse(text, pattern)?,
                with: column_with.to_vec(),
                derived: false,
                before_id: 0,
                when: None,
                label: text.clone(),
            },
            CandidateSpec::Table(table) => Self::of_table(table, pattern, column_with)?,
        };
        candidate.check_functions().map(|()| candidate)
    }

    fn of_table(table: &SourceTable, pattern: &Pattern, column_with: &[Function]) -> Result<Self, String> {
        let (mut source, label) = source(table, pattern)?;
        if !table.except.is_empty() {
            let Source::Rest(rest) = &mut source else {
                return Err(format!("`except` goes with `source = \"rest\"`, not with {label}"));
            };
            *rest = Rest::without(&table.except);
        }
        let mut with = table.with.iter().map(Function::parse).collect::<Result<Vec<_>, _>>()?;
        with.extend(column_with.iter().cloned());
        let when = table.when.as_deref().map(JsonPath::parse).transpose()?;
        // A filter gives null for a field that is not there.
        let derived = !table.with.is_empty() || when.is_some() || table.jq.is_some();
        Ok(Self { source, with, derived, when, before_id: 0, label })
    }

    /// Whether it gives an object in any case, as it is.
    pub(super) fn gives_object(&self) -> bool {
        self.with.is_empty() && matches!(self.source, Source::Collect(_) | Source::Rest(_))
    }

    /// What is always an object or array takes no function over text.
    fn check_functions(&self) -> Result<(), String> {
        let object = match &self.source {
            Source::Collect(_) | Source::Rest(_) => true,
            source => source.constant().is_some_and(|constant| constant.is_composite()),
        };
        match self.with.iter().find(|function| !matches!(function, Function::Json)) {
            Some(function) if object && !function.takes_json() => Err(format!(
                "`with`: {} gives an object or array, and functions take text; `text` makes a text of it",
                self.label
            )),
            _ => Ok(()),
        }
    }

    /// Whether one of its functions reads JSON out of a text.
    pub(super) fn reads_json(&self) -> bool {
        self.with.iter().any(|function| matches!(function, Function::Json))
    }

    /// Whether it says the same of every element of a key.
    pub(super) fn is_of_key(&self) -> bool {
        self.source.is_of_key()
    }

    /// What the record's value must be at the top for this candidate.
    pub(super) fn top(&self) -> Top {
        self.source.top().and(self.when.as_ref().map(Top::of).unwrap_or_default())
    }

    /// The candidate's value on a record, its functions applied.
    ///
    /// # Errors
    /// Where the source or a function refuses the value.
    #[inline]
    pub(super) fn evaluate<'r>(&'r self, context: &Context<'r>) -> Result<Found<'r>, EncodeError> {
        if let Some(when) = &self.when
            && context.path(when).is_none_or(|raw| Kind::of(raw) == Kind::Null)
        {
            return Ok(Found::Absent);
        }
        let found = self.source.evaluate(context)?;
        if self.with.is_empty() || matches!(found, Found::Absent | Found::Null) {
            return Ok(found);
        }
        self.apply(found)
    }

    fn apply<'r>(&'r self, mut found: Found<'r>) -> Result<Found<'r>, EncodeError> {
        for function in &self.with {
            found = function.apply(found)?;
            if matches!(found, Found::Absent) {
                break;
            }
        }
        Ok(found)
    }

    /// The value of a candidate that takes nothing from a record, its functions applied; `None` for any other.
    pub(super) fn constant(&self) -> Option<Result<Found<'_>, EncodeError>> {
        self.source.constant().map(|constant| self.apply(constant))
    }

    /// The id that a reference names, as the parent's key has it, where it is text.
    pub(super) fn reference<'r>(&'r self, context: &Context<'r>) -> Option<Cow<'r, str>> {
        let found = self.source.evaluate(context).ok()?;
        let mut functions = self.with.iter().take(self.before_id);
        functions.try_fold(found, |found, function| function.apply(found)).ok()?.into_text().ok().flatten()
    }
}

/// The one source that a table names, and how it is called.
fn source(table: &SourceTable, pattern: &Pattern) -> Result<(Source, String), String> {
    const KINDS: &str = "one of `source`, `value`, `json`, `jq` and `collect`";
    let SourceTable { source, value, json, jq, collect, .. } = table;
    let given = [source.is_some(), value.is_some(), json.is_some(), jq.is_some(), collect.is_some()];
    if given.into_iter().filter(|given| *given).count() > 1 {
        return Err(format!("a source is {KINDS}; write more than one as more than one candidate"));
    }
    if let Some(text) = source {
        return Ok((Source::parse(text, pattern)?, text.clone()));
    }
    if let Some(value) = value {
        return Ok((constant(value)?, format!("the constant {value}")));
    }
    if let Some(text) = json {
        let scanned = scan(text, &mut Vec::new()).map_err(|fault| format!("`json`: {}", fault.explain(text).detail))?;
        return Ok((Source::Json(scanned.span.of(text).to_owned()), "the constant JSON".to_owned()));
    }
    if let Some(filter) = jq {
        return Ok((Source::Jq(Arc::new(Program::parse(filter)?)), format!("jq `{filter}`")));
    }
    let Some(names) = collect else { return Err(format!("the source is missing: {KINDS}")) };
    if names.is_empty() {
        return Err("`collect` names no field".to_owned());
    }
    let label = names.iter().map(|name| format!("$.{name}")).collect::<Vec<_>>().join(", ");
    Ok((Source::Collect(names.clone()), label))
}

fn constant(value: &ConstantSpec) -> Result<Source, String> {
    match value {
        ConstantSpec::Text(text) => Ok(Source::Text(text.clone())),
        ConstantSpec::Float(number) if !number.is_finite() => {
            Err(format!("`value`: {number} is no JSON number; write it as a text"))
        }
        number => Ok(Source::Json(number.to_string())),
    }
}
