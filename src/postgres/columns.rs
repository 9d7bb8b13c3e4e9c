//! The columns of a table: what their types are to an encoder, and how SQL has to speak of them. Domains are followed down to what they stand
//! on, arrays to their elements.

use super::sql::{ident, query};
use crate::model::{ArrayType, CastType, Column, ColumnType, NumericLimit};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{Error, Row};

/// What SQL has to say of a column beside its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnSql {
    /// The column's name, unquoted.
    pub name: String,
    /// Its type, with its modifier; of a domain the type that it stands on, which checks nothing: a value that is not there is no concern of a
    /// domain that takes no NULL.
    pub base_type: String,
    /// The domain that it is of, if it is of one.
    pub domain: Option<String>,
    /// Its collation, as SQL; `None`: its values have none.
    pub collation: Option<String>,
    /// Whether its collation takes texts for equal that are not the same, as `a` and `A`: it is a nondeterministic one.
    pub folds: bool,
}

/// Types whose input takes nothing: they are the server's own.
const INTERNAL: [&str; 7] = [
    "pg_node_tree",
    "pg_ndistinct",
    "pg_dependencies",
    "pg_mcv_list",
    "pg_brin_bloom_summary",
    "pg_brin_minmax_multi_summary",
    "gtsvector",
];

/// One row for each column of table `$1`, with its type, or that of its elements.
///
/// A domain's own NOT NULL and typmod count. The typmod of an array is that of its elements. Equality as the type's
/// default operator classes have it: that of box, by the name of `=`, compares areas. The collation of a range is its type's. Servers before 12
/// have deterministic ones alone, and before 14 no multiranges.
const COLUMNS: &str = "WITH RECURSIVE base AS ( \
       SELECT a.attnum, t.oid, t.typtype, t.typbasetype, \
              CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE a.atttypmod END AS typmod, \
              (t.typtype = 'd' AND t.typnotnull) AS domain_not_null \
       FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid \
       WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped \
       UNION ALL \
       SELECT b.attnum, t.oid, t.typtype, t.typbasetype, \
              CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE b.typmod END, \
              b.domain_not_null OR (t.typtype = 'd' AND t.typnotnull) \
       FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.typbasetype WHERE b.typtype = 'd'), \
     leaf AS ( \
       SELECT b.attnum, e.oid AS element, e.oid, e.typtype, e.typbasetype, \
              CASE WHEN e.typtype = 'd' THEN e.typtypmod ELSE b.typmod END AS typmod \
       FROM base b JOIN pg_catalog.pg_type e ON e.typarray = b.oid WHERE b.typtype <> 'd' \
       UNION ALL \
       SELECT l.attnum, l.element, t.oid, t.typtype, t.typbasetype, \
              CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE l.typmod END \
       FROM leaf l JOIN pg_catalog.pg_type t ON t.oid = l.typbasetype WHERE l.typtype = 'd') \
     SELECT a.attname::text AS name, \
            CASE bn.nspname WHEN 'pg_catalog' THEN pg_catalog.format_type(b.oid, b.typmod) \
              ELSE pg_catalog.quote_ident(bn.nspname) || '.' || pg_catalog.quote_ident(bt.typname) END AS base_type, \
            (SELECT pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(d.typname) FROM pg_catalog.pg_type d \
              JOIN pg_catalog.pg_namespace n ON n.oid = d.typnamespace WHERE d.oid = a.atttypid AND d.typtype = 'd') AS domain, \
            (SELECT pg_catalog.format('%I.%I', n.nspname, k.collname) FROM pg_catalog.pg_collation k \
              JOIN pg_catalog.pg_namespace n ON n.oid = k.collnamespace WHERE k.oid = a.attcollation) AS collation, \
            coalesce((SELECT NOT (pg_catalog.to_jsonb(k) ->> 'collisdeterministic')::boolean FROM pg_catalog.pg_collation k \
              WHERE k.oid = coalesce((SELECT r.rngcollation FROM pg_catalog.pg_range r WHERE t.oid = r.rngtypid \
                OR t.oid = (pg_catalog.to_jsonb(r) ->> 'rngmultitypid')::oid), a.attcollation)), false) AS folds, \
            bn.nspname::text AS base_schema, bt.typname::text AS base_name, \
            tn.nspname::text AS type_schema, t.typname::text AS type_name, t.typtype::text AS kind, \
            t.typisdefined AS is_defined, coalesce(l.typmod, b.typmod) AS typmod, l.element::bigint AS element, \
            t.typdelim::text AS delimiter, \
            l.oid IS NOT NULL AND EXISTS (SELECT 1 FROM pg_catalog.pg_type e WHERE e.typarray = t.oid) AS is_nested, \
            (SELECT p.proname::text FROM pg_catalog.pg_proc p WHERE p.oid = t.typinput) AS input, \
            CASE WHEN t.typtype IN ('r', 'm') THEN '=' ELSE \
              (SELECT CASE n.nspname WHEN 'pg_catalog' THEN '=' \
                        ELSE 'OPERATOR(' || pg_catalog.quote_ident(n.nspname) || '.' || p.oprname || ')' END \
               FROM pg_catalog.pg_opclass o JOIN pg_catalog.pg_am m ON m.oid = o.opcmethod \
               JOIN pg_catalog.pg_amop e ON e.amopfamily = o.opcfamily AND e.amoplefttype = o.opcintype \
                 AND e.amoprighttype = o.opcintype AND e.amopstrategy = CASE m.amname WHEN 'btree' THEN 3 ELSE 1 END \
               JOIN pg_catalog.pg_operator p ON p.oid = e.amopopr \
               JOIN pg_catalog.pg_namespace n ON n.oid = p.oprnamespace \
               WHERE m.amname IN ('btree', 'hash') AND o.opcdefault AND o.opcintype = t.oid \
               ORDER BY m.amname LIMIT 1) END AS equality, \
            a.attnotnull OR b.domain_not_null AS not_null, \
            a.atthasdef OR a.attidentity <> '' OR EXISTS (SELECT FROM pg_catalog.pg_type d \
              WHERE d.oid = a.atttypid AND d.typdefault IS NOT NULL) AS has_default, \
            a.attgenerated <> '' AS is_generated, \
            ARRAY(SELECT e.enumlabel::text FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid \
                  ORDER BY e.enumsortorder) AS labels \
     FROM base b JOIN pg_catalog.pg_attribute a ON a.attrelid = $1::oid AND a.attnum = b.attnum \
     JOIN pg_catalog.pg_type bt ON bt.oid = b.oid JOIN pg_catalog.pg_namespace bn ON bn.oid = bt.typnamespace \
     LEFT JOIN leaf l ON l.attnum = b.attnum AND l.typtype <> 'd' \
     JOIN pg_catalog.pg_type t ON t.oid = coalesce(l.oid, b.oid) \
     JOIN pg_catalog.pg_namespace tn ON tn.oid = t.typnamespace \
     WHERE b.typtype <> 'd' ORDER BY a.attnum";

/// The columns, in the order of the catalog.
///
/// # Errors
/// The server's.
pub(super) async fn read_columns(
    connection: &mut PgConnection,
    table: i64,
) -> Result<(Vec<Column>, Vec<ColumnSql>), Error> {
    let rows = query(COLUMNS).bind(table).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((column(row)?, column_sql(row)?))).collect()
}

fn column_sql(row: &PgRow) -> Result<ColumnSql, Error> {
    Ok(ColumnSql {
        name: row.try_get("name")?,
        base_type: row.try_get("base_type")?,
        domain: row.try_get("domain")?,
        collation: row.try_get("collation")?,
        folds: row.try_get("folds")?,
    })
}

fn column(row: &PgRow) -> Result<Column, Error> {
    let element: Option<i64> = row.try_get("element")?;
    let scalar = scalar(row)?;
    let column_type = match element.map(u32::try_from) {
        None => scalar,
        Some(Ok(element_oid)) => array(row, scalar, element_oid)?,
        Some(Err(_)) => ColumnType::Unsupported(row.try_get("base_name")?),
    };
    Ok(Column {
        name: row.try_get("name")?,
        column_type,
        not_null: row.try_get("not_null")?,
        has_default: row.try_get("has_default")?,
        generated: row.try_get("is_generated")?,
    })
}

/// The column's type, or that of its elements.
fn scalar(row: &PgRow) -> Result<ColumnType, Error> {
    let schema: String = row.try_get("type_schema")?;
    let name: String = row.try_get("type_name")?;
    let (kind, input): (String, String) = (row.try_get("kind")?, row.try_get("input")?);
    if kind == "e" {
        return Ok(ColumnType::Enum(row.try_get("labels")?));
    }
    if input == "citextin" {
        let equality: Option<String> = row.try_get("equality")?;
        return Ok(ColumnType::Citext(equality.unwrap_or_else(|| "=".to_owned())));
    }
    let builtin = if schema == "pg_catalog" { builtin(&name, row.try_get("typmod")?) } else { None };
    if let Some(known) = builtin {
        return Ok(known);
    }
    let is_defined: bool = row.try_get("is_defined")?;
    if kind == "p" || !is_defined || INTERNAL.contains(&name.as_str()) {
        return Ok(ColumnType::Unsupported(format!("{schema}.{name}")));
    }
    let sql = format!("{}.{}", ident(&schema), ident(&name));
    Ok(ColumnType::Cast(CastType { name, sql, equality: row.try_get("equality")?, delimiter: None, element: None }))
}

fn array(row: &PgRow, element: ColumnType, element_oid: u32) -> Result<ColumnType, Error> {
    let is_nested: bool = row.try_get("is_nested")?;
    match element {
        ColumnType::Unsupported(name) => Ok(ColumnType::Unsupported(format!("{name}[]"))),
        // Its reader cuts what it is given, and the elements are read by the server.
        ColumnType::Cast(element) if element.is_one_byte() => Ok(ColumnType::Unsupported(format!("{}[]", element.sql))),
        ColumnType::Cast(element) => {
            let (schema, name): (String, String) = (row.try_get("base_schema")?, row.try_get("base_name")?);
            let sql = format!("{}.{}", ident(&schema), ident(&name));
            let delimiter: String = row.try_get("delimiter")?;
            // Elements that are arrays by way of a domain have no form as JSON: their text goes in as it is.
            let delimiter = delimiter.chars().next().filter(|_| !is_nested);
            // Arrays have one equality, which looks up that of the elements by itself.
            let equality = element.equality.map(|_| "=".to_owned());
            Ok(ColumnType::Cast(CastType { name, sql, equality, delimiter, element: Some(element.sql) }))
        }
        element => Ok(ColumnType::Array(Box::new(ArrayType { element, element_oid }))),
    }
}

fn builtin(name: &str, typmod: i32) -> Option<ColumnType> {
    // The typmod of varchar(n) and char(n) is n + 4, the size of the length word.
    let limit = u32::try_from(typmod - 4).ok();
    let digits = u8::try_from(typmod).unwrap_or(6).min(6);
    Some(match name {
        "bool" => ColumnType::Bool,
        "int2" => ColumnType::Int2,
        "int4" => ColumnType::Int4,
        "int8" => ColumnType::Int8,
        "float4" => ColumnType::Float4,
        "float8" => ColumnType::Float8,
        "text" => ColumnType::Text,
        "varchar" => limit.map_or(ColumnType::Text, ColumnType::Varchar),
        "bpchar" => limit.map_or(ColumnType::Text, ColumnType::Bpchar),
        "name" => ColumnType::Name,
        "uuid" => ColumnType::Uuid,
        "json" => ColumnType::Json,
        "jsonb" => ColumnType::Jsonb,
        "numeric" => ColumnType::Numeric(numeric_limit(typmod)),
        "date" => ColumnType::Date,
        "time" => ColumnType::Time(digits),
        "timetz" => ColumnType::Timetz(digits),
        "timestamp" => ColumnType::Timestamp(digits),
        "timestamptz" if digits == 6 => ColumnType::Timestamptz,
        "timestamptz" => ColumnType::TimestamptzDigits(digits),
        "interval" => ColumnType::Interval(typmod),
        "inet" => ColumnType::Inet,
        "cidr" => ColumnType::Cidr,
        "macaddr" => ColumnType::Macaddr,
        "macaddr8" => ColumnType::Macaddr8,
        "bytea" => ColumnType::Bytea,
        _ => return None,
    })
}

/// Precision in the upper half of the typmod, behind the size of the length word; scale in the lower eleven bits, signed.
fn numeric_limit(typmod: i32) -> Option<NumericLimit> {
    let packed = typmod.checked_sub(4).filter(|packed| *packed >= 0)?;
    Some(NumericLimit { precision: packed >> 16 & 0xffff, scale: ((packed & 0x7ff) ^ 1024) - 1024 })
}

#[cfg(test)]
mod tests {
    use super::numeric_limit;
    use crate::model::NumericLimit;

    #[test]
    fn typmods_of_numeric_as_postgresql_packs_them() {
        for (typmod, limit) in [
            (-1, None),
            (655_366, Some((10, 2))),
            (4 + (1000 << 16 | 1000), Some((1000, 1000))),
            (4 + (2 << 16 | 0x7fd), Some((2, -3))),
            (4 + (5 << 16), Some((5, 0))),
        ] {
            assert_eq!(numeric_limit(typmod), limit.map(|(precision, scale)| NumericLimit { precision, scale }));
        }
    }
}
