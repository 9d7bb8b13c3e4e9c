//! One server process under a watcher that ends it when our process is gone.
//!
//! The watcher is a shell that starts the server and reads signal names from a pipe of which we alone hold the other
//! end. At end of file, which comes however we die, it kills the server and removes its directory.

use super::scratch::Scratch;
use std::ffi::{OsStr, OsString};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// $1 is the directory, $2 the log, $3 the signal for an orphan, the rest is the server's command line.
///
/// The first line on stdout is the server's process id. The watcher ends when the server does, so that a server that
/// died is seen at once. It keeps its own stderr and stdout away from ours: whoever waits for the end of our output
/// must not wait for it.
const SCRIPT: &str = r#"
dir=$1 log=$2 orphan=$3
shift 3
exec 3<&0 </dev/null
"$@" 3<&- >>"$log" 2>&1 &
server=$!
echo "$server"
exec >>"$log" 2>&1
(
  while read -r signal <&3; do kill -s "$signal" "$server"; done
  exec 3<&-
  : >"$dir/.orphaned"
  kill -s "$orphan" "$server"
  sleep 10
  kill -s KILL "$server"
) &
reader=$!
exec 3<&-
wait "$server"
kill "$reader"
if [ -e "$dir/.orphaned" ]; then cd / && rm -rf "$dir"; fi
"#;

/// How long a server may take to stop before it is killed.
const STOP_WITHIN: Duration = Duration::from_secs(20);

/// A running server. Dropping it stops the server with the signal that it was spawned with.
#[derive(Debug)]
pub(super) struct Watched {
    watcher: Child,
    control: Option<ChildStdin>,
    pid: u32,
    stop_signal: &'static str,
}

impl Watched {
    /// Starts `program` as the account of `scratch`, its output going to `log` in there.
    ///
    /// `stop_signal` (such as `TERM`) is what ends the server at once, on drop and when our process dies.
    pub(super) fn spawn(
        scratch: &Scratch,
        log: &str,
        stop_signal: &'static str,
        program: &Path,
        args: &[OsString],
    ) -> io::Result<Self> {
        let mut watcher = scratch
            .command("/bin/sh")
            .args([OsStr::new("-c"), OsStr::new(SCRIPT), OsStr::new("redis2pg-watcher")])
            .arg(scratch.path())
            .arg(scratch.file(log))
            .arg(stop_signal)
            .arg(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // Ctrl-C at the terminal is for our process, which then stops its servers in its own time.
            .process_group(0)
            .spawn()?;
        let control = watcher.stdin.take();
        let mut line = String::new();
        if let Some(stdout) = watcher.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let pid =
            line.trim().parse().map_err(|_| io::Error::other("the shell that watches over a server did not start"))?;
        Ok(Self { watcher, control, pid, stop_signal })
    }

    /// The server's process id.
    pub(super) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the server has ended.
    pub(super) fn ended(&mut self) -> io::Result<bool> {
        Ok(self.watcher.try_wait()?.is_some())
    }

    /// Sends the server a signal, by its name without SIG.
    pub(super) fn signal(&mut self, name: &str) -> io::Result<()> {
        match &mut self.control {
            Some(control) => writeln!(control, "{name}"),
            None => Ok(()),
        }
    }

    /// Sends a signal that ends the server, and waits until it has ended; kills it when it takes too long.
    pub(super) fn end(&mut self, name: &str) -> io::Result<()> {
        if self.ended()? {
            return Ok(());
        }
        // The server may end by itself right now; then nobody reads the pipe, and that is as good.
        let mut sent = self.signal(name);
        let mut deadline = Instant::now() + STOP_WITHIN;
        let mut killed = false;
        while !self.ended()? {
            if Instant::now() > deadline {
                if killed {
                    return sent.and(Err(io::Error::new(io::ErrorKind::TimedOut, "a server could not be stopped")));
                }
                sent = self.signal("KILL");
                deadline = Instant::now() + STOP_WITHIN;
                killed = true;
            }
            thread::sleep(Duration::from_millis(5));
        }
        self.control = None;
        Ok(())
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        // A drop can't report; if this fails, the closing pipe makes the watcher end the server.
        let _ = self.end(self.stop_signal);
    }
}
