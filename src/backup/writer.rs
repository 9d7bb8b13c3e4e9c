//! Writes a backup: the header, blocks, the end mark.

use super::FORMAT;
use super::block::Block;
use super::counts::KeyCounts;
use super::frame::{Compression, Head, Kind, crc};
use super::header::{EndMark, Header};
use super::place::{OnDisk, Place, partial_of};
use super::preamble::preamble;
use super::reader::Reader;
use super::summary::Summary;
use super::trail::Trail;
use super::trouble::{begun_in_vain, being_written, exists, partial_exists, unwritable, usage};
use crate::model::{BackupExtent, Failure, hex_digits};
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

/// A backup that is being written, under a temporary name. Only [`Writer::finish`] gives it its own: a process that dies
/// leaves the file with the temporary name, and what was written can be had out of it. Its methods block on the disk.
pub struct Writer {
    place: Box<dyn Place>,
    path: PathBuf,
    file_id: [u8; 8],
    written: Mark,
    /// Whether something is behind that in the file, which is cut away before anything is appended.
    torn: bool,
    /// Whether an attempt to write has failed: nothing may be appended behind it.
    failed: bool,
}

/// A backup that is on disk with its end mark, and has its temporary name still.
pub struct Sealed(Writer);

/// A place in a backup to which it can be taken back.
#[derive(Clone, Debug)]
pub struct Mark {
    at: u64,
    frames: u32,
    blocks: u32,
    raw: u64,
    keys: KeyCounts,
    trail: Trail,
}

impl Mark {
    /// Where a reader is.
    pub(super) fn of<R: Read + Seek>(reader: &Reader<R>) -> Self {
        let Summary { keys, blocks, bytes, .. } = reader.summary().clone();
        Self {
            at: reader.position(),
            frames: reader.next_frame(),
            blocks,
            raw: bytes,
            keys,
            trail: reader.trail().clone(),
        }
    }

    /// The byte of the file.
    pub(super) fn end(&self) -> u64 {
        self.at
    }

    /// What is in the file up to here.
    pub(super) fn extent(&self) -> BackupExtent {
        BackupExtent { bytes: self.at, digest: self.trail.digest().to_string() }
    }
}

fn unmade(partial: &Path, error: &io::Error, hint: &str) -> Failure {
    usage(format!("the backup {} cannot be made: {error}", partial.display()), hint)
}

impl Writer {
    /// Begins a backup at `path`. An existing file is never overwritten, nor is one with the temporary name. The mode of the
    /// file is 0600, whatever the umask.
    ///
    /// # Errors
    /// A usage [`Failure`]: there is such a file, it cannot be made, or its header cannot be written; nothing is left of it then.
    pub fn create(path: &Path, header: &Header) -> Result<Self, Failure> {
        let partial = partial_of(path);
        if path.symlink_metadata().is_ok() {
            return Err(exists(path));
        }
        let place = OnDisk::create(path, &partial).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => partial_exists(&partial),
            io::ErrorKind::WouldBlock => being_written(&partial),
            io::ErrorKind::NotFound => {
                unmade(&partial, &error, "Make its directory first, or name a file in one that is there.")
            }
            io::ErrorKind::PermissionDenied => {
                unmade(&partial, &error, "Name a file in a directory into which this user may write.")
            }
            _ => unmade(&partial, &error, ""),
        })?;
        Self::begin(Box::new(place), path, header)
    }

    pub(crate) fn begin(place: Box<dyn Place>, path: &Path, header: &Header) -> Result<Self, Failure> {
        let mut file_id = [0; 8];
        file_id.iter_mut().zip(uuid::Uuid::new_v4().into_bytes()).for_each(|(to, from)| *to = from);
        let written = Mark { at: 0, frames: 0, blocks: 0, raw: 0, keys: KeyCounts::default(), trail: Trail::default() };
        let mut writer = Self { place, path: path.to_owned(), file_id, written, torn: false, failed: false };
        match writer.write_header(header) {
            Ok(()) => Ok(writer),
            // No key is in it, and it would be in the way of the next attempt.
            Err(failure) => Err(match writer.place.discard() {
                Ok(()) => begun_in_vain(failure),
                Err(_) => failure,
            }),
        }
    }

    fn write_header(&mut self, header: &Header) -> Result<(), Failure> {
        self.write(&preamble(FORMAT))?;
        let header = serde_json::to_vec(header)
            .map_err(|error| Failure::internal("a backup's header is no JSON").because(error))?;
        self.frame(Kind::Header, Compression::None, header.len() as u32, crc(&header), &header)
    }

    /// Goes on at a place of a file. What is behind it there is cut away with the first write, and not before: until then it may turn out
    /// that the file is somebody else's to write.
    pub(super) fn at(place: Box<dyn Place>, path: &Path, file_id: [u8; 8], written: Mark) -> Self {
        Self { place, path: path.to_owned(), file_id, written, torn: true, failed: false }
    }

    /// Appends a block. It is on disk once [`Writer::sync`] has returned.
    ///
    /// # Errors
    /// A usage [`Failure`]: the disk is full, or fails. Nothing can be appended any more then.
    pub fn append(&mut self, block: &Block) -> Result<(), Failure> {
        self.frame(Kind::Block, block.compression, block.raw, block.crc, &block.stored)?;
        self.written.blocks += 1;
        self.written.raw += u64::from(block.raw);
        self.written.keys.add(&block.keys);
        Ok(())
    }

    /// Waits until all that was appended is on disk, and tells how far that is. Where no key is half written, a backup that goes on
    /// from there has at least that.
    ///
    /// # Errors
    /// A usage [`Failure`]: the disk fails.
    pub fn sync(&mut self) -> Result<BackupExtent, Failure> {
        self.attempt(|place| place.sync())?;
        Ok(self.written.extent())
    }

    /// The id that each frame of the file has, in hexadecimal: by chance no other file has it.
    pub fn file_id(&self) -> String {
        hex_digits(&self.file_id)
    }

    /// Where it is now.
    pub fn mark(&self) -> Mark {
        self.written.clone()
    }

    /// Forgets what was appended since.
    ///
    /// # Errors
    /// A usage [`Failure`]: the disk fails.
    pub fn rewind(&mut self, mark: Mark) -> Result<(), Failure> {
        self.cut(mark.at)?;
        self.written = mark;
        Ok(())
    }

    /// The keys that were appended so far.
    pub fn keys(&self) -> &KeyCounts {
        &self.written.keys
    }

    /// Bytes that were appended so far, before compression.
    pub fn raw_bytes(&self) -> u64 {
        self.written.raw
    }

    /// Bytes of the file so far.
    pub fn bytes(&self) -> u64 {
        self.written.at
    }

    /// The name that the file has now.
    pub fn partial(&self) -> PathBuf {
        partial_of(&self.path)
    }

    /// Removes what was written: there is nothing in it that anybody needs.
    ///
    /// # Errors
    /// A usage [`Failure`]: the disk fails.
    pub fn discard(mut self) -> Result<(), Failure> {
        self.attempt(|place| place.discard())
    }

    /// Ends the backup: the end mark, then all of it onto the disk, and only then the file gets its name.
    ///
    /// # Errors
    /// A usage [`Failure`]: the disk is full or fails, or there is a file of that name by now. The file with the temporary name
    /// stays.
    pub fn finish(self) -> Result<KeyCounts, Failure> {
        self.seal()?.publish()
    }

    /// Ends the backup, but for its name: the end mark, and then all of it onto the disk.
    ///
    /// # Errors
    /// A usage [`Failure`]: the disk is full or fails. The file with the temporary name stays.
    pub fn seal(mut self) -> Result<Sealed, Failure> {
        let Mark { blocks, raw: bytes, keys, .. } = self.written.clone();
        let end = serde_json::to_vec(&EndMark { blocks, keys, bytes })
            .map_err(|error| Failure::internal("a backup's end mark is no JSON").because(error))?;
        self.frame(Kind::End, Compression::None, end.len() as u32, crc(&end), &end)?;
        self.attempt(|place| place.sync())?;
        Ok(Sealed(self))
    }

    fn frame(
        &mut self,
        kind: Kind,
        compression: Compression,
        raw: u32,
        crc: u32,
        stored: &[u8],
    ) -> Result<(), Failure> {
        let (file_id, number) = (self.file_id, self.written.frames);
        let head = Head { kind, compression, file_id, number, stored: stored.len() as u32, raw, crc };
        let head = head.to_bytes();
        self.write(&head)?;
        self.write(stored)?;
        self.written.trail.take(&head);
        self.written.frames += 1;
        Ok(())
    }

    fn cut(&mut self, end: u64) -> Result<(), Failure> {
        self.attempt(|place| place.truncate(end))?;
        self.torn = false;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        if self.torn {
            self.cut(self.written.at)?;
        }
        self.attempt(|place| place.write(bytes))?;
        self.written.at += bytes.len() as u64;
        Ok(())
    }

    fn attempt(&mut self, attempt: impl FnOnce(&mut dyn Place) -> io::Result<()>) -> Result<(), Failure> {
        if self.failed {
            return Err(Failure::internal("a backup was written to although that had failed"));
        }
        attempt(self.place.as_mut()).map_err(|error| {
            self.failed = true;
            unwritable(&self.partial(), &error)
        })
    }
}

impl Sealed {
    /// Gives the file its name; what it holds.
    ///
    /// # Errors
    /// A usage [`Failure`]: there is a file of that name by now, or the disk fails. The file with the temporary name stays.
    pub fn publish(self) -> Result<KeyCounts, Failure> {
        let Self(mut writer) = self;
        match writer.place.publish() {
            Ok(()) => Ok(writer.written.keys),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(exists(&writer.path)),
            Err(error) => Err(unwritable(&writer.partial(), &error)),
        }
    }
}
