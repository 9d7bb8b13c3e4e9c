//! A row ready for COPY: from mapping on, a row is its bytes.

use super::{Digest, Group, KeyFacts, Losses, Record, RedisKey, RedisType, Stored, UnixMillis};
use bytes::Bytes;
use std::sync::Arc;

/// Which of a mapping's columns a row has a value for: bit `i` stands for the mapping's column `i`.
///
/// A field that the record does not have is absent (the column's default applies on insert, and an update leaves it
/// alone), which is not the same as NULL. The mapping's key columns come first and are always present.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Shape(pub u64);

impl Shape {
    /// Whether column `index` of the mapping is present.
    pub fn has(self, index: usize) -> bool {
        self.0 >> index & 1 == 1
    }

    /// The columns present, by their places.
    pub fn places(self) -> impl Iterator<Item = usize> {
        (0..u64::BITS as usize).filter(move |index| self.has(*index))
    }

    /// How many columns are present.
    pub fn columns(self) -> u32 {
        self.0.count_ones()
    }
}

/// A long piece of a field that stays where it was read: a part of the row's value. JSON that goes in as it is would
/// else be held, and copied, twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Splice {
    /// Where in [`Row::fields`] it belongs; always the end of a field.
    pub at: u32,
    /// Its first byte in [`Row::value`], or in the file of [`Row::stored`].
    pub start: u32,
    /// Its length.
    pub len: u32,
}

/// Where a field is.
struct FieldPlace {
    /// The first byte of its length.
    start: usize,
    /// The first byte behind it.
    end: usize,
    is_null: bool,
    /// Whether a part of it is elsewhere.
    is_spliced: bool,
}

/// A mapped row.
#[derive(Clone, Debug)]
pub struct Row {
    /// The Redis key that it came from.
    pub key: RedisKey,
    /// The key's type.
    pub redis_type: RedisType,
    /// The value as read, kept until the row is committed for the case that the server rejects it.
    pub value: Bytes,
    /// A large value, where it was set aside in a file while it was read; `value` is empty then.
    pub stored: Option<Arc<Stored>>,
    /// When Redis will expire the key, as far as it was asked for; for the case that the server rejects the row.
    pub expires_at: Option<UnixMillis>,
    /// What else was read of the key, for the same case; `None` where it is one of several rows: its group has it.
    pub facts: Option<Arc<KeyFacts>>,
    /// The digest of the value.
    pub digest: Digest,
    /// The columns present.
    pub shape: Shape,
    /// The present columns in the mapping's order, each as COPY's binary format wants it: a big-endian `i32` length
    /// (−1 for NULL), then the bytes. The tuple's leading column count is not part of it, nor is `splice`.
    pub fields: Bytes,
    /// What is to be put into `fields`; never in a key column.
    pub splice: Option<Splice>,
    /// How many bytes at the start of `fields` are the key columns.
    pub key_len: u32,
    /// The reading of the key that it is one of several rows of; `None` where the key is one row.
    pub group: Option<Arc<Group>>,
    /// Its element's place in the key, from 0; 0 where the key is one row.
    pub element: u64,
    /// In a rehearsal, for each of its parents in the mapping's order: the keys that it may have; none where the row
    /// refers to none.
    pub parent_keys: Vec<Vec<RedisKey>>,
    /// The repairs that were made on the way, by name.
    pub altered: Vec<&'static str>,
    /// Of a plan that tells losses: the columns that do not give back what the value says.
    pub losses: Losses,
}

impl Row {
    /// The encoded key columns. Equal for two rows exactly when they are the same row of the table.
    pub fn identity(&self) -> &[u8] {
        self.fields.get(..self.key_len as usize).unwrap_or(&self.fields)
    }

    /// Whether it is made from a value that the ledger kept: the key has gone from Redis.
    pub fn is_from_ledger(&self) -> bool {
        let own = self.facts.as_ref().is_some_and(|facts| facts.from_ledger);
        own || self.group.as_ref().is_some_and(|group| group.is_from_ledger())
    }

    /// The key as it was read; `None` where the row is one of several of it.
    pub fn into_record(self) -> Option<Record> {
        let Self { key, redis_type, value, stored, expires_at, facts, group, .. } = self;
        group.is_none().then_some(Record { key, redis_type, value, stored, slice: None, expires_at, facts })
    }

    /// The length of the encoded fields, the spliced piece included.
    pub fn encoded_len(&self) -> usize {
        self.fields.len() + self.splice.map_or(0, |splice| splice.len as usize)
    }

    /// The encoded fields before the spliced piece and behind it; all of them before it where there is none.
    pub fn around_splice(&self) -> (&[u8], &[u8]) {
        let at = self.splice.map(|splice| splice.at as usize);
        at.and_then(|at| self.fields.split_at_checked(at)).unwrap_or((&self.fields, &[]))
    }

    /// The spliced piece, as far as it is in memory.
    pub fn spliced(&self) -> &[u8] {
        let place = self.splice.map(|splice| splice.start as usize..splice.start as usize + splice.len as usize);
        place.and_then(|place| self.value.get(place)).unwrap_or_default()
    }

    /// The bytes of column `index` of the mapping; `None` where it is NULL or absent, or long enough to be spliced.
    pub fn field(&self, index: usize) -> Option<&[u8]> {
        let place = self.place_of(index).filter(|place| !place.is_null && !place.is_spliced)?;
        self.fields.get(place.start + 4..place.end)
    }

    /// Where in `fields` column `index` of the mapping is; `None` where it is absent.
    fn place_of(&self, index: usize) -> Option<FieldPlace> {
        let mut start = 0;
        for present in (0..=index).filter(|column| self.shape.has(*column)) {
            let place = self.place_at(start)?;
            if present == index {
                return Some(place);
            }
            start = place.end;
        }
        None
    }

    /// The field that begins at this byte of `fields`.
    fn place_at(&self, start: usize) -> Option<FieldPlace> {
        let length = i32::from_be_bytes(*self.fields.get(start..)?.first_chunk::<4>()?);
        let end = start + 4 + usize::try_from(length).unwrap_or(0);
        // The spliced piece counts in its field's length, and is not there.
        let spliced = self.splice.filter(|splice| (start + 4..=end).contains(&(splice.at as usize)));
        let end = end - spliced.map_or(0, |splice| splice.len as usize);
        Some(FieldPlace { start, end, is_null: length < 0, is_spliced: spliced.is_some() })
    }

    /// The encoded fields as a table of these columns takes them, NULL for each that is absent, and whether the spliced
    /// piece belongs behind it. `columns`: those of the row, and perhaps others.
    pub fn fields_among(&self, columns: Shape) -> impl Iterator<Item = (&[u8], bool)> {
        const NULL: &[u8] = &(-1_i32).to_be_bytes();
        let mut start = 0;
        (0..u64::BITS as usize).filter(move |index| columns.has(*index)).map(move |index| {
            if !self.shape.has(index) {
                return (NULL, false);
            }
            let place = self.place_at(start);
            let field = place.as_ref().and_then(|place| self.fields.get(place.start..place.end));
            start = place.as_ref().map_or(start, |place| place.end);
            (field.unwrap_or_default(), place.is_some_and(|place| place.is_spliced))
        })
    }

    /// Puts another field, with its length before it, in the place of column `index`; `false` where the row does not have the
    /// column, or it is the spliced one.
    pub fn replace_field(&mut self, index: usize, field: &[u8]) -> bool {
        let Some(FieldPlace { start, end, .. }) = self.place_of(index).filter(|place| !place.is_spliced) else {
            return false;
        };
        let (Some(head), Some(tail)) = (self.fields.get(..start), self.fields.get(end..)) else { return false };
        let fields = [head, field, tail].concat();
        if let Some(splice) = self.splice.as_mut().filter(|splice| splice.at as usize >= end) {
            splice.at = (splice.at as usize + field.len() - (end - start)) as u32;
        }
        self.fields = fields.into();
        true
    }

    /// Bytes held by the row: the key, the source value, its dump, the encoded fields and the row's own frame.
    pub fn memory(&self) -> usize {
        let dump = self.facts.as_ref().and_then(|facts| facts.dump.as_ref()).map_or(0, Bytes::len);
        self.key.as_bytes().len() + self.value.len() + dump + self.fields.len() + std::mem::size_of::<Self>()
    }
}

#[cfg(test)]
mod tests {
    use super::{Row, Shape, Splice};
    use crate::model::{Digest, Losses, RedisKey, RedisType};
    use bytes::Bytes;

    #[test]
    fn a_spliced_row_reads_as_if_it_were_whole() {
        // Columns 0 (one byte), 1 (absent), 2 (three bytes, two of them spliced), 3 (NULL) and 4 (one byte).
        let row = Row {
            key: RedisKey::new("k"),
            redis_type: RedisType::String,
            value: Bytes::from_static(b"0xy3"),
            stored: None,
            expires_at: None,
            facts: None,
            digest: Digest::default(),
            shape: Shape(0b11101),
            fields: Bytes::from_static(b"\0\0\0\x01a\0\0\0\x03b\xff\xff\xff\xff\0\0\0\x01c"),
            splice: Some(Splice { at: 10, start: 1, len: 2 }),
            key_len: 5,
            group: None,
            element: 0,
            parent_keys: Vec::new(),
            altered: Vec::new(),
            losses: Losses::default(),
        };
        let (head, tail) = row.around_splice();
        let encoded = [head, row.spliced(), tail].concat();
        assert_eq!(encoded, b"\0\0\0\x01a\0\0\0\x03bxy\xff\xff\xff\xff\0\0\0\x01c");
        assert_eq!(row.encoded_len(), encoded.len());
        let fields: Vec<_> = (0..6).map(|index| row.field(index)).collect();
        assert_eq!(fields, [Some(&b"a"[..]), None, None, None, Some(b"c"), None]);
        let among = |columns| row.fields_among(Shape(columns)).collect::<Vec<_>>();
        let (a, spliced, null, c): (&[u8], &[u8], &[u8], &[u8]) =
            (b"\0\0\0\x01a", b"\0\0\0\x03b", b"\xff\xff\xff\xff", b"\0\0\0\x01c");
        assert_eq!(among(0b11101), [(a, false), (spliced, true), (null, false), (c, false)]);
        let wide = [(a, false), (null, false), (spliced, true), (null, false), (c, false), (null, false)];
        assert_eq!(among(1 << 63 | 0b11111), wide);
    }

    #[test]
    fn a_field_that_is_replaced_leaves_the_others_and_the_splice_in_their_places() {
        let row = Row {
            key: RedisKey::new("k"),
            redis_type: RedisType::String,
            value: Bytes::from_static(b"0xy3"),
            stored: None,
            digest: Digest::default(),
            shape: Shape(0b1111),
            fields: Bytes::from_static(b"\0\0\0\x01a\xff\xff\xff\xff\0\0\0\x03b\0\0\0\x01c"),
            splice: Some(Splice { at: 14, start: 1, len: 2 }),
            key_len: 5,
            group: None,
            element: 0,
            expires_at: None,
            facts: None,
            parent_keys: Vec::new(),
            altered: Vec::new(),
            losses: Losses::default(),
        };
        let whole = |row: &Row| {
            let (head, tail) = row.around_splice();
            [head, row.spliced(), tail].concat()
        };
        let mut before = row.clone();
        assert!(before.replace_field(1, b"\0\0\0\x02qq"));
        assert_eq!(whole(&before), b"\0\0\0\x01a\0\0\0\x02qq\0\0\0\x03bxy\0\0\0\x01c");
        let mut behind = row.clone();
        assert!(behind.replace_field(3, b"\xff\xff\xff\xff"));
        assert_eq!(whole(&behind), b"\0\0\0\x01a\xff\xff\xff\xff\0\0\0\x03bxy\xff\xff\xff\xff");
        let mut spliced = row.clone();
        assert!(!spliced.replace_field(2, b"\0\0\0\0") && !spliced.replace_field(4, b"\0\0\0\0"));
        assert_eq!(whole(&spliced), whole(&row));
    }
}
