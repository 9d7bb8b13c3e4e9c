//! A row may be changed or deleted in PostgreSQL after it was compared: only so much is compared ahead as goes within seconds, and
//! what has waited for longer stays.

use crate::support::{Case, EndOnDrop};
use crate::{ITEMS, came_to, ends, keys, loaded, number, said};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

#[test]
fn at_a_slow_pace_rows_are_compared_shortly_before_their_keys_go() {
    const COUNT: i64 = 300;
    let case = loaded(COUNT as usize);
    let mut running = case.start_cleanup(ITEMS, &["--yes", "--cleanup-keys-per-second", "30"]);
    let since = Instant::now();
    while keys(&case) == COUNT {
        assert!(since.elapsed() < Duration::from_secs(60) && !running.ended());
        sleep(Duration::from_millis(10));
    }
    case.sql("TRUNCATE items");
    let left = keys(&case);
    let outcome = ends(running.finish(), 0);
    // What goes in two seconds.
    let ahead = left - keys(&case);
    assert!(ahead <= 90, "{ahead} keys of {left} went after their rows were gone: {outcome}");
    assert_eq!(outcome.report["cleanup"]["kept"]["missing"].as_i64(), Some(keys(&case)), "{outcome}");
}

/// PostgreSQL keeps it waiting for longer than a comparison holds.
#[test]
fn keys_that_wait_for_too_long_after_they_were_compared_stay_and_go_the_next_time() {
    static DONE: AtomicBool = AtomicBool::new(false);
    const LOCK: &str = "BEGIN; LOCK TABLE redis2pg.cleaned_keys IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(18); COMMIT";
    let case = loaded(20);
    std::thread::scope(|scope| {
        let _end = EndOnDrop(&DONE);
        let locker = scope.spawn(|| case.sql(LOCK));
        let locked = "SELECT count(*) FROM pg_locks WHERE relation = 'redis2pg.cleaned_keys'::regclass \
                      AND mode = 'AccessExclusiveLock' AND granted";
        while case.number(locked) == 0 {
            assert!(!locker.is_finished() && !DONE.load(Ordering::Relaxed));
            sleep(Duration::from_millis(20));
        }
        let outcome = ends(case.cleanup(ITEMS, &["--yes"]), 0);
        came_to(&outcome, 0, &[("outdated", 20)]);
        assert_eq!(said(&outcome, "item:7")["reason"], "outdated");
        assert_eq!((keys(&case), case.number("SELECT count(*) FROM redis2pg.cleaned_keys")), (20, 0));
    });
    let outcome = ends(case.cleanup(ITEMS, &["--yes"]), 0);
    assert_eq!((number(&outcome, "deleted"), keys(&case)), (20, 0), "{outcome}");
}

/// Rows that were committed without waiting for the disk are on it before a key goes: the ledger's own COMMIT flushes them.
#[test]
fn what_goes_is_written_with_a_commit_that_waits_for_the_disk() {
    let case = loaded(20);
    case.sql(&format!("ALTER DATABASE {} SET synchronous_commit = off", case.database));
    case.sql(
        "CREATE TABLE public.seen (setting text); GRANT INSERT ON public.seen TO public; \
         CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         INSERT INTO public.seen VALUES (pg_catalog.current_setting('synchronous_commit')); RETURN NULL; END $$; \
         CREATE TRIGGER note AFTER INSERT ON redis2pg.cleaned_keys FOR EACH STATEMENT EXECUTE FUNCTION public.note()",
    );
    ends(case.cleanup(ITEMS, &["--yes"]), 0);
    assert_eq!((case.sql("SELECT DISTINCT setting FROM public.seen").as_str(), keys(&case)), ("on", 0));
}

/// The URL of the same server behind a line that takes so many bytes a second; its threads end with the process.
fn behind_a_slow_line(url: &str, bytes_per_second: u64) -> String {
    let (head, rest) = url.split_once('@').unwrap();
    let (address, database) = rest.split_once('/').unwrap();
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let (port, address) = (listener.local_addr().unwrap().port(), address.to_owned());
    thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(&address).unwrap();
            let ends = (client.try_clone().unwrap(), server.try_clone().unwrap());
            thread::spawn(move || carry(client, server, bytes_per_second));
            thread::spawn(move || carry(ends.1, ends.0, u64::MAX));
        }
    });
    format!("{head}@127.0.0.1:{port}/{database}")
}

fn carry(mut from: TcpStream, mut to: TcpStream, bytes_per_second: u64) {
    let mut buffer = [0; 64 << 10];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        sleep(Duration::from_nanos(count as u64 * 1_000_000_000 / bytes_per_second));
        if to.write_all(&buffer[..count]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}

/// To send it there takes longer than a comparison may be old; what it meets there is asked afterwards.
#[test]
fn a_value_that_is_sent_for_a_long_time_goes() {
    const BYTES: usize = 12 << 20;
    let case = Case::new();
    case.sql("SET ROLE redis2pg; CREATE TABLE blobs (id text PRIMARY KEY, body text)");
    let config = "[[mapping]]\nname = \"blobs\"\nmatch = \"blob:{id}\"\ndecode = [\"text\"]\ninto = \"public.blobs\"\nkey = [\"id\"]\n\
                  column = [{ name = \"id\", from = [\"{id}\"] }, { name = \"body\", from = [\"value\"] }]\n";
    case.redis().set("blob:1", &"blob".repeat(BYTES / 4));
    ends(case.run_config(config, &[]), 0);
    let slow = Case {
        target: behind_a_slow_line(&case.target, 1 << 20),
        source: case.source.clone(),
        ..Case::with_ends("", "")
    };
    let since = Instant::now();
    let outcome = ends(slow.cleanup(config, &["--yes"]), 0);
    assert!(since.elapsed() > Duration::from_secs(12), "the line was not slow: {outcome}");
    came_to(&outcome, 1, &[]);
    assert_eq!(keys(&case), 0);
}
