//! What Redis knows of a key beside its value.

use super::UnixMillis;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// What was read of a key beside its value, as far as its mapping wants it.
///
/// As JSON it is what the ledger keeps of it with a reject: all but the dump, which is bytes, and the time left, which
/// passes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct KeyFacts {
    /// What TYPE answers, where the type is a module's; other types have a name of their own.
    pub module_type: Option<String>,
    /// Milliseconds until Redis expires the key, by its own clock; `None` where it has no TTL, or it was not asked for.
    #[serde(skip)]
    pub ttl: Option<i64>,
    /// Seconds since the key was last used, before it was read; `None` where the server does not tell, or it was not
    /// asked for.
    pub idle: Option<u64>,
    /// What DUMP gives, for RESTORE; `None` where it was not asked for.
    #[serde(skip)]
    pub dump: Option<Bytes>,
    /// When the fields of a hash expire; `None` where it was not asked for, or the server does not tell.
    pub fields: Option<FieldExpiries>,
    /// Whether the record has no value: nobody wanted it, it cannot be had, or the type has none that can be read.
    pub without_value: bool,
    /// Whether the record was not read from Redis, from which the key has gone, but from what the ledger keeps of it.
    #[serde(skip)]
    pub from_ledger: bool,
}

/// When the fields of a hash expire, by the server's clock, in the order in which its value has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldExpiries {
    /// For each field Unix milliseconds, or a number below zero where it has no TTL.
    pub at: Vec<UnixMillis>,
    /// When they were asked for, by the server's clock; `None` where nobody wants to know the time left.
    pub now: Option<UnixMillis>,
}

/// When one field of a hash expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FieldExpiry {
    /// The moment.
    pub at: UnixMillis,
    /// Milliseconds until then when it was asked for; `None` where that is not known.
    pub ttl: Option<i64>,
}

impl FieldExpiries {
    /// That of the field at this place; `None` where it has no TTL.
    pub fn field(&self, place: usize) -> Option<FieldExpiry> {
        let at = *self.at.get(place).filter(|at| **at >= 0)?;
        Some(FieldExpiry { at, ttl: self.now.map(|now| at.saturating_sub(now).max(0)) })
    }
}

#[cfg(test)]
mod tests {
    use super::{FieldExpiries, FieldExpiry};

    #[test]
    fn a_field_without_a_ttl_has_no_expiry_and_time_left_is_never_below_nothing() {
        let fields = FieldExpiries { at: vec![-1, 5_000, 1_000], now: Some(2_000) };
        assert_eq!((fields.field(0), fields.field(3)), (None, None));
        assert_eq!(fields.field(1), Some(FieldExpiry { at: 5_000, ttl: Some(3_000) }));
        assert_eq!(fields.field(2), Some(FieldExpiry { at: 1_000, ttl: Some(0) }));
        let untimed = FieldExpiries { now: None, ..fields };
        assert_eq!(untimed.field(1), Some(FieldExpiry { at: 5_000, ttl: None }));
    }
}
