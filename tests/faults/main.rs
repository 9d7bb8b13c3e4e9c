//! Faults: the real command against real servers, killed, cut off, suspended and robbed of its lease in mid-run. What
//! counts each time: the rows of an undisturbed run, each key once in the books, and an exit code that says what happened.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "what a test cannot do has failed it, and a long round says what it did"
)]

mod books;
mod chaos;
mod commit;
mod crash;
mod databases;
mod edges;
mod harness;
mod lease;
mod outage;
mod pooler;
mod proxy;
mod resume;
mod signals;
#[path = "../support/watchdog.rs"]
mod watchdog;
