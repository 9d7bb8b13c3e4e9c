//! Rows that are overwritten although a cleanup had deleted their key since they were written: such a key was begun anew, and what
//! the row had is in PostgreSQL alone.

use super::book::Book;
use super::decide::Existing;
use super::merge::Staged;
use crate::ledger;
use crate::postgres::query;
use sqlx::Error;
use sqlx::postgres::PgConnection;
use std::collections::BTreeMap;

impl Staged<'_> {
    /// Counts them among rows that are about to be overwritten, each kept as an image.
    pub(super) async fn note_cleaned(
        &self,
        connection: &mut PgConnection,
        (found, overwritten): (&BTreeMap<i32, Existing>, &[i32]),
        book: &mut Book<'_>,
    ) -> Result<(), Error> {
        let attempt = self.attempt;
        if !attempt.options.after_cleanup {
            return Ok(());
        }
        // Of a row that somebody else changed it is not known when it was loaded.
        let key_and_owner = |ordinal: &i32| {
            Some((self.row(*ordinal)?.key.clone(), found.get(ordinal)?.owner.clone().unwrap_or_default()))
        };
        let asked: Vec<_> = overwritten.iter().filter_map(key_and_owner).collect();
        let of = (attempt.shard.run, attempt.piece.database.number);
        // The look is a transaction within this one, and must end: rows that are written in it would have another xmin than the journal,
        // and be nobody's.
        query("SAVEPOINT redis2pg_cleaned").execute(&mut *connection).await?;
        let cleaned = ledger::cleaned_of_source(connection, of, &asked).await?;
        query("RELEASE SAVEPOINT redis2pg_cleaned").execute(&mut *connection).await?;
        for place in cleaned {
            asked.get(place).into_iter().for_each(|(key, _)| book.tally.overwrite_cleaned(key));
        }
        Ok(())
    }
}
