//! Functions that decode and hash texts.

use crate::encode::{EncodeError, base64_bytes};
use md5::{Digest, Md5};
use percent_encoding::percent_decode_str;
use std::borrow::Cow;
use std::fmt::Write;

/// The MD5 of a text, as PostgreSQL's `md5(text)` says it in a database in UTF-8.
pub(super) fn md5_hex(bytes: &[u8]) -> String {
    Md5::digest(bytes).iter().fold(String::with_capacity(32), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The text that base64 stands for, in either alphabet, with or without padding and line breaks.
pub(super) fn base64_decode(text: &str) -> Result<String, EncodeError> {
    let bytes = base64_bytes(text).map_err(|error| EncodeError::new("base64", format!("not base64: {error}")))?;
    String::from_utf8(bytes).map_err(|error| not_utf8("base64", error.utf8_error().valid_up_to()))
}

/// The text without its percent signs; a `+` stays, and so does a percent sign without two hexadecimal digits.
pub(super) fn url_decode(text: Cow<'_, str>) -> Result<Cow<'_, str>, EncodeError> {
    if !text.contains('%') {
        return Ok(text);
    }
    let decoded = percent_decode_str(&text).decode_utf8();
    decoded.map(|text| Cow::Owned(text.into_owned())).map_err(|error| not_utf8("URL encoding", error.valid_up_to()))
}

fn not_utf8(coding: &str, at: usize) -> EncodeError {
    EncodeError::new("invalid_utf8", format!("what the {coding} stands for is no text: not UTF-8 at byte {at}"))
}
