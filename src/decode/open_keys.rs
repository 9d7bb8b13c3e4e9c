//! Whether any object of a text may have a key twice, found out while the text is scanned.
//!
//! A guess that errs on one side only: where it says no, no key is there twice. It keeps a mark of each key of the objects
//! that are open, in fixed room, since it is asked of every value; where it says yes, the text is looked at again.

/// Keys of all open objects together, and levels, of which marks are kept. Beyond them the answer is always yes.
const ROOM: usize = 128;
const LEVELS: usize = 32;

pub(super) struct OpenKeys {
    marks: [u32; ROOM],
    used: usize,
    /// For each level, where the marks of its object start.
    starts: [u8; LEVELS],
    may_repeat: bool,
}

impl Default for OpenKeys {
    fn default() -> Self {
        Self { marks: [0; ROOM], used: 0, starts: [0; LEVELS], may_repeat: false }
    }
}

impl OpenKeys {
    pub(super) fn may_repeat(&self) -> bool {
        self.may_repeat
    }

    /// An object begins on that level, counted from 0 at the top.
    #[inline]
    pub(super) fn open(&mut self, level: usize) {
        if let Some(start) = self.starts.get_mut(level) {
            // No more than the room for marks.
            *start = self.used as u8;
        }
    }

    /// A key of the object on that level, as it is written between its quotes.
    #[inline]
    pub(super) fn add(&mut self, level: usize, key: &[u8], escaped: bool) {
        if self.may_repeat {
            return;
        }
        let mark = mark(key);
        let known = self.starts.get(level).and_then(|start| self.marks.get(usize::from(*start)..self.used));
        match (known, self.used < ROOM && !escaped) {
            (Some(known), true) if !known.contains(&mark) => {
                self.marks[self.used] = mark;
                self.used += 1;
            }
            _ => self.may_repeat = true,
        }
    }

    /// The object on that level ends.
    #[inline]
    pub(super) fn close(&mut self, level: usize) {
        if let Some(start) = self.starts.get(level) {
            self.used = usize::from(*start);
        }
    }
}

/// Equal keys have equal marks; others seldom do.
#[inline]
fn mark(key: &[u8]) -> u32 {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let (head, tail) = match (key.first_chunk::<8>(), key.last_chunk::<8>()) {
        (Some(head), Some(tail)) => (u64::from_le_bytes(*head), u64::from_le_bytes(*tail)),
        _ => (key.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)), 0),
    };
    let word = (head ^ tail.rotate_left(23) ^ key.len() as u64).wrapping_mul(ODD);
    (word >> 32) as u32
}
