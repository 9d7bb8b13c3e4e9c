//! What Redis knows of a key beside its value.

use bytes::Bytes;

/// What was read of a key beside its value, as far as its mapping wants it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyFacts {
    /// What TYPE answers, where the type is a module's; other types have a name of their own.
    pub module_type: Option<String>,
    /// Milliseconds until Redis expires the key, by its own clock; `None` where it has no TTL, or it was not asked for.
    pub ttl: Option<i64>,
    /// Seconds since the key was last used, before it was read; `None` where the server does not tell, or it was not
    /// asked for.
    pub idle: Option<u64>,
    /// What DUMP gives, for RESTORE; `None` where it was not asked for.
    pub dump: Option<Bytes>,
    /// Whether the record has no value: nobody wanted it, it cannot be had, or the type has none that can be read.
    pub without_value: bool,
}
