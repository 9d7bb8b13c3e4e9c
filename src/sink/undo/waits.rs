//! Rows of tables that refer to one another in a circle: which of them wait for which to go.

use super::staying::pairs;
use super::{Undo, UndoTable};
use crate::postgres::{IncomingKey, ident, literal, query};
use crate::sink::owned::row_key;
use crate::sink::ownership::owner;
use futures::TryStreamExt;
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};

/// A row that waits for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Its place among those that were asked about.
    pub row: usize,
    /// The place of the other one's table among those in a circle.
    pub table: usize,
    /// The other one, by its hash.
    pub referrer: u64,
}

impl Undo<'_> {
    /// Rows of the tables `ring` that the run inserted and that refer to some rows: but for those to which no row of these tables refers in
    /// turn, which wait for nobody. `hash`: of a row, by its table's place and its key. As many as `most`: of more no more is told.
    ///
    /// # Errors
    /// The server's.
    pub async fn waits(
        &self,
        connection: &mut PgConnection,
        ring: &[&UndoTable],
        (keys, most): (&[&str], usize),
        hash: impl Fn(usize, &str) -> u64,
    ) -> Result<Vec<Wait>, Error> {
        let mut found = Vec::new();
        for referrer in self.table.referrers.iter().filter(|referrer| !referrer.is_own) {
            let is_it = |of: &&UndoTable| of.run.table == referrer.table;
            let Some((place, of)) = ring.iter().enumerate().find(|(_, of)| is_it(of)) else { continue };
            let Some(statement) = self.waiting_for(referrer, of, ring) else { continue };
            let left = i64::try_from(most.saturating_sub(found.len())).unwrap_or(i64::MAX);
            let mut rows = query(statement).bind(keys).bind(self.run.to_string()).bind(left).fetch(&mut *connection);
            while let Some(row) = rows.try_next().await? {
                let asked = usize::try_from(row.try_get::<i64, _>(0)?).unwrap_or_default();
                found.push(Wait { row: asked, table: place, referrer: hash(place, row.try_get(1)?) });
            }
        }
        Ok(found)
    }

    /// The statement for one foreign key; `None`: none of its rows waits for others.
    fn waiting_for(&self, referrer: &IncomingKey, of: &UndoTable, ring: &[&UndoTable]) -> Option<String> {
        let table = self.table;
        let in_ring = |of: &&IncomingKey| ring.iter().any(|table| table.run.table == of.table);
        let next: Vec<&IncomingKey> = of.referrers.iter().filter(|of| !of.is_own).filter(in_ring).collect();
        let refers = |of: &&IncomingKey| {
            let pairs: Vec<String> = (of.columns.iter())
                .map(|(own, of, operator)| format!("c.{} {operator} d.{}", ident(of), ident(own)))
                .collect();
            format!("EXISTS (SELECT FROM {} d WHERE {})", of.rows(), pairs.join(" AND "))
        };
        let waits = match next.iter().all(|of| of.readable) {
            true => next.iter().map(refers).collect::<Vec<_>>().join(" OR "),
            false => "true".to_owned(),
        };
        let (name, key) = (literal(&referrer.table.to_string()), row_key("c", &of.run.key_columns));
        (!waits.is_empty()).then(|| {
            format!(
                "SELECT r.place - 1, {key}::text FROM pg_catalog.unnest($1::text[]) WITH ORDINALITY r (key, place) CROSS JOIN LATERAL {} \
                 JOIN {} t ON {} JOIN {} c ON {} WHERE {} = $2 AND NOT EXISTS (SELECT FROM redis2pg.before_images b \
                 WHERE b.run_id = $2::text::uuid AND b.table_name = {name} AND b.row_key = {key} OFFSET 0) AND ({waits}) LIMIT $3",
                table.key_record("r.key::jsonb"),
                table.only(),
                table.key_join(),
                referrer.rows(),
                pairs(referrer),
                owner("c.xmin", &name, None),
            )
        })
    }
}
