//! What a value is once its mapping's chain has run: JSON, text or bytes, repaired where the mapping asks for it.

use super::chain::{Chain, Form};
use super::duplicates::{refuse_duplicates, refuse_made_equal};
use super::error::FaultKind;
use super::repair::repair;
use super::transcode::{from_msgpack, from_php};
use super::{
    DecodeError, DuplicateKeys, Fault, Field, NulPolicy, Policies, Scanned, foreign, refusal, scan, strict, without_bom,
};
use std::borrow::Cow;
use std::str::Utf8Error;

/// A decoded value. Borrowed from the bytes as read wherever nothing was unpacked or repaired.
#[derive(Clone, Debug)]
pub enum Content<'a> {
    /// JSON text, checked.
    Json(Cow<'a, str>, Scanned),
    /// Text.
    Text(Cow<'a, str>),
    /// Bytes.
    Bytes(Cow<'a, [u8]>),
}

type Transcode = fn(&[u8], &Policies, &mut Vec<&'static str>) -> Result<String, DecodeError>;

/// How the values of one mapping are decoded.
#[derive(Clone, Debug)]
pub struct Decoder {
    /// The steps, and what the bytes are behind them.
    pub chain: Chain,
    /// What is repaired.
    pub policies: Policies,
    /// The most bytes that a step may inflate a value to.
    pub max_inflated: usize,
}

impl Decoder {
    /// Bytes that a value may inflate to unless the mapping says otherwise: as many as the default budget for all that
    /// is in flight, and far more than the values of most caches have.
    pub const MAX_INFLATED: usize = 64 << 20;

    /// Decodes a value. The fields of JSON's top level go to `fields`, the names of repairs to `altered`.
    ///
    /// # Errors
    /// Those of the steps; for MessagePack and PHP `msgpack_syntax`, `msgpack_key`, `php_syntax`,
    /// `duplicate_key_after_conversion`, `encoding_bytes_in_json` and `timestamp_range`; for these and JSON those of
    /// [`super::decode`] and `json_duplicate_key`, as far as no policy covers them; for text `invalid_utf8` and
    /// `encoding_unsupported (…)`.
    pub fn decode<'a>(
        &self,
        value: &'a [u8],
        fields: &mut Vec<Field>,
        altered: &mut Vec<&'static str>,
    ) -> Result<Content<'a>, DecodeError> {
        if let Some(number) = self.chain.number(value) {
            let (text, scanned) = self.check(number, fields, altered)?;
            return Ok(Content::Json(Cow::Owned(text), scanned));
        }
        let bytes = self.chain.unpack(value, self.max_inflated)?;
        fields.clear();
        match self.chain.form {
            Form::Json => {
                let (text, scanned) = self.json(bytes, fields, altered)?;
                Ok(Content::Json(text, scanned))
            }
            Form::Text => self.text(bytes, altered).map(Content::Text),
            Form::Bytes => Ok(Content::Bytes(bytes)),
            Form::Msgpack => self.transcoded(&bytes, from_msgpack, fields, altered),
            Form::Php => self.transcoded(&bytes, from_php, fields, altered),
        }
    }

    /// Reads a part of a value that is JSON by itself, such as a field of a hash; the chain is not for it.
    ///
    /// # Errors
    /// As for JSON in [`Self::decode`].
    pub fn item<'a>(
        &self,
        bytes: &'a [u8],
        altered: &mut Vec<&'static str>,
    ) -> Result<(Cow<'a, str>, Scanned), DecodeError> {
        self.json(Cow::Borrowed(bytes), &mut Vec::new(), altered)
    }

    /// Another form of data becomes JSON text, and is judged like any other.
    fn transcoded<'a>(
        &self,
        bytes: &[u8],
        transcode: Transcode,
        fields: &mut Vec<Field>,
        altered: &mut Vec<&'static str>,
    ) -> Result<Content<'a>, DecodeError> {
        if bytes.is_empty() {
            return Err(DecodeError::new("empty_value", "the value is empty"));
        }
        let text = transcode(bytes, &self.policies, altered).map_err(|error| {
            let other = foreign(bytes).filter(|found| !found.reason.contains(self.chain.form.name()));
            other.filter(|_| error.reason.ends_with("_syntax")).unwrap_or(error)
        })?;
        let (text, scanned) = self.check(text, fields, altered)?;
        Ok(Content::Json(Cow::Owned(text), scanned))
    }

    fn json<'a>(
        &self,
        bytes: Cow<'a, [u8]>,
        fields: &mut Vec<Field>,
        altered: &mut Vec<&'static str>,
    ) -> Result<(Cow<'a, str>, Scanned), DecodeError> {
        let (text, scanned) = match bytes {
            Cow::Borrowed(bytes) => match strict(bytes, fields) {
                Ok(decoded) => {
                    altered.extend(decoded.bom.then_some("bom"));
                    (Cow::Borrowed(decoded.text), decoded.scanned)
                }
                Err(fault) => self.mend_bytes(bytes, fault, fields, altered).map(owned)?,
            },
            Cow::Owned(bytes) => match strict(&bytes, fields) {
                Ok(decoded) => {
                    altered.extend(decoded.bom.then_some("bom"));
                    (Cow::Owned(decoded.text.to_owned()), decoded.scanned)
                }
                Err(fault) => self.mend_bytes(&bytes, fault, fields, altered).map(owned)?,
            },
        };
        self.judge_keys(&text, scanned, altered)?;
        Ok((text, scanned))
    }

    /// Whether a value is its bytes: nothing is unpacked, repaired or read in them, but for the look at whether a text is
    /// UTF-8.
    pub fn takes_as_it_is(&self) -> bool {
        let Policies { nul, invalid_utf8, .. } = self.policies;
        let form = matches!(self.chain.form, Form::Text | Form::Bytes);
        form && self.chain.is_empty() && nul.is_none() && invalid_utf8.is_none()
    }

    /// Checks JSON text that stood in a string, and repairs it like any other.
    ///
    /// # Errors
    /// As for JSON in [`Self::decode`].
    pub fn check(
        &self,
        text: String,
        fields: &mut Vec<Field>,
        altered: &mut Vec<&'static str>,
    ) -> Result<(String, Scanned), DecodeError> {
        let (text, scanned) = match scan(&text, fields) {
            Ok(scanned) => (text, scanned),
            Err(fault) => self.mend(&text, fault, fields, altered)?,
        };
        self.judge_keys(&text, scanned, altered)?;
        Ok((text, scanned))
    }

    /// Refuses a scanned text in which an object has a key twice, or notes that its last one counts.
    ///
    /// # Errors
    /// `json_duplicate_key`, where the mapping refuses them.
    #[inline]
    pub(crate) fn judge_keys(
        &self,
        text: &str,
        scanned: Scanned,
        altered: &mut Vec<&'static str>,
    ) -> Result<(), DecodeError> {
        const REPEATED: &str = "json_duplicate_key";
        if !scanned.may_repeat {
            return Ok(());
        }
        match (refuse_duplicates(text), self.policies.duplicate_keys) {
            (Err(error), DuplicateKeys::Reject) => return Err(error),
            (Err(_), DuplicateKeys::Last) if !altered.contains(&REPEATED) => altered.push(REPEATED),
            _ => {}
        }
        Ok(())
    }

    /// Tries what the policies allow on bytes that were refused as JSON.
    #[cold]
    fn mend_bytes(
        &self,
        bytes: &[u8],
        fault: Fault,
        fields: &mut Vec<Field>,
        altered: &mut Vec<&'static str>,
    ) -> Result<(String, Scanned), DecodeError> {
        let (body, bom) = without_bom(bytes);
        let before = altered.len();
        altered.extend(bom.then_some("bom"));
        let mended = match (std::str::from_utf8(body), self.policies.invalid_utf8) {
            (Ok(text), _) if self.covers(fault, text) => self.mend(text, fault, fields, altered),
            (Err(error), Some(charset)) => charset.stand_in(body, error).and_then(|text| {
                altered.push("invalid_utf8");
                self.check(text, fields, altered)
            }),
            _ => Err(refusal(bytes, fault)),
        };
        mended.map_err(|error| {
            altered.truncate(before);
            // Bytes of another encoding may be text of the fallback's, and are never JSON.
            foreign(bytes).unwrap_or(error)
        })
    }

    fn mend(
        &self,
        text: &str,
        fault: Fault,
        fields: &mut Vec<Field>,
        altered: &mut Vec<&'static str>,
    ) -> Result<(String, Scanned), DecodeError> {
        if !self.covers(fault, text) {
            return Err(fault.explain(text));
        }
        let mended = repair(text, &self.policies, altered).map_err(|fault| fault.explain(text))?;
        match scan(&mended, fields) {
            Ok(scanned) => {
                if scanned.may_repeat {
                    refuse_made_equal(text, &mended)?;
                }
                Ok((mended, scanned))
            }
            Err(fault) => {
                let mut error = fault.explain(&mended);
                error.detail.push_str(" of the text as repaired");
                Err(error)
            }
        }
    }

    fn covers(&self, fault: Fault, text: &str) -> bool {
        let Policies { nul, surrogates, nonfinite, .. } = self.policies;
        match fault.kind {
            FaultKind::Nul => nul.is_some(),
            FaultKind::Surrogate => surrogates.is_some(),
            _ => nonfinite.is_some() && fault.is_nonfinite(text),
        }
    }

    fn text<'a>(&self, bytes: Cow<'a, [u8]>, altered: &mut Vec<&'static str>) -> Result<Cow<'a, str>, DecodeError> {
        let text = match bytes {
            Cow::Borrowed(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Cow::Borrowed(text),
                Err(error) => Cow::Owned(self.fallback(bytes, error, altered)?),
            },
            Cow::Owned(bytes) => Cow::Owned(match String::from_utf8(bytes) {
                Ok(text) => text,
                Err(error) => self.fallback(error.as_bytes(), error.utf8_error(), altered)?,
            }),
        };
        Ok(self.without_nul(text, altered))
    }

    /// Bytes that are not UTF-8 as a text in the encoding that the mapping falls back to.
    #[cold]
    fn fallback(&self, bytes: &[u8], error: Utf8Error, altered: &mut Vec<&'static str>) -> Result<String, DecodeError> {
        let Some(charset) = self.policies.invalid_utf8 else {
            return Err(refusal(bytes, Fault { kind: FaultKind::Utf8, at: error.valid_up_to() }));
        };
        let text = charset.stand_in(bytes, error)?;
        altered.push("invalid_utf8");
        Ok(text)
    }

    fn without_nul<'a>(&self, text: Cow<'a, str>, altered: &mut Vec<&'static str>) -> Cow<'a, str> {
        let Some(policy) = self.policies.nul else { return text };
        if memchr::memchr(0, text.as_bytes()).is_none() {
            return text;
        }
        altered.push("nul");
        Cow::Owned(match policy {
            NulPolicy::Strip => text.replace('\0', ""),
            NulPolicy::Replace => text.replace('\0', "\u{fffd}"),
        })
    }
}

fn owned<'a>((text, scanned): (String, Scanned)) -> (Cow<'a, str>, Scanned) {
    (Cow::Owned(text), scanned)
}
