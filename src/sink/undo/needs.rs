//! Images that refer to rows which are not there, in a dry run: whether the run has images of those too.

use super::{Reference, Undo, UndoTable};
use crate::postgres::{literal, query, script};
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};

/// An image that refers to a row which is not there now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// The row's key.
    pub key: String,
    /// The key of the image that it would refer to, where the run has one: that row may come back as well.
    pub parent: Option<String>,
}

/// What is asked for its values has no index to go by; what is fenced in is looked up by its own.
const BY_VALUE: &str =
    "SET LOCAL enable_hashjoin = on; SET LOCAL enable_mergejoin = on; SET LOCAL enable_nestloop = off";

impl Undo<'_> {
    /// Those of some images that refer to rows which are not there, by one foreign key; the images of those are looked for by their keys. `parent`:
    /// the table that it refers to, where the run has images of it.
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
        let Some(statement) = self.need(reference, (&self.images(), ""), by_key.as_deref()) else {
            return Ok(Vec::new());
        };
        let rows = query(statement).bind(keys).bind(self.run.to_string()).fetch_all(connection).await?;
        rows.iter().map(|row| Ok(Need { key: row.try_get(0)?, parent: row.try_get(1)? })).collect()
    }

    /// Whether there may be images that only their values tell: the foreign key refers to other columns than the key's, or equal values
    /// may be spelled otherwise in it.
    pub fn needs_values(&self, reference: &Reference, parent: &UndoTable) -> bool {
        self.by_key(reference, parent).is_none() || !self.is_spelled_alike(reference, parent)
    }

    /// Of some images those that refer to rows which are not there and of which the run has images, each with one: found by their values.
    /// All images of that table are read for it.
    ///
    /// # Errors
    /// The server's.
    pub async fn needs_by_value(
        &self,
        connection: &mut PgConnection,
        (reference, parent): (&Reference, &UndoTable),
        keys: &[&str],
    ) -> Result<Vec<(String, String)>, Error> {
        let by_value = self.by_value(reference, parent);
        let Some(statement) = by_value.and_then(|images| self.need(reference, (&self.images(), ""), Some(&images)))
        else {
            return Ok(Vec::new());
        };
        script(BY_VALUE).execute(&mut *connection).await?;
        let rows = query(format!("{statement} WHERE p.key IS NOT NULL")).bind(keys).bind(self.run.to_string());
        rows.fetch_all(connection).await?.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// The same of all images of the table, as many as `most`.
    ///
    /// # Errors
    /// The server's.
    pub async fn all_needs_by_value(
        &self,
        connection: &mut PgConnection,
        (reference, parent): (&Reference, &UndoTable),
        most: usize,
    ) -> Result<Vec<(String, String)>, Error> {
        let images = "redis2pg.before_images i CROSS JOIN LATERAL (SELECT i.row_key::text AS key) r";
        let all = format!(" WHERE i.run_id = $2::text::uuid AND i.table_name = {}", literal(&self.table.name()));
        let by_value = self.by_value(reference, parent);
        let Some(statement) = by_value.and_then(|by_value| self.need(reference, (images, &all), Some(&by_value)))
        else {
            return Ok(Vec::new());
        };
        script(BY_VALUE).execute(&mut *connection).await?;
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = query(format!("{statement} WHERE p.key IS NOT NULL LIMIT $1")).bind(most).bind(self.run.to_string());
        rows.fetch_all(connection).await?.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
    }

    /// The statement over images `i` with their keys `r.key`, and a condition. `parents`: the images `p` of the table that is referred to, with what joins
    /// them to the row `w`.
    fn need(&self, reference: &Reference, (images, which): (&str, &str), parents: Option<&str>) -> Option<String> {
        let (asked, open) = self.asked(reference)?;
        let taken = |name: &String| reference.columns.iter().any(|(own, ..)| own == name);
        Some(format!(
            "WITH m AS MATERIALIZED (SELECT r.key, {} FROM {images} CROSS JOIN LATERAL {}{which}), \
             w AS MATERIALIZED (SELECT m.* FROM m WHERE {open}) SELECT w.key, p.key FROM w LEFT JOIN {}",
            asked.join(", "),
            self.record_of(|column| taken(&column.name)),
            parents.unwrap_or("(SELECT NULL::text AS key WHERE false) p ON true"),
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
}
