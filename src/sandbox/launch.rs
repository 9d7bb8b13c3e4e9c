//! Starting a server until it answers: chooses ports, waits, and tries again where another process took the port.

use super::scratch::Scratch;
use super::watcher::Watched;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

/// How long a server may take until it answers. Recovery after a crash and slow machines are in it.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// How many ports are tried. A port is free when it is chosen and may be taken when the server binds it.
const PORTS_TRIED: u32 = 5;

/// The log of every server, in its directory.
pub(super) const LOG: &str = "server.log";

/// A port of 127.0.0.1 that is free at this moment.
pub(super) fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Starts a server on a port of its own choice, trying other ports where one is taken.
///
/// `start` gets the port and spawns the server; `ready` says whether it answers there.
pub(super) fn on_free_port(
    scratch: &Scratch,
    mut start: impl FnMut(u16) -> io::Result<Watched>,
    ready: impl Fn(u16) -> bool,
) -> io::Result<(Watched, u16)> {
    let mut tried = 0;
    loop {
        tried += 1;
        let port = free_port()?;
        match wait(scratch, start(port)?, || ready(port)) {
            Ok(server) => return Ok((server, port)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && tried < PORTS_TRIED => {}
            Err(error) => return Err(error),
        }
    }
}

/// Starts a server again on the port it had, giving what is left of its last life some time to go away: the port, or
/// the shared memory that PostgreSQL's children hold for a moment after their parent was killed.
pub(super) fn again(
    scratch: &Scratch,
    mut start: impl FnMut() -> io::Result<Watched>,
    ready: impl Fn() -> bool,
) -> io::Result<Watched> {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        match wait(scratch, start()?, &ready) {
            Ok(server) => return Ok(server),
            Err(error) if error.kind() == io::ErrorKind::TimedOut || Instant::now() > deadline => return Err(error),
            Err(_) => thread::sleep(Duration::from_millis(100)),
        }
    }
}

/// Waits until the server answers. An early end is an error with the end of its log; of kind `AddrInUse` where the
/// log says so.
fn wait(scratch: &Scratch, mut server: Watched, ready: impl Fn() -> bool) -> io::Result<Watched> {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        // In this order: an answer from a server that has ended came from somebody else on its port.
        let answers = ready();
        if server.ended()? {
            let log = scratch.log_tail(LOG);
            let taken = log.to_lowercase().contains("address already in use");
            let kind = if taken { io::ErrorKind::AddrInUse } else { io::ErrorKind::Other };
            return Err(io::Error::new(kind, format!("a server ended as soon as it was started:\n{log}")));
        }
        if answers {
            return Ok(server);
        }
        if Instant::now() > deadline {
            let log = scratch.log_tail(LOG);
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("a server does not answer:\n{log}")));
        }
        thread::sleep(Duration::from_millis(10));
    }
}
