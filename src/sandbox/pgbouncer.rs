//! A throw-away PgBouncer in front of a [`PostgresServer`].

use super::postgres::PostgresServer;
use super::scratch::Scratch;
use super::watcher::Watched;
use super::{launch, probe, programs};
use std::io;

const STOP: &str = "KILL";

/// A private PgBouncer, stopped on drop. Stop it before its server.
pub struct Pgbouncer {
    _server: Watched,
    port: u16,
    password: String,
    // Last, so that it is removed when the server has stopped.
    _scratch: Scratch,
}

impl Pgbouncer {
    /// Starts a pooler for all databases of `server` with `pool_mode` (`session`, `transaction` or `statement`), its
    /// other settings being PgBouncer's own defaults.
    ///
    /// # Errors
    /// `NotFound` where pgbouncer is not installed; otherwise what its log says.
    pub fn start(server: &PostgresServer, pool_mode: &str) -> io::Result<Self> {
        let program = programs::pgbouncer()?;
        let scratch = Scratch::new("pgbouncer")?;
        let password = server.password().to_owned();
        let users = scratch.write("users.txt", format!("\"redis2pg\" \"{password}\"\n").as_bytes())?;
        let start = |port: u16| {
            let config = format!(
                "[databases]\n* = host=127.0.0.1 port={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
                 unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {}\npool_mode = {pool_mode}\n",
                server.port(),
                users.display(),
            );
            let config = scratch.write("pgbouncer.ini", config.as_bytes())?;
            Watched::spawn(&scratch, launch::LOG, STOP, &program, &[config.into()])
        };
        let ready = |port| probe::postgres_is_ready(port, "redis2pg");
        let (watched, port) = launch::on_free_port(&scratch, start, ready)?;
        Ok(Self { _server: watched, port, password, _scratch: scratch })
    }

    /// The URL of a database through the pooler, for the role `redis2pg`.
    pub fn url(&self, database: &str) -> String {
        format!("postgres://redis2pg:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }

    /// The TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }
}
