//! Whole runs against real servers, beside a bare single-connection `psql \copy` of the same rows in the same tables.
//!
//! `scripts/bench [DOCUMENTS]` runs it; docs/benchmarks.md says what the lines mean. Each pair is measured in turn, so
//! that both meet the same machine; medians and ratios are what counts.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a bench ends at the first error and prints"
)]

mod afterwards;

use redis2pg::dataset::{self, Options};
use redis2pg::sandbox::{PostgresOptions, PostgresServer, RedisOptions, RedisServer};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const PAIRS: usize = 3;
const TABLES: [&str; 3] = ["documents", "analysis_results", "sessions"];

/// The preset's tables with primary and foreign keys, without further indexes and triggers: what is measured is the
/// move, not the upkeep of indexes, which costs both sides the same.
const SCHEMA: &str = "
DROP SCHEMA IF EXISTS document_hub CASCADE; DROP SCHEMA IF EXISTS redis2pg CASCADE; CREATE SCHEMA document_hub;
CREATE TABLE document_hub.documents (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), filename varchar(255) NOT NULL,
  original_filename varchar(255) NOT NULL, file_path text NOT NULL, file_size bigint NOT NULL,
  file_type varchar(50) NOT NULL, mime_type varchar(100), upload_timestamp timestamptz DEFAULT now(),
  analysis_timestamp timestamptz, status varchar(20) DEFAULT 'uploaded', metadata jsonb,
  created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
CREATE TABLE document_hub.analysis_results (id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
  document_id uuid NOT NULL REFERENCES document_hub.documents ON DELETE CASCADE, analysis_type varchar(50) NOT NULL,
  analysis_data jsonb NOT NULL, analysis_timestamp timestamptz DEFAULT now(), model_used varchar(100),
  processing_time_ms integer, status varchar(20) DEFAULT 'completed', metadata jsonb,
  created_at timestamptz DEFAULT now(), updated_at timestamptz DEFAULT now());
CREATE TABLE document_hub.sessions (id text PRIMARY KEY, document_id uuid, user_id text, data jsonb NOT NULL,
  created_at timestamptz, last_accessed timestamptz, expires_at timestamptz, metadata jsonb);
ALTER SCHEMA document_hub OWNER TO redis2pg; ALTER TABLE document_hub.documents OWNER TO redis2pg;
ALTER TABLE document_hub.analysis_results OWNER TO redis2pg; ALTER TABLE document_hub.sessions OWNER TO redis2pg;";

struct Bench {
    redis: RedisServer,
    postgres: PostgresServer,
    url: String,
    dir: tempfile::TempDir,
    rows: u64,
}

#[derive(Clone, Copy)]
struct Timing {
    wall: f64,
    cpu: f64,
    peak_mib: f64,
}

impl Bench {
    fn start(documents: u64) -> Self {
        let redis = RedisServer::start(RedisOptions::default()).unwrap();
        let settings = [("shared_buffers", "1GB"), ("max_wal_size", "8GB")];
        let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let postgres = PostgresServer::start(PostgresOptions { settings }).unwrap();
        let url = postgres.create_database("bench").unwrap();
        let started = Instant::now();
        let summary = dataset::load(&redis.url(), &Options { documents, ..Options::default() }).unwrap();
        let rows = summary.keys();
        println!("{rows} keys, {:.0} MB, made in {:.1?}", summary.bytes as f64 / 1e6, started.elapsed());
        Self { redis, postgres, url, dir: tempfile::tempdir().unwrap(), rows }
    }

    fn reset(&self) {
        self.postgres.execute("bench", SCHEMA).unwrap();
        self.postgres.execute("bench", "CHECKPOINT").unwrap();
    }

    /// One run of the binary. The tables are as `reset` or an earlier run left them.
    fn redis2pg(&self, more: &[&str]) -> Timing {
        // The load by itself is measured.
        let run = ["run", "--preset", "contract-reviewer", "--progress", "none", "--from", &self.redis.url()];
        let mut timing =
            watch(self.command(&run).arg("--validate-after-run=false").arg("--report").arg(self.report()).args(more));
        // It knows better than who looks at it from time to time.
        timing.peak_mib = self.reported()["peak_memory_bytes"].as_f64().unwrap_or(0.0) / 1_048_576.0;
        timing
    }

    /// The binary with these arguments and the database.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_redis2pg"));
        command.args(arguments).args(["--to", &self.url]);
        command
    }

    fn report(&self) -> PathBuf {
        self.dir.path().join("report")
    }

    fn reported(&self) -> serde_json::Value {
        serde_json::from_str(&fs::read_to_string(self.report().join("report.json")).unwrap()).unwrap()
    }

    /// Writes the rows that are in the tables now into files, for `psql`.
    fn dump(&self) {
        for table in TABLES {
            let path = self.file(table);
            self.psql(&[], &format!("\\copy document_hub.{table} to '{}' (format binary)", path.display()));
        }
    }

    /// A bare load of the dumped rows: one connection, one `\copy` a table.
    fn copy(&self, options: &[&str]) -> Timing {
        let script: Vec<String> = TABLES
            .iter()
            .map(|table| format!("\\copy document_hub.{table} from '{}' (format binary)", self.file(table).display()))
            .collect();
        self.psql(options, &script.join("\n"))
    }

    fn psql(&self, options: &[&str], script: &str) -> Timing {
        let file = self.dir.path().join("script.sql");
        fs::write(&file, script).unwrap();
        let mut command = Command::new("psql");
        command.args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-f"]).arg(&file).arg(&self.url);
        command.env("PGOPTIONS", options.join(" "));
        watch(&mut command)
    }

    fn file(&self, table: &str) -> PathBuf {
        self.dir.path().join(table)
    }

    /// Measures pairs of a run and the bare load.
    fn pairs(&self, name: &str, psql: &[&str], more: &[&str], fresh: bool) {
        let (mut runs, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..PAIRS {
            self.reset();
            bare.push(self.copy(psql));
            self.reset();
            if !fresh {
                self.redis2pg(&[]);
                self.postgres.execute("bench", "CHECKPOINT").unwrap();
            }
            runs.push(self.redis2pg(more));
        }
        let mut ratios: Vec<f64> = runs.iter().zip(&bare).map(|(run, bare)| run.wall / bare.wall).collect();
        ratios.sort_by(f64::total_cmp);
        let (run, bare) = (median(&runs), median(&bare));
        println!(
            "| {name} | {:.2} s | {:.2} s | {:.2} | {:.1} µs | {:.0} MiB |",
            run.wall,
            bare.wall,
            ratios[PAIRS / 2],
            run.cpu * 1e6 / self.rows as f64,
            run.peak_mib,
        );
    }
}

/// Strings of 500 bytes, each one row, for the lines of cleanups.
const ITEMS: &str = r#"
[[mapping]]
name = "items"
match = "item:{id}"
into = "public.items"
key = ["id"]
lineage = { column = "metadata", document_id = "{id}" }
column = [
  { name = "id", from = ["{id}"] },
  { name = "body", from = ["$"] },
  { name = "metadata", from = [] },
]
"#;

/// Measures cleanups, and validations beside them: what the comparison takes by itself.
fn cleanups(count: u64) {
    let redis = RedisServer::start(RedisOptions { password: Some(String::new()), ..RedisOptions::default() }).unwrap();
    let settings = [("shared_buffers", "1GB"), ("max_wal_size", "8GB")];
    let settings = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let postgres = PostgresServer::start(PostgresOptions { settings }).unwrap();
    let url = postgres.create_database("bench").unwrap();
    let table = "SET ROLE redis2pg; CREATE TABLE items (id text PRIMARY KEY, body jsonb, metadata jsonb)";
    postgres.execute("bench", table).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("items.toml");
    fs::write(&config, ITEMS).unwrap();
    let command = |name: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_redis2pg"));
        command.args([name, "--progress", "none", "--from", &redis.url(), "--to", &url, "--config"]).arg(&config);
        let timing = watch(command.args(more));
        println!("| {name} {} | {:.2} s | {:.0} keys/s |", more.join(" "), timing.wall, count as f64 / timing.wall);
    };
    fill(redis.port(), count);
    command("run", &["--validate-after-run=false"]);
    for round in 0..PAIRS {
        command("validate", &[]);
        command("cleanup", &["--yes", "--cleanup-keys-per-second", "0"]);
        fill(redis.port(), count);
        let backup = dir.path().join(format!("{round}.backup"));
        command("cleanup", &["--yes", "--cleanup-keys-per-second", "0", "--backup", backup.to_str().unwrap()]);
        fill(redis.port(), count);
    }
}

/// Sets the strings, all as they were before.
fn fill(port: u16, count: u64) {
    let stream = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let mut out = std::io::BufWriter::with_capacity(1 << 20, stream.try_clone().unwrap());
    let reader = std::thread::spawn(move || {
        let answers = std::io::BufRead::lines(std::io::BufReader::new(stream)).take(count as usize);
        assert!(answers.map(Result::unwrap).all(|answer| answer == "+OK"));
    });
    for n in 0..count {
        let key = format!("item:{n:032x}");
        let value = format!(r#"{{"n":{n},"text":"{}"}}"#, "x".repeat(480 - n.to_string().len()));
        let (key_size, size) = (key.len(), value.len());
        write!(out, "*3\r\n$3\r\nSET\r\n${key_size}\r\n{key}\r\n${size}\r\n{value}\r\n").unwrap();
    }
    out.flush().unwrap();
    reader.join().unwrap();
}

fn median(timings: &[Timing]) -> Timing {
    let mut sorted = timings.to_vec();
    sorted.sort_by(|a, b| a.wall.total_cmp(&b.wall));
    sorted[sorted.len() / 2]
}

/// Runs a command to its end; CPU time and peak memory are read from /proc while it lives.
fn watch(command: &mut Command) -> Timing {
    let started = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn().unwrap();
    let proc = Path::new("/proc").join(child.id().to_string());
    let (stat, status) = (proc.join("stat"), proc.join("status"));
    let (mut cpu, mut peak_mib) = (0.0, 0.0);
    loop {
        if let Some(mib) = fs::read_to_string(&status).ok().as_deref().and_then(peak_mib_of) {
            peak_mib = mib;
        }
        if let Some(seconds) = fs::read_to_string(&stat).ok().as_deref().and_then(cpu_seconds) {
            cpu = seconds;
        }
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return Timing { wall: started.elapsed().as_secs_f64(), cpu, peak_mib };
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // Fields 14 and 15 of proc(5), in ticks of 10 ms.
    let ticks: f64 = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    (ticks > 0.0).then_some(ticks / 100.0)
}

fn peak_mib_of(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<f64>().ok()? / 1024.0)
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let documents = arguments.first().and_then(|text| text.parse().ok()).unwrap_or(200_000);
    if arguments.get(1).map(String::as_str) == Some("cleanup") {
        cleanups(documents);
        return;
    }
    let bench = Bench::start(documents);
    let only = arguments.get(1).map(String::as_str);
    let wanted = |name: &str| only.is_none_or(|only| only == name);
    bench.reset();
    let first = bench.redis2pg(&[]);
    println!("warm-up: {:.2} s, peak {:.0} MiB", first.wall, first.peak_mib);
    bench.dump();
    println!("| | redis2pg | psql \\copy | ratio | client CPU a row | peak RSS |\n|---|---|---|---|---|---|");
    let lz4 = ["-c default_toast_compression=lz4"];
    if wanted("first") {
        bench.pairs("first load, default settings", &[], &[], true);
    }
    if wanted("lz4") {
        bench.pairs("first load, lz4, beside psql without", &[], &["--compression", "lz4"], true);
        bench.pairs("first load, lz4, beside psql with lz4", &lz4, &["--compression", "lz4"], true);
    }
    if wanted("afterwards") {
        bench.afterwards();
    }
    if wanted("merge") {
        bench.pairs("first load, merge forced", &[], &["--staging", "always"], true);
    }
    if wanted("second") {
        bench.pairs("second run, nothing changed", &[], &[], false);
    }
    if wanted("null") {
        let runs: Vec<Timing> = (0..PAIRS).map(|_| bench.redis2pg(&["--dry-run"])).collect();
        let run = median(&runs);
        println!("null sink: {:.0} keys/s, {:.2} s, {:.0} MiB", bench.rows as f64 / run.wall, run.wall, run.peak_mib);
    }
}
