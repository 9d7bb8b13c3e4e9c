//! Reads a backup: entry by entry, and says where it is damaged.

mod ends;
mod salvage;

use super::damage::{Damage, Fault, ReadError};
use super::encoding;
use super::entry::Entry;
use super::frame::Kind;
use super::frames::Frames;
use super::header::Header;
use super::input::Input;
use super::joining::{Met, Parts};
use super::summary::Summary;
use super::trail::Trail;
use crate::model::{Failure, RedisKey};
use bytes::Bytes;
use salvage::Salvage;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;

/// A backup that is being read. Entries with a dump come whole, at most 256 MiB; those without one in the parts in which they
/// were written. Memory is bounded by that, and a block of about 1 MiB beside it (or one item, where it is longer).
pub struct Reader<R> {
    frames: Frames<R>,
    header: Header,
    /// Where the block begins that is being read.
    block_at: u64,
    block: Input,
    parts: Parts,
    summary: Summary,
    ended: bool,
    /// What was lost, where it goes on behind damage.
    salvage: Option<Salvage>,
}

/// A place between two entries of a backup, to which its reader can be taken back.
#[derive(Clone, Debug)]
pub struct Bookmark {
    at: u64,
    frame: u32,
    trail: Trail,
    block_at: u64,
    block: Input,
    parts: Parts,
    summary: Summary,
    ended: bool,
}

/// What a reader meets.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// An entry.
    Entry {
        /// The byte of the file where its block begins.
        offset: u64,
        /// The entry.
        entry: Entry,
    },
    /// A damaged stretch, in salvage: no entry in it can be had.
    Lost(Lost),
}

/// A damaged stretch of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Lost {
    /// What is wrong, and where it begins.
    pub damage: Damage,
    /// The byte at which reading goes on; the end of the file where it does not.
    pub to: u64,
    /// The database and key of which parts are missing: what came of it before is void.
    pub torn: Option<(u8, RedisKey)>,
}

impl Reader<File> {
    /// Opens a backup.
    ///
    /// # Errors
    /// A usage [`Failure`]: it cannot be read, is no backup, or its header is damaged.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| ReadError::from(error).failure(path))?;
        Self::new(file).map_err(|error| error.failure(path))
    }

    /// Opens a backup that may be damaged, or not finished, to have what is whole in it: see [`Found::Lost`].
    ///
    /// # Errors
    /// A usage [`Failure`]: it cannot be read.
    pub fn open_damaged(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| ReadError::from(error).failure(path))?;
        Self::salvage(file).map_err(|error| error.failure(path))
    }
}

impl<R: Read + Seek> Reader<R> {
    /// Reads from the beginning of `inner`.
    ///
    /// # Errors
    /// It cannot be read, is no backup, or its header is damaged.
    pub fn new(inner: R) -> Result<Self, ReadError> {
        let mut reader = Self::at_the_start(inner);
        reader.read_header()?;
        Ok(reader)
    }

    fn at_the_start(inner: R) -> Self {
        Self {
            frames: Frames::new(inner),
            header: Header::default(),
            block_at: 0,
            block: Input::new(Bytes::new()),
            parts: Parts::default(),
            summary: Summary::default(),
            ended: false,
            salvage: None,
        }
    }

    /// What the file says of itself; the default where that was lost.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The byte of the file that reading has reached.
    pub fn position(&self) -> u64 {
        self.frames.at
    }

    /// Whether what was read so far ends with a whole key, and with its block.
    pub(super) fn is_between_keys(&self) -> bool {
        self.block.is_empty() && !self.parts.is_open()
    }

    /// The file's own id.
    pub(super) fn file_id(&self) -> Option<[u8; 8]> {
        self.frames.file_id
    }

    /// The number of the next frame.
    pub(super) fn next_frame(&self) -> u32 {
        self.frames.number
    }

    /// The frames that were read so far.
    pub(super) fn trail(&self) -> &Trail {
        &self.frames.trail
    }

    /// What was read so far.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Where it is now. Not to be asked for between parts of an entry with a dump, which it gives as one.
    pub fn bookmark(&self) -> Bookmark {
        Bookmark {
            at: self.frames.at,
            frame: self.frames.number,
            trail: self.frames.trail.clone(),
            block_at: self.block_at,
            block: self.block.clone(),
            parts: self.parts.clone(),
            summary: self.summary.clone(),
            ended: self.ended,
        }
    }

    /// Goes back there, to read the same again.
    pub fn return_to(&mut self, bookmark: &Bookmark) {
        let Bookmark { at, frame, trail, block_at, block, parts, summary, ended } = bookmark.clone();
        (self.frames.at, self.frames.number, self.frames.trail) = (at, frame, trail);
        (self.block_at, self.block) = (block_at, block);
        (self.parts, self.summary, self.ended) = (parts, summary, ended);
    }

    /// The next entry, or what was lost; `None` at the end.
    ///
    /// # Errors
    /// The file cannot be read, or is damaged and this is no salvage. There is no going on then.
    pub fn read(&mut self) -> Result<Option<Found>, ReadError> {
        if self.ended {
            return Ok(None);
        }
        let before = self.salvage.as_mut().and_then(|salvage| salvage.before.take());
        let met = match before {
            Some(damage) => Err(ReadError::Damaged(damage)),
            None => self.step(),
        };
        match met {
            Err(ReadError::Damaged(damage)) if self.salvage.is_some() => self.skip(damage).map(Some),
            Err(error) => {
                self.ended = true;
                Err(error)
            }
            met => met,
        }
    }

    fn step(&mut self) -> Result<Option<Found>, ReadError> {
        loop {
            let entry = match self.parts.held() {
                Some(entry) => entry,
                None if !self.block.is_empty() => {
                    let wrong = |what| ReadError::at(self.block_at, Fault::Content(what));
                    encoding::read(&mut self.block).map_err(wrong)?
                }
                None if self.next_block()? => continue,
                None => return Ok(None),
            };
            match self.parts.meet(entry, self.salvage.is_some()) {
                Met::Whole(entry) => {
                    if !self.summary.keys.has_room_for(&entry) {
                        let fault = Fault::Content("there are more types of keys than any Redis has");
                        return Err(ReadError::at(self.block_at, fault));
                    }
                    self.summary.keys.count(&entry);
                    return Ok(Some(Found::Entry { offset: self.block_at, entry }));
                }
                Met::Kept => {}
                Met::Wrong(fault) => return Err(ReadError::at(self.block_at, fault)),
            }
        }
    }

    /// Goes on to the next frame; false at the end of the file.
    fn next_block(&mut self) -> Result<bool, ReadError> {
        let from = self.frames.at;
        let (head, content) = self.frames.next()?;
        match head.kind {
            Kind::Block => {
                self.block_at = from;
                self.summary.blocks += 1;
                self.summary.bytes += content.len() as u64;
                self.block = Input::new(content);
                Ok(true)
            }
            // The first bytes of the file were damaged, and the header behind them is not.
            Kind::Header if head.number == 0 && self.header.format == 0 => {
                self.take_header(from, &content).map(|()| true)
            }
            Kind::Header => Err(ReadError::at(from, Fault::Content("a second header"))),
            Kind::End => {
                self.ended = true;
                self.check_end(from, &content)?;
                Ok(false)
            }
        }
    }
}
