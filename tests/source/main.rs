//! Redis as the source: what is read of it, what a server and its users may do, and what it may legally answer.

mod error_replies;
mod expiry;
mod field_ttl;
mod large_values;
mod metadata;
mod preflight;
mod redis;
mod rights;
mod scan;
mod scripted;
#[path = "../support/mod.rs"]
mod support;
mod types;
