//! The merge: rows go through a staging table and meet those that are there.
//!
//! Rows that are there are judged without a lock first, so that an unchanged row is not even touched; what is to be
//! updated is then locked, judged again, kept as a before-image and updated. What is left is inserted.

use super::attempt::{Attempt, Missed};
use super::book::Book;
use super::decide::{Decision, Existing};
use super::statements::Statements;
use crate::model::{RedisKey, Reject, Rivals, Row, RowOutcome};
use crate::postgres::{CopyBuffer, Verdict, query, script, verdict};
use crate::sink::ownership::TEXT_SETTINGS;
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row as _};
use std::collections::{BTreeMap, BTreeSet};

/// A row that jsonb cannot hold has no before-image: then it is not changed. All else is the ledger's fault.
pub(super) fn image_refused(error: Error) -> Missed {
    match verdict(&error) {
        Verdict::Row => Missed::Server { error, row: None },
        _ => Missed::Ledger(error),
    }
}

impl Attempt<'_> {
    /// Merges rows that are loaded together.
    pub(super) async fn merge(
        &self,
        connection: &mut PgConnection,
        buffer: &mut CopyBuffer,
        number: usize,
        rows: &[usize],
        book: &mut Book<'_>,
    ) -> Result<(), Missed> {
        let (database, columns) = (self.piece.database, self.columns(rows));
        let sql = Statements::build(self.table, database, (columns, number), (self.options.staging, self.piece.id));
        query(&sql.create).execute(&mut *connection).await?;
        self.copy(connection, buffer, &sql.copy, rows, true).await?;

        let staged = Staged { attempt: self, sql: &sql, rows };
        let mut out = staged.unreadable(connection, book).await?;
        out.extend(staged.alike(connection, &out, book).await?);
        let mut existing = staged.judge(connection, None).await?;
        out.extend(staged.met_before(connection, &existing, &out, book).await?);
        // Whichever key comes first, and whether or not it has its parent: a row that is another key's stays so.
        let taken = |(ordinal, found): (&i32, &Existing)| {
            let taken = matches!(self.decide(found, staged.row(*ordinal)), Decision::Collision(..));
            taken.then_some(*ordinal)
        };
        let decided: BTreeSet<i32> = existing.iter().filter_map(taken).chain(out.iter().copied()).collect();
        out.extend(staged.orphans(connection, &decided, book).await?);
        let without = decided.union(&out).copied().collect();
        out.extend(staged.before_their_parents(connection, &without, book).await?);
        existing.retain(|ordinal, _| !out.contains(ordinal));

        let mut updates = Vec::new();
        for (ordinal, found) in &existing {
            if found.owner.is_none() {
                staged.rows_of(&[*ordinal]).for_each(|place| book.foreign(place));
            }
            match self.decide(found, staged.row(*ordinal)) {
                Decision::Update { .. } => updates.push(*ordinal),
                decision => staged.book(*ordinal, decision, book),
            }
        }
        // A row that is there may refer to a new one, where rows refer to one another.
        let last = self.table.refers_to_itself();
        if !last {
            staged.update(connection, &updates, book).await?;
        }
        let new: Vec<i32> = (0..)
            .take(rows.len())
            .filter(|ordinal| !existing.contains_key(ordinal) && !out.contains(ordinal))
            .collect();
        if !new.is_empty() {
            let inserted = staged.insert(connection, &new).await?;
            if inserted != new.len() as u64 || !staged.are_there(connection, &new).await? {
                return Err(Missed::Moved);
            }
            staged.rows_of(&new).for_each(|place| book.row(place, RowOutcome::Inserted));
            staged.write_lineage(connection, &new, true).await.map_err(Missed::Ledger)?;
        }
        if last {
            staged.update(connection, &updates, book).await?;
        }
        if let Some(drop) = &sql.drop {
            query(drop).execute(connection).await?;
        }
        Ok(())
    }
}

/// The rows of one staging table.
pub(super) struct Staged<'a> {
    pub(super) attempt: &'a Attempt<'a>,
    pub(super) sql: &'a Statements,
    /// Their places in the piece, by ordinal.
    pub(super) rows: &'a [usize],
}

impl Staged<'_> {
    pub(super) fn row(&self, ordinal: i32) -> Option<&Row> {
        let index = self.rows.get(usize::try_from(ordinal).ok()?)?;
        self.attempt.piece.rows.get(*index)
    }

    /// Whether new rows are in the table, each under its key. Looked at only where triggers could have made it otherwise.
    async fn are_there(&self, connection: &mut PgConnection, new: &[i32]) -> Result<bool, Error> {
        if !self.attempt.table.looks_again {
            return Ok(true);
        }
        let there: i64 = query(&self.sql.there).bind(new).fetch_one(connection).await?.try_get(0)?;
        Ok(usize::try_from(there).is_ok_and(|there| there >= new.len()))
    }

    /// The places in the piece of some ordinals.
    fn rows_of<'b>(&'b self, ordinals: &'b [i32]) -> impl Iterator<Item = usize> + 'b {
        ordinals.iter().filter_map(|ordinal| self.rows.get(usize::try_from(*ordinal).ok()?).copied())
    }

    pub(super) fn lose(&self, ordinal: i32, reject: Option<Reject>, pending: bool, book: &mut Book<'_>) {
        if let (Some(place), Some(reject)) = (self.rows_of(&[ordinal]).next(), reject) {
            book.lose(place, reject, pending);
        }
    }

    pub(super) fn reject(&self, ordinal: i32, reason: &'static str, detail: String) -> Option<Reject> {
        self.row(ordinal).map(|row| Reject::of_row(row, reason, detail))
    }

    /// Finds rows whose parent is missing, but for those that are not written anyway.
    async fn orphans(
        &self,
        connection: &mut PgConnection,
        but: &BTreeSet<i32>,
        book: &mut Book<'_>,
    ) -> Result<BTreeSet<i32>, Error> {
        let mut orphans = BTreeSet::new();
        for (index, statement) in &self.sql.orphans {
            let Some(parent) = self.attempt.table.parents.get(*index) else { continue };
            // One that may be new with the row is looked for by itself.
            let own = self.attempt.table.own_references.iter().any(|own| own.parent == Some(*index));
            if own || parent.foreign_key && !self.attempt.piece.orphans {
                continue;
            }
            for row in query(statement).fetch_all(&mut *connection).await? {
                let ordinal: i32 = row.try_get("ord")?;
                if but.contains(&ordinal) || !orphans.insert(ordinal) {
                    continue;
                }
                let note = self.row(ordinal).and_then(|row| self.attempt.piece.notes.get(&row.key)).cloned();
                let detail = note.unwrap_or_else(|| format!("there is no row for it in {}", parent.table));
                let column = self.attempt.table.columns.get(parent.column).map(|column| column.name.clone());
                let reject = self.reject(ordinal, "missing_parent", detail).map(|reject| Reject { column, ..reject });
                self.lose(ordinal, reject, !self.attempt.piece.retry, book);
            }
        }
        Ok(orphans)
    }

    /// What the staged rows meet, by ordinal.
    async fn judge(
        &self,
        connection: &mut PgConnection,
        only: Option<&[i32]>,
    ) -> Result<BTreeMap<i32, Existing>, Error> {
        let table = self.attempt.table.name.to_string();
        let rows =
            query(&self.sql.judge).bind(table).bind(only).bind(self.attempt.retried()).fetch_all(connection).await?;
        rows.iter()
            .map(|row| {
                let existing = Existing {
                    differs: row.try_get("differs")?,
                    redis_key: row.try_get("redis_key")?,
                    redis_db: row.try_get("redis_db")?,
                    owner: row.try_get("owner")?,
                    is_no_later: row.try_get("is_no_later")?,
                };
                Ok((row.try_get("ord")?, existing))
            })
            .collect()
    }

    /// Locks, judges again, keeps images and updates.
    async fn update(&self, connection: &mut PgConnection, ordinals: &[i32], book: &mut Book<'_>) -> Result<(), Missed> {
        let Some(update) = self.sql.update.as_ref().filter(|_| !ordinals.is_empty()) else { return Ok(()) };
        query(&self.sql.lock).bind(ordinals).execute(&mut *connection).await?;
        // A new statement sees what was committed while we waited for the locks.
        let found = self.judge(connection, Some(ordinals)).await?;
        if found.len() != ordinals.len() {
            return Err(Missed::Moved);
        }
        let (mut updates, mut images) = (Vec::new(), Vec::new());
        for (ordinal, existing) in &found {
            match self.attempt.decide(existing, self.row(*ordinal)) {
                Decision::Update { keep_image } => {
                    updates.push(*ordinal);
                    if keep_image {
                        images.push(*ordinal);
                    }
                }
                decision => self.book(*ordinal, decision, book),
            }
        }
        self.keep_images(connection, (&found, &images), book).await?;
        let updated = query(update).bind(&updates).execute(&mut *connection).await?.rows_affected();
        if updated != updates.len() as u64 {
            return Err(Missed::Moved);
        }
        self.rows_of(&updates).for_each(|place| book.row(place, RowOutcome::Updated));
        self.write_lineage(connection, &updates, false).await.map_err(Missed::Ledger)
    }

    /// Keeps rows that are about to be overwritten as they are.
    async fn keep_images(
        &self,
        connection: &mut PgConnection,
        (found, images): (&BTreeMap<i32, Existing>, &[i32]),
        book: &mut Book<'_>,
    ) -> Result<(), Missed> {
        if images.is_empty() {
            return Ok(());
        }
        self.note_cleaned(connection, (found, images), book).await.map_err(Missed::Ledger)?;
        // Texts in an image must not depend on the session, nor lose a digit.
        script(TEXT_SETTINGS).execute(&mut *connection).await?;
        let taken = query(&self.sql.images)
            .bind(images)
            .bind(self.attempt.shard.run.to_string())
            .bind(self.attempt.table.name.to_string())
            .execute(connection)
            .await
            .map_err(image_refused)?;
        book.images += taken.rows_affected();
        Ok(())
    }

    /// The reject of a key whose row is another key's, which is named: that row stays when that key is gone.
    fn collision(&self, ordinal: i32, other: &RedisKey, elsewhere: Option<&str>) -> Option<Reject> {
        let place = elsewhere.map(|number| format!(" of database {number}")).unwrap_or_default();
        let database = elsewhere.and_then(|number| number.parse().ok()).unwrap_or(self.attempt.piece.database.number);
        let reject = self.reject(ordinal, "key_collision", format!("maps to the same row as {other}{place}"))?;
        Some(Reject { rivals: Some(Box::new(Rivals::one(database, other))), ..reject })
    }

    fn book(&self, ordinal: i32, decision: Decision, book: &mut Book<'_>) {
        let mut row = |outcome| self.rows_of(&[ordinal]).for_each(|place| book.row(place, outcome));
        let reject = match decision {
            Decision::Duplicate => return row(RowOutcome::Duplicate),
            Decision::Unchanged => return row(RowOutcome::Unchanged),
            Decision::Newer => return row(RowOutcome::Newer),
            Decision::Update { .. } => return,
            Decision::Exists => {
                self.reject(ordinal, "exists", "a row with this key is there and differs (on_conflict = error)".into())
            }
            Decision::Collision(other, elsewhere) => self.collision(ordinal, &other, elsewhere.as_deref()),
        };
        self.lose(ordinal, reject, false, book);
    }
}

/// Joins that have no index to go by need it; all others go without.
pub(super) async fn set_hash_join(connection: &mut PgConnection, on: bool) -> Result<(), Error> {
    let set = format!("SET LOCAL enable_hashjoin = {}", if on { "on" } else { "off" });
    script(set).execute(connection).await?;
    Ok(())
}
