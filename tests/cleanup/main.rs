//! Keys that are deleted from Redis: only those that hold what was compared.

mod proxy;
#[path = "../support/mod.rs"]
mod support;
mod unlink;
