//! What a key became since its value was kept stays.

use crate::states;
use crate::support::Case;

const TABLES: &str = "SET ROLE redis2pg; CREATE TABLE docs (id text PRIMARY KEY, t varchar(5)); \
    CREATE TABLE fields (id text, field text, value varchar(5), PRIMARY KEY (id, field))";

const MAPPINGS: &str = r#"
[[mapping]]
name = "docs"
match = "doc:{id}"
into = "public.docs"
key = ["id"]
column = [{ name = "id", from = ["{id}"] }, { name = "t", from = ["$.t"] }]

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
"#;

const WIDEN: &str = "ALTER TABLE docs ALTER t TYPE text; ALTER TABLE fields ALTER value TYPE text";

const DOCS: &str = "SELECT string_agg(id || '=' || t, ' ' ORDER BY id) FROM docs";
const FIELDS: &str = "SELECT string_agg(id || '.' || field || '=' || value, ' ' ORDER BY id, field) FROM fields";

#[test]
fn a_kept_value_does_not_take_the_place_of_a_newer_row() {
    for (on_conflict, staging) in [("update_own", "auto"), ("update", "always"), ("update", "auto")] {
        let case = Case::new();
        case.sql(TABLES);
        let config = MAPPINGS.replace("\nkey =", &format!("\non_conflict = \"{on_conflict}\"\nkey ="));
        let mut redis = case.redis();
        // 1: replaced by a later run; 2: by hand; 3: nobody came to it; 4: an earlier run did.
        redis.set("doc:4", r#"{"t":"early"}"#);
        case.run_config(&config, &["--staging", staging]).exits(0);
        for id in 1..=4 {
            redis.set(&format!("doc:{id}"), r#"{"t":"too long"}"#);
        }
        let run = case.run_config(&config, &["--staging", staging]).exits(3);
        let origin = run.report["run"].as_str().expect("a run").to_owned();
        redis.set("doc:1", r#"{"t":"new"}"#);
        case.run_config(&config, &["--staging", staging]).exits(3);
        case.sql("INSERT INTO docs VALUES ('2', 'hand')");
        redis.say("FLUSHDB");
        case.sql(WIDEN);
        let retry = case.retry(&config, &["--run", &origin, "--staging", staging]).exits(0);
        assert_eq!(case.sql(DOCS), "1=new 2=hand 3=too long 4=too long", "{on_conflict} {retry}");
        assert_eq!(
            (
                retry.total("inserted"),
                retry.total("updated"),
                retry.report["tally"]["skipped"]["exists_newer"].as_i64()
            ),
            (1, 1, Some(2)),
            "{retry}"
        );
        assert!(retry.report["notices"].to_string().contains("2 keys were left as PostgreSQL has them"), "{retry}");
        let closed = format!("SELECT count(*) FROM redis2pg.rejects WHERE run_id = '{origin}' AND state = 'closed'");
        assert_eq!(case.number(&closed), 4);
    }
}

#[test]
fn of_a_key_of_several_rows_nothing_is_mixed_with_what_a_later_run_made_of_it() {
    let case = Case::new();
    case.sql(TABLES);
    let mut redis = case.redis();
    redis.say("HSET hash:1 a old b toolong c old");
    redis.say("HSET hash:2 a old b toolong");
    let run = case.run_config(MAPPINGS, &[]).exits(3);
    let origin = run.report["run"].as_str().expect("a run").to_owned();
    redis.say("DEL hash:1 hash:2");
    // `d` is of the later run alone: the kept value would delete it, bring `b` and put `a` back.
    redis.say("HSET hash:1 a new c old d new");
    case.run_config(MAPPINGS, &[]).exits(0);
    let before = case.sql("SELECT string_agg(field || '=' || value, ' ' ORDER BY field) FROM fields WHERE id = '1'");
    redis.say("FLUSHDB");
    case.sql(WIDEN);
    let retry = case.retry(MAPPINGS, &["--run", &origin]).exits(0);
    assert_eq!(case.sql(FIELDS), "1.a=new 1.c=old 1.d=new 2.a=old 2.b=toolong", "{before} {retry}");
    assert_eq!(retry.report["tally"]["skipped"]["exists_newer"].as_i64(), Some(1), "{retry}");
    assert_eq!(retry.total("updated"), 1, "{retry}");
    assert_eq!(states(&case), [0, 0, 2]);
}
