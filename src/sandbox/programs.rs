//! Finds server programs: on PATH first, then where packages put them. Only reads directories.

use std::cmp::Reverse;
use std::io;
use std::path::{Path, PathBuf};

/// Where server programs live that PATH often does not name.
const FIXED_DIRS: [&str; 5] = ["/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/opt/homebrew/bin"];

/// The folders that hold one folder for each PostgreSQL version: a parent, and what the version's folder begins with.
const VERSIONED_DIRS: [(&str, &str); 4] = [
    ("/usr/lib/postgresql", ""),
    ("/usr", "pgsql-"),
    ("/opt/homebrew/opt", "postgresql"),
    ("/usr/local/opt", "postgresql"),
];

/// redis-server, or Valkey's, which is the same to us.
pub(super) fn redis_server() -> io::Result<PathBuf> {
    find(&["redis-server"]).or_else(|| find(&["valkey-server"])).ok_or_else(|| {
        missing("redis-server", "'apt-get install redis-server', 'dnf install redis' or 'brew install redis'")
    })
}

/// The directory that has PostgreSQL's server programs, all of one version: PATH's, else the newest. Links are followed:
/// beside the programs themselves is their psql, where that on PATH may be a script that looks for one.
pub(super) fn postgres_dir() -> io::Result<PathBuf> {
    let together = ["postgres", "initdb"];
    let linked = find(&together);
    let own = linked.as_ref().and_then(|program| program.canonicalize().ok());
    let whole = |program: &PathBuf| together.iter().all(|name| program.with_file_name(name).is_file());
    own.filter(whole).or(linked).and_then(|program| program.parent().map(Path::to_owned)).ok_or_else(|| {
        missing(
            "the PostgreSQL server (postgres, initdb)",
            "'apt-get install postgresql', 'dnf install postgresql-server' or 'brew install postgresql@17'",
        )
    })
}

/// psql of the directory with the server programs, else any: old and new ones both do for plain statements.
pub(super) fn psql(postgres_dir: &Path) -> io::Result<PathBuf> {
    let beside = postgres_dir.join("psql");
    if beside.is_file() {
        return Ok(beside);
    }
    find(&["psql"]).ok_or_else(|| {
        missing("psql", "'apt-get install postgresql-client', 'dnf install postgresql' or 'brew install libpq'")
    })
}

/// pgbouncer.
pub(super) fn pgbouncer() -> io::Result<PathBuf> {
    find(&["pgbouncer"]).ok_or_else(|| {
        missing("pgbouncer", "'apt-get install pgbouncer', 'dnf install pgbouncer' or 'brew install pgbouncer'")
    })
}

fn missing(what: &str, how: &str) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("{what} is not installed: install it with {how}"))
}

/// The first of `names` in the first directory that has all of them.
fn find(names: &[&str]) -> Option<PathBuf> {
    let first = names.first()?;
    directories().find(|dir| names.iter().all(|name| dir.join(name).is_file())).map(|dir| dir.join(first))
}

fn directories() -> impl Iterator<Item = PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<_> = std::env::split_paths(&path).filter(|dir| dir.is_absolute()).collect();
    on_path.into_iter().chain(versioned()).chain(FIXED_DIRS.into_iter().map(PathBuf::from))
}

/// The `bin` folders of all PostgreSQL versions, newest first.
fn versioned() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (parent, prefix) in VERSIONED_DIRS {
        let Ok(entries) = std::fs::read_dir(parent) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if let Some(version) = name.to_str().and_then(|name| name.strip_prefix(prefix)) {
                found.push((Reverse(version_number(version)), entry.path().join("bin")));
            }
        }
    }
    found.sort();
    found.into_iter().map(|(_, dir)| dir).collect()
}

/// `17`, `@17` and `9.6` in an order; what has no number comes last.
fn version_number(text: &str) -> (u32, u32) {
    let mut numbers = text.trim_start_matches('@').split('.').map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_numbers() {
        assert!(version_number("9.6") < version_number("10"));
        assert!(version_number("@16") < version_number("@17"));
        assert!(version_number("") < version_number("9.6"));
    }

    #[test]
    fn what_is_missing_says_how_to_install_it() {
        assert!(find(&["no-such-server-program"]).is_none());
        let error = missing("pgbouncer", "'apt-get install pgbouncer'");
        assert_eq!(error.to_string(), "pgbouncer is not installed: install it with 'apt-get install pgbouncer'");
    }
}
