//! Items as they came become the packed form: in an order that is the same every time, each once.
//!
//! A cursor may give an item twice, and the order of a hash or set is the server's own business: its digest must not
//! depend on either.

use crate::model::{Packer, RedisType};
use bytes::Bytes;

/// Packs the items of a whole collection.
pub(super) fn pack(redis_type: RedisType, items: Vec<Bytes>) -> Bytes {
    let packer: Packer = match redis_type {
        RedisType::Hash => in_order(pairs(items, |(field, _), (other, _)| field.cmp(other))),
        RedisType::Zset => {
            let mut members = pairs(items, |(member, _), (other, _)| member.cmp(other));
            members.sort_by(|(_, a), (_, b)| score(a).total_cmp(&score(b)));
            in_order(members)
        }
        RedisType::Set => {
            let mut members = items;
            members.sort_unstable();
            members.dedup();
            return collect(members);
        }
        _ => return collect(items),
    };
    packer.finish()
}

/// Sorted, each name once: of several sightings the last.
fn pairs(items: Vec<Bytes>, by_name: impl Fn(&Pair, &Pair) -> std::cmp::Ordering) -> Vec<Pair> {
    let mut items = items.into_iter();
    let mut pairs: Vec<Pair> = std::iter::from_fn(|| items.next().zip(items.next())).collect();
    // Stable: the later sighting stays behind the earlier one.
    pairs.sort_by(&by_name);
    pairs.dedup_by(|later, earlier| {
        let same = later.0 == earlier.0;
        if same {
            earlier.1 = std::mem::take(&mut later.1);
        }
        same
    });
    pairs
}

type Pair = (Bytes, Bytes);

fn in_order(pairs: Vec<Pair>) -> Packer {
    let mut packer = Packer::default();
    for (name, value) in &pairs {
        packer.push(name);
        packer.push(value);
    }
    packer
}

fn collect(items: Vec<Bytes>) -> Bytes {
    items.iter().map(|item| item.as_ref()).collect::<Packer>().finish()
}

/// Redis writes scores as C's `%.17g` does, and the infinities as `inf` and `-inf`.
fn score(text: &[u8]) -> f64 {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::pack;
    use crate::model::{Items, RedisType};
    use bytes::Bytes;

    fn packed(redis_type: RedisType, items: &[&'static str]) -> Vec<String> {
        let packed = pack(redis_type, items.iter().map(|item| Bytes::from_static(item.as_bytes())).collect());
        Items::of(&packed).map(|item| String::from_utf8_lossy(item).into_owned()).collect()
    }

    #[test]
    fn what_a_cursor_gives_twice_is_there_once_and_the_order_is_always_the_same() {
        assert_eq!(packed(RedisType::Hash, &["b", "1", "a", "2", "b", "3"]), ["a", "2", "b", "3"]);
        assert_eq!(packed(RedisType::Set, &["y", "x", "y"]), ["x", "y"]);
        assert_eq!(
            packed(RedisType::Zset, &["m", "inf", "b", "2", "a", "10", "c", "2", "m", "-inf"]),
            ["m", "-inf", "b", "2", "c", "2", "a", "10"]
        );
        assert_eq!(packed(RedisType::List, &["y", "x", "y"]), ["y", "x", "y"]);
    }
}
