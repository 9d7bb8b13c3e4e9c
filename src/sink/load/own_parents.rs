//! Rows that refer to rows of their own table: which of them come before their parents.
//!
//! A parent may be new with its child, in the same statement, which the server checks at its end. So a row waits for
//! another try only where its parent is neither in the table nor among the rows that are written with it. Rows that refer
//! to one another in a circle are written together.

use super::book::Book;
use super::merge::{Staged, set_hash_join};
use crate::model::Reject;
use crate::postgres::query;
use crate::sink::families::Families;
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row as _};
use std::collections::BTreeSet;

impl Staged<'_> {
    /// Finds the rows whose parent in their own table is not there and not written with them. `without`: rows that are
    /// not written.
    pub(super) async fn before_their_parents(
        &self,
        connection: &mut PgConnection,
        without: &BTreeSet<i32>,
        book: &mut Book<'_>,
    ) -> Result<BTreeSet<i32>, Error> {
        let (piece, table) = (self.attempt.piece, self.attempt.table);
        // Where a foreign key looks as well, it is asked once it has failed.
        let failed = piece.orphans || table.is_out_of_order();
        let mut families = Families::default();
        for (place, statement) in &self.sql.own_orphans {
            let parent = table.own_references.get(*place).and_then(|own| table.parents.get(own.parent?));
            if !failed && parent.is_none_or(|parent| parent.foreign_key) {
                continue;
            }
            // This join has no index to go by.
            set_hash_join(connection, true).await?;
            for row in query(statement).fetch_all(&mut *connection).await? {
                let parent: Option<i32> = row.try_get("parent")?;
                families.add(*place, row.try_get("ord")?, parent.filter(|parent| !without.contains(parent)));
            }
            set_hash_join(connection, false).await?;
        }
        let lost = families.without_parent(without);
        for (ordinal, place) in &lost {
            self.lose(*ordinal, self.waiting(*ordinal, *place), piece.is_tried_again(), book);
        }
        Ok(lost.into_keys().collect())
    }

    fn waiting(&self, ordinal: i32, place: usize) -> Option<Reject> {
        let table = self.attempt.table;
        let reference = table.own_references.get(place)?;
        let note = self.row(ordinal).and_then(|row| self.attempt.piece.notes.get(&row.key)).cloned();
        let detail = note.unwrap_or_else(|| format!("there is no row for it in {}", table.name));
        let column = reference.columns.first().and_then(|column| table.columns.get(column.from));
        let column = column.map(|column| column.name.clone());
        self.reject(ordinal, "missing_parent", detail).map(|reject| Reject { column, ..reject })
    }
}
