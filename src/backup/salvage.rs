//! The next whole frame behind damage.

use super::damage::ReadError;
use super::frame::{HEAD, Head, MARKER};
use super::reader::Reader;
use memchr::memmem;
use std::io::{Read, Seek, SeekFrom};

/// Bytes that are looked through at a time.
const WINDOW: usize = 1 << 20;

impl<R: Read + Seek> Reader<R> {
    /// Goes on at the first head of a frame behind this byte that belongs to the file; false where there is none, and then
    /// reading has come to the end of the file.
    pub(super) fn find_frame(&mut self, damaged: u64) -> Result<bool, ReadError> {
        let mut from = damaged + 1;
        let mut window = Vec::with_capacity(WINDOW);
        loop {
            self.inner.seek(SeekFrom::Start(from))?;
            window.clear();
            self.inner.by_ref().take(WINDOW as u64).read_to_end(&mut window)?;
            let heads = memmem::find_iter(&window, &MARKER)
                .filter_map(|place| Some((place, Head::of(window.get(place..)?.first_chunk()?)?)));
            let mut own = heads.filter(|(_, head)| self.file_id.is_none_or(|id| id == head.file_id));
            if let Some((place, _)) = own.next() {
                self.at = from + place as u64;
                return Ok(true);
            }
            if window.len() < WINDOW {
                self.at = from + window.len() as u64;
                return Ok(false);
            }
            // A head may lie across the windows.
            from += (WINDOW - HEAD + 1) as u64;
        }
    }
}
