//! The value of a reject for people: text as it is, collections by what they hold.

use crate::model::{Items, RedisKey};
use bytes::Bytes;

/// The most lines of a collection.
const LINES: usize = 100;
/// The most characters of one of its items.
const ITEM_WIDTH: usize = 500;

/// A value as `rejects show` prints it; `is_part`: it is an element of the key's value, or a slice of it.
pub(super) fn printed(redis_type: &str, value: &Bytes, is_part: bool) -> String {
    let part = if is_part { "(a part of it) " } else { "" };
    let Some(lines) = collection(redis_type, value, is_part) else { return format!("{part}{}", text(value)) };
    let mut out = part.trim_end().to_owned();
    if lines.is_empty() {
        out.push_str("(empty)");
    }
    for line in lines.iter().take(LINES) {
        out.push_str("\n    ");
        out.push_str(line);
    }
    if lines.len() > LINES {
        out.push_str(&format!("\n    … and {} more lines; --json has the bytes of all of it", lines.len() - LINES));
    }
    out
}

/// The items of a packed collection, a line each; `None` where it is none.
fn collection(redis_type: &str, value: &[u8], is_part: bool) -> Option<Vec<String>> {
    let mut items = Items::of(value);
    let mut lines = Vec::new();
    while let Some(first) = items.next() {
        match redis_type {
            "hash" | "zset" => lines.push(pair(first, items.next()?)),
            "set" => lines.push(item(first)),
            // Where a part begins in its list is not kept with it.
            "list" if is_part => lines.push(item(first)),
            "list" => lines.push(format!("[{}] {}", lines.len(), item(first))),
            "stream" => {
                lines.push(item(first));
                let fields: usize = std::str::from_utf8(items.next()?).ok()?.parse().ok()?;
                for _ in 0..fields {
                    lines.push(format!("  {}", pair(items.next()?, items.next()?)));
                }
            }
            _ => return None,
        }
    }
    let is_packed = matches!(redis_type, "hash" | "zset" | "set" | "list" | "stream") && items.rest().is_empty();
    is_packed.then_some(lines)
}

fn pair(name: &[u8], value: &[u8]) -> String {
    format!("{}: {}", item(name), item(value))
}

/// An item, cut where it is long.
fn item(bytes: &[u8]) -> String {
    // No character has more than four bytes.
    let head = bytes.get(..ITEM_WIDTH * 4).unwrap_or(bytes);
    let head = match std::str::from_utf8(bytes) {
        // The cut may have split a character.
        Ok(whole) => whole.get(..whole.floor_char_boundary(head.len())).unwrap_or(whole).as_bytes(),
        Err(_) => head,
    };
    let printed = text(&Bytes::copy_from_slice(head));
    match printed.char_indices().nth(ITEM_WIDTH) {
        Some((end, _)) => format!("{}… ({} bytes)", printed.get(..end).unwrap_or_default(), bytes.len()),
        None => printed,
    }
}

/// Text as it is, but for control characters; anything else as keys are printed, invalid bytes escaped.
fn text(value: &Bytes) -> String {
    let Ok(text) = std::str::from_utf8(value) else { return RedisKey::new(value.clone()).to_string() };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::printed;
    use crate::model::Packer;
    use bytes::Bytes;

    fn shown(redis_type: &str, items: &[&[u8]], is_part: bool) -> String {
        printed(redis_type, &items.iter().copied().collect::<Packer>().finish(), is_part)
    }

    #[test]
    fn collections_are_printed_by_what_they_hold() {
        assert_eq!(shown("hash", &[b"a", b"1", b"b\xff", b"x\ny"], false), "\n    a: 1\n    b\\xff: x\\ny");
        assert_eq!(shown("zset", &[b"ann", b"1.5"], true), "(a part of it)\n    ann: 1.5");
        assert_eq!(shown("list", &[b"x", b"y"], false), "\n    [0] x\n    [1] y");
        assert_eq!(shown("list", &[b"x"], true), "(a part of it)\n    x");
        assert_eq!(
            shown("stream", &[b"17-0", b"1", b"a", b"b", b"18-0", b"0"], false),
            "\n    17-0\n      a: b\n    18-0"
        );
        assert_eq!(shown("set", &[], false), "(empty)");
    }

    #[test]
    fn what_is_no_collection_is_printed_as_it_is() {
        assert_eq!(printed("string", &Bytes::from_static(b"\0\0\0\x01a"), false), r"\u{0}\u{0}\u{0}\u{1}a");
        assert_eq!(printed("string", &Bytes::from_static(b"{}"), true), "(a part of it) {}");
        // Torn, or an odd number of items.
        assert_eq!(printed("list", &Bytes::from_static(b"\0\0\0\x02a"), false), r"\u{0}\u{0}\u{0}\u{2}a");
        assert!(!shown("hash", &[b"a"], false).contains('\n'));
    }

    #[test]
    fn a_large_collection_is_cut_and_says_so() {
        let long = "é".repeat(100_000);
        let many: Vec<&[u8]> = std::iter::repeat_n(long.as_bytes(), 1000).collect();
        let text = shown("set", &many, false);
        assert!(text.len() < 200_000 && text.contains("é… (200000 bytes)"), "{}", text.len());
        assert!(text.ends_with("… and 900 more lines; --json has the bytes of all of it"));
    }
}
