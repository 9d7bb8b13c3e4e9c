//! Made-up keys of every type, with bytes of every kind, and some that expire.

use crate::redis::Redis;
use crate::support::Random;
use std::time::{SystemTime, UNIX_EPOCH};

fn score(random: &mut Random) -> Vec<u8> {
    match random.below(8) {
        0 => b"inf".to_vec(),
        1 => b"-inf".to_vec(),
        2 => b"-0".to_vec(),
        3 => f64::from_bits(random.next()).to_string().replace("NaN", "0").into_bytes(),
        4 => format!("{:e}", f64::from_bits(random.next() >> 12 | 0x3FF0_0000_0000_0000) - 1.0).into_bytes(),
        5 => (random.next() as i64).to_string().into_bytes(),
        _ => format!("{}", random.below(1_000) as f64 / 10.0).into_bytes(),
    }
}

fn words(words: &[&[u8]]) -> Vec<Vec<u8>> {
    words.iter().map(|word| word.to_vec()).collect()
}

/// Now, in milliseconds.
pub(crate) fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Fills a database with so many keys, of all types in turn.
pub(crate) fn fill(redis: &mut Redis, random: &mut Random, keys: u64) {
    let mut commands = Vec::new();
    for number in 0..keys {
        let mut key = format!("{}:{number}:", ["string", "hash", "list", "set", "zset", "stream"][number as usize % 6])
            .into_bytes();
        key.extend(random.bytes(6));
        match number % 6 {
            0 => commands.push(vec![b"SET".to_vec(), key.clone(), random.bytes(300)]),
            1 => push(&mut commands, random, (b"HSET", &key), |random| vec![random.bytes(10), random.bytes(60)]),
            2 => push(&mut commands, random, (b"RPUSH", &key), |random| vec![random.bytes(40)]),
            3 => push(&mut commands, random, (b"SADD", &key), |random| vec![random.bytes(20)]),
            4 => push(&mut commands, random, (b"ZADD", &key), |random| vec![score(random), random.bytes(12)]),
            _ => stream(&mut commands, random, &key),
        }
        if random.below(3) == 0 {
            let at = now() + 3_600_000 + random.below(1 << 40) as i64;
            commands.push(words(&[b"PEXPIREAT", &key, at.to_string().as_bytes()]));
        }
    }
    redis.all(&commands);
}

fn push(
    commands: &mut Vec<Vec<Vec<u8>>>,
    random: &mut Random,
    (command, key): (&[u8], &[u8]),
    item: impl Fn(&mut Random) -> Vec<Vec<u8>>,
) {
    let mut all = words(&[command, key]);
    // Of some hundred items on a server keeps a collection in another way.
    let items = if random.below(6) == 0 { 700 } else { 1 + random.below(8) };
    (0..items).for_each(|_| all.extend(item(random)));
    commands.push(all);
}

/// A stream with entries, some deleted, groups, consumers and what is pending with them.
fn stream(commands: &mut Vec<Vec<Vec<u8>>>, random: &mut Random, key: &[u8]) {
    let entries = random.below(12);
    for number in 0..entries {
        let id = format!("{}-{}", 5 + number / 3, number % 3);
        let mut entry = words(&[b"XADD", key, id.as_bytes()]);
        (0..=random.below(3)).for_each(|_| entry.extend([random.bytes(8), random.bytes(30)]));
        commands.push(entry);
    }
    let groups = random.below(3);
    for number in 0..groups {
        let group = format!("group {number}").into_bytes();
        let from: &[u8] = if random.below(2) == 0 { b"0" } else { b"$" };
        commands.push(words(&[b"XGROUP", b"CREATE", key, &group, from, b"MKSTREAM"]));
        for consumer in 0..random.below(3) {
            let consumer = format!("consumer {consumer}").into_bytes();
            commands.push(words(&[b"XGROUP", b"CREATECONSUMER", key, &group, &consumer]));
            let count = random.below(4).to_string();
            if count != "0" {
                let read = [
                    b"XREADGROUP",
                    &b"GROUP"[..],
                    &group,
                    &consumer,
                    b"COUNT",
                    count.as_bytes(),
                    b"STREAMS",
                    key,
                    b">",
                ];
                commands.push(words(&read));
            }
        }
    }
    // Behind the reading: what is pending may be deleted.
    for number in 0..entries {
        if random.below(5) == 0 {
            commands.push(words(&[b"XDEL", key, format!("{}-{}", 5 + number / 3, number % 3).as_bytes()]));
        }
    }
    if entries == 0 && groups == 0 {
        commands.push(words(&[b"XADD", key, b"7-7", b"f", b"v"]));
        commands.push(words(&[b"XDEL", key, b"7-7"]));
    }
}
