//! Rows that refer to others of their table, and that the run deleted.

use crate::support::Case;
use crate::{id, rollback, rows, undo};
use std::thread::sleep;
use std::time::Duration;

const TABLE: &str = "SET ROLE redis2pg; \
    CREATE TABLE nodes (id bigint PRIMARY KEY, above bigint REFERENCES nodes, code text UNIQUE); CREATE INDEX ON nodes (above)";

const NODES: &str = r#"
[[mapping]]
name = "nodes"
match = "node:{id:int}"
into = "public.nodes"
key = ["id"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "above", from = ["$.above"] },
  { name = "code", from = ["$.code"] },
]
"#;

const GONE: [&str; 4] = ["--delete-gone", "--delete-expired", "--delete-gone-limit", "100%"];

/// A row that stays, so that Redis is not empty.
const LAST: (&str, &str) = ("node:999999", r#"{"code":"last"}"#);

fn node(id: usize, above: Option<usize>, code: &str) -> (String, String) {
    let above = above.map_or_else(|| "null".to_owned(), |above| above.to_string());
    (format!("node:{id}"), format!("{{\"above\":{above},\"code\":\"{code}-{id}\"}}"))
}

/// The numbers below `count` in an order that looks like none.
fn mixed(count: usize) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..count).collect();
    numbers.sort_by_key(|number| (number * 7919 + 13) % 10_007);
    numbers
}

/// Loads nodes, then deletes them by a run, which is given.
fn load_and_delete(case: &Case, nodes: &[(String, String)]) -> String {
    case.redis().set_many(nodes);
    case.redis().set(LAST.0, LAST.1);
    let _ = case.run_config(NODES, &[]).exits(0);
    assert_eq!(case.number("SELECT count(*) FROM nodes"), nodes.len() as i64 + 1);
    delete(case)
}

fn delete(case: &Case) -> String {
    case.redis().say("FLUSHDB");
    case.redis().set(LAST.0, LAST.1);
    let run = id(&case.run_config(NODES, &GONE).exits(0));
    assert_eq!(case.number("SELECT count(*) FROM nodes"), 1);
    run
}

/// Transactions of the database, once its sessions have told of theirs.
fn transactions(case: &Case) -> i64 {
    sleep(Duration::from_millis(1200));
    case.number("SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()")
}

#[test]
fn a_tree_and_a_chain_in_the_worst_order_come_back_in_few_transactions() {
    let case = Case::new();
    case.sql(TABLE);
    let (chain, tree) = (mixed(2000), mixed(4000));
    let nodes: Vec<_> =
        chain.iter().copied().chain(tree.iter().map(|n| 5000 + n)).map(|n| node(n, None, "n")).collect();
    let run = load_and_delete(&case, &nodes);
    // As if they had referred to one another before they were deleted: a chain to and fro through all pages, and a tree.
    let in_chain = chain.windows(2).map(|pair| format!("({}, {})", pair[1], pair[0]));
    let in_tree = (1..tree.len()).map(|n| format!("({}, {})", 5000 + tree[n], 5000 + tree[(n * 31 + 7) % n]));
    let pairs: Vec<String> = in_chain.chain(in_tree).collect();
    case.sql(&format!(
        "UPDATE redis2pg.before_images SET image = image || jsonb_build_object('above', v.above) \
         FROM (VALUES {}) v (id, above) WHERE row_key = jsonb_build_object('id', v.id)",
        pairs.join(", ")
    ));
    let before = case.sql("SELECT image FROM redis2pg.before_images ORDER BY row_key");
    // Without the root of the chain nothing of it comes back; that is found out at once too.
    let root = format!("n-{}", chain[0]);
    case.sql(&format!("UPDATE nodes SET code = '{root}' WHERE id = 999999"));
    let begun = transactions(&case);
    let kept = undo(&case, &run);
    let first = transactions(&case) - begun;
    assert_eq!(kept.counts(), [0, 4000, 2000], "{:#}", kept.json);
    assert_eq!((kept.kept("public.nodes", "place_taken"), kept.kept("public.nodes", "missing_parent")), (1, 1999));
    case.sql("UPDATE nodes SET code = 'last' WHERE id = 999999");
    let begun = transactions(&case);
    assert_eq!(undo(&case, &run).counts(), [0, 6000, 0]);
    let second = transactions(&case) - begun;
    assert_eq!(
        case.sql("SELECT to_jsonb(n) FROM nodes n WHERE id < 999999 ORDER BY jsonb_build_object('id', id)"),
        before
    );
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.before_images"), 0);
    assert!(first < 500 && second < 60, "{first} and {second} transactions");
}

#[test]
fn each_row_of_a_chain_goes_back_to_the_run_that_it_was_of() {
    let case = Case::new();
    case.sql(TABLE);
    let chain = |odd: &str| -> Vec<(String, String)> {
        (0..12).map(|n| node(n, (n < 11).then_some(n + 1), if n % 2 == 1 { odd } else { "first" })).collect()
    };
    case.redis().set_many(&chain("first"));
    case.redis().set(LAST.0, LAST.1);
    let first = id(&case.run_config(NODES, &[]).exits(0));
    let loaded = rows(&case, "nodes");
    case.redis().set_many(&chain("second"));
    let second = id(&case.run_config(NODES, &[]).exits(0));
    let changed = rows(&case, "nodes");
    let third = delete(&case);
    assert_eq!(undo(&case, &third).counts(), [0, 12, 0]);
    assert_eq!(rows(&case, "nodes"), changed);
    assert_eq!(undo(&case, &second).counts(), [0, 6, 0]);
    assert_eq!(rows(&case, "nodes"), loaded);
    assert_eq!(undo(&case, &first).counts(), [13, 0, 0]);
}

#[test]
fn rows_that_refer_to_one_another_come_back_together() {
    let case = Case::new();
    case.sql(TABLE);
    let run = load_and_delete(&case, &[node(1, None, "pair"), node(2, None, "pair"), node(3, Some(3), "self")]);
    // As if they had been so before the run deleted them: no run loads a circle.
    case.sql(
        "UPDATE redis2pg.before_images SET image = image || jsonb_build_object('above', 3 - (row_key ->> 'id')::int) \
         WHERE (row_key ->> 'id')::int < 3",
    );
    assert_eq!(undo(&case, &run).counts(), [0, 3, 0]);
    assert_eq!(case.sql("SELECT id, above FROM nodes WHERE above IS NOT NULL ORDER BY 1"), "1|2\n2|1\n3|3");
}

#[test]
fn what_a_row_refers_to_already_needs_not_be_there() {
    let case = Case::new();
    case.sql(TABLE);
    case.redis().set_many(&[node(1, None, "first"), node(2, None, "first")]);
    let _ = case.run_config(NODES, &[]).exits(0);
    // A foreign key that is not checked for the rows that were there.
    case.sql(
        "SET ROLE redis2pg; ALTER TABLE nodes DROP CONSTRAINT nodes_above_fkey, ADD other bigint; UPDATE nodes SET other = 77; \
         ALTER TABLE nodes ADD FOREIGN KEY (other) REFERENCES nodes NOT VALID",
    );
    let before = rows(&case, "nodes");
    case.redis().set_many(&[node(1, None, "second"), node(2, None, "second")]);
    let config = format!("{NODES}on_conflict = \"update\"\n");
    let run = id(&case.run_config(&config, &[]).exits(0));
    assert_ne!(rows(&case, "nodes"), before);
    assert_eq!(undo(&case, &run).counts(), [0, 2, 0]);
    assert_eq!(rows(&case, "nodes"), before);
}

#[test]
fn a_row_whose_parent_is_gone_for_good_is_kept_with_what_hangs_on_it() {
    let case = Case::new();
    case.sql(TABLE);
    let run =
        load_and_delete(&case, &[node(1, None, "a"), node(2, Some(1), "a"), node(3, Some(2), "a"), node(4, None, "a")]);
    case.sql("DELETE FROM redis2pg.before_images WHERE row_key ->> 'id' = '1'");
    // The image that is missing has to be told.
    let undone = rollback(&case, &run, &["--yes", "--force"]).exits(0);
    assert_eq!((undone.counts(), undone.kept("public.nodes", "missing_parent")), ([0, 1, 2], 2), "{:#}", undone.json);
    assert!(undone.json["samples"].to_string().contains("nodes_above_fkey"), "{:#}", undone.json);
}

/// The same by another unique key than the mapping's: the images are not found by their own key then.
#[test]
fn a_tree_whose_foreign_key_refers_to_another_unique_key_comes_back_as_soon() {
    let case = Case::new();
    case.sql(TABLE);
    let (chain, tree) = (mixed(700), mixed(800));
    let nodes: Vec<_> =
        chain.iter().copied().chain(tree.iter().map(|n| 5000 + n)).map(|n| node(n, None, "n")).collect();
    let run = load_and_delete(&case, &nodes);
    let in_chain = chain.windows(2).map(|pair| format!("({}, {})", pair[1], pair[0]));
    let in_tree = (1..tree.len()).map(|n| format!("({}, {})", 5000 + tree[n], 5000 + tree[(n * 31 + 7) % n]));
    let pairs: Vec<String> = in_chain.chain(in_tree).collect();
    case.sql(&format!(
        "SET ROLE redis2pg; ALTER TABLE nodes ADD up text REFERENCES nodes (code); CREATE INDEX ON nodes (up); \
         UPDATE redis2pg.before_images SET image = image || jsonb_build_object('up', CASE WHEN v.above IS NOT NULL THEN 'n-' || v.above END) \
         FROM (SELECT k.id, v.above FROM generate_series(0, 9999) k (id) LEFT JOIN (VALUES {}) v (id, above) USING (id)) v \
         WHERE row_key = jsonb_build_object('id', v.id)",
        pairs.join(", ")
    ));
    let before = case.sql("SELECT image FROM redis2pg.before_images ORDER BY row_key");
    // Somebody has the root's key, with another code: nothing of the chain comes back, and the dry run knows.
    case.sql(&format!("INSERT INTO nodes (id, code) VALUES ({}, 'mine')", chain[0]));
    let kept = crate::as_foretold(&case, &run, &[]);
    assert_eq!(kept.counts(), [0, 800, 700], "{:#}", kept.json);
    assert_eq!((kept.kept("public.nodes", "changed"), kept.kept("public.nodes", "missing_parent")), (1, 699));
    case.sql("DELETE FROM nodes WHERE code = 'mine'");
    let begun = transactions(&case);
    assert_eq!(undo(&case, &run).counts(), [0, 1500, 0]);
    let took = transactions(&case) - begun;
    assert_eq!(
        case.sql("SELECT to_jsonb(n) FROM nodes n WHERE id < 999999 ORDER BY jsonb_build_object('id', id)"),
        before
    );
    assert!(took < 80, "{took} transactions");
}

/// Somebody wrote rows again that the run had deleted, some of which refer to ones that it is to put back.
#[test]
fn rows_that_somebody_wrote_again_are_kept_and_what_refers_to_them_comes_back() {
    let case = Case::new();
    case.sql(TABLE);
    let run =
        load_and_delete(&case, &[node(1, None, "a"), node(2, Some(1), "a"), node(3, Some(2), "a"), node(4, None, "a")]);
    // 1 and 2 are in a circle now; 4, which is to come back, was below 3 before.
    case.sql(
        "INSERT INTO nodes VALUES (1, NULL, 'b-1'), (2, 1, 'b-2'); UPDATE nodes SET above = 2 WHERE id = 1; \
         UPDATE redis2pg.before_images SET image = image || '{\"above\": 3}' WHERE row_key ->> 'id' = '4'",
    );
    let undone = crate::as_foretold(&case, &run, &[]);
    assert_eq!((undone.counts(), undone.kept("public.nodes", "changed")), ([0, 2, 2], 2), "{:#}", undone.json);
    assert_eq!(case.sql("SELECT id, above FROM nodes WHERE id < 9 ORDER BY 1"), "1|2\n2|1\n3|2\n4|3");
    let undone = crate::as_foretold(&case, &run, &["--force"]);
    assert_eq!(
        (undone.counts(), case.sql("SELECT id, above FROM nodes WHERE id < 9 ORDER BY 1")),
        ([0, 4, 0], "1|\n2|1\n3|2\n4|3".to_owned())
    );
}
