//! How one setting is read from text, TOML or a flag, and shown again. Pure; uses `units` and `secret`.

use super::secret::{Secret, SecretUrl, scrub};
use super::units::{ByteSize, Span};
use serde_json::Value;
use std::path::PathBuf;

/// A setting's value before it is understood. Flags and the environment give text, files give any of them.
#[derive(Clone, PartialEq)]
pub enum Raw {
    /// Text; a list is separated by commas.
    Text(String),
    /// A number in a file.
    Int(i64),
    /// `true` or `false` in a file.
    Bool(bool),
    /// A list of texts.
    List(Vec<String>),
    /// Something that no setting can be, by its TOML name.
    Other(&'static str),
}

/// Raw values can be passwords: only their form is shown.
impl std::fmt::Debug for Raw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Raw({})", self.form())
    }
}

impl Raw {
    /// What it is, in a word.
    pub fn form(&self) -> &'static str {
        match self {
            Self::Text(_) => "text",
            Self::Int(_) => "a number",
            Self::Bool(_) => "true or false",
            Self::List(_) => "a list",
            Self::Other(form) => form,
        }
    }
}

/// A type that a setting can have.
pub trait SettingValue: Sized + Default {
    /// How the value is called in help and in tables, such as `SIZE`.
    const KIND: &'static str;

    /// Reads the value.
    ///
    /// # Errors
    /// A sentence for people. It never quotes a secret.
    fn read(raw: &Raw) -> Result<Self, String>;

    /// The value for reports and the ledger: without secrets.
    fn show(&self) -> Value;
}

fn text(raw: &Raw, wanted: &str) -> Result<String, String> {
    match raw {
        Raw::Text(text) => Ok(text.clone()),
        other => Err(format!("is {}, and must be {wanted}", other.form())),
    }
}

impl SettingValue for String {
    const KIND: &'static str = "TEXT";

    fn read(raw: &Raw) -> Result<Self, String> {
        text(raw, "text")
    }

    fn show(&self) -> Value {
        scrub(self).into()
    }
}

impl SettingValue for PathBuf {
    const KIND: &'static str = "PATH";

    fn read(raw: &Raw) -> Result<Self, String> {
        text(raw, "a path").map(Self::from)
    }

    fn show(&self) -> Value {
        self.to_string_lossy().into()
    }
}

impl SettingValue for Secret {
    const KIND: &'static str = "PASSWORD";

    fn read(raw: &Raw) -> Result<Self, String> {
        text(raw, "text").map(Self::new)
    }

    fn show(&self) -> Value {
        self.to_string().into()
    }
}

impl SettingValue for SecretUrl {
    const KIND: &'static str = "URL";

    fn read(raw: &Raw) -> Result<Self, String> {
        text(raw, "a URL").map(Self::new)
    }

    fn show(&self) -> Value {
        self.to_string().into()
    }
}

impl SettingValue for ByteSize {
    const KIND: &'static str = "SIZE";

    fn read(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Int(bytes) => u64::try_from(*bytes).map(Self).map_err(|_| "is negative".to_owned()),
            other => Self::parse(&text(other, "a size such as \"64MiB\"")?)
                .map_err(|error| format!("{}; write it like 64MiB, 64MB or as a number of bytes", scrub(&error))),
        }
    }

    fn show(&self) -> Value {
        self.to_string().into()
    }
}

impl SettingValue for Span {
    const KIND: &'static str = "DURATION";

    fn read(raw: &Raw) -> Result<Self, String> {
        let written = match raw {
            Raw::Int(number) => number.to_string(),
            other => text(other, "a duration such as \"15s\"")?,
        };
        Self::parse(&written).map_err(|error| format!("{}; write it like 500ms, 15s or 2m", scrub(&error)))
    }

    fn show(&self) -> Value {
        self.to_string().into()
    }
}

impl SettingValue for bool {
    const KIND: &'static str = "BOOL";

    fn read(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Bool(value) => Ok(*value),
            other => match text(other, "true or false")?.trim() {
                "true" | "1" | "yes" | "on" => Ok(true),
                "false" | "0" | "no" | "off" => Ok(false),
                other => Err(format!("\"{}\" is neither true nor false", scrub(other))),
            },
        }
    }

    fn show(&self) -> Value {
        (*self).into()
    }
}

impl SettingValue for u64 {
    const KIND: &'static str = "NUMBER";

    fn read(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Int(number) => Self::try_from(*number).map_err(|_| "is negative".to_owned()),
            other => {
                let text = text(other, "a number")?;
                text.trim()
                    .replace('_', "")
                    .parse()
                    .map_err(|_| format!("\"{}\" is not a whole number from 0 on", scrub(&text)))
            }
        }
    }

    fn show(&self) -> Value {
        (*self).into()
    }
}

impl SettingValue for u32 {
    const KIND: &'static str = "NUMBER";

    fn read(raw: &Raw) -> Result<Self, String> {
        u64::read(raw)?.try_into().map_err(|_| format!("is beyond {}", Self::MAX))
    }

    fn show(&self) -> Value {
        (*self).into()
    }
}

impl SettingValue for Vec<String> {
    const KIND: &'static str = "NAME,…";

    fn read(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::List(items) => Ok(items.clone()),
            Raw::Text(text) => {
                Ok(text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect())
            }
            other => Err(format!("is {}, and must be a list of texts", other.form())),
        }
    }

    fn show(&self) -> Value {
        self.iter().map(|item| Value::from(scrub(item))).collect()
    }
}

/// Empty text stands for "not set".
impl<T: SettingValue> SettingValue for Option<T> {
    const KIND: &'static str = T::KIND;

    fn read(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Text(text) if text.is_empty() => Ok(None),
            other => T::read(other).map(Some),
        }
    }

    fn show(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::show)
    }
}
