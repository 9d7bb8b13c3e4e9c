//! Foreign keys whose two sides have different collations: what refers to what is found as the server's own checks find it.

use crate::support::Case;
use crate::{as_foretold, id, rows};
use serde_json::json;

const CONFIG: &str = r#"
[[mapping]]
name = "groups"
match = "group:{id}"
into = "public.groups"
key = ["id"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "n", from = ["$.n"] },
  { name = "until", from = ["redis.expires_at"] },
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
  { name = "n", from = ["$.n"] },
  { name = "until", from = ["redis.expires_at"] },
]
"#;

/// Four groups, and six members in two of them; each member but the first stands below the one before it.
fn set(case: &Case, folded: bool, n: i64) {
    let spelled = |id: String| if folded { id.to_uppercase() } else { id };
    let groups = (0..4).map(|g| (format!("group:g{g}"), format!(r#"{{"n":{n}}}"#)));
    let members = (0..6).map(|m| {
        let above = if m == 0 { "null".to_owned() } else { format!("\"{}\"", spelled(format!("m{}", m - 1))) };
        (format!("member:m{m}"), format!(r#"{{"team":"{}","above":{above},"n":{n}}}"#, spelled(format!("g{}", m % 2))))
    });
    case.redis().set_many(&groups.chain(members).collect::<Vec<_>>());
}

fn lives_whole(of: &str, own: &str) {
    let case = Case::new();
    case.sql(&format!(
        "CREATE COLLATION folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false); SET ROLE redis2pg; \
         CREATE TABLE groups (id text COLLATE {of} PRIMARY KEY, n integer, until timestamptz); \
         CREATE TABLE members (id text COLLATE {of} PRIMARY KEY, team text COLLATE {own} REFERENCES groups, \
         above text COLLATE {own} REFERENCES members, n integer, until timestamptz); \
         CREATE INDEX ON members (team); CREATE INDEX ON members (above); \
         CREATE TABLE notes (of_group varchar(9) COLLATE {own} PRIMARY KEY REFERENCES groups)"
    ));
    let folded = of == "folded";
    set(&case, folded, 1);
    let first = id(&case.run_config(CONFIG, &[]).exits(0));
    case.validate(CONFIG, &["--strict"]).exits(0);
    let mut redis = case.redis();
    redis.set("member:x", r#"{"team":"none","above":null,"n":1}"#);
    let run = case.run_config(CONFIG, &[]).exits(3);
    assert_eq!(run.reasons("members").into_iter().collect::<Vec<_>>(), [("missing_parent".to_owned(), 1)], "{run}");
    redis.say("DEL member:x");
    // A row of others, which keeps a group.
    case.sql(&format!("INSERT INTO notes VALUES ('{}')", if folded { "G3" } else { "g3" }));
    let before = [rows(&case, "groups"), rows(&case, "members")];
    set(&case, folded, 2);
    redis.say("DEL member:m5 member:m4 group:g2 group:g3");
    let second = case.run_config(CONFIG, &["--delete-gone", "--delete-gone-limit", "100%"]).exits(0);
    let gone = |mapping: &str| second.report["mappings"][mapping]["deleted_gone"].clone();
    assert_eq!(gone("members"), json!({"deleted": 2}), "{second}");
    assert_eq!(gone("groups"), json!({"deleted": 1, "kept_referred": 1}), "{second}");
    case.validate(CONFIG, &[]).exits(0);
    assert_eq!(as_foretold(&case, &id(&second), &[]).counts(), [0, 9, 0]);
    assert_eq!([rows(&case, "groups"), rows(&case, "members")], before);
    let undone = as_foretold(&case, &first, &[]);
    assert_eq!((undone.counts(), undone.kept("public.groups", "referred_to")), ([9, 0, 1], 1), "{:#}", undone.json);
}

#[test]
fn runs_come_and_go_whatever_collations_the_sides_of_foreign_keys_have() {
    lives_whole("\"C\"", "\"POSIX\"");
}

#[test]
fn a_collation_that_folds_what_is_referred_to_goes_for_both_sides() {
    lives_whole("folded", "\"POSIX\"");
    lives_whole("folded", "folded");
}
