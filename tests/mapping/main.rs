//! Which keys become which rows, and with what in each column.

mod archive;
mod collisions;
mod columns;
mod decoding;
mod earlier_ids;
mod elements;
mod exploded;
mod keys;
mod lineage;
mod rows_once;
#[path = "../support/mod.rs"]
mod support;
mod types;
mod values;
