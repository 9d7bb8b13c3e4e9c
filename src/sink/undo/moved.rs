//! Rows that others refer to by a value which their image has otherwise.

use super::staying::pairs;
use super::{Group, Staying, Undo};
use crate::postgres::{IncomingKey, exact_text, query};
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};
use std::collections::HashMap;

impl Undo<'_> {
    /// Those of the rows of a group that others refer to by a value which the image has otherwise, each with the table of one that
    /// does: a foreign key may carry the change over to it, or clear what it has. `ahead`: nothing is done yet, and rows that the run wrote
    /// are taken to go or to be as before, but for these, of which it is known to what they refer.
    ///
    /// # Errors
    /// The server's.
    pub async fn moved(
        &self,
        connection: &mut PgConnection,
        group: &Group,
        keys: &[&str],
        ahead: Option<&Staying>,
    ) -> Result<HashMap<String, String>, Error> {
        let (mut found, name) = (HashMap::new(), self.table.name());
        for (place, referrer) in self.table.referrers.iter().enumerate().filter(|_| !keys.is_empty()) {
            let is_referred = |name: &String| referrer.columns.iter().any(|(_, of, _)| of == name);
            let values = self.values(&group.missing, |column| column.updatable && is_referred(&column.name));
            let differs: Vec<String> = values
                .into_iter()
                .map(|(name, value)| format!("{} IS DISTINCT FROM ({value})::text", exact_text(&format!("t.{name}"))))
                .collect();
            if differs.is_empty() {
                continue;
            }
            let differs = differs.join(" OR ");
            let others = match ahead {
                Some(staying) => format!(" AND {}", self.is_not_taken_back("c", &referrer.table, staying)),
                None => String::new(),
            };
            let statement = self.moved_by(referrer, group, (&differs, Some(&others)));
            for row in query(statement).bind(keys).bind(self.run.to_string()).fetch_all(&mut *connection).await? {
                found.insert(row.try_get(0)?, referrer.table.to_string());
            }
            let Some(staying) = ahead.filter(|staying| staying.holds_by(&name, place)) else { continue };
            let statement = self.moved_by(referrer, group, (&differs, None));
            for row in query(statement).bind(keys).bind(self.run.to_string()).fetch_all(&mut *connection).await? {
                if staying.is_held((&name, place), row.try_get(1)?) {
                    found.insert(row.try_get(0)?, referrer.table.to_string());
                }
            }
        }
        Ok(found)
    }

    /// The statement for one foreign key; `others`: which of its rows count; `None`: whether any refers to a row is not asked. Gives each
    /// row's key as the image has it, and as the row has it.
    fn moved_by(&self, referrer: &IncomingKey, group: &Group, (differs, others): (&str, Option<&str>)) -> String {
        let table = self.table;
        let own = if referrer.is_own { " AND (c.tableoid, c.ctid) <> (t.tableoid, t.ctid)" } else { "" };
        let refers = match others.filter(|_| referrer.readable) {
            Some(others) => {
                format!("EXISTS (SELECT FROM {} c WHERE {}{own}{others})", referrer.rows(), pairs(referrer))
            }
            // What we may not read may refer to any row.
            None => "true".to_owned(),
        };
        format!(
            "SELECT r.key, {}::text FROM {} CROSS JOIN LATERAL {} JOIN {} t ON {} CROSS JOIN LATERAL {} WHERE ({differs}) AND {refers}",
            table.row_key(),
            self.images(),
            table.key_record("i.row_key"),
            table.only(),
            table.key_join(),
            self.record(&group.missing),
        )
    }
}
