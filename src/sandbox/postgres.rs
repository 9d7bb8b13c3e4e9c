//! A throw-away PostgreSQL server.

use super::psql::{Access, Sessions};
use super::scratch::{Scratch, password};
use super::watcher::Watched;
use super::{launch, probe, programs, scram};
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Output, Stdio};
use std::sync::{Mutex, PoisonError};

/// Immediate shutdown: the postmaster ends its children and leaves no shared memory behind.
const STOP: &str = "QUIT";

/// Which keeps two servers' equal passwords from looking equal; here no two are.
const SALT: [u8; 16] = *b"redis2pg-sandbox";

/// The role that databases belong to.
const ROLE: &str = "redis2pg";

/// How a [`PostgresServer`] is set up.
#[derive(Clone, Debug, Default)]
pub struct PostgresOptions {
    /// Server settings, such as `("max_connections", "20")`. The server's own defaults hold for the rest, fsync on.
    pub settings: Vec<(String, String)>,
}

impl PostgresOptions {
    /// For tests and demonstrations: no fsync, so the data survives a killed server, but not a power failure.
    pub fn quick() -> Self {
        let off = |name: &str| (name.to_owned(), "off".to_owned());
        Self { settings: vec![off("fsync"), off("full_page_writes")] }
    }
}

/// A private PostgreSQL server, stopped on drop. Everybody needs a password (SCRAM), on the unix socket too.
///
/// The role `redis2pg` may create databases and is no superuser; the superuser is `postgres`.
pub struct PostgresServer {
    sessions: Sessions,
    server: Watched,
    port: u16,
    bin: PathBuf,
    options: PostgresOptions,
    environment: Vec<(String, String)>,
    secrets: Secrets,
    // Last, so that it is removed when the server has stopped.
    scratch: Scratch,
}

#[derive(Clone)]
struct Secrets {
    superuser: String,
    role: String,
}

impl PostgresServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// `NotFound` where the server's programs are not installed; otherwise what initdb or the server's log says.
    pub fn start(options: PostgresOptions) -> io::Result<Self> {
        Self::start_with_environment(options, Vec::new())
    }

    /// As [`start`](Self::start), with more in the server's environment, such as `("LANGUAGE", "de")`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_with_environment(options: PostgresOptions, environment: Vec<(String, String)>) -> io::Result<Self> {
        let bin = programs::postgres_dir()?;
        let scratch = Scratch::new("postgres")?;
        let secrets = copy_template(&bin, &scratch)?;
        let start = |port| spawn(&scratch, &bin, (&options, &environment), port);
        let (server, port) = launch::on_free_port(&scratch, start, |port| probe::postgres_is_ready(port, ROLE))?;
        Ok(Self { sessions: Sessions::default(), server, port, bin, options, environment, secrets, scratch })
    }

    /// The URL of a database for the role `redis2pg`, with its password.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{ROLE}:{}@127.0.0.1:{}/{database}", self.secrets.role, self.port)
    }

    /// The same over the unix socket.
    pub fn url_unix(&self, database: &str) -> String {
        let (role, port) = (&self.secrets.role, self.port);
        format!("postgres://{ROLE}:{role}@localhost:{port}/{database}?host={}", self.socket_dir().display())
    }

    /// The URL of a database for the superuser `postgres`, with its password.
    pub fn superuser_url(&self, database: &str) -> String {
        format!("postgres://postgres:{}@127.0.0.1:{}/{database}", self.secrets.superuser, self.port)
    }

    /// The password of the role `redis2pg`.
    pub fn password(&self) -> &str {
        &self.secrets.role
    }

    /// The TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the postmaster, for measuring.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// The directory of the unix socket. Under root it belongs to the server's account.
    pub fn socket_dir(&self) -> &Path {
        self.scratch.path()
    }

    /// Creates a database that belongs to the role `redis2pg`, and gives its URL for that role.
    ///
    /// # Errors
    /// `InvalidInput` where the name has other characters than `a-z`, `0-9` and `_`; otherwise what the server says.
    pub fn create_database(&self, name: &str) -> io::Result<String> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        if name.is_empty() || !name.bytes().all(plain) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("not a plain database name: {name:?}")));
        }
        self.execute("postgres", &format!("CREATE DATABASE \"{name}\" OWNER {ROLE}"))?;
        Ok(self.url(name))
    }

    /// Runs statements as the superuser through psql, and gives what they return: one line a row, fields joined by `|`.
    /// Nothing of a session is left for the next statements, as if each call connected anew; most do not, since that would
    /// take longer than the statements. Each statement may take two minutes.
    ///
    /// # Errors
    /// What psql says; `NotFound` where it is not installed.
    pub fn execute(&self, database: &str, sql: &str) -> io::Result<String> {
        let program = programs::psql(&self.bin)?;
        let password = &self.secrets.superuser;
        self.sessions.execute(&Access { scratch: &self.scratch, program, port: self.port, password }, database, sql)
    }

    /// Ends the server as a crash does. [`restart`](Self::restart) brings it back.
    ///
    /// # Errors
    /// `TimedOut` where it can't be killed.
    pub fn kill9(&mut self) -> io::Result<()> {
        self.sessions.close();
        self.server.end("KILL")
    }

    /// Ends the server in an orderly way, cutting sessions off. [`restart`](Self::restart) brings it back.
    ///
    /// # Errors
    /// `TimedOut` where it can't be stopped.
    pub fn stop(&mut self) -> io::Result<()> {
        self.sessions.close();
        self.server.end("INT")
    }

    /// Makes a standby of it that waits for a primary: from then on it takes no writes.
    ///
    /// # Errors
    /// What the server's log says.
    pub fn become_standby(&mut self) -> io::Result<()> {
        self.stop()?;
        self.scratch.write("data/standby.signal", b"")?;
        self.restart()
    }

    /// Stops the server if it runs, and starts it again on the same port with its data.
    ///
    /// # Errors
    /// What the server's log says.
    pub fn restart(&mut self) -> io::Result<()> {
        self.stop()?;
        let (port, settings) = (self.port, (&self.options, self.environment.as_slice()));
        let start = || spawn(&self.scratch, &self.bin, settings, port);
        self.server = launch::again(&self.scratch, start, || probe::postgres_is_ready(port, ROLE))?;
        Ok(())
    }
}

fn spawn(
    scratch: &Scratch,
    bin: &Path,
    (options, environment): (&PostgresOptions, &[(String, String)]),
    port: u16,
) -> io::Result<Watched> {
    // `env` becomes the server, under the same process id.
    let mut args: Vec<OsString> = environment.iter().map(|(name, value)| format!("{name}={value}").into()).collect();
    args.extend([bin.join("postgres").into(), "-D".into(), scratch.file("data").into()]);
    let ours = [
        ("listen_addresses", "127.0.0.1".to_owned()),
        ("port", port.to_string()),
        ("unix_socket_directories", scratch.path().display().to_string()),
    ];
    let ours = ours.iter().map(|(name, value)| (*name, value));
    for (name, value) in ours.chain(options.settings.iter().map(|(name, value)| (name.as_str(), value))) {
        args.push("-c".into());
        args.push(format!("{name}={value}").into());
    }
    Watched::spawn(scratch, launch::LOG, STOP, Path::new("env"), &args)
}

/// An initialised data directory that every server of this process starts from a copy of: initdb takes a second.
struct Template {
    scratch: Scratch,
    secrets: Secrets,
    /// Statics are never dropped: this makes the directory go away with the process.
    _watched: Watched,
}

static TEMPLATE: Mutex<Option<Template>> = Mutex::new(None);

/// Copies the template's data directory to `data` in `scratch`, making the template first where there is none.
fn copy_template(bin: &Path, scratch: &Scratch) -> io::Result<Secrets> {
    let mut slot = TEMPLATE.lock().unwrap_or_else(PoisonError::into_inner);
    let template = match slot.take() {
        Some(template) => slot.insert(template),
        None => slot.insert(make_template(bin)?),
    };
    let mut copy = scratch.command("cp");
    run(copy.arg("-R").arg(template.scratch.file("data")).arg(scratch.file("data")), b"")?;
    Ok(template.secrets.clone())
}

fn make_template(bin: &Path) -> io::Result<Template> {
    let scratch = Scratch::new("template")?;
    let secrets = Secrets { superuser: password()?, role: password()? };
    let data = scratch.file("data");
    let mut initdb = scratch.command(bin.join("initdb"));
    initdb
        .args(["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"])
        .arg("--pwfile")
        .arg(scratch.write("password", secrets.superuser.as_bytes())?)
        .arg("-D")
        .arg(&data);
    run(&mut initdb, b"")?;
    let verifier = |password| scram::verifier(password, &SALT).map_err(io::Error::other);
    let (superuser, role) = (verifier(&secrets.superuser)?, verifier(&secrets.role)?);
    let roles =
        format!("ALTER ROLE postgres PASSWORD '{superuser}'\nCREATE ROLE {ROLE} LOGIN CREATEDB PASSWORD '{role}'\n");
    let mut single = scratch.command(bin.join("postgres"));
    single.args(["--single", "-c", "password_encryption=scram-sha-256", "-c", "fsync=off", "-D"]).arg(&data);
    let output = run(single.arg("postgres"), roles.as_bytes())?;
    // In this mode the server goes on after a failed statement, and its exit code does not tell.
    let said = String::from_utf8_lossy(&output.stderr);
    if let Some(line) = said.lines().find(|line| line.contains("ERROR:") || line.contains("FATAL:")) {
        return Err(io::Error::other(format!("could not make the roles: {line}")));
    }
    let forever = ["-f".into(), "/dev/null".into()];
    let watched = Watched::spawn(&scratch, launch::LOG, "KILL", Path::new("tail"), &forever)?;
    Ok(Template { scratch, secrets, _watched: watched })
}

/// Runs a command to its end with that input. A failure carries what it wrote to stderr.
pub(super) fn run(command: &mut Command, input: &[u8]) -> io::Result<Output> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not read its input closes the pipe; its exit code says whether that is an error.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        return Ok(output);
    }
    let program = Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    Err(failed(&program, output.status, &output.stderr))
}

/// A program that ended so, and what it wrote to stderr.
pub(super) fn failed(program: &str, status: ExitStatus, stderr: &[u8]) -> io::Error {
    io::Error::other(format!("{program} failed ({status}): {}", String::from_utf8_lossy(stderr).trim()))
}
