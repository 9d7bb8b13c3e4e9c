//! Keys that are deleted from Redis: only those that hold what was compared.

#[path = "../support/mod.rs"]
mod support;
mod unlink;
