//! `run --delete-gone`: rows of this tool whose keys are gone from Redis are deleted, and no others.

mod interrupted;
mod kept;
mod path;
mod preset;
#[path = "../support/mod.rs"]
mod support;
