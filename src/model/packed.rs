//! The items of a collection, packed into one run of bytes: so it is held, hashed and kept with a reject like a string.
//!
//! Each item is its length as a big-endian `u32` and its bytes. What the items are is for the type to say: of a hash
//! field and value in turn, sorted by field; of a set the members, sorted; of a sorted set member and score in turn,
//! sorted by score, then by member; of a list the elements; of a stream for each entry its id, the number of its
//! fields, and field and value in turn.

use bytes::Bytes;

/// Packs items.
#[derive(Debug, Default)]
pub struct Packer(Vec<u8>);

impl Packer {
    /// Appends an item. Redis's own limit for one is 512 MB.
    pub fn push(&mut self, item: &[u8]) {
        self.0.extend_from_slice(&(item.len() as u32).to_be_bytes());
        self.0.extend_from_slice(item);
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no item yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The packed items.
    pub fn finish(self) -> Bytes {
        self.0.into()
    }
}

impl<'a> FromIterator<&'a [u8]> for Packer {
    fn from_iter<I: IntoIterator<Item = &'a [u8]>>(items: I) -> Self {
        let mut packer = Self::default();
        items.into_iter().for_each(|item| packer.push(item));
        packer
    }
}

/// Reads packed items; ends where what is left is no whole item.
#[derive(Clone, Copy, Debug)]
pub struct Items<'a>(&'a [u8]);

impl<'a> Items<'a> {
    /// The items of a packed collection.
    pub fn of(packed: &'a [u8]) -> Self {
        Self(packed)
    }

    /// The items that are left, packed.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// The items in twos; an odd one at the end is left out.
    pub fn pairs(mut self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + Clone {
        std::iter::from_fn(move || self.next().zip(self.next()))
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk::<4>()?;
        let (item, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        self.0 = rest;
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::{Items, Packer};

    #[test]
    fn items_come_back_as_they_were() {
        let items = [&b"a"[..], b"", b"\0\xff", b"last"];
        let packed = items.into_iter().collect::<Packer>().finish();
        assert_eq!(Items::of(&packed).collect::<Vec<_>>(), items);
        assert_eq!(Items::of(&packed).pairs().count(), 2);
        assert_eq!(Items::of(&packed[..packed.len() - 1]).count(), 3, "a torn item is none");
    }
}
