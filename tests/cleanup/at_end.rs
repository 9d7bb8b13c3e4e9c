//! `cleanup.after_run`: at the end of a run, once its validation has passed.

use crate::support::Case;
use crate::{ITEMS, TABLES, ends, item, keys, set_items};

fn case() -> Case {
    let case = Case::new();
    case.sql(TABLES);
    set_items(&case, 12);
    case
}

const WANTED: [&str; 2] = ["--cleanup-after-run", "--validate-after-run=true"];

#[test]
fn a_run_whose_validation_has_passed_cleans_up_after_itself() {
    let case = case();
    let run = ends(case.run_config(ITEMS, &[&WANTED[..], &["--yes"]].concat()), 0);
    assert_eq!((run.report["cleanup"]["deleted"].as_i64(), keys(&case)), (Some(12), 0), "{run}");
    assert_eq!(run.report["validation_passed"], true);
    assert!(run.stdout.contains("12 keys are deleted from Redis"), "{run}");
    assert!(std::fs::read_to_string(run.path().join("summary.txt")).unwrap().contains("12 keys are deleted"));
    // Rejects do not keep the others.
    case.redis().set("item:bad", "{");
    case.redis().set("item:good", &item(1));
    let run = ends(case.run_config(ITEMS, &[&WANTED[..], &["--yes"]].concat()), 3);
    assert_eq!((run.report["cleanup"]["deleted"].as_i64(), keys(&case)), (Some(1), 1), "{run}");
}

#[test]
fn without_a_yes_it_is_told_and_not_done() {
    let case = case();
    let run = ends(case.run_config(ITEMS, &WANTED), 0);
    assert!(
        run.report["cleanup"].is_null() && run.said().contains("no key is deleted from Redis without --yes"),
        "{run}"
    );
    assert_eq!(keys(&case), 12);
}

#[test]
fn after_differences_no_key_goes() {
    let case = case();
    case.sql(
        "CREATE FUNCTION more() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id = '3' THEN NEW.n := 77; END IF; \
         RETURN NEW; END $$; CREATE TRIGGER more BEFORE INSERT ON items FOR EACH ROW EXECUTE FUNCTION more()",
    );
    let run = ends(case.run_config(ITEMS, &[&WANTED[..], &["--yes"]].concat()), 4);
    assert!(run.report["cleanup"].is_null() && run.said().contains("since the validation has not passed"), "{run}");
    assert_eq!(keys(&case), 12);
    // Nor after a dry run.
    ends(case.run_config(ITEMS, &[&WANTED[..], &["--yes", "--dry-run"]].concat()), 0);
    assert_eq!(keys(&case), 12);
}

#[test]
fn it_wants_the_validation() {
    let case = case();
    let run = ends(case.run_config(ITEMS, &["--cleanup-after-run", "--yes"]), 2);
    assert!(run.stderr.contains("validation.after_run is off"), "{run}");
}
