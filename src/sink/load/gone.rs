//! Rows of a key that is several rows, whose elements are gone from the key since an earlier run: they are deleted, in
//! the transaction that ends the key's reading.
//!
//! The ledger says which rows came of a key. Those that this reading did not make again are gone, if nobody changed them
//! since, no row of others refers to them, and no cleanup deleted their key since; each is kept as a before-image. A reading that comes in several
//! transactions, slices or pieces, notes the rows of each in the ledger until it ends.

use super::attempt::{Attempt, Missed};
use super::book::Book;
use super::key_record::key_record;
use super::locked::{Locked, look};
use super::merge::image_refused;
use super::origin::{is_surely_in_ledger, may_be_in_ledger};
use super::statements::{IMAGE_COLUMNS, Side, image, key_join, row_key, stage_column};
use crate::ledger;
use crate::model::{Group, GroupCounts, RowOutcome};
use crate::postgres::{CopyBuffer, copy_tuples, query};
use crate::sink::table::LoadTable;
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row as _};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

/// A row whose element is gone.
struct Gone {
    /// Which of the closed readings it is of.
    reading: usize,
    /// As it is under its lock.
    found: Locked,
    /// Whether a cleanup deleted its key since it was loaded: a key of that name that was made anew never had its element, and what the
    /// deleted one held is here alone.
    cleaned: bool,
}

impl Attempt<'_> {
    /// Notes the rows of readings that go on, and deletes what is gone of those that end here.
    pub(super) async fn settle_gone(
        &self,
        connection: &mut PgConnection,
        buffer: &mut CopyBuffer,
        book: &mut Book<'_>,
    ) -> Result<(), Missed> {
        if !self.table.explodes {
            return Ok(());
        }
        let ending = self.ending(connection, book).await.map_err(Missed::Ledger)?;
        let tracked = self.tracked(&ending);
        let readings: Vec<Arc<Group>> = ending.iter().chain(&tracked).cloned().collect();
        if !readings.is_empty() {
            let present = self.present(connection, buffer, &readings).await?;
            if !ending.is_empty() && self.table.deletes_gone() {
                let gone = self.gone_of_this_table(connection, &present, &ending).await.map_err(Missed::Ledger)?;
                self.delete(connection, &ending, gone, book).await?;
            }
            let lost = tracked.iter().any(|group| book.found(group).is_some_and(GroupCounts::is_rejected));
            self.note(connection, (&present, lost), (&readings, ending.len())).await.map_err(Missed::Ledger)?;
        }
        self.forget(connection).await.map_err(Missed::Ledger)
    }

    /// The readings that end here and may have left rows behind: the last one of each key, where no rejected element may have a row,
    /// and where the ledger has more rows of the key than it made.
    async fn ending(&self, connection: &mut PgConnection, book: &Book<'_>) -> Result<Vec<Arc<Group>>, Error> {
        let mut later = HashSet::new();
        let last = self.piece.closed.iter().rev().filter(|group| later.insert(&group.key));
        let mut ending: Vec<Arc<Group>> = last.cloned().collect();
        ending.retain(|group| !book.outdated.contains(&group.id));
        ending.retain(|group| !group.keeps_rows() && !book.found(group).is_some_and(GroupCounts::keeps_rows));
        let keys: Vec<&[u8]> = ending.iter().map(|group| group.key.as_bytes()).collect();
        let counts = query(format!(
            "SELECT k.key, (SELECT pg_catalog.count(*) FROM redis2pg.loaded l WHERE l.table_name = $1 AND l.redis_key = k.key \
             AND {}) AS rows FROM pg_catalog.unnest($2::bytea[]) WITH ORDINALITY k (key, place) ORDER BY place",
            may_be_in_ledger(self.piece.database)
        ))
        .bind(self.table.name.to_string())
        .bind(keys)
        .fetch_all(connection)
        .await?;
        let more = counts.iter().zip(&ending).map(|(row, group)| {
            let made = group.with(book.found(group)).in_ledger();
            // What a cursor gave twice is counted twice: the rows themselves say more.
            Ok(row.try_get::<i64, _>("rows")? > made || self.is_tracked(group))
        });
        let more: Vec<bool> = more.collect::<Result<_, Error>>()?;
        Ok(ending.into_iter().zip(more).filter(|(_, more)| *more).map(|(group, _)| group).collect())
    }

    /// A table of the rows of these readings in this piece; gives its name.
    async fn present(
        &self,
        connection: &mut PgConnection,
        buffer: &mut CopyBuffer,
        readings: &[Arc<Group>],
    ) -> Result<String, Missed> {
        let (name, create) = self.options.staging.table("present", self.piece.id);
        let keys = self.table.key_idents().collect::<Vec<_>>().join(", ");
        let columns: Vec<String> = self.table.columns.iter().take(self.table.key_columns).map(stage_column).collect();
        let create = format!(
            "{create} AS SELECT 0::int4 AS redis2pg_reading, ''::text AS redis2pg_digest, {} FROM {} WITH NO DATA",
            columns.join(", "),
            self.table.ident()
        );
        query(create).execute(&mut *connection).await?;
        let copy = format!("COPY {name} (redis2pg_reading, redis2pg_digest, {keys}) FROM STDIN (FORMAT binary)");
        let reading_of = |group: &Arc<Group>| readings.iter().position(|known| Arc::ptr_eq(known, group));
        let rows = self.piece.rows.iter().filter_map(|row| Some((row, reading_of(row.group.as_ref()?)? as i32)));
        let columns = (2 + self.table.key_columns) as i16;
        copy_tuples(connection, buffer, &copy, rows, |chunk, (row, reading)| {
            chunk.extend_from_slice(&columns.to_be_bytes());
            chunk.extend_from_slice(&4_i32.to_be_bytes());
            chunk.extend_from_slice(&reading.to_be_bytes());
            let digest = row.digest.hex();
            chunk.extend_from_slice(&(digest.len() as i32).to_be_bytes());
            chunk.extend_from_slice(&digest);
            chunk.extend_from_slice(row.identity());
        })
        .await
        .map_err(|error| Missed::Server { error, row: None })?;
        Ok(name)
    }

    /// What is gone, as far as the ledger speaks of this table. It may have rows of a former one of the same name, or from
    /// before its key columns got other types: their keys cannot be read, and then nothing is taken for gone.
    async fn gone_of_this_table(
        &self,
        connection: &mut PgConnection,
        present: &str,
        ending: &[Arc<Group>],
    ) -> Result<Vec<Gone>, Error> {
        query("SAVEPOINT redis2pg_gone").execute(&mut *connection).await?;
        let gone = match self.gone(connection, present, ending).await {
            Err(error) if is_data_exception(&error) => {
                let table = &self.table.name;
                tracing::warn!(
                    "rows of {table} whose elements are gone stay: redis2pg.loaded has rows of a former table of this name, whose \
                     keys no longer fit ({error}); DELETE FROM redis2pg.loaded WHERE table_name = '{table}' forgets them"
                );
                query("ROLLBACK TO SAVEPOINT redis2pg_gone").execute(&mut *connection).await?;
                Vec::new()
            }
            gone => gone?,
        };
        query("RELEASE SAVEPOINT redis2pg_gone").execute(connection).await?;
        Ok(gone)
    }

    /// The rows of the ending readings' keys that none of their elements made again.
    async fn gone(
        &self,
        connection: &mut PgConnection,
        present: &str,
        ending: &[Arc<Group>],
    ) -> Result<Vec<Gone>, Error> {
        let table = self.table;
        // The table itself says which rows are the same: an element that is only spelled otherwise is not gone. Each step
        // is a fence, so that every row is looked up by an index or in a hash, whatever the statistics say.
        let (rows, same) = (table.rows(), key_join(table));
        let (known_key, gone_key) = (key_record(table, "k.row_key", "s"), key_record(table, "g.row_key", "s"));
        let row_key = row_key(table, Side::Target);
        let here = is_surely_in_ledger(self.piece.database, self.shard.run);
        let sql = format!(
            "WITH present AS MATERIALIZED (SELECT s.redis2pg_reading::int8 AS reading, {row_key} AS row_key \
             FROM {present} s JOIN {rows} t ON {same}), \
             known AS MATERIALIZED (SELECT r.place - 1 AS reading, r.id::uuid AS id, l.row_key \
             FROM unnest($2::bytea[], $3::text[]) WITH ORDINALITY r (key, id, place) \
             JOIN redis2pg.loaded l ON l.table_name = $1 AND l.redis_key = r.key AND {here}), \
             there AS MATERIALIZED (SELECT k.reading, k.id, {row_key} AS row_key FROM known k \
             CROSS JOIN LATERAL {known_key} JOIN {rows} t ON {same}), \
             gone AS MATERIALIZED (SELECT x.reading, x.row_key FROM there x \
             WHERE (x.reading, x.row_key) NOT IN (SELECT p.reading, p.row_key FROM present p) AND NOT EXISTS \
             (SELECT FROM redis2pg.seen n WHERE n.reading = x.id AND n.row_key = x.row_key OFFSET 0)) \
             SELECT g.reading, g.row_key::text AS row_key FROM gone g \
             CROSS JOIN LATERAL {gone_key} JOIN {rows} t ON {same} \
             FOR UPDATE OF t"
        );
        let rows = query(sql)
            .bind(table.name.to_string())
            .bind(ending.iter().map(|group| group.key.as_bytes()).collect::<Vec<_>>())
            .bind(ending.iter().map(|group| group.id.to_string()).collect::<Vec<_>>())
            .fetch_all(&mut *connection)
            .await?;
        // The ledger may know a row by several spellings of its key.
        let mut reading_of = HashMap::new();
        for row in &rows {
            let reading = usize::try_from(row.try_get::<i64, _>("reading")?).unwrap_or(usize::MAX);
            reading_of.entry(row.try_get::<String, _>("row_key")?).or_insert(reading);
        }
        let keys: Vec<&str> = reading_of.keys().map(String::as_str).collect();
        let found = look(connection, table, &keys).await?;
        let gone = found.into_iter().map(|found| {
            let reading = reading_of.get(&found.row_key).copied().unwrap_or(usize::MAX);
            Gone { reading, found, cleaned: false }
        });
        self.mark_cleaned(connection, ending, gone.collect()).await
    }

    async fn mark_cleaned(
        &self,
        connection: &mut PgConnection,
        ending: &[Arc<Group>],
        mut gone: Vec<Gone>,
    ) -> Result<Vec<Gone>, Error> {
        let key_and_owner = |(place, row): (usize, &Gone)| {
            Some((place, (ending.get(row.reading)?.key.clone(), row.found.owner.clone()?)))
        };
        let (places, asked): (Vec<usize>, Vec<_>) = gone.iter().enumerate().filter_map(key_and_owner).unzip();
        let of = (self.shard.run, self.piece.database.number);
        for cleaned in ledger::cleaned_of_source(connection, of, &asked).await? {
            if let Some(row) = places.get(cleaned).and_then(|place| gone.get_mut(*place)) {
                row.cleaned = true;
            }
        }
        Ok(gone)
    }

    async fn delete(
        &self,
        connection: &mut PgConnection,
        ending: &[Arc<Group>],
        gone: Vec<Gone>,
        book: &mut Book<'_>,
    ) -> Result<(), Missed> {
        let run = self.shard.run.to_string();
        let ours = |row: &&Gone| row.found.owner.is_some() && !row.found.referred_to && !row.cleaned;
        let ours: Vec<&Locked> = gone.iter().filter(ours).map(|row| &row.found).collect();
        let delete: Vec<&str> = ours.iter().map(|row| row.row_key.as_str()).collect();
        let before = ours.iter().filter(|row| row.owner.as_deref() != Some(&run));
        let images: HashSet<&str> = before.map(|row| row.row_key.as_str()).collect();
        let (deleted, taken) = self.delete_gone(connection, (delete, &images)).await?;
        book.images += taken;
        for row in &gone {
            let Some(group) = ending.get(row.reading) else { continue };
            let outcome = if deleted.contains(&row.found.row_key) { RowOutcome::Deleted } else { RowOutcome::Kept };
            book.group(group).rows(outcome, 1);
        }
        Ok(())
    }
}

/// Deletes rows, with an image of each of `images`; gives those that are gone now, and how many images were taken. A trigger may
/// keep a row. Where jsonb cannot hold one, that is no fault of the ledger's: the row has no image, and must stay.
pub(super) async fn delete_rows(
    connection: &mut PgConnection,
    (table, run): (&LoadTable, Uuid),
    delete: &[&str],
    images: &[&str],
) -> Result<(HashSet<String>, u64), Missed> {
    if delete.is_empty() {
        return Ok((HashSet::new(), 0));
    }
    let (run, name, same) = (run.to_string(), table.name.to_string(), key_join(table));
    let rows = format!(
        "pg_catalog.unnest($1::text[]) r (row_key) CROSS JOIN LATERAL {}",
        key_record(table, "r.row_key::jsonb", "s")
    );
    let imaged = query(format!(
        "INSERT INTO redis2pg.before_images ({IMAGE_COLUMNS}) SELECT $2::text::uuid, $3, {}, false FROM {rows} \
         JOIN {} t ON {same} ON CONFLICT DO NOTHING RETURNING row_key::text",
        image(table),
        table.rows(),
    ))
    .bind(images)
    .bind(&run)
    .bind(&name)
    .fetch_all(&mut *connection)
    .await
    .map_err(image_refused)?;
    let statement = format!("DELETE FROM {} t USING {rows} WHERE {same} RETURNING r.row_key", table.rows());
    let gone = query(statement).bind(delete).fetch_all(&mut *connection).await?;
    let gone: Vec<String> = gone.iter().map(|row| row.try_get(0)).collect::<Result<_, Error>>()?;
    // Those that this run had overwritten before have their image from then.
    query(
        "UPDATE redis2pg.before_images SET deleted = true WHERE run_id = $3::text::uuid AND table_name = $2 \
         AND row_key = ANY ($1::text[]::jsonb[])",
    )
    .bind(&gone)
    .bind(&name)
    .bind(&run)
    .execute(&mut *connection)
    .await
    .map_err(Missed::Ledger)?;
    query("DELETE FROM redis2pg.loaded WHERE table_name = $2 AND row_key = ANY ($1::text[]::jsonb[])")
        .bind(&gone)
        .bind(&name)
        .execute(&mut *connection)
        .await
        .map_err(Missed::Ledger)?;
    let gone: HashSet<String> = gone.into_iter().collect();
    let imaged: Vec<String> = imaged.iter().map(|row| row.try_get(0)).collect::<Result<_, Error>>()?;
    let mut taken = imaged.len() as u64;
    let kept: Vec<String> = imaged.into_iter().filter(|row| !gone.contains(row)).collect();
    if !kept.is_empty() {
        // What a trigger kept as it was needs no image; what it changed instead of deleting it does.
        let needless = query(format!(
            "DELETE FROM redis2pg.before_images i USING {rows} JOIN {} t ON {same} WHERE i.run_id = $3::text::uuid \
             AND i.table_name = $2 AND i.row_key = r.row_key::jsonb AND i.row_xmin = t.xmin::text::bigint",
            table.rows()
        ))
        .bind(&kept)
        .bind(&name)
        .bind(&run)
        .execute(connection)
        .await
        .map_err(Missed::Ledger)?;
        taken -= needless.rows_affected();
    }
    Ok((gone, taken))
}

/// Whether a value could not be read as its type (class 22 of SQLSTATE).
fn is_data_exception(error: &Error) -> bool {
    error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code.starts_with("22"))
}
