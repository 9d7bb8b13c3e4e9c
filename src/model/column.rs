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

impl TableName {
    /// The name that is meant where a part of it stands in quotes, as SQL has it: here a name is never quoted. `None` where none does.
    pub fn unquoted(&self) -> Option<Self> {
        let bare = |part: &str| {
            let inner = part.strip_prefix('"')?.strip_suffix('"').filter(|inner| !inner.is_empty())?;
            Some(inner.replace("\"\"", "\""))
        };
        let (schema, table) = (bare(&self.schema), bare(&self.table));
        (schema.is_some() || table.is_some()).then(|| Self {
            schema: schema.unwrap_or_else(|| self.schema.clone()),
            table: table.unwrap_or_else(|| self.table.clone()),
        })
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

/// A column type as an encoder needs to know it. Domains are resolved to what they stand on.
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
    /// numeric, and what `numeric(p, s)` holds
    Numeric(Option<NumericLimit>),
    /// char(n): at most `n` characters, padded by the server
    Bpchar(u32),
    /// citext, and its equality as SQL: it is an extension's
    Citext(String),
    /// name: at most 63 bytes
    Name,
    /// date, days since 2000-01-01
    Date,
    /// time with so many digits of a second (0 to 6), microseconds since midnight
    Time(u8),
    /// time with time zone and so many digits, microseconds since midnight and seconds west of UTC
    Timetz(u8),
    /// timestamp without time zone and so many digits, microseconds since 2000-01-01T00:00:00
    Timestamp(u8),
    /// timestamp with time zone and so many digits, where they are not simply six
    TimestamptzDigits(u8),
    /// interval, with its typmod (−1: none): the digits of its seconds and the least field that it keeps
    Interval(i32),
    /// inet
    Inet,
    /// cidr
    Cidr,
    /// macaddr
    Macaddr,
    /// macaddr8
    Macaddr8,
    /// an array of a type that has a binary encoder
    Array(Box<ArrayType>),
    /// any other type that reads text: sent as text and cast by the server
    Cast(CastType),
    /// a type that nothing can be written to, by its name in the catalog
    Unsupported(String),
}

/// What `numeric(p, s)` holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NumericLimit {
    /// Significant digits, 1 to 1000.
    pub precision: i32,
    /// Digits after the point; negative (−1000 to −1): zeros before it.
    pub scale: i32,
}

/// The type of an array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrayType {
    /// The type of its elements; a domain is resolved to what it stands on.
    pub element: ColumnType,
    /// The element type's OID in this database (of the domain, where it is one): the binary form names it.
    pub element_oid: u32,
}

/// A type whose values go in as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CastType {
    /// Its name in the catalog, without the schema.
    pub name: String,
    /// Its name for SQL, qualified and quoted, without a modifier: assignment applies the column's own, and complains
    /// where an explicit cast would cut.
    pub sql: String,
    /// The operator of its default equality, which compares all of the value, as SQL: `=` for PostgreSQL's own, and
    /// qualified for an extension's, which need not be on the search path.
    pub equality: Option<String>,
    /// For arrays, what stands between the elements in text.
    pub delimiter: Option<char>,
    /// For arrays, the type of the elements as `sql` has it; of a domain what it stands on.
    pub element: Option<String>,
}

impl CastType {
    /// Whether it is `"char"`, the type of one byte that the catalog itself uses. Its reader keeps the first byte of
    /// whatever it is given.
    pub fn is_one_byte(&self) -> bool {
        self.sql == "\"pg_catalog\".\"char\""
    }
}

impl ColumnType {
    /// Whether two values may be equal to the database and differ in their bytes.
    pub fn is_loose(&self) -> bool {
        match self {
            Self::Float4
            | Self::Float8
            | Self::Json
            | Self::Jsonb
            | Self::Numeric(_)
            | Self::Bpchar(_)
            | Self::Citext(_)
            | Self::Interval(_)
            | Self::Cast(_) => true,
            Self::Array(array) => array.element.is_loose(),
            _ => false,
        }
    }

    /// Whether values are compared as text: the type has no equality, or one that takes different values for equal.
    pub fn compares_as_text(&self) -> bool {
        match self {
            // '1 mon' = '30 days', and 'A' = 'a'. Enums have one equality for all of them, which finds no domain over one.
            Self::Json | Self::Interval(_) | Self::Citext(_) | Self::Enum(_) => true,
            Self::Array(array) => array.element.compares_as_text(),
            Self::Cast(cast) => cast.equality.as_deref() != Some("="),
            _ => false,
        }
    }

    /// The operator by which keys of this type are the same, as SQL. With its schema: `varchar` has none of its own, and one that somebody
    /// else made for it would be found before that of `text`.
    pub fn equality(&self) -> &str {
        let own = match self {
            Self::Citext(operator) => Some(operator.as_str()),
            Self::Cast(cast) => cast.equality.as_deref(),
            _ => None,
        };
        own.filter(|operator| *operator != "=").unwrap_or("OPERATOR(pg_catalog.=)")
    }

    /// Whether the type is a point in time.
    pub fn is_moment(&self) -> bool {
        matches!(self, Self::Timestamptz | Self::TimestamptzDigits(_) | Self::Timestamp(_))
    }

    /// The type to which the server casts the staged text; `None` where the value is sent in binary form.
    pub fn cast(&self) -> Option<&CastType> {
        match self {
            Self::Cast(cast) => Some(cast),
            _ => None,
        }
    }
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
    /// Whether it has a default, by itself or by its type, or is an identity column.
    pub has_default: bool,
    /// Whether it is generated of other columns: it can't be written.
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
