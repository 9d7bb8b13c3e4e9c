//! Whether PostgreSQL's `numeric` holds a JSON number: 131,072 digits before the point and 16,383 after it.

/// Digits before the decimal point.
const MAX_BEFORE: i64 = 131_072;
/// Digits after it.
const MAX_AFTER: i64 = 16_383;
/// Exponents beyond this are refused without looking further, whatever the digits: those of half an `int` and more, of a zero too. Source:
/// `set_var_from_str` of PostgreSQL 15; later versions take that one as well.
const MAX_EXPONENT: i64 = i32::MAX as i64 / 2 - 1;

/// Whether a number fits, given its well-formed JSON text.
pub(super) fn fits(number: &[u8]) -> bool {
    let number = number.strip_prefix(b"-").unwrap_or(number);
    let mantissa_end = number.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(number.len());
    let (mantissa, exponent) = number.split_at(mantissa_end);
    let Some(exponent) = parse_exponent(exponent.get(1..).unwrap_or_default()) else { return false };
    let point = mantissa.iter().position(|byte| *byte == b'.').unwrap_or(mantissa.len());
    let fraction = mantissa.len().saturating_sub(point + 1) as i64;
    if fraction - exponent > MAX_AFTER {
        return false;
    }
    match mantissa.iter().filter(|byte| **byte != b'.').position(|digit| *digit != b'0') {
        // The place of the first digit that counts, 0 for the ones.
        Some(first) => (point as i64 - 1 - first as i64) + exponent < MAX_BEFORE,
        None => true,
    }
}

fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (sign, digits) = match text {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        _ => (1, text),
    };
    digits
        .iter()
        .try_fold(0_i64, |value, digit| {
            let value = value * 10 + i64::from(digit.wrapping_sub(b'0'));
            (value <= MAX_EXPONENT).then_some(value)
        })
        .map(|value| sign * value)
}
