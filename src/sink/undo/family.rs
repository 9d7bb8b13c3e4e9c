//! Rows that are put back need their parents: which are not there is asked for a whole batch at once. Tried one after the
//! other, each row of a tree would be refused as often as the tree is deep.

use super::restore::set_merge_joins;
use super::{Reference, Undo, UndoColumn};
use crate::postgres::{exact_text, ident, literal, query, script};
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};
use std::collections::{BTreeSet, HashMap};

/// Images that come into one batch beside those of a page, at most. What is above them comes with a later page.
const ANCESTORS: usize = 10_000;

/// A row that, as its image has it, refers to one that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lack {
    /// The row's key.
    pub key: String,
    /// The key of the row that it refers to, where that is one of those that were asked about.
    pub parent: Option<String>,
    /// The foreign key's name.
    pub constraint: String,
}

/// How the parent of an image is found among the run's images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// By its key, which the foreign key refers to: by an index.
    Key,
    /// By what the foreign key refers to instead: all images of the run are read for it.
    Values,
}

impl Undo<'_> {
    /// Whether rows of the table refer to others of it.
    pub fn has_families(&self) -> bool {
        self.table.references.iter().any(|reference| reference.is_own)
    }

    /// By which ways the parents are to be looked for that rows lack: those of foreign keys to the table itself alone.
    pub fn ways(&self, lacks: &[Lack]) -> BTreeSet<Way> {
        let own = self.table.references.iter().filter(|reference| reference.is_own);
        let is_lacking = |reference: &&Reference| {
            lacks.iter().any(|lack| lack.parent.is_none() && lack.constraint == reference.name)
        };
        let way = |reference: &Reference| if self.parent_key(reference).is_some() { Way::Key } else { Way::Values };
        own.filter(is_lacking).map(way).collect()
    }

    /// Images of the run whose rows are not there and that those of `keys` need, by whatever steps; as many as fit into a
    /// batch.
    ///
    /// # Errors
    /// The server's; one that speaks of a value is that of one of the run's images.
    pub async fn ancestors(
        &self,
        connection: &mut PgConnection,
        keys: &[&str],
        way: Way,
    ) -> Result<Vec<String>, Error> {
        let own: Vec<&Reference> = self.table.references.iter().filter(|reference| reference.is_own).collect();
        let (steps, joins) = match way {
            Way::Key => {
                let parents: Vec<String> = own.iter().filter_map(|reference| self.parent_key(reference)).collect();
                (
                    Some(parents).filter(|parents| !parents.is_empty()).map(|parents| self.by_keys(&parents)),
                    ("off", "on"),
                )
            }
            Way::Values => (self.by_values(&own), ("on", "off")),
        };
        let Some(steps) = steps.filter(|_| !keys.is_empty()) else { return Ok(Vec::new()) };
        // By values nothing has an index to go by; what is fenced in is looked up by its own all the same.
        let set = format!(
            "SET LOCAL enable_hashjoin = {0}; SET LOCAL enable_mergejoin = {0}; SET LOCAL enable_nestloop = {1}",
            joins.0, joins.1
        );
        script(set).execute(&mut *connection).await?;
        let rows = query(format!("{steps} SELECT row_key::text FROM up LIMIT {}", keys.len() + ANCESTORS))
            .bind(keys)
            .bind(self.run.to_string())
            .fetch_all(connection)
            .await?;
        // The rows that were asked about come first.
        rows.iter().skip(keys.len()).map(|row| row.try_get(0)).collect()
    }

    /// Goes up step by step through the images' own key.
    fn by_keys(&self, parents: &[String]) -> String {
        let table = self.table;
        let parents: Vec<String> = parents.iter().map(|key| format!("({key})")).collect();
        let image = format!(
            "redis2pg.before_images i WHERE i.run_id = $2::text::uuid AND i.table_name = {}",
            literal(&table.name())
        );
        format!(
            "WITH RECURSIVE up (row_key) AS (SELECT r.key::jsonb FROM pg_catalog.unnest($1::text[]) r (key) UNION \
             SELECT j.row_key FROM up JOIN LATERAL (SELECT i.image FROM {image} AND i.row_key = up.row_key OFFSET 0) i ON true \
             CROSS JOIN LATERAL (VALUES {}) e (parent) \
             JOIN LATERAL (SELECT i.row_key FROM {image} AND i.row_key = e.parent OFFSET 0) j ON true CROSS JOIN LATERAL {} \
             WHERE NOT EXISTS (SELECT FROM {} t WHERE {} OFFSET 0))",
            parents.join(", "),
            table.key_record("j.row_key"),
            table.only(),
            table.key_join(),
        )
    }

    /// The same where a foreign key refers to other columns: all images of the run are read, and joined by what they hold.
    fn by_values(&self, references: &[&Reference]) -> Option<String> {
        let table = self.table;
        let is_of = |column: &UndoColumn| {
            let mut columns = references.iter().flat_map(|reference| &reference.columns);
            columns.any(|(own, of, _)| *own == column.name || *of == column.name)
        };
        let (mut values, mut edges) = (Vec::new(), Vec::new());
        for (number, reference) in references.iter().enumerate() {
            let mut pairs = Vec::new();
            for (place, (own, of, operator)) in reference.columns.iter().enumerate() {
                let (from, to) = self.value(own).zip(self.value(of))?;
                values.push(format!("{from} AS own{number}_{place}, {to} AS of{number}_{place}"));
                pairs.push(format!("p.of{number}_{place} {operator} c.own{number}_{place}"));
            }
            let pairs = pairs.join(" AND ");
            edges.push(format!(
                "SELECT c.row_key AS child, p.row_key AS parent FROM a c JOIN a p ON {pairs} WHERE p.gone"
            ));
        }
        Some(format!(
            "WITH RECURSIVE a AS MATERIALIZED (SELECT i.row_key, {}, NOT EXISTS (SELECT FROM {} CROSS JOIN LATERAL \
             (SELECT FROM {} t WHERE {} OFFSET 0) x) AS gone FROM redis2pg.before_images i CROSS JOIN LATERAL {} \
             WHERE i.run_id = $2::text::uuid AND i.table_name = {}), e AS MATERIALIZED ({}), \
             up (row_key) AS (SELECT r.key::jsonb FROM pg_catalog.unnest($1::text[]) r (key) UNION \
             SELECT e.parent FROM up JOIN e ON e.child = up.row_key)",
            values.join(", "),
            table.key_record("i.row_key"),
            table.only(),
            table.key_join(),
            self.record_of(is_of),
            literal(&table.name()),
            edges.join(" UNION ALL "),
        ))
    }

    /// The key of the row that image `i` refers to, as the ledger writes it; `None` where the foreign key refers to other columns.
    fn parent_key(&self, reference: &Reference) -> Option<String> {
        let keys = &self.table.run.key_columns;
        let of = |name: &String| reference.columns.iter().find(|(_, of, _)| of == name);
        if !reference.is_own || reference.columns.len() != keys.len() {
            return None;
        }
        let pair = |name: &String| of(name).map(|(own, ..)| format!("{}, i.image -> {}", literal(name), literal(own)));
        let pairs: Vec<String> = keys.iter().map(pair).collect::<Option<_>>()?;
        Some(format!("pg_catalog.jsonb_build_object({})", pairs.join(", ")))
    }

    /// Which of some images refer to rows that are not there, now.
    ///
    /// # Errors
    /// The server's; one that speaks of a value is that of one of these images.
    pub async fn lacks(&self, connection: &mut PgConnection, keys: &[&str]) -> Result<Vec<Lack>, Error> {
        let mut found = Vec::new();
        if self.table.references.is_empty() || keys.is_empty() {
            return Ok(found);
        }
        set_merge_joins(connection, true).await?;
        for reference in &self.table.references {
            let Some(statement) = self.lack(reference) else { continue };
            let rows = query(statement).bind(keys).bind(self.run.to_string()).fetch_all(&mut *connection).await?;
            for row in rows {
                let constraint = reference.name.clone();
                found.push(Lack { key: row.try_get(0)?, parent: row.try_get(1)?, constraint });
            }
        }
        Ok(found)
    }

    fn lack(&self, reference: &Reference) -> Option<String> {
        let is_of = |column: &UndoColumn| {
            let own =
                |(own, of, _): &(String, String, String)| *own == column.name || reference.is_own && *of == column.name;
            reference.columns.iter().any(own)
        };
        let (mut asked, open) = self.asked(reference)?;
        let mut members = Vec::new();
        for (place, (_, of, operator)) in reference.columns.iter().enumerate().filter(|_| reference.is_own) {
            asked.push(format!("{} AS of{place}", self.value(of)?));
            members.push(format!("p.of{place} {operator} m.own{place}"));
        }
        let (parent, join) = match reference.is_own {
            true => ("p.key", format!(" LEFT JOIN m p ON {}", members.join(" AND "))),
            false => ("NULL::text", String::new()),
        };
        Some(format!(
            "WITH m AS MATERIALIZED (SELECT r.key, {} FROM {} CROSS JOIN LATERAL {}) SELECT m.key, {parent} FROM m{join} WHERE {open}",
            asked.join(", "),
            self.images(),
            self.record_of(is_of),
        ))
    }

    /// What is asked of an image for a foreign key: the values of its columns as `own0` and so on; and whether a row `m` of these and of
    /// `key` refers to a row that is not there: a condition.
    pub(super) fn asked(&self, reference: &Reference) -> Option<(Vec<String>, String)> {
        let table = self.table;
        let (mut asked, mut given, mut there, mut same) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (place, (own, of, operator)) in reference.columns.iter().enumerate() {
            asked.push(format!("{} AS own{place}", self.value(own)?));
            given.push(format!("m.own{place} IS NOT NULL"));
            there.push(format!("q.{} {operator} m.own{place}", ident(of)));
            same.push(format!("{} IS NOT DISTINCT FROM m.own{place}::text", exact_text(&format!("t.{}", ident(own)))));
        }
        // What a row refers to already is not checked again: the foreign key may be NOT VALID.
        let open = format!(
            "{} AND NOT EXISTS (SELECT FROM {} q WHERE {} OFFSET 0) \
             AND NOT EXISTS (SELECT FROM {} CROSS JOIN LATERAL (SELECT FROM {} t WHERE {} AND {} OFFSET 0) x)",
            given.join(" AND "),
            reference.parent,
            there.join(" AND "),
            table.key_record("m.key::jsonb"),
            table.only(),
            table.key_join(),
            same.join(" AND "),
        );
        Some((asked, open))
    }

    /// The value of a column of the image `i`, as its type; `None`: there is no such column.
    pub(super) fn value(&self, name: &str) -> Option<String> {
        self.values(&[], |column| column.name == name).pop().map(|(_, value)| value)
    }
}

/// Those that lack a parent, or that refer to one that does, each with the foreign key.
pub(super) fn orphans(lacks: &[Lack]) -> HashMap<String, String> {
    let mut children: HashMap<&str, Vec<&Lack>> = HashMap::new();
    let mut found: HashMap<String, String> = HashMap::new();
    let mut open: Vec<&str> = Vec::new();
    for lack in lacks {
        match lack.parent.as_deref() {
            // In one statement a row may refer to itself.
            Some(parent) if parent == lack.key => {}
            Some(parent) => children.entry(parent).or_default().push(lack),
            None => {
                found.insert(lack.key.clone(), lack.constraint.clone());
                open.push(&lack.key);
            }
        }
    }
    while let Some(parent) = open.pop() {
        for child in children.remove(parent).unwrap_or_default() {
            if !found.contains_key(&child.key) {
                found.insert(child.key.clone(), child.constraint.clone());
                open.push(&child.key);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Lack, orphans};

    #[test]
    fn what_hangs_on_an_orphan_is_one_and_circles_are_none() {
        let lack = |key: &str, parent: Option<&str>| Lack {
            key: key.to_owned(),
            parent: parent.map(str::to_owned),
            constraint: "fk".to_owned(),
        };
        let lacks = [
            lack("c", Some("b")),
            lack("b", Some("a")),
            lack("a", None),
            lack("self", Some("self")),
            lack("x", Some("y")),
            lack("y", Some("x")),
        ];
        let mut found: Vec<String> = orphans(&lacks).into_keys().collect();
        found.sort();
        assert_eq!(found, ["a", "b", "c"]);
    }
}
