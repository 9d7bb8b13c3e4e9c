//! A Redis Cluster as the source, on real clusters.

#![expect(clippy::expect_used, reason = "a test without its servers has failed")]

#[path = "../support/mod.rs"]
mod support;

mod backup;
mod harness;
mod moving;
mod reading;
mod scripted;
