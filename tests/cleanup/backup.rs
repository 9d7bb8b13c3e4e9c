//! `--backup`: a key is in the file before it goes.

use crate::proxy::{Act, Proxy};
use crate::support::{Case, Client, salvaged_of};
use crate::{Dice, ITEMS, TABLES, came_to, ends, is_there, item, keys, loaded, seed};
use redis2pg::backup::{Entry, Logical};
use redis2pg::sandbox::{RedisOptions, RedisServer};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

/// The entries of a file, whole or broken off.
fn entries(path: &Path) -> BTreeMap<String, Entry> {
    salvaged_of(path)
        .into_iter()
        .flat_map(|((_, key), entries)| entries.into_iter().map(move |entry| (key.clone(), entry)))
        .collect()
}

fn text(entry: &Entry) -> String {
    match &entry.logical {
        Some(Logical::Bytes(bytes)) => String::from_utf8(bytes.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_deleted_is_in_the_file_with_its_time_of_expiry() {
    let case = loaded(40);
    let mut redis = case.redis();
    redis.say("EXPIREAT item:7 4000000000");
    redis.set("item:9", &item(900));
    ends(case.run_config(ITEMS, &["--limit", "1000"]), 0);
    ends(case.run_config(ITEMS, &[]), 0);
    redis.set("item:8", &item(800));
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache.backup");
    let named = path.to_str().unwrap();
    let outcome = ends(case.cleanup(ITEMS, &["--yes", "--backup", named]), 0);
    came_to(&outcome, 39, &[("stale", 1)]);
    let backup = &outcome.report["cleanup"]["backup"];
    assert_eq!((backup["keys"].as_i64(), backup["complete"].as_bool()), (Some(39), Some(true)), "{outcome}");
    // What it says of the server is what decides whether its dumps go back.
    let reader = redis2pg::backup::Reader::open(&path).unwrap();
    let header = reader.header();
    assert_eq!((&*header.command, header.flavour.is_some()), ("cleanup", true), "{header:?}");
    assert!(header.redis_version.is_some() && !header.databases.is_empty(), "{header:?}");
    let entries = entries(&path);
    assert_eq!(entries.len(), 39);
    assert_eq!((text(&entries["item:9"]), entries["item:7"].expires_at), (item(900), Some(4_000_000_000_000)));
    assert!(!entries.contains_key("item:8") && is_there(&case, "item:8"));
    // A file is never written to a second time.
    let again = ends(case.cleanup(ITEMS, &["--yes", "--backup", named]), 2);
    assert!(again.stderr.contains("is there already"), "{again}");
    assert_eq!(case.number("SELECT count(*) FROM redis2pg.cleanups"), 1, "nothing was begun");
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

const THINGS: &str = r#"
[[mapping]]
name = "things"
match = "thing:{id}"
type = ["string", "hash", "list", "set", "zset", "stream"]
into = "public.things"
key = ["id"]
lineage = "ledger"
column = [
  { name = "id", from = ["{id}"] },
  { name = "body", from = ["$"] },
]
"#;

#[test]
fn every_type_is_kept_with_its_dump_and_what_changed_is_not() {
    let case = Case::new();
    case.sql("SET ROLE redis2pg; CREATE TABLE things (id text PRIMARY KEY, body jsonb)");
    let mut redis = case.redis();
    redis.set("thing:string", "1");
    redis.say("HSET thing:hash a 1 b 2");
    redis.say("RPUSH thing:list x y x");
    redis.say("SADD thing:set red blue");
    redis.say("ZADD thing:zset 1.5 ann 0.1 bob");
    redis.say("XADD thing:stream 17-0 a 1");
    ends(case.run_config(THINGS, &[]), 0);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("things.backup");
    let outcome = ends(case.cleanup(THINGS, &["--yes", "--backup", path.to_str().unwrap()]), 0);
    came_to(&outcome, 6, &[]);
    let entries = entries(&path);
    assert_eq!(entries.len(), 6);
    for (key, entry) in &entries {
        // The bytes of a string are all of it; its mapping keeps no time of expiry, which was read for the backup.
        assert_eq!(entry.dump.is_some(), key != "thing:string", "{key}");
        assert!(entry.logical.is_some() && entry.part.is_whole(), "{key}");
    }
    assert_eq!(keys(&case), 0);
}

/// Whether a command deletes keys of the test.
fn deletes(words: &[String]) -> bool {
    let is_script = words[0].starts_with("EVAL") && !words[0].ends_with("_RO");
    words[0] == "UNLINK" || is_script && words.iter().any(|word| word.starts_with("item:"))
}

/// The moment before the server is told to delete is the moment of truth: each key that the command names is in the file then.
#[test]
fn a_key_is_on_disk_before_it_goes() {
    let server = RedisServer::start(RedisOptions { password: Some(String::new()), ..RedisOptions::default() }).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache.backup");
    let (partial, told) = (redis2pg::backup::partial_of(&path), Arc::new(AtomicUsize::new(0)));
    let missing = Arc::new(Mutex::new(Vec::new()));
    let (seen, lost) = (told.clone(), missing.clone());
    let proxy = Proxy::start(Arc::new(AtomicU16::new(server.port())), move |words| {
        if deletes(words) {
            let on_disk = entries(&partial);
            for key in words.iter().filter(|word| word.starts_with("item:") || word.starts_with("thing:")) {
                seen.fetch_add(1, Ordering::SeqCst);
                if !on_disk.contains_key(key) {
                    lost.lock().unwrap().push(key.clone());
                }
            }
        }
        Act::Pass
    });
    let case = Case::from_source(&format!("{}/0", proxy.url()));
    case.sql(TABLES);
    case.sql("SET ROLE redis2pg; CREATE TABLE things (id text PRIMARY KEY, body jsonb)");
    let config = format!("{ITEMS}{THINGS}");
    let mut redis = Plain::open(server.port());
    for n in 0..900 {
        redis.say(&format!("SET item:{n} {{\"n\":{n}}}"));
    }
    for n in 0..20 {
        redis.say(&format!("SADD thing:{n} red blue"));
    }
    ends(case.run_config(&config, &[]), 0);
    let outcome = ends(case.cleanup(&config, &["--yes", "--batch-rows", "200", "--backup", path.to_str().unwrap()]), 0);
    came_to(&outcome, 920, &[]);
    assert!(told.load(Ordering::SeqCst) >= 920, "the deletions were seen: {}", told.load(Ordering::SeqCst));
    assert_eq!(*missing.lock().unwrap(), Vec::<String>::new(), "were not on disk when they went");
    assert_eq!(entries(&path).len(), 920);
}

/// Somebody removes it when the first batch is about to go: what is written from then on is nowhere once the process has ended.
#[test]
fn no_key_goes_by_a_file_that_was_removed() {
    let server = RedisServer::start(RedisOptions { password: Some(String::new()), ..RedisOptions::default() }).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache.backup");
    let (partial, moved) = (redis2pg::backup::partial_of(&path), dir.path().join("moved"));
    let saved = Arc::new(Mutex::new(None));
    let (from, to, had) = (partial.clone(), moved.clone(), saved.clone());
    let proxy = Proxy::start(Arc::new(AtomicU16::new(server.port())), move |words| {
        let Ok(mut had) = had.lock() else { return Act::Cut };
        // Not what asks for the right to delete.
        let goes = deletes(words) && words.iter().any(|word| word.starts_with("item:"));
        if goes && had.is_none() && std::fs::rename(&from, &to).is_ok() {
            // Whatever was on disk by now is in it, and perhaps a piece that came too late.
            *had = Some(entries(&to));
        }
        Act::Pass
    });
    let case = Case::from_source(&format!("{}/0", proxy.url()));
    case.sql(TABLES);
    let mut redis = Plain::open(server.port());
    const COUNT: usize = 1_500;
    for n in 0..COUNT {
        redis.say(&format!("SET item:{n} {{\"n\":{n}}}"));
    }
    ends(case.run_config(ITEMS, &[]), 0);
    let args = ["--yes", "--batch-rows", "50", "--writers", "1", "--backup", path.to_str().unwrap()];
    let outcome = ends(case.cleanup(ITEMS, &args), 2);
    assert!(outcome.stderr.contains("was removed while it was written"), "{outcome}");
    assert!(outcome.stderr.contains("put it back under that name"), "{outcome}");
    let note = format!("its file is not at {} any more", partial.display());
    assert!(outcome.said().contains(&note) && !outcome.said().contains("Do not remove"), "{outcome}");
    let saved = saved.lock().unwrap().clone().unwrap();
    let is_gone = |redis: &mut Plain, n: &usize| redis.say(&format!("EXISTS item:{n}")).starts_with(":0");
    let gone: Vec<String> = (0..COUNT).filter(|n| is_gone(&mut redis, n)).map(|n| format!("item:{n}")).collect();
    assert!((1..COUNT).contains(&gone.len()), "{} are gone: {outcome}", gone.len());
    let lost: Vec<&String> = gone.iter().filter(|key| !saved.contains_key(*key)).collect();
    assert!(lost.is_empty(), "are gone, and in no file: {lost:?}");
    assert!(!path.exists() && !partial.exists(), "{outcome}");
    // Back in its place, it is gone on with.
    std::fs::rename(&moved, &partial).unwrap();
    ends(case.cleanup(ITEMS, &args), 0);
    assert_eq!(entries(&path).len(), COUNT);
}

/// A connection without a password.
struct Plain(std::net::TcpStream, std::io::BufReader<std::net::TcpStream>);

impl Plain {
    fn open(port: u16) -> Self {
        let stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        let reader = std::io::BufReader::new(stream.try_clone().unwrap());
        Self(stream, reader)
    }

    fn say(&mut self, command: &str) -> String {
        use std::io::{BufRead, Write};
        let words: Vec<&str> = command.split(' ').collect();
        let mut out = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| out.push_str(&format!("${}\r\n{word}\r\n", word.len())));
        self.0.write_all(out.as_bytes()).unwrap();
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        assert!(!line.starts_with('-'), "{command}: {line}");
        line
    }
}

#[test]
fn killed_at_random_points_every_key_that_is_gone_is_in_a_file() {
    let seed = seed();
    let mut dice = Dice(seed);
    const COUNT: usize = 4_000;
    let case = loaded(COUNT);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("cache.backup");
    for _ in 0..4 {
        let mut running = case.start_cleanup(
            ITEMS,
            &[
                "--yes",
                "--lease",
                "2s",
                "--batch-rows",
                "300",
                "--cleanup-keys-per-second",
                "2500",
                "--backup",
                path.to_str().unwrap(),
            ],
        );
        sleep(Duration::from_millis(200 + dice.below(800)));
        if running.ended() {
            break;
        }
        running.kill9();
        let saved = entries(&redis2pg::backup::partial_of(&path));
        let mut redis: Client = case.redis();
        for n in 0..COUNT {
            let key = format!("item:{n}");
            if redis.integer(&[b"EXISTS", key.as_bytes()]) == 0 {
                let entry = saved.get(&key).unwrap_or_else(|| panic!("{key} is gone, and in no file; seed {seed}"));
                assert_eq!(text(entry), item(n), "seed {seed}");
            }
        }
        sleep(Duration::from_millis(2100));
    }
    // The same command goes on with the same file.
    if !path.exists() {
        ends(case.cleanup(ITEMS, &["--yes", "--lease", "2s", "--backup", path.to_str().unwrap()]), 0);
    }
    assert_eq!((keys(&case), entries(&path).len()), (0, COUNT), "seed {seed}");
    assert!(!redis2pg::backup::partial_of(&path).exists());
}

/// In the middle it would end the cleanup, with keys gone and a file that is not at its end.
#[test]
fn rights_that_a_backup_takes_are_asked_for_before_the_first_key() {
    for (lacks, grant) in [("-xinfo", "+xinfo"), ("-xpending", "+xpending")] {
        let acl = vec![format!("u on >p ~* +@all {lacks}")];
        let server = RedisServer::start(RedisOptions { acl, ..RedisOptions::default() }).unwrap();
        let case = Case::from_source(&format!("redis://u:p@127.0.0.1:{}/0", server.port()));
        case.sql("SET ROLE redis2pg; CREATE TABLE things (id text PRIMARY KEY, body jsonb)");
        let mut redis = Client::open(&format!("{}/0", server.url()));
        redis.say("HSET thing:hash a 1");
        redis.say("XADD thing:stream 17-0 a 1");
        redis.say("XGROUP CREATE thing:stream readers 0");
        ends(case.run_config(THINGS, &[]), 0);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("things.backup");
        let outcome = ends(case.cleanup(THINGS, &["--yes", "--backup", path.to_str().unwrap()]), 2);
        assert!(outcome.stderr.contains(&format!("ACL SETUSER u {grant}")), "{outcome}");
        assert!(!outcome.stderr.contains("Make room"), "{outcome}");
        assert_eq!(redis.integer(&[b"DBSIZE"]), 2, "{lacks}");
        assert!(!path.exists() && !redis2pg::backup::partial_of(&path).exists(), "{lacks}");
    }
}
