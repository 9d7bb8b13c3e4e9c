//! Statements through psql. Its processes stay for the next statements of their database: to start one and connect costs
//! more than most statements do.

use super::postgres::{failed, run};
use super::scratch::Scratch;
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// At most so many processes wait for statements; each holds a connection.
const KEPT: usize = 6;

/// How long a statement may take; the server ends it then. `NEVER` is a little later, for a server that does not.
const LIMIT: Duration = Duration::from_secs(120);
const NEVER: Duration = Duration::from_secs(150);

/// What a process says before and after the statements.
const READY: &str = "redis2pg: ready";
const DONE: &str = "redis2pg: done";

/// What a session could leave for the next statements: an open transaction, and what is said to psql itself. Such statements
/// get a process of their own.
const OWN: [&str; 3] = ["BEGIN", "START TRANSACTION", "\\"];

/// Of what these set, only sessions that begin later learn: whatever waits is ended.
const FOR_NEW_SESSIONS: [&str; 4] = ["ALTER DATABASE", "ALTER ROLE", "ALTER SYSTEM", "DROP DATABASE"];

/// How psql reaches the server, as the superuser.
pub(super) struct Access<'server> {
    pub(super) scratch: &'server Scratch,
    pub(super) program: PathBuf,
    pub(super) port: u16,
    pub(super) password: &'server str,
}

impl Access<'_> {
    /// psql for that database, which reads statements from its input and ends with the first that fails.
    fn command(&self, database: &str) -> Command {
        let mut psql = self.scratch.command(&self.program);
        psql.args([
            "-X",
            "-A",
            "-t",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            "127.0.0.1",
            "-U",
            "postgres",
            "-d",
            database,
        ])
        .args(["-p", &self.port.to_string(), "-f", "-"])
        // The password goes through the environment: others may see our command lines.
        .env("PGPASSWORD", self.password)
        .env("PGOPTIONS", format!("-c statement_timeout={}", LIMIT.as_millis()));
        psql
    }
}

/// The processes that wait for statements, the one that was used last at the end.
#[derive(Default)]
pub(super) struct Sessions(Mutex<Vec<Session>>);

impl Sessions {
    /// Runs statements, and gives what they print.
    pub(super) fn execute(&self, access: &Access<'_>, database: &str, sql: &str) -> io::Result<String> {
        let upper = sql.to_uppercase();
        let has = |words: &[&str]| words.iter().any(|word| upper.contains(word));
        let for_new = has(&FOR_NEW_SESSIONS);
        if for_new {
            self.close();
        }
        if for_new || has(&OWN) {
            let output = run(&mut access.command(database), sql.as_bytes())?;
            return Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned());
        }
        // One that waited may have lost its connection.
        let waiting = self.take(database).and_then(|mut session| session.begin(sql).then_some(session));
        let mut session = match waiting {
            Some(session) => session,
            None => {
                let mut session = Session::start(access, database)?;
                if !session.begin(sql) {
                    return Err(session.error());
                }
                session
            }
        };
        let Some(mut printed) = session.read_until(DONE) else { return Err(session.error()) };
        self.keep(session);
        printed.truncate(printed.trim_end().len());
        Ok(printed)
    }

    /// Ends the processes that wait.
    pub(super) fn close(&self) {
        self.lock().clear();
    }

    fn take(&self, database: &str) -> Option<Session> {
        let mut waiting = self.lock();
        let index = waiting.iter().rposition(|session| session.database == database)?;
        Some(waiting.remove(index))
    }

    fn keep(&self, session: Session) {
        let mut waiting = self.lock();
        waiting.push(session);
        if waiting.len() > KEPT {
            waiting.remove(0);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One psql, and what it prints.
struct Session {
    database: String,
    psql: Child,
    input: Option<ChildStdin>,
    lines: Receiver<Vec<u8>>,
    stderr: tempfile::NamedTempFile,
}

impl Session {
    fn start(access: &Access<'_>, database: &str) -> io::Result<Self> {
        // A file, since nobody reads it as long as all is well, and a pipe would fill up.
        let stderr = tempfile::NamedTempFile::new()?;
        let mut command = access.command(database);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(stderr.reopen()?);
        let mut psql = command.spawn()?;
        let (tell, lines) = mpsc::channel();
        if let Some(stdout) = psql.stdout.take() {
            thread::spawn(move || {
                let mut stdout = BufReader::new(stdout);
                let mut line = Vec::new();
                while stdout.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                    if tell.send(std::mem::take(&mut line)).is_err() {
                        break;
                    }
                }
            });
        }
        let input = psql.stdin.take();
        Ok(Self { database: database.to_owned(), psql, input, lines, stderr })
    }

    /// Sends statements; whether they are begun. Where not, none of them was.
    fn begin(&mut self, sql: &str) -> bool {
        // Whatever the last statements set goes. It fails in a transaction and without a connection, and ends psql then.
        let text = format!("DISCARD ALL;\n\\echo {READY}\n{sql}\n;\n\\echo {DONE}\n");
        if let Some(input) = &mut self.input {
            // psql stops to read where it ends; what it said by then tells whether it had begun.
            let _ = input.write_all(text.as_bytes());
        }
        self.read_until(READY).is_some()
    }

    /// What is printed up to a line; `None` where psql ended before.
    fn read_until(&mut self, line: &str) -> Option<String> {
        let mut printed = Vec::new();
        loop {
            let next = match self.lines.recv_timeout(NEVER) {
                Ok(next) => next,
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {
                    let _ = self.psql.kill();
                    return None;
                }
            };
            if next.strip_suffix(b"\n") == Some(line.as_bytes()) {
                return Some(String::from_utf8_lossy(&printed).into_owned());
            }
            printed.extend(next);
        }
    }

    /// Why psql ended.
    fn error(mut self) -> io::Error {
        self.input = None;
        let status = self.psql.wait();
        let said = fs::read(self.stderr.path()).unwrap_or_default();
        match status {
            Ok(status) => failed("psql", status, &said),
            Err(error) => error,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It waits for statements or has ended: nothing is lost.
        let _ = self.psql.kill();
        let _ = self.psql.wait();
    }
}
