//! jq filters as a source: compiled once with the plan, run on the whole value of a record.
//!
//! Owns the words for what goes wrong. `program` has the filters that may be used, `bounds` keeps a filter from running
//! for ever. Uses the crates of jaq.

mod bounds;
mod depth;
mod output;
mod program;
mod terms;

use super::found::Found;
use crate::decode::{Kind, scan};
use crate::encode::EncodeError;
use bounds::{Bounded, Bounds, NESTED, Room, Run};
use jaq_core::{Ctx, ValX, Vars};
use jaq_json::Val;
use std::borrow::Cow;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

/// How many levels of a value take little of a worker's stack.
const SHALLOW: usize = 64;
/// What a worker has room for, with 2 MiB of stack.
const WORKER: Room = Room { calls: 512 * 1024, levels: 256 };
/// What a thread with more stack has room for, which a value gets that is nested deeper.
const DEEP: Room = Room { calls: 32 * 1024 * 1024, levels: 4_000 };
/// Its stack, in bytes.
const DEEP_STACK: usize = 64 * 1024 * 1024;

/// A compiled filter.
pub(super) struct Program {
    filter: jaq_core::Filter<Bounded>,
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Program")
    }
}

impl Program {
    /// Reads a filter.
    ///
    /// # Errors
    /// Where it is not of jq's grammar, or names a filter or variable that is not there.
    pub(super) fn parse(code: &str) -> Result<Self, String> {
        program::compile(code).map(|filter| Self { filter }).map_err(|error| format!("`jq`: {error}"))
    }

    /// Runs the filter on JSON text that was checked: its one value, or nothing.
    ///
    /// # Errors
    /// `jq` where the filter fails or goes beyond its bounds, `jq_outputs` where it gives more than one value, and what
    /// `scan` says of a value that is no JSON.
    pub(super) fn evaluate(&self, text: &str) -> Result<Found<'static>, EncodeError> {
        if depth::nested_deeper(text, SHALLOW) {
            return self.evaluate_deep(text);
        }
        self.guarded(text, Bounds::here(WORKER))
    }

    /// Runs the filter where there is more stack: jaq goes down into a value by calling itself.
    fn evaluate_deep(&self, text: &str) -> Result<Found<'static>, EncodeError> {
        thread::scope(|scope| {
            let thread = thread::Builder::new().stack_size(DEEP_STACK);
            let run = thread.spawn_scoped(scope, || self.guarded(text, Bounds::here(DEEP)));
            let run = run.map_err(|error| failed(&format!("no thread for a deeply nested value: {error}")))?;
            run.join().unwrap_or_else(|_| Err(failed("the filter broke down")))
        })
    }

    /// jaq is not ours: should it panic on a value, that is this record's misfortune and no other's.
    fn guarded(&self, text: &str, bounds: Bounds) -> Result<Found<'static>, EncodeError> {
        let run = AssertUnwindSafe(|| self.run(text, &bounds));
        catch_unwind(run).unwrap_or_else(|_| Err(failed("the filter broke down")))
    }

    fn run(&self, text: &str, bounds: &Bounds) -> Result<Found<'static>, EncodeError> {
        let input = jaq_json::read::parse_single(text.as_bytes()).map_err(|error| failed(&error.to_string()))?;
        let context = Ctx::<Bounded>::new(Run::new(&self.filter.lut, bounds), Vars::new([]));
        let mut outputs = self.filter.id.run((context, input));
        // Two are asked for, and no more: a filter may give values without end.
        let first = outputs.next();
        let second = if matches!(first, Some(Ok(_))) { outputs.next() } else { None };
        // What was exceeded stays so, even if the filter caught the error and went on.
        if let Some(bound) = bounds.exceeded() {
            return Err(failed(bound));
        }
        match (first.map(value).transpose()?, second.map(value).transpose()?) {
            (None, _) => Ok(Found::Absent),
            (Some(_), Some(_)) => Err(EncodeError::new("jq_outputs", "the filter gives more than one value")),
            (Some(value), None) if bounds.too_deep(&value) => Err(failed(NESTED)),
            (Some(value), None) => found(&value, text.len()),
        }
    }
}

/// A value that the filter gave, or why it failed.
fn value(output: ValX<'_, Val>) -> Result<Val, EncodeError> {
    output.map_err(|exception| match exception.get_err() {
        Ok(error) => match error.into_val() {
            Val::TStr(text) => failed(&String::from_utf8_lossy(&text)),
            value => failed(&value.to_string()),
        },
        Err(_) => failed("the filter broke off"),
    })
}

fn found(value: &Val, input_len: usize) -> Result<Found<'static>, EncodeError> {
    let text = output::write(value, input_len)?;
    match scan(&text, &mut Vec::new()) {
        Ok(scanned) if scanned.kind == Kind::Null => Ok(Found::Null),
        Ok(_) => Ok(Found::Raw(Cow::Owned(text))),
        Err(fault) => {
            let error = fault.explain(&text);
            let detail = format!("the filter gives what is no JSON that PostgreSQL takes: {}", error.detail);
            Err(EncodeError { reason: error.reason, detail })
        }
    }
}

/// A failure in the filter's words, which may quote values of any length.
fn failed(message: &str) -> EncodeError {
    const SHOWN: usize = 200;
    let detail = match message.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", message.get(..end).unwrap_or_default()),
        None => message.to_owned(),
    };
    EncodeError::new("jq", detail)
}

#[cfg(test)]
mod tests;
