//! The places where lineage is kept: a second run, changes, key collisions and elements that are gone, for each.

use crate::support;

use std::fmt::Write as _;
use support::{Case, Client, Outcome};

/// Enough for rows to be looked for before they are sent: two writers have half of them each.
const COUNT: i64 = 240;

const COLUMNS: &str = r#"lineage = { columns = { key = "redis_key", digest = "redis_digest", run = "redis_run", migrated_at = "loaded_at", expires_at = "expires_at" } }"#;

/// Keys of upper and lower case are one row: the id is made lower.
fn config(lineage: &str) -> String {
    format!(
        "[[mapping]]\nname = \"items\"\nmatch = \"item:{{id}}\"\ninto = \"public.items\"\nkey = [\"id\"]\n{lineage}\n\
         column = [{{ name = \"id\", from = [\"{{id}}\"], with = [\"lower\"] }}, {{ name = \"n\", from = [\"$.n\"] }}]\n"
    )
}

fn case(more: &str) -> (Case, Client) {
    let case = Case::new();
    case.sql(&format!("CREATE TABLE items (id text PRIMARY KEY, n int{more}); GRANT ALL ON items TO redis2pg"));
    let mut redis = case.redis();
    for n in 0..COUNT {
        redis.set(&format!("item:i{n}"), &format!(r#"{{"n":{n}}}"#));
    }
    (case, redis)
}

const PLACES: [(&str, &str); 3] = [
    ("lineage = \"ledger\"", ""),
    ("lineage = \"none\"", ""),
    (
        COLUMNS,
        ", redis_key text, redis_digest varchar(32), redis_run uuid, loaded_at timestamptz, expires_at timestamptz",
    ),
];

/// Inserted, updated, unchanged.
fn loaded(run: &Outcome) -> [i64; 3] {
    ["inserted", "updated", "unchanged"].map(|outcome| run.total(outcome))
}

#[test]
fn wherever_it_is_a_second_run_touches_nothing_and_a_change_is_seen() {
    for (place, more) in PLACES {
        let (case, mut redis) = case(more);
        let config = config(place);
        assert_eq!(loaded(&case.run_config(&config, &[]).exits(0)), [COUNT, 0, 0], "{place}");
        let before = case.xmins("items");
        assert_eq!(loaded(&case.run_config(&config, &[]).exits(0)), [0, 0, COUNT], "{place}");
        assert_eq!(case.xmins("items"), before, "{place}");
        // One that changed in Redis, and one that somebody changed in the table.
        redis.set("item:i1", r#"{"n":-1}"#);
        case.sql("UPDATE items SET n = -2 WHERE id = 'i2'");
        let run = case.run_config(&config, &[]).exits(0);
        assert_eq!(loaded(&run), [0, 1, COUNT - 2], "{place}: {run}");
        assert_eq!(run.report["tally"]["skipped"]["exists_newer"], 1, "{place}");
        assert_eq!(
            case.sql("SELECT string_agg(n::text, ' ' ORDER BY id) FROM items WHERE id IN ('i1', 'i2')"),
            "-1 -2"
        );
        let kept = case.number("SELECT count(*) FROM redis2pg.loaded");
        assert_eq!(kept, if place.contains("ledger") { COUNT } else { 0 }, "{place}");
    }
}

#[test]
fn rows_are_known_by_key_and_digest_without_being_sent() {
    for (place, more) in PLACES {
        let (case, _) = case(more);
        // What the table made of a row is not looked at where its lineage says that it would be made the same again.
        case.sql(
            "CREATE FUNCTION more() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.n := NEW.n + 1000; RETURN NEW; END'; \
             CREATE TRIGGER more BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION more()",
        );
        case.run_config(&config(place), &[]).exits(0);
        let expected = if place.contains("none") { [0, COUNT, 0] } else { [0, 0, COUNT] };
        assert_eq!(loaded(&case.run_config(&config(place), &[]).exits(0)), expected, "{place}");
    }
}

#[test]
fn another_key_for_the_same_row_is_a_collision_where_the_rows_key_is_known() {
    for (place, more) in PLACES {
        let (case, mut redis) = case(more);
        let config = config(place);
        case.run_config(&config, &[]).exits(0);
        redis.set("item:I1", r#"{"n":100}"#);
        let known = !place.contains("none");
        let run = case.run_config(&config, &["--keys", "item:I1"]).exits(if known { 3 } else { 0 });
        let n = case.number("SELECT n FROM items WHERE id = 'i1'");
        if known {
            assert_eq!((run.reject("item:I1")["reason"].as_str(), n), (Some("key_collision"), 1), "{place}");
        } else {
            assert_eq!((loaded(&run), n), ([0, 1, 0], 100), "{place}");
        }
    }
}

#[test]
fn columns_say_where_a_row_came_from() {
    let (place, more) = PLACES[2];
    let (case, mut redis) = case(more);
    redis.integer(&[b"PEXPIREAT", b"item:i1", b"4000000000000"]);
    let run = case.run_config(&config(place), &[]).exits(0);
    let row = case.json("SELECT to_jsonb(i) || jsonb_build_object('age', now() - loaded_at < interval '1 minute') FROM items i WHERE id = 'i1'");
    assert_eq!(row["redis_key"], "item:i1");
    assert_eq!(row["redis_run"], run.report["run"]);
    assert_eq!(row["age"], true);
    let checked = "SELECT redis_digest = left(encode(sha256('{\"n\":1}'), 'hex'), 32) \
                   AND expires_at = to_timestamp(4000000000) FROM items WHERE id = 'i1'";
    assert_eq!(case.sql(checked), "t");
    // The time of expiry counts, the others do not.
    redis.integer(&[b"PEXPIREAT", b"item:i1", b"4000000100000"]);
    assert_eq!(loaded(&case.run_config(&config(place), &[]).exits(0)), [0, 1, COUNT - 1]);
    let other = config(place).replace("{ name = \"n\"", "{ name = \"n\", required = true");
    let before = case.xmins("items");
    assert_eq!(loaded(&case.run_config(&other, &[]).exits(0)), [0, 0, COUNT], "made by another mapping, and equal");
    assert_eq!(case.xmins("items"), before);
}

#[test]
fn the_column_of_the_key_can_be_the_rows_key() {
    let case = Case::new();
    case.sql("CREATE TABLE kv (k text PRIMARY KEY, v jsonb, d text); GRANT ALL ON kv TO redis2pg");
    case.redis().set("a", "[1]");
    let config = "[[mapping]]\nname = \"kv\"\nmatch = \"{all..}\"\ninto = \"public.kv\"\nkey = [\"k\"]\n\
        lineage = { columns = { key = \"k\", digest = \"d\" } }\ncolumn = [{ name = \"v\", from = [\"$\"] }]\n";
    assert_eq!(loaded(&case.run_config(config, &[]).exits(0)), [1, 0, 0]);
    assert_eq!(loaded(&case.run_config(config, &[]).exits(0)), [0, 0, 1]);
}

#[test]
fn without_lineage_rows_of_gone_elements_stay_and_the_right_to_delete_is_not_needed() {
    let case = Case::new();
    case.sql("CREATE TABLE parts (id text, part text, PRIMARY KEY (id, part)); GRANT SELECT, INSERT, UPDATE ON parts TO redis2pg");
    let mut redis = case.redis();
    redis.integer(&[b"SADD", b"set:1", b"a", b"b"]);
    let mut config =
        String::from("[[mapping]]\nname = \"parts\"\nmatch = \"set:{id}\"\ntype = \"set\"\nexplode = true\n");
    let _ = writeln!(config, "into = \"public.parts\"\nkey = [\"id\", \"part\"]\nlineage = \"none\"");
    let _ = writeln!(
        config,
        "column = [{{ name = \"id\", from = [\"{{id}}\"] }}, {{ name = \"part\", from = [\"$.member\"] }}]"
    );
    case.run_config(&config, &[]).exits(0);
    redis.integer(&[b"SREM", b"set:1", b"b"]);
    let run = case.run_config(&config, &[]).exits(0);
    assert_eq!(run.report["mappings"]["parts"]["rows"]["unchanged"], 1, "{run}");
    assert_eq!(case.number("SELECT count(*) FROM parts"), 2);
}

#[test]
fn a_place_that_does_not_do_is_found_before_the_run() {
    let (case, _) = case(", redis_key bigint, redis_digest varchar(31)");
    for (place, words) in [
        ("lineage = \"nowhere\"", vec!["\"ledger\"", "\"none\""]),
        ("lineage = { columns = { key = \"redis_key\" } }", vec!["digest"]),
        ("lineage = { columns = { key = \"a\", digest = \"b\", raw = \"c\" } }", vec!["raw"]),
        ("lineage = { column = \"a\", columns = { key = \"a\", digest = \"b\" } }", vec!["either"]),
        ("lineage = { columns = { key = \"nokey\", digest = \"nodigest\" } }", vec!["items.nokey", "items.nodigest"]),
        (
            "lineage = { columns = { key = \"redis_key\", digest = \"redis_digest\" } }",
            vec!["items.redis_key", "items.redis_digest", "long enough"],
        ),
        ("lineage = { columns = { key = \"n\", digest = \"redis_digest\" } }", vec!["mapped twice"]),
    ] {
        let run = case.run_config(&config(place), &[]);
        assert_eq!(run.code, 2, "{place}: {run}");
        words.iter().for_each(|word| assert!(run.stderr.contains(word), "{word} is not in {}", run.stderr));
    }
}
