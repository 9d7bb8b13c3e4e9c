//! numeric: exact decimals of any length, in digits of base 10000.
//!
//! Format: a count of digits, the weight of the first one, a sign, the digits shown after the point, and the digits, all
//! of 16 bits (`numeric_send` in PostgreSQL's `numeric.c`).

use super::error::{EncodeError, mismatch, quote};
use super::number::is_number;
use super::{Note, Policy, Value};
use crate::model::NumericLimit;

/// Digits before the point, and after it, that a numeric without limits holds.
const MAX_BEFORE: i64 = 131_072;
const MAX_AFTER: i64 = 16_383;

const POSITIVE: u16 = 0;
const NEGATIVE: u16 = 0x4000;
/// The signs that stand for what is no finite number.
pub(super) const NAN: u16 = 0xc000;
pub(super) const INFINITY: u16 = 0xd000;
pub(super) const NEGATIVE_INFINITY: u16 = 0xf000;

/// 0.d₁d₂d₃… × 10^`point`: the first digit is not 0, nor is the last.
struct Digits {
    negative: bool,
    digits: Vec<u8>,
    point: i64,
    /// Digits after the point as written.
    shown: i64,
}

/// The binary form of a finite number.
pub(super) fn encode(
    value: Value<'_>,
    policy: &Policy,
    limit: Option<NumericLimit>,
) -> Result<(Vec<u8>, Note), EncodeError> {
    let millis;
    let text = match value {
        Value::Text(text) => text.trim_matches(' '),
        Value::Number(text) => text,
        Value::Millis(moment) => {
            millis = moment.to_string();
            &millis
        }
        Value::Null | Value::Bool(_) | Value::Json(_) | Value::Bytes(_) => return Err(mismatch(value, "numeric")),
    };
    if !is_number(text) {
        return Err(EncodeError::new("number", format!("{} is no number", quote(text))));
    }
    let mut number = read(text).ok_or_else(|| range(text))?;
    let note = match limit {
        Some(limit) => number.fit(text, limit, policy.round)?,
        None => None,
    };
    if number.point > MAX_BEFORE || number.shown > MAX_AFTER {
        return Err(range(text));
    }
    Ok((number.bytes(), note))
}

/// The binary form of what is no finite number.
pub(super) fn special(sign: u16) -> Vec<u8> {
    [0, 0, sign, 0].iter().flat_map(|part| part.to_be_bytes()).collect()
}

#[cold]
fn range(text: &str) -> EncodeError {
    EncodeError::new("number_range", format!("{} is beyond what the column holds", quote(text)))
}

/// The digits of a well-formed number; `None` where its exponent is beyond all bounds.
fn read(text: &str) -> Option<Digits> {
    let negative = text.starts_with('-');
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|digit| digit.wrapping_sub(b'0')).collect();
    let significant = all.iter().rposition(|digit| *digit != 0).map_or(0, |last| last + 1);
    let leading = all.iter().take_while(|digit| **digit == 0).count().min(significant);
    // A zero has no place to be out of range with, however large its exponent.
    let exponent: i64 = match exponent.parse::<i32>() {
        Ok(exponent) => exponent.into(),
        Err(_) if significant == 0 && !exponent.starts_with('-') => i32::MAX.into(),
        Err(_) => return None,
    };
    let digits = all.get(leading..significant)?.to_vec();
    let point = if digits.is_empty() { 0 } else { whole.len() as i64 - leading as i64 + exponent };
    let shown = (fraction.len() as i64 - exponent).max(0);
    Some(Digits { negative: negative && !digits.is_empty(), digits, point, shown })
}

impl Digits {
    /// Refuses what a column of that precision and scale would round or not hold; rounds it where it is asked to.
    fn fit(&mut self, text: &str, limit: NumericLimit, round: bool) -> Result<Note, EncodeError> {
        let scale = i64::from(limit.scale);
        let mut note = None;
        if !self.digits.is_empty() && self.digits.len() as i64 - self.point > scale {
            if !round {
                let detail =
                    format!("{} has digits below those that numeric({}, {scale}) holds", quote(text), limit.precision);
                return Err(EncodeError::new("too_precise", detail));
            }
            self.round(self.point + scale);
            note = Some("round");
        }
        if !self.digits.is_empty() && self.point > i64::from(limit.precision) - scale {
            return Err(range(text));
        }
        self.shown = scale.max(0);
        Ok(note)
    }

    /// Keeps so many digits; halves go away from zero.
    fn round(&mut self, keep: i64) {
        let kept = usize::try_from(keep).unwrap_or(0);
        let up = keep >= 0 && self.digits.get(kept).is_some_and(|digit| *digit >= 5);
        self.digits.truncate(kept);
        if up {
            while self.digits.last() == Some(&9) {
                self.digits.pop();
            }
            match self.digits.last_mut() {
                Some(last) => *last += 1,
                None => {
                    self.digits.push(1);
                    self.point += 1;
                }
            }
        }
        while self.digits.last() == Some(&0) {
            self.digits.pop();
        }
        if self.digits.is_empty() {
            (self.point, self.negative) = (0, false);
        }
    }

    fn bytes(&self) -> Vec<u8> {
        // The first digit of base 10000 begins at a multiple of four digits from the point.
        let weight = if self.digits.is_empty() { 0 } else { (self.point + 3).div_euclid(4) - 1 };
        let padding = usize::try_from((weight + 1) * 4 - self.point).unwrap_or(0);
        let padded: Vec<u8> = std::iter::repeat_n(0, padding).chain(self.digits.iter().copied()).collect();
        let groups = if self.digits.is_empty() { &[][..] } else { &padded[..] };
        let sign = if self.negative { NEGATIVE } else { POSITIVE };
        let head = [groups.len().div_ceil(4) as u16, weight as u16, sign, self.shown as u16];
        let mut out: Vec<u8> = head.iter().flat_map(|part| part.to_be_bytes()).collect();
        for group in groups.chunks(4) {
            let digits = group.iter().chain(std::iter::repeat(&0)).take(4);
            let value = digits.fold(0_u16, |value, digit| value * 10 + u16::from(*digit));
            out.extend_from_slice(&value.to_be_bytes());
        }
        out
    }
}
