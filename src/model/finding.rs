//! What a check found, for people: which side, what, and what to do about it.

use super::Side;
use std::fmt;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The run can go on.
    Warning,
    /// The run must not start.
    Critical,
}

/// One finding of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// Which side it concerns.
    pub side: Side,
    /// The setting, table, column or key it is about.
    pub subject: String,
    /// What was found.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl Finding {
    /// A finding that forbids the run.
    pub fn critical(
        side: Side,
        subject: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Critical, side, subject: subject.into(), message: message.into(), hint: hint.into() }
    }

    /// A finding that the run can live with.
    pub fn warning(
        side: Side,
        subject: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warning, ..Self::critical(side, subject, message, hint) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Critical => "error",
        };
        write!(f, "{severity}: {} {}: {}", self.side, self.subject, self.message)?;
        if !self.hint.is_empty() {
            write!(f, "\n  hint: {}", self.hint)?;
        }
        Ok(())
    }
}
