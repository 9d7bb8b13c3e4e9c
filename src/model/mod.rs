//! What flows through the pipeline: keys, records, rows, batches, rejects, tallies and events.
//!
//! Owns the vocabulary shared by every room. Uses nothing of the crate, does no I/O and knows no runtime: of a file it
//! only holds the handle.

mod backup_account;
mod backup_extent;
mod cleanup;
mod column;
mod content;
mod database;
mod digest;
mod element;
mod event;
mod exit;
mod family;
mod finding;
mod glob;
mod gone_row;
mod group;
mod key;
mod key_facts;
mod packed;
mod reason;
mod record;
mod recount;
mod redis_type;
mod reject;
mod restore;
mod rivals;
mod rollback;
mod row;
mod stored;
mod tally;
mod unmatched;
mod validation;

pub use backup_account::{BackupAccount, LeftOut};
pub use backup_extent::BackupExtent;
pub use cleanup::{Cleanup, CleanupAccount, CleanupBackup, EarlierCleanup, KeptKey};
pub use column::{ArrayType, CastType, Column, ColumnType, NumericLimit, Table, TableName};
pub use content::{ContentDigest, ContentHasher};
pub use database::Database;
pub(crate) use digest::hex_digits;
pub use digest::{Digest, sha256_hex};
pub use element::{ELEMENTS_KNOWN, ElementOf};
pub use event::{Event, EventSender};
pub use exit::{Exit, Failure, Side};
pub use family::Family;
pub use finding::{Finding, Place, Severity};
pub use glob::glob_matches;
pub use gone_row::GoneRow;
pub use group::{Group, GroupCounts, GroupEnd, RowOutcome};
pub use key::RedisKey;
pub use key_facts::{FieldExpiries, FieldExpiry, KeyFacts};
pub use packed::{Items, Packer};
pub use reason::{REASONS, is_reason};
pub use record::{Fetched, FieldTimes, LargeKey, MappingId, Record, Slice, UnixMillis, ValueWanted, Wanted};
pub use recount::recount;
pub use redis_type::{RedisType, RedisTypes};
pub use reject::{Reason, Reject, Replay, SkipReason, Withheld};
pub use restore::{LeftKey, NotWritten, RestoreAccount, RestoreCounts, RestoreFault, RestoreOutcome};
pub use rivals::Rivals;
pub use rollback::{Audited, DROPPED, KeptReason, KeptRow, RollbackAccount, TableAccount};
pub use row::{ROUNDED, Row, SERVER_READS, Shape, Splice};
pub use stored::Stored;
pub use tally::{Counts, Tally};
pub use unmatched::{FamilyCount, Refused, Unmatched};
pub use validation::{Class, ClassCounts, ColumnValues, Discrepancy, MappingCounts, Validation};
