//! The archive: a mapping of the program's own, for the keys that no other mapping takes.

use super::{CandidateSpec, ColumnSpec, Databases, MappingSpec, OnConflict};
use crate::model::RedisType;

/// The name of the archive's mapping.
pub const ARCHIVE: &str = "archive";

/// The archive's columns, each with its source.
const COLUMNS: [(&str, &str); 9] = [
    ("key", "redis.key"),
    ("db", "redis.db"),
    ("type", "redis.type"),
    ("expires_at", "redis.expires_at"),
    ("value", "redis.value"),
    ("value_bytes", "redis.bytes"),
    ("dump", "redis.dump"),
    ("redis_version", "redis.version"),
    ("loaded_at", "run.time"),
];

impl MappingSpec {
    /// The mapping of all keys that none of `others` takes in the databases that they read, into the table of that name
    /// (`schema.table`); `own` is the number of the source's own database.
    pub fn archive(table: &str, others: &[Self], own: u8) -> Self {
        let column = |(name, source): (&str, &str)| ColumnSpec {
            name: name.to_owned(),
            from: vec![CandidateSpec::Source(source.to_owned())],
            ..ColumnSpec::default()
        };
        Self {
            items: crate::mapping::ItemForm::default(),
            members: crate::mapping::ItemForm::default(),
            empty_items: None,
            name: ARCHIVE.to_owned(),
            // What it is called for people; `unmatched` says what it takes.
            matches: "{key..}".into(),
            exclude: Vec::new(),
            databases: Databases::of_all(others, own),
            unmatched: true,
            separator: None,
            into: table.to_owned(),
            key: vec!["key".to_owned(), "db".to_owned()],
            types: RedisType::ALL.to_vec(),
            explode: None,
            removed_elements: crate::mapping::RemovedElements::default(),
            decode: vec!["json".to_owned()],
            max_inflated: None,
            nul: None,
            surrogates: None,
            nonfinite: None,
            invalid_utf8: None,
            duplicate_keys: None,
            bytes: None,
            unwrap_json_string: false,
            on_conflict: OnConflict::default(),
            parents: Vec::new(),
            after: Vec::new(),
            audit: None,
            create: false,
            expiry_index: false,
            foreign_keys: false,
            grants: std::collections::BTreeMap::new(),
            expired: crate::mapping::Expired::default(),
            min_ttl: None,
            lineage: None,
            columns: COLUMNS.into_iter().map(column).collect(),
        }
    }
}
