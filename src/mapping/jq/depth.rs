//! How deep a JSON text or a value is nested.

use jaq_json::Val;

/// Whether a well-formed text nests objects and arrays deeper than that.
pub(super) fn nested_deeper(text: &str, levels: usize) -> bool {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for byte in text.bytes() {
        if escaped {
            escaped = false;
            continue;
        }
        match byte {
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => {
                depth += 1;
                if depth > levels {
                    return true;
                }
            }
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Whether a value nests arrays and objects deeper than that. Looks at all of it, and goes down by calling itself.
pub(super) fn deeper(value: &Val, levels: usize) -> bool {
    let Some(left) = levels.checked_sub(1) else { return composite(value) };
    match value {
        Val::Arr(elements) => elements.iter().any(|element| deeper(element, left)),
        Val::Obj(fields) => fields.values().any(|field| deeper(field, left)),
        _ => false,
    }
}

/// The same, at a glance: down along the first and the last that can be gone down into. What a filter wraps again and
/// again is found in this way, in a time that does not depend on the size of a value.
pub(super) fn seems_deeper(value: &Val, levels: usize) -> bool {
    let along = |down: fn(&Val) -> Option<&Val>| {
        composite(value) && std::iter::successors(Some(value), |value| down(value)).nth(levels).is_some()
    };
    along(first) || along(last)
}

fn composite(value: &Val) -> bool {
    matches!(value, Val::Arr(_) | Val::Obj(_))
}

/// How many children are looked at.
const LOOKED_AT: usize = 4;

fn first(value: &Val) -> Option<&Val> {
    match value {
        Val::Arr(elements) => elements.iter().take(LOOKED_AT).find(|element| composite(element)),
        Val::Obj(fields) => fields.values().take(LOOKED_AT).find(|field| composite(field)),
        _ => None,
    }
}

fn last(value: &Val) -> Option<&Val> {
    match value {
        Val::Arr(elements) => elements.iter().rev().take(LOOKED_AT).find(|element| composite(element)),
        Val::Obj(fields) => fields.values().rev().take(LOOKED_AT).find(|field| composite(field)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{deeper, nested_deeper, seems_deeper};

    #[test]
    fn levels_are_counted_outside_of_strings() {
        for (text, depth) in
            [("1", 0), ("[]", 1), (r#"[[],{"a":[]}]"#, 3), (r#"{"[[[":"]\"[[[\\"}"#, 1), (r#"[{"a":{}},{"b":1}]"#, 3)]
        {
            assert!(nested_deeper(text, depth.max(1) - 1) || depth == 0, "{text}");
            assert!(!nested_deeper(text, depth), "{text}");
            let value = jaq_json::read::parse_single(text.as_bytes()).unwrap();
            assert!(deeper(&value, depth.max(1) - 1) || depth == 0, "{text}");
            assert!(!deeper(&value, depth) && !seems_deeper(&value, depth), "{text}");
            assert_eq!(seems_deeper(&value, depth.max(1) - 1), depth > 0, "{text}");
        }
    }
}
