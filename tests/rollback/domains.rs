//! Columns of domains that take no NULL, of types whose values an image keeps beside its jsonb.

use crate::support::Case;
use crate::{ITEMS, as_foretold, id, rows, set};

const DOMAINS: &str = "SET ROLE redis2pg; CREATE DOMAIN tags AS text[] NOT NULL; CREATE DOMAIN doc AS json NOT NULL; \
    CREATE DOMAIN docb AS jsonb CHECK (VALUE IS NOT NULL); CREATE DOMAIN spot AS point NOT NULL; \
    CREATE DOMAIN code AS varchar(3) NOT NULL; CREATE DOMAIN codes AS varchar(3)[] NOT NULL; \
    CREATE TABLE items (id code PRIMARY KEY, n integer, metadata jsonb, tags tags DEFAULT '[2:3]={a,b}', doc doc DEFAULT '{ \"b\": 1, \"b\":2}', \
    docb docb DEFAULT 'null', spot spot DEFAULT '(0.1,-0)', code code DEFAULT 'abc', codes codes DEFAULT '{abc,NULL}')";

/// Four rows that a run changed.
fn changed() -> (Case, String, String) {
    let case = Case::new();
    case.sql(DOMAINS);
    set(&case, &[("a", 1), ("b", 2), ("c", 3), ("d", 4)]);
    case.run_config(ITEMS, &[]).exits(0);
    let before = rows(&case, "items");
    set(&case, &[("a", 10), ("b", 20), ("c", 30), ("d", 40)]);
    let run = case.run_config(ITEMS, &[]).exits(0);
    assert_eq!(run.total("updated"), 4, "{run}");
    let run = id(&run);
    (case, run, before)
}

#[test]
fn rows_that_were_changed_are_as_they_were() {
    let (case, run, before) = changed();
    assert_eq!(as_foretold(&case, &run, &[]).counts(), [0, 4, 0]);
    assert_eq!(rows(&case, "items"), before);
}

#[test]
fn rows_that_were_deleted_come_back_as_they_were() {
    let case = Case::new();
    case.sql(DOMAINS);
    set(&case, &[("a", 1), ("b", 2), ("c", 3)]);
    case.run_config(ITEMS, &[]).exits(0);
    let before = rows(&case, "items");
    case.redis().say("DEL item:b item:c");
    let run = case.run_config(ITEMS, &["--delete-gone", "--delete-gone-limit", "100%"]).exits(0);
    assert_eq!(case.number("SELECT count(*) FROM items"), 1, "{run}");
    assert_eq!(as_foretold(&case, &id(&run), &[]).counts(), [0, 2, 0]);
    assert_eq!(rows(&case, "items"), before);
}

#[test]
fn what_a_domain_refuses_by_now_is_foretold_and_kept() {
    let (case, run, before) = changed();
    case.sql("ALTER DOMAIN tags ADD CONSTRAINT few CHECK (cardinality(VALUE) < 2) NOT VALID");
    let undone = as_foretold(&case, &run, &[]);
    assert_eq!((undone.counts(), undone.kept("public.items", "refused")), ([0, 0, 4], 4), "{:#}", undone.json);
    case.sql("ALTER DOMAIN tags DROP CONSTRAINT few");
    assert_eq!(as_foretold(&case, &run, &[]).counts(), [0, 4, 0]);
    assert_eq!(rows(&case, "items"), before);
}
