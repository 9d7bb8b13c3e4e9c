//! The temporary directory of one server, and the account that the server runs as.

use std::ffi::OsStr;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A unix socket's path may have 104 to 108 bytes, depending on the system; this leaves room for ours.
const LONGEST_BASE: usize = 55;

/// An account that servers run as instead of root.
#[derive(Clone, Copy, Debug)]
struct Account {
    uid: u32,
    gid: u32,
}

/// A private directory (mode 0700) that belongs to the account its server runs as. Removed on drop.
#[derive(Debug)]
pub(super) struct Scratch {
    dir: TempDir,
    account: Option<Account>,
}

impl Scratch {
    /// Makes the directory `redis2pg-{kind}-…` under the system's temporary directory.
    pub(super) fn new(kind: &str) -> io::Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix(&format!("redis2pg-{kind}-"))
            .permissions(Permissions::from_mode(0o700))
            .tempdir_in(base())?;
        // What we create belongs to our effective user: the way to learn it without unsafe code.
        let account = if fs::metadata(dir.path())?.uid() == 0 { Some(unprivileged()?) } else { None };
        if let Some(account) = account {
            chown(dir.path(), Some(account.uid), Some(account.gid))?;
        }
        Ok(Self { dir, account })
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The path of a file in the directory.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file (mode 0600) that the server can read; gives its path.
    pub(super) fn write(&self, name: &str, contents: &[u8]) -> io::Result<PathBuf> {
        let path = self.file(name);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all(contents)?;
        if let Some(account) = self.account {
            chown(&path, Some(account.uid), Some(account.gid))?;
        }
        Ok(path)
    }

    /// A command that runs as the server's account, in this directory, without the caller's PostgreSQL settings.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"PG") {
                command.env_remove(name);
            }
        }
        command.env("LC_ALL", "C").current_dir(self.path());
        if let Some(account) = self.account {
            // Under root this also drops the supplementary groups.
            command.uid(account.uid).gid(account.gid);
        }
        command
    }

    /// The last lines of a log in the directory, for error messages.
    pub(super) fn log_tail(&self, name: &str) -> String {
        let log = fs::read(self.file(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&log);
        let lines: Vec<_> = text.lines().collect();
        lines.get(lines.len().saturating_sub(12)..).unwrap_or_default().join("\n")
    }
}

/// A password of 128 random bits, in hexadecimal.
pub(super) fn password() -> io::Result<String> {
    let mut bytes = [0_u8; 16];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The system's temporary directory, unless it is too deep for a socket or closed to other accounts.
fn base() -> PathBuf {
    let preferred = std::env::temp_dir();
    let open = |dir: &Path| fs::metadata(dir).is_ok_and(|meta| meta.mode() & 0o001 != 0 || meta.uid() != 0);
    if preferred.as_os_str().len() <= LONGEST_BASE && preferred.ancestors().all(open) {
        preferred
    } else {
        PathBuf::from("/tmp")
    }
}

fn unprivileged() -> io::Result<Account> {
    let accounts = fs::read_to_string("/etc/passwd")?;
    account(&accounts, "postgres").or_else(|| account(&accounts, "nobody")).ok_or_else(|| {
        let hint = "PostgreSQL refuses to run as root, and there is no account 'postgres' or 'nobody' to run it as";
        io::Error::new(io::ErrorKind::NotFound, hint)
    })
}

/// Looks an account up in the text of /etc/passwd. Some systems write the ids of `nobody` as -2.
fn account(accounts: &str, name: &str) -> Option<Account> {
    let fields = accounts.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let entry = fields.into_iter().find(|fields| fields.first() == Some(&name))?;
    let id = |index: usize| -> Option<u32> {
        let text = entry.get(index)?;
        text.parse().ok().or_else(|| text.parse::<i32>().ok().map(i32::cast_unsigned))
    };
    Some(Account { uid: id(2)?, gid: id(3)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_by_their_whole_name() {
        let text =
            "root:x:0:0::/root:/bin/sh\npostgres2:x:7:8::/:\npostgres:x:101:104:,,,:/:/bin/bash\nnobody:*:-2:-2::/:";
        let found = account(text, "postgres").unwrap();
        assert_eq!((found.uid, found.gid), (101, 104));
        assert_eq!(account(text, "nobody").unwrap().uid, 4_294_967_294);
        assert!(account(text, "none").is_none());
    }

    #[test]
    fn others_can_look_neither_into_the_directory_nor_its_files() {
        let scratch = Scratch::new("modes").unwrap();
        let file = scratch.write("secret", b"x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(scratch.path()), mode(&file)), (0o700, 0o600));
        let dir = scratch.path().to_owned();
        drop(scratch);
        assert!(!dir.exists());
    }

    #[test]
    fn passwords_differ() {
        let password = password().unwrap();
        assert_eq!(password.len(), 32);
        assert_ne!(password, super::password().unwrap());
    }
}
