//! Key patterns as docs/mapping.md describes them: a reader of patterns, and of keys by trying every place where a capture
//! might end.

/// What a capture may hold.
#[derive(Clone, Debug)]
pub(crate) enum Shape {
    Segment,
    Rest,
    Uuid,
    Int,
    Regex(regex::bytes::Regex),
}

#[derive(Clone, Debug)]
pub(crate) enum Part {
    Literal(String),
    Capture(String, Shape),
}

/// Reads a pattern, as far as its form goes; `None` where it has none.
pub(crate) fn parts(pattern: &str) -> Option<Vec<Part>> {
    let (mut parts, mut rest) = (Vec::new(), pattern);
    let push = |parts: &mut Vec<Part>, text: &str| match parts.last_mut() {
        Some(Part::Literal(literal)) => literal.push_str(text),
        _ => parts.push(Part::Literal(text.to_owned())),
    };
    while let Some(first) = rest.chars().next() {
        if rest.starts_with("{{") || rest.starts_with("}}") {
            push(&mut parts, &rest[..1]);
            rest = &rest[2..];
        } else if first == '}' {
            return None;
        } else if first == '{' {
            let (part, behind) = capture(&rest[1..])?;
            parts.push(part);
            rest = behind;
        } else {
            push(&mut parts, &rest[..first.len_utf8()]);
            rest = &rest[first.len_utf8()..];
        }
    }
    makes_sense(&parts).then_some(parts)
}

fn capture(text: &str) -> Option<(Part, &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')?;
    let (name, rest) = text.split_at(end);
    let known = [("}", Shape::Segment), ("..}", Shape::Rest), (":uuid}", Shape::Uuid), (":int}", Shape::Int)];
    for (form, shape) in known {
        if let Some(rest) = rest.strip_prefix(form) {
            return Some((Part::Capture(name.to_owned(), shape), rest));
        }
    }
    let source = rest.strip_prefix(":/")?;
    let mut escaped = false;
    let end = source.find(|c| {
        let ends = c == '/' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    let whole = format!(r"\A(?:{})\z", &source[..end]);
    let regex = regex::bytes::RegexBuilder::new(&whole).unicode(false).dot_matches_new_line(true).build().ok()?;
    Some((Part::Capture(name.to_owned(), Shape::Regex(regex)), source[end + 1..].strip_prefix('}')?))
}

fn makes_sense(parts: &[Part]) -> bool {
    let names: Vec<&String> =
        parts.iter().filter_map(|part| if let Part::Capture(name, _) = part { Some(name) } else { None }).collect();
    let twice = (0..names.len()).any(|place| names[..place].contains(&names[place]));
    let sided = parts.windows(2).all(|pair| match pair {
        [Part::Capture(..), Part::Capture(..)] | [Part::Capture(_, Shape::Rest), _] => false,
        [Part::Capture(_, Shape::Int), Part::Literal(literal)] => !literal.starts_with(|c: char| c.is_ascii_digit()),
        _ => true,
    });
    sided && !twice && names.len() <= 16 && names.iter().all(|name| !name.is_empty())
}

/// How a capture of a regular expression ends that literal text follows.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Ends {
    /// At the first occurrence of that text.
    First,
    /// At any.
    Anywhere,
}

/// What the captures take, by name, in each way in which a key can be read.
pub(crate) fn readings<'k>(parts: &[Part], separator: &str, key: &'k [u8], ends: Ends) -> Vec<Vec<(String, &'k [u8])>> {
    let Some((first, behind)) = parts.split_first() else {
        return if key.is_empty() { vec![Vec::new()] } else { Vec::new() };
    };
    let (name, shape) = match first {
        Part::Literal(literal) => {
            let rest = key.strip_prefix(literal.as_bytes());
            return rest.map(|rest| readings(behind, separator, rest, ends)).unwrap_or_default();
        }
        Part::Capture(name, shape) => (name, shape),
    };
    let next = behind.first().map(|part| if let Part::Literal(literal) = part { literal.as_str() } else { "" });
    let lengths = (0..=key.len()).filter(|length| may_end(shape, next, separator, key, *length, ends));
    let read = |length: usize| {
        let (text, rest) = key.split_at(length);
        readings(behind, separator, rest, ends).into_iter().map(move |mut reading| {
            reading.push((name.clone(), text));
            reading.sort();
            reading
        })
    };
    lengths.flat_map(read).collect()
}

fn may_end(shape: &Shape, next: Option<&str>, separator: &str, key: &[u8], length: usize, ends: Ends) -> bool {
    let (text, rest) = key.split_at(length);
    let first = |wanted: &str| (0..=key.len()).find(|at| key[*at..].starts_with(wanted.as_bytes()));
    let ends_at = |wanted: &str| first(wanted) == Some(length);
    match (shape, next) {
        (Shape::Rest, _) => rest.is_empty(),
        (Shape::Segment, None) => rest.is_empty() && first(separator).is_none(),
        (Shape::Segment, Some(next)) if next.starts_with(separator) => ends_at(separator),
        (Shape::Segment, Some(next)) => ends_at(next),
        (Shape::Uuid, _) => {
            let hyphen = |at: usize| matches!(at, 8 | 13 | 18 | 23);
            let fits = |(at, byte): (usize, &u8)| if hyphen(at) { *byte == b'-' } else { byte.is_ascii_hexdigit() };
            length == 36 && text.iter().enumerate().all(fits)
        }
        (Shape::Int, _) => {
            let digits = text.strip_prefix(b"-").unwrap_or(text);
            !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) && !rest.first().is_some_and(u8::is_ascii_digit)
        }
        (Shape::Regex(regex), None) => rest.is_empty() && regex.is_match(text),
        (Shape::Regex(regex), Some(next)) => (ends == Ends::Anywhere || ends_at(next)) && regex.is_match(text),
    }
}
