//! Keys that somebody begins anew after a cleanup deleted them: no row of the deleted one is lost without a word.

use crate::broken_off::{COUNT, stopped_at};
use crate::proxy::{Act, Proxy};
use crate::support::{Case, Client, Outcome};
use crate::{ITEMS, came_to, ends, is_there, item, keys, loaded, said};
use redis2pg::sandbox::{RedisOptions, RedisServer};
use std::sync::atomic::AtomicU16;
use std::sync::{Arc, Mutex};

const QUEUE: &str = r#"
[[mapping]]
name = "jobs"
match = "queue:{name}"
type = "list"
explode = true
into = "public.jobs"
key = ["queue", "place"]
column = [
  { name = "queue", from = ["{name}"] },
  { name = "place", from = ["element.index"] },
  { name = "job", from = ["$.value"] },
]
"#;

/// A queue of three jobs, loaded.
fn queue() -> Case {
    let case = Case::new();
    case.sql("SET ROLE redis2pg; CREATE TABLE jobs (queue text, place int, job text, PRIMARY KEY (queue, place))");
    case.redis().say("RPUSH queue:mail a b c");
    ends(case.run_config(QUEUE, &[]), 0);
    case
}

fn jobs(case: &Case) -> String {
    case.sql("SELECT string_agg(place || job, ',' ORDER BY place) FROM jobs")
}

fn notices(outcome: &Outcome) -> String {
    outcome.report["notices"].to_string()
}

fn notes(outcome: &Outcome) -> String {
    outcome.report["cleanup"]["notes"].to_string()
}

/// The nightly run and cleanup of a work queue whose rows are known by places: nothing is ever overwritten.
#[test]
fn a_list_whose_rows_are_known_by_places_stays_and_it_is_told_why() {
    let case = queue();
    for args in [&["--dry-run"][..], &["--yes"]] {
        let outcome = ends(case.cleanup(QUEUE, args), 0);
        came_to(&outcome, 0, &[("positional", 1)]);
        assert_eq!(said(&outcome, "queue:mail")["reason"], "positional");
        let told = notes(&outcome);
        assert!(told.contains("jobs: rows of lists are known by the places of their elements"), "{told}");
        assert!(outcome.stdout.contains("cleanup.positional = [\"jobs\"] lets them go"), "{outcome}");
    }
    case.redis().say("RPUSH queue:mail d");
    ends(case.run_config(QUEUE, &[]), 0);
    assert_eq!(jobs(&case), "0a,1b,2c,3d");
}

/// Who agrees to it is told, and gets the old rows back.
#[test]
fn rows_of_a_deleted_list_that_a_run_overwrites_are_counted_told_and_kept_as_images() {
    let case = queue();
    let agreed = ["--cleanup-positional", "jobs"];
    let dry = ends(case.cleanup(QUEUE, &[&agreed[..], &["--dry-run"]].concat()), 0);
    assert_eq!(dry.report["cleanup"]["would_delete"], 1, "{dry}");
    assert!(notes(&dry).contains("cleanup.positional names it"), "{dry}");
    came_to(&ends(case.cleanup(QUEUE, &[&agreed[..], &["--yes"]].concat()), 0), 1, &[]);
    case.redis().say("RPUSH queue:mail x b");
    let run = ends(case.run_config(QUEUE, &[]), 0);
    assert_eq!((jobs(&case).as_str(), &run.report["tally"]["overwritten_cleaned"]), ("0x,1b,2c", &1.into()), "{run}");
    let told = notices(&run);
    for part in
        ["jobs: 1 rows were overwritten whose keys a cleanup had deleted, the first of queue:mail", "before_images"]
    {
        assert!(told.contains(part) && run.said().contains(part), "{told}");
    }
    let id = run.report["run"].as_str().unwrap().to_owned();
    let image = format!("SELECT image ->> 'job' FROM redis2pg.before_images WHERE run_id = '{id}'");
    assert_eq!(case.sql(&image), "a");
    // What this run wrote is an ordinary row: to change it loses nothing that a cleanup left.
    case.redis().say("LSET queue:mail 0 y");
    let next = ends(case.run_config(QUEUE, &[]), 0);
    assert_eq!(jobs(&case), "0y,1b,2c", "the row is the run's own: {next}");
    assert!(next.report["tally"]["overwritten_cleaned"].is_null() && !notices(&next).contains("overwritten"), "{next}");
    for run in [next.report["run"].as_str().unwrap(), &id] {
        let back = case.command().args(["rollback", "--to", &case.target, "--run", run, "--yes"]).output().unwrap();
        assert!(back.status.success(), "{}", String::from_utf8_lossy(&back.stderr));
    }
    assert_eq!(jobs(&case), "0a,1b,2c");
}

/// It is told of a key that is one row, too, and not of keys that no cleanup deleted.
#[test]
fn a_key_that_came_back_with_another_value_is_told() {
    let case = loaded(4);
    ends(case.cleanup(ITEMS, &["--yes", "--keys", "item:[01]"]), 0);
    let mut redis = case.redis();
    redis.set("item:0", &item(7));
    redis.set("item:1", &item(1));
    redis.set("item:2", &item(9));
    let run = ends(case.run_config(ITEMS, &[]), 0);
    assert_eq!(run.count("items", "updated"), 2, "{run}");
    assert_eq!(run.count("items", "overwritten_cleaned"), 1, "{run}");
    assert!(notices(&run).contains("the first of item:0"), "{run}");
}

#[test]
fn a_mapping_or_column_that_there_is_not_is_no_consent() {
    let case = queue();
    for (flag, name, hint) in [
        ("--cleanup-positional", "job", "The mappings are jobs."),
        ("--cleanup-lossy", "jobs.plce", "The columns of jobs are queue, place, job."),
        ("--cleanup-lossy", "place", "mapping.column"),
    ] {
        let outcome = ends(case.cleanup(QUEUE, &[flag, name, "--dry-run"]), 2);
        assert!(outcome.stderr.contains(&format!("\"{name}\"")) && outcome.stderr.contains(hint), "{outcome}");
    }
    assert_eq!(keys(&case), 1);
}

const SETS: &str = r#"
[[mapping]]
name = "members"
match = "set:{id}"
type = "set"
explode = true
into = "public.members"
key = ["id", "member"]
column = [
  { name = "id", from = ["{id}"] },
  { name = "member", from = ["$.member"] },
]
"#;

const MEMBERS: &str = "SET ROLE redis2pg; CREATE TABLE members (id text, member text, PRIMARY KEY (id, member))";

/// A process died between the deletion and its settlement, and the key is made anew before the next cleanup settles it.
#[test]
fn a_key_that_was_made_anew_before_its_deletion_was_settled_keeps_the_rows_of_the_deleted_one() {
    let case = Case::new();
    case.sql(MEMBERS);
    case.redis().say("SADD set:a a b c");
    ends(case.run_config(SETS, &[]), 0);
    crate::interrupted::leave_unsettled(&case, "members", &["set:a"]);
    case.redis().say("DEL set:a");
    case.redis().say("SADD set:a d");
    let again = ends(case.cleanup(SETS, &["--yes"]), 0);
    assert_eq!((keys(&case), crate::number(&again, "settled")), (1, 0), "{again}");
    for args in [&[][..], &["--delete-gone", "--delete-gone-limit", "100%"]] {
        let run = ends(case.run_config(SETS, args), 0);
        assert_eq!(case.sql("SELECT string_agg(member, ',' ORDER BY member) FROM members"), "a,b,c,d", "{run}");
    }
    came_to(&ends(case.cleanup(SETS, &["--yes"]), 0), 1, &[]);
}

/// What the deleted ones held is in the first backup alone, also where each of their keys is there again.
#[test]
fn a_backup_is_told_of_also_where_all_keys_that_went_by_it_are_there_again() {
    let case = loaded(COUNT);
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name);
    let deleted = crate::number(&stopped_at(&case, &place("first"), 180), "deleted");
    // As if the process had died before it settled any of them.
    case.sql("UPDATE redis2pg.cleanup_batches SET settled_at = NULL, keys = deleted, deleted = NULL");
    let mut redis = case.redis();
    (0..COUNT).for_each(|n| redis.set(&format!("item:{n}"), &item(n + COUNT)));
    for name in ["second", "third"] {
        let outcome = ends(case.cleanup(ITEMS, &["--yes", "--backup", place(name).to_str().unwrap()]), 0);
        assert_eq!((keys(&case), crate::number(&outcome, "settled")), (COUNT as i64, 0), "{outcome}");
        let told = notes(&outcome);
        assert!(told.contains(&format!("the entries of {deleted} keys")) && told.contains("first"), "{name}: {told}");
    }
}

/// The answer to a deletion is lost, and the key is made anew before it is looked at again.
#[test]
fn a_key_that_was_made_anew_behind_a_lost_answer_keeps_the_rows_of_the_deleted_one() {
    let server = RedisServer::start(RedisOptions::default()).unwrap();
    let direct = format!("{}/0", server.url());
    // What passed last: a deletion that was queued, its EXEC, the WATCH of the next attempt.
    let (passed, again) = (Mutex::new(""), direct.clone());
    let proxy = Proxy::start(Arc::new(AtomicU16::new(server.port())), move |words| {
        let mut passed = passed.lock().unwrap();
        match (*passed, words[0].as_str()) {
            ("", "UNLINK") if words[1] == "set:a" => *passed = "UNLINK",
            ("UNLINK", "EXEC") => {
                *passed = "EXEC";
                return Act::Lose;
            }
            ("EXEC", "WATCH") => {
                *passed = "WATCH";
                Client::open(&again).say("SADD set:a d");
            }
            _ => {}
        }
        Act::Pass
    });
    let password = format!("redis://:{}@", server.password());
    let case = Case::from_source(&format!("{}/0", proxy.url().replace("redis://", &password)));
    case.sql(MEMBERS);
    Client::open(&direct).say("SADD set:a a b c");
    ends(case.run_config(SETS, &[]), 0);
    let outcome = ends(case.cleanup(SETS, &["--yes"]), 0);
    came_to(&outcome, 0, &[("changed", 1)]);
    let detail = said(&outcome, "set:a")["detail"].to_string();
    assert!(detail.contains("or was deleted and made anew"), "{detail}");
    let run = ends(case.run_config(SETS, &[]), 0);
    assert_eq!(case.sql("SELECT string_agg(member, ',' ORDER BY member) FROM members"), "a,b,c,d", "{run}");
}

/// Night after night a set is filled, loaded and cleaned up: its rows pile up, nothing calls them extra, and no cleanup is kept from
/// the new key by them.
#[test]
fn a_key_that_is_filled_and_cleaned_up_night_after_night_goes_each_time() {
    let case = Case::new();
    case.sql(MEMBERS);
    for night in 1..=3 {
        let mut redis = case.redis();
        redis.say(&format!("SADD set:a always night{night} other{night}"));
        redis.say("SADD set:b only");
        let args = ["--delete-gone", "--delete-gone-limit", "100%"];
        let run = ends(case.run_config(SETS, &args), 0);
        assert_eq!(case.number("SELECT count(*) FROM members"), 2 + 2 * night, "{run}");
        let validation = ends(case.validate(SETS, &["--strict"]), 0);
        let (of_keys, of_rows) = {
            let all = &validation.report["validation"]["mappings"]["members"];
            (all["keys"].clone(), all["rows"].clone())
        };
        assert_eq!((&of_keys["equal"], &of_keys["extra"], &of_keys["cleaned"]), (&2.into(), &0.into(), &0.into()));
        let kept = 2 * (night - 1);
        assert_eq!((&of_rows["equal"], &of_rows["cleaned"]), (&4.into(), &kept.into()), "{validation}");
        // What the new key itself loses is extra as ever, and keeps the key.
        redis.say(&format!("SREM set:a other{night}"));
        let strict = ends(case.validate(SETS, &["--strict"]), 4);
        assert_eq!(strict.report["validation"]["mappings"]["members"]["rows"]["extra"], 1, "{strict}");
        came_to(&ends(case.cleanup(SETS, &["--yes"]), 0), 1, &[("extra", 1)]);
        redis.say(&format!("SADD set:a other{night}"));
        came_to(&ends(case.cleanup(SETS, &["--yes"]), 0), 1, &[]);
        assert_eq!(keys(&case), 0);
    }
}

/// An array that is empty now makes no row, whatever is left of the key before it.
#[test]
fn a_key_that_comes_back_empty_is_no_proof() {
    let case = Case::new();
    case.sql("SET ROLE redis2pg; CREATE TABLE lines (doc text, sku text, PRIMARY KEY (doc, sku))");
    let config = "[[mapping]]\nname = \"lines\"\nmatch = \"doc:{id}\"\nexplode = true\ninto = \"public.lines\"\n\
                  key = [\"doc\", \"sku\"]\ncolumn = [{ name = \"doc\", from = [\"{id}\"] }, { name = \"sku\", from = [\"$.sku\"] }]\n";
    case.redis().set("doc:1", r#"[{"sku":"a"}]"#);
    ends(case.run_config(config, &[]), 0);
    came_to(&ends(case.cleanup(config, &["--yes"]), 0), 1, &[]);
    case.redis().set("doc:1", "[]");
    ends(case.run_config(config, &["--delete-gone"]), 0);
    assert_eq!(case.number("SELECT count(*) FROM lines"), 1);
    came_to(&ends(case.cleanup(config, &["--yes"]), 0), 0, &[("no_row", 1)]);
    assert!(is_there(&case, "doc:1"));
}
