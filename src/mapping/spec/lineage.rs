//! What a mapping writes about the place of its lineage, and the columns that follow from it.

use crate::mapping::source::Source;
use crate::mapping::{CandidateSpec, ColumnSpec, MappingSpec};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;

/// The place for lineage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum LineageSpec {
    /// Beside the row, or nowhere.
    Apart(LineageApart),
    /// In a jsonb column.
    Column {
        /// The column: the lineage is added to the object that the record itself has for it.
        column: String,
        /// What `redis_document_id` says: a candidate such as `"{id}"` or `"$.document_id"`.
        document_id: String,
    },
    /// In columns of its own.
    Columns {
        /// Their names.
        columns: LineageColumns,
    },
}

/// Lineage that is not in the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LineageApart {
    /// The ledger keeps it.
    Ledger,
    /// Nobody keeps it.
    None,
}

/// The columns that lineage has for itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineageColumns {
    /// The Redis key: it tells a second read of a key from another key for the same row.
    pub key: String,
    /// The digest of the value: it tells whether a row is what it would be made to.
    pub digest: String,
    /// The run that last wrote the row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// When it was made, by this machine's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrated_at: Option<String>,
    /// When Redis will expire the key. Unlike the others it counts when rows are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// The number of the Redis database: it tells keys of the same name apart that are in different databases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
}

impl LineageColumns {
    /// Each column that is named, with the source that feeds it and the type that it is made with.
    pub fn named(&self) -> impl Iterator<Item = (&str, &'static str, &'static str)> {
        let optional = [
            (self.run.as_deref(), "run.id", "uuid"),
            (self.migrated_at.as_deref(), "run.time", "timestamptz"),
            (self.expires_at.as_deref(), EXPIRES_AT, "timestamptz"),
            (self.database.as_deref(), Source::DATABASE, "integer"),
        ];
        let optional = optional.into_iter().filter_map(|(name, source, sql_type)| Some((name?, source, sql_type)));
        [(self.key.as_str(), "redis.key", "text"), (self.digest.as_str(), "redis.digest", "text")]
            .into_iter()
            .chain(optional)
    }
}

/// The source of the time of expiry.
pub(super) const EXPIRES_AT: &str = "redis.expires_at";

impl MappingSpec {
    /// The jsonb column for lineage, where there is one.
    pub(in crate::mapping) fn lineage_column(&self) -> Option<&str> {
        match &self.lineage {
            Some(LineageSpec::Column { column, .. }) => Some(column),
            _ => None,
        }
    }

    /// The mapping with the columns of its lineage among its own. One that it has already, fed by the same, is left.
    pub fn with_lineage_columns(&self) -> Self {
        let Some(LineageSpec::Columns { columns }) = &self.lineage else { return self.clone() };
        let mut whole = self.clone();
        for (name, source, sql_type) in columns.named() {
            let same = |column: &ColumnSpec| {
                column.name == name && column.with.is_empty() && column.from == [CandidateSpec::Source(source.into())]
            };
            if !self.columns.iter().any(same) {
                whole.columns.push(ColumnSpec {
                    name: name.to_owned(),
                    sql_type: Some(sql_type.to_owned()).filter(|_| self.create),
                    from: vec![CandidateSpec::Source(source.into())],
                    ignore_changes: source != EXPIRES_AT,
                    ..ColumnSpec::default()
                });
            }
        }
        whole
    }
}

impl<'de> Deserialize<'de> for LineageSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PlaceVisitor)
    }
}

/// Not an untagged enum, which could not say what is wrong.
struct PlaceVisitor;

impl<'de> Visitor<'de> for PlaceVisitor {
    type Value = LineageSpec;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"ledger\", \"none\", { column = …, document_id = … } or { columns = { key = …, digest = … } }")
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<LineageSpec, E> {
        match word {
            "ledger" => Ok(LineageSpec::Apart(LineageApart::Ledger)),
            "none" => Ok(LineageSpec::Apart(LineageApart::None)),
            other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
        }
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<LineageSpec, M::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Table {
            column: Option<String>,
            document_id: Option<String>,
            columns: Option<LineageColumns>,
        }
        match Table::deserialize(MapAccessDeserializer::new(map))? {
            Table { column: Some(column), document_id: Some(document_id), columns: None } => {
                Ok(LineageSpec::Column { column, document_id })
            }
            Table { column: None, document_id: None, columns: Some(columns) } => Ok(LineageSpec::Columns { columns }),
            _ => Err(M::Error::custom(
                "`lineage` is either { column = …, document_id = … } or { columns = { key = …, digest = … } }",
            )),
        }
    }
}
