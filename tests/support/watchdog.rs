//! An end for whatever a test waits for, in one place. Without it a program that hangs, or a thread that nobody ends, would be
//! noticed by whoever waits for all tests, and tell nothing.

use std::collections::HashMap;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Once;
use std::thread;
use std::time::{Duration, Instant};

/// How long one of our programs may run. The longest takes a tenth of that where nothing else is to be done, and two minutes beside ten others.
const PROGRAM: Duration = Duration::from_secs(5 * 60);

/// How long all tests of a binary may take. `scripts/chaos` says itself for how long it goes on.
const BINARY: Duration = Duration::from_secs(15 * 60);

/// Looks on from now on: a program that runs for too long is killed, so that the test that waits for it fails and shows what it
/// said; and where the tests themselves do not end, the binary does.
pub(crate) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| drop(thread::spawn(look_on)));
}

fn look_on() {
    let began = Instant::now();
    let mut seen = HashMap::new();
    let chaos = std::env::var_os("REDIS2PG_CHAOS_MINUTES").is_some();
    loop {
        thread::sleep(Duration::from_secs(2));
        let mut running = programs();
        running.retain(|program, since| {
            *since = seen.get(program).copied().unwrap_or(*since);
            since.elapsed() <= PROGRAM || kill(program.0)
        });
        seen = running;
        if began.elapsed() > BINARY && !chaos {
            say("the tests of this binary do not end: those that hang were told as running for over 60 seconds");
            std::process::exit(101);
        }
    }
}

/// Ends a program; `false`, since it is not to be looked at again.
fn kill(pid: u32) -> bool {
    say(&format!("redis2pg (process {pid}) ran for {PROGRAM:?} and is killed"));
    let _ = Command::new("kill").args(["-KILL", &pid.to_string()]).stderr(Stdio::null()).status();
    false
}

/// Past the tests' own output, which is kept until they end.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "watchdog: {text}");
}

/// The processes of the command that descend from this one, each with its start, which tells it from a later one of its number. Where
/// there is no `/proc`, none is found, and the limit of the binary is all there is.
fn programs() -> HashMap<(u32, String), Instant> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    // `pid (name) state parent … start …`, the start being the 22nd word.
    let all: HashMap<u32, (String, u32, String)> = pids
        .filter_map(|pid| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            let (head, rest) = stat.rsplit_once(')')?;
            let words: Vec<&str> = rest.split_whitespace().collect();
            let name = head.split_once('(')?.1.to_owned();
            Some((pid, (name, words.get(1)?.parse().ok()?, (*words.get(19)?).to_owned())))
        })
        .collect();
    let own = std::process::id();
    let descends = |pid: u32| {
        let parents = std::iter::successors(Some(pid), |pid| all.get(pid).map(|(_, parent, _)| *parent));
        parents.take(8).any(|pid| pid == own)
    };
    let ours = all.iter().filter(|(pid, (name, _, _))| name == "redis2pg" && descends(**pid));
    ours.map(|(pid, (_, _, start))| ((*pid, start.clone()), Instant::now())).collect()
}
