//! A database that was emptied, while the others of the run are as they were.

use crate::preset::{delete, gone};
use crate::support::{Case, Client};
use serde_json::{Value, json};

/// Items of two databases in one table.
fn two(rows: [u32; 2]) -> (Case, String, [Client; 2], [String; 2]) {
    let (case, other) = (Case::new(), Case::new());
    let numbers = [&case, &other].map(|case| case.source.rsplit_once('/').expect("a number").1.to_owned());
    let config = format!(
        "[[mapping]]\nname = \"items\"\nmatch = \"item:{{id}}\"\ninto = \"public.items\"\nkey = [\"db\", \"id\"]\n\
         databases = [{}, {}]\nlineage = \"ledger\"\ncolumn = [{{ name = \"db\", from = [\"redis.db\"] }}, \
         {{ name = \"id\", from = [\"{{id}}\"] }}, {{ name = \"until\", from = [\"redis.expires_at\"] }}]\n",
        numbers[0], numbers[1]
    );
    case.sql("SET ROLE redis2pg; CREATE TABLE items (db int, id text, until timestamptz, PRIMARY KEY (db, id))");
    let mut clients = [case.redis(), other.redis()];
    for (redis, rows) in clients.iter_mut().zip(rows) {
        (0..rows).for_each(|number| redis.set(&format!("item:{number}"), "{}"));
    }
    case.run_config(&config, &[]).exits(0);
    (case, config, clients, numbers)
}

#[test]
fn a_database_that_was_emptied_is_refused_whatever_the_others_hold() {
    let (case, config, [mut one, mut two], [_, number]) = two([20, 4]);
    // One of twenty, and a half of four.
    delete(&mut one, &["item:7"]);
    delete(&mut two, &["item:0", "item:1"]);
    let run = case.run_config(&config, &["--delete-gone", "--dry-run"]).exits(0);
    assert_eq!(gone(&run, "items"), json!({"would_delete": 3}), "{run}");
    two.say("FLUSHDB");
    let run = case.run_config(&config, &["--delete-gone"]).exits(2);
    assert!(run.stderr.contains(&format!("4 of 4 rows of this tool are gone from database {number}")), "{run}");
    assert_eq!((gone(&run, "items"), case.number("SELECT count(*) FROM items")), (Value::Null, 24), "{run}");
    let run = case.run_config(&config, &["--delete-gone", "--resume", "--delete-gone-limit", "100%"]).exits(0);
    assert_eq!((gone(&run, "items"), case.number("SELECT count(*) FROM items")), (json!({"deleted": 5}), 19), "{run}");
}
