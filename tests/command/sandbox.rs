//! The throw-away servers and the generated data set, against what is installed.

#![expect(clippy::unwrap_used, reason = "a test that can't go on has failed")]

use crate::support;

use redis2pg::dataset::{self, Options};
use redis2pg::sandbox::{Pgbouncer, PostgresOptions, PostgresServer, RedisOptions, RedisServer};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Sends inline commands to Redis and gives the first line of each answer.
fn redis(server: &RedisServer, commands: &[&str]) -> Vec<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap()).lines();
    let auth = format!("AUTH {}", server.password());
    let mut all: Vec<&str> = commands.to_vec();
    if !server.password().is_empty() {
        all.insert(0, &auth);
    }
    let answers: Vec<String> = all
        .iter()
        .map(|command| {
            write!(stream, "{command}\r\n").unwrap();
            answers.next().unwrap().unwrap()
        })
        .collect();
    answers[answers.len() - commands.len()..].to_vec()
}

/// Asks PostgreSQL for one text, over a connection of its own.
fn ask(url: &str, sql: &'static str) -> Result<String, sqlx::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = PgConnection::connect(url).await?;
        sqlx::query_scalar::<_, String>(sql).fetch_one(&mut connection).await
    })
}

fn until(what: &str, within: Duration, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !done() {
        assert!(Instant::now() < deadline, "{what}: not within {within:?}");
        sleep(Duration::from_millis(20));
    }
}

fn listens(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[test]
fn redis_answers_and_wants_its_password() {
    let server = support::redis();
    assert_eq!(redis(server, &["PING"]), ["+PONG"]);
    let mut stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    stream.write_all(b"DBSIZE\r\n").unwrap();
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer).unwrap();
    assert!(answer.starts_with("-NOAUTH"), "{answer}");
}

#[test]
fn redis_takes_acl_lines_and_settings() {
    let options = RedisOptions {
        password: Some(String::new()),
        acl: vec!["reader on >secret ~document:* +get".into()],
        settings: vec!["maxmemory 64mb".into()],
        ..RedisOptions::default()
    };
    let server = RedisServer::start(options).unwrap();
    let answers = redis(&server, &["AUTH reader secret", "GET document:1", "GET session:1", "DBSIZE"]);
    assert_eq!(answers[..2], ["+OK", "$-1"]);
    assert!(answers[2].starts_with("-NOPERM") && answers[3].starts_with("-NOPERM"), "{answers:?}");
}

#[test]
fn redis_keeps_what_it_is_told_to_keep() {
    for (save_to_disk, expected) in [(true, ":1"), (false, ":0")] {
        let mut server = RedisServer::start(RedisOptions { save_to_disk, ..RedisOptions::default() }).unwrap();
        let (port, url) = (server.port(), server.url());
        assert_eq!(redis(&server, &["SET a 1"]), ["+OK"]);
        server.kill9().unwrap();
        assert!(!listens(port));
        server.restart().unwrap();
        assert_eq!((server.port(), server.url()), (port, url));
        assert_eq!(redis(&server, &["EXISTS a"]), [expected], "save_to_disk = {save_to_disk}");
    }
}

#[test]
fn a_paused_redis_is_silent_until_it_is_resumed() {
    let mut server = RedisServer::start(RedisOptions::default()).unwrap();
    server.pause().unwrap();
    let mut silent = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    silent.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut line = String::new();
    // The signal is on its way for a moment; commands sent before it arrives are answered.
    until("pause", Duration::from_secs(10), || {
        silent.write_all(b"PING\r\n").unwrap();
        BufReader::new(&silent).read_line(&mut line).is_err()
    });
    server.resume().unwrap();
    assert_eq!(redis(&server, &["PING"]), ["+PONG"]);
}

#[test]
fn postgres_wants_the_right_password_and_gives_no_superuser() {
    let (name, url) = support::database();
    assert_eq!(ask(&url, "SELECT current_user::text").unwrap(), "redis2pg");
    assert_eq!(ask(&url, "SELECT rolsuper::text FROM pg_roles WHERE rolname = current_user").unwrap(), "false");
    assert_eq!(ask(&url, "SELECT pg_encoding_to_char(encoding)::text FROM pg_database LIMIT 1").unwrap(), "UTF8");
    let superuser = support::postgres().superuser_url(&name);
    assert_eq!(ask(&superuser, "SELECT current_user::text").unwrap(), "postgres");
    let wrong = url.replace(support::postgres().password(), "wrong");
    let error = ask(&wrong, "SELECT 'in'").unwrap_err();
    assert_eq!(error.as_database_error().and_then(|error| error.code()).as_deref(), Some("28P01"), "{error}");
}

#[test]
fn postgres_answers_on_its_socket() {
    let (name, _) = support::database();
    let url = support::postgres().url_unix(&name);
    let sql = "SELECT coalesce(inet_server_addr()::text, 'socket')";
    assert_eq!(ask(&url, sql).unwrap(), "socket");
}

#[test]
fn postgres_keeps_its_data_through_a_crash() {
    let settings = vec![("max_connections".to_owned(), "17".to_owned())];
    let mut server = PostgresServer::start(PostgresOptions { settings }).unwrap();
    let url = server.create_database("kept").unwrap();
    server.execute("kept", "CREATE TABLE t AS SELECT 'here'::text AS x; GRANT SELECT ON t TO redis2pg").unwrap();
    for crash in [true, false] {
        if crash {
            server.kill9().unwrap()
        } else {
            server.stop().unwrap()
        }
        assert!(!listens(server.port()));
        server.restart().unwrap();
        assert_eq!(ask(&url, "SELECT x FROM t").unwrap(), "here");
    }
    assert_eq!(server.execute("kept", "SHOW max_connections; SHOW fsync").unwrap(), "17\non");
    let error = server.execute("kept", "SELECT 1/0").unwrap_err();
    assert!(error.to_string().contains("division by zero"), "{error}");
    assert!(server.create_database("x\"; DROP DATABASE kept; --").is_err());
}

#[test]
fn pgbouncer_pools_transactions() {
    let (name, _) = support::database();
    let pooler = Pgbouncer::start(support::postgres(), "transaction").unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let seen = runtime.block_on(async {
        // The pooler's own defaults refuse start-up parameters that it does not know.
        let options = PgConnectOptions::from_str(&pooler.url(&name)).unwrap().extra_float_digits(None);
        let mut one = PgConnection::connect_with(&options).await.unwrap();
        let mut two = PgConnection::connect_with(&options).await.unwrap();
        let mut seen = Vec::new();
        for connection in [&mut one, &mut two] {
            let pid = sqlx::query_scalar::<_, i32>("SELECT pg_backend_pid()").persistent(false);
            seen.push(pid.fetch_one(connection).await.unwrap());
        }
        seen
    });
    assert_eq!(seen[0], seen[1], "two clients, one after the other, share a server connection");
}

#[test]
fn a_dropped_server_leaves_nothing_behind() {
    let server = PostgresServer::start(PostgresOptions::quick()).unwrap();
    let (port, dir) = (server.port(), server.socket_dir().to_owned());
    assert!(listens(port) && dir.exists());
    drop(server);
    assert!(!listens(port) && !dir.exists());
}

#[test]
fn a_server_that_cannot_start_says_why() {
    let settings = vec![("no_such_setting".to_owned(), "1".to_owned())];
    let error = PostgresServer::start(PostgresOptions { settings }).err().unwrap();
    assert!(error.to_string().contains("no_such_setting"), "{error}");
    let settings = vec!["no-such-directive yes".to_owned()];
    let error = RedisServer::start(RedisOptions { settings, ..RedisOptions::default() }).err().unwrap();
    assert!(error.to_string().contains("no-such-directive"), "{error}");
}

#[test]
fn the_data_set_is_what_its_summary_says() {
    let server = RedisServer::start(RedisOptions::default()).unwrap();
    for url in [server.url(), server.url_unix()] {
        // Under root the socket belongs to the server's account, and root may use it.
        assert_eq!(redis(&server, &["FLUSHALL"]), ["+OK"]);
        let summary = dataset::load(&url, &Options::demo(2_000)).unwrap();
        assert_eq!(summary.documents.load, 2_000);
        assert_eq!(summary.analyses.load, 2_000);
        assert_eq!(summary.sessions.load, 400);
        assert_eq!((summary.other, summary.broken.len()), (200, 10));
        assert_eq!(redis(&server, &["DBSIZE"]), [format!(":{}", summary.keys())]);
        let answers = redis(&server, &["PTTL document:broken-nul", "PTTL document:broken-hash", "PTTL cache:page:0"]);
        assert!(answers[0].len() > ":1000000".len() - 1 && answers[1].len() > ":1000000".len() - 1, "{answers:?}");
        assert!(answers[2].starts_with(":-"), "{answers:?}");
    }
    let error = dataset::load(&server.url().replace(server.password(), "wrong"), &Options::default()).unwrap_err();
    assert!(error.to_string().contains("WRONGPASS"), "{error}");
}

/// Names the file into which the child of the next test writes what it started.
const CHILD: &str = "REDIS2PG_TEST_SANDBOX_CHILD";

/// Not a test of its own: the process that the next test kills.
#[test]
#[ignore = "the child process of no_server_outlives_a_killed_parent"]
fn child() {
    let report = std::env::var_os(CHILD).expect("started by no_server_outlives_a_killed_parent");
    let redis = RedisServer::start(RedisOptions::default()).unwrap();
    let postgres = PostgresServer::start(PostgresOptions::quick()).unwrap();
    let pooler = Pgbouncer::start(&postgres, "transaction").unwrap();
    let lines =
        format!("{}\n{}\n{}\n{}\n", postgres.socket_dir().display(), redis.port(), postgres.port(), pooler.port());
    let partial = Path::new(&report).with_extension("partial");
    std::fs::write(&partial, lines).unwrap();
    std::fs::rename(partial, report).unwrap();
    sleep(Duration::from_secs(120));
}

#[test]
fn no_server_outlives_a_killed_parent() {
    let scratch = tempfile::tempdir().unwrap();
    let report = scratch.path().join("started");
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "sandbox::child"])
        .env(CHILD, &report)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until("the child's servers", Duration::from_secs(60), || {
        assert!(parent.try_wait().unwrap().is_none(), "the child ended early");
        report.exists()
    });
    let text = std::fs::read_to_string(report).unwrap();
    let mut lines = text.lines();
    let dir = Path::new(lines.next().unwrap()).to_owned();
    let ports: Vec<u16> = lines.map(|line| line.parse().unwrap()).collect();
    assert_eq!(ports.len(), 3);
    assert!(ports.iter().all(|port| listens(*port)) && dir.exists());
    // SIGKILL: the child gets no chance to clean up.
    parent.kill().unwrap();
    parent.wait().unwrap();
    until("the end of the servers", Duration::from_secs(20), || !ports.iter().any(|port| listens(*port)));
    until("the end of the directory", Duration::from_secs(20), || !dir.exists());
}
