//! Types that the server reads from text: the texts that they refuse are found before anything is written.
//!
//! Each column's texts are read by a statement that does nothing else, so that whatever it fails with is the fault of a
//! text. Then the rows are halved down to it, in place. A savepoint lets the transaction go on; since nothing is written
//! below it, it gets no transaction id of its own, which the journal would not know.

use super::attempt::Missed;
use super::book::Book;
use super::merge::Staged;
use super::refusal::refused;
use crate::model::{Reject, Row};
use crate::postgres::{query, refuses_value};
use crate::sink::table::LoadTable;
use sqlx::Error;
use sqlx::postgres::PgConnection;
use std::collections::BTreeSet;

impl Staged<'_> {
    /// Rejects the rows with texts that their types refuse, and takes them out of the staging table. Gives their ordinals.
    pub(super) async fn unreadable(
        &self,
        connection: &mut PgConnection,
        book: &mut Book<'_>,
    ) -> Result<BTreeSet<i32>, Missed> {
        let mut found = BTreeSet::new();
        for (column, statement) in &self.sql.casts {
            for (ordinal, error) in refused_texts(connection, statement, self.rows.len()).await? {
                let reject = self.row(ordinal).map(|row| unread(row, (self.attempt.table, *column), &error));
                if found.insert(ordinal) {
                    self.lose(ordinal, reject, false, book);
                }
            }
        }
        if !found.is_empty() {
            let ordinals: Vec<i32> = found.iter().copied().collect();
            query(&self.sql.delete).bind(ordinals).execute(connection).await?;
        }
        Ok(found)
    }
}

/// The ordinals, of so many, whose texts the server cannot read, each with its reason. The statement is one of
/// [`super::statements::Statements::casts`].
///
/// # Errors
/// The server's, where it is not about a text.
pub(in crate::sink) async fn refused_texts(
    connection: &mut PgConnection,
    statement: &str,
    rows: usize,
) -> Result<Vec<(i32, Error)>, Error> {
    let mut found = Vec::new();
    let mut ranges = vec![(0, i32::try_from(rows).unwrap_or(i32::MAX))];
    query("SAVEPOINT redis2pg_cast").execute(&mut *connection).await?;
    while let Some((from, to)) = ranges.pop() {
        match query(statement).bind(from).bind(to).execute(&mut *connection).await {
            Ok(_) => continue,
            Err(error) if !refuses_value(&error) => return Err(error),
            Err(error) if to - from == 1 => found.push((from, error)),
            Err(_) => {
                let middle = from + (to - from) / 2;
                ranges.extend([(middle, to), (from, middle)]);
            }
        }
        query("ROLLBACK TO SAVEPOINT redis2pg_cast").execute(&mut *connection).await?;
    }
    query("RELEASE SAVEPOINT redis2pg_cast").execute(connection).await?;
    Ok(found)
}

/// The reject of a row with a text in this column that its type refuses.
pub(in crate::sink) fn unread(row: &Row, (table, column): (&LoadTable, usize), error: &Error) -> Reject {
    let mut reject = refused(row, error);
    reject.reason = "type_input".into();
    reject.column = table.columns.get(column).map(|column| column.name.clone());
    reject
}
