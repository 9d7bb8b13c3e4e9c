//! Elements of one large key that are one row to the database, and lie in different slices of the key.

use crate::support;

use support::{Case, Client, Outcome};

/// How many elements a key has: some ten slices.
const ELEMENTS: usize = 20_000;

/// Batches of less than two slices.
const SMALL: &str = "[flow]\nmemory = \"8 MiB\"\nbatch_rows = 2000\n";

fn mapping(key: &str, settings: &str) -> String {
    format!(
        r#"
[[mapping]]
name = "parts"
match = "{key}:{{id}}"
type = "{key}"
explode = true
into = "public.parts"
key = ["id", "n"]
{settings}
"#
    )
}

const HASH: &str = r#"column = [
  { name = "id", from = ["{id}"] },
  { name = "n", from = ["$.field"] },
  { name = "v", from = ["$.value"] },
]"#;

const LIST: &str = r#"column = [
  { name = "id", from = ["{id}"] },
  { name = "n", from = ["$.value"] },
  { name = "v", from = ["element.index"] },
]"#;

fn case(key_type: &str) -> (Case, Client) {
    let case = Case::new();
    case.sql(&format!(
        "CREATE EXTENSION citext; SET ROLE redis2pg; CREATE TABLE parts (id text, n {key_type}, v text, PRIMARY KEY (id, n))"
    ));
    let redis = case.redis();
    (case, redis)
}

fn push(redis: &mut Client, command: &str, elements: &[String]) {
    for piece in elements.chunks(500) {
        redis.say(&format!("{command} {}", piece.join(" ")));
    }
}

/// One key rejected, for so many elements; all others are rows.
fn is_collision(outcome: &Outcome, key: &str, elements: usize) {
    assert_eq!(outcome.reasons("parts").get("key_collision"), Some(&1), "{outcome}");
    let detail = outcome.reject(key)["detail"].as_str().unwrap_or_default().to_owned();
    let said = format!(": another element of the same key maps to the same row; {} more", elements - 1);
    // Which one: by its place in a list, by its name in a set.
    let is_named = detail.starts_with("element ") || detail.starts_with("member \"") || detail.starts_with("field \"");
    assert!(is_named && detail.contains(&said), "{detail}");
}

#[test]
fn numbers_in_another_slice_that_are_equal_are_found_in_each_run() {
    // In one transaction, and in several.
    for (flow, lineage) in [("", ""), (SMALL, ""), (SMALL, "lineage = \"none\"\n")] {
        let (case, mut redis) = case("numeric");
        let mut elements: Vec<String> = (0..ELEMENTS).map(|n| format!("{n:060}")).collect();
        elements.extend((0..20).map(|n| format!("{n}.0")));
        push(&mut redis, "RPUSH list:a", &elements);
        let config = format!("{flow}{}", mapping("list", &format!("{lineage}{LIST}")));
        let outcome = case.run_config(&config, &[]).exits(3);
        is_collision(&outcome, "list:a", 20);
        assert_eq!(outcome.report["tally"]["rows"]["inserted"], ELEMENTS, "{outcome}");
        let first = "SELECT count(*) FROM parts WHERE n::text = v AND n < 20";
        assert_eq!(case.number(first), 20, "the first has the row");
        let before = case.xmins("parts");
        let outcome = case.run_config(&config, &[]).exits(3);
        is_collision(&outcome, "list:a", 20);
        assert_eq!(case.xmins("parts"), before, "nothing was written");
        assert_eq!(case.number("SELECT count(*) FROM redis2pg.seen"), 0);
        push(&mut redis, "RPUSH list:b", &["7".to_owned(), "7.0".to_owned(), "8".to_owned()]);
        is_collision_at_once(&case.run_config(&config, &[]).exits(3));
    }
}

/// What the same elements come to in one slice.
fn is_collision_at_once(outcome: &Outcome) {
    assert_eq!(outcome.reject("list:b")["reason"], "key_collision");
    let detail = "element 1: another element of the same key maps to the same row";
    assert_eq!(outcome.reject("list:b")["detail"], detail);
}

#[test]
fn texts_that_are_equal_are_found_whatever_the_slices() {
    let (case, mut redis) = case("citext");
    // Where a field of a hash lies is for the server to say: some of these pairs are in one slice, most are not.
    let lower: Vec<String> = (0..ELEMENTS).map(|n| format!("field-{n} small")).collect();
    push(&mut redis, "HSET hash:a", &lower);
    let upper: Vec<String> = (0..40).map(|n| format!("FIELD-{} large", n * 500)).collect();
    push(&mut redis, "HSET hash:a", &upper);
    // A hash that has just grown moves to its larger table by and by, a bucket at each look, and its fields come in another order then.
    let none: Vec<String> = (0..ELEMENTS).map(|n| format!("none-{n}")).collect();
    push(&mut redis, "HDEL hash:a", &none);
    let config = format!("{SMALL}{}", mapping("hash", HASH));
    let outcome = case.run_config(&config, &[]).exits(3);
    is_collision(&outcome, "hash:a", 40);
    assert_eq!(case.number("SELECT count(*) FROM parts"), ELEMENTS as i64);
    let rows = "SELECT string_agg(n || v, ',' ORDER BY n) FROM parts";
    let before = case.sql(rows);
    let kept = "SELECT count(*) FROM parts WHERE (n::text LIKE 'FIELD%') <> (v = 'large')";
    assert_eq!(case.number(kept), 0, "a row is of one element, not of both");
    let outcome = case.run_config(&config, &[]).exits(3);
    is_collision(&outcome, "hash:a", 40);
    assert_eq!(case.sql(rows), before);
    for n in 0..40 {
        redis.say(&format!("HDEL hash:a FIELD-{}", n * 500));
    }
    let outcome = case.run_config(&config, &[]).exits(0);
    assert_eq!(outcome.total("matched"), 1, "{outcome}");
    assert_eq!(case.number("SELECT count(*) FROM parts WHERE v = 'small'"), ELEMENTS as i64);
}

#[test]
fn equal_elements_of_a_list_are_one_row_wherever_they_are() {
    let (case, mut redis) = case("numeric");
    let mut elements: Vec<String> = (0..ELEMENTS).map(|n| format!("{n:060}")).collect();
    elements.extend((0..20).map(|n| format!("{n:060}")));
    push(&mut redis, "RPUSH list:a", &elements);
    let config =
        format!("{SMALL}{}", mapping("list", &LIST.replace("  { name = \"v\", from = [\"element.index\"] },\n", "")));
    let outcome = case.run_config(&config, &[]).exits(0);
    assert_eq!(outcome.report["tally"]["rows"]["inserted"], ELEMENTS, "{outcome}");
}
