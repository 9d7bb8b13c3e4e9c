//! Connections to the target.

use super::verdict::failure;
use crate::model::{Exit, Failure, Side};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Error};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What is needed to connect.
#[derive(Clone)]
pub struct TargetOptions {
    /// `postgres://…` or `postgresql://…`, perhaps with a password: a secret.
    pub url: String,
    /// A password from elsewhere; it wins over the URL's.
    pub password: Option<String>,
    /// How long a connection may take.
    pub connect_timeout: Duration,
}

/// Where to connect to. Prints without the password.
#[derive(Clone)]
pub struct Target {
    options: PgConnectOptions,
    connect_timeout: Duration,
}

impl Target {
    /// Understands the options. No connection is made.
    ///
    /// # Errors
    /// The URL is not a PostgreSQL URL.
    pub fn new(given: &TargetOptions) -> Result<Self, Failure> {
        let usage = |why: String| {
            Failure::usage(
                Side::Settings,
                format!("target.url / --to: {why}"),
                "Write it as postgres://user@host:5432/database, or postgres:///database?host=/run/postgresql.",
            )
        };
        if !given.url.starts_with("postgres://") && !given.url.starts_with("postgresql://") {
            return Err(usage("is not a postgres:// or postgresql:// URL".to_owned()));
        }
        // The parser's error may quote the URL, and so the password: it is not passed on.
        let options = PgConnectOptions::from_str(&given.url).map_err(|_| usage("cannot be understood".to_owned()))?;
        // Poolers refuse start-up parameters that they do not know.
        let mut options = options.extra_float_digits(None).application_name("redis2pg").statement_cache_capacity(0);
        if let Some(password) = &given.password {
            options = options.password(password);
        }
        Ok(Self { options: options.disable_statement_logging(), connect_timeout: given.connect_timeout })
    }

    /// Makes a connection.
    ///
    /// # Errors
    /// The server cannot be reached, or it refuses us; says which server.
    pub async fn connect(&self) -> Result<PgConnection, Failure> {
        self.try_connect().await.map_err(|error| match error {
            Error::Io(error) => Failure::new(
                Exit::Postgres,
                Side::Postgres,
                format!("cannot reach {self}: {error}"),
                "Check target.url / --to, and that the server is up and listens there.",
            ),
            Error::Tls(error) => Failure::new(
                Exit::Usage,
                Side::Postgres,
                format!("cannot connect to {self} with TLS: {error}"),
                "target.url / --to asks for TLS by its sslmode. Turn TLS on at the server, or use sslmode=prefer; a certificate of \
                 an authority of your own is named by sslrootcert.",
            ),
            error => failure(&format!("cannot connect to {self}"), error),
        })
    }

    /// Makes a connection, giving the driver's own error.
    ///
    /// # Errors
    /// As the driver gives them; a timeout is an I/O error.
    pub async fn try_connect(&self) -> Result<PgConnection, Error> {
        match tokio::time::timeout(self.connect_timeout, PgConnection::connect_with(&self.options)).await {
            Ok(result) => result,
            Err(_) => Err(Error::Io(std::io::Error::new(
                std::io::ErrorKind::TimedOut,
                format!("no answer within {:?}", self.connect_timeout),
            ))),
        }
    }
}

/// `host:port/database`: never user or password.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.options.get_socket() {
            Some(socket) => write!(f, "{}", socket.display())?,
            None => write!(f, "{}:{}", self.options.get_host(), self.options.get_port())?,
        }
        write!(f, "/{}", self.options.get_database().unwrap_or_else(|| self.options.get_username()))
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}
