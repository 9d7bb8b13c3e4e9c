//! The backup file: a copy of keys from which they can be put back.
//!
//! Owns the format (`docs/backup-format.md`), its writer and its reader. Uses `model`; knows neither Redis nor PostgreSQL,
//! and no runtime: what touches the disk here blocks.

mod block;
mod counts;
mod cut;
mod damage;
mod encoding;
mod entry;
mod frame;
mod frames;
mod header;
mod input;
mod joining;
mod lz4;
mod place;
mod preamble;
mod reader;
mod resume;
mod stream;
mod summary;
mod trail;
mod trouble;
mod unbegun;
mod writer;

pub use block::{Block, encode};
pub use counts::KeyCounts;
pub use cut::cut;
pub use damage::{Damage, Fault, ReadError};
pub use entry::{Entry, Logical, Part};
pub use header::Header;
pub use joining::MAX_DOCUMENT;
#[cfg(test)]
pub(crate) use place::Place;
pub use place::partial_of;
pub use reader::{Bookmark, Found, Lost, Reader};
pub use resume::{BrokenOff, Resumable, broken_off_id, remove_broken_off};
pub use stream::{Pending, StreamFacts, StreamGroup};
pub use summary::{Summary, verify};
pub use unbegun::Unbegun;
pub use writer::{Mark, Sealed, Writer};

/// The version of the format that is written, and the only one that is read.
pub const FORMAT: u32 = 1;

#[cfg(test)]
mod tests;
