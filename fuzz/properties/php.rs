//! PHP's serialize for scalars and arrays: a writer, and a plain recursive reader.

use super::node::Node;

/// What a value is in PHP.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Php {
    Null,
    Bool(bool),
    Integer(i64),
    Float(String),
    Text(Vec<u8>),
    Array(Vec<(Php, Php)>),
}

/// Reads a text that is one value; `None` where it is none of scalars and arrays.
pub(crate) fn read(bytes: &[u8]) -> Option<Php> {
    let (value, rest) = value(bytes, 0)?;
    rest.is_empty().then_some(value)
}

fn until(bytes: &[u8], mark: u8) -> Option<(&str, &[u8])> {
    let end = bytes.iter().position(|byte| *byte == mark)?;
    Some((std::str::from_utf8(&bytes[..end]).ok()?, &bytes[end + 1..]))
}

fn value(bytes: &[u8], depth: usize) -> Option<(Php, &[u8])> {
    if let Some(rest) = bytes.strip_prefix(b"N;") {
        return Some((Php::Null, rest));
    }
    let (kind, rest) = (bytes.first()?, bytes.get(1..)?.strip_prefix(b":")?);
    match kind {
        b's' => {
            let (length, rest) = until(rest, b':')?;
            let rest = rest.strip_prefix(b"\"")?;
            let (text, rest) = rest.split_at_checked(length.parse().ok()?)?;
            Some((Php::Text(text.to_vec()), rest.strip_prefix(b"\";")?))
        }
        b'a' if depth < 1_000 => {
            let (length, rest) = until(rest, b':')?;
            let (mut left, mut rest) = (length.parse::<usize>().ok()?, rest.strip_prefix(b"{")?);
            let mut pairs = Vec::new();
            while left > 0 {
                let (key, behind) = value(rest, depth + 1)?;
                let key = Some(key).filter(|key| matches!(key, Php::Integer(_) | Php::Text(_)))?;
                let (element, behind) = value(behind, depth + 1)?;
                pairs.push((key, element));
                (rest, left) = (behind, left - 1);
            }
            Some((Php::Array(pairs), rest.strip_prefix(b"}")?))
        }
        _ => {
            let (text, rest) = until(rest, b';')?;
            let scalar = match (kind, text) {
                (b'b', "0" | "1") => Php::Bool(text == "1"),
                (b'i', text) => Php::Integer(text.parse().ok()?),
                (b'd', "NAN" | "INF" | "-INF") => Php::Float(text.to_owned()),
                (b'd', text) => match super::node_reader::strict(text).ok()? {
                    Node::Number(number) if number == text => Php::Float(number),
                    _ => return None,
                },
                _ => return None,
            };
            Some((scalar, rest))
        }
    }
}

impl Php {
    /// What `json_encode` makes of it, keys that are there twice included; `None` where a text is no UTF-8 or a number is
    /// none of JSON's.
    pub(crate) fn to_node(&self) -> Option<Node> {
        Some(match self {
            Self::Null => Node::Null,
            Self::Bool(flag) => Node::Bool(*flag),
            Self::Integer(number) => Node::Number(number.to_string()),
            Self::Float(number) if number.ends_with(['N', 'F']) => return None,
            Self::Float(number) => Node::Number(number.clone()),
            Self::Text(text) => Node::Text(String::from_utf8(text.clone()).ok()?),
            Self::Array(pairs) => {
                let in_order = |(place, (key, _)): (i64, &(Php, Php))| *key == Self::Integer(place);
                if (0..).zip(pairs).all(in_order) {
                    return pairs.iter().map(|(_, value)| value.to_node()).collect::<Option<_>>().map(Node::Array);
                }
                let member = |(key, value): &(Php, Php)| {
                    let key = match key {
                        Self::Integer(number) => number.to_string(),
                        Self::Text(text) => String::from_utf8(text.clone()).ok()?,
                        _ => return None,
                    };
                    Some((key, value.to_node()?))
                };
                Node::Object(pairs.iter().map(member).collect::<Option<_>>()?)
            }
        })
    }

    /// As `serialize` writes it.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => out.extend_from_slice(b"N;"),
            Self::Bool(flag) => out.extend_from_slice(format!("b:{};", u8::from(*flag)).as_bytes()),
            Self::Integer(number) => out.extend_from_slice(format!("i:{number};").as_bytes()),
            Self::Float(number) => out.extend_from_slice(format!("d:{number};").as_bytes()),
            Self::Text(text) => {
                out.extend_from_slice(format!("s:{}:\"", text.len()).as_bytes());
                out.extend_from_slice(text);
                out.extend_from_slice(b"\";");
            }
            Self::Array(pairs) => {
                out.extend_from_slice(format!("a:{}:{{", pairs.len()).as_bytes());
                for (key, value) in pairs {
                    key.write(out);
                    value.write(out);
                }
                out.push(b'}');
            }
        }
    }

    /// The value that a JSON value is in PHP. Keys stay texts, so that an object of them stays an object.
    pub(crate) fn of_node(node: &Node) -> Self {
        match node {
            Node::Null => Self::Null,
            Node::Bool(flag) => Self::Bool(*flag),
            Node::Number(number) => match number.parse() {
                Ok(integer) if number != "-0" => Self::Integer(integer),
                _ => Self::Float(number.clone()),
            },
            Node::Text(text) => Self::Text(text.clone().into_bytes()),
            Node::Array(items) => {
                Self::Array((0..).zip(items).map(|(place, item)| (Self::Integer(place), Self::of_node(item))).collect())
            }
            Node::Object(members) => {
                let pair = |(key, value): &(String, Node)| (Self::Text(key.clone().into_bytes()), Self::of_node(value));
                Self::Array(members.iter().map(pair).collect())
            }
        }
    }
}
