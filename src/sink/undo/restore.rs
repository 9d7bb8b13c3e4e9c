//! Rows are put back as their before-images have them.

use super::family::orphans;
use super::{Undo, Undone};
use crate::model::KeptReason;
use crate::postgres::{literal, query, script};
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};
use std::collections::{HashMap, HashSet};

/// Images that are put back by one statement. A transaction holds one group: by its id it is known whose the rows are then.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Group {
    /// Run, mapping and fingerprint of the batch that wrote the row as the image has it, as a JSON array; `None`: it was
    /// nobody's.
    pub former: Option<String>,
    /// Columns of the table that the image lacks: they came since.
    pub missing: Vec<String>,
    /// Columns of the image that the table lacks: what they held is not put back.
    pub lost: Vec<String>,
    /// Whether the row is there, and is changed; else it is inserted.
    pub there: bool,
}

impl Undo<'_> {
    /// Puts the rows of a group back, inside the caller's transaction, which must do nothing else to the table: the rows belong
    /// to their former run again. Their images are gone then.
    ///
    /// # Errors
    /// The server's; one that speaks of a row is that of one of these.
    pub async fn restore(&self, connection: &mut PgConnection, group: &Group, keys: &[&str]) -> Result<Undone, Error> {
        let mut undone = Undone::default();
        // One that an attempt has put back whose answer was lost has no image any more.
        let there = query(format!("SELECT r.key FROM {}", self.images())).bind(keys).bind(self.run.to_string());
        let there = there.fetch_all(&mut *connection).await?;
        let there: HashSet<String> = there.iter().map(|row| row.try_get(0)).collect::<Result<_, Error>>()?;
        let mut keys: Vec<&str> = keys.iter().copied().filter(|key| there.contains(*key)).collect();
        if group.there {
            keys = self.still_ours(connection, keys, &mut undone).await?;
            for (reason, found) in [
                (KeptReason::Refused, self.unwritable(connection, &keys).await?),
                (KeptReason::ReferredTo, self.moved(connection, group, &keys, None).await?),
            ] {
                keys = undone.keep_of(keys, reason, &found);
            }
        }
        let lacks = self.lacks(connection, &keys).await?;
        let keys = undone.keep_of(keys, KeptReason::MissingParent, &orphans(&lacks));
        if keys.is_empty() {
            return Ok(undone);
        }
        set_merge_joins(connection, !group.there).await?;
        let statement = if group.there { self.update(&group.missing) } else { self.insert(&group.missing) };
        let rows = query(statement).bind(&keys).bind(self.run.to_string()).fetch_all(&mut *connection).await?;
        undone.done = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, Error>>()?;
        // A trigger may have kept one.
        let done: HashSet<&str> = undone.done.iter().map(String::as_str).collect();
        let left = keys.iter().filter(|key| !done.contains(*key));
        let left: Vec<_> = left.map(|key| ((*key).to_owned(), KeptReason::NotDone, String::new())).collect();
        undone.kept.extend(left);
        // What is checked at COMMIT only is told here.
        script("SET CONSTRAINTS ALL IMMEDIATE").execute(&mut *connection).await?;
        self.settle_images(connection, group, &undone.done).await?;
        Ok(undone)
    }

    /// Locks rows that images are of; gives the keys of those that are still the run's, and keeps the others.
    async fn still_ours<'k>(
        &self,
        connection: &mut PgConnection,
        keys: Vec<&'k str>,
        undone: &mut Undone,
    ) -> Result<Vec<&'k str>, Error> {
        let mut found: HashMap<String, Vec<(bool, i64)>> = HashMap::new();
        for (key, is_ours, writer) in self.lock_images(connection, &keys).await? {
            found.entry(key).or_default().push((is_ours, writer));
        }
        let (ours, others): (Vec<&str>, Vec<&str>) =
            keys.into_iter().partition(|key| matches!(found.get(*key).map(Vec::as_slice), Some([(true, _)])));
        for key in others {
            let writer = found.get(key).and_then(|rows| rows.iter().find(|(is_ours, _)| !is_ours));
            undone.writers.extend(writer.map(|(_, writer)| (key.to_owned(), *writer)));
            undone.kept.push((key.to_owned(), KeptReason::Changed, "while the rollback was at work".to_owned()));
        }
        Ok(ours)
    }

    /// Locks rows that images are of; gives their keys, whether each is still the run's, and who wrote it last.
    async fn lock_images(
        &self,
        connection: &mut PgConnection,
        keys: &[&str],
    ) -> Result<Vec<(String, bool, i64)>, Error> {
        let table = self.table;
        set_merge_joins(connection, false).await?;
        let lock = format!(
            "SELECT r.key FROM pg_catalog.unnest($1::text[]) r (key) CROSS JOIN LATERAL {} JOIN {} t ON {} FOR UPDATE OF t",
            table.key_record("r.key::jsonb"),
            table.only(),
            table.key_join()
        );
        query(lock).bind(keys).execute(&mut *connection).await?;
        // A new statement sees what was committed while the locks were waited for.
        let ours = if self.force { "true".to_owned() } else { format!("coalesce({} = $2, false)", table.owner()) };
        let rows = query(format!(
            "SELECT r.key, {ours}, t.xmin::text::bigint FROM pg_catalog.unnest($1::text[]) r (key) CROSS JOIN LATERAL {} JOIN {} t ON {} \
             WHERE $2 <> ''",
            table.key_record("r.key::jsonb"),
            table.only(),
            table.key_join()
        ))
        .bind(keys)
        .bind(self.run.to_string())
        .fetch_all(connection)
        .await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?))).collect()
    }

    /// The images of the keys `$1`: as many rows as keys, whatever the statistics say, so that what is joined with them is not
    /// gone through pair by pair.
    pub(super) fn images(&self) -> String {
        format!(
            "pg_catalog.unnest($1::text[]) r (key) JOIN LATERAL (SELECT b.* FROM redis2pg.before_images b WHERE b.run_id = $2::text::uuid \
             AND b.table_name = {} AND b.row_key = r.key::jsonb OFFSET 0) i ON true",
            literal(&self.table.name())
        )
    }

    fn update(&self, missing: &[String]) -> String {
        let table = self.table;
        let set = self.values(missing, |column| column.updatable);
        let set: Vec<String> = set.into_iter().map(|(name, value)| format!("{name} = {value}")).collect();
        format!(
            "UPDATE {} t SET {} FROM {} CROSS JOIN LATERAL {} CROSS JOIN LATERAL {} WHERE {} RETURNING r.key",
            table.only(),
            set.join(", "),
            self.images(),
            table.key_record("i.row_key"),
            self.record(missing),
            table.key_join(),
        )
    }

    fn insert(&self, missing: &[String]) -> String {
        let table = self.table;
        let (names, values): (Vec<String>, Vec<String>) =
            self.values(missing, |column| column.insertable).into_iter().unzip();
        // What RETURNING says of a row that is there must be its key as the image has it.
        format!(
            "WITH written AS (INSERT INTO {} AS t ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} CROSS JOIN LATERAL {} \
             RETURNING {} AS key) SELECT r.key FROM pg_catalog.unnest($1::text[]) r (key) JOIN written w ON w.key = r.key::jsonb",
            table.ident(),
            names.join(", "),
            values.join(", "),
            self.images(),
            self.record(missing),
            table.row_key(),
        )
    }

    /// The ledger says again what it said before the run, and to whom the rows belong; the images have served.
    async fn settle_images(&self, connection: &mut PgConnection, group: &Group, keys: &[String]) -> Result<(), Error> {
        let (run, name) = (self.run.to_string(), self.table.name());
        query("DELETE FROM redis2pg.loaded WHERE table_name = $2 AND row_key = ANY ($1::text[]::jsonb[])")
            .bind(keys)
            .bind(&name)
            .execute(&mut *connection)
            .await?;
        query(
            "INSERT INTO redis2pg.loaded (table_name, row_key, run_id, redis_key, digest, redis_db, loaded_at) \
             SELECT i.table_name, i.row_key, r.id, pg_catalog.decode(i.lineage ->> 'key', 'hex'), i.lineage ->> 'digest', \
             (i.lineage ->> 'database')::int4, (i.lineage ->> 'loaded_at')::timestamptz \
             FROM redis2pg.before_images i JOIN redis2pg.runs r ON r.id = (i.lineage ->> 'run')::uuid \
             WHERE i.run_id = $3::text::uuid AND i.table_name = $2 AND i.row_key = ANY ($1::text[]::jsonb[])",
        )
        .bind(keys)
        .bind(&name)
        .bind(&run)
        .execute(&mut *connection)
        .await?;
        query(
            "DELETE FROM redis2pg.before_images WHERE run_id = $3::text::uuid AND table_name = $2 \
             AND row_key = ANY ($1::text[]::jsonb[])",
        )
        .bind(keys)
        .bind(&name)
        .bind(&run)
        .execute(&mut *connection)
        .await?;
        let Some(former) = group.former.as_ref().filter(|_| !keys.is_empty()) else { return Ok(()) };
        query(
            "INSERT INTO redis2pg.batches (id, run_id, phase, shard, epoch, mapping, table_name, fingerprint, xid, pages, tally, images) \
             SELECT pg_catalog.gen_random_uuid(), (f ->> 0)::uuid, 0, 0, 0, f ->> 1, $2, f ->> 2, \
             pg_catalog.pg_current_xact_id()::text::bigint, \
             '{}', '{}', 0 FROM (SELECT $1::text::jsonb AS f) former",
        )
        .bind(former)
        .bind(&name)
        .execute(connection)
        .await
        .map(|_| ())
    }
}

/// Joins by key go by its index, row by row, whatever the statistics say.
pub(super) async fn set_merge_joins(connection: &mut PgConnection, on: bool) -> Result<(), Error> {
    let word = if on { "on" } else { "off" };
    let set = format!("SET LOCAL enable_hashjoin = {word}; SET LOCAL enable_mergejoin = {word}");
    script(set).execute(connection).await.map(|_| ())
}
