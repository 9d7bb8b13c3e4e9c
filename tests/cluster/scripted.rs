//! What no real cluster does on cue: redirections without end, and errors that pass or do not.

use crate::harness::CONFIG;
use crate::support::Case;
use crate::support::scripted::{Answer, Keyspace, ScriptedRedis, bulk, page, reply, scan_cursor};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};

/// The port of a server is known once it runs, and named by its answers.
type Port = Arc<OnceLock<String>>;

/// The mapping, of strings only: that is what the servers here have.
fn strings() -> String {
    let types = CONFIG.lines().find(|line| line.starts_with("type = [")).expect("the types");
    CONFIG.replacen(types, "", 1)
}

/// Whether it reads a document.
fn is_read(command: &[String]) -> bool {
    command[0] == "GET" && command[1].starts_with("document:")
}

/// A cluster of one node with three documents. `script` is asked first, with the command and the node's port.
fn node(script: impl Fn(&[String], &str) -> Option<Answer> + Send + Sync + 'static) -> Case {
    let pairs = ["a", "b", "c"].map(|id| (format!("document:{id}"), "{}".to_owned()));
    let own = Port::default();
    let known = own.clone();
    let server = ScriptedRedis::start(Keyspace::new(&pairs), move |_, command| {
        let port = known.get().map_or("0", String::as_str);
        if let Some(answer) = script(command, port) {
            return Some(answer);
        }
        if command[0] == "CLUSTER" {
            return reply(bulk(&format!("aaa :{port}@1 myself,master - 0 0 1 connected 0-16383\n")));
        }
        scan_cursor(command).and_then(|_| reply(page("0", &["document:a", "document:b", "document:c"])))
    });
    let url = server.url().replace("redis://", "redis-cluster://");
    own.set(url.rsplit(':').next().expect("a port").to_owned()).expect("set once");
    let case = Case::from_source(&url);
    case.sql("SET ROLE redis2pg; CREATE TABLE documents (id text PRIMARY KEY, data jsonb, expires timestamptz)");
    case
}

#[test]
fn redirections_without_end_end_the_run() {
    let case = node(|command, port| is_read(command).then(|| Answer::Reply(format!("-MOVED 1 127.0.0.1:{port}\r\n"))));
    let run = case.run_config(&strings(), &["--reconnect-attempts", "2"]);
    assert_eq!(run.code, 5, "{run}");
    assert!(run.stderr.contains("keep sending the question on: MOVED 1 127.0.0.1:"), "{run}");
    assert_eq!(case.number("SELECT count(*) FROM documents"), 0);
}

#[test]
fn what_passes_is_asked_again_and_what_does_not_ends_the_run() {
    for (error, last) in
        [("TRYAGAIN Multiple keys request during rehashing of slot", 3), ("CLUSTERDOWN Hash slot not served", 3)]
    {
        let asked = AtomicU32::new(0);
        let case = node(move |command, _| {
            let early = is_read(command) && asked.fetch_add(1, Ordering::Relaxed) < last;
            early.then(|| Answer::Reply(format!("-{error}\r\n")))
        });
        let run = case.run_config(&strings(), &[]).exits(0);
        assert_eq!(run.count("documents", "inserted"), 3, "{run}");
    }
    let case =
        node(|command, _| is_read(command).then(|| Answer::Reply("-CLUSTERDOWN The cluster is down\r\n".to_owned())));
    let run = case.run_config(&strings(), &["--reconnect-attempts", "1"]);
    assert!(run.code == 5 && run.stderr.contains("CLUSTERDOWN The cluster is down"), "{run}");
}

#[test]
fn a_redirection_without_a_host_is_to_the_same_host() {
    let pairs = [("document:b".to_owned(), "{}".to_owned())];
    let asking = AtomicU32::new(0);
    let other = ScriptedRedis::start(Keyspace::new(&pairs), move |_, command| {
        if command[0] == "ASKING" {
            asking.fetch_add(1, Ordering::Relaxed);
        }
        // Without ASKING it is not this node's yet.
        let asked = asking.load(Ordering::Relaxed) > 0;
        (command[0] == "GET" && !asked).then(|| Answer::Reply("-MOVED 1 :1\r\n".to_owned()))
    });
    let port = other.url().rsplit(':').next().expect("a port").to_owned();
    let case = node(move |command, _| {
        let of_key = ["GET", "TYPE"].contains(&command[0].as_str()) && command[1] == "document:b";
        of_key.then(|| Answer::Reply(format!("-ASK 1 :{port}\r\n")))
    });
    let run = case.run_config(&strings(), &[]).exits(0);
    assert_eq!(run.count("documents", "inserted"), 3, "{run}");
}

#[test]
fn a_node_that_may_not_be_asked_for_the_cluster_says_what_is_missing() {
    let case = node(|command, _| {
        let text = "-NOPERM User default has no permissions to run the 'cluster|nodes' command\r\n";
        (command[0] == "CLUSTER").then(|| Answer::Reply(text.to_owned()))
    });
    let run = case.run_config(&strings(), &[]).exits(2);
    assert!(run.stderr.contains("ACL SETUSER (such as +cluster|nodes)"), "{run}");
}
