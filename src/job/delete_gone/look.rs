//! The look at some rows: which of their keys are gone, and what becomes of those rows.

use super::another_server;
use super::work::{Place, Work};
use crate::job::databases::Base;
use crate::job::expiry::{Expiry, read};
use crate::ledger::{self, LineagePlace, RunTable};
use crate::model::{Failure, MappingId, RedisKey, SkipReason};
use crate::sink::OwnedRow;
use crate::source::{Answering, Source};
use sqlx::postgres::PgConnection;
use std::collections::{BTreeMap, HashMap, HashSet};

/// What was seen of rows, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Rows that are as a run of this source wrote them, of keys that the mapping takes.
    pub(super) owned: i64,
    /// Those among them that are to be deleted.
    pub(super) gone: i64,
    /// The key is gone, and expired.
    pub(super) expired: i64,
    /// The key is gone, and nothing tells whether it expired.
    pub(super) expiry_unknown: i64,
    /// The key is gone, and somebody changed the row.
    pub(super) changed: i64,
    /// The key may not be asked for.
    pub(super) forbidden: i64,
    /// A cleanup has deleted the key: the row is what is left of it.
    pub(super) cleaned: i64,
}

impl Seen {
    pub(super) fn add(&mut self, other: &Self) {
        self.owned += other.owned;
        self.gone += other.gone;
        self.expired += other.expired;
        self.expiry_unknown += other.expiry_unknown;
        self.changed += other.changed;
        self.forbidden += other.forbidden;
        self.cleaned += other.cleaned;
    }
}

/// What a look came to.
pub(super) struct Looked {
    pub(super) seen: Seen,
    /// The same by the database's place and that of the server which holds the keys.
    pub(super) held: BTreeMap<(usize, usize), Seen>,
    /// The rows that are to be deleted, by their keys in the ledger, each with its Redis key, for each database.
    pub(super) gone: Vec<BTreeMap<String, RedisKey>>,
}

impl<S: Source> Work<'_, '_, S> {
    /// Looks at rows of a mapping. Asks Redis for their keys.
    pub(super) async fn look(&mut self, place: usize, rows: &[OwnedRow]) -> Result<Looked, Failure> {
        let mut looked = Looked { seen: Seen::default(), held: BTreeMap::new(), gone: Vec::new() };
        let Some((id, table)) = self.places.get(place).map(|place| (place.id, place.table)) else { return Ok(looked) };
        for (at, base) in self.shared.bases.iter().enumerate() {
            let Some(answering) = self.answering.get(at) else { continue };
            let own: Vec<(&OwnedRow, RedisKey)> =
                rows.iter().filter_map(|row| Some((row, self.key_in(row, base, id)?))).collect();
            let keys: HashSet<&RedisKey> = own.iter().map(|(_, key)| key).collect();
            self.shared.rate.take(keys.len() as u64, 0).await;
            let absent = absent(base, answering, keys).await?;
            let cleaned = self.cleaned(&own, &absent, base.database.number).await?;
            let mut gone = BTreeMap::new();
            for (place, (row, key)) in own.into_iter().enumerate() {
                let mut seen = Seen::default();
                let goes = if cleaned.contains(&place) && !self.is_changed(row) {
                    (seen.owned, seen.cleaned) = (1, 1);
                    false
                } else {
                    self.judge(row, absent.get(&key).copied(), table, &mut seen)
                };
                let server = self.holders.get(at).map_or(0, |holders| holders.of(&key));
                looked.held.entry((at, server)).or_default().add(&seen);
                looked.seen.add(&seen);
                if goes {
                    gone.insert(row.row_key.clone(), key);
                }
            }
            looked.gone.push(gone);
        }
        Ok(looked)
    }

    /// The places of those rows among them whose keys a cleanup has deleted.
    async fn cleaned(
        &mut self,
        own: &[(&OwnedRow, RedisKey)],
        absent: &HashMap<RedisKey, SkipReason>,
        database: u8,
    ) -> Result<HashSet<usize>, Failure> {
        let is_gone = |(_, (_, key)): &(usize, &(&OwnedRow, RedisKey))| absent.get(key) == Some(&SkipReason::Gone);
        let (places, asked): (Vec<usize>, Vec<(RedisKey, String)>) = (own.iter().enumerate().filter(is_gone))
            .map(|(place, (row, key))| {
                let run = row.owner.as_ref().or(row.lineage_run.as_ref()).cloned().unwrap_or_default();
                (place, (key.clone(), run))
            })
            .unzip();
        let source = self.source.clone();
        let ask =
            async |connection: &mut PgConnection| ledger::cleaned_among(connection, (&source, database), &asked).await;
        let cleaned = self.link.read("looking for keys that a cleanup deleted", ask).await?;
        Ok(cleaned.into_iter().filter_map(|place| places.get(place).copied()).collect())
    }

    /// Whether somebody else changed the row, or deleted it and made it again.
    fn is_changed(&self, row: &OwnedRow) -> bool {
        !row.owner.as_ref().is_some_and(|owner| self.runs.contains_key(owner))
    }

    /// Takes out rows that runs of other sources wrote, and counts those among them that nobody changed and whose keys the mapping would
    /// take, by source.
    pub(super) fn own(&self, place: &Place<'_>, rows: Vec<OwnedRow>) -> (Vec<OwnedRow>, BTreeMap<String, i64>) {
        let mut others = BTreeMap::new();
        let mut is_own = |row: &OwnedRow| {
            let Some(source) = row.owner.as_ref().or(row.lineage_run.as_ref()).and_then(|run| self.elsewhere.get(run))
            else {
                return true;
            };
            let takes = |key: &Vec<u8>| self.shared.bases.iter().any(|base| base.plan.classify(key) == Some(place.id));
            if row.owner.is_some() && row.redis_key.as_ref().is_some_and(takes) {
                *others.entry(source.clone()).or_default() += 1;
            }
            false
        };
        let own = rows.into_iter().filter(|row| is_own(row)).collect();
        (own, others)
    }

    /// The key of a row, where it is in this database and this mapping takes it: what another one takes, or none any more,
    /// is not for this run to judge.
    fn key_in(&self, row: &OwnedRow, base: &Base<S>, id: MappingId) -> Option<RedisKey> {
        let run = if self.is_changed(row) { &row.lineage_run } else { &row.owner };
        let number = match &row.redis_db {
            Some(named) => named.parse().ok(),
            None => self.runs.get(run.as_ref()?).copied().flatten(),
        };
        let key = row.redis_key.as_deref().filter(|_| number == Some(base.database.number))?;
        (base.plan.classify(key) == Some(id)).then(|| RedisKey::new(key.to_vec()))
    }

    /// Counts a row, and tells whether it is to be deleted.
    fn judge(&self, row: &OwnedRow, absent: Option<SkipReason>, table: &RunTable, seen: &mut Seen) -> bool {
        let changed = self.is_changed(row);
        seen.owned += i64::from(!changed);
        let (count, deletes) = match absent {
            Some(SkipReason::Gone) if changed => (&mut seen.changed, false),
            Some(SkipReason::Gone) => match self.expiry(row, table) {
                Expiry::Passed if !self.settings.run.delete_expired => (&mut seen.expired, false),
                Expiry::Unknown if !self.settings.run.delete_expired => (&mut seen.expiry_unknown, false),
                _ => (&mut seen.gone, true),
            },
            Some(SkipReason::Forbidden) if !changed => (&mut seen.forbidden, false),
            // It is there, or cannot be said to be gone.
            _ => return false,
        };
        *count += 1;
        deletes
    }

    fn expiry(&self, row: &OwnedRow, table: &RunTable) -> Expiry {
        let kept = match &table.lineage {
            LineagePlace::Object { .. } => true,
            LineagePlace::Columns { expires_at, .. } => expires_at.is_some(),
            LineagePlace::Ledger | LineagePlace::Nowhere => false,
        };
        if !kept && table.expiry.is_none() {
            return Expiry::Unknown;
        }
        read(row.expires_at.as_deref(), self.shared.clock.as_ref())
    }
}

/// The keys that are not there, each with why.
pub(super) async fn absent<S: Source>(
    base: &Base<S>,
    answering: &Answering,
    keys: HashSet<&RedisKey>,
) -> Result<HashMap<RedisKey, SkipReason>, Failure> {
    if keys.is_empty() {
        return Ok(HashMap::new());
    }
    let keys: Vec<RedisKey> = keys.into_iter().cloned().collect();
    let absent = base.source.absent(&keys).await?;
    // Behind the answers: whoever gave them is known now.
    if base.source.answering().await? != *answering {
        return Err(another_server(false));
    }
    Ok(absent.into_iter().collect())
}
