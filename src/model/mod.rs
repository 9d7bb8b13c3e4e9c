//! What flows through the pipeline: keys, records, rows, batches, rejects, tallies and events.
//!
//! Owns the vocabulary shared by every room. Uses nothing of the crate, does no I/O and knows no runtime.

mod column;
mod digest;
mod event;
mod exit;
mod finding;
mod key;
mod record;
mod reject;
mod row;
mod tally;

pub use column::{ArrayType, CastType, Column, ColumnType, NumericLimit, Table, TableName};
pub use digest::{Digest, sha256_hex};
pub use event::{Event, EventSender};
pub use exit::{Exit, Failure, Side};
pub use finding::{Finding, Severity};
pub use key::RedisKey;
pub use record::{Fetched, MappingId, Record, UnixMillis};
pub use reject::{Reason, Reject, SkipReason, Withheld};
pub use row::{Row, Shape, Splice};
pub use tally::{Counts, Tally};
