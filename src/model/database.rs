//! A logical database of the source, and how what came from it is told from what came from the others.

/// A logical database that a run reads.
///
/// A key is told by its bytes and its database. Where a run reads the source's own database alone, none is named; keys of
/// another one are kept with its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Database {
    /// Its number, as SELECT takes it.
    pub number: u8,
    /// Whether it is the source's own: the one of its URL.
    pub own: bool,
    /// Whether it is the only one, and the source's own.
    pub alone: bool,
}

impl Database {
    /// The source's own, by itself.
    pub const fn only(number: u8) -> Self {
        Self { number, own: true, alone: true }
    }

    /// Its number where what came from it names it; `None` for the source's own.
    pub fn named(self) -> Option<i32> {
        (!self.own).then_some(i32::from(self.number))
    }

    /// The number of its shard in the ledger: 0 for the source's own, which had no others beside it once.
    pub fn shard(self) -> u32 {
        if self.own { 0 } else { u32::from(self.number) + 1 }
    }
}

impl Default for Database {
    fn default() -> Self {
        Self::only(0)
    }
}

#[cfg(test)]
mod tests {
    use super::Database;

    #[test]
    fn the_sources_own_database_is_the_first_shard_whatever_its_number() {
        assert_eq!((Database::only(3).shard(), Database::only(3).named()), (0, None));
        let other = Database { number: 0, own: false, alone: false };
        assert_eq!((other.shard(), other.named()), (1, Some(0)));
    }
}
