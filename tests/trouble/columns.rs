//! Columns of every type: what fits them, and what does not, with the reason.

use crate::moments;
use crate::random::Random;
use crate::spellings::{self as of, Fit};

/// A column of the table.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) sql: &'static str,
    /// Its settings in the mapping.
    pub(crate) settings: &'static str,
    pub(crate) fit: fn(&mut Random) -> Fit,
    /// JSON that does not fit, by reason.
    pub(crate) bad: &'static [(&'static str, &'static [&'static str])],
}

const DIGITS: &[&str] = &["integer"];
const RANGE: &[&str] = &["number_range"];
const KIND: &[&str] = &["type_mismatch"];

/// All columns but the key.
pub(crate) fn columns() -> impl ExactSizeIterator<Item = &'static Column> + Clone {
    (0..COLUMNS.len() + moments::COLUMNS.len())
        .map(|place| COLUMNS.get(place).unwrap_or_else(|| &moments::COLUMNS[place - COLUMNS.len()]))
}

/// Columns of numbers, texts and names.
const COLUMNS: &[Column] = &[
    Column {
        name: "size",
        sql: "bigint",
        settings: "",
        fit: of::integer,
        bad: &[
            ("\"1,234\"", DIGITS),
            ("\"1_000\"", DIGITS),
            ("\"0x10\"", DIGITS),
            ("\"12\\u00a0\"", DIGITS),
            ("\"１２\"", DIGITS),
            ("\"\"", DIGITS),
            ("\"None\"", DIGITS),
            ("\"--1\"", DIGITS),
            ("\"1 2\"", DIGITS),
            ("1.5", DIGITS),
            ("9223372036854775808", RANGE),
            ("\"-9223372036854775809\"", RANGE),
            ("true", KIND),
            ("[1]", KIND),
        ],
    },
    Column {
        name: "small",
        sql: "smallint",
        settings: "",
        fit: of::small,
        bad: &[("32768", RANGE), ("\"-32769\"", RANGE), ("1e5", RANGE)],
    },
    Column {
        name: "exact",
        sql: "bigint",
        settings: "integer_from_exponent = \"reject\"",
        fit: of::small,
        bad: &[("1.2345678901235e+16", &["integer_from_exponent"]), ("1e3", &["integer_from_exponent"])],
    },
    Column {
        name: "amount",
        sql: "numeric(10,2)",
        settings: "",
        fit: of::numeric,
        bad: &[
            ("1.234", &["too_precise"]),
            ("123456789.01", RANGE),
            ("\"12,5\"", &["number"]),
            ("\"NaN\"", &["number"]),
        ],
    },
    Column {
        name: "ratio",
        sql: "double precision",
        settings: "",
        fit: of::double,
        bad: &[
            ("1e400", RANGE),
            ("1e-400", RANGE),
            ("\"x\"", &["number"]),
            ("\"Infinity\"", &["number"]),
            ("{}", KIND),
        ],
    },
    Column {
        name: "single",
        sql: "real",
        settings: "",
        fit: of::single,
        bad: &[("1e39", RANGE), ("\"1e-50\"", RANGE)],
    },
    Column {
        name: "flag",
        sql: "boolean",
        settings: "",
        fit: of::boolean,
        bad: &[
            ("\"2\"", &["boolean"]),
            ("2", &["boolean"]),
            ("\"\"", &["boolean"]),
            ("\"wahr\"", &["boolean"]),
            ("[]", KIND),
        ],
    },
    Column {
        name: "title",
        sql: "varchar(5)",
        settings: "",
        fit: of::title,
        bad: &[
            ("\"abcdef\"", &["too_long"]),
            ("\"日本語日本語\"", &["too_long"]),
            ("\"abc        \"", &["too_long"]),
            ("\"e\\u0301e\\u0301e\\u0301\"", &["too_long"]),
            ("\"👩\\u200d👩\\u200d👦x\"", &["too_long"]),
            ("{\"a\":1}", KIND),
        ],
    },
    Column {
        name: "code",
        sql: "char(4)",
        settings: "",
        fit: of::code,
        bad: &[("\"abcde\"", &["too_long"]), ("\"abc  \"", &["too_long"])],
    },
    Column {
        name: "label",
        sql: "name",
        settings: "",
        fit: of::given,
        bad: &[("\"0123456789012345678901234567890123456789012345678901234567890123\"", &["too_long"])],
    },
    Column { name: "cut", sql: "varchar(3)", settings: "too_long = \"truncate\"", fit: of::cut, bad: &[("[]", KIND)] },
    Column {
        name: "mood",
        sql: "mood",
        settings: "",
        fit: of::mood,
        bad: &[("\"OK\"", &["enum"]), ("\"\"", &["enum"]), ("\"so\"", &["enum"])],
    },
    Column {
        name: "percent",
        sql: "percent",
        settings: "",
        fit: of::percent,
        bad: &[("100.01", &["check"]), ("\"-1\"", &["check"]), ("1.234", &["too_precise"])],
    },
];
