//! What a check found, for people: which side, what, and what to do about it.

use super::Side;
use std::fmt;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is wrong: something to know for later.
    Note,
    /// The run can go on.
    Warning,
    /// The run must not start.
    Critical,
}

/// Where what a finding is about was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file's path; or a preset, variable or flag, as people call it.
    pub source: String,
    /// The line in the file, from 1; `None` where it is no file.
    pub line: Option<usize>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}", self.source),
            None => f.write_str(&self.source),
        }
    }
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
    /// Where it was written, as far as that is known.
    pub place: Option<Place>,
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
        let (subject, message, hint) = (subject.into(), message.into(), hint.into());
        Self { severity: Severity::Critical, side, subject, place: None, message, hint }
    }

    /// Something to know that is no fault.
    pub fn note(side: Side, subject: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { severity: Severity::Note, ..Self::critical(side, subject, message, hint) }
    }

    /// The finding with the place that it is about.
    pub fn at(self, place: Place) -> Self {
        Self { place: Some(place), ..self }
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
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Critical => "error",
        };
        write!(f, "{severity}: {} {}", self.side, self.subject)?;
        if let Some(place) = &self.place {
            write!(f, " ({place})")?;
        }
        write!(f, ": {}", self.message)?;
        if !self.hint.is_empty() {
            write!(f, "\n  hint: {}", self.hint)?;
        }
        Ok(())
    }
}
