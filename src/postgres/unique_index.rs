//! The unique indexes of a table: which of them two rows can collide in, and why one is none to find a row by.

use super::sql::query;
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Error, Row};

/// An index that keeps rows apart: a unique one, or that of an exclusion constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UniqueIndex {
    /// Its name, which is its constraint's where it has one.
    pub name: String,
    /// The columns of its key in their order; `None` for an expression. INCLUDE columns are not among them.
    pub key: Vec<Option<String>>,
    /// Every column that it looks at, those in expressions and in its condition among them.
    pub reads: Vec<String>,
    /// Its condition, where it is partial.
    pub condition: Option<String>,
    /// Whether it is of an exclusion constraint.
    pub exclusion: bool,
    /// Whether it is complete: not one that CREATE INDEX CONCURRENTLY left behind, nor one that a partition lacks.
    pub valid: bool,
    /// Whether it is looked at with each row, not with the statement or the transaction (DEFERRABLE).
    pub immediate: bool,
}

impl UniqueIndex {
    /// Whether rows can be found by exactly these columns, as `ON CONFLICT` needs it.
    pub fn supports(&self, key: &[String]) -> bool {
        self.is_on(key) && self.unfit().is_none()
    }

    /// Whether its key is exactly these columns, in any order.
    pub fn is_on(&self, key: &[String]) -> bool {
        self.key.len() == key.len() && self.key.iter().all(|column| column.as_ref().is_some_and(|it| key.contains(it)))
    }

    /// Whether no two rows can meet in it that do not have the same `key`: it has all of those columns.
    pub fn follows_from(&self, key: &[String]) -> bool {
        !self.exclusion && key.iter().all(|column| self.key.iter().any(|own| own.as_ref() == Some(column)))
    }

    /// Why no row can be found by it, whatever its columns are.
    pub fn unfit(&self) -> Option<String> {
        if self.exclusion {
            Some("is of an exclusion constraint".to_owned())
        } else if !self.valid {
            Some("is invalid (not built to its end, or missing on a partition)".to_owned())
        } else if let Some(condition) = &self.condition {
            Some(format!("is partial (WHERE {condition})"))
        } else if !self.immediate {
            Some("is deferrable".to_owned())
        } else if self.key.iter().any(Option::is_none) {
            Some("is on an expression".to_owned())
        } else {
            None
        }
    }

    /// The columns of its key, for people.
    pub fn columns(&self) -> String {
        let names: Vec<&str> = self.key.iter().map(|column| column.as_deref().unwrap_or("an expression")).collect();
        names.join(", ")
    }
}

/// One row for each such index of table `$1`. An expression's columns are known by what the index depends on.
const INDEXES: &str = "SELECT c.relname::text AS name, i.indisvalid AND i.indisready AS valid, i.indimmediate AS immediate, \
       i.indisexclusion AS exclusion, pg_catalog.pg_get_expr(i.indpred, i.indrelid) AS condition, \
       ARRAY(SELECT a.attname::text FROM pg_catalog.generate_series(0, i.indnkeyatts - 1) place \
             LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[place] \
               AND a.attnum <> 0 ORDER BY place) AS key, \
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum > 0 \
             AND (a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1]) OR EXISTS \
               (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass \
                AND d.objid = i.indexrelid AND d.refclassid = 'pg_catalog.pg_class'::regclass \
                AND d.refobjid = i.indrelid AND d.refobjsubid = a.attnum \
                AND NOT a.attnum = ANY (i.indkey::int2[])))) AS reads \
     FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid \
     WHERE i.indrelid = $1::oid AND i.indislive AND (i.indisunique OR i.indisexclusion) ORDER BY c.oid";

/// The table's indexes of this kind, oldest first.
///
/// # Errors
/// The server's.
pub(super) async fn read_unique_indexes(connection: &mut PgConnection, table: i64) -> Result<Vec<UniqueIndex>, Error> {
    query(INDEXES).bind(table).fetch_all(connection).await?.iter().map(index).collect()
}

fn index(row: &PgRow) -> Result<UniqueIndex, Error> {
    Ok(UniqueIndex {
        name: row.try_get("name")?,
        key: row.try_get("key")?,
        reads: row.try_get("reads")?,
        condition: row.try_get("condition")?,
        exclusion: row.try_get("exclusion")?,
        valid: row.try_get("valid")?,
        immediate: row.try_get("immediate")?,
    })
}

#[cfg(test)]
mod tests {
    use super::UniqueIndex;

    fn on(columns: &[Option<&str>]) -> UniqueIndex {
        UniqueIndex {
            name: "i".into(),
            key: columns.iter().map(|column| column.map(str::to_owned)).collect(),
            reads: Vec::new(),
            condition: None,
            exclusion: false,
            valid: true,
            immediate: true,
        }
    }

    #[test]
    fn a_key_is_supported_by_exactly_its_columns_in_any_order() {
        let key = ["a".to_owned(), "b".to_owned()];
        assert!(on(&[Some("b"), Some("a")]).supports(&key));
        for other in [&[Some("a")][..], &[Some("a"), Some("b"), Some("c")], &[Some("a"), None]] {
            assert!(!on(other).supports(&key), "{other:?}");
        }
        assert!(on(&[Some("a"), Some("c"), Some("b")]).follows_from(&key));
        assert!(!on(&[Some("a"), None]).follows_from(&key));
        assert!(!UniqueIndex { condition: Some("c".into()), ..on(&[Some("a"), Some("b")]) }.supports(&key));
        assert!(!UniqueIndex { immediate: false, ..on(&[Some("a"), Some("b")]) }.supports(&key));
        assert!(!UniqueIndex { valid: false, ..on(&[Some("a"), Some("b")]) }.supports(&key));
    }
}
