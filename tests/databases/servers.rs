//! Rows of several servers in the same tables: two caches, or one that moved.

use crate::support::{Case, Client, Outcome};
use redis2pg::sandbox::{RedisOptions, RedisServer};

const QUEUES: &str = r#"
[[mapping]]
name = "queues"
match = "queue:{queue}"
type = "list"
explode = true
into = "public.jobs"
key = ["queue", "job"]
column = [
  { name = "queue", from = ["{queue}"] },
  { name = "job", from = ["$.value"] },
]
"#;

/// Two servers, and one target as each of them fills it.
struct Two {
    servers: [RedisServer; 2],
    cases: [Case; 2],
}

impl Two {
    fn new() -> Self {
        let servers = [(); 2].map(|()| RedisServer::start(RedisOptions::default()).expect("start redis-server"));
        let first = Case::from_source(&format!("{}/0", servers[0].url()));
        first.sql("SET ROLE redis2pg; CREATE TABLE jobs (queue text, job text, PRIMARY KEY (queue, job))");
        let second =
            Case { source: format!("{}/0", servers[1].url()), target: first.target.clone(), database: String::new() };
        Self { servers, cases: [first, second] }
    }

    /// What the queue of a server holds from now on.
    fn queue(&self, server: usize, jobs: &[&str]) {
        let mut client = Client::open(&format!("{}/0", self.servers[server].url()));
        client.say("DEL queue:default");
        jobs.iter().for_each(|job| drop(client.say(&format!("RPUSH queue:default {job}"))));
    }

    fn run(&self, server: usize) -> Outcome {
        self.cases[server].run_config(QUEUES, &[]).exits(0)
    }

    fn jobs(&self) -> String {
        self.cases[0].sql("SELECT string_agg(job, ' ' ORDER BY job) FROM jobs")
    }
}

fn deleted(run: &Outcome) -> i64 {
    run.report["tally"]["rows"]["deleted"].as_i64().unwrap_or_default()
}

#[test]
fn a_second_server_deletes_no_rows_of_the_first() {
    let two = Two::new();
    two.queue(0, &["j1", "j2", "j3"]);
    two.queue(1, &["k1"]);
    two.run(0);
    let run = two.run(1);
    assert_eq!((deleted(&run), two.jobs().as_str()), (0, "j1 j2 j3 k1"), "{run}");
    // What is gone from each of them goes all the same, and only that.
    two.queue(0, &["j2", "j3"]);
    assert_eq!((deleted(&two.run(0)), two.jobs().as_str()), (1, "j2 j3 k1"));
    two.queue(1, &["k2"]);
    assert_eq!((deleted(&two.run(1)), two.jobs().as_str()), (1, "j2 j3 k2"));
}

#[test]
fn a_cache_that_moved_to_another_server_deletes_what_it_loaded_there_alone() {
    let two = Two::new();
    two.queue(0, &["j1", "j2", "j3"]);
    two.run(0);
    two.queue(1, &["j2", "j3", "j4"]);
    let run = two.run(1);
    let rows = &run.report["tally"]["rows"];
    assert_eq!((&rows["inserted"], &rows["unchanged"], deleted(&run)), (&1.into(), &2.into(), 0), "{run}");
    assert_eq!(two.jobs(), "j1 j2 j3 j4");
    // Fewer rows were written by runs from there than the key has elements.
    two.queue(1, &["j2", "j3"]);
    assert_eq!((deleted(&two.run(1)), two.jobs().as_str()), (1, "j1 j2 j3"));
    // The ledger is told that it is the same cache.
    let [old, new] = [0, 1].map(|server| format!("127.0.0.1:{}/0", two.servers[server].port()));
    two.cases[0].sql(&format!("UPDATE redis2pg.runs SET source = '{new}' WHERE source = '{old}'"));
    assert_eq!((deleted(&two.run(1)), two.jobs().as_str()), (1, "j2 j3"));
}

#[test]
fn rows_of_another_source_are_told_of_before_a_run_takes_them_for_its_own() {
    let two = Two::new();
    two.queue(0, &["j1"]);
    two.queue(1, &["k1"]);
    let warns = |run: &Outcome| run.stderr.contains("another source");
    let first = two.run(0);
    assert!(!warns(&first) && !warns(&two.run(0)), "{first}");
    let run = two.run(1);
    let from = |server: usize| format!("127.0.0.1:{}/0", two.servers[server].port());
    assert!(warns(&run), "{run}");
    for text in [from(0), from(1), ": queues.".to_owned(), "redis.db".to_owned()] {
        assert!(run.stderr.contains(&text), "{text}: {run}");
    }
    // It has been said, and the rows are of this source now.
    assert!(!warns(&two.run(1)));
}
