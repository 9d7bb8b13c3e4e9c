//! A value that is made again by ordinary commands, under a name of its own that expires by itself, and is moved to its key
//! once it is whole.
//!
//! Each piece is one transaction, which also says how long the value is now: had the name expired in between, or been
//! evicted, the next piece would begin it anew, and nobody would see that the beginning is missing.

use super::line::Command;
use super::stream::StreamBuild;
use crate::backup::{Entry, Logical};
use crate::model::{Items, Packer, RedisType, UnixMillis};
use bytes::{Bytes, BytesMut};
use fred::types::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

/// What names begin with under which values are built.
pub(super) const BUILDING: &str = "redis2pg:restore:";
/// How many milliseconds such a name lives after its last piece: nothing is left behind by a process that was killed.
const LIFE: &str = "3600000";
/// Arguments of one command, about.
const ARGS: usize = 1_000;
/// Bytes of one command, about.
const BYTES: usize = 512 << 10;

/// A value that is being built.
pub(super) struct Building {
    name: Bytes,
    redis_type: RedisType,
    length: i64,
    stream: StreamBuild,
    /// The text of a document so far: it is set as a whole.
    text: BytesMut,
}

/// Commands that belong into one transaction.
pub(super) struct Piece {
    pub(super) commands: Vec<Command>,
    /// How many of them add something; the others are about the name itself.
    adding: usize,
}

impl Building {
    /// One of which nothing is there yet.
    pub(super) fn new(redis_type: RedisType, stream: StreamBuild) -> Self {
        let name = format!("{BUILDING}{}", Uuid::new_v4()).into();
        Self { name, redis_type, length: 0, stream, text: BytesMut::new() }
    }

    /// What a part of the value takes. `now`, by the server's clock: fields whose time is past are left out.
    pub(super) fn piece(&mut self, part: &Entry, now: UnixMillis) -> Piece {
        let name = self.name();
        let mut commands = match &part.logical {
            None => Vec::new(),
            Some(Logical::Bytes(text)) if self.redis_type == RedisType::Json => self.document(text, part.part.last),
            Some(Logical::Bytes(bytes)) => {
                let first = self.length == 0 && part.part.is_first();
                vec![Command::new(if first { "SET" } else { "APPEND" }, [name, Value::Bytes(bytes.clone())])]
            }
            Some(Logical::Items(items)) => self.items(items),
            Some(Logical::Hash { items, expiries }) => fields(&name, items, expiries.as_deref(), now),
            Some(Logical::Stream { entries, facts, groups }) => {
                self.stream.commands(&name, (entries, facts.as_ref(), groups), part.part)
            }
        };
        let adding = commands.len();
        if adding > 0 {
            commands.push(Command::new("PEXPIRE", [self.name(), LIFE.into()]));
            commands.push(Command::new(length_of(self.redis_type), [self.name()]));
        }
        Piece { commands, adding }
    }

    /// Takes note of the answers to a piece; whether the value is as long as it must be now, and each field has its time.
    pub(super) fn added(&mut self, piece: &Piece, answers: &[Value]) -> bool {
        let mut timed = true;
        for (command, answer) in piece.commands.iter().take(piece.adding).zip(answers) {
            let second = || command.args.get(1).and_then(Value::as_bytes).map_or(0, <[u8]>::len);
            self.length += match command.name {
                "HSET" | "SADD" | "ZADD" => answer.as_i64().unwrap_or(0),
                "RPUSH" => command.args.len() as i64 - 1,
                "SET" | "APPEND" => second() as i64,
                "XADD" | "JSON.SET" => 1,
                "XDEL" | "XTRIM" => -answer.as_i64().unwrap_or(0),
                "HPEXPIREAT" => match expired(answer) {
                    Some(expired) => -expired,
                    None => {
                        timed = false;
                        0
                    }
                },
                "XCLAIM" => {
                    self.stream.claimed(answer);
                    0
                }
                _ => 0,
            };
        }
        timed && (piece.commands.is_empty() || answers.last().and_then(Value::as_i64) == Some(self.length))
    }

    /// Moves what was built to its key; belongs into one transaction. The last answer is 0 where there is such a key
    /// already, and it may not be replaced.
    pub(super) fn moving(&self, entry: &Entry, replace: bool) -> Vec<Command> {
        let timing = match entry.expires_at {
            Some(at) => Command::new("PEXPIREAT", [self.name(), at.to_string().into()]),
            None => Command::new("PERSIST", [self.name()]),
        };
        let rename = if replace { "RENAME" } else { "RENAMENX" };
        vec![timing, Command::new(rename, [self.name(), Value::Bytes(entry.key.bytes())])]
    }

    /// Pending entries of a stream that could not be made again.
    pub(super) fn lost_pending(&self) -> u64 {
        self.stream.lost()
    }

    /// Whether it came to a hash without a field: those of the entry have expired.
    pub(super) fn is_empty(&self) -> bool {
        self.redis_type == RedisType::Hash && self.length == 0
    }

    /// Whether it is a hash.
    pub(super) fn is_hash(&self) -> bool {
        self.redis_type == RedisType::Hash
    }

    /// The name that it is built under.
    pub(super) fn name(&self) -> Value {
        Value::Bytes(self.name.clone())
    }

    fn items(&self, items: &Bytes) -> Vec<Command> {
        let name = self.name();
        match self.redis_type {
            RedisType::Zset => {
                let pairs = Items::of(items).pairs().map(|(member, score)| vec![score, member]);
                grouped("ZADD", &name, pairs, items)
            }
            RedisType::Set => grouped("SADD", &name, Items::of(items).map(|item| vec![item]), items),
            _ => grouped("RPUSH", &name, Items::of(items).map(|item| vec![item]), items),
        }
    }

    fn document(&mut self, text: &Bytes, last: bool) -> Vec<Command> {
        self.text.extend_from_slice(text);
        if !last {
            return Vec::new();
        }
        let text = self.text.split().freeze();
        vec![Command::new("JSON.SET", [self.name(), "$".into(), Value::Bytes(text)])]
    }
}

/// The fields of a hash that have not expired, as they are, and when each does; below 0 where it does not.
pub(super) fn left(items: &Bytes, expiries: Option<&[UnixMillis]>, now: UnixMillis) -> (Bytes, Vec<UnixMillis>) {
    let Some(expiries) = expiries else { return (items.clone(), vec![-1; Items::of(items).pairs().count()]) };
    let is_left = |at: UnixMillis| at < 0 || at > now;
    if expiries.iter().all(|at| is_left(*at)) {
        return (items.clone(), expiries.iter().map(|at| (*at).max(-1)).collect());
    }
    let pairs = || Items::of(items).pairs().zip(expiries).filter(|(_, at)| is_left(**at));
    let packed: Packer = pairs().flat_map(|((field, value), _)| [field, value]).collect();
    (packed.finish(), pairs().map(|(_, at)| (*at).max(-1)).collect())
}

/// The fields of a hash that have not expired, and when they do.
fn fields(name: &Value, items: &Bytes, expiries: Option<&[UnixMillis]>, now: UnixMillis) -> Vec<Command> {
    let (items, at) = left(items, expiries, now);
    let mut commands =
        grouped("HSET", name, Items::of(&items).pairs().map(|(field, value)| vec![field, value]), &items);
    let mut by_time: BTreeMap<UnixMillis, Vec<Value>> = BTreeMap::new();
    for ((field, _), at) in Items::of(&items).pairs().zip(at).filter(|(_, at)| *at >= 0) {
        by_time.entry(at).or_default().push(Value::Bytes(items.slice_ref(field)));
    }
    for (at, names) in by_time {
        for names in names.chunks(ARGS) {
            let head = [name.clone(), at.to_string().into(), "FIELDS".into(), names.len().to_string().into()];
            commands.push(Command::new("HPEXPIREAT", head.into_iter().chain(names.iter().cloned())));
        }
    }
    commands
}

/// How many fields were gone by the time that they were to have one; `None` where one has no time of expiry now.
fn expired(answer: &Value) -> Option<i64> {
    let Value::Array(codes) = answer else { return None };
    let mut expired = 0;
    for code in codes {
        match code.as_i64() {
            Some(1) => {}
            Some(2) => expired += 1,
            _ => return None,
        }
    }
    Some(expired)
}

/// One command for many items.
fn grouped<'a>(
    command: &'static str,
    name: &Value,
    items: impl Iterator<Item = Vec<&'a [u8]>>,
    packed: &'a Bytes,
) -> Vec<Command> {
    let (mut commands, mut args, mut bytes) = (Vec::new(), vec![name.clone()], 0);
    for item in items {
        bytes += item.iter().map(|part| part.len()).sum::<usize>();
        args.extend(item.into_iter().map(|part| Value::Bytes(packed.slice_ref(part))));
        if args.len() > ARGS || bytes > BYTES {
            commands.push(Command::new(command, std::mem::replace(&mut args, vec![name.clone()])));
            bytes = 0;
        }
    }
    if args.len() > 1 {
        commands.push(Command::new(command, args));
    }
    commands
}

fn length_of(redis_type: RedisType) -> &'static str {
    match redis_type {
        RedisType::Hash => "HLEN",
        RedisType::List => "LLEN",
        RedisType::Set => "SCARD",
        RedisType::Zset => "ZCARD",
        RedisType::Stream => "XLEN",
        RedisType::String => "STRLEN",
        RedisType::Json | RedisType::Module => "EXISTS",
    }
}

#[cfg(test)]
mod tests {
    use super::{Building, left};
    use crate::backup::{Entry, Logical, Part};
    use crate::model::{Packer, RedisKey, RedisType};
    use crate::source::redis::restore::line::Command;
    use crate::source::redis::restore::stream::StreamBuild;
    use bytes::Bytes;
    use fred::types::Value;

    fn packed(items: &[&str]) -> Bytes {
        items.iter().map(|item| item.as_bytes()).collect::<Packer>().finish()
    }

    fn entry(type_name: &'static str, logical: Logical, part: Part) -> Entry {
        let (key, logical) = (RedisKey::new("k"), Some(logical));
        Entry { database: 0, key, type_name: type_name.into(), expires_at: None, part, dump: None, logical }
    }

    fn said(building: &Building, commands: &[Command]) -> Vec<String> {
        let name = building.name().as_str_lossy().unwrap_or_default().into_owned();
        let words = |command: &Command| {
            let args: Vec<_> =
                command.args.iter().map(|arg| arg.as_str_lossy().unwrap_or_default().into_owned()).collect();
            format!("{} {}", command.name, args.join(" ")).replace(&name, "n")
        };
        commands.iter().map(words).collect()
    }

    #[test]
    fn fields_keep_their_times_and_those_that_have_expired_are_left_out() {
        let items = packed(&["a", "1", "b", "2", "c", "3"]);
        let mut building = Building::new(RedisType::Hash, StreamBuild::default());
        let hash = Logical::Hash { items: items.clone(), expiries: Some(vec![-1, 50, 90]) };
        let piece = building.piece(&entry("hash", hash, Part::WHOLE), 60);
        let all = said(&building, &piece.commands);
        assert_eq!(all, ["HSET n a 1 c 3", "HPEXPIREAT n 90 FIELDS 1 c", "PEXPIRE n 3600000", "HLEN n"]);
        let answered = |code: i64, length: i64| [2.into(), Value::Array(vec![code.into()]), 1.into(), length.into()];
        // 1: it has its time; 2: that was past by then; 0 or -2: it has none.
        for (code, length, added) in [(1, 2, true), (2, 1, true), (2, 2, false), (0, 2, false), (-2, 2, false)] {
            let mut building = Building::new(RedisType::Hash, StreamBuild::default());
            assert_eq!(building.added(&piece, &answered(code, length)), added, "{code} {length}");
        }
        assert_eq!(left(&items, Some(&[10, 20, 30]), 60), (Bytes::new(), Vec::new()));
        assert_eq!(left(&items, None, 60), (items, vec![-1; 3]));
    }

    #[test]
    fn a_piece_that_does_not_follow_what_was_there_is_noticed() {
        let mut building = Building::new(RedisType::List, StreamBuild::default());
        let part = |number, last| entry("list", Logical::Items(packed(&["a", "b"])), Part { number, last });
        let first = building.piece(&part(0, false), 0);
        let answers = |length: i64| [Value::from(length), Value::from(1), Value::from(length)];
        assert!(building.added(&first, &answers(2)));
        let second = building.piece(&part(1, true), 0);
        // The name had expired: it was begun anew.
        assert!(!building.added(&second, &answers(2)));
    }

    #[test]
    fn a_string_is_set_and_then_appended_to() {
        let mut building = Building::new(RedisType::String, StreamBuild::default());
        let part = |number, text: &'static str| {
            entry("string", Logical::Bytes(Bytes::from_static(text.as_bytes())), Part { number, last: number == 1 })
        };
        let first = building.piece(&part(0, "ab"), 0);
        assert_eq!(said(&building, &first.commands)[0], "SET n ab");
        assert!(building.added(&first, &["OK".into(), 1.into(), 2.into()]));
        let second = building.piece(&part(1, "c"), 0);
        assert_eq!(said(&building, &second.commands)[0], "APPEND n c");
        assert!(building.added(&second, &[3.into(), 1.into(), 3.into()]));
    }
}
