//! bytea: the bytes of a text, or those that it stands for.

use super::error::{mismatch, quote};
use super::{EncodeError, Note, Value, check_size, field};
use crate::decode::{MAX_TEXT_BYTES, hex_bytes};
use base64::Engine;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose::PAD};
use serde::{Deserialize, Serialize};

const CONFIG: GeneralPurposeConfig = PAD.with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, CONFIG);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, CONFIG);

/// How a text stands for bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// Base64 in either alphabet, with or without padding and line breaks.
    Base64,
    /// Two hexadecimal digits a byte, with or without `\x` before them.
    Hex,
}

impl Encoding {
    /// The bytes that a text stands for.
    ///
    /// # Errors
    /// `base64` or `hex`, where it stands for none.
    fn decode(self, text: &str) -> Result<Vec<u8>, EncodeError> {
        let wrong = |reason, what: &str| EncodeError::new(reason, format!("{} is not {what}", quote(text)));
        match self {
            Self::Base64 => base64_bytes(text).map_err(|_| wrong("base64", "base64")),
            Self::Hex => {
                let digits = text.strip_prefix("\\x").unwrap_or(text);
                hex_bytes(digits.as_bytes()).ok_or_else(|| wrong("hex", "hexadecimal"))
            }
        }
    }
}

/// The bytes that base64 stands for, in either alphabet, with or without padding and line breaks.
pub(crate) fn base64_bytes(text: &str) -> Result<Vec<u8>, base64::DecodeError> {
    let compact: String = text.split_ascii_whitespace().collect();
    let engine = if compact.contains(['-', '_']) { URL_SAFE } else { STANDARD };
    engine.decode(compact)
}

/// Appends the bytes of a value: with an encoding, those that its text stands for.
pub(super) fn bytea(value: Value<'_>, encoding: Option<Encoding>, out: &mut Vec<u8>) -> Result<Note, EncodeError> {
    let decoded;
    let bytes = match (value, encoding) {
        (Value::Text(text), Some(encoding)) => {
            decoded = encoding.decode(text)?;
            decoded.as_slice()
        }
        (Value::Text(text) | Value::Number(text) | Value::Json(text), None) => text.as_bytes(),
        (Value::Bool(true), None) => b"true".as_slice(),
        (Value::Bool(false), None) => b"false".as_slice(),
        _ => return Err(mismatch(value, "bytea")),
    };
    check_size(bytes.len(), MAX_TEXT_BYTES)?;
    Ok(field(out, bytes))
}

#[cfg(test)]
mod tests {
    use super::Encoding;
    use crate::encode::{Encoder, Policy};
    use crate::model::{Column, ColumnType};

    #[test]
    fn what_is_to_be_decoded_does_not_pass_by_unread() {
        let (name, column_type) = ("a".to_owned(), ColumnType::Bytea);
        let column = Column { name, column_type, not_null: false, has_default: false, generated: false };
        let stored = |encoding| {
            Encoder::new(&column, Policy { encoding, ..Policy::default() })
                .is_some_and(|encoder| encoder.takes_stored())
        };
        assert!(stored(None) && !stored(Some(Encoding::Hex)));
    }

    #[test]
    fn texts_stand_for_bytes() {
        let decode = |encoding: Encoding, text| encoding.decode(text).map_err(|error| error.reason.into_owned());
        for (encoding, text, expected) in [
            (Encoding::Base64, "/9g=", Ok(vec![0xff, 0xd8])),
            (Encoding::Base64, "_9g", Ok(vec![0xff, 0xd8])),
            (Encoding::Base64, "/9\ng=", Ok(vec![0xff, 0xd8])),
            (Encoding::Base64, "", Ok(vec![])),
            (Encoding::Base64, "plain text", Err("base64".to_owned())),
            (Encoding::Hex, "ffD8", Ok(vec![0xff, 0xd8])),
            (Encoding::Hex, "\\xffd8", Ok(vec![0xff, 0xd8])),
            (Encoding::Hex, "ffd", Err("hex".to_owned())),
            (Encoding::Hex, "+f", Err("hex".to_owned())),
        ] {
            assert_eq!(decode(encoding, text), expected, "{text}");
        }
    }
}
