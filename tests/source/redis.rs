//! The Redis source against a real redis-server.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that can't go on has failed, in its helpers too")]

use crate::support::self_signed;
use redis2pg::model::{Event, Fetched, RedisKey, Wanted};
use redis2pg::sandbox::{RedisOptions, RedisServer};
use redis2pg::source::redis::{Permission, RedisSource, SourceSettings};
use redis2pg::source::{Checkpoint, Scan, Source};
use std::collections::HashSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A private redis-server in a temporary directory, killed when dropped.
struct Server {
    process: Child,
    port: u16,
    dir: tempfile::TempDir,
    more: Vec<String>,
}

impl Server {
    fn start(more: &[&str]) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let dir = tempfile::tempdir().unwrap();
        let more: Vec<String> = more.iter().map(|arg| (*arg).to_owned()).collect();
        let process = Self::spawn(port, dir.path(), &more);
        let server = Self { process, port, dir, more };
        server.wait();
        server
    }

    fn spawn(port: u16, dir: &std::path::Path, more: &[String]) -> Child {
        Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(dir)
            .arg("--unixsocket")
            .arg(dir.join("redis.sock"))
            .args(more)
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn wait(&self) {
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < until, "redis-server did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = Self::spawn(self.port, self.dir.path(), &self.more);
        self.wait();
    }

    /// Sends inline or multi-bulk commands and waits until as many PINGs as asked came back.
    fn send(&self, commands: &[u8]) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let mut reader = stream.try_clone().unwrap();
        let commands = commands.to_vec();
        let writer = std::thread::spawn(move || {
            stream.write_all(&commands).unwrap();
            stream.write_all(b"ECHO all-done\r\n").unwrap();
            stream
        });
        let (mut seen, mut buffer) = (Vec::new(), [0; 65536]);
        while !seen.windows(8).any(|window| window == b"all-done") {
            let read = reader.read(&mut buffer).unwrap();
            assert!(read > 0, "closed");
            seen.drain(..seen.len().saturating_sub(16));
            seen.extend_from_slice(&buffer[..read]);
        }
        writer.join().unwrap();
    }

    fn fill(&self, count: usize) {
        let text: String = (0..count).map(|i| format!("SET document:{i} value-{i}\r\n")).collect();
        self.send(text.as_bytes());
    }

    fn settings(&self) -> SourceSettings {
        SourceSettings { scan_count: 100, ..SourceSettings::new(format!("redis://127.0.0.1:{}", self.port)) }
    }

    async fn connect(&self) -> RedisSource {
        RedisSource::connect(&self.settings(), None).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn keys(names: &[&str]) -> Vec<RedisKey> {
    names.iter().map(|name| RedisKey::new(name.to_string())).collect()
}

async fn fails(settings: &SourceSettings) -> redis2pg::model::Failure {
    match RedisSource::connect(settings, None).await {
        Ok(_) => panic!("connected"),
        Err(failure) => failure,
    }
}

#[tokio::test]
async fn every_key_is_listed_bytes_that_are_not_text_too() {
    let server = Server::start(&[]);
    server.fill(5000);
    server.send(b"*3\r\n$3\r\nSET\r\n$5\r\na\xff\x00\r\n\r\n$1\r\nv\r\n");
    let source = server.connect().await;
    assert_eq!(source.dbsize().await.unwrap(), 5001);
    let mut scan = source.scan(None);
    assert_eq!(scan.server_run_id(), source.run_id());
    let (mut seen, mut numbers, mut ended) = (HashSet::new(), 0, false);
    while let Some(page) = scan.next().await.unwrap() {
        assert_eq!((page.epoch, page.number), (0, numbers));
        assert!(!ended);
        ended = page.resume_cursor == "0";
        numbers += 1;
        seen.extend(page.keys);
    }
    assert!(ended);
    assert_eq!(seen.len(), 5001);
    assert!(seen.contains(&RedisKey::new(&b"a\xff\x00\r\n"[..])));
    assert_eq!(source.key_families(1).await.unwrap()[0].0, "document:*");
    assert_eq!(source.identity(), format!("127.0.0.1:{}/0", server.port));
}

#[tokio::test]
async fn values_come_in_order_with_their_kinds_and_expiries() {
    let server = Server::start(&[]);
    server.send(
        b"SET a 1\r\nHSET h f v\r\nSET c 3 PXAT 4102444800123\r\nSET empty \"\"\r\nRPUSH l x\r\nSET z 26 EX 1000\r\n",
    );
    let source = server.connect().await;
    let asked = keys(&["a", "h", "missing", "c", "empty", "l", "a", "z"]);
    let page = source.fetch(&asked, Wanted::strings(true), 1 << 20).await.unwrap();
    assert_eq!(page.records.len(), 8);
    let text = |index: usize| match &page.records[index] {
        Fetched::Record(record) => {
            assert_eq!(record.key, asked[index]);
            (String::from_utf8(record.value.to_vec()).unwrap(), record.expires_at)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(text(0), ("1".to_owned(), None));
    assert!(matches!(&page.records[1], Fetched::WrongType { redis_type, .. } if redis_type == "hash"));
    assert!(matches!(&page.records[2], Fetched::Gone(key) if *key == asked[2]));
    assert_eq!(text(3), ("3".to_owned(), Some(4_102_444_800_123)));
    assert_eq!(text(4), (String::new(), None));
    assert!(matches!(&page.records[5], Fetched::WrongType { redis_type, .. } if redis_type == "list"));
    assert_eq!(text(6).0, "1");
    assert!(text(7).1.is_some());
    let without = source.fetch(&asked[3..4], Wanted::strings(false), 1 << 20).await.unwrap();
    assert!(matches!(&without.records[0], Fetched::Record(record) if record.expires_at.is_none()));
}

#[tokio::test]
async fn large_values_are_read_in_bounded_replies() {
    let server = Server::start(&[]);
    let large = "x".repeat(300_000);
    let sets: String = (0..20).map(|i| format!("*3\r\n$3\r\nSET\r\n$3\r\nk{i:02}\r\n$300000\r\n{large}\r\n")).collect();
    server.send(sets.as_bytes());
    let source = server.connect().await;
    let names: Vec<RedisKey> = (0..20).map(|i| RedisKey::new(format!("k{i:02}"))).collect();
    for _ in 0..3 {
        let some = source.fetch_some(&names, Wanted::strings(false), 1_000_000).await.unwrap();
        assert_eq!(some.records.len(), 3);
    }
    let larger = source.fetch_some(&names, Wanted::strings(false), 1000).await.unwrap();
    assert_eq!((larger.records.len(), larger.bytes), (20, 0));
    let left = |fetched: &Fetched| matches!(fetched, Fetched::Large { large, .. } if large.bytes == Some(300_000));
    assert!(larger.records.iter().all(left), "larger than the cap: each is left to be read by itself");
    let alone = source.fetch(&names[..2], Wanted::strings(false), 1000).await.unwrap();
    assert_eq!((alone.records.len(), alone.bytes), (2, 2 * 300_003));
    let all = source.fetch(&names, Wanted::strings(true), 1_000_000).await.unwrap();
    assert_eq!((all.records.len(), all.bytes), (20, 20 * 300_003));
    assert!(all.records.iter().all(|fetched| matches!(fetched, Fetched::Record(r) if r.value == large.as_bytes())));
}

#[tokio::test]
async fn a_large_value_among_small_ones_is_not_read_with_them() {
    let server = Server::start(&[]);
    let small: String = (0..500).map(|i| format!("*3\r\n$3\r\nSET\r\n$4\r\nk{i:03}\r\n$1\r\nx\r\n")).collect();
    server.send(small.as_bytes());
    let source = server.connect().await;
    let names: Vec<RedisKey> = (0..500).map(|i| RedisKey::new(format!("k{i:03}"))).collect();
    let read = async |names: &[RedisKey]| source.fetch_some(names, Wanted::strings(true), 8 << 20).await.unwrap();
    for _ in 0..3 {
        assert_eq!(read(&names).await.records.len(), 500);
    }
    // All that was seen so far is small.
    server.send(b"*4\r\n$8\r\nSETRANGE\r\n$4\r\nk300\r\n$8\r\n40000000\r\n$1\r\nx\r\n");
    server.send(b"*3\r\n$7\r\nPEXPIRE\r\n$4\r\nk300\r\n$9\r\n900000000\r\n");
    let page = read(&names).await;
    assert!(page.records.len() > 300, "{}", page.records.len());
    for (place, fetched) in page.records.iter().enumerate() {
        match fetched {
            Fetched::Large { key, large } if large.expires_at.is_some() => {
                assert_eq!((key, large.bytes), (&names[300], Some(40_000_001)));
            }
            Fetched::Record(record) => assert_eq!(record.key, names[place]),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_restarted_server_is_scanned_from_the_beginning() {
    let mut server = Server::start(&[]);
    server.fill(3000);
    let (events, mut heard) = tokio::sync::mpsc::channel(100);
    let source = RedisSource::connect(&server.settings(), Some(events.clone())).await.unwrap();
    let before = source.run_id().unwrap().to_owned();
    let mut scan = source.scan(None);
    for _ in 0..5 {
        scan.next().await.unwrap().unwrap();
    }
    server.restart();
    server.fill(2000);
    let (mut first, mut seen) = (None, HashSet::new());
    while let Some(page) = scan.next().await.unwrap() {
        if page.epoch == 0 {
            continue;
        }
        first.get_or_insert(page.number);
        assert_eq!(page.epoch, 1);
        seen.extend(page.keys);
    }
    assert_eq!((first, seen.len()), (Some(0), 2000));
    assert_ne!(scan.server_run_id().unwrap(), before);
    let mut texts = Vec::new();
    while let Ok(Event::Notice(text)) = heard.try_recv() {
        texts.push(text);
    }
    assert!(texts.iter().any(|text| text.contains("starts again")), "{texts:?}");
    assert!(texts.iter().any(|text| text.contains("made again")), "{texts:?}");
}

#[tokio::test]
async fn a_lost_connection_costs_nothing() {
    let server = Server::start(&[]);
    server.fill(3000);
    let source = server.connect().await;
    let mut scan = source.scan(None);
    let mut seen = HashSet::new();
    while let Some(page) = scan.next().await.unwrap() {
        assert_eq!(page.epoch, 0);
        if page.number == 3 {
            server.send(b"CLIENT KILL TYPE normal\r\n");
        }
        seen.extend(page.keys);
    }
    assert_eq!(seen.len(), 3000);
}

#[tokio::test]
async fn a_checkpoint_goes_on_where_it_was_and_only_there() {
    let server = Server::start(&[]);
    server.fill(1000);
    let source = server.connect().await;
    let mut scan = source.scan(None);
    let first = scan.next().await.unwrap().unwrap();
    let from = Checkpoint {
        server_run_id: source.run_id().map(str::to_owned),
        cursor: first.resume_cursor.clone(),
        epoch: 4,
        number: 1,
    };
    let mut rest = source.scan(Some(from.clone()));
    let (mut seen, mut pages) = (HashSet::<RedisKey>::from_iter(first.keys), 1);
    while let Some(page) = rest.next().await.unwrap() {
        assert_eq!((page.epoch, page.number), (4, pages));
        pages += 1;
        seen.extend(page.keys);
    }
    assert_eq!(seen.len(), 1000);
    let foreign = Checkpoint { server_run_id: Some("0".repeat(40)), ..from };
    let page = source.scan(Some(foreign)).next().await.unwrap().unwrap();
    assert_eq!((page.epoch, page.number), (5, 0));
}

#[tokio::test]
async fn what_is_wrong_with_the_settings_is_said() {
    let server = Server::start(&["--requirepass", "sesame"]);
    let url = |middle: &str, end: &str| format!("redis://{middle}127.0.0.1:{}{end}", server.port);
    let no_password = fails(&SourceSettings::new(url("", ""))).await;
    assert_eq!(no_password.exit.code(), 2, "{no_password}");
    let wrong = fails(&SourceSettings::new(url(":sesame-not@", ""))).await;
    assert_eq!(wrong.exit.code(), 2, "{wrong}");
    assert!(!format!("{wrong} {wrong:?}").contains("sesame"), "{wrong:?}");
    let database = fails(&SourceSettings::new(url(":sesame@", "/99"))).await;
    assert!(database.exit.code() == 2 && database.message.contains("99"), "{database}");
    assert!(RedisSource::connect(&SourceSettings::new(url(":sesame@", "/1")), None).await.is_ok());
    // A plain port waits for the end of a line that a TLS greeting does not have.
    let tls = SourceSettings {
        connect_timeout: Duration::from_millis(500),
        ..SourceSettings::new(url(":sesame@", "").replace("redis:", "rediss:"))
    };
    let tls = fails(&tls).await;
    assert!(tls.exit.code() == 5 && tls.hint.contains("TLS"), "{tls} {}", tls.hint);
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let start = Instant::now();
    let nobody = fails(&SourceSettings::new(format!("redis://127.0.0.1:{port}"))).await;
    assert!(start.elapsed() < Duration::from_secs(5));
    assert_eq!(nobody.exit.code(), 5);
    assert!(nobody.message.contains(&format!("127.0.0.1:{port}")) && nobody.message.contains("--from"), "{nobody}");
}

#[tokio::test]
async fn rights_are_checked_and_info_is_not_needed() {
    let server = Server::start(&[]);
    server.fill(500);
    server.send(b"ACL SETUSER noscan on >pw ~* +@all -scan\r\nACL SETUSER noinfo on >pw ~document:* +@all -info\r\n");
    let url = |user: &str| format!("redis://{user}:pw@127.0.0.1:{}", server.port);
    let noscan = RedisSource::connect(&SourceSettings::new(url("noscan")), None).await.unwrap();
    let asked = ["scan", "mget", "nothing"];
    let permissions = noscan.permissions(&asked).await.unwrap();
    assert_eq!(permissions, [Permission::Refused, Permission::Granted, Permission::Unknown]);
    let refused = noscan.scan(None).next().await.unwrap_err();
    assert!(refused.exit.code() == 2 && refused.message.contains("SCAN"), "{refused}");
    let settings = SourceSettings { scan_count: 50, ..SourceSettings::new(url("noinfo")) };
    let source = RedisSource::connect(&settings, None).await.unwrap();
    assert!(source.run_id().is_none() && source.server().is_none());
    let mut scan = source.scan(None);
    let mut seen = HashSet::new();
    let mut last_epoch = 0;
    while let Some(page) = scan.next().await.unwrap() {
        if page.epoch != last_epoch {
            assert_eq!(page.number, 0);
            last_epoch = page.epoch;
            seen.clear();
        }
        if page.epoch == 0 && page.number == 2 {
            server.send(b"CLIENT KILL TYPE normal\r\n");
        }
        seen.extend(page.keys);
    }
    assert_eq!((last_epoch, seen.len()), (1, 500), "the reconnection started it again");
}

#[tokio::test]
async fn a_server_that_stays_away_ends_the_work_in_bounded_time() {
    let mut server = Server::start(&[]);
    server.fill(500);
    let settings =
        SourceSettings { reconnect_attempts: 2, command_timeout: Duration::from_millis(500), ..server.settings() };
    let source = RedisSource::connect(&settings, None).await.unwrap();
    server.process.kill().unwrap();
    server.process.wait().unwrap();
    let start = Instant::now();
    let lost = source.fetch(&keys(&["document:1"]), Wanted::strings(false), 1 << 20).await.unwrap_err();
    assert!(start.elapsed() < Duration::from_secs(10));
    assert!(lost.exit.code() == 5 && lost.hint.contains("start again"), "{lost}");
    let mut scan = source.scan(None);
    assert_eq!(scan.next().await.unwrap_err().exit.code(), 5);
}

#[tokio::test]
async fn sockets_work() {
    let server = Server::start(&[]);
    server.send(b"SELECT 2\r\nSET only:here 1\r\n");
    let path = server.dir.path().join("redis.sock");
    let settings = SourceSettings::new(format!("redis+unix://{}?db=2", path.display()));
    let source = RedisSource::connect(&settings, None).await.unwrap();
    assert_eq!(source.dbsize().await.unwrap(), 1);
}

#[tokio::test]
async fn tls_trusts_a_private_authority_only_where_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let tls = self_signed(dir.path());
    let certificate = tls.ca.display().to_string();
    let server = RedisServer::start(RedisOptions { tls: Some(tls), ..RedisOptions::default() }).unwrap();
    let url = server.url_tls().unwrap();
    for host in ["localhost", "127.0.0.1"] {
        let settings = SourceSettings::new(url.replace("localhost", host));
        let unknown = fails(&settings).await;
        assert!(unknown.exit.code() == 5 && unknown.message.contains("TLS handshake"), "{unknown}");
        let trusted = SourceSettings { ca_file: Some(certificate.clone().into()), ..settings };
        let source = RedisSource::connect(&trusted, None).await.unwrap();
        assert_eq!(source.dbsize().await.unwrap(), 0);
        assert!(source.display().starts_with(&format!("rediss://{host}:")), "{}", source.display());
    }
}

#[tokio::test]
async fn without_pexpiretime_the_servers_clock_and_pttl_tell_the_expiry() {
    let server = Server::start(&[]);
    server.send(b"SET c 3 PXAT 4102444800123\r\nSET a 1\r\nACL SETUSER old on >pw ~* +@all -pexpiretime\r\n");
    let url = format!("redis://old:pw@127.0.0.1:{}", server.port);
    let source = RedisSource::connect(&SourceSettings::new(url), None).await.unwrap();
    let page = source.fetch(&keys(&["c", "a", "gone"]), Wanted::strings(true), 1 << 20).await.unwrap();
    let [Fetched::Record(c), Fetched::Record(a), Fetched::Gone(_)] = page.records.as_slice() else {
        panic!("{page:?}");
    };
    // The two questions are answered within a moment of each other, not in the same one.
    assert!((c.expires_at.unwrap() - 4_102_444_800_123).abs() < 2_000, "{c:?}");
    assert_eq!(a.expires_at, None);
}
