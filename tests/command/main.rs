//! The command as people meet it: settings, what it looks at and says, and the whole move from one end to the other.

mod bad_input;
mod both_ends;
mod closing;
mod config;
mod dry_run;
mod fuzz_corpus;
mod logged;
mod migrate;
mod piped;
mod preflight;
mod reject_reasons;
mod sandbox;
mod second_run;
#[path = "../support/mod.rs"]
mod support;
mod walkthrough;
