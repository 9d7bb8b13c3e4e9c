//! What becomes of a row whose Redis key does not exist any more.

use super::RowOutcome;

/// What becomes of a row of this tool whose key is gone from Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoneRow {
    /// It was deleted.
    Deleted,
    /// Dry run: it would be deleted, unless rows of others refer to it.
    WouldDelete,
    /// It stays: its recorded time of expiry has passed, so that the key expired and was not deleted.
    Expired,
    /// It stays: nothing tells whether the key expired.
    ExpiryUnknown,
    /// It stays: somebody else changed it since.
    Changed,
    /// It stays: a row that stays refers to it.
    Referred,
    /// It stays: another key maps to it, and was rejected for that.
    Collided,
    /// It stays: the server did not delete it, as a trigger or a policy of the table has it.
    Refused,
    /// It stays: a cleanup deleted its key, since the row has what it held.
    Cleaned,
    /// It stays: this user of Redis may not ask for its key.
    Forbidden,
}

impl GoneRow {
    /// The name that reports count by.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::WouldDelete => "would_delete",
            Self::Expired => "expired_kept",
            Self::ExpiryUnknown => "kept_expiry_unknown",
            Self::Changed => "kept_changed",
            Self::Referred => "kept_referred",
            Self::Collided => "kept_collided",
            Self::Refused => "kept_refused",
            Self::Cleaned => "kept_cleaned",
            Self::Forbidden => "kept_forbidden",
        }
    }

    /// What it is among the rows of a key that is several.
    pub(super) fn outcome(self) -> Option<RowOutcome> {
        match self {
            Self::Deleted => Some(RowOutcome::Deleted),
            Self::Changed | Self::Referred | Self::Collided | Self::Refused => Some(RowOutcome::Kept),
            Self::WouldDelete | Self::Expired | Self::ExpiryUnknown | Self::Cleaned | Self::Forbidden => None,
        }
    }
}
