//! Which keys a mapping takes, against a real Redis: literal text, captures, shapes, several patterns, exceptions.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use crate::support;

use redis2pg::mapping::Pattern;
use support::{Case, Outcome};

/// A mapping of its keys' id to a table of its own.
fn mapping(name: &str, keys: &str) -> String {
    format!(
        "[[mapping]]\nname = \"{name}\"\n{keys}\ninto = \"public.{name}\"\nkey = [\"id\"]\n\
         column = [{{ name = \"id\", from = [\"{{id}}\"] }}, {{ name = \"key\", from = [\"redis.key\"] }}]\n"
    )
}

/// Tables for mappings of these names.
fn case(names: &[&str]) -> Case {
    let case = Case::new();
    for name in names {
        case.sql(&format!("CREATE TABLE {name} (id text PRIMARY KEY, key text); GRANT ALL ON {name} TO redis2pg"));
    }
    case
}

fn fill(case: &Case, keys: &[&[u8]]) {
    let mut redis = case.redis();
    for key in keys {
        assert_eq!(redis.answer(&[b"SET", key, b"{}"]), "+OK");
    }
}

/// What a table holds: `id|key` a line.
fn rows(case: &Case, name: &str) -> String {
    case.sql(&format!("SELECT id, key FROM {name} ORDER BY key COLLATE \"C\""))
}

#[track_caller]
fn refused(case: &Case, config: &str, words: &[&str]) -> Outcome {
    let before = case.fingerprint();
    let outcome = case.run_config(config, &[]);
    assert_eq!(outcome.code, 2, "{outcome}");
    for word in words {
        assert!(outcome.stderr.contains(word), "{word:?} is not in: {}", outcome.stderr);
    }
    assert_eq!(case.fingerprint(), before, "something was written");
    outcome
}

#[test]
fn k03_characters_of_globs_are_literal_for_the_mapping_and_for_redis() {
    let case = case(&["items"]);
    let mut redis = case.redis();
    for prefix in ["document[x]:", "doc?", "doc*", r"d\e", "^a-b", "[", r"\", "{t}:", "ü"] {
        assert_eq!(redis.answer(&[b"FLUSHDB"]), "+OK");
        let key = format!("{prefix}1");
        fill(&case, &[key.as_bytes(), b"documentx:1", b"docs1", b"doc1", b"de1", b"ab1", b"x1", b"t:1"]);
        let pattern = format!("{}{{id}}", prefix.replace('{', "{{").replace('}', "}}"));
        let run = case.run_config(&mapping("items", &format!("match = '{pattern}'")), &[]).exits(0);
        assert_eq!((run.count("items", "matched"), run.total("unmatched")), (1, 7), "{prefix}: {run}");
        assert_eq!(rows(&case, "items"), format!("1|{key}"));
        case.sql("DELETE FROM items");
        // Redis finds just this key by the glob too.
        let glob = Pattern::parse(&pattern).unwrap().glob();
        let count = b"return #redis.call('KEYS', ARGV[1])";
        let first = b"return redis.call('KEYS', ARGV[1])[1]";
        assert_eq!(redis.integer(&[b"EVAL", count, b"0", glob.as_bytes()]), 1, "{glob}");
        assert_eq!(redis.answer(&[b"EVAL", first, b"0", glob.as_bytes()]), key);
    }
}

#[test]
fn k01_k04_k07_and_k08_keys_of_all_kinds() {
    let case = case(&["items", "tags", "empty"]);
    fill(
        &case,
        &[
            b"document:1",
            b"document:1:meta",
            b"documents:2",
            b"document:",
            b"document:\xff\x00",
            b"document:ok1",
            b"{user:7}:document:7",
            b"",
        ],
    );
    let empty = "[[mapping]]\nname = \"empty\"\nmatch = \"\"\ninto = \"public.empty\"\nkey = [\"id\"]\n\
                 column = [{ name = \"id\", from = [\"redis.key\"] }]\n";
    let config = mapping("items", "match = \"document:{id}\"")
        + &mapping("tags", "match = \"{{{id}}}:document:{n:int}\"")
        + empty;
    let run = case.run_config(&config, &[]).exits(3);
    assert_eq!(rows(&case, "items"), "1|document:1\nok1|document:ok1");
    assert_eq!(rows(&case, "tags"), "user:7|{user:7}:document:7");
    assert_eq!(case.sql("SELECT '<' || id || '>' FROM empty"), "<>");
    assert_eq!(run.reject("document:")["reason"], "key_empty_id");
    assert_eq!(run.reasons("items"), [("key_empty_id".to_owned(), 1), ("key_not_utf8".to_owned(), 1)].into());
    assert_eq!((run.total("matched"), run.total("unmatched")), (6, 2), "{run}");
}

#[test]
fn shapes_several_patterns_and_exceptions_decide_whose_a_key_is() {
    let uuid = "01234567-89ab-4def-8012-3456789abcde";
    let case = case(&["uuids", "numbers", "words", "users", "locks", "paths"]);
    let uuid_key = format!("d:{uuid}");
    fill(
        &case,
        &[
            uuid_key.as_bytes(),
            b"d:17",
            b"d:-1",
            b"d:abc",
            b"d:a1",
            b"user:1",
            b"account-2",
            b"user:3:lock",
            b"user:3:lock:x",
            b"docs/a:1/7",
            b"docs/a/b/8",
        ],
    );
    let config = mapping("uuids", "match = \"d:{id:uuid}\"")
        + &mapping("numbers", "match = \"d:{id:int}\"")
        + &mapping("words", "match = 'd:{id:/[a-z]{3}/}'")
        + &mapping("users", "match = [\"user:{id..}\", \"account-{id}\"]\nexclude = [\"user:{id}:lock\"]")
        + &mapping("locks", "match = \"user:{id}:lock\"")
        + &mapping("paths", "match = \"docs/{id}/{n:int}\"\nseparator = \"/\"");
    let run = case.run_config(&config, &[]).exits(0);
    assert_eq!(rows(&case, "uuids"), format!("{uuid}|{uuid_key}"));
    assert_eq!(rows(&case, "numbers"), "-1|d:-1\n17|d:17");
    assert_eq!(rows(&case, "words"), "abc|d:abc");
    assert_eq!(rows(&case, "users"), "2|account-2\n1|user:1\n3:lock:x|user:3:lock:x");
    assert_eq!(rows(&case, "locks"), "3|user:3:lock");
    assert_eq!(rows(&case, "paths"), "a:1|docs/a:1/7");
    assert_eq!((run.total("matched"), run.total("unmatched")), (9, 2), "{run}");
}

#[test]
fn k02_mappings_that_would_take_the_same_key_are_refused_with_one() {
    let case = case(&["a", "b"]);
    fill(&case, &[b"d:1"]);
    let config = |a: &str, b: &str| mapping("a", a) + &mapping("b", b);
    let both = config("match = \"d:{id..}\"", "match = \"d:{id}:meta\"");
    refused(&case, &both, &["mapping b", "taken by `a` as well, such as `d:a:meta`", "hint: "]);
    refused(&case, &config("match = 'd:{id:/[a-z]+/}'", "match = 'd:{id:/[x-z0-9]+/}'"), &["such as `d:x`"]);
    refused(&case, &mapping("a", "match = [\"d:{id..}\", \"d:x:{id}\"]"), &["`d:x:a` is read differently by"]);
    refused(&case, &mapping("a", "match = [\"d:{id}\", \"e:{other}\"]"), &["same captures"]);
    refused(&case, &mapping("a", "match = \"d:{id}{x}\""), &["nothing tells where `{id}` ends"]);
    refused(&case, &mapping("a", "match = 5"), &["a pattern or a list of patterns"]);
}

#[test]
fn config_check_finds_what_is_wrong_with_keys_without_a_server() {
    let check = |config: &str| {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        std::io::Write::write_all(&mut file, config.as_bytes()).unwrap();
        let args = ["config", "check", "--config", file.path().to_str().unwrap()];
        let output = Case::with_ends("", "").command().args(args).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = check(&(mapping("a", "match = \"d:{id..}\"") + &mapping("b", "match = \"d:{id:int}\"")));
    assert!(code == Some(2) && said.contains("taken by `a` as well, such as `d:0`"), "{said}");
    let (code, said) = check(&mapping("a", "match = \"d:{id\""));
    assert!(code == Some(2) && said.contains("not closed"), "{said}");
    assert_eq!(check(&mapping("a", "match = [\"d:{id}\"]\nexclude = [\"d:x\"]")).0, Some(0));
}

#[test]
fn a_key_of_two_mappings_that_could_not_be_compared_ends_the_run_before_it_is_loaded() {
    let case = case(&["a", "b"]);
    let long = |c: &str| format!("d:m{}", c.repeat(20));
    fill(&case, &[long("a").as_bytes()]);
    // Automata of a million states each.
    let config =
        mapping("a", "match = 'd:{id:/[a-z]*m[a-z]{20}/}'") + &mapping("b", "match = 'd:{id:/[k-z]*m[k-z]{20}/}'");
    let run = case.run_config(&config, &[]).exits(0);
    assert!(run.stderr.contains("too large to find out whether `a` takes"), "{run}");
    assert_eq!(run.count("a", "inserted"), 1);
    let both = long("x");
    fill(&case, &[both.as_bytes()]);
    let run = case.run_config(&config, &[]);
    assert_eq!(run.code, 2, "{run}");
    let message = format!("the key {both} is taken by the mappings `a` and `b`");
    assert!(run.stderr.contains(&message), "{run}");
    assert_eq!(case.number("SELECT count(*) FROM (SELECT FROM a UNION ALL SELECT FROM b) t"), 1);
}

#[test]
fn a_prefix_of_the_client_is_recognised() {
    let case = case(&["documents"]);
    fill(&case, &[b"laravel_database_document:1", b"laravel_database_document:2", b"other:1"]);
    refused(
        &case,
        &mapping("documents", "match = \"document:{id}\""),
        &[
            "other:* (1)",
            "keys like `laravel_database_document:…` look like mapping documents with a prefix before it; \
         write match = \"laravel_database_document:{id}\"",
        ],
    );
    let run = case.run_config(&mapping("documents", "match = \"laravel_database_document:{id}\""), &[]).exits(0);
    assert_eq!(
        (run.total("inserted"), rows(&case, "documents").lines().next()),
        (2, Some("1|laravel_database_document:1"))
    );
}

#[test]
fn a_parent_may_have_a_key_of_any_of_its_patterns() {
    let case = Case::new();
    case.sql(
        "CREATE TABLE users (id text PRIMARY KEY, key text); \
         CREATE TABLE orders (id text PRIMARY KEY, key text, owner text REFERENCES users); \
         GRANT ALL ON users, orders TO redis2pg",
    );
    let mut redis = case.redis();
    redis.set("account:2", "{}");
    redis.set("order:1", r#"{"owner":"2"}"#);
    redis.set("order:2", r#"{"owner":"3"}"#);
    let config = mapping("users", "match = [\"user:{id:int}\", \"account:{id:int}\"]")
        + &mapping("orders", "match = \"order:{id}\"\nparents = [{ mapping = \"users\", column = \"owner\" }]")
            .replace("column = [{", "column = [{ name = \"owner\", from = [\"$.owner\"] }, {");
    let dry = case.run_config(&config, &["--dry-run"]).exits(3);
    assert_eq!((dry.count("orders", "would_load"), dry.reasons("orders")["missing_parent"]), (1, 1), "{dry}");
    redis.set("order:3", r#"{"owner":"x"}"#);
    // Only the children are listed: their parents are looked for by the key that the reference stands for.
    let keys = case.list(&["order:1", "order:2", "order:3"]);
    let run = case.run_config(&config, &["--keys-from", keys.path().to_str().unwrap()]).exits(3);
    assert_eq!((run.count("users", "inserted"), run.count("orders", "inserted")), (1, 1), "{run}");
    let detail = run.reject("order:2")["detail"].to_string();
    assert!(detail.contains("user:3 is not in Redis") && detail.contains("account:3 is not in Redis"), "{detail}");
    assert_eq!(run.reject("order:3")["reason"], "missing_parent");
}

/// Keys that are taken, of another shape, excluded, of a mapping that is off, and of nobody.
fn strays() -> (Case, String) {
    let case = case(&["documents", "users", "off"]);
    fill(
        &case,
        &[
            b"document:1",
            b"document:1:meta",
            b"document:x",
            b"user:1",
            b"user:1:lock",
            b"off:1",
            b"cache:1",
            b"cache:2",
            b"queue/1",
            b"plain",
            b"cache:3",
            b"document:\xff",
        ],
    );
    let config = mapping("documents", "match = \"document:{id:int}\"")
        + &mapping("users", "match = \"user:{id..}\"\nexclude = [\"user:{id}:lock\"]")
        + &mapping("off", "match = \"off:{id}\"");
    (case, config)
}

/// The families in the report, `name count` each.
fn families(run: &Outcome) -> Vec<String> {
    let families = run.report["unmatched"]["families"].as_array().unwrap();
    families.iter().map(|family| format!("{} {}", family["family"].as_str().unwrap(), family["keys"])).collect()
}

#[test]
fn the_report_tells_what_the_keys_are_that_no_mapping_took() {
    let (case, config) = strays();
    let expected = ["cache:* 3", "document:* 3", "off:* 1", "plain 1", "queue/* 1", "user:* 1"];
    // Each phase scans for itself where nothing is set aside: all is counted once all the same.
    for args in [&["--skip", "off"][..], &["--skip", "off", "--spill-limit", "0"], &["--skip", "off", "--dry-run"]] {
        let run = case.run_config(&config, args).exits(0);
        assert_eq!((run.total("scanned"), run.total("matched"), run.total("unmatched")), (12, 2, 10), "{run}");
        assert_eq!(families(&run), expected);
        let unmatched = &run.report["unmatched"];
        assert_eq!((unmatched["other_keys"].as_u64(), unmatched["set_apart"].as_u64()), (Some(0), Some(2)));
        let refused = &run.report["shape_refused"];
        assert_eq!((refused["documents"]["keys"].as_u64(), refused["users"]["keys"].as_u64()), (Some(3), Some(0)));
        let mut examples: Vec<&str> =
            refused["documents"]["examples"].as_array().unwrap().iter().filter_map(|e| e.as_str()).collect();
        examples.sort_unstable();
        assert_eq!(examples, ["document:1:meta", r"document:\xff", "document:x"]);
        let summary = std::fs::read_to_string(run.path().join("summary.txt")).unwrap();
        for text in [&run.stdout, &summary] {
            for line in ["unmatched 3: cache:*", "set apart 2: by", "of another shape than documents wants 3: such as "]
            {
                assert!(text.contains(line), "{line} is not in: {text}");
            }
        }
    }
}

#[test]
fn unmatched_keys_can_be_an_error_once_all_others_are_loaded() {
    let (case, config) = strays();
    for args in [&["--unmatched", "error", "--skip", "off"][..], &["--unmatched=error", "--skip", "off", "--dry-run"]] {
        let run = case.run_config(&config, args).exits(2);
        assert_eq!(run.report["state"], "failed");
        for word in ["8 keys match no mapping", "cache:* (3), document:* (3), plain (1), queue/* (1)", "hint: "] {
            assert!(run.stderr.contains(word), "{word:?} is not in: {}", run.stderr);
        }
        assert!(
            !run.stderr.contains("user:*") && !run.stderr.contains("off:*"),
            "these were set apart: {}",
            run.stderr
        );
    }
    assert_eq!((rows(&case, "documents").as_str(), rows(&case, "users").as_str()), ("1|document:1", "1|user:1"));
    let all = config
        + &mapping(
            "rest",
            "match = \"rest:{id}\"\nexclude = [\"cache:{id}\", \"queue/{id}\", \"plain\", \"document:{id..}\"]",
        );
    case.sql("CREATE TABLE rest (id text PRIMARY KEY, key text); GRANT ALL ON rest TO redis2pg");
    let run = case.run_config(&all, &["--unmatched", "error"]).exits(0);
    assert_eq!((run.total("unmatched"), run.report["unmatched"]["set_apart"].as_u64()), (9, Some(9)), "{run}");
}

#[test]
fn a_run_that_goes_on_remembers_the_unmatched_keys_of_before() {
    let case = case(&["documents"]);
    let mut all: Vec<(String, String)> = (0..3000).map(|n| (format!("document:{n}"), "{}".to_owned())).collect();
    all.iter_mut().step_by(150).for_each(|(_, value)| value.push('x'));
    all.extend((0..300).map(|n| (format!("document:x{n}"), String::new())));
    case.redis().set_many(&all);
    let config = mapping("documents", "match = \"document:{id:int}\"");
    let small = ["--scan-count", "10", "--batch-rows", "20"];
    let first = case.run_config(&config, &[&small[..], &["--max-rejects", "5"]].concat());
    assert_eq!(first.code, 7, "{first}");
    let kept = case.number("SELECT (unmatched_keys->'keys')::int FROM redis2pg.shards WHERE watermark > 0");
    assert!((1..300).contains(&kept), "{kept}");
    let again = case.run_config(&config, &[&small[..], &["--resume"]].concat()).exits(3);
    assert_eq!((again.report["resumed"].as_bool(), again.total("unmatched")), (Some(true), 300));
    assert_eq!(families(&again), ["document:* 300"]);
    assert_eq!(again.report["shape_refused"]["documents"]["keys"], 300);
}
