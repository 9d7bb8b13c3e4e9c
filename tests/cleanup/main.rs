//! Keys that are deleted from Redis: only those that hold what was compared.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test that can't go on has failed, in its helpers too, and says with which seed"
)]

mod proxy;
#[path = "../support/mod.rs"]
mod support;
mod unlink;
