//! The load: a batch becomes rows of the target, once, whatever happens on the way.
//!
//! One attempt is one short transaction (`attempt`): straight COPY into a table that was empty, else COPY into a
//! staging table and a merge (`merge`, which `decide`s what is done about a row that is there, with its SQL in `statements`, and in `difference` what of it says that a row differs, and texts that the server casts read first in
//! `casts`; `staging` says how such tables are made), after a look at which rows are there already as they would be written (`probe`). Rows of different shapes go together
//! (`columns`), and are inserted so that what they lack gets its default (`insert`). Where rows refer to rows of their own table,
//! those that come before their parents wait (`own_parents`). `Loader` decides what an
//! error means: try again, find the row at fault (`piece` cuts them up, `refusal` says why one is rejected), or stop.
//! Which database a row was made from says `origin`. What is found of each row is booked for its key (`book`); rows whose
//! elements are gone go with them (`gone`, once `locked`; where the server refuses one, `singly`), and of elements that are one row the first has it (`alike`); both ask what a
//! reading of several transactions noted (`seen`). Rows whose keys are gone go by themselves, once all is loaded (`vanished`), those
//! that refer to one another `together`.
//! Lineage that the table has no room for writes `lineage`; a row is found again by the key that the ledger has of it (`key_record`). What is overwritten of a key that a cleanup deleted counts `cleaned`.
//!
//! What the comparison asks in the same way is open to it: `statements`, `difference`, `origin`, `casts`, `refusal`, `key_record`.

mod alike;
pub(in crate::sink) mod attempt;
mod book;
pub(in crate::sink) mod casts;
mod cleaned;
pub(in crate::sink) mod columns;
mod decide;
pub(in crate::sink) mod difference;
mod gone;
mod insert;
mod kept;
pub(in crate::sink) mod key_record;
mod lineage;
mod loader;
mod locked;
mod merge;
pub(in crate::sink) mod origin;
mod own_parents;
mod piece;
mod probe;
pub(in crate::sink) mod refusal;
mod seen;
mod settled;
mod singly;
mod staging;
pub(in crate::sink) mod statements;
mod together;
mod vanished;
mod writers;

pub use loader::{LoadOptions, Loader};
pub use origin::{SourceRun, runs_elsewhere, runs_of_source};
pub use probe::ProbeGauge;
pub use staging::StagingTables;
pub use vanished::GoneCounts;
pub use writers::Writers;
