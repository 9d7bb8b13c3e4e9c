//! Collations that take texts for equal which are not the same: what changed has changed, whatever the table thinks of it.

use crate::support::Case;
use crate::{ends, found};
use serde_json::json;

/// `a` is `A`, as in many a column of addresses.
const COLLATION: &str = "CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);";

/// Columns with such a collation, each in its own way: by itself, by its elements, its domain, its domain's elements, its range.
const COLUMNS: [(&str, &str, &str); 8] = [
    ("title", "text COLLATE folded", r#""ab""#),
    ("short", "varchar(9) COLLATE folded", r#""ab""#),
    ("fixed", "char(4) COLLATE folded", r#""ab""#),
    ("tags", "text[] COLLATE folded", r#"["ab","c"]"#),
    ("label", "label", r#""ab""#),
    ("labels", "label[]", r#"["ab"]"#),
    ("span", "span", r#""[ab,b]""#),
    ("other", "label COLLATE \"C\"", r#""ab""#),
];

fn config() -> String {
    let columns: String =
        COLUMNS.iter().map(|(name, ..)| format!("  {{ name = \"{name}\", from = [\"$.{name}\"] }},\n")).collect();
    format!(
        "[[mapping]]\nname = \"texts\"\nmatch = \"text:{{id}}\"\ninto = \"public.texts\"\nkey = [\"id\"]\n\
         lineage = {{ column = \"metadata\", document_id = \"{{id}}\" }}\ncolumn = [\n  {{ name = \"id\", from = [\"{{id}}\"] }},\n\
         {columns}  {{ name = \"metadata\", from = [] }},\n]\n"
    )
}

#[test]
fn a_text_that_changed_to_an_equal_one_is_stale_and_is_written_and_its_key_stays_until_then() {
    let case = Case::new();
    let columns: String = COLUMNS.iter().map(|(name, kind, _)| format!("{name} {kind}, ")).collect();
    case.sql(&format!(
        "{COLLATION} SET ROLE redis2pg; CREATE DOMAIN label AS text COLLATE folded; \
         CREATE TYPE span AS RANGE (subtype = text, collation = folded); \
         CREATE TABLE texts (id text PRIMARY KEY, {columns}metadata jsonb)"
    ));
    let config = config();
    let mut redis = case.redis();
    // Each key has all columns; the one of its name is to change.
    let value = |changed: &str| {
        let member = |(name, _, value): &(&str, &str, &str)| {
            let value = if *name == changed { value.to_uppercase() } else { (*value).to_owned() };
            format!("\"{name}\":{value}")
        };
        format!("{{{}}}", COLUMNS.iter().map(member).collect::<Vec<_>>().join(","))
    };
    COLUMNS.iter().for_each(|(name, ..)| redis.set(&format!("text:{name}"), &value("")));
    redis.set("text:same", &value(""));
    ends(case.run_config(&config, &[]), 0);
    found(&ends(case.validate(&config, &["--strict"]), 0), "texts", &[("equal", 9)]);
    COLUMNS.iter().for_each(|(name, ..)| redis.set(&format!("text:{name}"), &value(name)));
    let outcome = ends(case.validate(&config, &[]), 0);
    let told = outcome.report["validation"]["mappings"]["texts"]["columns"].clone();
    let each: serde_json::Map<_, _> = COLUMNS.iter().map(|(name, ..)| ((*name).to_owned(), json!(1))).collect();
    assert_eq!(told, json!(each), "{outcome}");
    found(&outcome, "texts", &[("equal", 1), ("stale", 8)]);
    let cleaned = ends(case.cleanup(&config, &["--yes"]), 0);
    assert_eq!(cleaned.report["cleanup"]["deleted"], 1, "{cleaned}");
    assert_eq!(redis.integer(&[b"DBSIZE"]), 8, "the only true copies");
    let run = ends(case.run_config(&config, &[]), 0);
    assert_eq!((run.count("texts", "updated"), run.count("texts", "unchanged")), (8, 0), "{run}");
    assert_eq!(
        case.sql("SELECT title, span FROM texts WHERE id IN ('title', 'span') ORDER BY id"),
        "ab|[AB,B]\nAB|[ab,b]"
    );
    found(&ends(case.validate(&config, &["--strict"]), 0), "texts", &[("cleaned", 1), ("equal", 8)]);
}

#[test]
fn a_row_whose_key_is_spelled_otherwise_now_stays_the_runs_own() {
    let case = Case::new();
    case.sql(&format!(
        "{COLLATION} SET ROLE redis2pg; CREATE TABLE items (id text COLLATE folded PRIMARY KEY, n integer)"
    ));
    let config = r#"
[[mapping]]
name = "items"
match = "item:{number}"
into = "public.items"
key = ["id"]
column = [
  { name = "id", from = ["$.id"] },
  { name = "n", from = ["$.n"] },
]
"#;
    let mut redis = case.redis();
    redis.set("item:1", r#"{"id":"a","n":1}"#);
    ends(case.run_config(config, &[]), 0);
    for n in 2..4 {
        redis.set("item:1", &format!(r#"{{"id":"A","n":{n}}}"#));
        let run = ends(case.run_config(config, &[]), 0);
        assert_eq!(run.count("items", "updated"), 1, "{run}");
    }
    assert_eq!(case.sql("SELECT id, n FROM items"), "a|3");
    assert_eq!(case.sql("SELECT row_key FROM redis2pg.loaded"), r#"{"id": "a"}"#);
    redis.set("item:1", r#"{"id":"A","n":4}"#);
    found(&ends(case.validate(config, &[]), 0), "items", &[("stale", 1)]);
    // Two keys of one row, in one batch.
    redis.set("item:2", r#"{"id":"b","n":1}"#);
    redis.set("item:3", r#"{"id":"B","n":2}"#);
    let run = ends(case.run_config(config, &[]), 3);
    assert_eq!(run.reasons("items").into_iter().collect::<Vec<_>>(), [("key_collision".to_owned(), 1)], "{run}");
}

#[test]
fn keys_that_the_lineages_collation_takes_for_one_are_two() {
    let case = Case::new();
    case.sql(&format!(
        "{COLLATION} SET ROLE redis2pg; CREATE TABLE things (id text PRIMARY KEY, n integer, \
         redis_key text COLLATE folded, redis_digest text COLLATE folded, redis_run uuid)"
    ));
    let config = r#"
[[mapping]]
name = "things"
match = "{kind}:{id}"
into = "public.things"
key = ["id"]
lineage = { columns = { key = "redis_key", digest = "redis_digest", run = "redis_run" } }
column = [
  { name = "id", from = ["{id}"] },
  { name = "n", from = ["$.n"] },
]
"#;
    let mut redis = case.redis();
    // As many as are asked for before they are sent.
    (0..60).for_each(|id| redis.set(&format!("K:{id}"), r#"{"n":1}"#));
    ends(case.run_config(config, &[]), 0);
    let run = ends(case.run_config(config, &[]), 0);
    assert_eq!(run.count("things", "unchanged"), 60, "{run}");
    (0..60).for_each(|id| {
        redis.say(&format!("RENAME K:{id} k:{id}"));
    });
    found(&ends(case.validate(config, &[]), 4), "things", &[("extra", 60), ("missing", 60)]);
    let cleaned = case.cleanup(config, &["--yes"]);
    assert_eq!((&cleaned.report["cleanup"]["deleted"], redis.integer(&[b"DBSIZE"])), (&json!(0), 60), "{cleaned}");
    let run = ends(case.run_config(config, &[]), 3);
    assert_eq!(run.count("things", "unchanged"), 0, "{run}");
}
