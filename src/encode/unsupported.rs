//! Which column types have an encoder. The one exhaustive list: a new type has to be decided on here.

use crate::model::ColumnType;

/// Whether values can be encoded for a column of that type.
pub fn has_encoder(column_type: &ColumnType) -> bool {
    match column_type {
        ColumnType::Bool
        | ColumnType::Int2
        | ColumnType::Int4
        | ColumnType::Int8
        | ColumnType::Float4
        | ColumnType::Float8
        | ColumnType::Text
        | ColumnType::Varchar(_)
        | ColumnType::Uuid
        | ColumnType::Json
        | ColumnType::Jsonb
        | ColumnType::Timestamptz
        | ColumnType::Bytea
        | ColumnType::Enum(_)
        | ColumnType::Numeric(_)
        | ColumnType::Bpchar(_)
        | ColumnType::Citext(_)
        | ColumnType::Name
        | ColumnType::Date
        | ColumnType::Time(_)
        | ColumnType::Timetz(_)
        | ColumnType::Timestamp(_)
        | ColumnType::TimestamptzDigits(_)
        | ColumnType::Interval(_)
        | ColumnType::Inet
        | ColumnType::Cidr
        | ColumnType::Macaddr
        | ColumnType::Macaddr8
        | ColumnType::Cast(_) => true,
        ColumnType::Array(array) => has_encoder(&array.element),
        ColumnType::Unsupported(_) => false,
    }
}
