//! What flows through the pipeline: keys, records, rows, batches, rejects, tallies and events.
//!
//! Owns the vocabulary shared by every room. Uses nothing of the crate, does no I/O and knows no runtime.

mod column;
mod digest;
mod event;
mod exit;
mod family;
mod finding;
mod group;
mod key;
mod key_facts;
mod packed;
mod record;
mod redis_type;
mod reject;
mod row;
mod tally;
mod unmatched;

pub use column::{ArrayType, CastType, Column, ColumnType, NumericLimit, Table, TableName};
pub use digest::{Digest, sha256_hex};
pub use event::{Event, EventSender};
pub use exit::{Exit, Failure, Side};
pub use family::Family;
pub use finding::{Finding, Severity};
pub use group::{Group, GroupCounts, GroupEnd, RowOutcome};
pub use key::RedisKey;
pub use key_facts::KeyFacts;
pub use packed::{Items, Packer};
pub use record::{Fetched, LargeKey, MappingId, Record, Slice, UnixMillis, ValueWanted, Wanted};
pub use redis_type::{RedisType, RedisTypes};
pub use reject::{Reason, Reject, SkipReason, Withheld};
pub use row::{Row, Shape, Splice};
pub use tally::{Counts, Tally};
pub use unmatched::{FamilyCount, Refused, Unmatched};
