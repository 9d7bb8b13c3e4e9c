//! How far the file of a backup was on disk.

/// How far the file of a backup was on disk at some moment, and what was in it by then. A file that goes on from there has these
/// bytes at its beginning; one that was cut, an older copy and another file have not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupExtent {
    /// Bytes of the file.
    pub bytes: u64,
    /// A digest over what is in them, in hexadecimal: the first 128 bits of the SHA-256 of the heads of all its frames.
    pub digest: String,
}
