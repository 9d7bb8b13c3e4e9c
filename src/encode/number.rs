//! Numbers from their text, exactly: an integer never goes through a float, and nothing is rounded to fit one.

use super::Value;
use super::error::{EncodeError, mismatch, quote};

/// A decimal number: `mantissa` × 10^−`scale`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    pub(super) mantissa: i128,
    pub(super) scale: i32,
    /// Whether all digits are there: of more than 38 or so that count, the last ones are cut off.
    pub(super) exact: bool,
    /// Whether nothing but zeros stands behind the point.
    pub(super) whole: bool,
}

/// An integer, and whether it was written with an exponent (which may have lost digits at the source).
pub(super) fn integer(value: Value<'_>) -> Result<(i128, bool), EncodeError> {
    let text = match value {
        Value::Text(text) => text.trim_matches(' '),
        Value::Number(text) => text,
        Value::Millis(millis) => return Ok((i128::from(millis), false)),
        Value::Null | Value::Bool(_) | Value::Json(_) | Value::Bytes(_) => return Err(mismatch(value, "integer")),
    };
    // Nearly all are a few plain digits; eighteen of them always fit.
    if (1..=18).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let value = text.bytes().fold(0_i64, |value, digit| value * 10 + i64::from(digit - b'0'));
        return Ok((i128::from(value), false));
    }
    if !is_number(text) {
        return Err(EncodeError::new("integer", format!("{} is no integer", quote(text))));
    }
    let range = || EncodeError::new("number_range", format!("{} is beyond any integer column", quote(text)));
    let decimal = decimal(text);
    if !decimal.whole {
        return Err(EncodeError::new("integer", format!("{} has a fraction", quote(text))));
    }
    let number = scaled(decimal.mantissa, decimal.scale.unsigned_abs()).filter(|_| decimal.exact).ok_or_else(range)?;
    Ok((number, text.contains(['e', 'E'])))
}

/// `mantissa` × 10^`zeros`, where it fits.
pub(super) fn scaled(mantissa: i128, zeros: u32) -> Option<i128> {
    if mantissa == 0 {
        return Some(0);
    }
    10_i128.checked_pow(zeros).and_then(|unit| mantissa.checked_mul(unit))
}

/// Whether a text is a decimal number: a sign, digits with at most one point, an exponent.
pub(super) fn is_number(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let exponent = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    [whole, fraction, exponent].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The value of a well-formed number. Its mantissa does not end in 0.
pub(super) fn decimal(text: &str) -> Decimal {
    let negative = text.starts_with('-');
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    // The last digit taken, and the last one that is not 0, by their places from 1.
    let (mut value, mut taken, mut last) = (0_i128, 0_i64, 0_i64);
    for (place, digit) in (1..).zip(whole.bytes().chain(fraction.bytes())) {
        if digit == b'0' {
            continue;
        }
        let longer = u32::try_from(place - taken).ok().and_then(|zeros| scaled(value, zeros));
        let longer = longer.and_then(|value| value.checked_add(i128::from(digit.wrapping_sub(b'0'))));
        if let Some(longer) = longer.filter(|_| taken == last) {
            (value, taken) = (longer, place);
        }
        last = place;
    }
    // An exponent beyond all bounds is as good as one at the bound.
    let bound = if exponent.starts_with('-') { i32::MIN } else { i32::MAX };
    let point = whole.len() as i64 + i64::from(exponent.parse().unwrap_or(bound));
    let scale = if value == 0 { 0 } else { (taken - point).clamp(i32::MIN.into(), i32::MAX.into()) };
    let mantissa = if negative { -value } else { value };
    Decimal { mantissa, scale: scale as i32, exact: taken == last, whole: value == 0 || last <= point }
}

/// The two widths of floating-point columns.
pub(super) trait Float: std::str::FromStr + std::fmt::LowerExp {
    /// The type's name in PostgreSQL.
    const NAME: &'static str;
    /// Whether the number is neither infinite nor NaN.
    fn finite(&self) -> bool;
    /// Whether the number is 0 or −0.
    fn zero(&self) -> bool;
}

impl Float for f32 {
    const NAME: &'static str = "real";
    fn finite(&self) -> bool {
        self.is_finite()
    }
    fn zero(&self) -> bool {
        *self == 0.0
    }
}

impl Float for f64 {
    const NAME: &'static str = "double precision";
    fn finite(&self) -> bool {
        self.is_finite()
    }
    fn zero(&self) -> bool {
        *self == 0.0
    }
}

/// Whether a decimal number has no digit but 0 before its exponent.
fn is_zero(text: &str) -> bool {
    !text.bytes().take_while(|byte| !matches!(byte, b'e' | b'E')).any(|byte| (b'1'..=b'9').contains(&byte))
}

/// Whether a number is not the one that was given for it, by the digits that PostgreSQL shows of it: the fewest that read back
/// equal. So 0.1 is 0.1, and 0.10000000000000001 is not.
pub(super) fn is_rounded<F: Float>(value: Value<'_>, number: F) -> bool {
    let (Value::Text(given) | Value::Number(given)) = value else { return false };
    let (given, kept) = (decimal(given.trim_matches(' ')), decimal(&format!("{number:e}")));
    !given.exact || (given.mantissa, given.scale) != (kept.mantissa, kept.scale)
}

/// The nearest floating-point number; one that would become 0 is refused, as PostgreSQL refuses it.
pub(super) fn float<F: Float>(value: Value<'_>) -> Result<F, EncodeError> {
    let text = match value {
        Value::Text(text) => text.trim_matches(' '),
        Value::Number(text) => text,
        Value::Null | Value::Bool(_) | Value::Json(_) | Value::Millis(_) | Value::Bytes(_) => {
            return Err(mismatch(value, F::NAME));
        }
    };
    let parsed = if is_number(text) { text.parse::<F>().ok() } else { None };
    match parsed {
        Some(number) if number.zero() && !is_zero(text) => Err(EncodeError::new(
            "number_range",
            format!("{} is too small for {}: it would be 0", quote(text), F::NAME),
        )),
        Some(number) if number.finite() => Ok(number),
        Some(_) => Err(EncodeError::new("number_range", format!("{} is beyond {}", quote(text), F::NAME))),
        None => Err(EncodeError::new("number", format!("{} is no number", quote(text)))),
    }
}
