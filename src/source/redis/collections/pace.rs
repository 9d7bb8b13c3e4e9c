//! How many items the next slice is asked for, by those that came so far.
//!
//! Redis tells no lengths of items beforehand, and a list may be short words first and megabytes behind them. So the number grows by
//! steps, each by what was seen then.

use crate::model::RedisType;
use bytes::Bytes;

/// Items of the first slice, before it is known how large they are.
const FIRST: usize = 8;
/// By how much a slice may have more items than the one before.
const GROWTH: usize = 4;
/// As many slices' bytes it would be at most, were all items of a slice as large as the largest of the one before. No less, or a few
/// large items among small ones would make many questions of one.
const SKEW: usize = 16;

/// How many items, or bytes of a string, a slice is asked for. An item is what a command counts: an entry of a stream with all of
/// its fields, a field of a hash with its value, a member of a sorted set with its score.
#[derive(Debug)]
pub(in crate::source::redis) struct Pace {
    redis_type: RedisType,
    /// Bytes that a slice is to have, about, and items at most.
    bytes: usize,
    most: usize,
    count: usize,
}

impl Pace {
    /// For slices of about so many bytes, and so many items at most. Of a string each slice has `piece` bytes.
    pub(in crate::source::redis) fn new(redis_type: RedisType, (bytes, most): (usize, usize), piece: usize) -> Self {
        let count = if redis_type == RedisType::String { piece } else { FIRST };
        Self { redis_type, bytes, most, count }
    }

    /// The same, with so many items in the first slice: where it is known of all of them that they are not many bytes.
    pub(in crate::source::redis) fn beginning_with(self, items: usize) -> Self {
        let count = if self.redis_type == RedisType::String { self.count } else { items.min(self.most) };
        Self { count, ..self }
    }

    /// What the next slice is asked for.
    pub(in crate::source::redis) fn count(&self) -> usize {
        self.count
    }

    /// Takes note of what a slice had, as the packed form has it.
    pub(in crate::source::redis) fn saw(&mut self, items: &[Bytes]) {
        if self.redis_type == RedisType::String {
            return;
        }
        let (mut count, mut bytes, mut largest) = (0_usize, 0_usize, 1);
        for size in sizes(self.redis_type, items) {
            count += 1;
            bytes += size;
            largest = size.max(largest);
        }
        let by_all = self.bytes / (bytes / count.max(1)).max(1);
        let by_largest = SKEW * self.bytes / largest;
        self.count = by_all.min(by_largest).min(GROWTH * self.count).clamp(1, self.most);
    }
}

/// The bytes of each item that a command counts, packed.
fn sizes(redis_type: RedisType, items: &[Bytes]) -> impl Iterator<Item = usize> {
    let mut rest = items;
    std::iter::from_fn(move || {
        let parts = match redis_type {
            RedisType::Hash | RedisType::Zset => 2,
            RedisType::Stream => 2 + 2 * fields(rest.get(1)),
            _ => 1,
        };
        let (item, behind) = rest.split_at(parts.min(rest.len()));
        rest = behind;
        (!item.is_empty()).then(|| item.iter().map(|part| part.len() + 4).sum())
    })
}

/// How many fields an entry of a stream has.
fn fields(count: Option<&Bytes>) -> usize {
    count.and_then(|count| std::str::from_utf8(count).ok()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{FIRST, Pace};
    use crate::model::RedisType;
    use bytes::Bytes;

    const SLICE: usize = 512 << 10;

    fn pace(redis_type: RedisType) -> Pace {
        Pace::new(redis_type, (SLICE, 5_000), 1 << 20)
    }

    /// What is asked for behind slices of these items.
    fn behind(redis_type: RedisType, items: &[Bytes]) -> usize {
        let mut pace = pace(redis_type);
        (0..6).for_each(|_| pace.saw(items));
        pace.count()
    }

    fn part(bytes: usize) -> Bytes {
        Bytes::from(vec![b'x'; bytes - 4])
    }

    #[test]
    fn a_slice_has_as_many_bytes_whatever_an_item_is_made_of() {
        let pair = [part(1 << 10), part(1 << 10)];
        let pairs: Vec<Bytes> = std::iter::repeat_n(pair, 64).flatten().collect();
        for (redis_type, count) in [(RedisType::List, 512), (RedisType::Set, 512)] {
            assert_eq!(behind(redis_type, &pairs), count, "{redis_type:?}");
        }
        for redis_type in [RedisType::Hash, RedisType::Zset] {
            assert_eq!(behind(redis_type, &pairs), 256, "{redis_type:?}");
        }
        // 500 fields of 8 bytes and their values: 8,000 bytes, and the id.
        let entry = [&[Bytes::from("1-1"), Bytes::from("500")][..], &vec![part(8); 1_000]].concat();
        let entries: Vec<Bytes> = std::iter::repeat_n(entry, 64).flatten().collect();
        assert_eq!(behind(RedisType::Stream, &entries), SLICE / 8_014);
    }

    #[test]
    fn a_slice_has_no_many_times_the_items_of_the_one_before() {
        let mut pace = pace(RedisType::List);
        let mut counts = Vec::new();
        for _ in 0..7 {
            counts.push(pace.count());
            pace.saw(&vec![part(10); pace.count()]);
        }
        // The items of any large list are seen in few more questions than the fewest that there are.
        assert_eq!(counts, [8, 32, 128, 512, 2_048, 5_000, 5_000]);
        // A slice without any item says nothing of the next.
        let mut pace = Pace::new(RedisType::Set, (SLICE, 5_000), 1 << 20);
        pace.saw(&[]);
        assert_eq!(pace.count(), 32);
    }

    #[test]
    fn one_large_item_among_small_ones_is_heeded_and_no_more() {
        let mut some = vec![part(10); 5_000];
        some[4_000] = part(10 << 10);
        // By all of them, 5,000 would be asked for.
        assert_eq!(behind(RedisType::List, &some), 819);
        some[4_000] = part(1 << 20);
        assert_eq!(behind(RedisType::List, &some), 8);
        let mut pace = pace(RedisType::List);
        pace.saw(&some);
        pace.saw(&vec![part(10); 8]);
        assert_eq!(pace.count(), 32);
    }

    #[test]
    fn a_string_comes_in_pieces_of_one_length() {
        let mut pace = pace(RedisType::String);
        pace.saw(&[part(5)]);
        assert_eq!(pace.count(), 1 << 20);
        assert_eq!(behind(RedisType::List, &[part(1 << 20)]), 1);
        assert_eq!(super::sizes(RedisType::Stream, &[Bytes::from("1-1"), Bytes::from("9")]).count(), 1);
        assert_eq!(pace_of_nothing(), FIRST);
    }

    fn pace_of_nothing() -> usize {
        pace(RedisType::Set).count()
    }
}
