//! `run --delete-gone`: rows of this tool whose keys are gone from Redis are deleted, and no others.

#![expect(clippy::expect_used, reason = "a test without its servers has failed")]

mod cascade;
mod chains;
mod domains;
mod interrupted;
mod kept;
mod lives;
mod parts;
mod path;
mod preset;
mod refused;
#[path = "../support/mod.rs"]
mod support;
