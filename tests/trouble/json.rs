//! Random JSON with a place in it, into which one thing is put: what is wrong, or what is right.

use crate::random::Random;

/// A JSON text as a string of JSON.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

/// What the place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// A value stands there.
    Value,
    /// A part of a string stands there.
    Text,
    /// A part of an object's key stands there.
    Name,
}

/// A JSON text with a hole.
#[derive(Clone)]
pub(crate) struct Hole {
    before: String,
    after: String,
}

/// Values that are fine, and look like some that are not.
const SCALARS: [&str; 20] = [
    "1.10",
    "1E2",
    "-0.0",
    "18446744073709551616",
    "123456789012345678901234567890.5",
    "0.1000000000000000055511151231257827",
    "1e-400",
    "true",
    "null",
    r#""a\/b""#,
    r#""C:\\u0000dir""#,
    r#""\\\\u0000""#,
    r#""\ud83d\ude00""#,
    r#""NaN""#,
    r#""\u00e9\u007f""#,
    "[]",
    "{}",
    r#"[1,[2,{"q":[]}]]"#,
    r#""-Infinity: 'None' True""#,
    r#""""#,
];

/// The same beyond ASCII.
const WIDE: [&str; 3] = ["\"é日本😀\"", "{\"ключ\":\"значение\"}", "\"x\u{feff}y\""];

impl Hole {
    /// A hole somewhere in an object, at any depth; with `ascii` there is nothing else around it.
    pub(crate) fn new(random: &mut Random, at: At, ascii: bool) -> Self {
        let mut hole = match at {
            At::Value => Self { before: String::new(), after: String::new() },
            At::Text => Self { before: format!("\"{}", random.word()), after: format!("{}\"", random.word()) },
            At::Name => Self { before: format!("{{\"{}", random.word()), after: "\":1}".to_owned() },
        };
        let depth = random.below(5);
        for _ in 0..depth {
            hole = if random.once_in(3) { hole.in_array(random, ascii) } else { hole.in_object(random, ascii) };
        }
        hole.in_object(random, ascii)
    }

    fn in_array(self, random: &mut Random, ascii: bool) -> Self {
        let mut pieces = [String::new(), String::new()];
        for piece in &mut pieces {
            for _ in 0..random.below(3) {
                piece.push_str(scalar(random, ascii));
                piece.push(',');
            }
        }
        // An array without anything beside the hole would be right with nothing in it.
        if pieces.iter().all(String::is_empty) {
            pieces[0] = format!("{},", scalar(random, ascii));
        }
        let [first, last] = pieces;
        let last = if last.is_empty() { last } else { format!(",{}", last.trim_end_matches(',')) };
        Self { before: format!("[{first}{}", self.before), after: format!("{}{last}]", self.after) }
    }

    fn in_object(self, random: &mut Random, ascii: bool) -> Self {
        let mut pieces = [String::new(), String::new()];
        for (place, piece) in pieces.iter_mut().enumerate() {
            for member in 0..random.below(4) {
                let space = random.pick(&["", "", " ", "\n\t"]);
                piece.push_str(&format!("\"k{place}{member}\":{space}{},{space}", scalar(random, ascii)));
            }
        }
        let [first, last] = pieces;
        let last = if last.is_empty() { last } else { format!(",{}", last.trim_end().trim_end_matches(',')) };
        let name = random.word();
        Self { before: format!("{{{first}\"_{name}\":{}", self.before), after: format!("{}{last}}}", self.after) }
    }

    /// The text with something in the hole.
    pub(crate) fn with(&self, piece: impl AsRef<[u8]>) -> Vec<u8> {
        [self.before.as_bytes(), piece.as_ref(), self.after.as_bytes()].concat()
    }

    /// The same as text.
    pub(crate) fn text(&self, piece: &str) -> String {
        format!("{}{piece}{}", self.before, self.after)
    }

    /// The same with a string of so many characters in front, so that the value is large.
    pub(crate) fn large(&self, characters: usize) -> Self {
        let rest = self.before.strip_prefix('{').unwrap();
        Self { before: format!("{{\"filler\":\"{}\",{rest}", "x".repeat(characters)), after: self.after.clone() }
    }
}

fn scalar(random: &mut Random, ascii: bool) -> &'static str {
    if !ascii && random.once_in(6) { random.pick(&WIDE) } else { random.pick(&SCALARS) }
}

/// Members of an object, each with a JSON text of any bytes.
pub(crate) type Members = Vec<(&'static str, Vec<u8>)>;

/// An object of these members, in any order.
pub(crate) fn object(random: &mut Random, members: &[(&'static str, Vec<u8>)]) -> Vec<u8> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    random.shuffle(&mut order);
    let mut out = vec![b'{'];
    for (place, member) in order.into_iter().enumerate() {
        let (name, value) = &members[member];
        out.extend_from_slice(if place == 0 { b"" } else { random.pick(&[&b","[..], b", ", b",\n"]) });
        out.extend_from_slice(quoted(name).as_bytes());
        out.push(b':');
        out.extend_from_slice(value);
    }
    out.push(b'}');
    out
}

/// The members with one of them replaced, or without it where there is nothing.
pub(crate) fn replaced(members: &Members, name: &str, value: Option<&[u8]>) -> Members {
    let mut members: Members = members.iter().filter(|(other, _)| *other != name || value.is_some()).cloned().collect();
    if let Some((member, value)) = members.iter_mut().find(|(other, _)| *other == name).zip(value) {
        member.1 = value.to_vec();
    }
    members
}
