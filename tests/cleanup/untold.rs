//! A backup of a cleanup that has not the times of hash fields says so of itself.

use crate::broken_off::{cleanup, stopped_at};
use crate::proxy::{Act, Proxy};
use crate::support::{Case, Client};
use crate::{ITEMS, TABLES, ends, item, keys};
use redis2pg::backup::{Reader, partial_of};
use redis2pg::sandbox::{RedisOptions, RedisServer};
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

/// What a server that has such times says to a user who may not ask for them; the installed one need not have any.
const REFUSED: &str =
    "return redis.error_reply(\"NOPERM User x has no permissions to run the 'hpexpiretime' command\")";
const COUNT: usize = 120;

#[test]
fn a_file_says_that_times_of_fields_are_not_in_it_and_one_that_says_they_are_gets_no_key_without() {
    let server = RedisServer::start(RedisOptions::default()).unwrap();
    let refuses = Arc::new(AtomicBool::new(false));
    let refusing = refuses.clone();
    let proxy = Proxy::start(Arc::new(AtomicU16::new(server.port())), move |words| {
        let refused = words[0] == "HPEXPIRETIME" && refusing.load(Ordering::SeqCst);
        if refused { Act::Instead(REFUSED) } else { Act::Pass }
    });
    let password = format!("redis://:{}@", server.password());
    let case = Case::from_source(&format!("{}/0", proxy.url().replace("redis://", &password)));
    case.sql(TABLES);
    let pairs: Vec<_> = (0..COUNT).map(|n| (format!("item:{n}"), item(n))).collect();
    Client::open(&format!("{}/0", server.url())).set_many(&pairs);
    ends(case.run_config(ITEMS, &[]), 0);
    let dir = tempfile::tempdir().unwrap();
    let (path, other) = (dir.path().join("cache.backup"), dir.path().join("other.backup"));
    // As long as nothing is kept from the user.
    stopped_at(&case, &path, 80);
    let partial = partial_of(&path);
    let (before, left) = (fs::read(&partial).unwrap(), keys(&case));
    assert!(left > 0 && !Reader::open(&partial).unwrap().header().fields_untold);
    // From here on the file would say what is not so.
    refuses.store(true, Ordering::SeqCst);
    let refused = cleanup(&case, &path, &[], 2);
    let said = ["says that it has the times of hash fields", "HPEXPIRETIME", "give another name"];
    assert!(said.iter().all(|said| refused.stderr.contains(said)), "{refused}");
    assert!(fs::read(&partial).unwrap() == before && keys(&case) == left, "{refused}");
    // Under another name it says what is so, in the file and to whoever is there.
    stopped_at(&case, &other, left / 2);
    assert!(Reader::open(&partial_of(&other)).unwrap().header().fields_untold);
    let done = cleanup(&case, &other, &[], 0);
    assert!(Reader::open(&other).unwrap().header().fields_untold);
    let notes = done.report["cleanup"]["notes"].to_string();
    assert!(notes.contains("may have hashes with fields that expire"), "{done}\n{notes}");
    assert_eq!(keys(&case), 0);
    // What they lack is told, and not more.
    refuses.store(false, Ordering::SeqCst);
    cleanup(&case, &path, &[], 0);
    assert!(!Reader::open(&path).unwrap().header().fields_untold);
}
