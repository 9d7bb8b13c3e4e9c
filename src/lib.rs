//! Moves a Redis cache into PostgreSQL: a SCAN stream feeds bounded stages that parse, map and COPY, in flat memory.
//!
//! The crate is a library with a thin binary. `docs/design.md` shows the flow and says which room owns what.

pub mod backup;
pub mod cli;
pub mod config;
pub mod dataset;
pub mod decode;
pub mod encode;
pub mod flow;
pub mod job;
pub mod ledger;
pub mod mapping;
pub mod model;
pub mod postgres;
pub mod report;
pub mod sandbox;
pub mod sink;
pub mod source;
