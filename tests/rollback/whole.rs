//! Whatever is in the tables, and whatever others do after the run: a rollback leaves the tables as they were before the run,
//! but for what those others did; and a dry run has said all of it.

use crate::support::Case;
use crate::{as_foretold, id};
use proptest::prelude::{Strategy, any, prop};
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

/// Cases; each is two runs and a rollback.
const CASES: u32 = 12;

/// Keys of each kind.
const KEYS: usize = 12;

const TABLES: &str = "SET ROLE redis2pg; \
    CREATE TABLE items (id text PRIMARY KEY, n integer, tag text UNIQUE, metadata jsonb); \
    CREATE TABLE parts (id text PRIMARY KEY, item text REFERENCES items ON DELETE CASCADE, n integer) PARTITION BY HASH (id); \
    CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0); \
    CREATE TABLE parts_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1); \
    CREATE TABLE fields (id text, field text, value integer, PRIMARY KEY (id, field)); \
    CREATE TABLE notes (id integer GENERATED ALWAYS AS IDENTITY, item text REFERENCES items ON DELETE CASCADE)";

const CONFIG: &str = r#"
[[mapping]]
name = "items"
match = "item:{id}"
into = "public.items"
key = ["id"]
lineage = { column = "metadata", document_id = "{id}" }
column = [
  { name = "id", from = ["{id}"] },
  { name = "n", from = ["$.n"] },
  { name = "tag", from = ["$.tag"] },
  { name = "metadata", from = [] },
]
[[mapping]]
name = "parts"
match = "part:{id}"
into = "public.parts"
key = ["id"]
parents = [{ mapping = "items", column = "item" }]
column = [
  { name = "id", from = ["{id}"] },
  { name = "item", from = ["$.item"] },
  { name = "n", from = ["$.n"] },
]
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

/// One change of the cache: what kind of key, which one, and a number to make a value of.
type Change = (u8, usize, i64);

fn changes(most: usize) -> impl Strategy<Value = Vec<Change>> {
    prop::collection::vec((any::<u8>(), 0..KEYS, 0..1000_i64), 1..most)
}

/// Changes the cache.
fn change(case: &Case, changes: &[Change]) {
    let mut redis = case.redis();
    for (kind, key, n) in changes {
        match kind % 6 {
            // Tags move from row to row.
            0 | 1 => redis.set(&format!("item:{key}"), &format!(r#"{{"n":{n},"tag":"t{}"}}"#, n % 40)),
            2 => redis
                .set(&format!("part:{key}"), &format!(r#"{{"n":{n},"item":"{}"}}"#, n.unsigned_abs() as usize % KEYS)),
            3 | 4 => {
                redis.say(&format!("HSET hash:{key} f{} {n} g 0", n % 4));
            }
            _ => {
                redis.say(&format!("HDEL hash:{key} f{}", n % 4));
            }
        }
    }
}

/// What others do to the tables; gives nothing where the database refuses it.
fn meddle(case: &Case, (kind, key, n): &Change) {
    let sql = match kind % 7 {
        0 => format!("UPDATE items SET n = -{n} WHERE id = '{key}'"),
        1 => format!("UPDATE parts SET n = -{n} WHERE id = '{key}'"),
        2 => format!("UPDATE fields SET value = -{n} WHERE id = '{key}'"),
        3 => format!("INSERT INTO notes (item) SELECT id FROM items WHERE id = '{key}'"),
        4 => format!("DELETE FROM parts WHERE id = '{key}'"),
        5 => format!("INSERT INTO items VALUES ('own{key}-{n}', {n}, 't{}') ON CONFLICT DO NOTHING", n % 40),
        _ => format!("DELETE FROM fields WHERE id = '{key}' AND field = 'g'"),
    };
    case.sql(&sql);
}

/// All rows, by table and key.
fn all(case: &Case) -> BTreeMap<String, String> {
    let text = case.sql(
        "SELECT 'items:' || id, t::text FROM items t UNION ALL SELECT 'parts:' || id, t::text FROM parts t UNION ALL \
         SELECT 'fields:' || id || ':' || field, t::text FROM fields t UNION ALL SELECT 'notes:' || id, t::text FROM notes t",
    );
    let pair = |line: &str| line.split_once('|').map(|(key, row)| (key.to_owned(), row.to_owned()));
    text.lines().filter_map(pair).collect()
}

/// The rows that differ between two states.
fn differing(a: &BTreeMap<String, String>, b: &BTreeMap<String, String>) -> BTreeSet<String> {
    a.keys().chain(b.keys()).filter(|key| a.get(*key) != b.get(*key)).cloned().collect()
}

fn check(own: &[Change], first: &[Change], second: &[Change], others: &[Change]) {
    let case = Case::new();
    case.sql(TABLES);
    own.iter().for_each(|change| meddle(&case, change));
    change(&case, first);
    let outcome = case.run_config(CONFIG, &["--allow-empty"]);
    assert!(outcome.code == 0 || outcome.code == 3, "{outcome}");
    let before = all(&case);
    change(&case, second);
    let outcome = case.run_config(CONFIG, &["--allow-empty"]);
    assert!(outcome.code == 0 || outcome.code == 3, "{outcome}");
    let loaded = all(&case);
    others.iter().for_each(|change| meddle(&case, change));
    let changed = all(&case);
    let undone = as_foretold(&case, &id(&outcome), &[]);
    let after = all(&case);

    // What others did stays as it is.
    let theirs = differing(&loaded, &changed);
    for key in &theirs {
        assert_eq!(after.get(key), changed.get(key), "{key}: {:#}", undone.json);
    }
    // What is neither theirs nor kept for a reason is as it was before.
    let wrong: BTreeSet<String> = differing(&before, &after).difference(&theirs).cloned().collect();
    let kept = usize::try_from(undone.counts()[2]).unwrap();
    assert!(wrong.len() <= kept, "{wrong:?}\n{:#}", undone.json);
    for key in &wrong {
        assert_eq!(
            after.get(key),
            loaded.get(key),
            "{key} is neither as before nor as the run left it: {:#}",
            undone.json
        );
    }
    if others.is_empty() {
        assert_eq!((after, kept), (before, 0), "{:#}", undone.json);
    }
}

#[test]
fn the_tables_are_what_they_were_but_for_what_others_did() {
    let seed = std::env::var("REDIS2PG_TEST_SEED").ok().map(|text| text.parse().unwrap());
    let seed = seed.unwrap_or_else(|| u64::from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().subsec_nanos()));
    eprintln!("REDIS2PG_TEST_SEED={seed}");
    let config = Config {
        cases: CASES,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_time: 60_000,
        ..Config::default()
    };
    let input = (changes(6), changes(40), changes(40), prop::option::of(changes(25)));
    let result = TestRunner::new(config).run(&input, |(own, first, second, others)| {
        check(&own, &first, &second, &others.unwrap_or_default());
        Ok::<_, TestCaseError>(())
    });
    if let Err(error) = result {
        panic!("REDIS2PG_TEST_SEED={seed}: {error}");
    }
}
