//! A dry run says what the rollback does then: the same rows, kept for the same reasons.

use crate::support::Case;
use crate::{ITEMS, as_foretold, id, items, rows, set, tables};
use serde_json::json;

const GONE: [&str; 4] = ["--delete-gone", "--delete-expired", "--delete-gone-limit", "100%"];

/// Groups, and members of them that may stand below one another.
const TABLES: &str = "SET ROLE redis2pg; \
    CREATE TABLE groups (id text PRIMARY KEY, code text UNIQUE, n integer); \
    CREATE TABLE members (id text PRIMARY KEY, team text REFERENCES groups, above text REFERENCES members, tag text UNIQUE, n integer); \
    CREATE INDEX ON members (team); CREATE INDEX ON members (above)";

const CONFIG: &str = r#"
[[mapping]]
name = "groups"
match = "group:{id}"
into = "public.groups"
key = ["id"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "code", from = ["$.code"] },
  { name = "n", from = ["$.n"] },
]
[[mapping]]
name = "members"
match = "member:{id}"
into = "public.members"
key = ["id"]
parents = [{ mapping = "groups", column = "team" }]
column = [
  { name = "id", from = ["{id}"] },
  { name = "team", from = ["$.team"] },
  { name = "above", from = ["$.above"] },
  { name = "tag", from = ["$.tag"] },
  { name = "n", from = ["$.n"] },
]
"#;

/// Four groups and twenty members, five in each; each member but the first of a group stands below another one of it.
fn load(case: &Case, n: i64) -> String {
    let groups = (0..4).map(|g| (format!("group:g{g}"), format!(r#"{{"code":"c{g}","n":{n}}}"#)));
    let members = (0..20).map(|m| {
        let above = if m < 4 { "null".to_owned() } else { format!("\"m{}\"", m - 4) };
        (format!("member:m{m}"), format!(r#"{{"team":"g{}","above":{above},"tag":"t{m}","n":{n}}}"#, m % 4))
    });
    case.redis().set_many(&groups.chain(members).collect::<Vec<_>>());
    id(&case.run_config(CONFIG, &[]).exits(0))
}

/// All of it loaded by a first run and deleted by a second one, which is given, but for a group that stays.
fn deleted() -> (Case, String) {
    let case = Case::new();
    case.sql(TABLES);
    load(&case, 1);
    let mut redis = case.redis();
    redis.say("FLUSHDB");
    redis.set("group:stays", r#"{"code":"stays","n":1}"#);
    let run = id(&case.run_config(CONFIG, &GONE).exits(0));
    assert_eq!(case.number("SELECT (SELECT count(*) FROM members) + (SELECT count(*) FROM groups)"), 1);
    (case, run)
}

#[test]
fn rows_whose_parent_does_not_come_back_either() {
    // Of the four groups: one is there again, by somebody; one's place is taken; of one the image is gone; one comes back.
    let (case, run) = deleted();
    case.sql(
        "INSERT INTO groups VALUES ('g0', 'mine', 9), ('x', 'c1', 9); \
         DELETE FROM redis2pg.before_images WHERE row_key ->> 'id' = 'g2'",
    );
    let undone = as_foretold(&case, &run, &["--force"]);
    assert_eq!(undone.kept("public.members", "missing_parent"), 10, "{:#}", undone.json);
    assert_eq!(undone.kept("public.groups", "place_taken"), 1, "{:#}", undone.json);
    case.sql("DELETE FROM groups WHERE id = 'x'");
    assert_eq!(as_foretold(&case, &run, &["--force"]).kept("public.members", "missing_parent"), 5);
}

#[test]
fn what_hangs_on_a_row_that_is_kept_in_its_own_table() {
    let (case, run) = deleted();
    case.sql("INSERT INTO members VALUES ('x', NULL, NULL, 't5', 9), ('m2', NULL, NULL, 'mine', 9)");
    let undone = as_foretold(&case, &run, &[]);
    // t5 stood at m5, below which are m9, m13, m17; m2 is somebody's now, and what is below it comes back all the same.
    let members = json!({"deleted": 0, "restored": 15, "kept": {"place_taken": 1, "missing_parent": 3, "changed": 1}});
    assert_eq!(tables(&undone.json)["public.members"], members, "{:#}", undone.json);
}

#[test]
fn rows_in_a_circle_come_back_within_one_table_and_not_over_two() {
    let (case, run) = deleted();
    // As if they had been so before the run deleted them.
    case.sql(
        "SET ROLE redis2pg; ALTER TABLE groups ADD head text REFERENCES members; \
         UPDATE redis2pg.before_images SET image = image || '{\"head\": \"m0\"}' WHERE row_key ->> 'id' = 'g0'; \
         UPDATE redis2pg.before_images SET image = image || '{\"head\": \"m3\"}' WHERE row_key ->> 'id' = 'g1'; \
         UPDATE redis2pg.before_images SET image = image || '{\"above\": \"m18\"}' WHERE row_key ->> 'id' = 'm2'",
    );
    let undone = as_foretold(&case, &run, &[]);
    assert_eq!(undone.kept("public.groups", "missing_parent"), 1, "{:#}", undone.json);
    assert_eq!(undone.kept("public.members", "missing_parent"), 5, "{:#}", undone.json);
    assert_eq!(case.sql("SELECT above FROM members WHERE id = 'm2'"), "m18");
}

#[test]
fn what_stays_keeps_what_it_refers_to() {
    let case = Case::new();
    case.sql(&format!(
        "{TABLES}; RESET ROLE; CREATE TABLE notes (member text REFERENCES members); GRANT SELECT ON notes TO redis2pg"
    ));
    let run = load(&case, 1);
    case.sql("INSERT INTO notes VALUES ('m9'); UPDATE members SET n = 7 WHERE id = 'm10'");
    let undone = as_foretold(&case, &run, &[]);
    let kept = tables(&undone.json);
    assert_eq!(kept["public.members"], json!({"deleted": 14, "restored": 0, "kept": {"referred_to": 5, "changed": 1}}));
    assert_eq!(kept["public.groups"], json!({"deleted": 2, "restored": 0, "kept": {"referred_to": 2}}));
    let undone = as_foretold(&case, &run, &["--force"]);
    assert_eq!(undone.kept("public.members", "referred_to"), 3, "{:#}", undone.json);
}

#[test]
fn a_row_that_is_not_put_back_keeps_what_the_run_made_it_refer_to() {
    let case = Case::new();
    case.sql(TABLES);
    case.sql("INSERT INTO groups VALUES ('old', 'old', 1)");
    case.sql("INSERT INTO members VALUES ('m1', 'old', NULL, 'mine', 1), ('m2', 'old', NULL, 'yours', 1), ('m3', 'old', NULL, 'x', 1)");
    let config = format!("{CONFIG}on_conflict = \"update\"\n");
    case.redis().set("group:g1", r#"{"code":"c1","n":1}"#);
    case.redis().set("group:g2", r#"{"code":"c2","n":1}"#);
    (1..4).for_each(|m| {
        case.redis().set(&format!("member:m{m}"), &format!(r#"{{"team":"g{}","tag":"t{m}","n":1}}"#, m % 2 + 1))
    });
    let run = id(&case.run_config(&config, &[]).exits(0));
    // m1 and m3 are in g2, m2 is in g1, which the run made; the row before m2 cannot come back.
    case.sql("INSERT INTO members VALUES ('own', NULL, NULL, 'yours', 1)");
    let undone = as_foretold(&case, &run, &[]);
    assert_eq!(tables(&undone.json)["public.members"]["kept"], json!({"place_taken": 1}), "{:#}", undone.json);
    assert_eq!(tables(&undone.json)["public.groups"]["kept"], json!({"referred_to": 1}), "{:#}", undone.json);
    assert_eq!(case.sql("SELECT id FROM groups ORDER BY 1"), "g1\nold");
}

#[test]
fn a_value_that_others_refer_to_stays_and_the_others_change_back() {
    let case = Case::new();
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE groups (id text PRIMARY KEY, code text UNIQUE, n integer); \
         CREATE TABLE members (id text PRIMARY KEY, team text REFERENCES groups (code), above text, tag text, n integer)",
    );
    let config = CONFIG.replace("parents = [{ mapping = \"groups\", column = \"team\" }]\n", "");
    case.redis().set("group:g1", r#"{"code":"old","n":1}"#);
    case.redis().set("group:g2", r#"{"code":"other","n":1}"#);
    let _ = case.run_config(&config, &[]).exits(0);
    case.redis().set("group:g1", r#"{"code":"new","n":1}"#);
    case.redis().set("group:g2", r#"{"code":"more","n":1}"#);
    let groups = id(&case.run_config(&config, &[]).exits(0));
    case.sql("INSERT INTO members VALUES ('own', 'more', NULL, NULL, 1)");
    let undone = as_foretold(&case, &groups, &[]);
    assert_eq!(undone.kept("public.groups", "referred_to"), 1, "{:#}", undone.json);
    assert_eq!(case.sql("SELECT code FROM groups ORDER BY 1"), "more\nold");
}

#[test]
fn what_the_server_would_refuse() {
    let case = items(&[("a", 1), ("b", 2), ("c", 3), ("d", 4), ("e", 5), ("f", 6)]);
    case.sql(
        "ALTER TABLE items ADD place integer GENERATED ALWAYS AS IDENTITY; ALTER TABLE items ADD t text DEFAULT '7'",
    );
    let _ = case.run_config(ITEMS, &[]).exits(0);
    case.sql("UPDATE items SET note = NULL WHERE id = 'd'; UPDATE items SET t = 'x' WHERE id = 'e'");
    set(&case, &[("a", 11), ("b", 12), ("c", 13), ("d", 14), ("e", 15), ("f", 16)]);
    let run = id(&case.run_config(&format!("{ITEMS}on_conflict = \"update\"\n"), &[]).exits(0));
    case.sql(
        "DELETE FROM items WHERE id = 'a'; INSERT INTO items (id, n) VALUES ('a', 7); \
         UPDATE redis2pg.before_images SET image = image || '{\"n\": 1000}' WHERE row_key ->> 'id' = 'b'; \
         ALTER TABLE items ADD CHECK (n < 100) NOT VALID; UPDATE items SET note = 'some', t = '8', n = n WHERE id IN ('d', 'e')",
    );
    let before = rows(&case, "items");
    for (change, kept) in [
        // a: somebody made it anew; b: the constraint; d and e: somebody changed them.
        ("SELECT 1", json!({"changed": 3, "refused": 1})),
        ("ALTER TABLE items ALTER note SET NOT NULL", json!({"changed": 3, "refused": 1})),
    ] {
        case.sql(change);
        let planned = crate::rollback(&case, &run, &["--dry-run"]).exits(0);
        assert_eq!(tables(&planned.json)["public.items"]["kept"], kept, "{:#}", planned.json);
    }
    assert_eq!(rows(&case, "items"), before);
    // By force: a is of an identity that nobody may change, b still is too large, and d was NULL.
    let undone = as_foretold(&case, &run, &["--force"]);
    assert_eq!(tables(&undone.json)["public.items"]["kept"], json!({"refused": 3}), "{:#}", undone.json);
    for said in ["column place cannot be changed", "items_n_check", "null value in column"] {
        assert!(undone.json["samples"].to_string().contains(said), "{said}: {:#}", undone.json);
    }
}

#[test]
fn a_value_that_its_column_cannot_hold_any_more() {
    let case = items(&[("a", 1), ("b", 2), ("c", 3)]);
    let _ = case.run_config(ITEMS, &[]).exits(0);
    set(&case, &[("a", 11), ("b", 12), ("c", 13)]);
    assert_eq!(case.redis().integer(&[b"DEL", b"item:a", b"item:b"]), 2);
    let run = id(&case.run_config(ITEMS, &GONE).exits(0));
    assert_eq!(case.sql("SELECT id FROM items"), "c");
    case.sql(
        "UPDATE redis2pg.before_images SET image = image || '{\"note\": \"5\"}' WHERE row_key ->> 'id' = 'a'; \
         ALTER TABLE items ALTER note DROP DEFAULT, ALTER note TYPE integer USING 7",
    );
    let undone = as_foretold(&case, &run, &[]);
    // A table that was written anew tells of no row whose it is.
    assert_eq!(
        tables(&undone.json)["public.items"],
        json!({"deleted": 0, "restored": 1, "kept": {"changed": 1, "refused": 1}}),
        "{:#}",
        undone.json
    );
    assert!(undone.json["samples"].to_string().contains("22P02"), "{:#}", undone.json);
    assert_eq!(case.sql("SELECT id, note FROM items ORDER BY 1"), "a|5\nc|7");
}
