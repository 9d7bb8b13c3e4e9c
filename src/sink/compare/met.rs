//! What a staged row met in its table, and the class that follows from it. Pure.

use crate::model::{Class, Database, RedisKey, Row, Shape};
use crate::sink::table::{LoadTable, Provenance};

/// What a staged row met.
#[derive(Clone, Debug, Default)]
pub(super) struct Met {
    /// Whether there is a row of its key.
    pub(super) there: bool,
    /// The columns that differ, by their places in the mapping.
    pub(super) differs: Vec<usize>,
    /// The parent check whose row is missing that the row refers to.
    pub(super) orphan: Option<usize>,
    /// The Redis key that the row was made from, where that is known.
    pub(super) redis_key: Option<Vec<u8>>,
    /// The number of that key's database, where it must be this one.
    pub(super) redis_db: Option<String>,
    /// The run that wrote it, if nobody changed it since.
    pub(super) owner: Option<String>,
    /// Whether its lineage names one of the runs that count, or one of them wrote it where lineage names none; where keys are to be
    /// deleted.
    pub(super) counts: bool,
    /// Whether the ledger says that it was read from the source of the run that is validated, for tables whose rows go with their
    /// elements.
    pub(super) of_source: bool,
    /// The digest of the value that it was made from, where that is known.
    pub(super) digest: Option<String>,
    /// Where there is no row: whether the ledger has the lineage of one that was made from this key.
    pub(super) was_there: bool,
    /// The same: whether the ledger has lineage of any row of this key of the run's source.
    pub(super) key_was_there: bool,
    /// The same: whether the ledger has lineage of a row of this key that was made from the value that the key has now. Not known of keys that
    /// are several rows.
    pub(super) was_of_value: bool,
    /// Whether its lineage names another time of expiry than the key has now; `true` where lineage does not tell.
    pub(super) expiry_moved: bool,
    /// The columns, among those that the server reads, in which it shows a value otherwise than it was sent; where keys are to be
    /// deleted.
    pub(super) respelled: Shape,
}

/// What a row is found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) class: Class,
    /// A sentence for people; empty where the class says all.
    pub(super) detail: String,
}

impl Judged {
    pub(super) fn of(class: Class) -> Self {
        Self { class, detail: String::new() }
    }

    pub(super) fn because(class: Class, detail: impl Into<String>) -> Self {
        Self { class, detail: detail.into() }
    }
}

impl Met {
    /// The class of a row.
    pub(super) fn judge(&self, table: &LoadTable, row: &Row, database: Database) -> Judged {
        if !self.there {
            return Judged::of(Class::Missing);
        }
        if let Some(other) = self.other_key(row, database) {
            return Judged::because(Class::Missing, format!("its row is that of {other}"));
        }
        let content = self.judge_content(table, row);
        match self.orphan.and_then(|check| without_parent(table, check)) {
            Some(detail) if content.class < Class::Orphaned => Judged::because(Class::Orphaned, detail),
            _ => content,
        }
    }

    /// Whose the row is, where a run made it from another key.
    pub(super) fn other_key(&self, row: &Row, database: Database) -> Option<String> {
        let (Some(_), Some(theirs)) = (&self.owner, &self.redis_key) else { return None };
        let elsewhere = self.redis_db.as_ref().filter(|number| **number != database.number.to_string());
        if theirs.as_slice() == row.key.as_bytes() && elsewhere.is_none() {
            return None;
        }
        let place = elsewhere.map(|number| format!(" of database {number}")).unwrap_or_default();
        Some(format!("{}{place}", RedisKey::new(theirs.clone())))
    }

    fn judge_content(&self, table: &LoadTable, row: &Row) -> Judged {
        if self.differs.is_empty() {
            return Judged::of(Class::Equal);
        }
        if self.owner.is_none() {
            return Judged::of(Class::Newer);
        }
        if self.digest.as_ref().is_some_and(|digest| *digest != row.digest.to_string()) {
            return Judged::of(Class::Stale);
        }
        let expiry = |column: &usize| table.columns.get(*column).is_some_and(|column| column.of_expiry);
        // A TTL that is set anew changes the key, and not its value.
        if self.expiry_moved && self.differs.iter().all(expiry) {
            return Judged::because(Class::Stale, "its time of expiry was set anew");
        }
        match table.provenance {
            Provenance::Nowhere => Judged::because(
                Class::Different,
                "without lineage it cannot be told whether the key or the row has changed",
            ),
            _ => Judged::of(Class::Different),
        }
    }
}

/// That the row is missing which a parent check asks for, for people; `check`: its place.
pub(super) fn without_parent(table: &LoadTable, check: usize) -> Option<String> {
    let parent = table.parents.get(check)?;
    let column = table.columns.get(parent.column).map_or("", |column| column.name.as_str());
    Some(format!("{column} refers to a row of {} that is not there", parent.table))
}

#[cfg(test)]
mod tests {
    use super::Met;
    use crate::model::{Class, Database, Digest, Losses, MappingId, RedisKey, RedisType, Row, Shape, TableName};
    use crate::sink::table::{Compare, Conflict, LoadColumn, LoadTable, ParentCheck, Provenance};
    use bytes::Bytes;
    use std::sync::atomic::AtomicBool;

    fn column(name: &str, of_expiry: bool) -> LoadColumn {
        let compare = if of_expiry { Compare::Expiry } else { Compare::Value };
        LoadColumn {
            name: name.into(),
            compare,
            value_beside: None,
            of_expiry,
            base_type: "text".into(),
            cast: None,
            staged_type: None,
            folds: false,
            equality: "=".into(),
            has_default: false,
            stands_apart: false,
        }
    }

    fn name(table: &str) -> TableName {
        TableName { schema: "app".into(), table: table.into() }
    }

    fn table(provenance: Provenance) -> LoadTable {
        let parent = ParentCheck {
            mapping: MappingId(0),
            column: 1,
            table: name("parents"),
            key: "id".into(),
            equality: "=".into(),
            foreign_key: false,
            lineage: None,
        };
        LoadTable {
            id: MappingId(1),
            mapping: "children".into(),
            name: name("children"),
            columns: vec![column("id", false), column("parent", false), column("expires_at", true)],
            key_columns: 1,
            overrides_identity: false,
            looks_again: false,
            provenance,
            conflict: Conflict::UpdateOwn,
            parents: vec![parent],
            own_references: Vec::new(),
            fingerprint: String::new(),
            probe: None,
            exact: Vec::new(),
            explodes: false,
            deletes_removed: false,
            moves_rows: false,
            loose_key: false,
            referrers: Vec::new(),
            partitioned: false,
            out_of_order: AtomicBool::new(false),
            straight: AtomicBool::new(false),
            lineage_is_new: AtomicBool::new(false),
        }
    }

    fn row() -> Row {
        Row {
            key: RedisKey::new("k:1"),
            redis_type: RedisType::String,
            value: Bytes::new(),
            stored: None,
            expires_at: None,
            facts: None,
            digest: Digest::of(b"v"),
            shape: Shape(0b111),
            fields: Bytes::new(),
            splice: None,
            key_len: 0,
            element: 0,
            group: None,
            parent_keys: Vec::new(),
            altered: Vec::new(),
            losses: Losses::default(),
        }
    }

    /// A row of ours, as the value makes it.
    fn ours() -> Met {
        Met {
            there: true,
            redis_key: Some(b"k:1".to_vec()),
            owner: Some("run".into()),
            of_source: true,
            digest: Some(Digest::of(b"v").to_string()),
            ..Met::default()
        }
    }

    fn class_in(table: &LoadTable, met: &Met) -> Class {
        met.judge(table, &row(), Database::only(0)).class
    }

    fn class(met: &Met) -> Class {
        class_in(&table(Provenance::Ledger), met)
    }

    #[test]
    fn each_class_has_its_sign() {
        assert_eq!(class(&ours()), Class::Equal);
        assert_eq!(class(&Met::default()), Class::Missing);
        let differs = Met { differs: vec![1], ..ours() };
        assert_eq!(class(&differs), Class::Different);
        assert_eq!(class(&Met { digest: Some(Digest::of(b"w").to_string()), ..differs.clone() }), Class::Stale);
        assert_eq!(class(&Met { owner: None, ..differs.clone() }), Class::Newer);
        assert_eq!(class(&Met { orphan: Some(0), ..ours() }), Class::Orphaned);
        assert_eq!(class(&Met { orphan: Some(0), ..differs }), Class::Different, "the worse of the two");
    }

    #[test]
    fn a_row_that_is_equal_is_so_whoever_wrote_it_and_whatever_its_digest() {
        assert_eq!(class(&Met { owner: None, redis_key: None, digest: None, ..ours() }), Class::Equal);
        assert_eq!(class(&Met { digest: Some("other".into()), ..ours() }), Class::Equal);
    }

    #[test]
    fn a_row_of_another_key_or_database_is_not_this_keys() {
        let other = Met { redis_key: Some(b"K:1".to_vec()), ..ours() };
        let judged = other.judge(&table(Provenance::Ledger), &row(), Database::only(0));
        assert_eq!((judged.class, judged.detail.as_str()), (Class::Missing, "its row is that of K:1"));
        assert_eq!(class(&Met { redis_db: Some("3".into()), ..ours() }), Class::Missing);
        assert_eq!(class(&Met { redis_db: Some("0".into()), ..ours() }), Class::Equal);
        assert_eq!(class(&Met { owner: None, ..other }), Class::Equal, "nobody knows whose it is");
    }

    #[test]
    fn a_time_of_expiry_that_was_set_anew_is_a_change_of_the_key() {
        let moved = Met { differs: vec![2], expiry_moved: true, ..ours() };
        assert_eq!(class(&moved), Class::Stale);
        assert_eq!(class(&Met { expiry_moved: false, ..moved.clone() }), Class::Different);
        assert_eq!(class(&Met { differs: vec![1, 2], ..moved }), Class::Different);
    }

    #[test]
    fn without_lineage_what_differs_is_different() {
        let met = Met { differs: vec![1], redis_key: None, digest: None, ..ours() };
        assert_eq!(class_in(&table(Provenance::Nowhere), &met), Class::Different);
    }
}
