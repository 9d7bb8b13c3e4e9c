//! What is done about a row that is there.

use super::attempt::Attempt;
use crate::model::{RedisKey, Row};
use crate::sink::table::Conflict;

/// A row of the target that a staged row met.
#[derive(Debug)]
pub(super) struct Existing {
    pub(super) differs: bool,
    pub(super) redis_key: Option<Vec<u8>>,
    /// The number of the database of that key, where it must be this one.
    pub(super) redis_db: Option<String>,
    /// The run that wrote it, if nobody changed it since.
    pub(super) owner: Option<String>,
    /// Whether a value that the ledger kept may take its place.
    pub(super) is_no_later: bool,
}

/// What is done about it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Duplicate,
    Unchanged,
    Update {
        keep_image: bool,
    },
    Newer,
    Exists,
    /// The row is this key's, of the database of that number where it must be another one.
    Collision(RedisKey, Option<String>),
}

impl Attempt<'_> {
    pub(super) fn decide(&self, found: &Existing, row: Option<&Row>) -> Decision {
        let this_run = self.shard.run.to_string();
        let own = found.owner.is_some();
        let ours = row.map(|row| row.key.as_bytes());
        let database = self.piece.database;
        let elsewhere = found.redis_db.as_ref().filter(|number| **number != database.number.to_string());
        if let (true, Some(theirs)) = (own, &found.redis_key)
            && (Some(theirs.as_slice()) != ours || elsewhere.is_some())
        {
            return Decision::Collision(RedisKey::new(theirs.clone()), elsewhere.cloned());
        }
        if !found.differs {
            return if found.owner.as_deref() == Some(&this_run) { Decision::Duplicate } else { Decision::Unchanged };
        }
        let outdated = !found.is_no_later && row.is_some_and(Row::is_from_ledger);
        if outdated && self.table.conflict != Conflict::Error {
            return Decision::Newer;
        }
        // A row that this run itself wrote has its image already, or had none before the run.
        let keep_image = found.owner.as_deref() != Some(&this_run);
        match self.table.conflict {
            Conflict::Update => Decision::Update { keep_image },
            Conflict::UpdateOwn if own => Decision::Update { keep_image },
            Conflict::UpdateOwn | Conflict::Skip => Decision::Newer,
            Conflict::Error => Decision::Exists,
        }
    }
}
