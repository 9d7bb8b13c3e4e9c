//! What a dry run asks of before-images: whether the server would take them, as far as that is told without writing.

use super::{Condition, Group, Reference, Staying, Undo, UndoTable};
use crate::postgres::{ident, literal, query, query_with_conditions, script};
use crate::sink::owned::row_key;
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};
use std::collections::HashMap;

/// So many values go into one call: the server's functions take a hundred arguments.
const VALUES: usize = 80;

/// An image that refers to a row which is not there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The row's key.
    pub key: String,
    /// The key of the image that it would refer to, where the run has one: that row may come back as well.
    pub parent: Option<String>,
}

impl Undo<'_> {
    /// Those of some images that refer to rows which are not there, by one foreign key. `parent`: the table that it refers to, where it is
    /// one of the run's.
    ///
    /// # Errors
    /// The server's.
    pub async fn needs(
        &self,
        connection: &mut PgConnection,
        (reference, parent): (&Reference, Option<&UndoTable>),
        keys: &[&str],
    ) -> Result<Vec<Need>, Error> {
        let by_key = parent.and_then(|parent| self.by_key(reference, parent));
        let Some(statement) = self.need(reference, by_key.as_deref()) else { return Ok(Vec::new()) };
        let mut needs = self.read_needs(connection, statement, keys).await?;
        // Equal values may be spelled otherwise in a key, and a foreign key may refer to other columns.
        let may_be_otherwise = |parent: &&UndoTable| by_key.is_none() || !self.is_spelled_alike(reference, parent);
        let by_value = parent.filter(may_be_otherwise).and_then(|parent| self.by_value(reference, parent));
        let Some(by_value) = by_value else { return Ok(needs) };
        let open: Vec<String> = needs.extract_if(.., |need| need.parent.is_none()).map(|need| need.key).collect();
        let open: Vec<&str> = open.iter().map(String::as_str).collect();
        if let Some(statement) = self.need(reference, Some(&by_value)).filter(|_| !open.is_empty()) {
            // What is asked for its values has no index to go by; what is fenced in is looked up by its own.
            let set =
                "SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on; SET LOCAL enable_nestloop = off";
            script(set).execute(&mut *connection).await?;
            needs.append(&mut self.read_needs(connection, statement, &open).await?);
        }
        Ok(needs)
    }

    async fn read_needs(
        &self,
        connection: &mut PgConnection,
        statement: String,
        keys: &[&str],
    ) -> Result<Vec<Need>, Error> {
        let rows = query(statement).bind(keys).bind(self.run.to_string()).fetch_all(connection).await?;
        rows.iter().map(|row| Ok(Need { key: row.try_get(0)?, parent: row.try_get(1)? })).collect()
    }

    /// The statement; `images`: the images `p` of the table that is referred to, with what joins them to the row `w`.
    fn need(&self, reference: &Reference, images: Option<&str>) -> Option<String> {
        let (asked, open) = self.asked(reference)?;
        let taken = |name: &String| reference.columns.iter().any(|(own, ..)| own == name);
        Some(format!(
            "WITH m AS MATERIALIZED (SELECT r.key, {} FROM {} CROSS JOIN LATERAL {}), \
             w AS MATERIALIZED (SELECT m.* FROM m WHERE {open}) SELECT w.key, p.key FROM w LEFT JOIN {}",
            asked.join(", "),
            self.images(),
            self.record_of(|column| taken(&column.name)),
            images.unwrap_or("(SELECT NULL::text AS key WHERE false) p ON true"),
        ))
    }

    /// The run's images of a table by their key; `None`: the foreign key refers to other columns.
    fn by_key(&self, reference: &Reference, parent: &UndoTable) -> Option<String> {
        let keys = &parent.run.key_columns;
        let pair = |name: &String| {
            let place = reference.columns.iter().position(|(_, of, _)| of == name)?;
            Some(format!("{}, w.own{place}", literal(name)))
        };
        let pairs = keys.iter().map(pair).collect::<Option<Vec<String>>>()?;
        (reference.columns.len() == keys.len()).then(|| {
            format!(
                "LATERAL (SELECT i.row_key::text AS key FROM redis2pg.before_images i WHERE i.run_id = $2::text::uuid \
                 AND i.table_name = {} AND i.row_key = pg_catalog.jsonb_build_object({}) OFFSET 0) p ON true",
                literal(&parent.name()),
                pairs.join(", ")
            )
        })
    }

    /// Whether values of a foreign key that are equal are the same in a key: then what is not found by it is not there.
    fn is_spelled_alike(&self, reference: &Reference, parent: &UndoTable) -> bool {
        let alike = |table: &UndoTable, name: &String| {
            table.columns.iter().find(|column| column.name == *name).and_then(|column| column.spelled.clone())
        };
        let pair = |(own, of, _): &(String, String, String)| {
            alike(self.table, own).is_some_and(|own| Some(own) == alike(parent, of))
        };
        parent.all_keys.len() == 1 && reference.columns.iter().all(pair)
    }

    /// The same by the values that they are referred to by.
    fn by_value(&self, reference: &Reference, parent: &UndoTable) -> Option<String> {
        let undo = Undo { table: parent, ..*self };
        let (mut values, mut joined) = (Vec::new(), Vec::new());
        for (place, (_, of, operator)) in reference.columns.iter().enumerate() {
            values.push(format!("{} AS of{place}", undo.value(of)?));
            joined.push(format!("p.of{place} {operator} w.own{place}"));
        }
        let is_of = |name: &String| reference.columns.iter().any(|(_, of, _)| of == name);
        Some(format!(
            "(SELECT i.row_key::text AS key, {} FROM redis2pg.before_images i CROSS JOIN LATERAL {} \
             WHERE i.run_id = $2::text::uuid AND i.table_name = {}) p ON {}",
            values.join(", "),
            undo.record_of(|column| is_of(&column.name)),
            literal(&parent.name()),
            joined.join(" AND ")
        ))
    }

    /// Reads every value of some images of a group as its type.
    ///
    /// # Errors
    /// The server's; one that speaks of a value is that of one of these images.
    pub async fn readable(&self, connection: &mut PgConnection, group: &Group, keys: &[&str]) -> Result<(), Error> {
        let values: Vec<String> = self.written(group).into_iter().map(|(_, value)| value).collect();
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
