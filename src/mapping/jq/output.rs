//! The JSON text of what a filter gave, up to a limit.

use crate::encode::EncodeError;
use jaq_json::Val;
use jaq_json::write::{Pp, Styles};
use std::io;

/// How long an output may be at least, in bytes; more where the value that it was made from is long.
const OUTPUT: usize = 16 * 1024 * 1024;

/// Writes a value as JSON text.
///
/// # Errors
/// `value_too_large` beyond 16 MiB and four times the length of the input, `invalid_utf8` where a text is none.
pub(super) fn write(value: &Val, input_len: usize) -> Result<String, EncodeError> {
    let limit = OUTPUT.max(input_len.saturating_mul(4));
    let mut out = Limited { bytes: Vec::new(), limit };
    let compact = Pp { indent: None, sort_keys: false, styles: Styles::default(), sep_space: false };
    // Writing into memory fails at the limit only.
    jaq_json::write::write(&mut out, &compact, 0, value).map_err(|_| {
        EncodeError::new("value_too_large", format!("the filter gives a value of more than {limit} bytes"))
    })?;
    String::from_utf8(out.bytes)
        .map_err(|_| EncodeError::new("invalid_utf8", "the filter gives a text that is not UTF-8"))
}

struct Limited {
    bytes: Vec<u8>,
    limit: usize,
}

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > self.limit {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
