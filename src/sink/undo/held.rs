//! To which rows those refer that stay.

use super::restore::set_merge_joins;
use super::staying::pairs;
use super::{Undo, UndoTable};
use crate::postgres::{IncomingKey, ident, query};
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};
use std::collections::BTreeSet;

/// Fewer rows than these may be a step of a long way up through their own table: then the steps behind it are asked for at once.
const FEW: usize = 100;

/// So many steps at most.
const STEPS: usize = 5000;

impl Undo<'_> {
    /// Some rows of the table `of`, each with the key of a row to which it refers by a foreign key, but for itself. Of few rows that refer to their
    /// own table also what those refer to, and so on: each behind the one that it goes on from.
    ///
    /// # Errors
    /// The server's.
    pub async fn referred_by(
        &self,
        connection: &mut PgConnection,
        (referrer, of): (&IncomingKey, &UndoTable),
        keys: &[String],
    ) -> Result<Vec<(String, String)>, Error> {
        set_merge_joins(connection, true).await?;
        let first = self.step_up(referrer, of, "pg_catalog.unnest($1::text[]) r (key)");
        let statement = match std::ptr::eq(of, self.table) && keys.len() < FEW {
            true => {
                let next = self.step_up(referrer, of, "(SELECT up.parent AS key FROM up) r");
                format!("WITH RECURSIVE up AS ({first} UNION {next}) SELECT child, parent FROM up LIMIT {STEPS}")
            }
            false => first,
        };
        let rows = query(statement).bind(keys).fetch_all(connection).await?;
        rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// The rows of the keys `r.key`, which are looked up by their own index, whatever the statistics say, each with one that it refers to.
    fn step_up(&self, referrer: &IncomingKey, of: &UndoTable, keys: &str) -> String {
        let columns: BTreeSet<&String> = referrer.columns.iter().map(|(own, ..)| own).collect();
        let columns: Vec<String> = columns.into_iter().map(|name| format!("t.{}", ident(name))).collect();
        // Beside them stand columns of the table, under their own names.
        let (place, other) = match referrer.is_own {
            true => (
                "t.tableoid AS redis2pg_part, t.ctid AS redis2pg_place, ",
                " AND (c.redis2pg_part, c.redis2pg_place) <> (t.tableoid, t.ctid)",
            ),
            false => ("", ""),
        };
        format!(
            "SELECT c.redis2pg_child AS child, {}::text AS parent FROM (SELECT r.key AS redis2pg_child, o.* FROM {keys} CROSS JOIN LATERAL {} CROSS JOIN LATERAL \
             (SELECT {place}{} FROM {} t WHERE {} OFFSET 0) o) c JOIN {} t ON {}{other}",
            self.table.row_key(),
            of.key_record("r.key::jsonb"),
            columns.join(", "),
            of.only(),
            of.key_join(),
            self.table.only(),
            pairs(referrer),
        )
    }
}
