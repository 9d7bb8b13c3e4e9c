//! The first line of an input about columns: the column's type, and its policies.

use redis2pg::encode::{Encoding, Nonfinite, Nul, Policy, TooLong};
use redis2pg::model::{ArrayType, CastType, ColumnType, NumericLimit};

/// The OID that arrays are said to be of.
pub(crate) const OID: u32 = 4242;

/// The policies that words name.
pub(crate) fn policy(words: &[&str]) -> Policy {
    let has = |word| words.contains(&word);
    Policy {
        empty_as_null: has("empty_as_null"),
        round: has("round"),
        reject_exponent: has("reject_exponent"),
        nonfinite: if has("keep") { Some(Nonfinite::Keep) } else { has("nonfinite").then_some(Nonfinite::Null) },
        too_long: has("truncate").then_some(TooLong::Truncate),
        nul: if has("strip") { Some(Nul::Strip) } else { has("replace").then_some(Nul::Replace) },
        empty_object_as_array: has("empty_object_as_array"),
        encoding: if has("base64") { Some(Encoding::Base64) } else { has("hex").then_some(Encoding::Hex) },
        ..Policy::default()
    }
}

/// The type of that name, with its limits in parentheses.
pub(crate) fn column_type(name: &str) -> Option<ColumnType> {
    if let Some(element) = name.strip_suffix("[]") {
        let element =
            column_type(element).filter(|element| !matches!(element, ColumnType::Array(_) | ColumnType::Cast(_)))?;
        return Some(ColumnType::Array(Box::new(ArrayType { element, element_oid: OID })));
    }
    let (stem, limits) = name.split_once('(').unwrap_or((name, ")"));
    let limits: Vec<i32> = limits.trim_end_matches(')').split(',').filter_map(|limit| limit.parse().ok()).collect();
    let length = || limits.first().and_then(|length| u32::try_from(*length).ok()).unwrap_or(1).clamp(1, 10_485_760);
    Some(match stem {
        "bool" => ColumnType::Bool,
        "int2" => ColumnType::Int2,
        "int4" => ColumnType::Int4,
        "int8" => ColumnType::Int8,
        "float4" => ColumnType::Float4,
        "float8" => ColumnType::Float8,
        "text" => ColumnType::Text,
        "varchar" => ColumnType::Varchar(length()),
        "char" => ColumnType::Bpchar(length()),
        "name" => ColumnType::Name,
        "citext" => ColumnType::Citext("=".into()),
        "uuid" => ColumnType::Uuid,
        "json" => ColumnType::Json,
        "jsonb" => ColumnType::Jsonb,
        "bytea" => ColumnType::Bytea,
        "enum" => ColumnType::Enum(vec!["a".into(), "b c".into(), "é".into()]),
        "inet" => ColumnType::Inet,
        "cidr" => ColumnType::Cidr,
        "macaddr" => ColumnType::Macaddr,
        "macaddr8" => ColumnType::Macaddr8,
        "numeric" => ColumnType::Numeric(limits.first().map(|precision| NumericLimit {
            precision: (*precision).clamp(1, 1000),
            scale: limits.get(1).copied().unwrap_or(0).clamp(-1000, 1000),
        })),
        "money" | "oid" | "xid8" | "hstore" | "vector" | "tsvector" => ColumnType::Cast(CastType {
            name: stem.to_owned(),
            sql: format!("\"pg_catalog\".\"{stem}\""),
            equality: None,
            delimiter: None,
            element: None,
        }),
        _ => return None,
    })
}
