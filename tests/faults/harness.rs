//! Starts the command, waits for moments in its run, and strikes. Shared servers, one database a test.

use crate::books::Report;
use redis2pg::dataset::{self, Options};
use redis2pg::sandbox::{PostgresOptions, PostgresServer, RedisOptions, RedisServer};
use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// Nothing here takes longer, on a machine that is busy with the other tests too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Documents of the shared cache.
pub(crate) const DOCUMENTS: u64 = 1200;

/// Small steps, slowly taken: there is time to strike in each phase.
pub(crate) const SLOW: [&str; 6] = ["--max-keys-per-second", "1000", "--batch-rows", "60", "--scan-count", "100"];

/// The shared cache of all shapes and every broken record; nobody changes it.
pub(crate) fn cache() -> String {
    static SERVER: OnceLock<RedisServer> = OnceLock::new();
    SERVER
        .get_or_init(|| {
            let redis = RedisServer::start(RedisOptions::default()).unwrap();
            dataset::load(&redis.url(), &without_expiry(DOCUMENTS, true)).unwrap();
            redis
        })
        .url()
}

/// A cache whose records never expire, so that two runs must make the same rows of it.
pub(crate) fn without_expiry(documents: u64, broken: bool) -> Options {
    Options { documents, mixed: true, broken, other: documents / 10, session_ttl: None, ..Options::default() }
}

/// The shared PostgreSQL.
pub(crate) fn postgres() -> &'static PostgresServer {
    static SERVER: OnceLock<PostgresServer> = OnceLock::new();
    SERVER.get_or_init(|| PostgresServer::start(PostgresOptions::quick()).unwrap())
}

/// The name and URL of a new database of the shared PostgreSQL.
pub(crate) fn database() -> (String, String) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("faults_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let url = postgres().create_database(&name).unwrap();
    (name, url)
}

/// A run of the command at work.
pub(crate) struct Job {
    child: Child,
    dir: TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// `None`: killed by a signal.
    pub(crate) code: Option<i32>,
    pub(crate) stderr: String,
    pub(crate) report: Option<Report>,
}

/// GNU's `env` with this said of SIGHUP. Whoever runs the tests may have had it ignored, and what is ignored is inherited.
fn hangup(option: &str) -> Option<Command> {
    let command = || {
        let mut command = Command::new("env");
        command.arg(format!("{option}=HUP"));
        command
    };
    let works = command().arg("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    works.then(command)
}

impl Job {
    /// Starts `run` with the preset, a short lease, and more arguments.
    pub(crate) fn start(from: &str, to: &str, more: &[&str]) -> Self {
        Self::start_under(hangup("--default-signal"), from, to, more)
    }

    /// The same where a hangup is ignored, as under `nohup`; `None` where the system's `env` can't do that.
    pub(crate) fn start_without_hangup(from: &str, to: &str, more: &[&str]) -> Option<Self> {
        Some(Self::start_under(Some(hangup("--ignore-signal")?), from, to, more))
    }

    fn start_under(env: Option<Command>, from: &str, to: &str, more: &[&str]) -> Self {
        crate::watchdog::watch();
        let dir = tempfile::tempdir().unwrap();
        let binary = env!("CARGO_BIN_EXE_redis2pg");
        let mut command = match env {
            Some(mut env) => {
                env.arg(binary);
                env
            }
            None => Command::new(binary),
        };
        let child = command
            .args(["run", "--from", from, "--to", to, "--preset", "contract-reviewer", "--yes", "--lease", "2s"])
            .args(["--progress", "lines", "--report"])
            .arg(dir.path().join("report"))
            .args(more)
            // It speaks to the tests, and the command knows no such setting.
            .env_remove("REDIS2PG_CHAOS_MINUTES")
            .env_remove("REDIS_URL")
            .env_remove("DATABASE_URL")
            // These tests look at the rows themselves.
            .env("REDIS2PG_VALIDATE_AFTER_RUN", "false")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(dir.path().join("stderr")).unwrap())
            .spawn()
            .unwrap();
        Self { child, dir }
    }

    /// Runs to the end.
    pub(crate) fn run(from: &str, to: &str, more: &[&str]) -> Ended {
        Self::start(from, to, more).end()
    }

    /// Sends a signal, such as `INT`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.unwrap().success(), "kill -{name}");
    }

    /// Kills the process where it stands.
    pub(crate) fn kill9(mut self) -> Ended {
        self.child.kill().unwrap();
        self.end()
    }

    /// Whether it has ended.
    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for the end.
    pub(crate) fn end(mut self) -> Ended {
        let since = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if since.elapsed() > PATIENCE {
                let _ = self.child.kill();
                panic!("the run does not end:\n{}", self.stderr());
            }
            thread::sleep(Duration::from_millis(20));
        };
        let report = fs::read_to_string(self.dir.path().join("report/report.json")).ok();
        let report = report.map(|text| Report(serde_json::from_str(&text).unwrap()));
        Ended { code: status.code(), stderr: self.stderr(), report }
    }

    /// Waits until a query gives a number of at least `least`. Fails where the run ends before.
    pub(crate) fn wait_for(&mut self, server: &PostgresServer, database: &str, sql: &str, least: u64) {
        assert!(self.comes_to(server, database, sql, least), "the run ended too early:\n{}", self.stderr());
    }

    /// The same; `false` where the run ends before.
    pub(crate) fn comes_to(&mut self, server: &PostgresServer, database: &str, sql: &str, least: u64) -> bool {
        let since = Instant::now();
        while number(server, database, sql).is_none_or(|now| now < least) {
            if self.has_ended() {
                return false;
            }
            assert!(since.elapsed() < PATIENCE, "{sql} never reaches {least}:\n{}", self.stderr());
            thread::sleep(Duration::from_millis(15));
        }
        true
    }

    fn stderr(&self) -> String {
        fs::read_to_string(self.dir.path().join("stderr")).unwrap_or_default()
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // A test that fails leaves nothing behind; a process that has ended already is no error here.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a query gives, if the server answers and the tables are there.
pub(crate) fn number(server: &PostgresServer, database: &str, sql: &str) -> Option<u64> {
    server.execute(database, sql).ok()?.parse().ok()
}

/// Committed batches of a phase.
pub(crate) fn batches_of(phase: u32) -> String {
    format!("SELECT count(*) FROM redis2pg.batches WHERE phase = {phase}")
}

/// Some number below `below`, another one each time.
pub(crate) fn random(below: u64) -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    // The low digits of the clock, well mixed (splitmix64).
    let mut state = u64::from(now.subsec_nanos()) ^ (now.as_secs() << 30);
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (state ^ (state >> 31)) % below
}

/// Rows in the three tables.
pub(crate) fn rows_in(database: &str) -> u64 {
    let sql = "SELECT (SELECT count(*) FROM document_hub.documents) + \
         (SELECT count(*) FROM document_hub.analysis_results) + (SELECT count(*) FROM document_hub.sessions)";
    number(postgres(), database, sql).unwrap()
}
