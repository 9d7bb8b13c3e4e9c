//! Where a row says that it came from: the lineage object, and how it joins the record's own metadata.
//!
//! All by text: the record's own JSON keeps every digit. Keys that clash with ours move under `source_metadata`.

use super::compile::Check;
use super::plan::Target;
use super::{LineageApart, LineageSpec, MappingSpec};
use crate::decode::{Field, push_json_string, scan, unescape};
use crate::encode::push_rfc3339;
use crate::model::{Column, ColumnType, Digest, Record, UnixMillis};
use memchr::memmem::Finder;
use std::sync::LazyLock;

/// The lineage's keys: left out when two rows are compared.
pub const LINEAGE_KEYS: [&str; 5] =
    ["migrated_from_redis", "redis_key", "redis_document_id", "migration_timestamp", "redis2pg"];
/// Where the record's own values of those keys go.
pub const SOURCE_METADATA: &str = "source_metadata";

/// Where the lineage of a mapping's rows is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lineage {
    /// In this column of the mapping.
    Column(usize),
    /// In columns of its own among the mapping's.
    Columns {
        /// The one of the Redis key.
        key: usize,
        /// The one of the digest.
        digest: usize,
        /// The one of the database's number, where there is one.
        database: Option<usize>,
        /// The one of the run, where there is one.
        run: Option<usize>,
    },
    /// In the ledger: the row has no place for it.
    Ledger,
    /// Nowhere.
    None,
}

impl Check {
    /// Where the lineage of a mapping's rows is kept; `targets` are those of its columns, in their order.
    pub(super) fn lineage(&mut self, spec: &MappingSpec, columns: &[Column], targets: &[Target]) -> Option<Lineage> {
        match &spec.lineage {
            Some(LineageSpec::Apart(LineageApart::None)) => Some(Lineage::None),
            Some(LineageSpec::Columns { columns: named }) => {
                let key = self.lineage_column(spec, columns, &named.key, None);
                let digest = self.lineage_column(spec, columns, &named.digest, Some(Digest::HEX_DIGITS));
                let database = named.database.as_ref().map(|name| self.database_column(spec, columns, name));
                let database = match database {
                    Some(found) => Some(found?),
                    None => None,
                };
                let run = named.run.as_ref().and_then(|name| columns.iter().position(|column| column.name == *name));
                Some(Lineage::Columns { key: key?, digest: digest?, database, run })
            }
            _ => Some(targets.iter().position(|target| target.lineage).map_or(Lineage::Ledger, Lineage::Column)),
        }
    }

    /// The place of a column that rows are looked up by; what is stored there must read back as it was written.
    fn lineage_column(
        &mut self,
        spec: &MappingSpec,
        columns: &[Column],
        name: &str,
        length: Option<u32>,
    ) -> Option<usize> {
        // One that is missing is found with the other columns.
        let place = columns.iter().position(|column| column.name == name)?;
        let fits = match columns.get(place)?.column_type {
            ColumnType::Text => true,
            ColumnType::Varchar(most) => length.is_none_or(|length| length <= most),
            _ => false,
        };
        if !fits {
            let message = "lineage needs a column of type text, or of varchar that is long enough";
            self.target(format!("{}.{name}", spec.into), message, "Change its type, or name another column.");
        }
        fits.then_some(place)
    }

    /// The place of the column with the database's number.
    fn database_column(&mut self, spec: &MappingSpec, columns: &[Column], name: &str) -> Option<usize> {
        use ColumnType::{Int2, Int4, Int8, Text};
        let place = columns.iter().position(|column| column.name == name)?;
        let fits = matches!(columns.get(place)?.column_type, Int2 | Int4 | Int8 | Text);
        if !fits {
            let message = "lineage needs a column of type integer (smallint, bigint, text) for the database";
            self.target(format!("{}.{name}", spec.into), message, "Change its type, or name another column.");
        }
        fits.then_some(place)
    }
}

/// Appends the lineage's members, without braces; `database` is the number of the key's, where it is named. `document_id`
/// is JSON text; `run` too.
///
/// In the order in which jsonb keeps keys (shorter ones first, then by bytes), which spares the server the sorting.
pub(super) fn push_members(
    out: &mut String,
    (record, digest, database): (&Record, Digest, Option<&str>),
    document_id: &str,
    run: &str,
    now: UnixMillis,
) {
    out.push_str(r#""redis2pg":{"run":"#);
    out.push_str(run);
    out.push_str(r#","digest":""#);
    out.extend(digest.hex().map(char::from));
    out.push('"');
    if let Some(database) = database {
        out.push_str(r#","database":"#);
        out.push_str(database);
    }
    out.push(',');
    push_expiry(out, record);
    out.push_str(r#"},"redis_key":"#);
    push_json_string(out, record.key.as_str().unwrap_or_default());
    out.push_str(r#","redis_document_id":"#);
    out.push_str(document_id);
    out.push_str(r#","migrated_from_redis":true,"migration_timestamp":""#);
    push_rfc3339(out, now);
    out.push('"');
}

fn push_expiry(out: &mut String, record: &Record) {
    match record.expires_at {
        Some(expires_at) => {
            out.push_str(r#""expires_at":""#);
            push_rfc3339(out, expires_at);
            out.push('"');
        }
        None => out.push_str(r#""expires_at":null"#),
    }
}

/// Appends those members by which the row of a key is known, for a row that is only compared: its key, the database where
/// that is named, and the time of expiry.
pub(super) fn push_compared_members(out: &mut String, record: &Record, database: Option<&str>) {
    out.push_str(r#""redis2pg":{"#);
    if let Some(database) = database {
        out.push_str(r#""database":"#);
        out.push_str(database);
        out.push(',');
    }
    push_expiry(out, record);
    out.push_str(r#"},"redis_key":"#);
    push_json_string(out, record.key.as_str().unwrap_or_default());
}

/// The members of the record's own object that stay beside the lineage, and a comma where there are any.
pub(super) enum Own<'a> {
    /// None.
    Empty,
    /// As they are.
    Kept(&'a str),
    /// Rewritten, since some clash.
    Moved(String),
}

/// Prepares the record's own object (well-formed JSON text) to be joined with the lineage.
pub(super) fn own_members<'a>(own: &'a str, fields: &mut Vec<Field>) -> Own<'a> {
    let inner = own.trim_matches([' ', '\n', '\r', '\t']);
    let inner = inner.strip_prefix('{').and_then(|inner| inner.strip_suffix('}')).unwrap_or_default();
    let inner = inner.trim_matches([' ', '\n', '\r', '\t']);
    if inner.is_empty() {
        return Own::Empty;
    }
    if !may_clash(inner) {
        return Own::Kept(inner);
    }
    let Ok(_) = scan(own, fields) else { return Own::Kept(inner) };
    let ours = |field: &Field| LINEAGE_KEYS.contains(&unescape(field.key.of(own)).as_ref());
    if !fields.iter().any(ours) {
        return Own::Kept(inner);
    }
    let (mut kept, mut moved) = (String::with_capacity(own.len()), String::new());
    for field in fields.iter() {
        let clashes = ours(field) || unescape(field.key.of(own)) == SOURCE_METADATA;
        let members = if clashes { &mut moved } else { &mut kept };
        if !members.is_empty() {
            members.push(',');
        }
        members.push('"');
        members.push_str(field.key.of(own));
        members.push_str("\":");
        members.push_str(field.value.of(own));
    }
    if !kept.is_empty() {
        kept.push(',');
    }
    kept.push_str("\"source_metadata\":{");
    kept.push_str(&moved);
    kept.push('}');
    Own::Moved(kept)
}

static REDIS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("redis"));
static TIMESTAMP: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("migration_timestamp"));

/// Whether any key could be one of ours: all of them say redis or migration_timestamp, unless they are escaped.
fn may_clash(inner: &str) -> bool {
    let bytes = inner.as_bytes();
    memchr::memchr(b'\\', bytes).is_some() || REDIS.find(bytes).is_some() || TIMESTAMP.find(bytes).is_some()
}

#[cfg(test)]
mod tests {
    use super::{Own, own_members};

    fn own(text: &str) -> String {
        match own_members(text, &mut Vec::new()) {
            Own::Empty => String::new(),
            Own::Kept(kept) => format!("kept {kept}"),
            Own::Moved(moved) => moved,
        }
    }

    #[test]
    fn own_keys_stay_and_clashing_ones_move() {
        assert_eq!(own(" { } "), "");
        assert_eq!(own(r#"{"a": 1.10, "about":"redis"}"#), r#"kept "a": 1.10, "about":"redis""#);
        assert_eq!(own(r#"{"a":1,"redis_key":"x"}"#), r#""a":1,"source_metadata":{"redis_key":"x"}"#);
        assert_eq!(own(r#"{"redis2p\u0067":{"run":"old"}}"#), r#""source_metadata":{"redis2p\u0067":{"run":"old"}}"#);
        assert_eq!(
            own(r#"{"redis_key":1,"source_metadata":{"b":2}}"#),
            r#""source_metadata":{"redis_key":1,"source_metadata":{"b":2}}"#
        );
        assert_eq!(own(r#"{"source_metadata":{"b":"redis"}}"#), r#"kept "source_metadata":{"b":"redis"}"#);
    }
}
