//! Asks a server over its own protocol whether it is ready. Needs no password: a demand for one is an answer too.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

const TIMEOUT: Duration = Duration::from_secs(2);

fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)), TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

/// Whether Redis takes commands. It answers `-LOADING` while it reads its data from disk.
pub(super) fn redis_is_ready(port: u16) -> bool {
    let ask = || -> io::Result<Vec<u8>> {
        let mut stream = connect(port)?;
        stream.write_all(b"PING\r\n")?;
        let mut answer = [0; 64];
        let length = stream.read(&mut answer)?;
        Ok(answer.get(..length).unwrap_or_default().to_vec())
    };
    ask()
        .is_ok_and(|answer| [&b"+PONG"[..], b"-NOAUTH", b"-NOPERM"].iter().any(|expected| answer.starts_with(expected)))
}

/// Whether PostgreSQL, or a pooler, takes sessions: it then asks `user` to authenticate. While it starts up or
/// recovers, it answers with an error instead.
pub(super) fn postgres_is_ready(port: u16, user: &str) -> bool {
    let ask = || -> io::Result<u8> {
        let mut stream = connect(port)?;
        let mut body = 196_608_u32.to_be_bytes().to_vec();
        for text in ["user", user, "database", "postgres", ""] {
            body.extend_from_slice(text.as_bytes());
            body.push(0);
        }
        let length = u32::try_from(body.len() + 4).map_err(io::Error::other)?;
        stream.write_all(&length.to_be_bytes())?;
        stream.write_all(&body)?;
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        Ok(kind[0])
    };
    ask().is_ok_and(|kind| kind == b'R')
}
