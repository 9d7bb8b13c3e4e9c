//! `redis2pg backup`: its arguments, how far it is, and what is printed of it.

use super::dispatch::{Ended, block_on};
use super::flags::{BackingUp, SettingFlags};
use super::write_failure;
use crate::config::{Settings, clean};
use crate::flow::Stop;
use crate::job::{self, BackupDatabases, BackupProgress, BackupRequest};
use crate::model::Exit;
use crate::report::{BackupFacts, LogGate, backup_json, backup_text, init_log};
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

/// Arguments of `backup`.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub struct BackupArgs {
    /// The file to write; none that exists is overwritten
    #[arg(long, value_name = "FILE")]
    pub file: PathBuf,
    /// Logical databases: all that hold keys, or numbers such as 0,3 [default: the one of --from]
    #[arg(long, value_name = "all|N,…")]
    pub databases: Option<DatabaseArg>,
    /// Print the result as one JSON document to stdout
    #[arg(long)]
    pub json: bool,
    /// The connection, which keys, and how fast.
    #[command(flatten)]
    pub settings: SettingFlags<BackingUp>,
}

/// What `--databases` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatabaseArg(BackupDatabases);

impl FromStr for DatabaseArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self(BackupDatabases::All));
        }
        let number = |part: &str| part.trim().parse::<u8>().map_err(|_| format!("{part:?} is no number from 0 to 255"));
        Ok(Self(BackupDatabases::These(text.split(',').map(number).collect::<Result<BTreeSet<u8>, _>>()?)))
    }
}

const HELP: &str = "\
Reads keys of Redis and writes them into one file, from which `redis2pg restore` puts them back. Nothing is changed in Redis. \
While it is written the file is called FILE.partial; it gets its name once it is whole and on disk. Mode 0600.

Examples:
  All keys of database 0:
    redis2pg backup --from redis://cache:6379/0 --file cache.backup
  Some of them, of all databases, gently:
    redis2pg backup --from redis://cache:6379 --databases all --keys 'session:*' --max-keys-per-second 5000 --file s.backup

Exit codes:
  0  done
  2  usage, settings, a missing right, no key at all (unless --allow-empty), or the file cannot be written, as on a full disk
  3  done, and some keys are left out: the user may not read them, or they cannot be had
  5  Redis failed
  7  stopped before the end";

/// So often a line tells how far it is.
const EVERY: Duration = Duration::from_secs(5);

/// Does it.
pub(super) fn run_backup(
    args: &BackupArgs,
    settings: &Settings,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit, Ended> {
    init_log(&settings.log, &LogGate::default(), false)?;
    let databases = args.databases.clone().map(|databases| databases.0).unwrap_or_default();
    let request = BackupRequest { file: args.file.clone(), databases };
    let mut last = Instant::now();
    let mut tell = |progress: &BackupProgress| {
        if last.elapsed() >= EVERY {
            last = Instant::now();
            let _ = writeln!(err, "{}", line(progress));
        }
    };
    let done = block_on(async {
        let stop = Stop::new();
        // Without a handler a signal ends the process at once, which leaves the file with its temporary name.
        let _signals = stop.listen_for_signals();
        job::backup(settings, &request, &stop, &mut tell).await
    })??;
    let facts = BackupFacts {
        file: &args.file,
        source: &done.source,
        complete: done.complete,
        took: done.took,
        notices: &done.notices,
    };
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &backup_json(&facts, &done.account)).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", backup_text(&facts, &done.account))?;
        for notice in &done.notices {
            write_notice(out, notice)?;
        }
    }
    if let Some(failure) = &done.failure {
        let _ = write_failure(err, failure);
    }
    Ok(done.exit())
}

/// Writes a notice. One that is a finding begins with its severity, and has its hint on a line of its own.
fn write_notice(out: &mut dyn Write, notice: &str) -> io::Result<()> {
    let (said, hint) = notice.split_once("\n  hint: ").map_or((notice, None), |(said, hint)| (said, Some(hint)));
    let is_finding = ["note: ", "warning: ", "error: "].iter().any(|severity| said.starts_with(severity));
    writeln!(out, "{}{}", if is_finding { "" } else { "note: " }, clean(said))?;
    hint.map_or(Ok(()), |hint| writeln!(out, "  hint: {}", clean(hint)))
}

/// How far it is, in a line.
fn line(progress: &BackupProgress) -> String {
    let BackupProgress { kept, file_bytes, expected, .. } = progress;
    let of = expected.map(|expected| format!(" of about {expected}")).unwrap_or_default();
    format!("{kept}{of} keys backed up, {:.1} MB in the file", *file_bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::{BackupDatabases, DatabaseArg};

    #[test]
    fn databases_are_all_or_numbers() {
        let read = |text: &str| text.parse::<DatabaseArg>().map(|arg| arg.0);
        assert_eq!(read("all"), Ok(BackupDatabases::All));
        assert_eq!(read("3, 0"), Ok(BackupDatabases::These([0, 3].into())));
        for wrong in ["", "a", "256", "1,,2"] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}
