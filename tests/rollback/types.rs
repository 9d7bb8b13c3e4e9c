//! Values of every type come back as they were: an image is taken, the row is overwritten, and put back.

use crate::support::Case;
use crate::{id, rows, undo};
use proptest::prelude::{Strategy, any, prop};
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngSeed, TestRunner};
use std::time::{SystemTime, UNIX_EPOCH};

/// Columns of all types that rows are loaded into, and some that only the application writes; each with literals that a
/// careless image would lose something of.
const COLUMNS: [(&str, &str, &[&str]); 38] = [
    ("a", "boolean", &["true", "false"]),
    ("b", "smallint", &["-32768", "0"]),
    ("c", "integer", &["2147483647"]),
    ("d", "bigint", &["-9223372036854775808"]),
    ("e", "real", &["1.1", "'NaN'", "'-Infinity'", "0.1::real + 0.2::real", "1e-45"]),
    ("f", "double precision", &["0.1::float8 + 0.2::float8", "'NaN'", "'Infinity'", "'-0'", "5e-324"]),
    ("g", "numeric", &["1.50", "'NaN'", "1e-40", "123456789012345678901234567890.000"]),
    ("h", "numeric(12, 4)", &["1.5", "-0.0001"]),
    ("i", "text", &["''", "E'a\\n\"\\\\\\u00e9'", "' x '"]),
    ("j", "varchar(5)", &["'  a  '", "''"]),
    ("k", "char(4)", &["'a'", "''"]),
    ("l", "uuid", &["'00000000-0000-0000-0000-00000000000a'"]),
    ("m", "json", &["'{ \"b\": 1, \"a\": 1.0, \"a\": 2 }'", "'null'", "'[]'"]),
    ("n", "jsonb", &["'null'", "'{\"a\": 1.00, \"b\": null}'", "'\"x\"'", "'[1, [2]]'"]),
    ("o", "timestamptz", &["'infinity'", "'0044-03-15 12:00:00.123456 BC'", "'1883-11-18 12:03:58 America/New_York'"]),
    ("p", "timestamp", &["'-infinity'", "'2024-02-29 23:59:59.999999'"]),
    ("q", "date", &["'infinity'", "'0001-01-01 BC'", "'2024-02-29'"]),
    ("r", "time", &["'24:00:00'", "'00:00:00.000001'"]),
    ("s", "timetz", &["'12:00:00.5+05:30'"]),
    ("t", "interval", &["'1 mon -1 day 00:00:00.000001'", "'-1 year -2 mons +3 days -04:05:06.789'", "'30 days'"]),
    ("u", "bytea", &["'\\x00ff5c27'", "''"]),
    ("v", "inet", &["'10.0.0.1/8'", "'::1'"]),
    ("w", "cidr", &["'10.0.0.0/8'"]),
    ("x", "macaddr", &["'08:00:2b:01:02:03'"]),
    ("y", "integer[]", &["'[0:1]={1,NULL}'", "'{}'", "'{{1,2},{3,4}}'"]),
    ("z", "text[]", &["array['NULL', NULL, 'a,b', '{\"', '']"]),
    ("aa", "jsonb[]", &["array['null'::jsonb, NULL, '{\"a\": [1]}']"]),
    ("ab", "tstzrange", &["'[2024-01-01 00:00+00,infinity)'", "'empty'", "'(,)'"]),
    ("ac", "bit(5)", &["B'00110'"]),
    ("ad", "varbit", &["B'1'", "B''"]),
    ("ae", "point", &["'(0.1,-0)'"]),
    ("af", "tsvector", &["'''a b'':1A c:2'"]),
    ("ag", "xml", &["'<a>1</a><b/>'", "'x'"]),
    ("ah", "money", &["'-12.34'"]),
    ("ai", "mood", &["'so ''so'''", "'ok'"]),
    ("aj", "pair", &["row(1, NULL, '{\"k\": null}')::pair", "row(NULL, 'a,\"b', 'null')::pair"]),
    ("ak", "few", &["'{1,2}'", "'[3:3]={9}'"]),
    ("al", "citext", &["'aB'"]),
];

const TYPES: &str = "CREATE EXTENSION IF NOT EXISTS citext; CREATE TYPE mood AS ENUM ('so ''so''', 'ok'); \
    CREATE TYPE pair AS (n integer, t text, j jsonb); CREATE DOMAIN few AS integer[] CHECK (cardinality(VALUE) < 5);";

const CONFIG: &str = r#"
[[mapping]]
name = "values"
match = "value:{id}"
into = "public.vals"
key = ["id"]
on_conflict = "update"
column = [
  { name = "id", from = ["{id}"] },
  { name = "loaded", from = ["$.n"] },
]
"#;

fn table() -> String {
    let columns: Vec<String> = COLUMNS.iter().map(|(name, kind, _)| format!("{name} {kind}")).collect();
    format!(
        "{TYPES} CREATE TABLE vals (id integer PRIMARY KEY, loaded integer, always integer GENERATED ALWAYS AS IDENTITY, \
         twice integer GENERATED ALWAYS AS (id * 2) STORED, gone integer, {}); ALTER TABLE vals OWNER TO redis2pg",
        columns.join(", ")
    )
}

/// A row: of each column a literal, or none.
fn row() -> impl Strategy<Value = Vec<Option<usize>>> {
    prop::collection::vec(prop::option::weighted(0.8, any::<usize>()), COLUMNS.len())
}

fn literals(row: &[Option<usize>]) -> Vec<String> {
    let literal = |((_, kind, literals), pick): (&(&str, &str, &[&str]), &Option<usize>)| match pick {
        Some(pick) => format!("({})::{kind}", literals[pick % literals.len()]),
        None => format!("NULL::{kind}"),
    };
    COLUMNS.iter().zip(row).map(literal).collect()
}

/// jsonb has no such number.
#[test]
fn a_zero_below_zero_is_put_back_and_only_such_a_one_is_kept_as_text() {
    let case = Case::new();
    case.sql(
        "CREATE DOMAIN degrees AS double precision CHECK (VALUE < 360); CREATE DOMAIN small AS real; \
         CREATE TABLE vals (id integer PRIMARY KEY, a real, b double precision, c degrees, d small, e real, f double precision, g numeric); \
         INSERT INTO vals VALUES (1, '-0', '-0', '-0', '-0', 0, -0.5, 0), (2, 0, 0, 0, 0, 'NaN', NULL, 0); \
         ALTER TABLE vals OWNER TO redis2pg",
    );
    let columns: Vec<String> =
        ["a", "b", "c", "d", "e", "f", "g"].map(|name| format!("{{ name = \"{name}\", from = [\"$.n\"] }},")).into();
    let config = CONFIG.replace("{ name = \"loaded\", from = [\"$.n\"] },", &columns.join("\n"));
    case.redis().set_many(&[1, 2].map(|id| (format!("value:{id}"), r#"{"n":7}"#.to_owned())));
    let before = rows(&case, "vals");
    let run = case.run_config(&config, &[]).exits(0);
    assert_eq!(run.total("updated"), 2, "{run}");
    assert_eq!(
        case.sql("SELECT row_key ->> 'id', exact FROM redis2pg.before_images ORDER BY 1"),
        "1|{\"a\": \"-0\", \"b\": \"-0\", \"c\": \"-0\", \"d\": \"-0\"}\n2|"
    );
    let undone = undo(&case, &id(&run));
    assert_eq!(undone.counts(), [0, 2, 0], "{:#}", undone.json);
    assert_eq!(rows(&case, "vals"), before);
}

#[test]
fn whatever_type_a_value_has_it_comes_back_as_it_was() {
    let seed = std::env::var("REDIS2PG_TEST_SEED").ok().map(|text| text.parse().unwrap());
    let seed = seed.unwrap_or_else(|| u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos()));
    eprintln!("REDIS2PG_TEST_SEED={seed}");
    let mut runner = TestRunner::new(Config { rng_seed: RngSeed::Fixed(seed), ..Config::default() });
    let case = Case::new();
    case.sql(&table());
    // What a session is set to must not matter.
    case.sql(&format!(
        "ALTER ROLE redis2pg IN DATABASE {0} SET extra_float_digits = -3; ALTER ROLE redis2pg IN DATABASE {0} SET datestyle = 'SQL, DMY'; \
         ALTER ROLE redis2pg IN DATABASE {0} SET intervalstyle = 'sql_standard'; ALTER ROLE redis2pg IN DATABASE {0} SET timezone = 'Asia/Kolkata'; \
         ALTER ROLE redis2pg IN DATABASE {0} SET bytea_output = 'escape'; \
         ALTER ROLE redis2pg IN DATABASE {0} SET array_nulls = off",
        case.database
    ));
    // Each literal once, whatever the seed.
    let most = COLUMNS.iter().map(|(_, _, literals)| literals.len()).max().unwrap();
    let mut picked: Vec<Vec<Option<usize>>> = (0..most).map(|n| vec![Some(n); COLUMNS.len()]).collect();
    picked.push(vec![None; COLUMNS.len()]);
    picked.extend((0..150).map(|_| row().new_tree(&mut runner).unwrap().current()));
    let names: Vec<&str> = COLUMNS.iter().map(|(name, _, _)| *name).collect();
    let mut pairs = Vec::new();
    let mut inserts = String::new();
    for (id, row) in picked.iter().enumerate() {
        inserts += &format!(
            "INSERT INTO vals (id, loaded, gone, {}) VALUES ({id}, 1, 5, {});",
            names.join(", "),
            literals(row).join(", ")
        );
        pairs.push((format!("value:{id}"), r#"{"n":2}"#.to_owned()));
    }
    case.sql(&inserts);
    case.redis().set_many(&pairs);
    let before = rows(&case, "vals");
    let run = case.run_config(CONFIG, &[]).exits(0);
    assert_eq!(run.total("updated"), i64::try_from(picked.len()).unwrap());
    let undone = undo(&case, &id(&run));
    assert_eq!(undone.counts(), [0, run.total("updated"), 0], "{:#}", undone.json);
    assert_eq!(rows(&case, "vals"), before);
}
