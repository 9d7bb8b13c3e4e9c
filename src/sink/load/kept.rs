//! Values that the ledger kept with rejects. Such a value is of the time of its run: it never takes the place of what the
//! same key became since.

use super::attempt::Attempt;
use super::book::Book;
use super::origin::is_in_ledger;
use crate::model::{Group, RowOutcome};
use crate::postgres::query;
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row as _};
use std::collections::HashSet;
use std::sync::Arc;
use uuid::Uuid;

/// Whether a run is the one whose rejects are retried, a retry of it, or over before it began, as a condition. `run`: its
/// id, as an expression; `retried`: the parameter with the id of the retried one, as text.
pub(super) fn is_no_later(run: &str, retried: &str) -> String {
    let retried = format!("{retried}::text::uuid");
    format!(
        "EXISTS (SELECT FROM redis2pg.runs r WHERE r.id = ({run})::uuid AND (r.id = {retried} OR r.retry_of = {retried} \
         OR r.finished_at < (SELECT o.started_at FROM redis2pg.runs o WHERE o.id = {retried})))"
    )
}

impl Attempt<'_> {
    /// The run whose rejects are retried, as text.
    pub(super) fn retried(&self) -> Option<String> {
        self.shard.retry_of.map(|of| of.run.to_string())
    }

    /// Finds the readings of kept values whose keys, of several rows each, have rows of a later run. Nothing of them is
    /// loaded, and nothing deleted: a mixture of both would be neither.
    pub(super) async fn find_outdated(&self, connection: &mut PgConnection, book: &mut Book<'_>) -> Result<(), Error> {
        let Some(retried) = self.retried().filter(|_| self.table.explodes) else { return Ok(()) };
        let mut ids = HashSet::<Uuid>::new();
        let groups = self.piece.rows.iter().filter_map(|row| row.group.as_ref()).chain(&self.piece.closed);
        let kept: Vec<&Arc<Group>> = groups.filter(|group| group.is_from_ledger() && ids.insert(group.id)).collect();
        if kept.is_empty() {
            return Ok(());
        }
        let rows = query(format!(
            "SELECT u.place - 1 AS place FROM pg_catalog.unnest($2::bytea[]) WITH ORDINALITY u (key, place) WHERE EXISTS \
             (SELECT FROM redis2pg.loaded l WHERE l.table_name = $1 AND l.redis_key = u.key AND {} AND NOT {})",
            is_in_ledger(self.piece.database),
            is_no_later("l.run_id", "$3"),
        ))
        .bind(self.table.name.to_string())
        .bind(kept.iter().map(|group| group.key.as_bytes()).collect::<Vec<_>>())
        .bind(retried)
        .fetch_all(connection)
        .await?;
        for row in rows {
            let place = usize::try_from(row.try_get::<i64, _>("place")?).unwrap_or(usize::MAX);
            book.outdated.extend(kept.get(place).map(|group| group.id));
        }
        Ok(())
    }

    /// Books rows of such readings; gives the others.
    pub(super) fn without_outdated(&self, rows: Vec<usize>, book: &mut Book<'_>) -> Vec<usize> {
        let group = |place: &usize| self.piece.rows.get(*place).and_then(|row| row.group.as_ref());
        let (outdated, rows): (Vec<_>, Vec<_>) =
            rows.into_iter().partition(|place| group(place).is_some_and(|group| book.outdated.contains(&group.id)));
        book.rows(&outdated, RowOutcome::Newer);
        rows
    }
}
