//! Each type under texts that are nearly right: see [`crate::oracle`].

use crate::oracle::{Judged, near, texts};
use crate::support;
use proptest::strategy::Strategy as _;
use redis2pg::decode::scan;
use redis2pg::encode::{EncodeError, Value};
use redis2pg::model::{ArrayType, CastType, ColumnType, NumericLimit};
use sqlx::{Connection, PgConnection, Row as _};

#[rustfmt::skip]
const NUMBERS: &[&str] = &[
    "0", "-0", "1", "12", "+12", "007", " 42 ", "1.5", "1.0", "-1.50", ".5", "5.", "1e3", "1E-3", "1.25e2", "1e400",
    "1e-400", "32767", "-32768", "32768", "2147483647", "-2147483648", "9223372036854775807", "-9223372036854775808",
    "9223372036854775808", "18446744073709551616", "123456789012345678901234567890.5", "1.7976931348623157e308",
    "0.1000000000000000055511151231257827", "4.9e-324", "3.4028235e38", "1e-45", "1.17549435e-38", "99999.995",
    "999.99", "NaN", "Infinity", "-inf", "0x10", "1_000", "1,234", "0e99999999999", "1e-99999999999", "1e131071",
    "10000000000000000000000000000000000000000000e-40", "1.00000000000000000000000000000000000000000000000000",
    "0.00000000000000000000000000000000000000000000000000000000000001", "1e131072", "0.001e131074", "1e-16383",
    "1e-16384", "0e-16384", "1.000000000000000000000000000000000000000000001",
];
const OF_NUMBERS: &str = "0123456789019+-.eE _,x\u{a0}１";

#[test]
fn integers() {
    for (column_type, name) in [(ColumnType::Int2, "int2"), (ColumnType::Int4, "int4"), (ColumnType::Int8, "int8")] {
        // A zero is one whatever its exponent, and what has a fraction is none.
        let verdict = format!(
            "CASE WHEN x ~* '^ *[-+]?[0.]+e' THEN 0 WHEN x::numeric = trunc(x::numeric) THEN x::numeric::{name} END"
        );
        Judged::new(column_type, name).by(verdict).agrees(near(NUMBERS, OF_NUMBERS));
    }
}

#[test]
fn floats() {
    Judged::new(ColumnType::Float4, "float4").agrees(near(NUMBERS, OF_NUMBERS));
    Judged::new(ColumnType::Float8, "float8").agrees(near(NUMBERS, OF_NUMBERS));
}

#[test]
fn numerics() {
    let verdict = "CASE WHEN x ~* '^ *[-+]?[0.]+e[+]?0*[1-9][0-9]{6,} *$' THEN 0 ELSE x::numeric END";
    Judged::new(ColumnType::Numeric(None), "numeric").by(verdict).agrees(near(NUMBERS, OF_NUMBERS));
    for (precision, scale) in [(5, 2), (3, 0), (2, 4), (3, -2)] {
        let name = format!("numeric({precision},{scale})");
        let column_type = ColumnType::Numeric(Some(NumericLimit { precision, scale }));
        // What is rounded away may be smaller than anything that PostgreSQL reads.
        let verdict = format!("CASE WHEN x ~* '^ *[-+]?[0.]+e|e-0*[1-9][0-9]{{4,}}' THEN 0 ELSE x::{name} END");
        Judged::new(column_type, &name).by(verdict).rounding().agrees(near(NUMBERS, OF_NUMBERS));
    }
}

#[test]
fn booleans_and_uuids() {
    let words =
        &["true", "false", "t", "f", "yes", "no", "y", "n", "on", "off", "1", "0", " true ", "True", "of", "tr"];
    Judged::new(ColumnType::Bool, "bool").agrees(near(words, "truefalsyno10 O"));
    let ids = &[
        "0123abcd-89ab-4def-8012-3456789abcde",
        "0123ABCD89AB4DEF80123456789ABCDE",
        "{0123abcd-89ab-4def-8012-3456789abcde}",
    ];
    Judged::new(ColumnType::Uuid, "uuid").agrees(near(ids, "0123abcdefF-{}g "));
}

#[rustfmt::skip]
const MOMENTS: &[&str] = &[
    "2024-01-02T03:04:05Z", "2024-01-02T03:04:05.193378+05:30", "2024-02-29 23:59:59.999999-08", "2024-12-31T23:59:60Z",
    "2024-12-31T24:00:00Z", "2024-03-10T02:30:00-0500", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z",
    "2023-02-29T00:00:00Z", "2024-01-02 03:04 UTC", "2024-01-02", "2024-01-02T03:04:05.1234567Z", "2024-01-02t03:04:05z",
    "2024-01-02T03:04:05.12345650Z", "infinity", "now", "epoch", "J2451187", "20240102T030405Z", "2024-01-02T23:59.59Z",
    "2024-01-02T03:04:05+15:59", "2024-01-02T03:04:05 +05:30", "1999-12-31T23:59:59.999999Z", "2024-002", "2024-W01-1",
    "2024-01-02T03:04:05 BC", "2024-01-02 03:04:05 AM", "2024-01-02T03:04:05+05:30:15",
];
const OF_MOMENTS: &str = "0123456789-:.TZ +zt[]/UTCBAMW";

/// More than six digits of a second are cut, where PostgreSQL rounds.
const CUT: &str = "regexp_replace(x, '(:[0-9]+[.][0-9]{6})[0-9]+', '\\1')";

#[test]
fn moments() {
    let cast = |name: &str| format!("({CUT})::{name}");
    let moments = || near(MOMENTS, OF_MOMENTS);
    Judged::new(ColumnType::Timestamptz, "timestamptz").by(cast("timestamptz")).agrees(moments());
    let rounded = Judged::new(ColumnType::TimestamptzDigits(2), "timestamptz(2)").rounding();
    rounded.by(cast("timestamptz(2)")).agrees(moments());
    // PostgreSQL drops a zone that the column does not have; here the moment is converted.
    let clock = format!(
        "(CASE WHEN x ~* '(z|utc|[-+][0-9:]+) *$' AND x ~ ':' THEN ({CUT})::timestamptz AT TIME ZONE 'UTC' \
         ELSE ({CUT})::timestamp END)"
    );
    Judged::new(ColumnType::Timestamp(6), "timestamp").by(clock.as_str()).agrees(moments());
    Judged::new(ColumnType::Date, "date").by(format!("{clock}::date")).agrees(moments());
}

#[test]
fn times_of_day() {
    let times = &[
        "23:59",
        "03:04:05",
        "03:04:05.123456",
        "24:00:00",
        "24:00",
        "03:04:05.1234567",
        "03:04:05+05:30",
        "03:04:05Z",
        "23:59:60",
        "03:04:05-08",
        "00:00:00 UTC",
        "03:04.05",
    ];
    let near = || near(times, "0123456789:.+-Z ");
    Judged::new(ColumnType::Time(6), "time").by(format!("({CUT})::time")).agrees(near());
    Judged::new(ColumnType::Timetz(6), "timetz").by(format!("({CUT})::timetz")).agrees(near());
}

#[test]
fn intervals() {
    let spans = &[
        "P1Y2M3DT4H5M6.7S",
        "P1W",
        "PT0.5H",
        "-P1D",
        "P-1DT-2H",
        "1 day 02:03:04.5",
        "1 year 2 mons -3 days",
        "2 hours ago",
        "@ 1 min 2 secs",
        "01:02:03",
        "-00:00:01",
        "1.5 hours",
        "3 weeks",
        "5 milliseconds",
        "7 us",
        "P0001-02-03T04:05:06",
        "1 mon 30 days",
        "PT36H",
        "100000000 years",
        "1 day -1:00:00",
    ];
    // One sign for all is ISO 8601 too, and nothing that PostgreSQL reads.
    let verdict = "CASE WHEN btrim(x) ~ '^[+]P' THEN substr(btrim(x), 2)::interval \
                   WHEN btrim(x) ~ '^-P' THEN -(substr(btrim(x), 2)::interval) ELSE btrim(x)::interval END";
    let near = near(spans, "0123456789PYMWDTHS.-+: daysmonhurwkgc@");
    Judged::new(ColumnType::Interval(-1), "interval").by(verdict).agrees(near);
}

#[test]
fn addresses() {
    let addresses = &[
        "10.1.2.3",
        "10.0.0.0/8",
        "192.168.1.0/24",
        "::1",
        "fe80::1/64",
        "2001:db8::/32",
        "::ffff:1.2.3.4",
        "10.1",
        "10.01.2.3",
        "0.0.0.0/0",
        "1:2:3:4:5:6:7:8/128",
        "fe80::1/064",
    ];
    let near_address = || near(addresses, "0123456789abcf.:/ ");
    Judged::new(ColumnType::Inet, "inet").by("btrim(x)::inet").agrees(near_address());
    Judged::new(ColumnType::Cidr, "cidr").by("btrim(x)::cidr").agrees(near_address());
    let macs = &[
        "08:00:2b:01:02:03",
        "08-00-2b-01-02-03",
        "0800.2b01.0203",
        "08002b010203",
        "08002b:010203",
        "08002b.010203",
        "08:00:2b:01:02:03:04:05",
        "08002b0102030405",
    ];
    let near_mac = || near(macs, "0123456789abcdefF:-. ");
    Judged::new(ColumnType::Macaddr, "macaddr").agrees(near_mac());
    Judged::new(ColumnType::Macaddr8, "macaddr8").agrees(near_mac());
}

#[test]
fn texts_of_limited_length() {
    let texts = &["abc  ", "日本語日本", "e\u{301}e\u{301}", "a b c", "", "     ", "abcde ", "👨\u{200d}👩\u{200d}👧"];
    let near = || near(texts, "ab é日\u{301}\n\\");
    // PostgreSQL cuts blanks off the end in silence.
    let fits = |name: &str| format!("CASE WHEN length(x) <= 5 THEN x::{name} END");
    Judged::new(ColumnType::Varchar(5), "varchar(5)").by(fits("varchar(5)")).agrees(near());
    Judged::new(ColumnType::Bpchar(5), "char(5)").by(fits("char(5)")).agrees(near());
    Judged::new(ColumnType::Text, "text").agrees(near());
}

#[rustfmt::skip]
const DOCUMENTS: &[&str] = &[
    r#"{"a":1.10,"b":[true,false,null,"x"]}"#, r#"[1e400,-0,1E-5,0.0,-0.0]"#, r#""\ud83d\ude00\u00e9\/\n""#, "  42 ",
    r#"{"a":{"a":1},"a":2}"#, "null", r#"{"":""}"#, r#"["\u0041\\u0000"]"#, "{\"é\":\"日本\",\"\\u00e9\":3}", "1e131071",
    "[[],{},[{}],[[[1]]]]", "1e131072", "0.001e131074", "1e-16383", "1e-16384", "0e-16384", "0e99999999999", "-1.5e+10",
    "1e1000000000",
];
const OF_DOCUMENTS: &str = "{}[]\",:\\ u0e1.-+dn\t\n\u{1}é";

#[test]
fn json_is_what_postgresql_takes_for_it() {
    let checked = |encoder: &redis2pg::encode::Encoder, text: &str, out: &mut Vec<u8>| {
        let scanned = scan(text, &mut Vec::new()).map_err(|fault| {
            let error = fault.explain(text);
            EncodeError { reason: error.reason, detail: error.detail }
        })?;
        encoder.encode(Value::Json(scanned.span.of(text)), out)
    };
    Judged::new(ColumnType::Jsonb, "jsonb").agrees_by(near(DOCUMENTS, OF_DOCUMENTS), &checked);
    let trimmed = "btrim(x, E' \\n\\r\\t')::json";
    Judged::new(ColumnType::Json, "json").by(trimmed).agrees_by(near(DOCUMENTS, OF_DOCUMENTS), &checked);
}

#[test]
fn json_that_jsonb_takes_is_not_refused() {
    let refused: Vec<String> = texts(&near(DOCUMENTS, OF_DOCUMENTS), 20_000);
    let refused: Vec<String> = refused.into_iter().filter(|text| scan(text, &mut Vec::new()).is_err()).collect();
    assert!(refused.len() > 1_000);
    let (_, url) = support::database();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let lost: Vec<String> = runtime.block_on(async {
        let mut connection = PgConnection::connect(&url).await.unwrap();
        let judge = "CREATE FUNCTION takes(x text) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN PERFORM x::jsonb; \
                     RETURN true; EXCEPTION WHEN others THEN RETURN false; END $$";
        sqlx::raw_sql(judge).execute(&mut connection).await.unwrap();
        let found = sqlx::query("SELECT x FROM unnest($1::text[]) x WHERE takes(x)").bind(&refused);
        found.fetch_all(&mut connection).await.unwrap().iter().map(|row| row.get(0)).collect()
    });
    assert_eq!(lost, Vec::<String>::new());
}

#[test]
fn arrays() {
    let int4 = || Box::new(ArrayType { element: ColumnType::Int4, element_oid: 23 });
    let numbers =
        &["[1,2]", "[]", "[null,-3]", "[\"4\", 5.0]", "[[1,2],[3,4]]", "[[1],[2]]", " [7 ] ", "[1e2]", "[[[1]]]", "{}"];
    // Written with braces a JSON array of numbers is one of PostgreSQL's.
    let verdict = "CASE WHEN x ~ '[.][0-9]*[1-9]' THEN NULL ELSE translate(x, '[]', '{}')::numeric[]::int4[] END";
    Judged::new(ColumnType::Array(int4()), "int4[]").by(verdict).agrees(near(numbers, "0123456789[],.- \"nulle{}"));
    let text = || Box::new(ArrayType { element: ColumnType::Text, element_oid: 25 });
    let words = &[
        "[\"a\",\"b c\"]",
        "[\"\"]",
        "[null]",
        "[\"null\"]",
        "[1.10,true]",
        "[\"{a,b}\"]",
        "[\"a\\\"b\"]",
        "[\"\\\\\"]",
    ];
    let flat = near(words, "ab\", \\{}null10").prop_filter("arrays in it", |text| text.matches('[').count() < 2);
    let verdict = "ARRAY(SELECT jsonb_array_elements_text(x::jsonb))";
    Judged::new(ColumnType::Array(text()), "text[]").by(verdict).agrees(flat);
}

/// Types that the server reads: what is let through is what its reader gives back.
#[test]
fn texts_that_only_the_server_reads() {
    let cast = |name: &str| {
        ColumnType::Cast(CastType {
            name: name.to_owned(),
            sql: format!("\"pg_catalog\".\"{name}\""),
            equality: None,
            delimiter: None,
            element: None,
        })
    };
    let amounts =
        &["12.5", "-1,234,567.80", "$5", "-$5", "$-5", "1.239", "12,34", "", "(5)", "5-", "0.10", " 7 ", "+1", "1,234"];
    let exact = "CASE WHEN x::money::numeric = translate(x, '$,', '')::numeric THEN x END";
    Judged::new(cast("money"), "text").by(exact).agrees(near(amounts, "0123456789.,$-+() "));
    let numbers = &[
        "0",
        "7",
        "4294967295",
        "4294967296",
        "-1",
        "18446744073709551615",
        "18446744073709551616",
        "abc",
        "",
        " 7 ",
        "0x10",
    ];
    for name in ["oid", "xid", "cid", "xid8"] {
        let exact = format!("CASE WHEN x::{name}::text::numeric = x::numeric THEN x END");
        Judged::new(cast(name), "text").by(exact).agrees(near(numbers, "0123456789-+ xab"));
    }
}
