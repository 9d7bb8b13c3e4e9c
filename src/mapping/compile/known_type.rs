//! What a type's name alone says: enough to hold the settings of a column against its type without a server.

use crate::model::{ArrayType, ColumnType, NumericLimit};

/// The type that goes by a name of PostgreSQL's own, such as `varchar(40)` or `numeric(10,2)[]`. `None` for every other,
/// such as an enum, a domain or an extension's: what it is, the server knows.
pub(super) fn known_type(name: &str) -> Option<ColumnType> {
    let name = name.trim().to_lowercase();
    if let Some(element) = name.strip_suffix("[]") {
        return Some(match known_type(element)? {
            // However many dimensions it is declared with.
            array @ ColumnType::Array(_) => array,
            element => ColumnType::Array(Box::new(ArrayType { element, element_oid: 0 })),
        });
    }
    let (head, arguments, tail) = match name.split_once('(') {
        Some((head, rest)) => rest.split_once(')').map(|(arguments, tail)| (head, arguments, tail))?,
        None => (name.as_str(), "", ""),
    };
    let words: Vec<&str> = head.split_whitespace().chain(tail.split_whitespace()).collect();
    let numbers = arguments.split(',').filter(|number| !number.trim().is_empty());
    let numbers: Vec<i32> = numbers.map(|number| number.trim().parse().ok()).collect::<Option<_>>()?;
    plain(&words.join(" "), &numbers).or_else(|| sized(&words.join(" "), &numbers))
}

/// A type that has neither length nor digits.
fn plain(name: &str, numbers: &[i32]) -> Option<ColumnType> {
    if !numbers.is_empty() {
        return None;
    }
    Some(match name {
        "boolean" | "bool" => ColumnType::Bool,
        "smallint" | "int2" => ColumnType::Int2,
        "integer" | "int" | "int4" => ColumnType::Int4,
        "bigint" | "int8" => ColumnType::Int8,
        "real" | "float4" => ColumnType::Float4,
        "double precision" | "float8" | "float" => ColumnType::Float8,
        "text" => ColumnType::Text,
        "name" => ColumnType::Name,
        "uuid" => ColumnType::Uuid,
        "json" => ColumnType::Json,
        "jsonb" => ColumnType::Jsonb,
        "bytea" => ColumnType::Bytea,
        "date" => ColumnType::Date,
        "interval" => ColumnType::Interval(-1),
        "inet" => ColumnType::Inet,
        "cidr" => ColumnType::Cidr,
        "macaddr" => ColumnType::Macaddr,
        "macaddr8" => ColumnType::Macaddr8,
        _ => return None,
    })
}

/// A type that may have a length, or digits.
fn sized(name: &str, numbers: &[i32]) -> Option<ColumnType> {
    let length = || match numbers {
        [length] => u32::try_from(*length).ok().map(Some),
        [] => Some(None),
        _ => None,
    };
    let digits = || length().map(|digits| digits.map_or(6, |digits| u8::try_from(digits).map_or(6, |few| few.min(6))));
    Some(match name {
        "varchar" | "character varying" => length()?.map_or(ColumnType::Text, ColumnType::Varchar),
        "char" | "character" => ColumnType::Bpchar(length()?.unwrap_or(1)),
        "numeric" | "decimal" => match *numbers {
            [] => ColumnType::Numeric(None),
            [precision] => ColumnType::Numeric(Some(NumericLimit { precision, scale: 0 })),
            [precision, scale] => ColumnType::Numeric(Some(NumericLimit { precision, scale })),
            _ => return None,
        },
        "time" | "time without time zone" => ColumnType::Time(digits()?),
        "timetz" | "time with time zone" => ColumnType::Timetz(digits()?),
        "timestamp" | "timestamp without time zone" => ColumnType::Timestamp(digits()?),
        "timestamptz" | "timestamp with time zone" => match digits()? {
            6 => ColumnType::Timestamptz,
            few => ColumnType::TimestamptzDigits(few),
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::known_type;
    use crate::model::{ColumnType, NumericLimit};

    #[test]
    fn names_are_read_as_postgresql_writes_them() {
        for (name, expected) in [
            ("Text", ColumnType::Text),
            (" varchar ( 40 ) ", ColumnType::Varchar(40)),
            ("character varying", ColumnType::Text),
            ("char", ColumnType::Bpchar(1)),
            ("double  precision", ColumnType::Float8),
            ("numeric(10,2)", ColumnType::Numeric(Some(NumericLimit { precision: 10, scale: 2 }))),
            ("numeric", ColumnType::Numeric(None)),
            ("time(3) with time zone", ColumnType::Timetz(3)),
            ("timestamp with time zone", ColumnType::Timestamptz),
            ("timestamptz(0)", ColumnType::TimestamptzDigits(0)),
        ] {
            assert_eq!(known_type(name), Some(expected), "{name}");
        }
        let element = |name| match known_type(name) {
            Some(ColumnType::Array(array)) => Some(array.element),
            _ => None,
        };
        assert_eq!(element("text[]"), Some(ColumnType::Text));
        assert_eq!(element("integer[][]"), Some(ColumnType::Int4));
    }

    #[test]
    fn what_the_server_alone_knows_is_not_guessed() {
        for name in
            ["app.kind", "kind", "\"text\"", "int(4)", "interval day", "vector(3)", "xml", "text[3]", "(", "bit(3)"]
        {
            assert_eq!(known_type(name), None, "{name}");
        }
    }
}
