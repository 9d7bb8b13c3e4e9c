//! Rows of which a dry run knows by now that they stay, though the run wrote them: what they refer to stays too.

use super::Undo;
use crate::ledger::RunTable;
use crate::model::TableName;
use crate::postgres::{IncomingKey, ident, literal, query, table_ident};
use crate::sink::owned::{named_run, row_key};
use crate::sink::ownership::owner;
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};
use std::collections::{BTreeMap, BTreeSet};

/// Their keys, and the tables of the run.
#[derive(Debug, Default)]
pub struct Staying {
    /// By table as `schema.table` and by the key columns.
    keys: BTreeMap<String, BTreeMap<Vec<String>, BTreeSet<String>>>,
    tables: BTreeMap<String, RunTable>,
}

impl Staying {
    /// None yet, of these tables.
    pub fn new<'t>(tables: impl Iterator<Item = &'t RunTable>) -> Self {
        let tables = tables.map(|table| (table.table.to_string(), table.clone())).collect();
        Self { keys: BTreeMap::new(), tables }
    }

    /// Notes a row by its key, a JSON object of its key columns. `false`: it was known.
    pub fn insert(&mut self, table: &str, row_key: &str) -> bool {
        let object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(row_key).unwrap_or_default();
        let columns = object.into_iter().map(|(name, _)| name).collect();
        self.keys.entry(table.to_owned()).or_default().entry(columns).or_default().insert(row_key.to_owned())
    }

    /// Those of a table: key columns, and the keys.
    pub(super) fn of(&self, table: &TableName) -> Vec<(&[String], Vec<&str>)> {
        let of_table = self.keys.get(&table.to_string()).into_iter().flatten();
        of_table.map(|(columns, keys)| (columns.as_slice(), keys.iter().map(String::as_str).collect())).collect()
    }
}

/// Whether the row of that alias is one whose key, of these columns, is in the array of texts `keys`: a condition. Looked up by a hash: as
/// a join it may be made pair by pair.
pub(super) fn is_among(alias: &str, columns: &[String], keys: &str) -> String {
    format!("{} = ANY ({keys}::text[]::jsonb[])", row_key(alias, columns))
}

/// The row `c` of a table refers to row `t`.
pub(super) fn pairs(referrer: &IncomingKey) -> String {
    let pair = |(own, of, operator): &(String, String, String)| format!("t.{} {operator} c.{}", ident(of), ident(own));
    referrer.columns.iter().map(pair).collect::<Vec<_>>().join(" AND ")
}

impl Undo<'_> {
    /// Whether the row of that alias, of a table, is none that the run wrote, nor, by force, one that it once wrote: a condition over the run
    /// `$2`. Of the others those that stay are among the rows that are known to.
    pub(super) fn is_not_taken_back(&self, alias: &str, table: &TableName, staying: &Staying) -> String {
        let name = literal(&table.to_string());
        let others = format!("{} IS DISTINCT FROM $2::text", owner(&format!("{alias}.xmin"), &name, None));
        let Some(run) = staying.tables.get(&table.to_string()).filter(|_| self.force) else { return others };
        let image = format!(
            "NOT EXISTS (SELECT FROM redis2pg.before_images b WHERE b.run_id = $2::text::uuid AND b.table_name = {name} AND b.row_key = {})",
            row_key(alias, &run.key_columns)
        );
        let named = named_run(run, &name)
            .map(|named| format!(" AND (SELECT ({named}) FROM (SELECT {alias}.*) t) IS DISTINCT FROM $2::text"));
        format!("{others} AND {image}{}", named.unwrap_or_default())
    }

    /// Rows of other tables that the run inserted and that refer to some rows: by their keys, each with the table and key of one. Of these
    /// tables alone.
    ///
    /// # Errors
    /// The server's.
    pub async fn waits(
        &self,
        connection: &mut PgConnection,
        (tables, staying): (&BTreeSet<String>, &Staying),
        keys: &[&str],
    ) -> Result<Vec<(String, (String, String))>, Error> {
        let (table, mut found) = (self.table, Vec::new());
        for referrer in
            table.referrers.iter().filter(|referrer| !referrer.is_own && tables.contains(&referrer.table.to_string()))
        {
            let Some(of) = staying.tables.get(&referrer.table.to_string()) else { continue };
            let (name, key) = (literal(&referrer.table.to_string()), row_key("c", &of.key_columns));
            let rows = query(format!(
                "SELECT r.key, {key}::text FROM pg_catalog.unnest($1::text[]) r (key) CROSS JOIN LATERAL {} JOIN {} t ON {} JOIN {} c ON {} \
                 WHERE {} = $2 AND NOT EXISTS (SELECT FROM redis2pg.before_images b WHERE b.run_id = $2::text::uuid AND b.table_name = {name} \
                 AND b.row_key = {key} OFFSET 0)",
                table.key_record("r.key::jsonb"),
                table.only(),
                table.key_join(),
                table_ident(&referrer.table),
                pairs(referrer),
                owner("c.xmin", &name, None),
            ));
            for row in rows.bind(keys).bind(self.run.to_string()).fetch_all(&mut *connection).await? {
                found.push((row.try_get(0)?, (referrer.table.to_string(), row.try_get(1)?)));
            }
        }
        Ok(found)
    }

    /// The rows of `$1` that rows which stay refer to, by the keys of those, `$2`, in these columns.
    pub(super) fn referred_by_staying(&self, referrer: &IncomingKey, columns: &[String]) -> String {
        let table = self.table;
        format!(
            "SELECT r.key FROM pg_catalog.unnest($1::text[]) r (key) CROSS JOIN LATERAL {} JOIN {} t ON {} \
             WHERE EXISTS (SELECT FROM {} c WHERE {} AND {})",
            table.key_record("r.key::jsonb"),
            table.only(),
            table.key_join(),
            table_ident(&referrer.table),
            pairs(referrer),
            is_among("c", columns, "$2"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Staying;
    use crate::model::TableName;

    #[test]
    fn rows_are_kept_apart_by_their_key_columns() {
        let mut staying = Staying::default();
        assert!(staying.insert("public.items", r#"{"id": "a"}"#));
        assert!(!staying.insert("public.items", r#"{"id": "a"}"#));
        assert!(staying.insert("public.items", r#"{"n": 1, "id": "a"}"#));
        let of = |table: &str| TableName { schema: "public".to_owned(), table: table.to_owned() };
        assert_eq!(staying.of(&of("items")).len(), 2);
        assert!(staying.of(&of("others")).is_empty());
    }
}
