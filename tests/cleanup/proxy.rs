//! A TCP proxy before Redis that sees each command before the server does: at that moment a test may do whatever it likes,
//! and cut the connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::thread;

/// What happens to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// The server gets it.
    Pass,
    /// The connection is cut before the server gets it.
    Cut,
    /// The server gets it, and the connection is cut in the place of its answer.
    Lose,
    /// The server runs this script in its place, whose keys are the words behind its name.
    Instead(&'static str),
    /// It is a script, and the server runs it behind this one.
    Behind(&'static str),
}

type Hook = dyn Fn(&[String]) -> Act + Send + Sync;

/// The proxy; its threads end with the process.
pub(crate) struct Proxy {
    port: u16,
}

impl Proxy {
    /// Carries connections to the server of that port; later ones to another where the test changes it. The hook sees the
    /// words of each command, its name in upper case.
    pub(crate) fn start(server: Arc<AtomicU16>, hook: impl Fn(&[String]) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let hook: Arc<Hook> = Arc::new(hook);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // A server that is down is a connection that ends, as it would be without a proxy.
                let address = ("127.0.0.1", server.load(Ordering::SeqCst));
                let Ok(server) = TcpStream::connect(address) else { continue };
                let hook = hook.clone();
                thread::spawn(move || carry(&client, &server, &*hook));
            }
        });
        Self { port }
    }

    /// The URL of the server's first database, by way of the proxy.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

fn carry(client: &TcpStream, server: &TcpStream, hook: &Hook) {
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let lost = Arc::new(AtomicBool::new(false));
    let (mut from, mut to, mute) = (server.try_clone().unwrap(), client.try_clone().unwrap(), lost.clone());
    let down = thread::spawn(move || {
        let mut buffer = [0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if mute.load(Ordering::SeqCst) || to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
    });
    let (mut reader, mut to) = (BufReader::new(client), server);
    while let Some((raw, words)) = command(&mut reader) {
        let act = hook(&words);
        if act == Act::Cut {
            break;
        }
        if act == Act::Lose {
            lost.store(true, Ordering::SeqCst);
        }
        let sent = match act {
            Act::Instead(script) => instead(script, &raw, &words),
            Act::Behind(script) => behind(script, &raw, &words),
            Act::Pass | Act::Cut | Act::Lose => raw,
        };
        if to.write_all(&sent).is_err() {
            break;
        }
    }
    if !lost.load(Ordering::SeqCst) {
        let _ = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
    }
    let _ = down.join();
}

/// The next command, as it came and in words; `None` at the end.
fn command(reader: &mut impl BufRead) -> Option<(Vec<u8>, Vec<String>)> {
    let mut raw = Vec::new();
    let count = length(reader, &mut raw)?;
    let mut words = Vec::with_capacity(count);
    for _ in 0..count {
        let bytes = length(reader, &mut raw)?;
        let from = raw.len();
        raw.resize(from + bytes + 2, 0);
        reader.read_exact(&mut raw[from..]).ok()?;
        words.push(String::from_utf8_lossy(&raw[from..from + bytes]).into_owned());
    }
    words.first_mut()?.make_ascii_uppercase();
    Some((raw, words))
}

fn length(reader: &mut impl BufRead, raw: &mut Vec<u8>) -> Option<usize> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).ok()?;
    raw.extend_from_slice(&line);
    std::str::from_utf8(line.get(1..)?).ok()?.trim().parse().ok()
}

fn bulk(text: &str) -> String {
    format!("${}\r\n{text}\r\n", text.len())
}

/// A command without its first words: what stands behind them, byte for byte.
fn rest<'a>(raw: &'a [u8], words: &[String], first: usize) -> &'a [u8] {
    let head = format!("*{}\r\n", words.len()).len();
    &raw[head + words[..first].iter().map(|word| bulk(word).len()).sum::<usize>()..]
}

fn instead(script: &str, raw: &[u8], words: &[String]) -> Vec<u8> {
    let keys = (words.len() - 1).to_string();
    let head = format!("*{}\r\n{}{}{}", words.len() + 2, bulk("EVAL"), bulk(script), bulk(&keys));
    [head.as_bytes(), rest(raw, words, 1)].concat()
}

fn behind(script: &str, raw: &[u8], words: &[String]) -> Vec<u8> {
    let head = format!("*{}\r\n{}{}", words.len(), bulk(&words[0]), bulk(&format!("{script} {}", words[1])));
    [head.as_bytes(), rest(raw, words, 2)].concat()
}
