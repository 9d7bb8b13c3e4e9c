//! Templates: texts put together from literal parts, captures of the key and fields of the value.

use super::found::Found;
use super::pattern::Pattern;
use super::source::Context;
use super::top::Top;
use crate::decode::JsonPath;
use crate::encode::EncodeError;
use std::borrow::Cow;

/// A text with places for captures and paths.
#[derive(Clone, Debug)]
pub(super) struct Template(Vec<Piece>);

#[derive(Clone, Debug)]
enum Piece {
    Literal(String),
    Capture(usize),
    Path(JsonPath),
}

impl Template {
    /// Reads a template such as `{id}-{$.lang}`; `{{` and `}}` are braces.
    ///
    /// # Errors
    /// Where a brace is not closed or closes nothing, or what stands in it is neither a capture nor a path.
    pub(super) fn parse(text: &str, pattern: &Pattern) -> Result<Self, String> {
        let (mut pieces, mut literal, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            let (plain, tail) = rest.split_at(at);
            literal.push_str(plain);
            if let Some(tail) = tail.strip_prefix("{{").or_else(|| tail.strip_prefix("}}")) {
                literal.push_str(rest.get(at..=at).unwrap_or_default());
                rest = tail;
                continue;
            }
            let inside =
                tail.strip_prefix('{').ok_or_else(|| format!("`{text}`: a `}}` closes nothing (`}}}}` is one)"))?;
            let end = closing(inside).ok_or_else(|| format!("`{text}`: a `{{` is not closed (`{{{{` is one)"))?;
            if !literal.is_empty() {
                pieces.push(Piece::Literal(std::mem::take(&mut literal)));
            }
            let name = inside.get(..end).unwrap_or_default();
            pieces.push(Piece::parse(name, pattern).map_err(|error| format!("`{text}`: {error}"))?);
            rest = inside.get(end + 1..).unwrap_or_default();
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Self(pieces))
    }

    /// The text; absent as soon as one of its parts is absent or null.
    ///
    /// # Errors
    /// `type_mismatch` where a part is an object or array.
    pub(super) fn evaluate<'r>(&self, context: &Context<'r>) -> Result<Found<'r>, EncodeError> {
        if let [Piece::Capture(index)] = self.0.as_slice() {
            return Ok(Found::Text(Cow::Borrowed(context.captures.text(context.key, *index))));
        }
        let mut text = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Literal(literal) => text.push_str(literal),
                Piece::Capture(index) => text.push_str(context.captures.text(context.key, *index)),
                Piece::Path(path) => match context.found(path).into_text()? {
                    Some(part) => text.push_str(&part),
                    None => return Ok(Found::Absent),
                },
            }
        }
        Ok(Found::Text(Cow::Owned(text)))
    }

    /// What the record's value must be at the top.
    pub(super) fn top(&self) -> Top {
        self.paths().map(Top::of).fold(Top::default(), Top::and)
    }

    /// Whether it was written with U+0000.
    pub(super) fn has_nul(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Literal(text) if text.contains('\0')))
    }

    /// Whether it reads a capture of the key.
    pub(super) fn has_captures(&self) -> bool {
        self.0.iter().any(|piece| matches!(piece, Piece::Capture(_)))
    }

    /// The paths in it.
    pub(super) fn paths(&self) -> impl Iterator<Item = &JsonPath> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Path(path) => Some(path),
            Piece::Literal(_) | Piece::Capture(_) => None,
        })
    }
}

impl Piece {
    fn parse(name: &str, pattern: &Pattern) -> Result<Self, String> {
        if name.starts_with('$') {
            return JsonPath::parse(name).map(Self::Path);
        }
        let index = pattern.names().position(|known| known == name);
        index.map(Self::Capture).ok_or_else(|| {
            let names: Vec<String> = pattern.names().map(|known| format!("`{{{known}}}`")).collect();
            let captures = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
            format!("the pattern has no capture `{name}`; its captures: {captures}")
        })
    }
}

/// Where the brace closes that was opened before `text`. One within quotes, as in `{$["a}b"]}`, closes nothing.
fn closing(text: &str) -> Option<usize> {
    let mut quoted = false;
    text.bytes().position(|byte| {
        quoted ^= byte == b'"';
        byte == b'}' && !quoted
    })
}
