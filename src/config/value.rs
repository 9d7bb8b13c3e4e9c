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

/// A setting that is one of a few words. The first is the type's `Default`.
macro_rules! choice {
    ($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $vdoc:literal])+ $first:ident = $word:literal),+ $(,)? }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[doc = $vdoc])+ $first),+ }

        impl $name {
            const ALL: &'static [Self] = &[$(Self::$first),+];

            /// The word that stands for it in settings.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$first => $word),+ }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::ALL[0]
            }
        }

        impl SettingValue for $name {
            const KIND: &'static str = choice!(@join $($word),+);

            fn read(raw: &Raw) -> Result<Self, String> {
                let written = match raw {
                    Raw::Text(text) => text.trim(),
                    other => return Err(format!("is {}, and must be one of {}", other.form(), Self::KIND)),
                };
                Self::ALL.iter().copied().find(|choice| choice.as_str() == written)
                    .ok_or_else(|| format!("\"{}\" is none of {}", scrub(written), Self::KIND))
            }

            fn show(&self) -> Value {
                self.as_str().into()
            }
        }
    };
    (@join $first:literal $(, $rest:literal)*) => { concat!($first $(, "|", $rest)*) };
}

choice! {
    /// How large values are compressed inside PostgreSQL (`default_toast_compression` for what is loaded).
    Compression {
        /// As the server is set.
        Default = "default",
        /// lz4: faster to write, a little larger.
        Lz4 = "lz4",
        /// pglz: PostgreSQL's own.
        Pglz = "pglz",
    }
}

choice! {
    /// Which way a batch is loaded.
    Staging {
        /// Straight COPY while a table was empty at the start, staging from the first conflict on.
        Auto = "auto",
        /// Always into a staging table, then merged.
        Always = "always",
    }
}

choice! {
    /// The form of log lines.
    LogFormat {
        /// Text on a terminal, JSON elsewhere.
        Auto = "auto",
        /// Text.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

choice! {
    /// How progress is shown on stderr.
    Progress {
        /// Bars on a terminal, lines elsewhere.
        Auto = "auto",
        /// Bars.
        Bars = "bars",
        /// A line every few seconds.
        Lines = "lines",
        /// One JSON object a line.
        Json = "json",
        /// Nothing.
        None = "none",
    }
}

choice! {
    /// What is logged.
    LogLevel {
        /// Errors, warnings and what a person wants to know.
        Info = "info",
        /// Errors only.
        Error = "error",
        /// Errors and warnings.
        Warn = "warn",
        /// With what happens inside.
        Debug = "debug",
        /// Everything.
        Trace = "trace",
    }
}
