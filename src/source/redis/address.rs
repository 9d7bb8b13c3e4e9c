//! Where a server listens, and what its URL says. The URL is never quoted in a message: any part of it may be a secret.
//!
//! Parsed here: what is accepted is documented in this file and does not move with a library.

use super::cluster::named;
use crate::model::{Failure, Side};
use std::path::PathBuf;
use url::Url;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    Tcp { host: String, port: u16, tls: bool },
    Unix(PathBuf),
}

impl Address {
    /// `host:port`, or the path of the socket.
    pub(super) fn place(&self) -> String {
        match self {
            Self::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port, .. } => format!("{host}:{port}"),
            Self::Unix(path) => path.display().to_string(),
        }
    }
}

/// A URL as far as it is understood.
pub(super) struct Parsed {
    pub(super) url: Url,
    pub(super) unix: bool,
    /// The further hosts of a cluster, each a URL of its own; `None` where none is meant.
    pub(super) more: Option<Vec<Url>>,
}

pub(super) fn parse_url(text: &str) -> Result<Parsed, Failure> {
    let (scheme, rest) = text.split_once("://").ok_or_else(|| bad_url("it has no scheme"))?;
    let unix = match scheme {
        "redis" | "rediss" => false,
        "redis+unix" | "unix" => true,
        "redis-cluster" | "rediss-cluster" => return named::parse(scheme, rest),
        "redis-sentinel" | "rediss-sentinel" => {
            return Err(Failure::usage(
                Side::Settings,
                format!("{scheme}:// is not supported by this version (source.url / --from)"),
                "Name one primary with redis:// or rediss://.",
            ));
        }
        _ => return Err(bad_url("its scheme is not one of redis, rediss, redis-cluster, rediss-cluster, redis+unix")),
    };
    // A URL can't have credentials without a host; a socket has no host, so it gets one for the parser.
    let parsed = match rest.find("@/") {
        Some(at) if unix => {
            let (credentials, path) = rest.split_at(at + 1);
            Url::parse(&format!("{scheme}://{credentials}socket{path}"))
        }
        _ => Url::parse(text),
    };
    let url = whole(parsed, unix)?;
    Ok(Parsed { url, unix, more: None })
}

/// A URL without parts that would be passed over.
pub(super) fn whole(parsed: Result<Url, url::ParseError>, unix: bool) -> Result<Url, Failure> {
    let url = parsed.map_err(|error| bad_url(&error.to_string()))?;
    if url.fragment().is_some() || (!unix && url.query().is_some()) {
        return Err(bad_url("it has a part after ? or # that is not understood"));
    }
    Ok(url)
}

pub(super) fn tcp_address(url: &Url) -> Result<(Address, Option<u8>), Failure> {
    let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| bad_url("it has no host"))?;
    let host = decode(host.trim_start_matches('[').trim_end_matches(']'))?;
    let address = Address::Tcp { host, port: url.port().unwrap_or(6379), tls: url.scheme() == "rediss" };
    let database = match url.path().trim_matches('/') {
        "" => None,
        number => Some(database(number)?),
    };
    Ok((address, database))
}

pub(super) fn unix_address(url: &Url) -> Result<(Address, Option<u8>), Failure> {
    let path = decode(url.path())?;
    if path.trim_matches('/').is_empty() {
        return Err(bad_url("it has no path to a socket"));
    }
    let mut number = None;
    for (name, value) in url.query_pairs() {
        if name != "db" {
            return Err(bad_url("it has a part after ? that is not db=N"));
        }
        number = Some(database(&value)?);
    }
    Ok((Address::Unix(path.into()), number))
}

fn database(text: &str) -> Result<u8, Failure> {
    text.parse().map_err(|_| bad_url("its database is not a number from 0 to 255"))
}

/// Never quotes the URL: any part of a malformed one may be a piece of the password.
fn bad_url(why: &str) -> Failure {
    Failure::usage(
        Side::Settings,
        format!("the Redis URL is not valid: {why} (source.url / --from)"),
        "Expected redis://[user:password@]host[:port][/database], or redis-cluster://[user:password@]host[:port][,host[:port]…]. Special characters in a password are written as %XX.",
    )
}

pub(super) fn decode(text: &str) -> Result<String, Failure> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let hex = tail.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
            let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
            bytes.push(byte.ok_or_else(|| bad_url("a % is not followed by two hexadecimal digits"))?);
            rest = tail.get(2..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).map_err(|_| bad_url("a part of it is not UTF-8"))
}
