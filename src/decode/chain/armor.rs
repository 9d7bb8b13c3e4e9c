//! Steps that take nothing but clothes off: prefixes, base64, hexadecimal, and the frame of a string of PHP's.

use super::super::DecodeError;
use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use std::borrow::Cow;

/// The alphabet of URLs is written without padding as often as with it.
const URL: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

pub(super) fn strip<'a>(bytes: Cow<'a, [u8]>, prefix: &[u8]) -> Result<Cow<'a, [u8]>, DecodeError> {
    let rest = match &bytes {
        Cow::Borrowed(bytes) => bytes.strip_prefix(prefix).map(Cow::Borrowed),
        Cow::Owned(bytes) => bytes.strip_prefix(prefix).map(|rest| Cow::Owned(rest.to_vec())),
    };
    rest.ok_or_else(|| {
        let shown = String::from_utf8_lossy(prefix).into_owned();
        DecodeError::new("prefix_missing", format!("the value does not begin with {shown:?}"))
    })
}

/// Standard base64 with its padding.
pub(super) fn base64(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    decoded(&STANDARD, bytes)
}

/// The alphabet of URLs, with or without padding.
pub(super) fn base64url(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    decoded(&URL, bytes)
}

/// Lines are joined first: encoders for mail break them.
fn decoded(engine: &GeneralPurpose, bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let bytes = bytes.trim_ascii();
    let joined = match memchr::memchr2(b'\n', b'\r', bytes) {
        None => Cow::Borrowed(bytes),
        Some(_) => bytes.iter().copied().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect(),
    };
    engine.decode(&joined).map_err(|error| DecodeError::new("base64", format!("not base64: {error}")))
}

/// Hexadecimal digits, two a byte.
pub(super) fn hex(bytes: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let bytes = bytes.trim_ascii();
    hex_bytes(bytes).ok_or_else(|| match bytes.iter().position(|byte| !byte.is_ascii_hexdigit()) {
        _ if bytes.len() % 2 == 1 => {
            DecodeError::new("hex", format!("{} hexadecimal digits: one is missing", bytes.len()))
        }
        at => DecodeError::new("hex", format!("not a hexadecimal digit at byte {}", at.unwrap_or_default())),
    })
}

/// Whether bytes begin as PHP's `serialize` begins a string: `s:5:"`.
pub(super) fn is_php_string(bytes: &[u8]) -> bool {
    php_length(bytes).is_some()
}

/// The length that a string of PHP's states, and where it begins.
fn php_length(bytes: &[u8]) -> Option<(usize, usize)> {
    let digits = bytes.strip_prefix(b"s:")?;
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let length = std::str::from_utf8(digits.get(..count)?).ok()?.parse().ok()?;
    digits.get(count..)?.starts_with(b":\"").then_some((length, count + 4))
}

/// The bytes of a string as PHP's `serialize` writes it, `s:5:"hello";`. The length that is stated says where it ends.
pub(super) fn php_string(bytes: Cow<'_, [u8]>) -> Result<Cow<'_, [u8]>, DecodeError> {
    let Some((length, start)) = php_length(&bytes) else {
        let foreign = super::super::foreign(&bytes).filter(|found| !found.reason.contains("(php"));
        let detail = "php_string: it is no string that PHP's serialize wrote";
        return Err(foreign.unwrap_or_else(|| DecodeError::new("php_syntax", detail)));
    };
    let end = start.saturating_add(length);
    if bytes.get(end..) != Some(b"\";") {
        let detail = format!("php_string: the string does not end behind the {length} bytes that it states");
        return Err(DecodeError::new("php_syntax", detail));
    }
    Ok(match bytes {
        Cow::Borrowed(bytes) => Cow::Borrowed(bytes.get(start..end).unwrap_or_default()),
        Cow::Owned(bytes) => Cow::Owned(bytes.get(start..end).unwrap_or_default().to_vec()),
    })
}

/// The bytes that hexadecimal digits stand for, two each; `None` where there is anything else, or a digit too few.
pub(crate) fn hex_bytes(digits: &[u8]) -> Option<Vec<u8>> {
    let (pairs, []) = digits.as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}
