//! Values that are a number alone: clients that write everything else in a form of their own leave counters as they are, so
//! that INCR works.

use super::super::json::scan;
use super::super::push_json_string;
use super::super::scanned::Kind;

/// A value that is a number alone, as JSON. A spelling that JSON does not have, such as `007`, `+5` or one with blanks around
/// it, is a string: most likely it was one. So is one with an exponent, of which jsonb keeps no spelling (`12e3` may be a
/// code, `0e46` a hash), unless it is written as PHP writes floats.
pub(super) fn json(value: &[u8]) -> Option<String> {
    if !is_number(value.trim_ascii()) {
        return None;
    }
    let text = std::str::from_utf8(value).ok()?;
    let plain = !text.contains(['e', 'E']) || is_php_float(text);
    if plain && Kind::of(text) == Kind::Number && text.trim_ascii().len() == text.len() && well_formed(text) {
        return Some(text.to_owned());
    }
    let mut json = String::with_capacity(text.len() + 2);
    push_json_string(&mut json, text);
    Some(json)
}

/// Whether a number is of PHP's form for floats that are very large or small: `1.0E+25`.
fn is_php_float(number: &str) -> bool {
    let number = number.strip_prefix('-').unwrap_or(number).as_bytes();
    matches!(number, [b'1'..=b'9', b'.', ..]) && number.windows(2).any(|pair| matches!(pair, b"E+" | b"E-"))
}

/// Whether JSON spells a number so; one that is only too large is one.
fn well_formed(number: &str) -> bool {
    scan(number, &mut Vec::new()).map_or_else(|fault| fault.is_number_range(), |_| true)
}

/// A sign, digits with a point among or around them, an exponent: `5`, `-1.5`, `.5`, `5.`, `+1e5`.
fn is_number(text: &[u8]) -> bool {
    let digits = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let mut parts = unsigned(text).splitn(2, |byte| matches!(byte, b'e' | b'E'));
    let mantissa = parts.next().unwrap_or_default();
    let mut halves = mantissa.splitn(2, |byte| *byte == b'.');
    let (whole, fraction) = (halves.next().unwrap_or_default(), halves.next().unwrap_or_default());
    let figures = [whole, fraction].into_iter().filter(|half| !half.is_empty());
    figures.clone().count() > 0
        && figures.clone().all(digits)
        && parts.next().is_none_or(|exponent| digits(unsigned(exponent)))
}

fn unsigned(text: &[u8]) -> &[u8] {
    match text {
        [b'+' | b'-', rest @ ..] => rest,
        rest => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::json;

    #[test]
    fn a_number_is_itself_and_another_spelling_a_string() {
        for number in ["5", "-1.50", "0", "1.0E+25", "-2.5E-9", "12345678901234567890123", "1.5E+999999"] {
            assert_eq!(json(number.as_bytes()).as_deref(), Some(number));
        }
        for text in [
            "1e5",
            "1E5",
            "1.5e+9",
            "0e462097431906509019562988736854",
            "12e999999",
            "007",
            "+5",
            ".5",
            "5.",
            " 5",
            "5\n",
            "-.5e-3",
        ] {
            let quoted = serde_json::to_string(text).unwrap();
            assert_eq!(json(text.as_bytes()), Some(quoted));
        }
        for other in
            ["", " ", "-", ".", "e5", "1e", "1.2.3", "1e5e5", "0x1A", "5a", "i:5;", "\u{665}", "1_000", "NaN", "--5"]
        {
            assert_eq!(json(other.as_bytes()), None, "{other}");
        }
        assert_eq!(json(b"5\xff"), None);
    }
}
