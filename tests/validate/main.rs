//! Validation: what is in PostgreSQL is what Redis holds, or it is said what is not.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

#[path = "../support/mod.rs"]
mod support;

mod asked;
mod classes;
mod collations;
mod domains;
mod dumps;
mod elements;
mod end_of_run;
mod live;
mod meaning;
mod moved;
mod part;
mod places;
mod timeouts;

use support::{Case, Outcome};

/// Parents, and children that refer to them. No foreign key sees to it.
const TABLES: &str = "SET ROLE redis2pg; \
    CREATE TABLE parents (id text PRIMARY KEY, n integer, expires timestamptz, metadata jsonb); \
    CREATE TABLE children (id text PRIMARY KEY, parent text, label varchar(10), metadata jsonb)";

const MAPPINGS: &str = r#"
[[mapping]]
name = "parents"
match = "parent:{id}"
into = "public.parents"
key = ["id"]
lineage = { column = "metadata", document_id = "{id}" }
column = [
  { name = "id", from = ["{id}"] },
  { name = "n", from = ["$.n"] },
  { name = "expires", from = ["redis.expires_at"] },
  { name = "metadata", from = [] },
]

[[mapping]]
name = "children"
match = "child:{id}"
into = "public.children"
key = ["id"]
parents = [{ mapping = "parents", column = "parent" }]
lineage = { column = "metadata", document_id = "{id}" }
column = [
  { name = "id", from = ["{id}"] },
  { name = "parent", from = ["$.parent"] },
  { name = "label", from = ["$.label"] },
  { name = "metadata", from = [] },
]
"#;

/// The classes of a mapping's keys, but for those that there are none of.
fn classes(outcome: &Outcome, mapping: &str) -> Vec<(String, i64)> {
    let keys = outcome.report["validation"]["mappings"][mapping]["keys"].as_object();
    let keys = keys.unwrap_or_else(|| panic!("no {mapping}: {outcome}\n{:#}", outcome.report));
    let mut classes: Vec<_> = keys.iter().map(|(class, count)| (class.clone(), count.as_i64().unwrap())).collect();
    classes.retain(|(_, count)| *count != 0);
    classes
}

/// Fails the test unless a mapping's keys are of these classes, in the order of their names, and no others.
#[track_caller]
fn found(outcome: &Outcome, mapping: &str, expected: &[(&str, i64)]) {
    let expected: Vec<_> = expected.iter().map(|(class, count)| ((*class).to_owned(), *count)).collect();
    assert_eq!(classes(outcome, mapping), expected, "{outcome}\n{:#}", outcome.report["validation"]);
}

/// Fails the test unless the command ended so.
#[track_caller]
fn ends(outcome: Outcome, code: i32) -> Outcome {
    assert_eq!(outcome.code, code, "{outcome}\n{:#}", outcome.report);
    outcome
}

/// A case with the two tables, some keys, and a run that loaded them.
fn loaded(parents: usize, children: usize) -> Case {
    loaded_into(Case::new(), parents, children)
}

/// The same in this case.
fn loaded_into(case: Case, parents: usize, children: usize) -> Case {
    case.sql(TABLES);
    let mut redis = case.redis();
    (0..parents).for_each(|id| redis.set(&format!("parent:{id}"), &format!(r#"{{"n":{id}}}"#)));
    (0..children).for_each(|id| {
        redis.set(&format!("child:{id}"), &format!(r#"{{"parent":"{}","label":"l{id}"}}"#, id % parents.max(1)));
    });
    ends(case.run_config(MAPPINGS, &["--allow-empty"]), 0);
    case
}
