//! Rows that refer to others of their table, and whose keys are gone: they go in few statements, however they hang together.

use crate::preset::gone;
use crate::support::Case;
use serde_json::json;

const NODES: &str = r#"
[[mapping]]
name = "nodes"
match = "node:{id:int}"
into = "public.nodes"
key = ["id"]
lineage = { columns = { key = "redis_key", digest = "redis_digest", run = "redis_run", expires_at = "expires_at" } }
column = [{ name = "id", from = ["{id}"] }, { name = "parent", from = ["$.parent"] }]
"#;

const ALL: [&str; 3] = ["--delete-gone", "--delete-gone-limit", "100%"];

/// Writes down how many rows each statement deletes.
const COUNTED: &str = "CREATE TABLE counted (place serial, rows bigint); \
    CREATE FUNCTION counting() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN \
    INSERT INTO public.counted (rows) SELECT count(*) FROM gone; RETURN NULL; END $$; \
    CREATE TRIGGER count AFTER DELETE ON nodes REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION counting()";

/// The numbers below `count` in an order that looks like none.
fn mixed(count: usize) -> Vec<usize> {
    let mut numbers: Vec<usize> = (0..count).collect();
    numbers.sort_by_key(|number| (number * 7919 + 13) % 10_007);
    numbers
}

/// A chain of nodes, each below the one before it, whose rows are in the table in another order; one more that stays. `action`: what the
/// foreign key does on deletion.
fn chain(count: usize, action: &str) -> (Case, Vec<usize>) {
    let case = Case::new();
    case.sql(
        "SET ROLE redis2pg; CREATE TABLE nodes (id bigint PRIMARY KEY, parent bigint, \
         redis_key text, redis_digest text, redis_run uuid, expires_at timestamptz)",
    );
    let order = mixed(count);
    let mut nodes: Vec<(String, String)> =
        (0..count).map(|n| (format!("node:{n}"), "{\"parent\":null}".into())).collect();
    for pair in order.windows(2) {
        nodes[pair[1]].1 = format!("{{\"parent\":{}}}", pair[0]);
    }
    nodes.push(("node:999999".into(), "{\"parent\":null}".into()));
    case.redis().set_many(&nodes);
    case.run_config(NODES, &[]).exits(0);
    // With the foreign key from the start, parents would be loaded first.
    case.sql(&format!("ALTER TABLE nodes ADD FOREIGN KEY (parent) REFERENCES nodes {action}"));
    assert_eq!(case.number("SELECT count(*) FROM nodes"), count as i64 + 1);
    case.redis().say("FLUSHDB");
    case.redis().set("node:999999", "{\"parent\":null}");
    (case, order)
}

fn left(case: &Case) -> String {
    case.sql("SELECT id FROM nodes WHERE id < 999999 ORDER BY 1")
}

#[test]
fn a_chain_in_the_worst_order_goes_in_few_statements() {
    for (batch, most) in [(3500, 1), (40, 24)] {
        let (case, _) = chain(400, "");
        case.sql(COUNTED);
        let config = format!("{NODES}\n[flow]\nbatch_rows = {batch}\n");
        let run = case.run_config(&config, &ALL).exits(0);
        assert_eq!((gone(&run, "nodes"), left(&case)), (json!({"deleted": 400}), String::new()), "{run}");
        let statements = case.number("SELECT count(*) FROM counted WHERE rows > 0");
        assert!(statements <= most, "{statements} statements for batches of {batch}");
        assert_eq!(case.number("SELECT count(*) FROM redis2pg.before_images WHERE deleted"), 400);
        assert_eq!(case.number("SELECT count(*) FROM redis2pg.loaded"), 0);
    }
}

#[test]
fn what_somebody_changed_in_the_middle_stays_with_all_above_it() {
    for action in ["", "ON DELETE CASCADE", "ON DELETE SET NULL", "ON DELETE RESTRICT"] {
        let (case, order) = chain(30, action);
        case.sql(&format!("UPDATE nodes SET expires_at = 'infinity' WHERE id = {}", order[12]));
        let stays = "SELECT xmin, n FROM nodes n ORDER BY id = 999999, n.id = ANY ";
        let stays =
            format!("{stays} ('{{{}}}'), id", order[13..].iter().map(usize::to_string).collect::<Vec<_>>().join(","));
        let before: Vec<String> = case.sql(&stays).lines().take(13).map(str::to_owned).collect();
        let run = case.run_config(NODES, &ALL).exits(0);
        assert_eq!(
            gone(&run, "nodes"),
            json!({"deleted": 17, "kept_changed": 1, "kept_referred": 12}),
            "{action} {run}"
        );
        let now: Vec<String> = case.sql(&stays).lines().take(13).map(str::to_owned).collect();
        assert_eq!(now, before, "{action}");
    }
}

#[test]
fn what_a_trigger_keeps_in_the_middle_is_as_it_was_and_so_is_all_above_it() {
    for action in ["", "ON DELETE CASCADE", "ON DELETE SET NULL"] {
        let (case, order) = chain(30, action);
        case.sql(&format!(
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             RETURN CASE WHEN OLD.id = {} THEN NULL ELSE OLD END; END $$; \
             CREATE TRIGGER keep BEFORE DELETE ON nodes FOR EACH ROW EXECUTE FUNCTION keep()",
            order[12]
        ));
        let run = case.run_config(NODES, &ALL).exits(0);
        assert_eq!(
            gone(&run, "nodes"),
            json!({"deleted": 17, "kept_refused": 1, "kept_referred": 12}),
            "{action} {run}"
        );
        let mut there = order[..13].to_vec();
        there.sort_unstable();
        assert_eq!(left(&case), there.iter().map(usize::to_string).collect::<Vec<_>>().join("\n"), "{action}");
        assert_eq!(case.number(&format!("SELECT parent FROM nodes WHERE id = {}", order[12])), order[11] as i64);
        assert_eq!(case.number("SELECT count(*) FROM redis2pg.before_images"), 17, "{action}");
    }
}

#[test]
fn a_trigger_that_changes_the_parent_first_costs_the_run_nothing() {
    let (case, order) = chain(12, "");
    case.sql(
        "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         UPDATE public.nodes SET expires_at = 'infinity' WHERE id = OLD.parent; RETURN OLD; END $$; \
         CREATE TRIGGER tell BEFORE DELETE ON nodes FOR EACH ROW EXECUTE FUNCTION tell()",
    );
    let run = case.run_config(NODES, &ALL).exits(0);
    // What the trigger touched is the run's no more: it stays, and all above it.
    assert_eq!(gone(&run, "nodes")["kept_referred"], 10, "{run}");
    assert_eq!(case.number("SELECT count(*) FROM nodes"), 12, "{run}");
    assert_eq!(case.number(&format!("SELECT count(*) FROM nodes WHERE id = {}", order[11])), 0);
}

#[test]
fn rows_in_a_circle_whose_keys_are_gone_go_together() {
    for batch in [3500, 3] {
        let (case, order) = chain(12, "ON DELETE RESTRICT");
        // Of the run itself, as it would be if the foreign key had come later.
        case.sql("ALTER TABLE nodes DROP CONSTRAINT nodes_parent_fkey");
        for (row, parent) in [(0, Some(2)), (1, Some(0)), (2, Some(1)), (3, Some(3)), (5, None)] {
            let parent = parent.map_or_else(|| "null".to_owned(), |parent: usize| order[parent].to_string());
            case.redis().set(&format!("node:{}", order[row]), &format!("{{\"parent\":{parent}}}"));
        }
        let config = format!("{NODES}on_conflict = \"update\"\n[flow]\nbatch_rows = {batch}\n");
        case.run_config(&config, &[]).exits(0);
        case.sql("ALTER TABLE nodes ADD FOREIGN KEY (parent) REFERENCES nodes ON DELETE RESTRICT");
        case.redis().say("FLUSHDB");
        case.redis().set("node:999999", "{\"parent\":null}");
        let run = case.run_config(&config, &ALL).exits(0);
        assert_eq!((gone(&run, "nodes"), left(&case)), (json!({"deleted": 12}), String::new()), "{batch} {run}");
    }
}
