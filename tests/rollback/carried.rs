//! A TCP proxy before PostgreSQL that counts what goes through it.

use crate::support::Case;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// The proxy; its threads end with the process.
pub(crate) struct Carried {
    sent: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
}

impl Carried {
    /// The case with its target behind such a proxy.
    pub(crate) fn before(case: &Case) -> (Case, Self) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let (front, rest) = case.target.rsplit_once(':').unwrap();
        let (server, database) = rest.split_once('/').unwrap();
        let (target, server) = (format!("{front}:{port}/{database}"), server.parse::<u16>().unwrap());
        let found = Self { sent: Arc::default(), answered: Arc::default() };
        let (sent, answered) = (found.sent.clone(), found.answered.clone());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                let ends = (client.try_clone().unwrap(), server.try_clone().unwrap());
                let (sent, answered) = (sent.clone(), answered.clone());
                thread::spawn(move || carry(client, server, &sent));
                thread::spawn(move || carry(ends.1, ends.0, &answered));
            }
        });
        (Case { source: case.source.clone(), target, database: case.database.clone() }, found)
    }

    /// Bytes that went to the server, and that came from it.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        (self.sent.load(Ordering::SeqCst), self.answered.load(Ordering::SeqCst))
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, count: &AtomicU64) {
    let _ = to.set_nodelay(true);
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        count.fetch_add(read as u64, Ordering::SeqCst);
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
