//! The chain that a mapping names: steps that unpack a value's bytes, and the form that says what they are then.
//!
//! Owns the names of steps and forms. What a value is comes from the mapping alone: a step with `?` looks for its magic
//! bytes, and nothing is ever tried to see whether it works.

mod armor;
mod bare_number;
mod block;
mod parse;
mod step;
mod stream;

pub(crate) use armor::hex_bytes;
pub use parse::ChainError;
pub(super) use step::is_text;

use super::DecodeError;
use std::borrow::Cow;
use step::Step;

/// What the bytes are behind the last step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// JSON text in UTF-8.
    #[default]
    Json,
    /// Text in UTF-8.
    Text,
    /// Bytes of any kind.
    Bytes,
    /// MessagePack, which becomes JSON text.
    Msgpack,
    /// What PHP's `serialize` writes of scalars and arrays, which becomes JSON text.
    Php,
}

impl Form {
    /// The form that a chain's last word stands for.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "json" => Self::Json,
            "text" => Self::Text,
            "bytes" | "raw" => Self::Bytes,
            "msgpack" => Self::Msgpack,
            "php" => Self::Php,
            _ => return None,
        })
    }

    /// Whether the value becomes JSON text, of which paths can be read.
    pub fn is_json(self) -> bool {
        matches!(self, Self::Json | Self::Msgpack | Self::Php)
    }

    /// Whether it can hold bytes that are not text.
    pub fn holds_bytes(self) -> bool {
        matches!(self, Self::Bytes | Self::Msgpack | Self::Php)
    }

    /// Its name in a chain.
    pub fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Text => "text",
            Self::Bytes => "bytes",
            Self::Msgpack => "msgpack",
            Self::Php => "php",
        }
    }
}

/// A chain, read from its names. The default is JSON text without any step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    steps: Vec<Step>,
    /// Whether values that are a number alone are that number, whatever the rest of the chain says.
    numbers: bool,
    /// What the bytes are behind the last step.
    pub form: Form,
}

impl Chain {
    /// Whether it has no steps.
    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// A value that is a number alone, as JSON, where the chain says that there are such; `None` for all others.
    pub(super) fn number(&self, value: &[u8]) -> Option<String> {
        if self.numbers { bare_number::json(value) } else { None }
    }

    /// Whether any step inflates what it is given.
    pub fn inflates(&self) -> bool {
        self.steps.iter().any(Step::inflates)
    }

    /// Runs the steps; without any the bytes are borrowed as they are. An empty value stays empty, unless a step needs
    /// bytes: nothing in base64 or hex is nothing, and no stream or prefix is empty.
    ///
    /// # Errors
    /// `decompress_failed`, `value_too_large` (above `limit` bytes), `base64`, `hex`, `prefix_missing`, `empty_value`.
    pub(super) fn unpack<'a>(&self, value: &'a [u8], limit: usize) -> Result<Cow<'a, [u8]>, DecodeError> {
        if value.is_empty() && self.steps.iter().any(Step::needs_bytes) {
            return Err(DecodeError::new("empty_value", "the value is empty"));
        }
        self.steps.iter().try_fold(Cow::Borrowed(value), |bytes, step| step.run(bytes, limit))
    }
}

#[cfg(test)]
mod tests;
