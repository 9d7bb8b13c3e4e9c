//! Every type, there and back: contents, order, scores and times as they were.

use crate::Place;
use crate::data;
use crate::redis::{Held, assert_same, held};
use crate::support::{Random, seed};
use std::collections::BTreeMap;

/// Backs up, empties the database, restores, and compares key by key.
#[track_caller]
fn there_and_back(place: &Place, all_args: &[&[&str]], blur: impl Fn(&mut BTreeMap<Vec<u8>, Held>)) {
    let mut redis = place.redis();
    let mut before = held(&mut redis);
    let keys = before.len() as u64;
    place.backup();
    blur(&mut before);
    for args in all_args {
        redis.say("FLUSHDB");
        let done = place.restore(args).exits(0);
        assert_eq!((done.count("restored"), done.count("matched")), (keys, keys), "{}", done.stdout);
        let mut now = held(&mut redis);
        blur(&mut now);
        assert_same(&now, &before);
        // Once more: all is there.
        let again = place.restore(args).exits(0);
        assert_eq!((again.count("equal"), again.count("restored")), (keys, 0), "{}", again.stdout);
    }
}

#[test]
fn keys_of_all_types_come_back_by_their_dumps() {
    let place = Place::new();
    data::fill(&mut place.redis(), &mut Random(seed()), 600);
    there_and_back(&place, &[&[]], |_| ());
}

#[test]
fn keys_of_all_types_come_back_by_their_logical_form() {
    let place = Place::new();
    data::fill(&mut place.redis(), &mut Random(seed()), 600);
    there_and_back(&place, &[&["--logical"]], |_| ());
}

/// Values that are too large for a dump, or for one command.
fn fill_large(place: &Place, random: &mut Random) {
    let mut redis = place.redis();
    let mut commands = Vec::new();
    let word = |text: &str| text.as_bytes().to_vec();
    // Beyond 16 MiB there is no dump; between that and 256 KiB there is one, and a value made by commands takes several.
    for (size, count) in [("large", 40_000_u64), ("medium", 2_000)] {
        let name = |kind: &str| format!("{size}:{kind}").into_bytes();
        for piece in 0..count / 100 {
            let mut each = ["HSET", "RPUSH", "SADD", "ZADD"].map(|command| vec![word(command)]);
            for (command, kind) in each.iter_mut().zip(["hash", "list", "set", "zset"]) {
                command.push(name(kind));
            }
            for item in 0..100 {
                let item = format!("{}:{}", piece * 100 + item, "x".repeat(500)).into_bytes();
                each[0].extend([item.clone(), random.bytes(20)]);
                each[1].push(item.clone());
                each[2].push(item.clone());
                each[3].extend([random.below(1 << 40).to_string().into_bytes(), item]);
            }
            commands.extend(each);
            let id = format!("{}-1", piece + 1).into_bytes();
            commands.push(vec![word("XADD"), name("stream"), id, word("f"), vec![b'v'; 50_000]]);
        }
        commands.push(vec![word("SET"), name("string"), (0..count * 600).map(|_| random.next() as u8).collect()]);
        commands.push(vec![word("XGROUP"), word("CREATE"), name("stream"), word("g"), word("0")]);
        let read = ["XREADGROUP", "GROUP", "g", "c", "COUNT", "7", "STREAMS"].map(word);
        commands.push([&read[..], &[name("stream"), word(">")]].concat());
        let at = (data::now() + 10_000_000).to_string().into_bytes();
        commands.extend(["hash", "string"].map(|kind| vec![word("PEXPIREAT"), name(kind), at.clone()]));
    }
    redis.all(&commands);
}

#[test]
fn large_values_come_back_in_parts_and_nothing_else_is_left_behind() {
    let place = Place::new();
    fill_large(&place, &mut Random(seed()));
    // When something was handed out is measured of a large stream, not told.
    there_and_back(&place, &[&[], &["--logical"]], |held| {
        for (key, entries) in [("large:stream", 400), ("medium:stream", 20)] {
            held.get_mut(key.as_bytes()).unwrap().items.truncate(entries);
        }
    });
}

#[test]
fn what_is_pending_and_was_deleted_or_trimmed_is_pending_again() {
    let place = Place::new();
    let mut redis = place.redis();
    for (key, id) in [("deleted", 3), ("trimmed", 3), ("empty", 3), ("plain", 3)] {
        (1..=9).for_each(|entry| drop(redis.say(&format!("XADD {key} {entry}-{id} f v{entry}"))));
        redis.say(&format!("XGROUP CREATE {key} g 0"));
        redis.say(&format!("XREADGROUP GROUP g c COUNT 6 STREAMS {key} >"));
    }
    redis.say("XDEL deleted 2-3 4-3 9-3");
    redis.say("XTRIM trimmed MINID 3-3");
    redis.say("XTRIM empty MAXLEN 0");
    there_and_back(&place, &[&["--logical"], &[]], |_| ());
}
