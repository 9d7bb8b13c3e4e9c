//! A throw-away redis-server.

use super::scratch::{Scratch, password};
use super::watcher::Watched;
use super::{launch, probe, programs};
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::PathBuf;

/// What kills the server at once, without a last save.
const STOP: &str = "KILL";

/// PEM files for a TLS port. They are copied, so that the server's account can read them.
#[derive(Clone, Debug)]
pub struct RedisTls {
    /// The server's certificate.
    pub cert: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authority that signed it.
    pub ca: PathBuf,
}

/// How a [`RedisServer`] is set up. The default has a made-up password, keeps nothing on disk and has no limits.
#[derive(Clone, Default)]
pub struct RedisOptions {
    /// The default user's password: `None` makes one up, an empty one asks for none.
    pub password: Option<String>,
    /// Lines of an ACL file without the word `user`, such as `reader on >secret ~* +@read`.
    pub acl: Vec<String>,
    /// A second port, with TLS.
    pub tls: Option<RedisTls>,
    /// Keeps the data in an append-only file, so that it survives [`RedisServer::kill9`] and [`RedisServer::restart`].
    pub save_to_disk: bool,
    /// A node of a cluster, which others have yet to meet at [`RedisServer::bus_port`].
    pub cluster: bool,
    /// More lines of `redis.conf`, such as `maxmemory 64mb`.
    pub settings: Vec<String>,
}

/// A private redis-server, stopped on drop.
pub struct RedisServer {
    server: Watched,
    program: PathBuf,
    port: u16,
    tls_port: Option<u16>,
    bus_port: Option<u16>,
    password: String,
    // Last, so that it is removed when the server has stopped.
    scratch: Scratch,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// `NotFound` where redis-server is not installed; otherwise what the server's log says.
    pub fn start(options: RedisOptions) -> io::Result<Self> {
        let program = programs::redis_server()?;
        let scratch = Scratch::new("redis")?;
        let password = match options.password.clone() {
            Some(given) => given,
            None => password()?,
        };
        let (mut tls_port, mut bus_port) = (None, None);
        let start = |port| {
            tls_port = if options.tls.is_some() { Some(launch::free_port()?) } else { None };
            bus_port = if options.cluster { Some(launch::free_port()?) } else { None };
            let mut config = configuration(&scratch, &options, &password, port, tls_port)?;
            if let Some(port) = bus_port {
                let _ = writeln!(config, "cluster-enabled yes\ncluster-config-file nodes.conf\ncluster-port {port}");
            }
            scratch.write("redis.conf", config.as_bytes())?;
            spawn(&scratch, &program)
        };
        let (server, port) = launch::on_free_port(&scratch, start, probe::redis_is_ready)?;
        Ok(Self { server, program, port, tls_port, bus_port, password, scratch })
    }

    /// The URL over TCP, with the password: `redis://:…@127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("redis://{}127.0.0.1:{}", self.userinfo(), self.port)
    }

    /// The URL over TLS, where the options asked for it. The host is `localhost`.
    pub fn url_tls(&self) -> Option<String> {
        self.tls_port.map(|port| format!("rediss://{}localhost:{port}", self.userinfo()))
    }

    /// The URL over the unix socket. Its host part is `localhost` and means nothing.
    pub fn url_unix(&self) -> String {
        format!("redis+unix://{}localhost{}", self.userinfo(), self.scratch.file("redis.sock").display())
    }

    /// The TCP port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The port over which it talks to other nodes, where the options asked for it.
    pub fn bus_port(&self) -> Option<u16> {
        self.bus_port
    }

    /// The default user's password; empty where there is none.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// The server's process id, for measuring.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Ends the server as a crash does. [`restart`](Self::restart) brings it back.
    ///
    /// # Errors
    /// `TimedOut` where it can't be killed.
    pub fn kill9(&mut self) -> io::Result<()> {
        self.server.end("KILL")
    }

    /// Ends the server in an orderly way. [`restart`](Self::restart) brings it back.
    ///
    /// # Errors
    /// `TimedOut` where it can't be stopped.
    pub fn stop(&mut self) -> io::Result<()> {
        self.server.end("TERM")
    }

    /// Stops the server if it runs, and starts it again on the same ports: with its data where
    /// [`save_to_disk`](RedisOptions::save_to_disk) is set, else empty.
    ///
    /// # Errors
    /// What the server's log says.
    pub fn restart(&mut self) -> io::Result<()> {
        self.stop()?;
        let port = self.port;
        self.server =
            launch::again(&self.scratch, || spawn(&self.scratch, &self.program), || probe::redis_is_ready(port))?;
        Ok(())
    }

    /// Freezes the server: connections stay open and nothing answers, until [`resume`](Self::resume).
    ///
    /// # Errors
    /// Where the server has ended.
    pub fn pause(&mut self) -> io::Result<()> {
        self.server.signal("STOP")
    }

    /// Lets a frozen server go on.
    ///
    /// # Errors
    /// Where the server has ended.
    pub fn resume(&mut self) -> io::Result<()> {
        self.server.signal("CONT")
    }

    fn userinfo(&self) -> String {
        if self.password.is_empty() { String::new() } else { format!(":{}@", self.password) }
    }
}

fn spawn(scratch: &Scratch, program: &std::path::Path) -> io::Result<Watched> {
    Watched::spawn(scratch, launch::LOG, STOP, program, &[scratch.file("redis.conf").into()])
}

fn configuration(
    scratch: &Scratch,
    options: &RedisOptions,
    password: &str,
    port: u16,
    tls_port: Option<u16>,
) -> io::Result<String> {
    let mut config = format!(
        "bind 127.0.0.1\nport {port}\nunixsocket {}\nunixsocketperm 700\ndir {}\nsave \"\"\ndaemonize no\nlogfile \"\"\n",
        scratch.file("redis.sock").display(),
        scratch.path().display(),
    );
    // Written before each reply, so a killed process loses nothing that it confirmed.
    config.push_str(if options.save_to_disk { "appendonly yes\nappendfsync everysec\n" } else { "appendonly no\n" });
    if !password.is_empty() {
        let _ = writeln!(config, "requirepass {password}");
    }
    for line in &options.acl {
        let _ = writeln!(config, "user {line}");
    }
    if let (Some(tls), Some(port)) = (&options.tls, tls_port) {
        let cert = scratch.write("tls.crt", &fs::read(&tls.cert)?)?;
        let key = scratch.write("tls.key", &fs::read(&tls.key)?)?;
        let ca = scratch.write("ca.crt", &fs::read(&tls.ca)?)?;
        let _ = writeln!(config, "tls-port {port}\ntls-auth-clients no");
        let _ = writeln!(config, "tls-cert-file {}\ntls-key-file {}", cert.display(), key.display());
        let _ = writeln!(config, "tls-ca-cert-file {}", ca.display());
    }
    for line in &options.settings {
        let _ = writeln!(config, "{line}");
    }
    Ok(config)
}
