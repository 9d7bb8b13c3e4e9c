//! The jobs: wiring only. The one place that knows both ends and starts tasks. Uses every other room but `cli`.

mod analyze;
mod audit;
mod begin;
mod check;
mod close;
mod databases;
pub mod demo;
mod design;
mod dry_parents;
mod keeper;
mod key_list;
pub mod ledger;
mod limit;
mod link;
mod look;
mod mapping_parse;
mod mapping_specs;
mod migrate;
mod parents;
mod pipeline;
mod preflight;
mod retried;
mod retry;
mod run;
mod run_tables;
mod sequences;
mod setup;

pub use crate::mapping::presets;
pub use check::{Checked, check};
pub use design::create_statements;
pub use mapping_specs::{check_mappings, mapping_warnings};
pub use retry::RetryRequest;
pub use run::{Finished, retry, run};

#[cfg(test)]
mod tests;
