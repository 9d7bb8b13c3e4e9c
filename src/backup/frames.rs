//! Frames, one after the other, each looked at before it is trusted; and the next whole one behind damage.

use super::damage::{Fault, ReadError};
use super::frame::{Compression, HEAD, Head, Kind, MARKER, MAX_ENDS, MAX_RAW, crc};
use super::lz4;
use super::trail::Trail;
use bytes::Bytes;
use memchr::memmem;
use std::io::{Read, Seek, SeekFrom};

/// Bytes that are looked through at a time for the next frame: at first, and at most.
const FIRST_WINDOW: usize = 4 << 10;
const WINDOW: usize = 1 << 20;
/// How many times the bytes of the file are read in vain at most. Damage makes each be read once: pieces do not overlap.
const IN_VAIN: u64 = 4;

/// The frames of a file.
pub(super) struct Frames<R> {
    pub(super) inner: R,
    /// Where the next one begins.
    pub(super) at: u64,
    /// The file's own id, once one was read.
    pub(super) file_id: Option<[u8; 8]>,
    /// The number of the next one.
    pub(super) number: u32,
    /// Whether some may be missing.
    pub(super) gaps: bool,
    /// All that were read.
    pub(super) trail: Trail,
    /// Bytes of contents that were read, and are not what their heads say.
    in_vain: u64,
}

impl<R: Read + Seek> Frames<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, at: 0, file_id: None, number: 0, gaps: false, trail: Trail::default(), in_vain: 0 }
    }

    /// The next frame and its content.
    pub(super) fn next(&mut self) -> Result<(Head, Bytes), ReadError> {
        let from = self.at;
        self.inner.seek(SeekFrom::Start(from))?;
        let bytes = self.up_to(HEAD as u64)?;
        if bytes.is_empty() {
            return Err(ReadError::at(from, Fault::NotFinished));
        }
        let cut = |read: usize| ReadError::at(from, Fault::Cut(from + read as u64));
        let told = bytes.first_chunk().ok_or_else(|| cut(bytes.len()))?;
        let head = Head::of(told).ok_or(ReadError::at(from, Fault::NoFrame))?;
        let in_order = if self.gaps { head.number >= self.number } else { head.number == self.number };
        if !in_order || self.file_id.is_some_and(|id| id != head.file_id) {
            return Err(ReadError::at(from, Fault::Sequence));
        }
        if !is_bounded(head) {
            return Err(ReadError::at(from, Fault::Content("a piece is larger than any that is written")));
        }
        let stored = self.up_to(u64::from(head.stored))?;
        let read = stored.len();
        let content = match content(head, stored) {
            Ok(content) => content,
            Err(fault) => {
                self.lose(read as u64)?;
                return Err(fault.map_or_else(|| cut(HEAD + read), |fault| ReadError::at(from, fault)));
            }
        };
        self.at = from + HEAD as u64 + u64::from(head.stored);
        self.number = head.number.saturating_add(1);
        self.file_id = Some(head.file_id);
        self.trail.take(told);
        Ok((head, content))
    }

    /// Takes note of bytes that were read in vain. A file can be made so that each of very many heads is right and tells of all that
    /// follows: who looks for the next one behind each would read the file as often.
    fn lose(&mut self, bytes: u64) -> Result<(), ReadError> {
        self.in_vain = self.in_vain.saturating_add(bytes);
        let from = self.at;
        let end = self.inner.seek(SeekFrom::End(0))?;
        if self.in_vain <= end.saturating_mul(IN_VAIN) {
            return Ok(());
        }
        self.at = end;
        Err(ReadError::at(from, Fault::Overlapping))
    }

    /// Whether a whole head of a header stands at this byte.
    pub(super) fn has_header_at(&mut self, at: u64) -> Result<bool, ReadError> {
        self.inner.seek(SeekFrom::Start(at))?;
        let bytes = self.up_to(HEAD as u64)?;
        Ok(bytes.first_chunk().and_then(Head::of).is_some_and(|head| head.kind == Kind::Header))
    }

    /// Whether there is nothing but zeros from this byte on.
    pub(super) fn is_zero_from(&mut self, at: u64) -> Result<bool, ReadError> {
        self.inner.seek(SeekFrom::Start(at))?;
        let mut window = Vec::with_capacity(WINDOW);
        loop {
            window.clear();
            self.inner.by_ref().take(WINDOW as u64).read_to_end(&mut window)?;
            if window.is_empty() || window.iter().any(|byte| *byte != 0) {
                return Ok(window.is_empty());
            }
        }
    }

    /// So many bytes, or as many as there are.
    fn up_to(&mut self, count: u64) -> Result<Vec<u8>, ReadError> {
        let mut bytes = Vec::with_capacity(usize::try_from(count).unwrap_or(0).min(2 << 20));
        self.inner.by_ref().take(count).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Goes on at the first head of a frame behind this byte that belongs to the file; false where there is none, and then
    /// reading has come to the end of the file.
    pub(super) fn find(&mut self, damaged: u64) -> Result<bool, ReadError> {
        let mut from = damaged + 1;
        // Mostly the next one is far away or close by.
        let (mut size, mut window) = (FIRST_WINDOW, Vec::new());
        loop {
            self.inner.seek(SeekFrom::Start(from))?;
            window.clear();
            self.inner.by_ref().take(size as u64).read_to_end(&mut window)?;
            let heads = memmem::find_iter(&window, &MARKER)
                .filter_map(|place| Some((place, Head::of(window.get(place..)?.first_chunk()?)?)));
            let mut own = heads.filter(|(_, head)| self.file_id.is_none_or(|id| id == head.file_id));
            if let Some((place, _)) = own.next() {
                self.at = from + place as u64;
                return Ok(true);
            }
            if window.len() < size {
                self.at = from + window.len() as u64;
                return Ok(false);
            }
            // A head may lie across the windows.
            from += (size - HEAD + 1) as u64;
            size = (size * 2).min(WINDOW);
        }
    }
}

/// Whether a frame tells sizes that a writer can have written. LZ4 makes 255 bytes of one at most, and is only used where it makes less.
fn is_bounded(head: Head) -> bool {
    let most = if head.kind == Kind::Block { MAX_RAW } else { MAX_ENDS };
    let fits = usize::try_from(head.raw).is_ok_and(|raw| raw <= most);
    fits && head.stored <= head.raw && u64::from(head.raw) <= u64::from(head.stored) * 255 + 64
}

/// The content of a frame; what is wrong with it, `None` where there is not all of it.
fn content(head: Head, stored: Vec<u8>) -> Result<Bytes, Option<Fault>> {
    if stored.len() as u64 != u64::from(head.stored) {
        return Err(None);
    }
    if crc(&stored) != head.crc {
        return Err(Some(Fault::Checksum));
    }
    unpacked(head, stored).ok_or(Some(Fault::Content("a block cannot be unpacked")))
}

fn unpacked(head: Head, stored: Vec<u8>) -> Option<Bytes> {
    let length = usize::try_from(head.raw).ok()?;
    let content = match head.compression {
        Compression::None => stored,
        Compression::Lz4 => lz4::unpack(&stored, length)?,
    };
    (content.len() == length).then(|| content.into())
}
