//! The settings: one struct a section, layered defaults < preset < file < environment < flags, checked all at once.
//!
//! Owns every name that a setting has (key, flag, environment variable) in one table, [`KEYS`]. Reads the files that
//! the settings name (configuration, passwords) and nothing else. Uses `model`.

mod choice;
mod default_file;
mod delete_limit;
mod keys;
mod layers;
mod load;
mod max_rejects;
mod percent;
mod places;
mod secret;
mod settings;
mod shown;
mod toml_errors;
mod units;
mod value;

pub use choice::{Compression, LogFormat, LogLevel, Progress, Staging, UnmatchedKeys};
pub use default_file::default_toml;
pub use delete_limit::DeleteLimit;
pub use keys::{Key, nearest, nearest_preset};
pub use layers::{FlagValues, MappingTable, Origin};
pub use max_rejects::MaxRejects;
pub use percent::Percent;
pub use places::Places;
pub use secret::{Secret, SecretUrl, scrub};
pub use settings::{Cleanup, Errors, Flow, KEYS, Log, Phases, Run, SECTIONS, Settings, Source, Target, Validation};
pub use shown::{clean, escaped};
pub use units::{ByteSize, Span};
pub use value::{Raw, SettingValue};
