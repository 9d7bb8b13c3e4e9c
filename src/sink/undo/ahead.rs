//! What a dry run asks of before-images: whether the server would take them, as far as that is told without writing. Of their parents asks
//! `needs`.

use super::{Condition, Group, Staying, Undo};
use crate::postgres::{ident, query, query_with_conditions};
use crate::sink::owned::row_key;
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};
use std::collections::HashMap;

/// So many values go into one call: the server's functions take a hundred arguments.
const VALUES: usize = 80;

impl Undo<'_> {
    /// Reads every value of some images of a group as its type, which a domain has its say in.
    ///
    /// # Errors
    /// The server's; one that speaks of a value is that of one of these images.
    pub async fn readable(&self, connection: &mut PgConnection, group: &Group, keys: &[&str]) -> Result<(), Error> {
        let domain = |name: &str| self.table.columns.iter().find(|column| ident(&column.name) == name)?.domain.as_ref();
        let typed = |(name, value): (String, String)| match domain(&name) {
            Some(domain) => format!("({value})::{domain}"),
            None => value,
        };
        let values: Vec<String> = self.written(group).into_iter().map(typed).collect();
        let counted: Vec<String> = values
            .chunks(VALUES)
            .map(|part| format!("pg_catalog.max(pg_catalog.num_nulls({}))", part.join(", ")))
            .collect();
        if counted.is_empty() {
            return Ok(());
        }
        let statement = format!(
            "SELECT {} FROM {} CROSS JOIN LATERAL {}",
            counted.join(", "),
            self.images(),
            self.record(&group.missing)
        );
        query(statement).bind(keys).bind(self.run.to_string()).execute(connection).await.map(|_| ())
    }

    /// Those of some images of a group that do not meet a condition of the table by now, each with what the server would say.
    ///
    /// # Errors
    /// The server's.
    pub async fn unmet(
        &self,
        connection: &mut PgConnection,
        group: &Group,
        keys: &[&str],
    ) -> Result<HashMap<String, String>, Error> {
        let written = self.written(group);
        let is_written = |name: &String| written.iter().any(|(column, _)| *column == ident(name));
        let asked: Vec<&Condition> =
            self.table.conditions.iter().filter(|of| of.columns.iter().all(is_written)).collect();
        let mut found = HashMap::new();
        let lacks = |of: &&Condition| of.needs_value && of.columns.iter().all(|name| group.missing.contains(name));
        if let Some(of) = self.table.conditions.iter().find(lacks).filter(|_| !group.there) {
            found.extend(keys.iter().map(|key| ((*key).to_owned(), of.said.clone())));
        }
        if asked.is_empty() || keys.len() == found.len() {
            return Ok(found);
        }
        let whens: Vec<String> =
            asked.iter().enumerate().map(|(place, of)| format!("WHEN NOT ({}) THEN {place}", of.sql)).collect();
        let values: Vec<String> = written.iter().map(|(name, value)| format!("{value} AS {name}")).collect();
        let statement = format!(
            "SELECT redis2pg_key, place FROM (SELECT redis2pg_key, CASE {} END AS place FROM \
             (SELECT r.key AS redis2pg_key, {} FROM {} CROSS JOIN LATERAL {} OFFSET 0) v) f WHERE place IS NOT NULL",
            whens.join(" "),
            values.join(", "),
            self.images(),
            self.record(&group.missing)
        );
        for row in query_with_conditions(statement).bind(keys).bind(self.run.to_string()).fetch_all(connection).await? {
            let place = usize::try_from(row.try_get::<i32, _>(1)?).ok();
            let said = place.and_then(|place| asked.get(place)).map(|of| of.said.clone()).unwrap_or_default();
            found.insert(row.try_get(0)?, said);
        }
        Ok(found)
    }

    /// Those of some images of a group of which another row has a value that must be unique, and stays, each with the index. Rows that the run
    /// wrote are taken to go or to be as before, but for these.
    ///
    /// # Errors
    /// The server's.
    pub async fn taken(
        &self,
        connection: &mut PgConnection,
        (group, staying): (&Group, &Staying),
        keys: &[&str],
    ) -> Result<HashMap<String, String>, Error> {
        let mut found = HashMap::new();
        let written = self.written(group);
        for place in self.table.places.iter().filter(|_| !keys.is_empty()) {
            let pair = |(name, equality): &(String, String)| {
                let value = written.iter().find(|(column, _)| *column == ident(name))?;
                Some(format!("x.{} {equality} {}", ident(name), value.1))
            };
            // A value that is not written stays what it is.
            let Some(pairs) = place.columns.iter().map(pair).collect::<Option<Vec<String>>>() else { continue };
            let pairs = pairs.join(" AND ");
            let (name, ids) = (self.table.name(), (keys, self.run.to_string()));
            let theirs = self.is_not_taken_back("x", &self.table.run.table, staying);
            let statement = query(self.holders(group, &pairs, &format!(" AND {theirs}"))).bind(ids.0).bind(&ids.1);
            for row in statement.fetch_all(&mut *connection).await? {
                found.insert(row.try_get(0)?, place.name.clone());
            }
            if !staying.knows_of(&name) {
                continue;
            }
            // One row at most for each image: which of them stay is known here.
            let statement = query(self.holders(group, &pairs, "")).bind(ids.0).bind(&ids.1);
            for row in statement.fetch_all(&mut *connection).await? {
                let holders: Vec<String> = row.try_get(1)?;
                if holders.iter().any(|key| staying.knows(&name, key)) {
                    found.insert(row.try_get(0)?, place.name.clone());
                }
            }
        }
        Ok(found)
    }

    /// The images, each with the keys, by all key columns, of another row `x` that has its unique value.
    fn holders(&self, group: &Group, pairs: &str, which: &str) -> String {
        let table = self.table;
        let keys: Vec<String> = table.all_keys.iter().map(|keys| format!("{}::text", row_key("x", keys))).collect();
        format!(
            "SELECT r.key, ARRAY[{}] FROM {} CROSS JOIN LATERAL {} JOIN {} x ON {pairs} AND {} <> i.row_key{which}",
            keys.join(", "),
            self.images(),
            self.record(&group.missing),
            table.only(),
            row_key("x", &table.run.key_columns),
        )
    }

    /// The columns that a statement writes for images of a group, quoted, each with the image's value.
    fn written(&self, group: &Group) -> Vec<(String, String)> {
        self.values(&group.missing, |column| if group.there { column.updatable } else { column.insertable })
    }
}
