//! Settings that are one of a few words. Pure; uses `value`.

use super::secret::scrub;
use super::value::{Raw, SettingValue};
use serde_json::Value;

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
    /// What becomes of a run that met keys that no mapping takes.
    UnmatchedKeys {
        /// They are counted.
        Ignore = "ignore",
        /// The run ends with exit 2 once all others are loaded.
        Error = "error",
        /// They go into a table of their own, with their type, their value and their dump.
        Archive = "archive",
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
