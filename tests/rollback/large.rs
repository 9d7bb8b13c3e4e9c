//! The dry run of a large rollback: what it asks grows with the rows, and not with their square.

use crate::carried::Carried;
use crate::support::Case;
use crate::{as_foretold, id, rollback, tables};
use serde_json::json;

/// Groups, and members each of one of them.
const CONFIG: &str = r#"
[[mapping]]
name = "groups"
match = "group:{id:int}"
into = "public.groups"
key = ["id"]
column = [{ name = "id", from = ["{id}"] }, { name = "code", from = ["$.code"] }]
[[mapping]]
name = "members"
match = "member:{id}"
into = "public.members"
key = ["id"]
parents = [{ mapping = "groups", column = "team" }]
column = [{ name = "id", from = ["{id}"] }, { name = "team", from = ["$.team"] }]
"#;

fn loaded(count: usize) -> (Case, String) {
    let case = Case::new();
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE groups (id bigint PRIMARY KEY, code text); \
         CREATE TABLE members (id text PRIMARY KEY, team bigint REFERENCES groups); CREATE INDEX ON members (team)",
    );
    let groups = (0..count).map(|n| (format!("group:{n}"), format!(r#"{{"code":"c{n}"}}"#)));
    let members = (0..count).map(|n| (format!("member:m{n}"), format!(r#"{{"team":{n}}}"#)));
    case.redis().set_many(&groups.chain(members).collect::<Vec<_>>());
    let run = id(&case.run_config(CONFIG, &[]).exits(0));
    (case, run)
}

#[test]
fn each_row_that_stays_is_sent_once() {
    let count = 8000;
    let (case, run) = loaded(count);
    // All members stay, and so all groups do.
    case.sql(
        "CREATE TABLE notes (member text REFERENCES members); CREATE INDEX ON notes (member); \
         INSERT INTO notes SELECT id FROM members; GRANT SELECT ON notes TO redis2pg",
    );
    let (through, carried) = Carried::before(&case);
    let planned = rollback(&through, &run, &["--dry-run"]).exits(0);
    let (sent, _) = carried.bytes();
    for table in ["public.members", "public.groups"] {
        let kept = json!({"deleted": 0, "restored": 0, "kept": {"referred_to": count}});
        assert_eq!(tables(&planned.json)[table], kept, "{:#}", planned.json);
    }
    // A key is some twenty bytes, and a row is asked about a few times.
    assert!(sent < 1_500_000, "{sent} bytes");
    // What goes once the first half is free.
    case.sql("DELETE FROM notes WHERE length(member) = 5");
    let undone = as_foretold(&case, &run, &[]);
    assert_eq!(undone.counts(), [2 * 7000, 0, 2 * 1000], "{:#}", undone.json);
}

#[test]
fn parents_are_looked_for_among_all_images_only_where_equal_values_are_spelled_otherwise() {
    let (case, _) = loaded(20);
    let mut redis = case.redis();
    redis.say("FLUSHDB");
    redis.set("group:99", r#"{"code":"stays"}"#);
    let gone = ["--delete-gone", "--delete-expired", "--delete-gone-limit", "100%"];
    let run = id(&case.run_config(CONFIG, &gone).exits(0));
    assert_eq!(case.number("SELECT (SELECT count(*) FROM members) + (SELECT count(*) FROM groups)"), 1);
    // The image of one group is gone, and that of another one cannot be read: what hangs on these does not come back.
    case.sql(
        "DELETE FROM redis2pg.before_images WHERE row_key = '{\"id\": 3}'; \
         UPDATE redis2pg.before_images SET image = image || '{\"id\": \"x\"}' WHERE row_key = '{\"id\": 4}'",
    );
    let undone = as_foretold(&case, &run, &["--force"]);
    assert_eq!(undone.kept("public.groups", "refused"), 1, "{:#}", undone.json);
    assert_eq!(undone.kept("public.members", "missing_parent"), 2, "{:#}", undone.json);
}

/// Items and parts that refer to one another.
const RING: &str = r#"
[[mapping]]
name = "items"
match = "item:{id}"
into = "public.items"
key = ["id"]
column = [{ name = "id", from = ["{id}"] }, { name = "part", from = ["$.part"] }]
[[mapping]]
name = "parts"
match = "part:{id}"
into = "public.parts"
key = ["id"]
column = [{ name = "id", from = ["{id}"] }, { name = "item", from = ["$.item"] }]
"#;

#[test]
fn rows_in_tables_in_a_circle_wait_for_those_alone_that_wait_themselves() {
    let case = Case::new();
    case.sql("SET ROLE redis2pg; CREATE TABLE items (id text PRIMARY KEY, part text); CREATE TABLE parts (id text PRIMARY KEY, item text)");
    // One item with many parts; one in a circle with its part; one that has to wait for that.
    let hub = "h".repeat(2000);
    let parts = (0..4000).map(|n| (format!("part:p{n}"), format!(r#"{{"item":"{hub}"}}"#)));
    let others = [
        (format!("item:{hub}"), r#"{"part":null}"#.to_owned()),
        ("item:a".to_owned(), r#"{"part":"x"}"#.to_owned()),
        ("part:x".to_owned(), r#"{"item":"a"}"#.to_owned()),
        ("part:y".to_owned(), r#"{"item":"b"}"#.to_owned()),
        ("item:b".to_owned(), r#"{"part":"z"}"#.to_owned()),
        ("part:z".to_owned(), r#"{"item":null}"#.to_owned()),
    ];
    case.redis().set_many(&parts.chain(others).collect::<Vec<_>>());
    let run = id(&case.run_config(RING, &[]).exits(0));
    case.sql(
        "ALTER TABLE items ADD FOREIGN KEY (part) REFERENCES parts; ALTER TABLE parts ADD FOREIGN KEY (item) REFERENCES items; \
         CREATE INDEX ON parts (item); CREATE INDEX ON items (part)",
    );
    let (through, carried) = Carried::before(&case);
    let planned = rollback(&through, &run, &["--dry-run"]).exits(0);
    let (_, answered) = carried.bytes();
    assert_eq!(planned.counts(), [4004, 0, 2], "{:#}", planned.json);
    assert!(answered < 3_000_000, "{answered} bytes");
    assert_eq!(as_foretold(&case, &run, &[]).counts(), [4004, 0, 2]);
}

/// Nodes of a chain in an order that looks like none.
const NODES: &str = r#"
[[mapping]]
name = "nodes"
match = "node:{id:int}"
into = "public.nodes"
key = ["id"]
column = [{ name = "id", from = ["{id}"] }, { name = "above", from = ["$.above"] }]
"#;

#[test]
fn what_reaches_back_through_all_batches_is_found_however_long_it_is() {
    let case = Case::new();
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE nodes (id bigint PRIMARY KEY, above bigint); CREATE INDEX ON nodes (above)",
    );
    let mut order: Vec<usize> = (0..2400).collect();
    order.sort_by_key(|number| (number * 7919 + 13) % 10_007);
    let mut nodes: Vec<(String, String)> =
        (0..order.len()).map(|n| (format!("node:{n}"), r#"{"above":null}"#.to_owned())).collect();
    for pair in order.windows(2) {
        nodes[pair[1]].1 = format!(r#"{{"above":{}}}"#, pair[0]);
    }
    case.redis().set_many(&nodes);
    let run = id(&case.run_config(NODES, &[]).exits(0));
    // A few below the one that somebody refers to go; all above it stays. With the foreign key from the start, parents would be loaded first.
    case.sql(&format!(
        "ALTER TABLE nodes ADD FOREIGN KEY (above) REFERENCES nodes; CREATE TABLE notes (node bigint REFERENCES nodes); \
         INSERT INTO notes VALUES ({}); GRANT SELECT ON notes TO redis2pg",
        order[2390]
    ));
    let undone = as_foretold(&case, &run, &[]);
    assert_eq!(undone.counts(), [9, 0, 2391], "{:#}", undone.json);
    assert!(!undone.json["notices"].to_string().contains("can follow"), "{:#}", undone.json);
    let planned = rollback(&case, &run, &["--dry-run"]).exits(0);
    assert!(planned.json["samples"].as_array().unwrap().iter().all(|row| row["key"].is_string()), "{:#}", planned.json);
}

/// Fields of hashes, several rows each, and items that refer to one of them.
const FIELDS: &str = r#"
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
name = "items"
match = "item:{id}"
into = "public.items"
key = ["id"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "hash", from = ["$.hash"] },
  { name = "field", from = ["$.field"] },
]
"#;

#[test]
fn a_row_of_a_key_of_several_rows_keeps_the_others_whenever_it_is_found_to_stay() {
    let case = Case::new();
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE fields (id text, field text, value integer, PRIMARY KEY (id, field)); \
         CREATE TABLE items (id text PRIMARY KEY, hash text, field text)",
    );
    for hash in 1..4 {
        case.redis().say(&format!("HSET hash:{hash} a 1 b 2 c 3 d 4"));
        case.redis().set(&format!("item:{hash}"), &format!(r#"{{"hash":"{hash}","field":"b"}}"#));
    }
    let run = id(&case.run_config(FIELDS, &[]).exits(0));
    case.sql(
        "ALTER TABLE items ADD FOREIGN KEY (hash, field) REFERENCES fields; \
         CREATE TABLE notes (item text REFERENCES items); INSERT INTO notes VALUES ('2'); GRANT SELECT ON notes TO redis2pg",
    );
    let undone = as_foretold(&case, &run, &[]);
    let fields = json!({"deleted": 8, "restored": 0, "kept": {"key_kept": 4}});
    assert_eq!(tables(&undone.json)["public.fields"], fields, "{:#}", undone.json);
    assert_eq!(undone.kept("public.items", "referred_to"), 1, "{:#}", undone.json);
}

/// What is asked has names of its own beside those of the table's columns.
#[test]
fn columns_of_any_name_refer() {
    let case = Case::new();
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE nodes (id bigint PRIMARY KEY); \
         CREATE TABLE edges (id bigint PRIMARY KEY, child bigint REFERENCES nodes, place bigint REFERENCES nodes, \
         part bigint REFERENCES edges, parent bigint REFERENCES edges)",
    );
    let config = r#"
[[mapping]]
name = "nodes"
match = "node:{id:int}"
into = "public.nodes"
key = ["id"]
column = [{ name = "id", from = ["{id}"] }]
[[mapping]]
name = "edges"
match = "edge:{id:int}"
into = "public.edges"
key = ["id"]
after = ["nodes"]
column = [{ name = "id", from = ["{id}"] }, { name = "child", from = ["$.child"] }, { name = "place", from = ["$.place"] },
  { name = "part", from = ["$.part"] }, { name = "parent", from = ["$.parent"] }]
"#;
    let nodes = (1..=4).map(|n| (format!("node:{n}"), "{}".to_owned()));
    let edges = [(1, "null", "null"), (2, "1", "1"), (3, "2", "null"), (4, "null", "4")].map(|(n, part, parent)| {
        (format!("edge:{n}"), format!(r#"{{"child":{n},"place":1,"part":{part},"parent":{parent}}}"#))
    });
    case.redis().set_many(&nodes.chain(edges).collect::<Vec<_>>());
    let run = id(&case.run_config(config, &[]).exits(0));
    case.sql("CREATE TABLE notes (edge bigint REFERENCES edges); INSERT INTO notes VALUES (2); GRANT SELECT ON notes TO redis2pg");
    let undone = as_foretold(&case, &run, &[]);
    assert_eq!(undone.counts(), [4, 0, 4], "{:#}", undone.json);
}
