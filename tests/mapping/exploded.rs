//! One key, many rows: elements become rows, and rows whose elements are gone are deleted.

use crate::support;

use support::{Case, Client};

const TABLES: &str = "SET ROLE redis2pg;
    CREATE TABLE fields (id text, field text, value integer, PRIMARY KEY (id, field));
    CREATE TABLE scores (board text, member text, score double precision, PRIMARY KEY (board, member));
    CREATE TABLE events (stream text, id text, at timestamptz, kind text, PRIMARY KEY (stream, id));
    CREATE TABLE lines (doc text, place integer, sku text, amount numeric, PRIMARY KEY (doc, place));
    CREATE TABLE tags (id text, tag text, PRIMARY KEY (id, tag));";

const MAPPINGS: &str = r#"
[[mapping]]
name = "fields"
match = "hash:{id}"
type = "hash"
explode = true
into = "public.fields"
key = ["id", "field"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "field", from = ["$.field"] },
  { name = "value", from = ["$.value"] },
]

[[mapping]]
name = "scores"
match = "board:{id}"
type = "zset"
explode = true
into = "public.scores"
key = ["board", "member"]
column = [
  { name = "board", from = ["{id}"] },
  { name = "member", from = ["$.member"] },
  { name = "score", from = ["$.score"] },
]

[[mapping]]
name = "events"
match = "events:{id}"
type = "stream"
explode = true
into = "public.events"
key = ["stream", "id"]
column = [
  { name = "stream", from = ["{id}"] },
  { name = "id", from = ["$.id"] },
  { name = "at", from = ["$.time"], epoch_unit = "ms" },
  { name = "kind", from = ["$.fields.kind"] },
]

[[mapping]]
name = "tags"
match = "tags:{id}"
type = ["set", "list"]
explode = true
into = "public.tags"
key = ["id", "tag"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "tag", from = ["$.member", "$.value"] },
]
"#;

fn case() -> (Case, Client) {
    let case = Case::new();
    case.sql(TABLES);
    let redis = case.redis();
    (case, redis)
}

#[test]
fn every_type_is_taken_apart_and_the_unit_of_the_books_stays_the_key() {
    let (case, mut redis) = case();
    redis.say("HSET hash:1 a 1 b 2 c 3");
    redis.say("ZADD board:x 1.5 ann -2 bob");
    redis.say("XADD events:s 1704164645123-0 kind click");
    redis.say("XADD events:s 1704164645123-1 kind scroll other 1");
    redis.say("SADD tags:1 red blue");
    redis.say("RPUSH tags:2 green");
    let outcome = case.run_config(MAPPINGS, &["--dry-run"]).exits(0);
    assert_eq!((outcome.total("would_load"), outcome.report["tally"]["rows"]["would_load"].as_i64()), (5, Some(10)));
    let outcome = case.run_config(MAPPINGS, &[]).exits(0);
    assert_eq!((outcome.total("matched"), outcome.total("inserted")), (5, 5));
    assert_eq!(outcome.report["tally"]["rows"]["inserted"], 10);
    assert!(outcome.stdout.contains("rows of fields: 3 inserted\n"), "{outcome}");
    assert_eq!(case.sql("SELECT * FROM fields ORDER BY 1, 2"), "1|a|1\n1|b|2\n1|c|3");
    assert_eq!(case.sql("SELECT * FROM scores ORDER BY 2"), "x|ann|1.5\nx|bob|-2");
    assert_eq!(
        case.sql("SELECT id, at AT TIME ZONE 'UTC', kind FROM events ORDER BY 1"),
        "1704164645123-0|2024-01-02 03:04:05.123|click\n1704164645123-1|2024-01-02 03:04:05.123|scroll"
    );
    assert_eq!(case.sql("SELECT * FROM tags ORDER BY 1, 2"), "1|blue\n1|red\n2|green");
    let before = case.xmins("fields");
    let again = case.run_config(MAPPINGS, &[]).exits(0);
    assert_eq!((again.total("unchanged"), again.total("matched")), (5, 5));
    assert_eq!(case.xmins("fields"), before, "nothing was written");
}

#[test]
fn rows_whose_elements_are_gone_are_deleted_and_kept_as_before_images() {
    let (case, mut redis) = case();
    redis.say("HSET hash:1 a 1 b 2 c 3 d 4");
    redis.say("HSET hash:2 a 1");
    let _ = case.run_config(MAPPINGS, &[]).exits(0);
    case.sql("CREATE TABLE notes (id text, field text, FOREIGN KEY (id, field) REFERENCES fields ON DELETE CASCADE)");
    case.sql("INSERT INTO notes VALUES ('1', 'd'); GRANT SELECT ON notes TO redis2pg");
    case.sql("UPDATE fields SET value = 99 WHERE field = 'c'");
    redis.say("HDEL hash:1 b c d");
    redis.say("HSET hash:1 e 5");
    let outcome = case.run_config(MAPPINGS, &[]).exits(0);
    assert_eq!((outcome.total("updated"), outcome.total("unchanged")), (1, 1));
    let rows = &outcome.report["mappings"]["fields"]["rows"];
    let counts = ["deleted", "kept", "inserted", "unchanged"].map(|name| rows[name].as_i64());
    assert_eq!(counts, [Some(1), Some(2), Some(1), Some(2)], "{outcome}");
    assert_eq!(case.sql("SELECT field, value FROM fields WHERE id = '1' ORDER BY 1"), "a|1\nc|99\nd|4\ne|5");
    assert_eq!(case.sql("SELECT image ->> 'field', image ->> 'value' FROM redis2pg.before_images"), "b|2");
    assert_eq!(case.number("SELECT count(*) FROM notes"), 1, "a row of somebody else is not taken along");
}

#[test]
fn rows_of_elements_that_are_gone_can_be_kept_as_a_history() {
    let (case, mut redis) = case();
    let config = MAPPINGS.replace("explode = true\n", "explode = true\nremoved_elements = \"keep\"\n");
    case.sql("ALTER TABLE events OWNER TO CURRENT_USER; GRANT SELECT, INSERT, UPDATE ON events TO redis2pg");
    redis.say("XADD events:s 1704164645123-0 kind click");
    redis.say("XADD events:s 1704164645124-0 kind scroll");
    let refused = case.run_config(MAPPINGS, &[]);
    assert!(refused.code == 2 && refused.stderr.contains("the role lacks DELETE"), "{refused}");
    let _ = case.run_config(&config, &[]).exits(0);
    redis.say("XTRIM events:s MAXLEN 0");
    redis.say("XADD events:s 1704164645125-0 kind leave");
    let outcome = case.run_config(&config, &[]).exits(0);
    assert_eq!(
        (outcome.total("inserted"), outcome.report["mappings"]["events"]["rows"]["deleted"].as_i64()),
        (1, None)
    );
    assert_eq!(case.sql("SELECT kind FROM events ORDER BY id"), "click\nscroll\nleave");
}

#[test]
fn one_bad_element_rejects_the_key_once_and_costs_the_others_nothing() {
    let (case, mut redis) = case();
    redis.say("HSET hash:1 a 1 b two c three");
    redis.say("HSET hash:2 a 1");
    let outcome = case.run_config(MAPPINGS, &[]).exits(3);
    assert_eq!((outcome.total("inserted"), outcome.rejects.len()), (1, 1));
    let reject = outcome.reject("hash:1");
    let detail = reject["detail"].as_str().unwrap_or_default();
    assert!(detail.starts_with("field \"b\": "), "{reject}");
    assert!(detail.ends_with("; 1 more of its elements was rejected: field \"c\" (integer)"), "{reject}");
    assert_eq!((reject["column"].as_str(), reject["redis_type"].as_str()), (Some("value"), Some("hash")));
    // The element itself, and all of the value for a retry.
    assert_eq!(
        (reject["value"].as_str(), reject["value_is"].as_str()),
        (Some("\0\0\0\u{1}b\0\0\0\u{3}two"), Some("part"))
    );
    assert!(reject["whole_value"].as_str().is_some_and(|whole| whole.contains("three")), "{reject}");
    assert_eq!(case.sql("SELECT id, field FROM fields ORDER BY 1"), "1|a\n2|a");
    // While an element is rejected nothing is taken for gone.
    redis.say("HDEL hash:1 a");
    let _ = case.run_config(MAPPINGS, &[]).exits(3);
    assert_eq!(case.number("SELECT count(*) FROM fields"), 2);
    redis.say("HSET hash:1 b 2 c 3");
    let outcome = case.run_config(MAPPINGS, &[]).exits(0);
    assert_eq!((outcome.total("updated"), outcome.total("unchanged")), (1, 1), "{outcome}");
    assert_eq!(case.sql("SELECT id, field FROM fields ORDER BY 1, 2"), "1|b\n1|c\n2|a");
}

#[test]
fn what_only_the_server_refuses_is_found_among_the_elements() {
    let (case, mut redis) = case();
    case.sql("ALTER TABLE fields ADD CHECK (value < 500)");
    for key in 0..20 {
        let fields: Vec<String> = (0..50).map(|field| format!("f{field} {}", field + key)).collect();
        redis.say(&format!("HSET hash:{key} {}", fields.join(" ")));
    }
    redis.say("HSET hash:7 f13 500 f14 501");
    let outcome = case.run_config(MAPPINGS, &[]).exits(3);
    assert_eq!((outcome.total("inserted"), outcome.total("matched")), (19, 20));
    let reject = outcome.reject("hash:7");
    assert_eq!(reject["reason"], "check");
    let detail = reject["detail"].as_str().unwrap_or_default();
    assert!(detail.starts_with("field \"f13\": ") && detail.ends_with("rejected: field \"f14\" (check)"), "{reject}");
    assert_eq!(case.number("SELECT count(*) FROM fields"), 998);
    assert_eq!(outcome.report["tally"]["rows"]["inserted"], 998);
}

#[test]
fn items_that_are_json_are_entered_by_paths() {
    let (case, mut redis) = case();
    redis.integer(&[b"HSET", b"hash:1", b"a", br#"{"n":1}"#, b"b", br#"{"n":2}"#]);
    redis.integer(&[b"HSET", b"hash:2", b"a", b"{", b"c", br#"{"n":3}"#]);
    let config = MAPPINGS
        .replace("type = \"hash\"", "type = \"hash\"\nitems = \"json\"")
        .replace(r#"{ name = "value", from = ["$.value"] }"#, r#"{ name = "value", from = ["$.value.n"] }"#);
    let outcome = case.run_config(&config, &[]).exits(3);
    assert_eq!(case.sql("SELECT * FROM fields ORDER BY 1, 2"), "1|a|1\n1|b|2\n2|c|3");
    let reject = outcome.reject("hash:2");
    assert_eq!((reject["reason"].as_str(), reject["path"].as_str()), (Some("json_syntax"), Some("$.value")));
    assert!(reject["detail"].as_str().is_some_and(|detail| detail.starts_with("field \"a\": ")), "{reject}");
    assert_eq!(reject["value"], "\0\0\0\u{1}a\0\0\0\u{1}{");
}

#[test]
fn elements_of_json_arrays_at_a_path() {
    let (case, mut redis) = case();
    redis.set("order:1", r#"{"lines":[{"sku":"a","amount":1.10},{"sku":"b","amount":2}]}"#);
    redis.set("order:2", r#"{"lines":[]}"#);
    redis.set("order:3", r#"{"lines":{"sku":"a"}}"#);
    redis.set("order:4", r#"{"other":1}"#);
    redis.set("order:5", r#"{"lines":[{"sku":"a"},{"amount":2},{"sku":null}]}"#);
    redis.set("order:6", r#"{"lines":[{"sku":"a"},{"sku":"forbidden"}]}"#);
    case.sql("ALTER TABLE lines ADD CHECK (sku <> 'forbidden')");
    let mapping = r#"
[[mapping]]
name = "lines"
match = "order:{id}"
explode = "$.lines"
into = "public.lines"
key = ["doc", "place"]
column = [
  { name = "doc", from = ["{id}"] },
  { name = "place", from = ["element.index"] },
  { name = "sku", from = ["$.sku"], required = true },
]
"#;
    let outcome = case.run_config(mapping, &[]).exits(3);
    assert_eq!(case.sql("SELECT doc, place, sku FROM lines ORDER BY 1, 2"), "1|0|a\n1|1|b\n5|0|a\n6|0|a");
    assert_eq!(outcome.reject("order:3")["reason"], "json_not_array (object)");
    for (key, path, value) in
        [("order:5", "$.lines[1].sku", r#"{"amount":2}"#), ("order:6", "$.lines[1]", r#"{"sku":"forbidden"}"#)]
    {
        let reject = outcome.reject(key);
        assert_eq!((reject["path"].as_str(), reject["value"].as_str()), (Some(path), Some(value)));
        assert!(reject["detail"].as_str().is_some_and(|detail| detail.starts_with("element 1: ")), "{reject}");
    }
    redis.say("DEL order:5 order:6");
    case.sql("DELETE FROM lines WHERE doc IN ('5', '6')");
    assert_eq!((outcome.total("inserted"), outcome.total("unchanged")), (1, 2));
    redis.set("order:1", r#"{"lines":[{"sku":"b"}]}"#);
    let outcome = case.run_config(mapping, &[]).exits(3);
    assert_eq!(case.sql("SELECT doc, place, sku FROM lines"), "1|0|b");
    assert_eq!(outcome.report["mappings"]["lines"]["rows"]["deleted"], 1);
    // What is no object at all does not say that there are no lines.
    for (value, reason) in [
        (r#"[{"sku":"b"}]"#, "json_not_object (array)"),
        ("5", "json_not_object (number)"),
        ("null", "json_not_object (null)"),
    ] {
        redis.set("order:1", value);
        let outcome = case.run_config(mapping, &[]).exits(3);
        assert_eq!(outcome.reject("order:1")["reason"], reason);
        assert_eq!(case.sql("SELECT doc, place, sku FROM lines"), "1|0|b");
    }
}

#[test]
fn a_large_hash_goes_through_in_slices_and_loses_what_is_gone() {
    let (case, mut redis) = case();
    let fill = |redis: &mut Client, from: u32, to: u32| {
        for start in (from..to).step_by(1000) {
            let fields: Vec<String> = (start..start + 1000).map(|field| format!("field-{field} {field}")).collect();
            redis.say(&format!("HSET hash:big {}", fields.join(" ")));
        }
    };
    fill(&mut redis, 0, 60_000);
    let outcome = case.run_config(MAPPINGS, &["--memory", "8MiB"]).exits(0);
    assert_eq!((outcome.total("inserted"), outcome.report["tally"]["rows"]["inserted"].as_i64()), (1, Some(60_000)));
    assert_eq!(case.number("SELECT count(*) FROM fields"), 60_000);
    for start in (0..30_000).step_by(1000) {
        let fields: Vec<String> = (start..start + 1000).map(|field| format!("field-{field}")).collect();
        redis.say(&format!("HDEL hash:big {}", fields.join(" ")));
    }
    let outcome = case.run_config(MAPPINGS, &[]).exits(0);
    assert_eq!(case.number("SELECT count(*) FROM fields"), 30_000);
    assert_eq!(outcome.report["tally"]["rows"]["deleted"], 30_000);
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.loaded"), 30_000);
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.seen"), 0);
}

#[test]
fn a_row_that_somebody_deleted_is_loaded_again_with_its_lineage() {
    let (case, mut redis) = case();
    redis.say("HSET hash:1 a 1 b 2");
    let _ = case.run_config(MAPPINGS, &[]).exits(0);
    case.sql("DELETE FROM fields WHERE field = 'a'");
    redis.say("HSET hash:1 c 3");
    let outcome = case.run_config(MAPPINGS, &[]).exits(0);
    let rows = &outcome.report["mappings"]["fields"]["rows"];
    assert_eq!((rows["inserted"].as_i64(), rows["unchanged"].as_i64()), (Some(2), Some(1)), "{outcome}");
    assert_eq!(case.sql("SELECT field, value FROM fields ORDER BY 1"), "a|1\nb|2\nc|3");
    let runs = "SELECT row_key ->> 'field', dense_rank() OVER (ORDER BY loaded_at) FROM redis2pg.loaded ORDER BY 1";
    assert_eq!(case.sql(runs), "a|2\nb|1\nc|2", "the lineage is that of the row which is there");
    let again = case.run_config(MAPPINGS, &[]).exits(0);
    assert_eq!(again.total("unchanged"), 1);
}

#[test]
fn a_table_that_was_made_anew_with_another_key_is_filled_whatever_the_ledger_has() {
    let (case, mut redis) = case();
    redis.say("HSET hash:1 a 1 b 2");
    assert_eq!(case.run_config(MAPPINGS, &[]).exits(0).total("inserted"), 1);
    case.sql(
        "DROP TABLE fields; CREATE TABLE public.fields (id integer, field integer, value integer, PRIMARY KEY (id, field)); \
         GRANT ALL ON fields TO redis2pg",
    );
    redis.say("DEL hash:1");
    redis.say("HSET hash:1 7 1");
    let run = case.run_config(MAPPINGS, &[]).exits(0);
    assert!(run.stderr.contains("DELETE FROM redis2pg.loaded WHERE table_name = 'public.fields'"), "{run}");
    assert_eq!(case.sql("SELECT * FROM fields"), "1|7|1");
    case.sql("DELETE FROM redis2pg.loaded WHERE table_name = 'public.fields'");
    redis.say("HSET hash:1 8 2");
    case.run_config(MAPPINGS, &[]).exits(0);
    redis.say("HDEL hash:1 7 8");
    redis.say("HSET hash:1 9 3");
    let run = case.run_config(MAPPINGS, &[]).exits(0);
    assert!(!run.stderr.contains("redis2pg.loaded"), "{run}");
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let (case, _) = case();
    for (from, to, said) in [
        ("key = [\"id\", \"field\"]", "key = [\"id\"]", "all elements of a key would be one row"),
        ("explode = true\ninto = \"public.fields\"", "explode = \"$.a\"\ninto = \"public.fields\"", "names a path"),
        (
            "explode = true\ninto = \"public.fields\"",
            "removed_elements = \"keep\"\ninto = \"public.fields\"",
            "is of elements",
        ),
    ] {
        let config = MAPPINGS.replace(from, to);
        assert_ne!(config, MAPPINGS);
        let outcome = case.run_config(&config, &["--allow-empty"]);
        assert!(outcome.code == 2 && outcome.stderr.contains(said), "{outcome}");
    }
}

/// The mapping `scores` alone, with more settings and more columns.
fn scores(settings: &str, more: &str) -> String {
    let start = MAPPINGS.find("[[mapping]]\nname = \"scores\"").unwrap_or_default();
    let end = MAPPINGS.find("[[mapping]]\nname = \"events\"").unwrap_or_default();
    let text = MAPPINGS[start..end].replace("explode = true", &format!("explode = true\n{settings}"));
    text.replace("from = [\"$.score\"] },", &format!("from = [\"$.score\"] }},\n{more}"))
}

#[test]
fn an_infinite_score_is_a_good_number_in_a_column_of_floats_and_no_json() {
    let (case, mut redis) = case();
    redis.say("ZADD board:x 1 a inf b -inf c");
    let _ = case.run_config(&scores("", ""), &[]).exits(0);
    assert_eq!(case.sql("SELECT member, score FROM scores ORDER BY 1"), "a|1\nb|Infinity\nc|-Infinity");
    case.sql("ALTER TABLE scores ADD whole jsonb, ADD exact numeric");
    for more in ["{ name = \"whole\", from = [\"$\"] },", "{ name = \"exact\", from = [\"$.score\"] },"] {
        let outcome = case.run_config(&scores("", more), &[]).exits(3);
        let reject = outcome.reject("board:x");
        assert_eq!((&reject["reason"], &reject["path"]), (&"json_nonfinite".into(), &"$.score".into()));
    }
}

#[test]
fn what_becomes_of_an_infinite_score_can_be_said() {
    let (case, mut redis) = case();
    redis.say("ZADD board:x 1 a inf b -inf c");
    case.sql("ALTER TABLE scores ADD whole jsonb");
    let whole = "{ name = \"whole\", from = [\"$\"] },";
    let outcome = case.run_config(&scores("nonfinite = \"null\"", whole), &[]).exits(0);
    assert_eq!(case.sql("SELECT member, score, whole -> 'score' FROM scores ORDER BY 1"), "a|1|1\nb||null\nc||null");
    assert_eq!(outcome.report["tally"]["altered"]["nonfinite"], 2, "{outcome}");
    let text =
        scores("nonfinite = \"string\"", whole).replace("explode = true", "").replace("\"$.member\"", "\"{id}\"");
    let text = text.replace("{ name = \"score\", from = [\"$.score\"] },", "");
    let outcome = case.run_config(&text, &[]).exits(0);
    assert_eq!(case.sql("SELECT whole #>> '{2,score}' FROM scores WHERE member = 'x'"), "inf");
    assert_eq!(outcome.report["tally"]["altered"]["nonfinite"], 1, "{outcome}");
}

#[test]
fn a_score_has_the_digits_that_it_was_given() {
    let (case, mut redis) = case();
    redis.say("ZADD board:x 19.99 a 0.1 b -3 c 1e20 d 9007199254740993 e 0.0000001 f");
    case.sql("ALTER TABLE scores ADD whole jsonb, ADD exact numeric(30,7), ADD written text");
    let more = "{ name = \"whole\", from = [\"$\"] }, { name = \"exact\", from = [\"$.score\"] }, \
                { name = \"written\", from = [\"$.score\"] },";
    let _ = case.run_config(&scores("", more), &[]).exits(0);
    assert_eq!(
        case.sql("SELECT member, score, whole ->> 'score', trim_scale(exact), written FROM scores ORDER BY 1"),
        "a|19.99|19.99|19.99|19.99\nb|0.1|0.1|0.1|0.1\nc|-3|-3|-3|-3\n\
         d|1e+20|100000000000000000000|100000000000000000000|1e+20\n\
         e|9.007199254740992e+15|9007199254740992|9007199254740992|9007199254740992\n\
         f|1e-07|0.0000001|0.0000001|1e-7"
    );
    // A row as a server wrote it that sends 17 digits is set right once.
    case.sql("UPDATE scores SET written = '19.989999999999998' WHERE member = 'a'; DELETE FROM redis2pg.loaded");
    let changed = case.run_config(&scores("on_conflict = \"update\"", more), &[]).exits(0);
    assert_eq!(changed.report["tally"]["rows"]["updated"], 1, "{changed}");
    assert_eq!(case.sql("SELECT written FROM scores WHERE member = 'a'"), "19.99");
    let again = case.run_config(&scores("on_conflict = \"update\"", more), &[]).exits(0);
    assert_eq!(again.total("unchanged"), 1, "{again}");
}

/// Elements whose keys are equal to the database however they are spelled.
mod loose {
    use super::{Case, Client};

    const MAPPING: &str = r#"
[[mapping]]
name = "loose"
match = "loose:{id}"
explode = true
into = "public.loose"
key = ["id", "n"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "n", from = ["$.n"] },
  { name = "v", from = ["$.v"] },
]
"#;

    fn case() -> (Case, Client) {
        let case = Case::new();
        case.sql("SET ROLE redis2pg; CREATE TABLE loose (id text, n numeric, v text, PRIMARY KEY (id, n))");
        let redis = case.redis();
        (case, redis)
    }

    #[test]
    fn an_element_that_is_only_spelled_otherwise_is_not_gone() {
        let (case, mut redis) = case();
        redis.set("loose:a", r#"[{"n":1,"v":"x"},{"n":2,"v":"y"},{"n":3,"v":"z"}]"#);
        let _ = case.run_config(MAPPING, &[]).exits(0);
        redis.set("loose:a", r#"[{"n":1.0,"v":"x"},{"n":3.00,"v":"new"}]"#);
        let outcome = case.run_config(MAPPING, &[]).exits(0);
        assert_eq!(case.sql("SELECT n, v FROM loose ORDER BY 1"), "1|x\n3|new", "{outcome}");
        assert_eq!(outcome.report["tally"]["rows"]["deleted"], 1);
        assert_eq!(case.number("SELECT count(*) FROM redis2pg.loaded"), 2);
        let again = case.run_config(MAPPING, &[]).exits(0);
        assert_eq!(again.total("unchanged"), 1);
    }

    #[test]
    fn two_elements_for_one_row_are_a_collision_however_they_are_spelled() {
        let (case, mut redis) = case();
        redis.set("loose:a", r#"[{"n":1,"v":"x"},{"n":1.0,"v":"y"},{"n":2,"v":"z"}]"#);
        for _ in 0..2 {
            let outcome = case.run_config(MAPPING, &[]).exits(3);
            assert_eq!(outcome.reject("loose:a")["reason"], "key_collision");
            assert_eq!(case.sql("SELECT n, v FROM loose ORDER BY 1"), "1|x\n2|z");
        }
    }
}

#[test]
fn elements_that_two_keys_exchange_find_their_rows_in_the_end() {
    let (case, mut redis) = case();
    case.sql("SET ROLE redis2pg; CREATE TABLE owners (m text PRIMARY KEY, owner text)");
    let mapping = r#"
[[mapping]]
name = "owners"
match = "own:{id}"
type = "set"
explode = true
into = "public.owners"
key = ["m"]
column = [{ name = "m", from = ["$.member"] }, { name = "owner", from = ["{id}"] }]
"#;
    redis.say("SADD own:a 1 2 3");
    redis.say("SADD own:b 4 5");
    let _ = case.run_config(mapping, &[]).exits(0);
    redis.say("SMOVE own:a own:b 1");
    redis.say("SMOVE own:b own:a 5");
    let _ = case.run_config(mapping, &[]);
    let _ = case.run_config(mapping, &[]).exits(0);
    assert_eq!(case.sql("SELECT m, owner FROM owners ORDER BY 1"), "1|b\n2|a\n3|a\n4|b\n5|a");
}

#[test]
fn elements_are_gone_though_the_application_wrote_rows_of_the_key() {
    let (case, mut redis) = case();
    case.sql("INSERT INTO scores VALUES ('a', 'm1', 99), ('a', 'm3', 3)");
    redis.say("ZADD board:a 1 m1 2 m2 3 m3");
    let _ = case.run_config(MAPPINGS, &[]).exits(0);
    redis.say("ZREM board:a m2");
    let outcome = case.run_config(MAPPINGS, &[]).exits(0);
    assert_eq!(case.sql("SELECT member, score FROM scores ORDER BY 1"), "m1|99\nm3|3", "{outcome}");
}

#[test]
fn repairs_of_a_whole_value_and_of_its_elements_are_counted() {
    let (case, mut redis) = case();
    case.sql("SET ROLE redis2pg; CREATE TABLE parts (id text, n integer, t text, d jsonb, PRIMARY KEY (id, n))");
    let mapping = |settings: &str| {
        format!(
            "[[mapping]]\nname = \"parts\"\nmatch = \"part:{{id}}\"\nexplode = true\ninto = \"public.parts\"\n\
             key = [\"id\", \"n\"]\n{settings}\ncolumn = [{{ name = \"id\", from = [\"{{id}}\"] }}, \
             {{ name = \"n\", from = [\"element.index\"] }}, {{ name = \"t\", from = [\"$.t\"] }}, \
             {{ name = \"d\", from = [\"$\"] }}]"
        )
    };
    redis.set("part:bom", "\u{feff}[{\"t\":\"a\"},{\"t\":\"b\"}]");
    redis.set("part:nul", r#"[{"t":"a\u0000"},{"t":"b\u0000"}]"#);
    redis.set("part:twice", r#"[{"t":"a","t":"b"},{"t":"c"}]"#);
    redis.set("part:string", r#""[{\"t\":\"a\"}]""#);
    let outcome = case.run_config(&mapping("nul = \"strip\"\nunwrap_json_string = true"), &[]).exits(0);
    assert_eq!(
        case.sql("SELECT string_agg(id || n || t, ' ' ORDER BY id, n) FROM parts"),
        "bom0a bom1b nul0a nul1b string0a twice0b twice1c"
    );
    let altered = serde_json::json!({"bom": 1, "json_duplicate_key": 1, "nul": 1, "unwrap_json_string": 1});
    assert_eq!(outcome.report["tally"]["altered"], altered, "{outcome}");
    let outcome = case.run_config(&mapping("duplicate_keys = \"reject\""), &[]).exits(3);
    let twice = outcome.reject("part:twice");
    assert_eq!((&twice["reason"], &twice["path"]), (&"json_duplicate_key".into(), &"$[0].t".into()));
}

#[test]
fn an_entry_that_has_a_field_twice_is_told() {
    let (case, mut redis) = case();
    redis.say("XADD events:s 1704164645123-0 kind a kind b");
    redis.say("XADD events:s 1704164645123-1 kind c");
    let outcome = case.run_config(MAPPINGS, &["--dry-run"]).exits(0);
    assert_eq!(outcome.report["tally"]["altered"]["json_duplicate_key"], 1, "{outcome}");
    let config = MAPPINGS.replace("name = \"events\"", "name = \"events\"\nduplicate_keys = \"reject\"");
    let outcome = case.run_config(&config, &[]).exits(3);
    let reject = outcome.reject("events:s");
    assert_eq!((&reject["reason"], &reject["path"]), (&"json_duplicate_key".into(), &"$.fields.kind".into()));
    assert_eq!(case.sql("SELECT id, kind FROM events"), "1704164645123-1|c");
}

#[test]
fn fields_of_an_entry_that_a_repair_makes_equal_are_rejected() {
    let (case, mut redis) = case();
    let mut add = |id: &[u8], one: &[u8], two: &[u8]| {
        let _ = redis.answer(&[b"XADD", b"events:s", id, one, b"a", two, b"b"]);
    };
    add(b"1704164645123-0", b"kind", b"ki\0nd");
    add(b"1704164645123-1", b"kind", b"kin\xe9");
    let config = MAPPINGS.replace("name = \"events\"", "name = \"events\"\nnul = \"strip\"\ninvalid_utf8 = \"latin1\"");
    let outcome = case.run_config(&config, &[]).exits(3);
    let reject = outcome.reject("events:s");
    let told = (&reject["reason"], &reject["path"]);
    assert_eq!(told, (&"duplicate_key_after_conversion".into(), &"$.fields.kind".into()));
    assert_eq!(case.sql("SELECT id, kind FROM events"), "1704164645123-1|a");
}
