//! How deep a JSON text is nested.

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

#[cfg(test)]
mod tests {
    use super::nested_deeper;

    #[test]
    fn levels_are_counted_outside_of_strings() {
        for (text, depth) in
            [("1", 0), ("[]", 1), (r#"[[],{"a":[]}]"#, 3), (r#"{"[[[":"]\"[[[\\"}"#, 1), (r#"[{"a":{}},{"b":1}]"#, 3)]
        {
            assert!(nested_deeper(text, depth.max(1) - 1) || depth == 0, "{text}");
            assert!(!nested_deeper(text, depth), "{text}");
        }
    }
}
