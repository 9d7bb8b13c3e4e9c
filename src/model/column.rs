//! Target tables as the catalog describes them: what the encoders and the load need to know.

use std::fmt;

/// A schema-qualified table name, unquoted.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    /// The schema.
    pub schema: String,
    /// The table.
    pub table: String,
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// A column type that has a binary encoder. Domains are resolved to what they stand on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// boolean
    Bool,
    /// smallint
    Int2,
    /// integer
    Int4,
    /// bigint
    Int8,
    /// real
    Float4,
    /// double precision
    Float8,
    /// text, or varchar without a limit
    Text,
    /// varchar(n): at most `n` characters (code points)
    Varchar(u32),
    /// uuid
    Uuid,
    /// json: the text as it is
    Json,
    /// jsonb: a version byte, then the text
    Jsonb,
    /// timestamp with time zone, microseconds since 2000-01-01T00:00:00Z
    Timestamptz,
    /// bytea
    Bytea,
    /// an enum with these labels
    Enum(Vec<String>),
    /// any other type, by its name in the catalog: there is no encoder for it
    Unsupported(String),
}

/// One column of a target table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The column's name, unquoted.
    pub name: String,
    /// Its type.
    pub column_type: ColumnType,
    /// Whether it is declared NOT NULL (by itself or by its domain).
    pub not_null: bool,
    /// Whether it has a default (or is an identity column).
    pub has_default: bool,
    /// Whether it is generated, or an identity column `GENERATED ALWAYS`: it can't be written.
    pub generated: bool,
}

/// A target table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name.
    pub name: TableName,
    /// Its live columns, in the order of the catalog.
    pub columns: Vec<Column>,
}

impl Table {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}
