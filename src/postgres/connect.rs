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
    /// The URL is not a PostgreSQL URL, or a part of it that is shown may hold a piece of the password.
    pub fn new(given: &TargetOptions) -> Result<Self, Failure> {
        let usage = |why: String| {
            Failure::usage(
                Side::Settings,
                format!("target.url / --to: {why}"),
                "Write it as postgres://user@host:5432/database, or postgres:///database?host=/run/postgresql. Special \
                 characters in a user name or password are written as %XX: @ is %40, / is %2F, ? is %3F, # is %23.",
            )
        };
        if !given.url.starts_with("postgres://") && !given.url.starts_with("postgresql://") {
            return Err(usage("is not a postgres:// or postgresql:// URL".to_owned()));
        }
        let stray = || usage("an @ stands where it cannot: it looks like a password that is not %-encoded".to_owned());
        if has_stray_at(&given.url) {
            return Err(stray());
        }
        // The parser's error may quote the URL, and so the password: it is not passed on.
        let options = PgConnectOptions::from_str(&given.url).map_err(|_| usage("cannot be understood".to_owned()))?;
        // All of `user:password@host` encoded as if it were a host.
        let host = options.get_host();
        if options.get_socket().is_none() && (host.contains('@') || host.contains("%40")) {
            return Err(stray());
        }
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

/// Whether an `@` stands behind the host. A password that holds `/`, `?` or `#` as they are ends the host early, and what
/// is left of it would be taken for a database or a parameter, and shown as such.
fn has_stray_at(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let behind = rest.find(['/', '?', '#']).map_or("", |end| rest.get(end..).unwrap_or_default());
    let (before, fragment) = behind.split_once('#').unwrap_or((behind, ""));
    let (path, query) = before.split_once('?').unwrap_or((before, ""));
    let may_have = |pair: &str| pair.split_once('=').is_some_and(|(name, _)| MAY_HAVE_AT.contains(&name));
    path.contains('@') || fragment.contains('@') || query.split('&').any(|pair| pair.contains('@') && !may_have(pair))
}

/// Parameters whose values may well have an `@`; none of them is ever shown.
const MAY_HAVE_AT: [&str; 6] = ["user", "password", "application_name", "sslrootcert", "sslcert", "sslkey"];

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

#[cfg(test)]
mod tests {
    use super::{Target, TargetOptions};
    use std::time::Duration;

    fn target(url: &str) -> Result<Target, crate::model::Failure> {
        let connect_timeout = Duration::from_secs(1);
        Target::new(&TargetOptions { url: url.to_owned(), password: None, connect_timeout })
    }

    #[test]
    fn a_password_that_is_not_encoded_is_refused_and_nothing_of_it_is_told() {
        for url in [
            "postgres://u:12/3kret@127.0.0.1:2/x",
            "postgres://u:12?3kret@127.0.0.1:2/x",
            "postgres://u:12?a=3kret@127.0.0.1:2/x",
            "postgres://u:12#3kret@127.0.0.1:2/x",
            "postgres://u:se@kr/3kret@127.0.0.1:2/x",
            "postgres://u:se@kr?3kret@127.0.0.1:2/x",
            "postgres://u:se@kr#3kret@127.0.0.1:2/x",
            "postgresql://u:3kret/se@kr@127.0.0.1:2/x",
            "postgres://u:3kret/se@127.0.0.1:2/x",
            "postgres://u:3kret/se@127.0.0.1:2/x?user=a@b",
            "postgres://u:/3kret@h/x",
            "postgres://u%3A3kret%40127.0.0.1:2/x",
            "postgres:///x?host=u:3kret@h",
        ] {
            let failure = target(url).unwrap_err();
            let told = format!("{failure:?} {failure}");
            assert!(!told.contains("3kret") && !told.contains("kr/") && !told.contains("12"), "{url}: {told}");
            assert!(failure.hint.contains("%40"), "{url}: {told}");
        }
    }

    #[test]
    fn an_encoded_password_and_an_at_where_one_may_be_are_taken() {
        for (url, shown) in [
            ("postgres://u:12%2F3kret@127.0.0.1:2/x", "127.0.0.1:2/x"),
            ("postgres://u:se@3kret@h:2/x", "h:2/x"),
            ("postgres://u%40corp:se%40kr%2F3kret@h:2/x?sslmode=disable", "h:2/x"),
            ("postgres://h:2/x?user=me@corp&password=3kret@1", "h:2/x"),
            ("postgres://u@h:2/a%40b", "h:2/a@b"),
            ("postgres://u:3kret@%2Frun%2Fpostgresql/x", "/run/postgresql/x"),
            ("postgres://u:3kret@[::1]:2/x", "[::1]:2/x"),
        ] {
            assert_eq!(target(url).unwrap().to_string(), shown);
        }
    }
}
