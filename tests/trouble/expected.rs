//! The rows that must be there, read by PostgreSQL itself from literals, compared with those that are.

use crate::keyspace::{Entry, Held, Row};
use crate::support::Case;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Where a table's lineage is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lineage {
    /// In the ledger.
    Ledger,
    /// In its column `metadata`.
    Metadata,
    /// Nowhere.
    Nowhere,
}

/// A table that is compared.
pub(crate) struct Table {
    /// The name that rows have it by.
    pub(crate) name: &'static str,
    /// Its name in the database.
    pub(crate) target: &'static str,
    /// The columns of its key.
    pub(crate) key: &'static [&'static str],
    /// What is compared: columns and expressions of the table `t`, in the order of a row's fields.
    pub(crate) columns: &'static [&'static str],
    pub(crate) lineage: Lineage,
    /// Whether a key is one row, which has the digest of its value then.
    pub(crate) whole: bool,
}

/// `metadata` without what lineage puts there.
pub(crate) const OWN_METADATA: &str =
    "t.metadata - '{migrated_from_redis,redis_key,redis_document_id,migration_timestamp,redis2pg}'::text[] AS metadata";

impl Table {
    /// The view of what is compared: the columns, the key that the row came from, its database and its digest.
    fn view(&self, own: &str) -> String {
        let lineage = match self.lineage {
            Lineage::Ledger => {
                let key: Vec<String> = self.key.iter().map(|column| format!("'{column}', t.{column}")).collect();
                let join = format!(
                    "LEFT JOIN redis2pg.loaded l ON l.table_name = '{}' AND l.row_key = jsonb_build_object({})",
                    self.target,
                    key.join(", ")
                );
                let database = format!("CASE WHEN l.redis_key IS NOT NULL THEN coalesce(l.redis_db, {own}) END");
                ("encode(l.redis_key, 'hex')".to_owned(), database, "l.digest".to_owned(), join)
            }
            Lineage::Metadata => {
                let ours = |path: &str| format!("t.metadata #>> '{{redis2pg,{path}}}'");
                let key = "encode(convert_to(t.metadata ->> 'redis_key', 'UTF8'), 'hex')".to_owned();
                let database =
                    format!("CASE WHEN t.metadata ? 'redis2pg' THEN coalesce(({})::int, {own}) END", ours("database"));
                (key, database, ours("digest"), String::new())
            }
            Lineage::Nowhere => {
                ("NULL::text".to_owned(), "NULL::int".to_owned(), "NULL::text".to_owned(), String::new())
            }
        };
        let (key, database, digest, join) = lineage;
        let digest = if self.whole { digest } else { "NULL::text".to_owned() };
        let columns = self.columns.join(", ");
        let name = self.name;
        format!(
            "CREATE VIEW seen.{name} AS SELECT {columns}, {key} AS its_key, {database} AS its_database, \
             {digest} AS its_digest FROM {} t {join};\n",
            self.target
        )
    }
}

/// Makes the views; the tables and the ledger are there.
pub(crate) fn prepare(case: &Case, tables: &[Table], own: &str) {
    // A time that the database gave is today's; those of the cache are older.
    let mut sql = "CREATE SCHEMA seen; CREATE FUNCTION seen.at(timestamptz) RETURNS text LANGUAGE sql STABLE AS $$ \
         SELECT CASE WHEN $1 > now() - interval '1 day' AND $1 < now() + interval '1 day' THEN 'now' \
         ELSE ($1 AT TIME ZONE 'UTC')::text END $$;\n"
        .to_owned();
    tables.iter().for_each(|table| sql.push_str(&table.view(own)));
    case.sql(&sql);
}

/// What is compared, of all entries: rows by table.
pub(crate) struct Rows(BTreeMap<&'static str, Vec<String>>);

impl Rows {
    pub(crate) fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds rows of an entry; `databases` are the numbers of the two.
    pub(crate) fn add(&mut self, entry: &Entry, held: &Held, rows: &[Row], databases: [&str; 2], tables: &[Table]) {
        for row in rows {
            let table = tables.iter().find(|table| table.name == row.table).unwrap();
            let hex = entry.key.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
            let lineage =
                [Some(hex), Some(databases[entry.database].to_owned()), held.digest().filter(|_| table.whole)];
            let none = row.foreign || table.lineage == Lineage::Nowhere;
            self.line(row, lineage.map(|text| text.filter(|_| !none)));
        }
    }

    /// Adds a row that no key touches.
    pub(crate) fn add_other(&mut self, row: &Row) {
        self.line(row, [None, None, None]);
    }

    fn line(&mut self, row: &Row, lineage: [Option<String>; 3]) {
        let fields: Vec<String> = row.fields.iter().chain(&lineage).map(|field| escaped(field.as_deref())).collect();
        self.0.entry(row.table).or_default().push(fields.join("\t"));
    }

    /// Fails unless just these rows are there.
    #[track_caller]
    pub(crate) fn must_be_all(&self, case: &Case, tables: &[Table], when: &str) {
        let none = Vec::new();
        let mut sql = "SET client_min_messages = warning; SET client_encoding = 'UTF8'; SET timezone = 'UTC'; \
                       DROP SCHEMA IF EXISTS expected CASCADE; CREATE SCHEMA expected;\n"
            .to_owned();
        for Table { name, .. } in tables {
            let lines = self.0.get(name).unwrap_or(&none);
            let _ = writeln!(sql, "CREATE TABLE expected.{name} AS SELECT * FROM seen.{name} WITH NO DATA;");
            let _ = writeln!(sql, "COPY expected.{name} FROM STDIN;");
            lines.iter().for_each(|line| {
                let _ = writeln!(sql, "{line}");
            });
            sql.push_str("\\.\n");
        }
        for Table { name, .. } in tables {
            for (what, these, those) in [("missing", "expected", "seen"), ("unexpected", "seen", "expected")] {
                let _ = writeln!(
                    sql,
                    "SELECT '{name} {what}: ' || left(t, 1500) FROM (SELECT x::text AS t FROM {these}.{name} x \
                     EXCEPT ALL SELECT x::text FROM {those}.{name} x) d ORDER BY t LIMIT 4;"
                );
            }
        }
        let differences = case.sql(&sql);
        assert!(differences.is_empty(), "{when}: rows differ\n{differences}");
    }
}

/// A field in the text form of COPY.
fn escaped(field: Option<&str>) -> String {
    let Some(field) = field else { return "\\N".to_owned() };
    let mut out = String::with_capacity(field.len());
    for character in field.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            other => out.push(other),
        }
    }
    out
}
