//! Which of some rows go together: those that runs of ours wrote last, and that no other row refers to but rows which go with them. They are
//! found by a few statements over all of them. From the leaves on, a chain would be looked at as often as it is long.

use super::locked::{asked, asked_of, owners, texts};
use crate::postgres::{IncomingKey, ident, query, script};
use crate::sink::owned;
use crate::sink::table::LoadTable;
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};
use std::collections::{BTreeMap, HashMap, HashSet};

/// Rows under their locks.
#[derive(Debug, Default)]
pub(super) struct Together {
    /// Rows of ours that may go, by their keys as the ledger writes them, each with the run that wrote it last.
    own: BTreeMap<String, String>,
    /// Of those of them that refer to others of them: these, by the key of the one that refers.
    parents: HashMap<String, Vec<String>>,
    /// Those that stay, since a row that does not go refers to them.
    referred: HashSet<String>,
}

impl Together {
    /// Looks at rows that are locked already. `runs`: ours, as text. Gives how many rows are not, or not any more, of them.
    ///
    /// # Errors
    /// The server's.
    pub(super) async fn look(
        connection: &mut PgConnection,
        table: &LoadTable,
        (rows, runs): (&[String], &[String]),
    ) -> Result<(Self, i64), Error> {
        let mut found = Self::default();
        for (row, owner) in owners(connection, table, rows).await? {
            found.own.extend(owner.filter(|owner| runs.contains(owner)).map(|owner| (row, owner)));
        }
        let others = rows.len() as i64 - found.own.len() as i64;
        let keys: Vec<String> = found.own.keys().cloned().collect();
        // What we cannot see may refer to any row.
        if table.referrers.iter().any(|referrer| !referrer.readable) {
            found.referred.extend(keys);
            return Ok((found, others));
        }
        if keys.is_empty() || table.referrers.is_empty() {
            return Ok((found, others));
        }
        // A foreign key need not have an index: then its table is read once, and not for each row.
        set_joins(connection, true).await?;
        for (child, parent) in own_parents(connection, table, &keys).await? {
            if child != parent && found.own.contains_key(&parent) {
                found.parents.entry(child).or_default().push(parent);
            }
        }
        for referrer in &table.referrers {
            let referred = query(referred_from_without(table, referrer)).bind(texts(&keys));
            let referred = referred.fetch_all(&mut *connection).await?;
            found.keep(referred.iter().map(|row| row.try_get(0)).collect::<Result<_, Error>>()?);
        }
        set_joins(connection, false).await?;
        Ok((found, others))
    }

    /// Those that go, and those among them that `run` did not write itself.
    pub(super) fn going(&self, run: &str) -> (Vec<&str>, Vec<&str>) {
        let going = self.own.iter().filter(|(row, _)| !self.referred.contains(*row));
        let before = going.clone().filter(|(_, owner)| *owner != run).map(|(row, _)| row.as_str());
        (going.clone().map(|(row, _)| row.as_str()).collect(), before.collect())
    }

    /// Whether rows that go refer to others that go.
    pub(super) fn are_linked(&self) -> bool {
        let goes = |row: &String| !self.referred.contains(row);
        self.parents.iter().any(|(child, parents)| goes(child) && parents.iter().any(goes))
    }

    /// The table does not let these go: what they refer to stays.
    pub(super) fn refuse(&mut self, rows: &[String]) {
        for row in rows {
            self.own.remove(row);
            let parents = self.parents.remove(row).unwrap_or_default();
            self.keep(parents);
        }
    }

    /// Those that stay since others refer to them.
    pub(super) fn into_referred(self) -> Vec<String> {
        self.referred.into_iter().collect()
    }

    /// These stay, and so do those that they refer to.
    fn keep(&mut self, mut open: Vec<String>) {
        while let Some(row) = open.pop() {
            if self.own.contains_key(&row) && !self.referred.contains(&row) {
                open.extend(self.parents.get(&row).into_iter().flatten().cloned());
                self.referred.insert(row);
            }
        }
    }
}

/// Whether the planner may read a table whole for a join.
async fn set_joins(connection: &mut PgConnection, on: bool) -> Result<(), Error> {
    let word = if on { "on" } else { "off" };
    let set = format!("SET LOCAL enable_hashjoin = {word}; SET LOCAL enable_mergejoin = {word}");
    script(set).execute(connection).await.map(|_| ())
}

/// The rows of `$1` that rows refer to which are none of them.
fn referred_from_without(table: &LoadTable, referrer: &IncomingKey) -> String {
    let pairs = referrer.columns.iter();
    let pairs: Vec<String> =
        pairs.map(|(own, of, operator)| format!("t.{} {operator} c.{}", ident(of), ident(own))).collect();
    let but = if referrer.is_own {
        let key = owned::row_key("c", &key_columns(table));
        format!(
            " AND NOT ({key} OPERATOR(pg_catalog.=) ANY (SELECT g.key::jsonb FROM pg_catalog.unnest($1::text[]) g (key)))"
        )
    } else {
        String::new()
    };
    format!(
        "SELECT r.row_key {} WHERE EXISTS (SELECT FROM {} c WHERE {}{but})",
        asked(table, "$1"),
        referrer.rows(),
        pairs.join(" AND ")
    )
}

/// Of some rows, each with a row of the table that it refers to.
pub(super) async fn own_parents(
    connection: &mut PgConnection,
    table: &LoadTable,
    rows: &[String],
) -> Result<Vec<(String, String)>, Error> {
    let mut found = Vec::new();
    for referrer in table.referrers.iter().filter(|referrer| referrer.is_own && referrer.readable) {
        for row in query(edges(table, referrer)).bind(texts(rows)).fetch_all(&mut *connection).await? {
            found.push((row.try_get(0)?, row.try_get(1)?));
        }
    }
    Ok(found)
}

/// The rows of `$1`, each with one of the table that it refers to.
fn edges(table: &LoadTable, referrer: &IncomingKey) -> String {
    let pairs = referrer.columns.iter();
    let pairs: Vec<String> =
        pairs.map(|(own, of, operator)| format!("p.{} {operator} t.{}", ident(of), ident(own))).collect();
    format!(
        "SELECT r.row_key, {}::text {} JOIN {} p ON {}",
        owned::row_key("p", &key_columns(table)),
        // The foreign key may be one partition's alone.
        asked_of(table, &referrer.rows(), "$1"),
        table.rows(),
        pairs.join(" AND ")
    )
}

fn key_columns(table: &LoadTable) -> Vec<String> {
    table.columns.iter().take(table.key_columns).map(|column| column.name.clone()).collect()
}
