//! Globs as Redis matches them, for keys that are not in a Redis.

/// Whether a glob takes a key, as KEYS and SCAN's MATCH do: `*`, `?`, `[a-c]`, `[^a]` and a backslash before a byte that
/// means itself. A class without its end goes to the glob's.
pub fn glob_matches(glob: &[u8], key: &[u8]) -> bool {
    let (mut glob_at, mut key_at) = (0, 0);
    // Behind the last `*`, and where what follows it was tried last. An earlier `*` need not take more: the leftmost place
    // leaves the most for what follows.
    let mut star: Option<(usize, usize)> = None;
    loop {
        let rest = glob.get(glob_at..).unwrap_or_default();
        if let [b'*', ..] = rest {
            glob_at += 1;
            star = Some((glob_at, key_at));
            continue;
        }
        let byte = key.get(key_at);
        if byte.is_none() && rest.is_empty() {
            return true;
        }
        match byte.and_then(|byte| step(rest, *byte)) {
            Some(taken) => (glob_at, key_at) = (glob_at + taken, key_at + 1),
            None => match star {
                Some((behind, tried)) if tried < key.len() => {
                    (glob_at, key_at) = (behind, tried + 1);
                    star = Some((behind, key_at));
                }
                _ => return false,
            },
        }
    }
}

/// How many bytes of the glob stand for this one byte of the key; `None` where it is another.
fn step(glob: &[u8], byte: u8) -> Option<usize> {
    match glob {
        [] => None,
        [b'?', ..] => Some(1),
        [b'[', rest @ ..] => class(rest, byte).map(|taken| taken + 1),
        [b'\\', literal, ..] => (*literal == byte).then_some(2),
        [literal, ..] => (*literal == byte).then_some(1),
    }
}

/// How long the class is behind its bracket, where it has the byte.
fn class(glob: &[u8], byte: u8) -> Option<usize> {
    let negated = glob.first() == Some(&b'^');
    let mut at = usize::from(negated);
    let mut found = false;
    loop {
        match glob.get(at..).unwrap_or_default() {
            [] => break,
            [b'\\', escaped, ..] => (found, at) = (found | (*escaped == byte), at + 2),
            [b']', ..] => {
                at += 1;
                break;
            }
            [from, b'-', to, ..] => {
                (found, at) = (found | (*from.min(to)..=*from.max(to)).contains(&byte), at + 3);
            }
            [one, ..] => (found, at) = (found | (*one == byte), at + 1),
        }
    }
    (found != negated).then_some(at)
}

#[cfg(test)]
mod tests {
    use super::glob_matches;

    #[test]
    fn globs_take_what_redis_takes() {
        for (glob, key) in [
            ("*", ""),
            ("", ""),
            ("a*c", "abbc"),
            ("a*b*c", "axbxbxc"),
            ("h?llo", "hello"),
            ("h[ae]llo", "hallo"),
            ("h[^e]llo", "hallo"),
            ("h[a-b]llo", "hbllo"),
            ("h[b-a]llo", "hallo"),
            (r"a\*b", "a*b"),
            (r"a[\]x]b", "a]b"),
            ("[abc", "b"),
            (r"a\", r"a\"),
            ("**x**", "x"),
            ("*aab", "aaaab"),
        ] {
            assert!(glob_matches(glob.as_bytes(), key.as_bytes()), "{glob} {key}");
        }
        for (glob, key) in [
            ("", "a"),
            ("a", ""),
            ("a*c", "abb"),
            ("h?llo", "hllo"),
            ("h[^e]llo", "hello"),
            ("h[a-b]llo", "hcllo"),
            (r"a\*b", "axb"),
            ("*a", "b"),
            ("[]", "x"),
        ] {
            assert!(!glob_matches(glob.as_bytes(), key.as_bytes()), "{glob} {key}");
        }
        assert!(glob_matches(b"\xff*", b"\xff\0"));
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        let (glob, key) = ("a*".repeat(40), "a".repeat(4_000));
        assert!(!glob_matches(format!("{glob}b").as_bytes(), key.as_bytes()));
    }
}
