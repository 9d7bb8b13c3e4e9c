//! What ends an attempt: the rejects, the ends of keys that are several rows, and the journal, in the rows' transaction.

use super::attempt::{Attempt, Lost, Missed};
use super::book::{Book, Groups};
use crate::ledger::{self, Journal, Rejected, Removed};
use crate::model::{Counts, GroupEnd, RedisKey, Reject, Tally, recount};
use sqlx::Error;
use sqlx::postgres::PgConnection;
use std::collections::HashMap;

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
        self.book_found(&mut book);
        let mut tally = std::mem::take(&mut book.tally);
        for lost in &book.lost {
            tally.reject(&lost.reject.reason);
        }
        let ends = self.ends(&book, &mut tally);
        let mut rejects: Vec<Rejected<'_>> = Vec::new();
        rejects.extend(self.piece.rejects.iter().map(|reject| rejected(reject, false)));
        rejects.extend(book.lost.iter().map(|lost| rejected(&lost.reject, lost.pending)));
        for (_, end) in &ends {
            let of_end = end.reject.as_ref().map(|(reject, pending)| rejected(reject, *pending));
            rejects.extend(of_end.map(|reject| Rejected { rows: end.tally.rows.clone(), ..reject }));
        }
        let mut pending = rejects.iter().filter(|reject| reject.pending).count() as i64;
        let removed = self.resolve(connection, &rejects, &ends).await?;
        let (mut ended, mut places) = (HashMap::new(), HashMap::<&RedisKey, Vec<usize>>::new());
        if !removed.is_empty() {
            ended.extend(ends.iter().map(|(key, end)| (*key, end)));
            let keys = rejects.iter().map(|reject| &reject.reject.key).enumerate();
            keys.for_each(|(place, key)| places.entry(key).or_default().push(place));
        }
        for removed in removed.into_iter().filter(|removed| removed.counted) {
            tally.take_back(&removed.reason, 1);
            if self.piece.retry {
                pending -= 1;
            } else {
                tally.duplicates += 1;
            }
            if let Some(end) = ended.get(&removed.key) {
                tally.recount_rows(&removed.rows, &end.tally.rows);
                if !removed.rows.is_empty() {
                    tally.take_back_repairs(&end.altered_again);
                }
            }
            // They stay counted as long as it is a reject.
            for place in places.get(&removed.key).into_iter().flatten() {
                if let Some(reject) = rejects.get_mut(*place) {
                    reject.rows = recount(&removed.rows, &reject.rows);
                }
            }
        }
        self.write(connection, &rejects, &tally, book.images).await?;
        Ok(Settled { tally, pending, groups: book.groups })
    }

    /// Books the rejects that the load itself had found in the piece.
    fn book_found(&self, book: &mut Book<'_>) {
        for (reject, group) in &self.piece.found {
            let reference = self.table.refers_to_itself() && reject.reason == "foreign_key";
            let pending = reference && self.piece.is_tried_again();
            match group {
                Some(group) => book.group(group).reject(reject.clone(), pending),
                None => book.lost.push(Lost { reject: reject.clone(), pending }),
            }
        }
    }

    /// How the keys that are several rows end. One that is rejected again is one reject, and a duplicate.
    fn ends(&self, book: &Book<'_>, tally: &mut Tally) -> Vec<(&RedisKey, GroupEnd)> {
        let mut ends: Vec<Option<(&RedisKey, GroupEnd)>> = Vec::new();
        let mut rejected: HashMap<&RedisKey, usize> = HashMap::new();
        for group in &self.piece.closed {
            let mut end = group.with(book.found(group)).end();
            tally.add(&end.tally);
            let earlier = rejected.get(&group.key).filter(|_| end.reject.is_some());
            if let Some((_, earlier)) = earlier.and_then(|place| ends.get_mut(*place)?.take()) {
                earlier.reject.iter().for_each(|(reject, _)| tally.take_back(&reject.reason, 1));
                tally.duplicates += 1;
                tally.recount_rows(&earlier.tally.rows, &end.tally.rows);
                tally.take_back_repairs(&end.altered_again);
                end.tally.rows = recount(&earlier.tally.rows, &end.tally.rows);
            }
            if end.reject.is_some() {
                rejected.insert(&group.key, ends.len());
            }
            ends.push(Some((&group.key, end)));
        }
        ends.into_iter().flatten().collect()
    }

    /// Takes back the rejects of keys that are settled anew.
    async fn resolve(
        &self,
        connection: &mut PgConnection,
        rejects: &[Rejected<'_>],
        ends: &[(&RedisKey, GroupEnd)],
    ) -> Result<Vec<Removed>, Error> {
        let (piece, retries) = (self.piece, self.shard.retry_of.is_some());
        let rows = piece.rows.iter().filter(|row| row.group.is_none()).map(|row| &row.key);
        let mended = rows.chain(ends.iter().filter(|(_, end)| end.reject.is_none()).map(|(key, _)| *key));
        // A key that this run has rejected already is one reject, seen again. In a resumed run it may have been mended
        // since: then it has a row now, and is no reject any more.
        let all = piece.retry || self.options.resumed || retries;
        let settled: Vec<&RedisKey> = mended.filter(|_| all).chain(&piece.gone).collect();
        let rejected: Vec<&RedisKey> = rejects.iter().map(|rejected| &rejected.reject.key).collect();
        let mut removed = Vec::new();
        if !settled.is_empty() || !rejected.is_empty() {
            let of = (self.table.mapping.as_str(), piece.database);
            removed = ledger::resolve(connection, self.shard, of, (&settled, &rejected)).await?;
        }
        let left: Vec<&RedisKey> = piece.left.iter().collect();
        if piece.retry {
            removed.extend(ledger::reopen(connection, self.shard, piece.database, &left).await?);
        } else {
            ledger::touch(connection, self.shard, piece.database, &left).await?;
        }
        Ok(removed)
    }

    async fn write(
        &self,
        connection: &mut PgConnection,
        rejects: &[Rejected<'_>],
        tally: &Tally,
        images: u64,
    ) -> Result<(), Error> {
        let piece = self.piece;
        let place = (self.table.mapping.as_str(), &self.table.name, piece.database);
        ledger::record_rejects(connection, self.shard, place, rejects, self.options.value_cap).await?;
        let journal = Journal {
            id: piece.id,
            epoch: piece.epoch,
            mapping: &self.table.mapping,
            table: &self.table.name,
            fingerprint: &self.table.fingerprint,
            pages: &piece.pages,
            tally,
            images,
        };
        ledger::write_journal(connection, self.shard, &journal).await
    }
}

fn rejected(reject: &Reject, pending: bool) -> Rejected<'_> {
    Rejected { reject, pending, rows: Counts::new() }
}
