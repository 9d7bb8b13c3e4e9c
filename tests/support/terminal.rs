//! A command on a terminal of its own, where somebody answers what it asks.

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::process::{Command, Stdio};

/// Runs it until it asks `[y/N]`, looks with `before` at what is there by then, and types `answer`. Gives the exit code, stdout,
/// and what was said on stderr, the question among it.
pub(crate) fn answered(mut command: Command, before: impl FnOnce(), answer: &str) -> (i32, String, String) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&master).expect("a terminal");
    unlockpt(&master).expect("a terminal");
    let name = ptsname(&master, Vec::new()).expect("its name").into_string().expect("a name of text");
    let terminal = OpenOptions::new().read(true).write(true).open(name).expect("open the terminal");
    let mut keyboard = File::from(master);
    command.stdin(Stdio::from(terminal)).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("start redis2pg");
    let mut stderr = child.stderr.take().expect("its stderr");
    let (mut said, mut byte) = (Vec::new(), [0]);
    while !said.ends_with(b"[y/N] ") {
        let read = stderr.read(&mut byte).expect("read what it says");
        assert_eq!(read, 1, "it did not ask: {}", String::from_utf8_lossy(&said));
        said.push(byte[0]);
    }
    before();
    keyboard.write_all(answer.as_bytes()).expect("type the answer");
    stderr.read_to_end(&mut said).expect("read what it says");
    let output = child.wait_with_output().expect("wait for redis2pg");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&said))
}
