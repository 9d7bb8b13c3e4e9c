//! A JSON value as a tree, with nothing lost: numbers as they are written, keys in their order, those that are there twice
//! included.

use std::collections::HashSet;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    Null,
    Bool(bool),
    /// As it is written.
    Number(String),
    Text(String),
    Array(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl Node {
    /// Whether any object in it has a key twice.
    pub(crate) fn repeats_keys(&self) -> bool {
        match self {
            Self::Array(items) => items.iter().any(Self::repeats_keys),
            Self::Object(members) => {
                let mut seen = HashSet::new();
                members.iter().any(|(key, value)| !seen.insert(key) || value.repeats_keys())
            }
            _ => false,
        }
    }

    /// The member of that key, of several the last one.
    pub(crate) fn member(&self, key: &str) -> Option<&Node> {
        let Self::Object(members) = self else { return None };
        members.iter().rev().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    /// As JSON text without white space.
    pub(crate) fn print(&self, out: &mut String) {
        let quoted = |text: &str| serde_json::to_string(text).unwrap();
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(flag) => out.push_str(&flag.to_string()),
            Self::Number(number) => out.push_str(number),
            Self::Text(text) => out.push_str(&quoted(text)),
            Self::Array(items) => {
                out.push('[');
                for (place, item) in items.iter().enumerate() {
                    out.push_str(if place > 0 { "," } else { "" });
                    item.print(out);
                }
                out.push(']');
            }
            Self::Object(members) => {
                out.push('{');
                for (place, (key, value)) in members.iter().enumerate() {
                    out.push_str(if place > 0 { "," } else { "" });
                    out.push_str(&quoted(key));
                    out.push(':');
                    value.print(out);
                }
                out.push('}');
            }
        }
    }
}
