//! A TCP proxy before PostgreSQL that understands just enough of the protocol to cut a connection at the COMMIT of a
//! transaction that holds a certain statement.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

/// Where a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The server commits; its answer is thrown away.
    Answer,
    /// COMMIT never reaches the server.
    Request,
    /// From COMMIT on nothing gets through in either direction, and neither end hears of it.
    Silence,
    /// The client is cut off at once, and the server gets COMMIT when the client has long begun to try again.
    Late,
}

/// The proxy; its threads end with the process.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    cuts: Arc<AtomicU32>,
    closed: Arc<AtomicBool>,
}

/// Which COMMITs are cut.
#[derive(Clone, Copy)]
pub(crate) struct Which {
    /// Those of a transaction with this statement.
    pub(crate) statement: &'static str,
    /// One in so many.
    pub(crate) one_in: u32,
    /// So many at most.
    pub(crate) most: u32,
    /// Whether nobody gets through any more after a cut, until [`Proxy::open`].
    pub(crate) closes: bool,
}

#[derive(Clone)]
struct Shared {
    cut: Cut,
    which: Which,
    commits: Arc<AtomicU32>,
    cuts: Arc<AtomicU32>,
    closed: Arc<AtomicBool>,
}

impl Proxy {
    /// Starts to carry connections to the server of that port.
    pub(crate) fn start(server: u16, cut: Cut, which: Which) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (cuts, closed) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let shared = Shared { cut, which, commits: Arc::default(), cuts: cuts.clone(), closed: closed.clone() };
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if shared.closed.load(Ordering::SeqCst) {
                    continue;
                }
                // A server that is down is a connection that ends, as it would be without a proxy.
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let shared = shared.clone();
                thread::spawn(move || carry(client, server, &shared));
            }
        });
        Self { port, cuts, closed }
    }

    /// Connections cut so far.
    pub(crate) fn cuts(&self) -> u32 {
        self.cuts.load(Ordering::SeqCst)
    }

    /// Lets connections through again.
    pub(crate) fn open(&self) {
        self.closed.store(false, Ordering::SeqCst);
    }

    /// A URL of the server, by way of the proxy. Without TLS, which it could not read.
    pub(crate) fn url(&self, server: u16, url: &str) -> String {
        let through = url.replace(&format!(":{server}/"), &format!(":{}/", self.port));
        format!("{through}?sslmode=disable")
    }
}

/// Carries one connection to its end. Errors end it: the client sees a lost connection, as it would without a proxy.
fn carry(client: TcpStream, server: TcpStream, shared: &Shared) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let mute = Arc::new(AtomicBool::new(false));
    let (mut from, mut to, silent) = (server.try_clone().unwrap(), client.try_clone().unwrap(), mute.clone());
    let swallows = shared.cut == Cut::Silence;
    let down = thread::spawn(move || {
        let mut buffer = [0; 16 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if swallows && silent.load(Ordering::SeqCst) {
                continue;
            }
            if silent.load(Ordering::SeqCst) || to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        if !(swallows && silent.load(Ordering::SeqCst)) {
            let _ = to.shutdown(Shutdown::Both);
        }
    });
    let _ = up(&client, &server, shared, &mute);
    // After a silence the server hears of nothing: it ends the connection by itself, or the test ends.
    if !(swallows && mute.load(Ordering::SeqCst)) {
        let _ = server.shutdown(Shutdown::Write);
    }
    let _ = down.join();
}

fn up(client: &TcpStream, mut server: &TcpStream, shared: &Shared, mute: &AtomicBool) -> io::Result<()> {
    // The first message has no type byte. The tests ask for no TLS, so it is the only one.
    let mut message = Vec::new();
    read_message(client, 0, &mut message)?;
    server.write_all(&message)?;
    let mut found = false;
    loop {
        read_message(client, 1, &mut message)?;
        found |= message[0] == b'P' && holds(&message, shared.which.statement.as_bytes());
        let commits = message[0] == b'Q' && message[5..].starts_with(b"COMMIT");
        if commits && std::mem::take(&mut found) && shared.strikes() {
            return shared.strike(client, server, &message, mute);
        }
        server.write_all(&message)?;
        if message[0] == b'X' {
            client.shutdown(Shutdown::Read)?;
            return Ok(());
        }
    }
}

impl Shared {
    fn strikes(&self) -> bool {
        let number = self.commits.fetch_add(1, Ordering::SeqCst);
        let Which { one_in, most, closes, .. } = self.which;
        let strikes = number % one_in == one_in - 1 && self.cuts.load(Ordering::SeqCst) < most;
        if strikes {
            self.closed.fetch_or(closes, Ordering::SeqCst);
            self.cuts.fetch_add(1, Ordering::SeqCst);
        }
        strikes
    }

    fn strike(&self, client: &TcpStream, mut server: &TcpStream, commit: &[u8], mute: &AtomicBool) -> io::Result<()> {
        mute.store(true, Ordering::SeqCst);
        match self.cut {
            // The other direction waits for the answer, drops it, and cuts the client off.
            Cut::Answer => server.write_all(commit),
            Cut::Request => client.shutdown(Shutdown::Both),
            Cut::Silence => {
                // Until the client gives the connection up.
                let mut client = client;
                io::copy(&mut client, &mut io::sink()).map(|_| ())
            }
            Cut::Late => {
                client.shutdown(Shutdown::Both)?;
                thread::sleep(Duration::from_millis(600));
                server.write_all(commit)?;
                // The end of the stream must not overtake the COMMIT's work.
                thread::sleep(Duration::from_millis(100));
                Ok(())
            }
        }
    }
}

/// Reads one message whole: `tag` bytes of type, and a length that counts itself.
fn read_message(mut from: &TcpStream, tag: usize, message: &mut Vec<u8>) -> io::Result<()> {
    message.resize(tag + 4, 0);
    from.read_exact(message)?;
    let length = u32::from_be_bytes(message[tag..].try_into().unwrap()) as usize;
    if length < 4 {
        return Err(ErrorKind::InvalidData.into());
    }
    message.resize(tag + length, 0);
    from.read_exact(&mut message[tag + 4..])
}

fn holds(message: &[u8], text: &[u8]) -> bool {
    message.windows(text.len()).any(|window| window == text)
}
