//! What a scan finds in a text: its kind, and the fields of its top level. Nothing is copied: a field is two spans.

/// A piece of the text, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// The byte after the last one.
    pub end: u32,
}

impl Span {
    /// A piece of a text of at most [`MAX_TEXT_BYTES`](super::MAX_TEXT_BYTES), beyond which `scan` refuses it.
    #[inline]
    pub(super) fn new(start: usize, end: usize) -> Self {
        Self { start: start as u32, end: end as u32 }
    }

    /// The piece of `text`.
    pub fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

/// The kinds of JSON values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    String,
    /// A number.
    Number,
    /// `true` or `false`
    Bool,
    /// `null`
    Null,
}

impl Kind {
    /// The kind's name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Number => "number",
            Self::Bool => "boolean",
            Self::Null => "null",
        }
    }

    /// The kind of a well-formed value, by its first byte.
    #[inline]
    pub fn of(text: &str) -> Self {
        match text.as_bytes().first() {
            Some(b'{') => Self::Object,
            Some(b'[') => Self::Array,
            Some(b'"') => Self::String,
            Some(b't' | b'f') => Self::Bool,
            Some(b'n') => Self::Null,
            _ => Self::Number,
        }
    }
}

/// A field of the top level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// The key between its quotes, still escaped.
    pub key: Span,
    /// The value, quotes included.
    pub value: Span,
    /// Whether the key has escapes.
    pub key_escaped: bool,
}

/// A scanned text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scanned {
    /// The kind of its value.
    pub kind: Kind,
    /// The value without the white space around it.
    pub span: Span,
    /// Whether any key of the top level has escapes.
    pub escaped_keys: bool,
    /// Whether some object may have a key twice; if not, none has.
    pub may_repeat: bool,
}
