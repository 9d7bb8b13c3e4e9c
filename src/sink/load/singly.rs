//! Rows of elements that are gone are deleted together. Where the server refuses that, those that it lets go are found first: a row that stays is
//! none of the piece, which would be blamed for it.

use super::attempt::{Attempt, Missed};
use super::gone::delete_rows;
use crate::postgres::{Verdict, script, verdict};
use sqlx::postgres::PgConnection;
use std::collections::HashSet;

impl Attempt<'_> {
    /// Deletes rows, with an image of each of `images`; gives those that are gone now, and how many images were taken.
    pub(super) async fn delete_gone(
        &self,
        connection: &mut PgConnection,
        (delete, images): (Vec<&str>, &HashSet<&str>),
    ) -> Result<(HashSet<String>, u64), Missed> {
        let groups = match self.piece.singly {
            true => self.removable(connection, (delete, images)).await?,
            false => vec![delete],
        };
        let (mut gone, mut taken) = (HashSet::new(), 0);
        for rows in groups {
            let (some, more) = self.delete_some(connection, (&rows, images)).await?;
            gone.extend(some);
            taken += more;
        }
        Ok((gone, taken))
    }

    /// Those of some rows that the table lets go, as they go together: found by halves. Nothing is done yet, since what is written below a
    /// savepoint, by a trigger say, would not be the run's.
    async fn removable<'r>(
        &self,
        connection: &mut PgConnection,
        (delete, images): (Vec<&'r str>, &HashSet<&str>),
    ) -> Result<Vec<Vec<&'r str>>, Missed> {
        let (mut pieces, mut groups) = (vec![delete], Vec::new());
        while let Some(mut rows) = pieces.pop() {
            script("SAVEPOINT redis2pg_singly").execute(&mut *connection).await?;
            let tried = self.delete_some(connection, (&rows, images)).await;
            let back = "ROLLBACK TO SAVEPOINT redis2pg_singly; RELEASE SAVEPOINT redis2pg_singly";
            match tried {
                Ok(_) => {
                    script(back).execute(&mut *connection).await?;
                    groups.push(rows);
                }
                Err(Missed::Gone(_)) => {
                    script(back).execute(&mut *connection).await?;
                    if rows.len() > 1 {
                        let rest = rows.split_off(rows.len() / 2);
                        pieces.extend([rest, rows]);
                    }
                }
                Err(missed) => return Err(missed),
            }
        }
        Ok(groups)
    }

    async fn delete_some(
        &self,
        connection: &mut PgConnection,
        (rows, images): (&[&str], &HashSet<&str>),
    ) -> Result<(HashSet<String>, u64), Missed> {
        let imaged: Vec<&str> = rows.iter().copied().filter(|row| images.contains(row)).collect();
        let deleted = delete_rows(connection, (self.table, self.shard.run), rows, &imaged).await;
        deleted.map_err(|missed| match missed {
            Missed::Server { error, .. } if is_of_row(verdict(&error)) => Missed::Gone(error),
            missed => missed,
        })
    }
}

fn is_of_row(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Row | Verdict::Unique | Verdict::ForeignKey)
}
