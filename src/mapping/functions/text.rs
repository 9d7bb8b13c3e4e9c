//! Functions that cut and fill texts. Characters are Unicode's scalar values, as PostgreSQL counts them.

use std::borrow::Cow;

/// The part at `index` between separators, counted from 0, or from the end where negative.
pub(super) fn split<'a>(text: &'a str, separator: &str, index: i64) -> Option<&'a str> {
    let index = match usize::try_from(index) {
        Ok(index) => index,
        Err(_) => usize::try_from(i64::try_from(text.split(separator).count()).ok()?.checked_add(index)?).ok()?,
    };
    text.split(separator).nth(index)
}

/// `length` characters (or all the rest) from `start` on, counted from 0, or from the end where negative; nothing where
/// there are none.
pub(super) fn substring(text: &str, start: i64, length: Option<usize>) -> Option<&str> {
    let begin = match usize::try_from(start) {
        Ok(start) => text.char_indices().nth(start)?.0,
        Err(_) => {
            let back = usize::try_from(start.unsigned_abs()).ok()?;
            text.char_indices().nth_back(back - 1).map_or(0, |(at, _)| at)
        }
    };
    let rest = text.get(begin..)?;
    let end = length.and_then(|length| rest.char_indices().nth(length)).map_or(rest.len(), |(at, _)| at);
    rest.get(..end).filter(|piece| !piece.is_empty())
}

/// The text with as many `fill` before it as it takes to have `width` characters.
pub(super) fn pad_start(text: Cow<'_, str>, width: usize, fill: char) -> Cow<'_, str> {
    let missing = width.saturating_sub(text.chars().count());
    if missing == 0 {
        return text;
    }
    let mut padded = String::with_capacity(text.len() + missing * fill.len_utf8());
    padded.extend(std::iter::repeat_n(fill, missing));
    padded.push_str(&text);
    Cow::Owned(padded)
}

#[cfg(test)]
mod tests {
    use super::{split, substring};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn substrings_are_what_the_characters_say(text in ".{0,8}", start in -10_i64..10, length in prop::option::of(1_usize..10)) {
            let chars: Vec<char> = text.chars().collect();
            let count = i64::try_from(chars.len()).unwrap();
            let begin = if start < 0 { (count + start).max(0) } else { start };
            let rest = chars.iter().skip(usize::try_from(begin).unwrap());
            let expected: String = rest.take(length.unwrap_or(usize::MAX)).collect();
            prop_assert_eq!(substring(&text, start, length).unwrap_or_default(), expected);
        }

        #[test]
        fn parts_are_found_from_both_ends(parts in prop::collection::vec("[a-zé😀]{0,3}", 1..6)) {
            let text = parts.join("::");
            for (index, part) in (0_i64..).zip(&parts) {
                let count = i64::try_from(parts.len()).unwrap();
                prop_assert_eq!(split(&text, "::", index), Some(part.as_str()));
                prop_assert_eq!(split(&text, "::", index - count), Some(part.as_str()));
            }
            prop_assert_eq!(split(&text, "::", i64::MIN), None);
        }
    }
}
