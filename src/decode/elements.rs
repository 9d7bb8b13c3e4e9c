//! The elements of an array, walked over the original text. Owns nothing but the walk; the text was checked by `scan`.

use super::path::string_end;
use super::scanned::Kind;

/// The element of an array at `index`, counted from 0, or from the end where negative (`-1` is the last one). `None`
/// where the value is no array, or has no such element.
pub(super) fn element(array: &str, index: i64) -> Option<&str> {
    let mut elements = elements(array)?;
    match usize::try_from(index) {
        Ok(index) => elements.nth(index),
        Err(_) => {
            let count = i64::try_from(elements.count()).ok()?;
            let index = usize::try_from(count.checked_add(index)?).ok()?;
            self::elements(array)?.nth(index)
        }
    }
}

/// The elements of an array; `None` where the value is none.
pub fn elements(array: &str) -> Option<impl Iterator<Item = &str>> {
    (Kind::of(array) == Kind::Array).then_some(Elements { array, at: 1 })
}

struct Elements<'a> {
    array: &'a str,
    /// Where the next element starts, behind the bracket or a comma.
    at: usize,
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let end = end(self.array.as_bytes(), self.at)?;
        let element = self.array.get(self.at..end)?.trim_ascii();
        self.at = end + 1;
        // Only between the brackets of an empty array, and behind the closing bracket, is there nothing.
        (!element.is_empty()).then_some(element)
    }
}

/// The byte behind the element that starts at `at`: its comma, or the array's closing bracket.
fn end(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0_usize;
    loop {
        match bytes.get(at)? {
            b'"' => {
                at = string_end(bytes, at);
                continue;
            }
            b'[' | b'{' => depth += 1,
            b',' | b']' if depth == 0 => return Some(at),
            b']' | b'}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::element;
    use proptest::prelude::*;

    #[test]
    fn elements_are_counted_from_either_end() {
        let array = r#"[ 1.10 , "a,]\"" ,[2,[3]], {"b":[4,"}"]} ,null]"#;
        let expected = ["1.10", r#""a,]\"""#, "[2,[3]]", r#"{"b":[4,"}"]}"#, "null"];
        for (index, element_text) in (0..).zip(expected) {
            assert_eq!(element(array, index), Some(element_text));
            assert_eq!(element(array, index - 5), Some(element_text));
        }
        for index in [5, -6, i64::MAX, i64::MIN] {
            assert_eq!(element(array, index), None, "{index}");
        }
    }

    proptest! {
        #[test]
        fn whatever_serde_prints_is_found_by_index(rows in prop::collection::vec(prop::collection::vec(".{0,6}", 0..4), 0..5)) {
            let pretty = serde_json::to_string_pretty(&rows).unwrap();
            for (index, row) in rows.iter().enumerate() {
                let index = i64::try_from(index).unwrap();
                for index in [index, index - i64::try_from(rows.len()).unwrap()] {
                    let found: Vec<String> = serde_json::from_str(element(&pretty, index).unwrap()).unwrap();
                    prop_assert_eq!(&found, row);
                }
            }
            prop_assert_eq!(element(&pretty, i64::try_from(rows.len()).unwrap()), None);
        }
    }

    #[test]
    fn what_is_no_array_or_empty_has_no_elements() {
        for text in ["[]", "[ ]", "{}", r#"{"a":[1]}"#, "\"[1]\"", "1", "null", "", "[", "[1"] {
            assert_eq!((element(text, 0), element(text, -1)), (None, None), "{text}");
        }
    }
}
