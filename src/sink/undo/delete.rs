//! Rows that the run inserted are taken out.

use super::restore::set_merge_joins;
use super::staying::pairs;
use super::{Staying, Undo, Undone};
use crate::ledger::LineagePlace;
use crate::model::KeptReason;
use crate::postgres::{IncomingKey, ident, query, script};
use crate::sink::owned::row_key;
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};
use std::collections::{HashMap, HashSet};

/// Whose a row without a before-image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The run's.
    Ours,
    /// Somebody else's, or nobody's; with the lower half of the id of the transaction that wrote it last.
    Others(i64),
    /// It cannot be told, for this reason.
    Ambiguous(&'static str),
}

/// What is said of a key that several rows have.
pub(super) const TWICE: &str = "its key is there more than once";

/// What is said of a row that may be a copy of the run's.
const COPIED: &str = "another row has the same lineage";

impl Undo<'_> {
    /// Of rows that the run wrote, or once wrote: those without a before-image, each with whose it is. `lock`: they stay so until
    /// the transaction ends.
    ///
    /// # Errors
    /// The server's.
    pub async fn without_image(
        &self,
        connection: &mut PgConnection,
        keys: &[&str],
        lock: bool,
    ) -> Result<HashMap<String, Whose>, Error> {
        let table = self.table;
        set_merge_joins(connection, false).await?;
        let rows = format!(
            "FROM pg_catalog.unnest($1::text[]) r (key) CROSS JOIN LATERAL {} JOIN {} t ON {}",
            table.key_record("r.key::jsonb"),
            table.only(),
            table.key_join()
        );
        if lock {
            query(format!("SELECT 1 {rows} FOR UPDATE OF t")).bind(keys).execute(&mut *connection).await?;
        }
        let found = query(format!(
            "SELECT r.key, coalesce({} = $2, false), t.xmin::text::bigint {rows} WHERE {}",
            table.owner(),
            table.has_no_image("$2")
        ))
        .bind(keys)
        .bind(self.run.to_string())
        .fetch_all(&mut *connection)
        .await?;
        let mut whose = HashMap::new();
        for row in &found {
            let is_ours = if row.try_get(1)? { Whose::Ours } else { Whose::Others(row.try_get(2)?) };
            // Where the key is unique no more, it does not tell which row was the run's.
            whose.entry(row.try_get(0)?).and_modify(|of| *of = Whose::Ambiguous(TWICE)).or_insert(is_ours);
        }
        if self.force {
            let others: Vec<&str> =
                keys.iter().copied().filter(|key| matches!(whose.get(*key), Some(Whose::Others(_)))).collect();
            for key in self.copies(connection, &others).await? {
                whose.insert(key, Whose::Ambiguous(COPIED));
            }
        }
        Ok(whose)
    }

    /// Those of some rows whose lineage another row of the table has as well: the application may copy a row with all that is in
    /// it, and its copy is not the run's. There is no index to go by.
    async fn copies(&self, connection: &mut PgConnection, keys: &[&str]) -> Result<Vec<String>, Error> {
        let table = self.table;
        let in_row = matches!(table.run.lineage, LineagePlace::Object { .. } | LineagePlace::Columns { .. });
        if keys.is_empty() || !in_row || table.mixed || table.run.explodes {
            return Ok(Vec::new());
        }
        set_merge_joins(connection, true).await?;
        let (key, database, _) = table.redis_key();
        let rows = query(format!(
            "SELECT DISTINCT r.key FROM pg_catalog.unnest($1::text[]) r (key) CROSS JOIN LATERAL {} JOIN {} t ON {} \
             JOIN (SELECT {key} AS key, {database} AS database, t.tableoid AS part, t.ctid AS place FROM {} t) x \
             ON x.key = {key} AND x.database IS NOT DISTINCT FROM {database} AND (x.part, x.place) <> (t.tableoid, t.ctid)",
            table.key_record("r.key::jsonb"),
            table.only(),
            table.key_join(),
            table.only(),
        ))
        .bind(keys)
        .fetch_all(connection)
        .await?;
        rows.iter().map(|row| row.try_get(0)).collect()
    }

    /// Those of some rows that others refer to, each with the table of one that does. `ahead`: nothing is deleted yet, and rows that
    /// the run wrote itself are taken to go, but for these, of which it is known to what they refer, and
    /// for those of tables that are settled.
    ///
    /// # Errors
    /// The server's.
    pub async fn referred_to(
        &self,
        connection: &mut PgConnection,
        keys: &[&str],
        ahead: Option<&Staying>,
    ) -> Result<HashMap<String, String>, Error> {
        let mut found = HashMap::new();
        if let Some(hidden) = self.table.referrers.iter().find(|referrer| !referrer.readable) {
            // What we may not read may refer to any row.
            let why = format!("{}, perhaps: its rows cannot all be read", hidden.table);
            found.extend(keys.iter().map(|key| ((*key).to_owned(), why.clone())));
            return Ok(found);
        }
        set_merge_joins(connection, true).await?;
        let name = self.table.name();
        for (place, referrer) in self.table.referrers.iter().enumerate() {
            let rows = query(self.refers(referrer, ahead)).bind(keys).bind(self.run.to_string());
            for row in rows.fetch_all(&mut *connection).await? {
                found.insert(row.try_get(0)?, referrer.table.to_string());
            }
            if let Some(staying) = ahead.filter(|staying| staying.holds_by(&name, place)) {
                let held = keys.iter().filter(|key| staying.is_held((&name, place), key));
                found.extend(held.map(|key| ((*key).to_owned(), referrer.table.to_string())));
            }
        }
        if !found.is_empty() {
            self.spread(connection, keys, &mut found).await?;
        }
        Ok(found)
    }

    /// A row that stays keeps those of its table that it refers to.
    async fn spread(
        &self,
        connection: &mut PgConnection,
        keys: &[&str],
        found: &mut HashMap<String, String>,
    ) -> Result<(), Error> {
        let mut parents: HashMap<String, Vec<String>> = HashMap::new();
        for referrer in self.table.referrers.iter().filter(|referrer| referrer.is_own) {
            let rows = query(self.own_edges(referrer)).bind(keys).fetch_all(&mut *connection).await?;
            for row in rows {
                parents.entry(row.try_get(0)?).or_default().push(row.try_get(1)?);
            }
        }
        let mut open: Vec<String> = found.keys().cloned().collect();
        while let Some(child) = open.pop() {
            for parent in parents.remove(&child).unwrap_or_default() {
                if !found.contains_key(&parent) {
                    found.insert(parent.clone(), self.table.name());
                    open.push(parent);
                }
            }
        }
        Ok(())
    }

    /// Of the rows of `$1`, each with one of them that it refers to.
    fn own_edges(&self, referrer: &IncomingKey) -> String {
        let table = self.table;
        let pairs: Vec<String> = (referrer.columns.iter())
            .map(|(own, of, operator)| format!("p.{} {operator} t.{}", ident(of), ident(own)))
            .collect();
        let parent = row_key("p", &table.run.key_columns);
        format!(
            "SELECT r.key, {parent}::text FROM pg_catalog.unnest($1::text[]) r (key) CROSS JOIN LATERAL {} JOIN {} t ON {} \
             JOIN {} p ON {} WHERE {parent} OPERATOR(pg_catalog.=) ANY (SELECT g.key::jsonb FROM pg_catalog.unnest($1::text[]) g (key))",
            table.key_record("r.key::jsonb"),
            table.only(),
            table.key_join(),
            table.only(),
            pairs.join(" AND ")
        )
    }

    /// The rows of `$1` that rows of a table refer to, but for those that go with them.
    fn refers(&self, referrer: &IncomingKey, ahead: Option<&Staying>) -> String {
        let table = self.table;
        let mut others = String::new();
        if referrer.is_own {
            let key = row_key("c", &table.run.key_columns);
            others.push_str(&format!(
                " AND NOT ({key} OPERATOR(pg_catalog.=) ANY (SELECT g.key::jsonb FROM pg_catalog.unnest($1::text[]) g (key)))"
            ));
        }
        match ahead.filter(|staying| referrer.is_own || !staying.is_settled(&referrer.table)) {
            Some(staying) => {
                others.push_str(&format!(" AND {}", self.is_not_taken_back("c", &referrer.table, staying)));
            }
            None => others.push_str(" AND $2 <> ''"),
        }
        format!(
            "SELECT r.key FROM pg_catalog.unnest($1::text[]) r (key) CROSS JOIN LATERAL {} JOIN {} t ON {} \
             WHERE EXISTS (SELECT FROM {} c WHERE {}{others})",
            table.key_record("r.key::jsonb"),
            table.only(),
            table.key_join(),
            referrer.rows(),
            pairs(referrer)
        )
    }

    /// Deletes rows that the run inserted, inside the caller's transaction, and their lineage.
    ///
    /// # Errors
    /// The server's; one that speaks of a row is that of one of these.
    pub async fn delete(&self, connection: &mut PgConnection, keys: &[&str]) -> Result<Undone, Error> {
        let table = self.table;
        let mut undone = Undone::default();
        let found = self.without_image(connection, keys, true).await?;
        let mut going = Vec::new();
        for key in keys {
            match found.get(*key) {
                Some(Whose::Ambiguous(why)) => {
                    undone.kept.push(((*key).to_owned(), KeptReason::Ambiguous, (*why).to_owned()));
                }
                Some(Whose::Ours) => going.push(*key),
                Some(Whose::Others(_)) if self.force => going.push(*key),
                Some(Whose::Others(writer)) => {
                    let detail = "while the rollback was at work".to_owned();
                    undone.writers.insert((*key).to_owned(), *writer);
                    undone.kept.push(((*key).to_owned(), KeptReason::Changed, detail));
                }
                // Gone by itself.
                None => {}
            }
        }
        let referred = self.referred_to(connection, &going, None).await?;
        going.retain(|key| !referred.contains_key(*key));
        undone.kept.extend(referred.into_iter().map(|(key, by)| (key, KeptReason::ReferredTo, by)));
        if going.is_empty() {
            return Ok(undone);
        }
        set_merge_joins(connection, false).await?;
        let rows = query(format!(
            "DELETE FROM {} t USING pg_catalog.unnest($1::text[]) r (key) CROSS JOIN LATERAL {} WHERE {} RETURNING r.key",
            table.only(),
            table.key_record("r.key::jsonb"),
            table.key_join()
        ))
        .bind(&going)
        .fetch_all(&mut *connection)
        .await?;
        undone.done = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, Error>>()?;
        let done: HashSet<&str> = undone.done.iter().map(String::as_str).collect();
        let left = going.iter().filter(|key| !done.contains(*key));
        let left: Vec<_> = left.map(|key| ((*key).to_owned(), KeptReason::NotDone, String::new())).collect();
        undone.kept.extend(left);
        script("SET CONSTRAINTS ALL IMMEDIATE").execute(&mut *connection).await?;
        query("DELETE FROM redis2pg.loaded WHERE table_name = $2 AND row_key = ANY ($1::text[]::jsonb[])")
            .bind(&undone.done)
            .bind(table.name())
            .execute(connection)
            .await?;
        Ok(undone)
    }
}
