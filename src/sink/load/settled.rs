//! What ends an attempt: the rejects, the ends of keys that are several rows, and the journal, in the rows' transaction.

use super::attempt::{Attempt, Lost, Missed};
use super::book::{Book, Groups};
use crate::ledger::{self, Journal};
use crate::model::{RedisKey, Reject, Tally};
use sqlx::Error;
use sqlx::postgres::PgConnection;

/// What became of a piece's sightings.
#[derive(Debug)]
pub(super) struct Settled {
    pub(super) tally: Tally,
    /// How many of its rejects are tried again by the run itself; a second try takes them back.
    pub(super) pending: i64,
    /// What became of rows of keys that are several.
    groups: Groups,
}

impl Settled {
    /// What a lost commit had settled, as the journal has it.
    pub(super) fn found(tally: Tally, groups: Groups) -> Self {
        Self { tally, pending: 0, groups }
    }

    /// Books for their keys what is committed.
    pub(super) fn settle_groups(&self) {
        for (group, counts) in &self.groups {
            group.settle(counts);
        }
    }

    pub(super) async fn commit(self, transaction: sqlx::Transaction<'_, sqlx::Postgres>) -> Result<Self, Missed> {
        match transaction.commit().await {
            Ok(()) => Ok(self),
            // The server itself refused, such as for a deferred foreign key: nothing happened.
            Err(error @ Error::Database(_)) => Err(error.into()),
            Err(error) => Err(Missed::CommitUnknown { error, groups: self.groups }),
        }
    }
}

impl Attempt<'_> {
    /// Writes rejects and journal, in the rows' transaction.
    pub(super) async fn write_ledger(
        &self,
        connection: &mut PgConnection,
        mut book: Book<'_>,
    ) -> Result<Settled, Error> {
        let piece = self.piece;
        for (reject, group) in &piece.found {
            let reference = self.table.refers_to_itself() && reject.reason == "foreign_key";
            let pending = reference && piece.is_tried_again();
            match group {
                Some(group) => book.group(group).reject(reject.clone(), pending),
                None => book.lost.push(Lost { reject: reject.clone(), pending }),
            }
        }
        let mut tally = std::mem::take(&mut book.tally);
        for lost in &book.lost {
            tally.reject(&lost.reject.reason);
        }
        let mut mended: Vec<&RedisKey> =
            piece.rows.iter().filter(|row| row.group.is_none()).map(|row| &row.key).collect();
        let mut ends = Vec::new();
        for group in &piece.closed {
            let end = group.with(book.found(group)).end();
            tally.add(&end.tally);
            match end.reject {
                Some((reject, pending)) => ends.push(Lost { reject, pending }),
                None => mended.push(&group.key),
            }
        }
        let lost: Vec<&Lost> = book.lost.iter().chain(&ends).collect();
        let rejects: Vec<(&Reject, bool)> = (piece.rejects.iter().map(|reject| (reject, false)))
            .chain(lost.iter().map(|lost| (&lost.reject, lost.pending)))
            .collect();
        let mut pending = rejects.iter().filter(|(_, pending)| *pending).count() as i64;
        let keys = rejects.iter().map(|(reject, _)| &reject.key);
        if piece.retry {
            let keys: Vec<&RedisKey> = mended.into_iter().chain(keys).chain(&piece.gone).collect();
            for (reason, count) in ledger::resolve(connection, self.shard, &self.table.mapping, &keys).await? {
                tally.take_back(&reason, count);
                pending -= count;
            }
        } else if self.options.resumed || !rejects.is_empty() {
            // A key that this run has rejected already is one reject, seen again. In a resumed run it may have been
            // mended since: then it has a row now, and is no reject any more.
            let keys: Vec<&RedisKey> = keys.chain(mended.into_iter().filter(|_| self.options.resumed)).collect();
            for (reason, count) in ledger::resolve(connection, self.shard, &self.table.mapping, &keys).await? {
                tally.take_back(&reason, count);
                tally.duplicates += count;
            }
        }
        let place = (self.table.mapping.as_str(), &self.table.name);
        ledger::record_rejects(connection, self.shard, place, &rejects, self.options.value_cap).await?;
        let journal = Journal {
            id: piece.id,
            epoch: piece.epoch,
            mapping: &self.table.mapping,
            table: &self.table.name,
            fingerprint: &self.table.fingerprint,
            pages: &piece.pages,
            tally: &tally,
        };
        ledger::write_journal(connection, self.shard, &journal).await?;
        Ok(Settled { tally, pending, groups: book.groups })
    }
}
