//! Slots and nodes that move while they are read.

use crate::harness::{CONFIG, Fixture, PRIMARIES, home, home_of, key_at, slot};
use crate::support::{Running, until};
use std::thread;
use std::time::{Duration, Instant};

/// Slow enough that there is time to strike.
const SLOW: [&str; 6] = ["--max-keys-per-second", "600", "--scan-count", "20", "--batch-rows", "50"];

/// A row for each field of a hash.
const EXPLODED: &str = r#"
[[mapping]]
name = "parts"
match = "document:{id..}"
type = "hash"
explode = true
into = "public.parts"
create = true
key = ["id", "field"]
column = [
  { name = "id", from = "{id}", type = "text" },
  { name = "field", from = "$.field", type = "text" },
  { name = "value", from = "$.value", type = "text" },
]
"#;

impl Fixture {
    /// Starts a slow run, and waits until it has loaded so many rows.
    fn strike_after(&self, rows: i64, args: &[&str]) -> Running {
        let running = self.case.start_config(CONFIG, &[&SLOW[..], args].concat());
        self.wait_for(rows);
        running
    }

    fn wait_for(&self, rows: i64) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.rows() < rows {
            assert!(Instant::now() < deadline, "{} rows", self.rows());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A key of a slot of its own, with keys beside it that share the slot.
fn tagged(node: usize, label: &str, count: usize) -> Vec<String> {
    let tag = (0..).map(|number| format!("{label}{number}")).find(|tag| home(&format!("{{{tag}}}")) == node);
    let tag = tag.expect("some tag");
    (0..count).map(|number| format!("document:{{{tag}}}{number}")).collect()
}

#[test]
fn a_slot_that_moves_behind_the_scan_is_listed_again() {
    let mut fixture = Fixture::new(0);
    fixture.fill("s", 3000);
    // The keys are on the last node; they go to the first, which will have been scanned.
    let keys = [tagged(0, "a", 30), tagged(1, "b", 30), tagged(2, "c", 30)].concat();
    for key in &keys {
        fixture.say(&["SET", key, "1"]);
    }
    // Which node is scanned first is not known: every slot moves to the node behind its own, and is not lost.
    let running = fixture.strike_after(1300, &[]);
    for node in 0..PRIMARIES {
        let slot = slot(&keys[node * 30]);
        fixture.cluster.move_slot(slot, node, (node + 1) % PRIMARIES).expect("move a slot");
    }
    let run = running.finish().exits(0);
    assert_eq!(fixture.rows(), 3090, "{run}");
    assert!(run.count("documents", "duplicates") > 0, "{run}");
    assert!(run.stderr.contains("moved while it was scanned"), "{run}");
}

#[test]
fn keys_on_their_way_are_asked_for_where_they_go() {
    let mut fixture = Fixture::new(0);
    fixture.fill("s", 300);
    let keys = tagged(1, "m", 40);
    let open = slot(&keys[0]);
    for (number, key) in keys.iter().enumerate() {
        match number % 4 {
            0 => fixture.say(&["SET", key, "1"]),
            1 => fixture.say(&["HSET", key, "a", "1"]),
            2 => fixture.say(&["RPUSH", key, "x"]),
            _ => fixture.say(&["SET", key, "2", "PX", "3600000"]),
        };
    }
    let large = "v".repeat(3000);
    for number in 0..600 {
        fixture.say(&["HSET", &keys[1], &format!("f{number}"), &large]);
    }
    fixture.cluster.open_slot(open, 1, 2).expect("open the slot");
    let (port, password) = (fixture.cluster.port(2).to_string(), fixture.case.secrets()[0].clone());
    for key in keys.iter().take(20) {
        let migrate = ["MIGRATE", "127.0.0.1", &port, key, "0", "5000", "AUTH", &password];
        fixture.clients[1].answer(&migrate.map(str::as_bytes));
    }
    // As a list, so that no scan has to wait for the slot: all are there, on either node.
    let list = fixture.case.list(&keys.iter().map(String::as_str).collect::<Vec<_>>());
    let list = list.path().to_str().expect("a path");
    let run = fixture.case.run_config(CONFIG, &["--keys-from", list]).exits(0);
    assert_eq!(run.count("documents", "inserted"), 40, "{run}");
    let parts = fixture.case.run_config(EXPLODED, &["--keys-from", list]).exits(3);
    assert_eq!(parts.report["mappings"]["parts"]["rows"]["inserted"], 601 + 9, "{parts}");
    let hash = fixture.case.json(&format!("SELECT data FROM documents WHERE 'document:' || id = '{}'", keys[1]));
    assert_eq!(hash.as_object().map(|fields| fields.len()), Some(601));
    assert_eq!(fixture.case.number("SELECT count(*) FROM documents WHERE expires > now()"), 10);
    // A scan cannot say that it listed all keys of a slot that stays open: it waits, and then does not end as done.
    let open_ended = fixture.run(&["--reconnect-attempts", "3"]).exits(5);
    assert!(open_ended.stderr.contains(&format!("being moved: {open}")), "{open_ended}");
    assert_eq!(fixture.rows(), 340, "what is there is loaded all the same");
    fixture.cluster.move_slot(open, 1, 2).expect("end the move");
    let resumed = fixture.run(&["--resume"]).exits(0);
    assert!(resumed.report["resumed"].as_bool().unwrap_or(false), "{resumed}");
    assert_eq!(fixture.rows(), 340, "{resumed}");
}

#[test]
fn what_was_left_behind_on_a_node_is_skipped_as_orphan() {
    let mut fixture = Fixture::new(0);
    fixture.fill("s", 300);
    let (lost, kept) = (key_at(1, "lost"), key_at(1, "kept"));
    fixture.say(&["SET", &kept, "\"new\""]);
    for key in [&lost, &kept] {
        // Written to a node that was to take the slot over, and then was not.
        let slot = slot(key).to_string();
        let id = fixture.cluster.id(1).expect("an id");
        fixture.clients[0].say(&format!("CLUSTER SETSLOT {slot} IMPORTING {id}"));
        fixture.clients[0].say("ASKING");
        fixture.clients[0].say(&format!("SET {key} \"old\""));
        fixture.clients[0].say(&format!("CLUSTER SETSLOT {slot} STABLE"));
    }
    let run = fixture.run(&[]).exits(0);
    assert_eq!(run.report["tally"]["skipped"]["orphan"], 1, "{run}");
    assert_eq!((run.count("documents", "inserted"), run.count("documents", "duplicates")), (301, 1), "{run}");
    assert_eq!(fixture.case.sql("SELECT data #>> '{}' FROM documents WHERE id LIKE 'kept%'"), "new");
    assert!(run.stderr.contains(&format!("such as {lost}")), "{run}");
    assert_eq!(fixture.run(&["--dry-run"]).exits(0).report["tally"]["skipped"]["orphan"], 1);
}

#[test]
fn a_primary_that_hands_over_is_scanned_at_its_successor() {
    let mut fixture = Fixture::new(1);
    fixture.fill("s", 3000);
    let replica = PRIMARIES;
    let running = fixture.strike_after(200, &[]);
    fixture.cluster.say(replica, &["CLUSTER", "FAILOVER"]).expect("hand over");
    let run = running.finish().exits(0);
    assert_eq!(fixture.rows(), 3000, "{run}");
    assert_eq!(home_of(0), 0);
}

#[test]
fn a_primary_that_dies_is_followed_by_its_replica() {
    let mut fixture = Fixture::new(1);
    fixture.fill("s", 3000);
    let running = fixture.strike_after(200, &["--command-timeout", "2s", "--validate-after-run=true"]);
    fixture.cluster.node(0).kill9().expect("kill a node");
    let run = running.finish().exits(0);
    assert_eq!(fixture.rows(), 3000, "{run}");
    // The node that the URL names is gone; the run's connections know its replica.
    assert_eq!(run.report["validation_passed"], true, "{run}");
    assert_eq!(run.report["validation"]["keys"]["equal"], 3000, "{run}\n{:#}", run.report["validation"]);
}

#[test]
fn a_primary_that_dies_without_a_replica_ends_the_run_and_a_resume_completes_it() {
    let mut fixture = Fixture::new(0);
    fixture.fill("s", 3000);
    let args = ["--command-timeout", "1s", "--connect-timeout", "2s", "--reconnect-attempts", "3"];
    let running = fixture.strike_after(1200, &args);
    for node in 0..PRIMARIES {
        fixture.cluster.node(node).kill9().expect("kill a node");
    }
    let run = running.finish();
    assert!(run.code == 5 && run.stderr.contains("--resume"), "{run}");
    assert!(fixture.run(&["--resume", "--connect-timeout", "2s"]).code == 5);
    for node in 0..PRIMARIES {
        fixture.cluster.node(node).restart().expect("restart a node");
    }
    fixture.cluster.wait_until_whole().expect("a whole cluster");
    let run = fixture.run(&["--resume"]).exits(0);
    assert_eq!(fixture.rows(), 3000, "{run}");
    assert_eq!(run.report["resumed"], true);
}

#[test]
fn a_killed_run_goes_on_at_the_node_where_it_was() {
    let mut fixture = Fixture::new(0);
    fixture.fill("s", 3000);
    let mut running = fixture.strike_after(1000, &["--lease", "2s"]);
    until("a node is done", || {
        let cursor = fixture.case.sql("SELECT cursor FROM redis2pg.shards");
        cursor.split(' ').count() == 7 && !cursor.starts_with("- ")
    });
    assert!(!running.ended(), "it is done with all");
    running.kill9();
    let run = fixture.run(&["--resume"]).exits(0);
    assert_eq!((fixture.rows(), run.report["resumed"].as_bool()), (3000, Some(true)), "{run}");
    assert!(!run.stderr.contains("starts again"), "{run}");
}
