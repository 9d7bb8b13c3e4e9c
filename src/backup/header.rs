//! What a backup says of itself at its beginning and at its end, as JSON.

use super::FORMAT;
use super::counts::KeyCounts;
use serde::{Deserialize, Serialize};

/// When a backup was made, from where, and of what. It never holds a secret: the source is named without credentials.
///
/// The default is that of a file whose header was lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Header {
    /// The version of the format; 0 where it is not known.
    pub format: u32,
    /// The version of redis2pg that wrote it.
    pub tool: String,
    /// Which command wrote it: `backup`, `run` or `cleanup`.
    pub command: String,
    /// When it was begun (RFC 3339, UTC, by this machine's clock).
    pub created_at: String,
    /// The server without credentials, such as `redis://host:6379/0`.
    pub source: String,
    /// The version that the server gave itself.
    pub redis_version: Option<String>,
    /// What the server is: `redis`, `valkey` or another name that it gives itself.
    pub flavour: Option<String>,
    /// The logical databases that were read.
    pub databases: Vec<u8>,
    /// The glob pattern that keys had to match; `None` where all were taken.
    pub pattern: Option<String>,
    /// Whether no more keys were asked for than those of a list (`--keys-from`).
    pub listed: bool,
    /// Whether Redis did not tell when fields of hashes expire, although some may: their times are in dumps alone.
    pub fields_untold: bool,
}

impl Header {
    /// A header of this version of the tool.
    pub fn new(command: &str, source: impl Into<String>, created_at: impl Into<String>) -> Self {
        Self {
            format: FORMAT,
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            command: command.to_owned(),
            created_at: created_at.into(),
            source: source.into(),
            ..Self::default()
        }
    }
}

/// What stands at the end: only a file that has it is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct EndMark {
    /// How many blocks there are.
    pub(super) blocks: u32,
    /// How many keys.
    pub(super) keys: KeyCounts,
    /// Bytes of all blocks before they were compressed.
    pub(super) bytes: u64,
}
