//! The keys that are not as the file has them: some are told, and all are written down where a report is asked for.

use crate::job::close::report_unwritable;
use crate::model::{Failure, LeftKey};
use crate::report::{JsonLines, left_json};
use std::path::{Path, PathBuf};

/// Keys that are told.
const SAMPLES: usize = 20;

/// Keys that are not as the file has them.
pub(super) struct LeftKeys {
    file: Option<(JsonLines, PathBuf)>,
    samples: Vec<LeftKey>,
}

impl LeftKeys {
    /// # Errors
    /// The report's directory cannot be written.
    pub(super) fn new(report: Option<&Path>) -> Result<Self, Failure> {
        let file = match report {
            None => None,
            Some(dir) => {
                let file = JsonLines::create(dir, "left.jsonl").map_err(|error| report_unwritable(dir, &error))?;
                Some((file, dir.to_owned()))
            }
        };
        Ok(Self { file, samples: Vec::new() })
    }

    /// # Errors
    /// It cannot be written down.
    pub(super) fn add(&mut self, left: LeftKey) -> Result<(), Failure> {
        if let Some((file, dir)) = &mut self.file {
            file.add(&left_json(&left)).map_err(|error| report_unwritable(dir, &error))?;
        }
        if self.samples.len() < SAMPLES {
            self.samples.push(left);
        }
        Ok(())
    }

    /// Gives the file its name; gives some of them.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(super) fn end(self) -> Result<Vec<LeftKey>, Failure> {
        if let Some((file, dir)) = self.file {
            file.finish().map_err(|error| report_unwritable(&dir, &error))?;
        }
        Ok(self.samples)
    }
}
