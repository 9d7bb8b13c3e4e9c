//! Whole keys of a file that are restored together.

use crate::backup::Entry;

/// Keys at most, and bytes, about.
pub(super) const PAGE: usize = 500;
const PAGE_BYTES: usize = 1 << 20;

/// Entries of one database, and what they have in bytes.
///
/// An entry is a slice of its block, and keeps all of that in memory. Where few keys of the file are asked for, each is of another
/// block, and a page of small ones would hold hundreds of megabytes. So those of the first block are as they were read, and those of
/// others are copied.
#[derive(Debug, Default)]
pub(super) struct Page {
    entries: Vec<Entry>,
    bytes: usize,
    /// Where in the file the block begins that the first is of.
    block: u64,
}

impl Page {
    /// Adds an entry of the block that begins at this byte.
    pub(super) fn add(&mut self, mut entry: Entry, block: u64) {
        let bytes = entry.bytes();
        if self.entries.is_empty() {
            self.block = block;
        } else if self.block != block && bytes < PAGE_BYTES {
            // A larger one fills the page, and is not kept.
            entry.detach();
        }
        self.bytes += bytes;
        self.entries.push(entry);
    }

    /// The database of its entries; `None` where there are none.
    pub(super) fn database(&self) -> Option<u8> {
        self.entries.first().map(|first| first.database)
    }

    /// Whether it is to be restored before there is another entry. `most`: entries that it may have.
    pub(super) fn is_full(&self, most: usize) -> bool {
        self.entries.len() >= most || self.bytes >= PAGE_BYTES
    }

    /// Its entries, and their bytes; none are left in it.
    pub(super) fn take(&mut self) -> (Vec<Entry>, usize) {
        let Self { entries, bytes, .. } = std::mem::take(self);
        (entries, bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::Page;
    use crate::backup::{Entry, Logical, Part, StreamGroup};
    use crate::model::{Packer, RedisKey};
    use bytes::Bytes;

    /// A block, and an entry that is all made of it.
    fn of(type_name: &'static str, logical: impl FnOnce(&Bytes) -> Logical) -> (Bytes, Entry) {
        let packed = [&b"1-1"[..], b"1", b"f", b"v"].into_iter().collect::<Packer>().finish();
        let block = Bytes::from([&packed[..], &vec![b'b'; 1 << 20]].concat());
        let entry = Entry {
            database: 3,
            key: RedisKey::new(block.slice(40..43)),
            type_name: type_name.into(),
            expires_at: None,
            part: Part::WHOLE,
            dump: Some(block.slice(50..90)),
            logical: Some(logical(&block.slice(..packed.len()))),
        };
        (block, entry)
    }

    fn all() -> Vec<(Bytes, Entry)> {
        let group = |block: &Bytes| StreamGroup {
            name: block.slice(4..6),
            last_id: "1-1".to_owned(),
            entries_read: None,
            consumers: vec![block.slice(5..7)],
            pending: Vec::new(),
        };
        vec![
            of("string", |block| Logical::Bytes(block.clone())),
            of("list", |block| Logical::Items(block.clone())),
            of("hash", |block| Logical::Hash { items: block.clone(), expiries: None }),
            of("stream", |block| Logical::Stream { entries: block.clone(), facts: None, groups: vec![group(block)] }),
        ]
    }

    #[test]
    fn a_page_keeps_no_more_than_one_block() {
        let mut page = Page::default();
        let (first, entry) = of("string", |block| Logical::Bytes(block.clone()));
        page.add(entry.clone(), 10);
        page.add(entry, 10);
        assert!(!first.is_unique(), "what is of one block is not copied");
        for (number, (block, entry)) in all().into_iter().enumerate() {
            let same = entry.clone();
            page.add(entry, 20 + number as u64);
            assert_eq!(page.entries.last(), Some(&same));
            drop(same);
            assert!(block.is_unique(), "{:?}", page.entries.last().map(|entry| &entry.type_name));
        }
        assert_eq!((page.database(), page.is_full(7), page.is_full(6)), (Some(3), false, true));
        let (entries, bytes) = page.take();
        assert_eq!((entries.len(), bytes), (6, entries.iter().map(Entry::bytes).sum()));
        assert_eq!((page.database(), page.bytes), (None, 0));
    }
}
