//! Writes JSON text piece by piece: commas, nesting, keys that must differ, and bytes that must be text.

use super::super::json::{MAX_DEPTH, MAX_TEXT_BYTES};
use super::super::path::path_at;
use super::super::text::push_json_string;
use super::super::{DecodeError, Policies};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::borrow::Cow;
use std::ops::Range;

pub(super) struct Writer<'p> {
    out: String,
    levels: Vec<Level>,
    policies: &'p Policies,
    altered: &'p mut Vec<&'static str>,
}

/// An open array or object.
pub(super) struct Level {
    pub(super) object: bool,
    /// Values that are still to come.
    pub(super) left: usize,
    /// Where in the text its keys are, quotes included.
    keys: Vec<Range<usize>>,
    empty: bool,
}

impl<'p> Writer<'p> {
    pub(super) fn new(policies: &'p Policies, altered: &'p mut Vec<&'static str>) -> Self {
        Self { out: String::new(), levels: Vec::new(), policies, altered }
    }

    pub(super) fn level(&self) -> Option<&Level> {
        self.levels.last()
    }

    /// The text, once no level is open.
    pub(super) fn finish(self) -> String {
        self.out
    }

    /// An error at the place that was reached.
    #[cold]
    pub(super) fn error(&self, reason: &'static str, detail: impl Into<String>) -> DecodeError {
        let mut error = DecodeError::new(reason, detail);
        error.path = Some(path_at(self.out.as_bytes(), self.out.len()));
        error
    }

    /// What stands before a value; a key has had its comma.
    fn value(&mut self) -> Result<(), DecodeError> {
        if self.out.len() > MAX_TEXT_BYTES {
            return Err(DecodeError::new("value_too_large", format!("JSON text of more than {MAX_TEXT_BYTES} bytes")));
        }
        if let Some(level) = self.levels.last_mut() {
            level.left = level.left.saturating_sub(1);
            if !level.object && !std::mem::replace(&mut level.empty, false) {
                self.out.push(',');
            }
        }
        Ok(())
    }

    /// A value that is JSON text already.
    pub(super) fn raw(&mut self, json: &str) -> Result<(), DecodeError> {
        self.value()?;
        self.out.push_str(json);
        Ok(())
    }

    /// A string, which should be UTF-8.
    pub(super) fn text(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        self.value()?;
        let text = self.read_text(bytes)?;
        push_json_string(&mut self.out, &text);
        Ok(())
    }

    /// Bytes that do not claim to be text.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        self.value()?;
        let text = self.base64(bytes)?;
        push_json_string(&mut self.out, &text);
        Ok(())
    }

    /// The key of the next value.
    pub(super) fn key(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let text = self.read_text(bytes)?;
        let Some(level) = self.levels.last_mut() else { return Ok(()) };
        if !std::mem::replace(&mut level.empty, false) {
            self.out.push(',');
        }
        let start = self.out.len();
        push_json_string(&mut self.out, &text);
        level.keys.push(start..self.out.len());
        self.out.push(':');
        Ok(())
    }

    pub(super) fn open(&mut self, object: bool, left: usize) -> Result<(), DecodeError> {
        if self.levels.len() == MAX_DEPTH {
            return Err(self.error("json_depth", format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.value()?;
        self.out.push(if object { '{' } else { '[' });
        self.levels.push(Level { object, left, keys: Vec::new(), empty: true });
        Ok(())
    }

    /// Ends the innermost level.
    pub(super) fn close(&mut self) -> Result<(), DecodeError> {
        let Some(mut level) = self.levels.pop() else { return Ok(()) };
        self.out.push(if level.object { '}' } else { ']' });
        let text = |key: &Range<usize>| self.out.get(key.clone()).unwrap_or_default();
        // Equal keys are written equally. Sorted they are neighbours, in the order in which they came.
        level.keys.sort_by(|a, b| text(a).cmp(text(b)));
        match level.keys.array_windows().find(|[a, b]| text(a) == text(b)) {
            None => Ok(()),
            Some([_, second]) => {
                let detail = format!("two keys of a map become {} in JSON", text(second));
                let mut error = DecodeError::new("duplicate_key_after_conversion", detail);
                error.path = Some(path_at(self.out.as_bytes(), second.end + 1));
                Err(error)
            }
        }
    }

    fn read_text<'b>(&mut self, bytes: &'b [u8]) -> Result<Cow<'b, str>, DecodeError> {
        match (std::str::from_utf8(bytes), self.policies.invalid_utf8) {
            (Ok(text), _) => Ok(Cow::Borrowed(text)),
            (Err(error), Some(charset)) => {
                let text = charset.stand_in(bytes, error)?;
                self.note("invalid_utf8");
                Ok(Cow::Owned(text))
            }
            (Err(_), None) => self.base64(bytes).map(Cow::Owned),
        }
    }

    fn base64(&mut self, bytes: &[u8]) -> Result<String, DecodeError> {
        if self.policies.bytes.is_none() {
            let found = match bytes.len() {
                1 => "1 byte that is no text".to_owned(),
                count => format!("{count} bytes that are no text"),
            };
            return Err(self.error("encoding_bytes_in_json", format!("{found}, which JSON cannot hold")));
        }
        self.note("bytes");
        Ok(STANDARD.encode(bytes))
    }

    fn note(&mut self, policy: &'static str) {
        if !self.altered.contains(&policy) {
            self.altered.push(policy);
        }
    }
}
