//! How a job ends: a value, not a panic. The numbers are a contract with schedulers.

use super::Finding;
use std::fmt;

/// Which side something concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The command line, the environment or a configuration file.
    Settings,
    /// Redis.
    Redis,
    /// PostgreSQL.
    Postgres,
    /// The tool itself.
    Internal,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Settings => "settings",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
            Self::Internal => "internal",
        })
    }
}

/// The exit codes. Of several that apply, the first of `Internal, Usage, Redis, Postgres, Stopped, Differences,
/// Rejects, Done` is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: an error in the tool itself, books that do not balance among them.
    Internal,
    /// 2: usage, configuration, a missing right, table or column, no matching key at all, or unmatched keys where they
    /// are an error.
    Usage,
    /// 3: done, with rejects.
    Rejects,
    /// 4: validation found differences.
    Differences,
    /// 5: the Redis side failed.
    Redis,
    /// 6: the PostgreSQL side failed.
    Postgres,
    /// 7: stopped before the end; `--resume` goes on.
    Stopped,
}

impl Exit {
    /// Of two exits the one that is given: the worse of them, in the order above.
    #[must_use]
    pub fn or_worse(self, other: Self) -> Self {
        let rank = |exit: Self| match exit {
            Self::Internal => 0,
            Self::Usage => 1,
            Self::Redis => 2,
            Self::Postgres => 3,
            Self::Stopped => 4,
            Self::Differences => 5,
            Self::Rejects => 6,
            Self::Done => 7,
        };
        if rank(other) < rank(self) { other } else { self }
    }

    /// The number that the process exits with.
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Internal => 1,
            Self::Usage => 2,
            Self::Rejects => 3,
            Self::Differences => 4,
            Self::Redis => 5,
            Self::Postgres => 6,
            Self::Stopped => 7,
        }
    }
}

/// Why a job could not go on. What a user sees: the side, what happened, and a hint.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The exit code that it leads to.
    pub exit: Exit,
    /// The side at fault.
    pub side: Side,
    /// What happened, naming the setting, table or key. Never holds a secret.
    pub message: String,
    /// What to do; empty where there is nothing to say.
    pub hint: String,
    /// Every finding, where a check found several.
    pub findings: Vec<Finding>,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Failure {
    /// A failure of that kind.
    pub fn new(exit: Exit, side: Side, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { exit, side, message: message.into(), hint: hint.into(), findings: Vec::new(), source: None }
    }

    /// A mistake in the settings, or something missing that they name.
    pub fn usage(side: Side, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Exit::Usage, side, message, hint)
    }

    /// The Redis side failed.
    pub fn redis(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Exit::Redis, Side::Redis, message, hint)
    }

    /// The PostgreSQL side failed.
    pub fn postgres(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::new(Exit::Postgres, Side::Postgres, message, hint)
    }

    /// The tool itself failed.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Exit::Internal, Side::Internal, message, "This is a mistake in redis2pg; please report it.")
    }

    /// A check that found at least one critical finding.
    pub fn findings(findings: Vec<Finding>) -> Self {
        let side = findings.first().map_or(Side::Settings, |finding| finding.side);
        let count = findings.len();
        let message = if count == 1 { "1 finding".to_owned() } else { format!("{count} findings") };
        Self { findings, ..Self::usage(side, message, "") }
    }

    /// States the cause.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }
}
