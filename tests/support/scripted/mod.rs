//! A Redis server that follows a script, for what a real one cannot be made to do on cue.
//!
//! The script is asked first, with the number of the connection and the command. What it leaves is answered from a
//! small keyspace as any server would. One thread for each connection; they end with the process.

mod keyspace;
mod resp;

pub(crate) use keyspace::Keyspace;
pub(crate) use resp::{array, bulk, info, page};

use std::io::{BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

// Each test binary uses its own part of this module; naming all of it here keeps the rest from being reported as dead.
const _: fn(ScriptedRedis, Keyspace) = |server, keyspace| {
    keyspace.set(&[]);
    let _ = (server.url(), ScriptedRedis::start(keyspace, |_, _| Some(Answer::Close)), Keyspace::new(&[]));
    let _ = Answer::Bytes(Vec::new());
    let _ = (reply(String::new()), scan_cursor(&[]), bulk(""), array(&[]), info(""), page("", &[]));
};

/// What the script answers.
pub(crate) enum Answer {
    /// This text.
    Reply(String),
    /// These bytes.
    Bytes(Vec<u8>),
    /// Nothing: the connection is closed.
    Close,
}

type Script = dyn Fn(usize, &[String]) -> Option<Answer> + Send + Sync;

/// A server on a port of its own.
pub(crate) struct ScriptedRedis {
    port: u16,
}

impl ScriptedRedis {
    /// Serves the script, and the keyspace behind it.
    pub(crate) fn start(
        keyspace: Keyspace,
        script: impl Fn(usize, &[String]) -> Option<Answer> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("the port").port();
        let (keyspace, script): (_, Arc<Script>) = (Arc::new(keyspace), Arc::new(script));
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().enumerate() {
                let (keyspace, script) = (keyspace.clone(), script.clone());
                let stream = stream.expect("a connection");
                thread::spawn(move || talk(&stream, |command| script(connection, command), &keyspace));
            }
        });
        Self { port }
    }

    /// Its URL. It takes everybody in.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }
}

fn talk(stream: &TcpStream, script: impl Fn(&[String]) -> Option<Answer>, keyspace: &Keyspace) {
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    while let Some(command) = resp::command(&mut reader) {
        let answer = script(&command).unwrap_or_else(|| Answer::Reply(keyspace.answer(&command)));
        let bytes = match answer {
            Answer::Reply(text) => text.into_bytes(),
            Answer::Bytes(bytes) => bytes,
            Answer::Close => return,
        };
        // The other side may have hung up.
        if writer.write_all(&bytes).is_err() {
            return;
        }
    }
}

/// An answer of a script.
pub(crate) fn reply(text: String) -> Option<Answer> {
    Some(Answer::Reply(text))
}

/// The cursor of a SCAN of the scan itself (the check at connect asks for COUNT 1).
pub(crate) fn scan_cursor(command: &[String]) -> Option<&str> {
    (command[0] == "SCAN" && command[3] != "1").then(|| command[1].as_str())
}
