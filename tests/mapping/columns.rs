//! Where a column's value comes from: every kind of source and several functions, from a real Redis into real tables.

use crate::support;

use support::Case;
use uuid::Uuid;

const TABLES: &str = "\
CREATE TABLE orders (id text PRIMARY KEY, redis_key text, digest text, run text, expires timestamptz, email text,
  first_item text, slug text, origin text, version int, active boolean,
  settings jsonb, amounts jsonb, total int, state smallint, file text, folder text, kind text, checksum text,
  fingerprint text, reference uuid, tenant text, year text, note text, raw jsonb, metadata jsonb);
CREATE TABLE points (id text PRIMARY KEY, x float8, y text, n int);
CREATE TABLE plain (id text PRIMARY KEY, doc json, rest json);
GRANT ALL ON orders, points, plain TO redis2pg";

const CONFIG: &str = r#"
[[mapping]]
name = "orders"
match = "order:{tenant}:{id..}"
into = "public.orders"
key = ["id"]
lineage = { column = "metadata", document_id = "{id}" }
column = [
  { name = "id", from = ["{id}"] },
  { name = "redis_key", from = ["redis.key"] },
  { name = "digest", from = ["redis.digest"] },
  { name = "run", from = ["run.id"] },
  { name = "expires", from = ["redis.expires_at"] },
  { name = "email", from = ["$.contact.mails[-1]", '$["e mail"]'], with = ["trim", "lower"] },
  { name = "first_item", from = ["$.items[0].name"] },
  { name = "slug", from = ["{tenant}/{$.lang}-{$.items[0].name}", "{tenant}/{{none}}"] },
  { name = "origin", from = [{ value = "vip", when = "$.contact" }, { value = "cache" }] },
  { name = "version", from = [{ value = 3 }] },
  { name = "active", from = ["$.active", { value = true }] },
  { name = "settings", from = ["$.settings", { json = '{"limit":0.1000000000000000055511151231257827}' }] },
  { name = "amounts", from = [{ collect = ["net", "gross"] }] },
  { name = "total", from = [{ jq = ".items // [] | map(.price) | add" }, { value = 0 }] },
  { name = "state", from = [{ source = "$.state", with = ["lower", { map = { draft = 0, final = 1 } }] }], default = "9" },
  { name = "file", from = [{ source = "$.file", with = ["url_decode", "basename", "strip_suffix('.bak')"] }] },
  { name = "folder", from = [{ source = "$.file", with = ["dirname", "replace('/', '.')"] }] },
  { name = "kind", from = [{ source = "$.file", with = ["mime_type"] }, { source = "$.file", with = ["extension", "upper"] }] },
  { name = "checksum", from = [{ source = "$.file", with = ["sha256"] }] },
  { name = "fingerprint", from = [{ source = "$.file", with = ["md5", "substring(0, 8)", "prefix('md5:')"] }] },
  { name = "reference", from = [{ source = "redis.key", with = ["uuid5('url')"] }] },
  { name = "tenant", from = ["{tenant}"], with = ["pad_start(6, '0')", "suffix('!')"] },
  { name = "year", from = [{ source = "$.file", with = ['regex("(\d{4})-\d\d", 1)'] }] },
  { name = "note", from = [{ source = "$.note", with = ["base64_decode"] }] },
  { name = "raw", from = [{ source = "$.raw", with = ["json"] }] },
  { name = "metadata", from = [{ source = "rest", except = ["secret"] }] },
]
[[mapping]]
name = "points"
match = "point:{id}"
into = "public.points"
key = ["id"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "x", from = ["$[0]"] },
  { name = "y", from = ["{$[1]}:{$[-1].z}", { source = "$[1]", with = ["text"] }] },
  { name = "n", from = [{ source = "$[1]", with = ["length"] }] },
]
[[mapping]]
name = "plain"
match = "plain:{id}"
into = "public.plain"
key = ["id"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "doc", from = ["$"] },
  { name = "rest", from = [{ source = "rest", except = ["a"] }] },
]
"#;

const ORDER: &str = r#"{"lang":"de","contact":{"mails":["a@x.de"," B@\u00c9x.de "]},"e mail":"c@x.de",
"items":[{"name":"Stra\u00dfe 😀","price":2},{"name":"b","price":40}],"active":false,"net":1.10,"gross":12345678901234567890.5,
"state":"FINAL","file":"/up/2024-07/a%20b.pdf.bak","note":"w6k=","raw":"{\"n\":1.50,\"d\":18446744073709551616}","secret":"x",
"own":0.1000000000000000055511151231257827,"e\u0301":[1, 2 ],"redis_key":"mine","own2":1,"own2":2}"#;

/// The columns of an order, in lines.
fn order(case: &Case, columns: &[&str], id: &str) -> Vec<String> {
    let columns: Vec<String> = columns.iter().map(|column| format!("coalesce(({column})::text, '-')")).collect();
    let line = case.sql(&format!("SELECT concat_ws(E'\\t', {}) FROM orders WHERE id = '{id}'", columns.join(", ")));
    line.split('\t').map(str::to_owned).collect()
}

#[test]
fn every_source_and_function_reaches_its_column() {
    let case = Case::new();
    case.sql(TABLES);
    case.redis().set("order:42:a:b", ORDER);
    case.redis().set("order:7:bare", "{}");
    let run = case.run_config(CONFIG, &[]);
    assert_eq!(run.count("orders", "inserted"), 2, "{run}");

    let places = ["redis_key", "email", "first_item", "slug", "origin", "version", "active", "state", "total"];
    let full = ["order:42:a:b", "b@éx.de", "Straße 😀", "42/de-Straße 😀", "vip", "3", "false", "1", "42"];
    assert_eq!(order(&case, &places, "a:b"), full);
    let bare = ["order:7:bare", "-", "-", "7/{none}", "cache", "3", "true", "9", "0"];
    assert_eq!(order(&case, &places, "bare"), bare);

    let functions = ["file", "folder", "kind", "tenant", "year", "note"];
    assert_eq!(order(&case, &functions, "a:b"), ["a b.pdf", ".up.2024-07", ".BAK", "000042!", "2024", "é"]);
    assert_eq!(order(&case, &functions, "bare"), ["-", "-", "-", "000007!", "-", "-"]);
    let hashes = "SELECT checksum = encode(sha256(convert_to(f, 'UTF8')), 'hex') AND fingerprint = 'md5:' || left(md5(f), 8) \
                  FROM orders, (VALUES ('/up/2024-07/a%20b.pdf.bak')) AS files (f) WHERE id = 'a:b'";
    assert_eq!(case.sql(hashes), "t");
    assert_eq!(
        case.sql("SELECT reference FROM orders WHERE id = 'bare'"),
        Uuid::new_v5(&Uuid::NAMESPACE_URL, b"order:7:bare").to_string()
    );

    let json = ["settings", "amounts", "raw"];
    let settings = r#"{"limit": 0.1000000000000000055511151231257827}"#;
    let amounts = r#"{"net": 1.10, "gross": 12345678901234567890.5}"#;
    assert_eq!(order(&case, &json, "a:b"), [settings, amounts, r#"{"d": 18446744073709551616, "n": 1.50}"#]);
    let rest =
        "metadata - 'redis2pg' - 'redis_key' - 'redis_document_id' - 'migrated_from_redis' - 'migration_timestamp'";
    let own = "{\"e\u{301}\": [1, 2], \"own\": 0.1000000000000000055511151231257827, \"own2\": 2, \
               \"source_metadata\": {\"redis_key\": \"mine\"}}";
    assert_eq!(order(&case, &[rest, "metadata->>'redis_key'"], "a:b"), [own, "order:42:a:b"]);
    assert_eq!(order(&case, &[rest], "bare"), ["{}"]);
    assert_eq!(run.report["tally"]["altered"]["json_duplicate_key"], 1);

    let again = case.run_config(CONFIG, &[]);
    assert_eq!(again.total("unchanged"), 2, "{again}");
}

#[test]
fn arrays_and_whole_values_are_taken_apart_and_refused_with_their_reasons() {
    let case = Case::new();
    case.sql(TABLES);
    let mut redis = case.redis();
    redis.set("point:1", r#"[1.5,"é😀",{"z":true}]"#);
    redis.set("point:2", r#"[2,"x"]"#);
    redis.set("point:3", r#"{"x":1}"#);
    redis.set("point:4", r#"[1,{"z":1},{"z":1}]"#);
    redis.set("plain:1", r#"{"b" : 1.0,"a":[],"b":2.00}"#);
    redis.set("plain:2", "[1]");
    redis.set("order:1:no64", r#"{"note":"*"}"#);
    redis.set("order:1:nojson", r#"{"raw":"{"}"#);
    redis.set("order:1:jq", r#"{"items":5}"#);
    let run = case.run_config(CONFIG, &[]).exits(3);
    assert_eq!((run.total("inserted"), run.rejects.len()), (3, 6), "{run}");
    assert_eq!(
        case.sql("SELECT string_agg(concat_ws(' ', id, x, y, n), ',' ORDER BY id) FROM points"),
        "1 1.5 é😀:true 2,2 2 x 1"
    );
    assert_eq!(case.sql("SELECT rest::text || doc::text FROM plain"), r#"{"b":2.00}{"b" : 1.0,"a":[],"b":2.00}"#);
    for (key, reason, column) in [
        ("point:3", "json_not_array (object)", ""),
        ("point:4", "type_mismatch", "y"),
        ("plain:2", "json_not_object (array)", ""),
        ("order:1:no64", "base64", "note"),
        ("order:1:nojson", "json_syntax", "raw"),
        ("order:1:jq", "jq", "total"),
    ] {
        let reject = run.reject(key);
        assert_eq!(
            (&reject["reason"], reject["column"].as_str().unwrap_or_default()),
            (&reason.into(), column),
            "{key}"
        );
    }
    assert_eq!(run.reject("order:1:nojson")["path"], "$.raw");
}

#[test]
fn what_is_wrong_with_a_mapping_is_said_before_the_run() {
    let case = Case::new();
    case.sql(TABLES);
    case.redis().set("plain:1", "{}");
    let config = r#"
[[mapping]]
name = "plain"
match = "plain:{id}"
into = "public.plain"
key = ["id"]
column = [
  { name = "id", from = [{ source = "{id}", with = ["uper"] }] },
  { name = "doc", from = [{ jq = "map(" }], required = true, default = "{}" },
]
"#;
    let run = case.run_config(config, &[]).exits(2);
    let said = run.to_string();
    for part in ["did you mean upper?", "`jq`: ", "`required` and `default` contradict each other"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_reference_with_a_prefix_finds_its_parent() {
    let case = Case::new();
    case.sql(
        "CREATE TABLE parents (id uuid PRIMARY KEY); CREATE TABLE children (id text PRIMARY KEY, parent uuid NOT NULL \
         REFERENCES parents); GRANT ALL ON parents, children TO redis2pg",
    );
    let config = r#"
[[mapping]]
name = "parents"
match = "parent:{id}"
into = "public.parents"
key = ["id"]
column = [{ name = "id", from = ["{id}"], with = ["uuid_or_uuid5"] }]
[[mapping]]
name = "children"
match = "child:{id}"
into = "public.children"
key = ["id"]
parents = [{ mapping = "parents", column = "parent" }]
column = [
  { name = "id", from = ["{id}"] },
  { name = "parent", from = ["$.of"], with = ["split('#', 0)", "strip_prefix('parent:')", "uuid_or_uuid5"] },
]
"#;
    let mut redis = case.redis();
    redis.set("parent:7", "{}");
    redis.set("child:1", r#"{"of":"parent:7#x"}"#);
    redis.set("child:2", r#"{"of":"parent:8#x"}"#);
    let run = case.run_config(config, &[]).exits(3);
    assert_eq!((run.total("inserted"), run.rejects.len()), (2, 1), "{run}");
    assert_eq!(case.sql("SELECT children.id FROM children JOIN parents ON parents.id = parent"), "1");
    let reject = run.reject("child:2");
    assert_eq!(
        (&reject["reason"], &reject["detail"]),
        (&"missing_parent".into(), &"its parent parent:8 is not in Redis".into())
    );
}

#[test]
fn text_that_functions_make_is_no_object_and_a_run_identifies_no_row() {
    let case = Case::new();
    case.sql(TABLES);
    case.redis().set("plain:1", r#"{"d":{"x":1}}"#);
    case.redis().set("plain:2", r#"{"v":"X"}"#);
    let plain = |key: &str, columns: &str| {
        format!(
            "[[mapping]]\nname = \"plain\"\nmatch = \"plain:{{id}}\"\ninto = \"public.plain\"\nkey = {key}\n\
             column = [{{ name = \"id\", from = \"{{id}}\" }}, {columns}]"
        )
    };
    let expects = "{ name = \"doc\", from = [\"$.d\", { source = \"$.v\", with = \"lower\" }], expect = \"object\" }";
    let run = case.run_config(&plain("\"id\"", expects), &[]).exits(3);
    assert_eq!(run.reject("plain:2")["reason"], "json_not_object (string)");
    assert_eq!(case.sql("SELECT id, doc FROM plain"), "1|{\"x\":1}");

    let volatile = "{ name = \"doc\", from = \"run.time\" }";
    let refused = case.run_config(&plain("[\"id\", \"doc\"]", volatile), &[]).exits(2);
    assert!(refused.stderr.contains("`run.time` is another one in the next run"), "{refused}");
}

#[test]
fn keys_in_quotes_are_escaped_as_in_json() {
    let case = Case::new();
    case.sql("SET ROLE redis2pg; CREATE TABLE paths (id text PRIMARY KEY, said text, dir text)");
    case.redis().set("path:1", r#"{"say \"hi\"":"hello","C:\\dir":"tmp"}"#);
    let config = r#"
[[mapping]]
name = "paths"
match = "path:{id}"
into = "public.paths"
key = ["id"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "said", from = ['$["say \"hi\""]'] },
  { name = "dir", from = ['$["C:\\dir"]'] },
]
"#;
    let _ = case.run_config(config, &[]).exits(0);
    assert_eq!(case.sql("SELECT id, said, dir FROM paths"), "1|hello|tmp");
    let wrong = case.run_config(&config.replace(r"C:\\dir", r"C:\dir"), &[]);
    assert!(wrong.code == 2 && wrong.stderr.contains("a backslash"), "{wrong}");
}
