//! What must hold for any pattern and key. The glob is tried on a copy of how Redis matches; tests/mapping/keys.rs asks a server.

use super::overlap::{Common, Overlap};
use super::{Pattern, escape_literal};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_glob_lets_every_key_of_its_pattern_through((pattern, key) in pattern_and_key()) {
        let glob = pattern.glob();
        if pattern.matches(&key) {
            prop_assert!(redis_matches(glob.as_bytes(), &key), "{glob}");
        }
        prop_assert_eq!(pattern.glob_matches(&key), redis_matches(glob.as_bytes(), &key), "{}", glob);
    }

    #[test]
    fn a_key_is_what_its_captures_build((pattern, key) in pattern_and_key()) {
        let Some(captures) = pattern.captures(&key) else { return Ok(()) };
        let texts = captures.texts(&key);
        let mut built = Vec::new();
        for part in &pattern.parts {
            match part {
                super::Part::Literal(literal) => built.extend_from_slice(literal.as_bytes()),
                super::Part::Capture(capture) => built.extend_from_slice(texts[capture.slot]),
            }
        }
        prop_assert_eq!(&built, &key);
        if let ([text], Ok(key)) = (texts.as_slice(), std::str::from_utf8(&key))
            && !text.is_empty()
        {
            let built = pattern.build(std::str::from_utf8(text).unwrap());
            prop_assert_eq!(built.as_ref().and_then(|built| built.as_str()), Some(key));
        }
    }

    #[test]
    fn a_common_key_is_taken_by_both_and_none_is_missed(left in pattern(), right in pattern(), keys in prop::collection::vec(key(), 20)) {
        let found = Common { left: &left, right: &right, excludes: Vec::new(), differing: false }.find();
        match &found {
            Overlap::Key(key) => prop_assert!(left.matches(key.as_bytes()) && right.matches(key.as_bytes()), "{}", key),
            Overlap::Never => {
                let own = keys.iter().filter(|key| left.matches(key) && right.matches(key)).count();
                prop_assert_eq!(own, 0, "{} and {}", left.text(), right.text());
            }
            Overlap::Unknown => prop_assert!(false, "{} and {}", left.text(), right.text()),
        }
    }

    #[test]
    fn literal_text_is_written_as_a_pattern(text in "[a{}:*]{0,6}") {
        let pattern = Pattern::parse(&escape_literal(&text)).unwrap();
        prop_assert!(pattern.matches(text.as_bytes()));
        let longer = format!("{text}a");
        prop_assert!(!pattern.matches(longer.as_bytes()));
    }
}

/// Patterns of few characters, so that they have keys in common.
fn pattern() -> impl Strategy<Value = Pattern> {
    let literal =
        prop::sample::select(vec!["a", ":", "-", "a:", "aa", "b-", "*", "[a]", "?", r"\", "é", "1", "{{", "}}"]);
    let capture = prop::sample::select(vec!["", ":int", ":uuid", ":/[ab]*/", r":/\d+/", ":/[^:]+/", ":/a|b:/"]);
    let piece = prop_oneof![literal.prop_map(|text| (text, false)), capture.prop_map(|shape| (shape, true))];
    (prop::collection::vec(piece, 0..6), any::<bool>()).prop_filter_map("not a pattern", |(pieces, rest)| {
        let last = pieces.len().checked_sub(1);
        let write = |(at, (text, captures)): (usize, &(&str, bool))| match (captures, text.is_empty()) {
            (false, _) => (*text).to_owned(),
            (true, true) if rest && Some(at) == last => format!("{{c{at}..}}"),
            (true, _) => format!("{{c{at}{text}}}"),
        };
        Pattern::parse(&pieces.iter().enumerate().map(write).collect::<String>()).ok()
    })
}

fn key() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        &b"a"[..],
        b"b",
        b":",
        b"-",
        b"1",
        b"*",
        b"[a]",
        b"?",
        b"\\",
        b"{",
        b"}",
        b"\xff",
        b"\n",
        "é".as_bytes(),
        b"01234567-89aB-4def-8012-3456789abcde",
    ]);
    prop::collection::vec(piece, 0..7).prop_map(|pieces| pieces.concat())
}

/// A pattern, and a key that is of it more often than not.
fn pattern_and_key() -> impl Strategy<Value = (Pattern, Vec<u8>)> {
    (pattern(), prop::collection::vec(key(), 6), any::<bool>()).prop_map(|(pattern, texts, exact)| {
        let mut key = Vec::new();
        for (part, text) in pattern.parts.iter().zip(&texts) {
            match part {
                super::Part::Literal(literal) => key.extend_from_slice(literal.as_bytes()),
                super::Part::Capture(_) => key.extend_from_slice(text),
            }
        }
        (pattern, if exact { key } else { texts[0].clone() })
    })
}

/// How Redis matches a glob: `stringmatchlen` of its util.c, for `*`, `?`, `[…]` and backslashes.
fn redis_matches(glob: &[u8], key: &[u8]) -> bool {
    let (Some((first, glob_rest)), key_first) = (glob.split_first(), key.split_first()) else { return key.is_empty() };
    match (first, key_first) {
        (b'*', _) => (0..=key.len()).any(|at| redis_matches(glob_rest, &key[at..])),
        (_, None) => false,
        (b'?', Some((_, key))) => redis_matches(glob_rest, key),
        (b'[', Some((byte, key))) => {
            let end = glob_rest.iter().position(|b| *b == b']').unwrap_or(glob_rest.len());
            glob_rest[..end].contains(byte) && redis_matches(glob_rest.get(end + 1..).unwrap_or_default(), key)
        }
        (b'\\', Some((byte, key))) if !glob_rest.is_empty() => {
            glob_rest[0] == *byte && redis_matches(&glob_rest[1..], key)
        }
        (first, Some((byte, key))) => first == byte && redis_matches(glob_rest, key),
    }
}
