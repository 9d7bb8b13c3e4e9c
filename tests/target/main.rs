//! PostgreSQL as the target: what is looked at before a run, what a run makes there, and what goes wrong in between.

mod audit;
mod check;
mod create;
mod not_stored;
mod optional_fields;
mod rights;
mod search_path;
mod self_reference;
mod sequences;
mod shapes;
#[path = "../support/mod.rs"]
mod support;
mod translated;
mod trouble;
