//! A live writer beside the deletion: whatever it does, and whenever, nothing that it wrote last is lost.
//!
//! The writer learns with each of its writes, in the same transaction, what was there before and what is there after. So it knows at
//! any time what it wrote last. A key may be missing only where that is what was compared, or where the writer itself deleted
//! it or let it expire.

use super::talk::{Answer, Talk};
use super::{Always, server, tells_expire_time, unlinking};
use redis2pg::model::{ContentDigest, Packer, RedisKey, RedisType};
use redis2pg::sandbox::RedisOptions;
use redis2pg::source::redis::{Candidate, Content, RedisSource, SourceSettings, UnlinkOptions, UnlinkOutcome};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Writes that are made while keys are being deleted.
const INTERLEAVINGS: usize = 10_000;
const KEYS: usize = 160;
/// Type, time of expiry, and what the key holds, without an order where it has none.
const STATE: &str = "local t = redis.call('TYPE', KEYS[1]).ok local v = {} local k = KEYS[1] \
    if t == 'string' then v = { redis.call('GET', k) } elseif t == 'hash' then v = redis.call('HGETALL', k) \
    elseif t == 'list' then v = redis.call('LRANGE', k, 0, -1) elseif t == 'set' then v = redis.call('SMEMBERS', k) \
    elseif t == 'zset' then v = redis.call('ZRANGE', k, 0, -1, 'WITHSCORES') elseif t == 'stream' then \
    for _, entry in ipairs(redis.call('XRANGE', k, '-', '+')) do v[#v + 1] = entry[1] \
    v[#v + 1] = tostring(#entry[2] / 2) for _, word in ipairs(entry[2]) do v[#v + 1] = word end end end \
    return { t, redis.call('PEXPIRETIME', k), v }";

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % end as u64).unwrap()
    }
}

/// What a key holds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    redis_type: String,
    /// −1: never; −2: it is not there.
    at: i64,
    items: Vec<Vec<u8>>,
}

impl State {
    fn of(answer: Answer) -> Self {
        let mut parts = answer.many().into_iter();
        let (redis_type, at) = (parts.next().unwrap().text(), parts.next().unwrap().number());
        let bytes = |answer| match answer {
            Answer::Text(text) => text,
            other => panic!("{other:?}"),
        };
        let mut items: Vec<Vec<u8>> = parts.next().unwrap().many().into_iter().map(bytes).collect();
        match redis_type.as_str() {
            "set" => items.sort(),
            "hash" => {
                let mut pairs: Vec<_> = items.chunks(2).map(<[_]>::to_vec).collect();
                pairs.sort();
                items = pairs.concat();
            }
            _ => {}
        }
        Self { redis_type, at, items }
    }

    fn is_there(&self) -> bool {
        self.redis_type != "none"
    }

    fn has_expired(&self) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        self.at >= 0 && i128::from(self.at) <= i128::try_from(now).unwrap()
    }

    fn holds_as(&self, other: &Self) -> bool {
        self.redis_type == other.redis_type && self.items == other.items
    }
}

/// A key, what the deletion compares, and what the writer knows of it.
struct Subject {
    name: String,
    compared: State,
    timed: bool,
    known: State,
    touched: bool,
}

impl Subject {
    /// What was seen must be what was written last, or nothing where that was compared or has gone by itself.
    fn sees(&mut self, seen: State, history: impl Fn() -> String) {
        if seen != self.known {
            let compared = self.known.holds_as(&self.compared) && (!self.timed || self.known.at == self.compared.at);
            let may_be_missing = !self.known.is_there() || self.known.has_expired() || compared;
            assert!(
                !seen.is_there() && may_be_missing,
                "{}: {:?} was written last, {:?} compared (with expiry: {}), and {seen:?} is there\n{}",
                self.name,
                self.known,
                self.compared,
                self.timed,
                history()
            );
        }
        self.known = seen;
    }

    fn candidate(&self) -> Candidate {
        let redis_type = RedisType::named(&self.compared.redis_type);
        let content = match redis_type {
            RedisType::String => Content::Exact(self.compared.items[0].clone().into()),
            _ => {
                let packed = self.compared.items.iter().map(Vec::as_slice).collect::<Packer>().finish();
                Content::Digest(ContentDigest::of(redis_type, &packed))
            }
        };
        let at = (self.compared.at >= 0).then_some(self.compared.at);
        Candidate { key: RedisKey::new(self.name.clone()), redis_type, expires_at: self.timed.then_some(at), content }
    }
}

type Command = Vec<String>;

fn words(text: &str) -> Command {
    text.split(' ').map(str::to_owned).collect()
}

/// Makes a key of any type; sizes are such that some are kept in one piece by the server, and some not.
fn made(random: &mut Random, key: &str) -> Command {
    let count = [1, 3, 3, 200][random.below(4)];
    let value = random.below(3);
    let each = |text: &dyn Fn(usize) -> String| (0..count).map(text).collect::<Vec<_>>().join(" ");
    words(&match random.below(8) {
        0 => format!("HSET {key} {}", each(&|n| format!("f{n} {value}"))),
        1 => format!("RPUSH {key} {}", each(&|n| format!("{value}-{n}"))),
        2 => format!("SADD {key} {}", each(&|n| format!("{value}-{n}"))),
        3 => format!("ZADD {key} {}", each(&|n| format!("{n}.{value} m{n}"))),
        4 => format!("XADD {key} {}-1 f {value}", value + 1),
        _ => format!("SET {key} {}", value.to_string().repeat(count)),
    })
}

/// A random write: commands that are run in one transaction. Where they do not fit the key's type they fail.
fn write(random: &mut Random, subject: &Subject, original: &[Command], other: &str) -> Vec<Command> {
    let (key, value) = (subject.name.as_str(), random.below(3));
    let one = |text: String| vec![words(&text)];
    match random.below(16) {
        0 => one(format!("SET {key} {value}")),
        1 => one(format!("SET {key} {value} KEEPTTL")),
        2 => one(format!("APPEND {key} {value}")),
        3 => one(format!("DEL {key}")),
        4 => one(format!("UNLINK {key}")),
        5 => vec![words(&format!("DEL {key}")), made(random, key)],
        // Just what was compared, once more.
        6 | 7 => [vec![words(&format!("DEL {key}"))], original.to_vec()].concat(),
        8 => one(format!("PEXPIRE {key} {}", 1_000_000 + random.below(1_000))),
        9 => one(format!("PERSIST {key}")),
        10 => one(format!("PEXPIRE {key} {}", 1 + random.below(4))),
        11 => one(format!("PEXPIREAT {key} {}", subject.compared.at.max(1))),
        12 => one(format!("RENAME {key} {other}")),
        13 => vec![words(&format!("HSET {key} f0 {value}")), words(&format!("SADD {key} {value}-0"))],
        14 => vec![words(&format!("LSET {key} 0 {value}-0")), words(&format!("ZADD {key} 0.{value} m0"))],
        _ => vec![words(&format!("RPUSH {key} x")), words(&format!("XADD {key} * f x"))],
    }
}

fn state_of(key: &str) -> Command {
    vec!["EVAL".to_owned(), STATE.to_owned(), "1".to_owned(), key.to_owned()]
}

/// Keys as they are before a round, and the commands that made each.
fn prepared(random: &mut Random, redis: &mut Talk) -> (Vec<Subject>, Vec<Vec<Command>>) {
    redis.say(&["FLUSHALL"]);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let (mut subjects, mut originals) = (Vec::new(), Vec::new());
    for n in 0..KEYS {
        let name = format!("key:{n}");
        let mut original = vec![made(random, &name)];
        if random.below(2) == 0 {
            original.push(words(&format!("PEXPIREAT {name} {}", now + 1_000_000 + random.below(1_000) as u128)));
        }
        let mut commands = original.clone();
        commands.push(state_of(&name));
        let compared = State::of(redis.send(&commands).pop().unwrap());
        let (timed, known) = (random.below(4) > 0, compared.clone());
        subjects.push(Subject { name, compared, timed, known, touched: false });
        originals.push(original);
    }
    (subjects, originals)
}

/// How the writer and the deletion know of each other.
#[derive(Default)]
struct Beside {
    end: AtomicBool,
    writes: AtomicUsize,
}

/// Writes until it is told to end; gives back what it knows.
fn writing(
    mut random: Random,
    mut redis: Talk,
    (mut subjects, originals): (Vec<Subject>, Vec<Vec<Command>>),
    beside: &Beside,
) -> Vec<Subject> {
    let mut history: Vec<String> = Vec::new();
    while !beside.end.load(Ordering::SeqCst) {
        let (place, other) = (random.below(KEYS), random.below(KEYS));
        let names = [subjects[place].name.clone(), subjects[other].name.clone()];
        let writes = write(&mut random, &subjects[place], &originals[place], &names[1]);
        let states = || names.iter().map(|name| state_of(name));
        let mut commands = vec![words("MULTI")];
        commands.extend(states());
        commands.extend(writes.iter().cloned());
        commands.extend(states());
        commands.push(words("EXEC"));
        history.push(format!("{writes:?}"));
        let mut answers = redis.send(&commands).pop().unwrap().many();
        let mut after = answers.split_off(answers.len() - 2).into_iter().map(State::of);
        let mut before = answers.into_iter().take(2).map(State::of);
        let told = || {
            let of_them = |line: &&String| names.iter().any(|name| line.contains(&format!("\"{name}\"")));
            history.iter().filter(of_them).cloned().collect::<Vec<_>>().join("\n")
        };
        for subject in [place, other] {
            subjects[subject].sees(before.next().unwrap(), told);
        }
        for subject in [place, other] {
            subjects[subject].known = after.next().unwrap();
            subjects[subject].touched = true;
        }
        beside.writes.fetch_add(1, Ordering::SeqCst);
    }
    subjects
}

async fn interleaved(rights: &str) -> BTreeMap<&'static str, usize> {
    let given = std::env::var("REDIS2PG_TEST_SEED").ok().map(|text| text.parse().unwrap());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = given.unwrap_or_else(|| u64::from(now.subsec_nanos()));
    eprintln!("REDIS2PG_TEST_SEED={seed}");
    let server = server(RedisOptions { acl: vec![format!("u on >p ~* &* {rights}")], ..RedisOptions::default() });
    let url = format!("redis://u:p@127.0.0.1:{}", server.port());
    let source = RedisSource::connect(&SourceSettings::new(url), None).await.unwrap();
    let unlinker = source.unlinker(UnlinkOptions::default()).await.unwrap();
    let (mut random, mut redis) = (Random(seed), Talk::to(server.port()));
    let (mut writes, mut seen) = (0, BTreeMap::new());
    while writes < INTERLEAVINGS {
        let (subjects, originals) = prepared(&mut random, &mut redis);
        let candidates: Vec<Candidate> = subjects.iter().map(Subject::candidate).collect();
        let (own, talk) = (Random(random.below(usize::MAX) as u64), Talk::to(server.port()));
        let beside = Arc::new(Beside::default());
        let shared = beside.clone();
        let writer = thread::spawn(move || writing(own, talk, (subjects, originals), &shared));
        // Not always the same place of the writer.
        tokio::time::sleep(Duration::from_micros(random.below(2_000) as u64)).await;
        let before = beside.writes.load(Ordering::SeqCst);
        let outcomes = unlinking(&unlinker, &candidates, &Always).await.unwrap();
        writes += beside.writes.load(Ordering::SeqCst) - before;
        beside.end.store(true, Ordering::SeqCst);
        let mut subjects = writer.join().unwrap_or_else(|_| panic!("REDIS2PG_TEST_SEED={seed}"));
        for (subject, outcome) in subjects.iter_mut().zip(outcomes) {
            let left = State::of(redis.send(&[state_of(&subject.name)]).pop().unwrap());
            subject
                .sees(left.clone(), || format!("at the end of REDIS2PG_TEST_SEED={seed}; it was told as {outcome:?}"));
            if !subject.touched {
                assert_eq!((outcome, left.is_there()), (UnlinkOutcome::Deleted, false), "{}", subject.name);
            }
            let name = match (outcome, subject.touched) {
                (UnlinkOutcome::Deleted, false) => "deleted, untouched",
                (UnlinkOutcome::Deleted, true) => "deleted",
                (UnlinkOutcome::Changed, _) => "changed",
                (UnlinkOutcome::Retimed, _) => "retimed",
                (UnlinkOutcome::Gone, _) => "gone",
                (other, _) => panic!("{}: {other:?}, REDIS2PG_TEST_SEED={seed}", subject.name),
            };
            *seen.entry(name).or_insert(0) += 1;
        }
    }
    eprintln!("{writes} writes: {seen:?}");
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_was_written_last_is_lost() {
    if !tells_expire_time() {
        // The writer could not say what it wrote last.
        return;
    }
    for rights in ["+@all", "+@all -eval"] {
        let seen = interleaved(rights).await;
        for outcome in ["deleted", "changed", "retimed", "gone"] {
            assert!(seen.get(outcome).is_some_and(|count| *count > 20), "{outcome}: {seen:?}");
        }
    }
}
