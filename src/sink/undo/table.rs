//! A table as the undoing needs it: its columns with their types, how its keys compare, and every foreign key that leads to it.

use super::conditions::{Condition, Place, places, read_conditions};
use super::references::{Reference, read_references};
use crate::ledger::{LineagePlace, RunTable};
use crate::postgres::{IncomingKey, Privilege, TableFacts, ident, literal, query, read_table, table_ident};
use crate::sink::owned::{lineage, named_run, row_key};
use crate::sink::ownership::owner;
use sqlx::Error;
use sqlx::Row as _;
use sqlx::postgres::{PgConnection, PgRow};

/// A column.
#[derive(Clone, Debug)]
pub struct UndoColumn {
    /// Its name.
    pub name: String,
    /// Its type, as SQL; of a domain the type that it stands on, which takes a NULL for what an image keeps elsewhere.
    pub base_type: String,
    /// The domain, as SQL, if it is of one.
    pub domain: Option<String>,
    /// How JSON spells its values, where equal ones of a type are spelled alike: the name of the types that do so in the same way.
    pub spelled: Option<String>,
    /// Whether a row that is put back can be given its value: it is not generated.
    pub insertable: bool,
    /// Whether its value can be changed: it is neither generated nor always an identity, and the role may.
    pub updatable: bool,
    /// Whether the role may give it a value in a new row.
    pub may_insert: bool,
    /// Whether the role may change its value.
    pub may_update: bool,
}

/// The table.
#[derive(Clone, Debug)]
pub struct UndoTable {
    /// As the run told of it.
    pub run: RunTable,
    /// Its columns.
    pub columns: Vec<UndoColumn>,
    /// The equality of each key column, as SQL.
    pub equality: Vec<String>,
    /// What refers to it.
    pub referrers: Vec<IncomingKey>,
    /// Its own foreign keys whose parents can be looked for.
    pub references: Vec<Reference>,
    /// Where its rows can collide, beside the key.
    pub places: Vec<Place>,
    /// What each of its rows has to meet.
    pub conditions: Vec<Condition>,
    /// Whether the role may delete its rows.
    pub may_delete: bool,
    /// Whether the role may lock its rows: it may change a column of them.
    pub may_lock: bool,
    /// Whether it is an ordinary table: what inherits from it is another one.
    pub is_ordinary: bool,
    /// Whether row-level security may hide rows of it from the role.
    pub row_security: bool,
    /// The key columns of every mapping of the run that loads it.
    pub all_keys: Vec<Vec<String>>,
    /// Whether it is not the same for all of its rows, or not known, where their lineage is: then it decides nothing.
    pub mixed: bool,
}

impl UndoTable {
    /// Reads it, inside the caller's transaction. `None`: it is not there, or has no such key columns any more.
    ///
    /// # Errors
    /// The server's.
    pub async fn read(
        connection: &mut PgConnection,
        run: &RunTable,
        all_keys: &[Vec<String>],
        mixed: bool,
    ) -> Result<Option<Self>, Error> {
        let Some(facts) = read_table(connection, &run.table).await? else { return Ok(None) };
        let equality: Option<Vec<String>> = (run.key_columns.iter())
            .map(|name| facts.table.column(name).map(|column| column.column_type.equality().to_owned()))
            .collect();
        let known = |name: &String| facts.table.column(name).is_some();
        if equality.is_none() || facts.no_table.is_some() || !all_keys.iter().flatten().all(known) {
            return Ok(None);
        }
        let mut run = run.clone();
        // Lineage whose column has gone tells nothing any more.
        let column = match &run.lineage {
            LineagePlace::Object { column } => Some(column),
            LineagePlace::Columns { key, .. } => Some(key),
            LineagePlace::Ledger | LineagePlace::Nowhere => None,
        };
        if column.is_some_and(|column| !known(column)) {
            run.lineage = LineagePlace::Nowhere;
        }
        if let LineagePlace::Columns { run: named, .. } = &mut run.lineage {
            named.take_if(|column| !known(column));
        }
        run.expiry = None;
        Ok(Some(Self {
            may_delete: facts.privileges.delete == Privilege::Table,
            may_lock: facts.privileges.update != Privilege::None,
            is_ordinary: facts.partitioning.is_none(),
            columns: columns(connection, &facts).await?,
            references: read_references(connection, &run.table).await?,
            places: places(&facts, &run.key_columns),
            conditions: read_conditions(connection, &run.table).await?,
            referrers: facts.incoming_keys,
            equality: equality.unwrap_or_default(),
            row_security: facts.row_security.applies,
            all_keys: all_keys.to_vec(),
            mixed,
            run,
        }))
    }

    /// Its name in the ledger.
    pub fn name(&self) -> String {
        self.run.table.to_string()
    }

    /// The quoted, qualified name.
    pub(super) fn ident(&self) -> String {
        table_ident(&self.run.table)
    }

    /// The same where rows are read, changed or deleted: of an ordinary table its own, and not those of tables that inherit
    /// from it, whose keys may be the same.
    pub(super) fn only(&self) -> String {
        if self.is_ordinary { format!("ONLY {}", self.ident()) } else { self.ident() }
    }

    /// A key, the jsonb expression `of`, taken apart into a row `s` of its columns' types.
    pub(super) fn key_record(&self, of: &str) -> String {
        let keys = self.run.key_columns.iter();
        let typed = keys.filter_map(|name| self.columns.iter().find(|column| column.name == *name));
        let list: Vec<String> = typed.map(|column| format!("{} {}", ident(&column.name), column.base_type)).collect();
        format!("pg_catalog.jsonb_to_record({of}) AS s({})", list.join(", "))
    }

    /// The table's row `t` has the key `s`.
    pub(super) fn key_join(&self) -> String {
        let keys = self.run.key_columns.iter().zip(&self.equality);
        let pairs: Vec<String> = keys.map(|(name, operator)| format!("t.{0} {operator} s.{0}", ident(name))).collect();
        pairs.join(" AND ")
    }

    /// The key of row `t`, as the ledger writes it.
    pub(super) fn row_key(&self) -> String {
        row_key("t", &self.run.key_columns)
    }

    /// The run that wrote row `t`, as text.
    pub(super) fn owner(&self) -> String {
        owner("t.xmin", &literal(&self.name()), self.named().as_deref())
    }

    /// The run that the lineage of row `t` names, as text; `None` where that decides nothing.
    pub(super) fn named(&self) -> Option<String> {
        if self.mixed { None } else { named_run(&self.run, &literal(&self.name())) }
    }

    /// The Redis key and the database of row `t`, and where the ledger has them a join for it.
    pub(super) fn redis_key(&self) -> (String, String, String) {
        let found = lineage(&self.run);
        let join = match self.run.lineage {
            LineagePlace::Ledger => format!(
                " LEFT JOIN redis2pg.loaded l ON l.table_name = {} AND l.row_key = {}",
                literal(&self.name()),
                self.row_key()
            ),
            _ => String::new(),
        };
        (found.key, found.database, join)
    }

    /// Whether row `t` has no before-image of the run `$run`, by whichever key, as a condition.
    pub(super) fn has_no_image(&self, run: &str) -> String {
        let conditions = self.all_keys.iter().map(|keys| {
            format!(
                "NOT EXISTS (SELECT FROM redis2pg.before_images i WHERE i.run_id = {run}::text::uuid \
                 AND i.table_name = {} AND i.row_key = {} OFFSET 0)",
                literal(&self.name()),
                row_key("t", keys)
            )
        });
        conditions.collect::<Vec<_>>().join(" AND ")
    }
}

async fn columns(connection: &mut PgConnection, facts: &TableFacts) -> Result<Vec<UndoColumn>, Error> {
    let rows = query(
        "SELECT a.attname::text AS name, \
         CASE WHEN a.atttypid = ANY (ARRAY['pg_catalog.int2', 'pg_catalog.int4', 'pg_catalog.int8', 'pg_catalog.numeric']::pg_catalog.regtype[]) \
           THEN 'number' \
         WHEN a.atttypid = ANY (ARRAY['pg_catalog.text', 'pg_catalog.varchar']::pg_catalog.regtype[]) \
           THEN CASE WHEN coalesce((pg_catalog.to_jsonb(l) ->> 'collisdeterministic')::boolean, true) THEN 'text' END \
         WHEN a.atttypid = ANY (ARRAY['pg_catalog.uuid', 'pg_catalog.bool', 'pg_catalog.date', 'pg_catalog.bytea', 'pg_catalog.timestamp', \
           'pg_catalog.timestamptz']::pg_catalog.regtype[]) THEN a.atttypid::text END AS spelled, \
         a.attgenerated = '' AS insertable, a.attgenerated = '' AND a.attidentity <> 'a' AS changeable, \
         pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'INSERT') AS may_insert, \
         pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'UPDATE') AS may_update \
         FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_class c ON c.oid = a.attrelid \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         LEFT JOIN pg_catalog.pg_collation l ON l.oid = a.attcollation \
         WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum",
    )
    .bind(&facts.table.name.schema)
    .bind(&facts.table.name.table)
    .fetch_all(connection)
    .await?;
    let column = |row: &PgRow| {
        // One that came meanwhile is none of those that were read.
        let Some(sql) = facts.column_sql(row.try_get("name")?) else { return Ok(None) };
        let (changeable, may_update): (bool, bool) = (row.try_get("changeable")?, row.try_get("may_update")?);
        Ok(Some(UndoColumn {
            name: sql.name.clone(),
            base_type: sql.base_type.clone(),
            domain: sql.domain.clone(),
            spelled: row.try_get("spelled")?,
            insertable: row.try_get("insertable")?,
            updatable: changeable && may_update,
            may_insert: row.try_get("may_insert")?,
            may_update,
        }))
    };
    rows.iter().filter_map(|row| column(row).transpose()).collect()
}
