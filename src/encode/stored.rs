//! Values that are not in memory: what is asked of them was found out while they came by.

use super::error::EncodeError;
use super::text::nul_at;
use super::{Encoder, check_size};
use crate::decode::MAX_TEXT_BYTES;
use crate::model::{ColumnType, Stored};

/// A stored value is longer than any text that stands for null, as long as those are not longer than this.
const NULL_TOKEN_BYTES: usize = 4096;

impl Encoder {
    /// Whether a value can go into the column as its bytes are, without anybody looking at them again.
    pub fn takes_stored(&self) -> bool {
        let as_it_is = match self.column_type {
            ColumnType::Bytea => self.policy.encoding.is_none(),
            ColumnType::Text => self.policy.nul.is_none(),
            _ => false,
        };
        as_it_is && self.policy.null_tokens.iter().all(|token| token.len() < NULL_TOKEN_BYTES)
    }

    /// Appends the head of a field whose bytes come behind it.
    ///
    /// # Errors
    /// `value_too_large`, for text `invalid_utf8` and `text_nul`, or `type_mismatch` where the column is of another type.
    pub fn begin_stored(&self, stored: &Stored, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        check_size(usize::try_from(stored.len).unwrap_or(usize::MAX), MAX_TEXT_BYTES)?;
        match (&self.column_type, stored.invalid_utf8, stored.nul) {
            (ColumnType::Bytea, _, _) | (ColumnType::Text, None, None) => {}
            (ColumnType::Text, Some(at), _) => {
                return Err(EncodeError::new("invalid_utf8", format!("the bytes are not UTF-8, at byte {at}")));
            }
            (ColumnType::Text, None, Some(at)) => return Err(nul_at(at)),
            _ => return Err(EncodeError::new("type_mismatch", "the column takes no large values")),
        }
        // Within the limit, far below what an i32 holds.
        out.extend_from_slice(&(stored.len as i32).to_be_bytes());
        Ok(())
    }
}
