//! The parts of a key, out of the file as they are needed.

use super::Backup;
use super::work::stopped;
use crate::backup::{Bookmark, Entry, Found, Reader};
use crate::flow::{RateLimit, Stop};
use crate::model::Failure;
use crate::source::redis::{NextPart, Parts};
use std::fs::File;

/// The parts of a key whose first was just read.
pub(super) struct FileParts<'a> {
    backup: &'a Backup<'a>,
    reader: &'a mut Reader<File>,
    first: Entry,
    /// Behind the first part.
    behind: Bookmark,
    /// What comes next is known: the last part was read, or the rest is missing.
    ended: Option<bool>,
    rate: &'a RateLimit,
    stop: &'a Stop,
}

impl<'a> FileParts<'a> {
    pub(super) fn new(
        backup: &'a Backup<'a>,
        reader: &'a mut Reader<File>,
        first: Entry,
        (rate, stop): (&'a RateLimit, &'a Stop),
    ) -> Self {
        let behind = reader.bookmark();
        Self { backup, reader, first, behind, ended: None, rate, stop }
    }
}

impl Parts for FileParts<'_> {
    fn first(&self) -> &Entry {
        &self.first
    }

    async fn next(&mut self) -> Result<NextPart, Failure> {
        if let Some(whole) = self.ended {
            return Ok(if whole { NextPart::End } else { NextPart::Torn });
        }
        if self.stop.requested() {
            return Err(stopped());
        }
        let found = tokio::task::block_in_place(|| self.reader.read());
        let part = match found.map_err(|error| self.backup.failure(&error))? {
            Some(Found::Entry { entry, .. }) if entry.key == self.first.key && !entry.part.is_first() => entry,
            // Whatever was lost, or comes instead: the key has no more parts.
            _ => {
                self.ended = Some(false);
                return Ok(NextPart::Torn);
            }
        };
        self.ended = part.part.last.then_some(true);
        self.rate.take(0, part.bytes() as u64).await;
        Ok(NextPart::Part(Box::new(part)))
    }

    async fn again(&mut self) -> Result<(), Failure> {
        self.reader.return_to(&self.behind);
        self.ended = None;
        Ok(())
    }
}
