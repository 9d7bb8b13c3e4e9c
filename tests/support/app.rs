//! Runs the binary against a Redis database and a PostgreSQL database of its own, and looks at both afterwards.

#![expect(clippy::panic, reason = "a test whose run went wrong has failed")]

use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

// Each test binary uses its own part of this module; naming all of it here keeps the rest from being reported as dead.
const _: fn(&Case, Outcome, &mut Client) = |case, outcome, client| {
    let _ = (
        case.run(&[]),
        case.run_config("", &[]),
        case.run_preset("", &[]),
        case.ledger(&[]),
        case.start(&[]),
        case.start_config("", &[]),
        case.fingerprint(),
    );
    let _ =
        (case.list(&[]), case.xmins(""), case.secrets(), case.number(""), case.json(""), &case.database, &case.target);
    let _ = (outcome.count("", ""), outcome.reasons(""), outcome.reject(""), outcome.total(""), outcome.said());
    let _ = (outcome.path(), &outcome.stdout, &outcome.stderr, outcome.code, &outcome.rejects);
    outcome.exits(0);
    let _ = case.redis();
    client.set_many(&[]);
    client.set("", "");
    let _ =
        (client.answer(&[]), client.integer(&[]), client.say(""), client.bytes(&[]), Case::with_ends("", "").command());
    let _ = (Case::from_source(""), case.retry("", &[]), case.validate("", &[]));
    let _ = (case.cleanup("", &[]), case.start_cleanup("", &[]), case.cleanup_command(Path::new(""), "", &[]));
};

/// The two ends of one test.
pub(crate) struct Case {
    pub(crate) source: String,
    pub(crate) target: String,
    pub(crate) database: String,
}

impl Case {
    /// An empty Redis database and an empty PostgreSQL database.
    pub(crate) fn new() -> Self {
        let (database, target) = super::database();
        Self { source: super::redis_database(), target, database }
    }

    /// A Redis of the test's own, and an empty PostgreSQL database.
    pub(crate) fn from_source(source: &str) -> Self {
        let (database, target) = super::database();
        Self { source: source.to_owned(), target, database }
    }

    /// Ends that are wherever the test says.
    pub(crate) fn with_ends(source: &str, target: &str) -> Self {
        Self { source: source.to_owned(), target: target.to_owned(), database: String::new() }
    }

    /// A connection to the Redis database.
    pub(crate) fn redis(&self) -> Client {
        Client::open(&self.source)
    }

    /// Runs SQL as the superuser; one line a row, fields joined by `|`.
    pub(crate) fn sql(&self, sql: &str) -> String {
        super::postgres().execute(&self.database, sql).expect("run SQL")
    }

    /// One number from SQL.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        self.sql(sql).parse().expect("a number")
    }

    /// One JSON value from SQL.
    pub(crate) fn json(&self, sql: &str) -> Value {
        serde_json::from_str(&self.sql(sql)).expect("JSON")
    }

    /// The binary, without what the caller's environment says about it. Runs are not validated at their end: most tests look
    /// at the rows themselves, and each would take twice as long. Where it is meant, a test says so by
    /// `--validate-after-run=true`; tests/validate shows that it is the default. `TEST_VALIDATE_AFTER_RUN=1` validates
    /// the runs of all tests, to look at what is found of them: tests of runs that differ by intention fail then.
    pub(crate) fn command(&self) -> Command {
        super::watch();
        let mut command = Command::new(env!("CARGO_BIN_EXE_redis2pg"));
        for (name, _) in std::env::vars_os() {
            let bytes = name.as_encoded_bytes();
            if bytes.starts_with(b"REDIS2PG_") || bytes.starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        command.env_remove("REDIS_URL").env_remove("DATABASE_URL").stdin(Stdio::null());
        let validates = std::env::var_os("TEST_VALIDATE_AFTER_RUN").is_some();
        command.env("REDIS2PG_VALIDATE_AFTER_RUN", validates.to_string());
        command
    }

    /// `run` with both ends, a report and these arguments.
    fn run_command(&self, report: &Path, args: &[&str]) -> Command {
        let mut command = self.command();
        command.args(["run", "--from", &self.source, "--to", &self.target, "--report"]).arg(report).args(args);
        command
    }

    /// `run` with the preset.
    pub(crate) fn run(&self, args: &[&str]) -> Outcome {
        let dir = tempfile::tempdir().expect("a directory");
        let mut command = self.run_command(&dir.path().join("report"), args);
        Outcome::of(command.args(["--preset", "contract-reviewer"]), dir)
    }

    /// `run` with another preset.
    pub(crate) fn run_preset(&self, name: &str, args: &[&str]) -> Outcome {
        let dir = tempfile::tempdir().expect("a directory");
        let mut command = self.run_command(&dir.path().join("report"), args);
        Outcome::of(command.args(["--preset", name]), dir)
    }

    /// `run` with the mappings of a configuration text.
    pub(crate) fn run_config(&self, config: &str, args: &[&str]) -> Outcome {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("config.toml");
        fs::write(&file, config).expect("write the configuration");
        let mut command = self.run_command(&dir.path().join("report"), args);
        Outcome::of(command.arg("--config").arg(file), dir)
    }

    /// `rejects retry` with the mappings of a configuration text.
    pub(crate) fn retry(&self, config: &str, args: &[&str]) -> Outcome {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("config.toml");
        fs::write(&file, config).expect("write the configuration");
        let mut command = self.command();
        command.args(["rejects", "retry", "--from", &self.source, "--to", &self.target, "--report"]);
        command.arg(dir.path().join("report")).args(args).arg("--config").arg(file);
        Outcome::of(&mut command, dir)
    }

    /// `validate` with the mappings of a configuration text.
    pub(crate) fn validate(&self, config: &str, args: &[&str]) -> Outcome {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("config.toml");
        fs::write(&file, config).expect("write the configuration");
        let mut command = self.command();
        command.args(["validate", "--from", &self.source, "--to", &self.target, "--report"]);
        command.arg(dir.path().join("report")).args(args).arg("--config").arg(file);
        Outcome::of(&mut command, dir)
    }

    /// `cleanup` with the mappings of a configuration text, which goes into this directory beside the report.
    pub(crate) fn cleanup_command(&self, dir: &Path, config: &str, args: &[&str]) -> Command {
        let file = dir.join("config.toml");
        fs::write(&file, config).expect("write the configuration");
        let mut command = self.command();
        command.args(["cleanup", "--from", &self.source, "--to", &self.target, "--report"]);
        command.arg(dir.join("report")).args(args).arg("--config").arg(file);
        command
    }

    /// `cleanup` with the mappings of a configuration text.
    pub(crate) fn cleanup(&self, config: &str, args: &[&str]) -> Outcome {
        let dir = tempfile::tempdir().expect("a directory");
        Outcome::of(&mut self.cleanup_command(dir.path(), config, args), dir)
    }

    /// Starts `cleanup` with the mappings of a configuration text and does not wait for it.
    pub(crate) fn start_cleanup(&self, config: &str, args: &[&str]) -> Running {
        let dir = tempfile::tempdir().expect("a directory");
        let mut command = self.cleanup_command(dir.path(), config, args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Running { child: command.spawn().expect("start redis2pg"), dir }
    }

    /// Starts `run` with the preset and does not wait for it.
    pub(crate) fn start(&self, args: &[&str]) -> Running {
        let dir = tempfile::tempdir().expect("a directory");
        let mut command = self.run_command(&dir.path().join("report"), args);
        command.args(["--preset", "contract-reviewer"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running { child: command.spawn().expect("start redis2pg"), dir }
    }

    /// Starts `run` with the mappings of a configuration text and does not wait for it.
    pub(crate) fn start_config(&self, config: &str, args: &[&str]) -> Running {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("config.toml");
        fs::write(&file, config).expect("write the configuration");
        let mut command = self.run_command(&dir.path().join("report"), args);
        command.arg("--config").arg(file).stdout(Stdio::piped()).stderr(Stdio::piped());
        Running { child: command.spawn().expect("start redis2pg"), dir }
    }

    /// A command on the ledger, which must succeed; gives its JSON.
    pub(crate) fn ledger(&self, args: &[&str]) -> Value {
        let output = self.command().args(args).args(["--json", "--to", &self.target]).output().expect("redis2pg");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {stderr}");
        serde_json::from_slice(&output.stdout).expect("JSON alone on stdout")
    }

    /// Every row of a table with the transaction that wrote it: equal before and after exactly when nothing was written.
    pub(crate) fn xmins(&self, table: &str) -> String {
        self.sql(&format!("SELECT xmin, ctid, md5(t::text) FROM {table} t ORDER BY ctid"))
    }

    /// Every relation, column, constraint and row of the database, in one text.
    pub(crate) fn fingerprint(&self) -> String {
        self.sql(
            "SELECT n.nspname FROM pg_namespace n WHERE nspname !~ '^pg_' ORDER BY 1; \
             SELECT c.oid::regclass, c.relkind, a.attname, a.atttypid::regtype, a.attnotnull FROM pg_class c \
             JOIN pg_namespace n ON n.oid = relnamespace AND nspname !~ '^pg_' AND nspname <> 'information_schema' \
             LEFT JOIN pg_attribute a ON attrelid = c.oid ORDER BY 1, 3; \
             SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint ORDER BY 1, 2; \
             SELECT c.oid::regclass, md5(query_to_xml(format('SELECT xmin, ctid, t.* FROM %s t ORDER BY ctid', \
             c.oid::regclass), true, false, '')::text) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace \
             WHERE relkind = 'r' AND nspname !~ '^pg_' AND nspname <> 'information_schema' ORDER BY 1",
        )
    }

    /// A file with keys, one a line, for `--keys-from`.
    pub(crate) fn list(&self, keys: &[&str]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        keys.iter().for_each(|key| writeln!(file, "{key}").expect("write a key"));
        file
    }

    /// The passwords in the two URLs.
    pub(crate) fn secrets(&self) -> Vec<String> {
        let password = |url: &str| {
            let (_, rest) = url.split_once("://")?;
            let (user, _) = rest.split_once('@')?;
            user.split_once(':').map(|(_, password)| password.to_owned())
        };
        [&self.source, &self.target].into_iter().filter_map(|url| password(url)).collect()
    }
}

/// A run that is under way.
pub(crate) struct Running {
    child: Child,
    dir: TempDir,
}

impl Running {
    /// Whether it has ended.
    pub(crate) fn ended(&mut self) -> bool {
        self.child.try_wait().expect("look at redis2pg").is_some()
    }

    /// Ends it as a crash does.
    pub(crate) fn kill9(&mut self) {
        self.child.kill().expect("kill redis2pg");
        self.child.wait().expect("wait for redis2pg");
    }

    /// Sends it a signal, such as `TERM`.
    pub(crate) fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.expect("kill").success(), "kill -{name}");
    }

    /// Waits for its end.
    pub(crate) fn finish(self) -> Outcome {
        let output = self.child.wait_with_output().expect("wait for redis2pg");
        Outcome::read(&output, self.dir)
    }
}

const _: fn(Running) = |mut running| {
    running.ended();
    running.signal("TERM");
    running.kill9();
    running.finish();
};

/// What a run came to.
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// `report.json`; null where there is none.
    pub(crate) report: Value,
    /// `rejects.jsonl`.
    pub(crate) rejects: Vec<Value>,
    dir: TempDir,
}

impl Outcome {
    pub(crate) fn of(command: &mut Command, dir: TempDir) -> Self {
        let output = command.output().expect("run redis2pg");
        Self::read(&output, dir)
    }

    fn read(output: &std::process::Output, dir: TempDir) -> Self {
        let file = |name: &str| fs::read_to_string(dir.path().join("report").join(name)).unwrap_or_default();
        let lines = file("rejects.jsonl");
        let rejects = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            report: serde_json::from_str(&file("report.json")).unwrap_or_default(),
            rejects,
            dir,
        }
    }

    /// A number of a mapping's tally.
    pub(crate) fn count(&self, mapping: &str, field: &str) -> i64 {
        let tally = &self.report["mappings"][mapping];
        tally[field].as_i64().unwrap_or_else(|| panic!("no {mapping}.{field}: {self}"))
    }

    /// A number of the whole tally.
    pub(crate) fn total(&self, field: &str) -> i64 {
        self.report["tally"][field].as_i64().unwrap_or_else(|| panic!("no {field}: {self}"))
    }

    /// Rejects of a mapping by reason.
    pub(crate) fn reasons(&self, mapping: &str) -> BTreeMap<String, i64> {
        serde_json::from_value(self.report["mappings"][mapping]["rejected"].clone()).unwrap_or_default()
    }

    /// The reject of a key.
    pub(crate) fn reject(&self, key: &str) -> &Value {
        let found = self.rejects.iter().find(|reject| reject["key"] == key);
        found.unwrap_or_else(|| panic!("{key} is not among the rejects: {self}"))
    }

    /// The report's directory.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("report")
    }

    /// All that it said, in any place.
    pub(crate) fn said(&self) -> String {
        let mut all = format!("{}\n{}\n", self.stdout, self.stderr);
        for name in ["report.json", "summary.txt", "rejects.jsonl"] {
            all += &fs::read_to_string(self.path().join(name)).unwrap_or_default();
        }
        all
    }

    /// Fails the test unless the run ended so, with books that balance.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        let tally = serde_json::from_value::<redis2pg::model::Tally>(self.report["tally"].clone()).unwrap_or_default();
        assert!(tally.balances(), "{self}");
        self
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { code, stdout, stderr, report, rejects, .. } = self;
        let tallies = &report["mappings"];
        write!(f, "exit {code}\n{stdout}\n{stderr}\n{tallies:#}\n")?;
        rejects.iter().take(40).try_for_each(|reject| writeln!(f, "{reject}"))
    }
}

/// A connection to Redis that says any command with any bytes.
pub(crate) struct Client {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Client {
    pub(crate) fn open(url: &str) -> Self {
        let rest = url.strip_prefix("redis://").expect("a URL");
        let (password, rest) = rest.split_once('@').unwrap_or(("", rest));
        let (address, database) = rest.split_once('/').expect("a database");
        let stream = TcpStream::connect(address).expect("connect to Redis");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a limit");
        let reader = BufReader::new(stream.try_clone().expect("share the socket"));
        let mut client = Self { stream, reader };
        if let Some(password) = password.strip_prefix(':') {
            assert_eq!(client.answer(&[b"AUTH", password.as_bytes()]), "+OK");
        }
        assert_eq!(client.answer(&[b"SELECT", database.as_bytes()]), "+OK");
        client
    }

    /// Sends a command and gives its answer: the first line, or the text of a bulk string.
    pub(crate) fn answer(&mut self, words: &[&[u8]]) -> String {
        self.stream.write_all(&command(words)).expect("send");
        self.line()
    }

    /// Sends a command that answers a number.
    pub(crate) fn integer(&mut self, words: &[&[u8]]) -> i64 {
        self.answer(words).trim_start_matches(':').parse().expect("a number")
    }

    /// Sends a command of words without spaces.
    pub(crate) fn say(&mut self, command: &str) -> String {
        let words: Vec<&[u8]> = command.split(' ').map(str::as_bytes).collect();
        let answer = self.answer(&words);
        assert!(!answer.starts_with('-'), "{command}: {answer}");
        answer
    }

    /// Sets a string.
    pub(crate) fn set(&mut self, key: &str, value: &str) {
        assert_eq!(self.answer(&[b"SET", key.as_bytes(), value.as_bytes()]), "+OK");
    }

    /// Sets many strings at once.
    pub(crate) fn set_many(&mut self, pairs: &[(String, String)]) {
        for piece in pairs.chunks(500) {
            let mut words: Vec<&[u8]> = vec![b"MSET"];
            words.extend(piece.iter().flat_map(|(key, value)| [key.as_bytes(), value.as_bytes()]));
            assert_eq!(self.answer(&words), "+OK");
        }
    }

    /// Sends a command that answers a bulk string of any bytes.
    pub(crate) fn bytes(&mut self, words: &[&[u8]]) -> Vec<u8> {
        self.stream.write_all(&command(words)).expect("send");
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("an answer");
        let length = line.trim_end().strip_prefix('$').expect("a bulk string").parse::<usize>().expect("a length");
        let mut bytes = vec![0; length + 2];
        self.reader.read_exact(&mut bytes).expect("a bulk string");
        bytes.truncate(length);
        bytes
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).expect("an answer");
        let line = line.trim_end().to_owned();
        match line.strip_prefix('$').and_then(|length| length.parse::<usize>().ok()) {
            Some(length) => {
                let mut text = vec![0; length + 2];
                self.reader.read_exact(&mut text).expect("a bulk string");
                text.truncate(length);
                String::from_utf8(text).expect("UTF-8")
            }
            None => line,
        }
    }
}

fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
    out
}
