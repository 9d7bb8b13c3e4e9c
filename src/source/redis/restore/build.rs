//! A value that is made again by ordinary commands, under a name of its own that expires by itself, and is moved to its key
//! once it is whole.
//!
//! Each piece is one transaction, which also says how long the value is now: had the name expired in between, or been
//! evicted, the next piece would begin it anew, and nobody would see that the beginning is missing.

use super::line::Command;
use crate::model::{FieldExpiries, Items, RedisType, UnixMillis};
use bytes::Bytes;
use fred::types::Value;
use std::collections::BTreeMap;
use uuid::Uuid;

/// What names begin with under which values are built.
pub const BUILDING: &str = "redis2pg:restore:";
/// How long such a name lives after its last piece: nothing is left behind by a process that was killed.
const LIFE: &str = "3600000";
/// Arguments of one command, about.
const ARGS: usize = 1_000;
/// Bytes of one command, about.
const BYTES: usize = 512 << 10;

/// A value that is being built.
#[derive(Clone, Debug)]
pub(super) struct Building {
    name: Bytes,
    redis_type: RedisType,
    length: i64,
}

impl Building {
    /// One of which nothing is there yet.
    pub(super) fn new(redis_type: RedisType) -> Self {
        Self { name: format!("{BUILDING}{}", Uuid::new_v4()).into(), redis_type, length: 0 }
    }

    /// The name that it is built under.
    pub(super) fn name(&self) -> Value {
        Value::Bytes(self.name.clone())
    }

    /// Commands of a piece with what tells that all of it is there; they belong into one transaction.
    pub(super) fn piece(&self, mut commands: Vec<Command>) -> Vec<Command> {
        commands.push(Command::new("PEXPIRE", [self.name(), LIFE.into()]));
        commands.push(Command::new(length_of(self.redis_type), [self.name()]));
        commands
    }

    /// Takes note of the answers to a piece; whether the value is as long as it must be now. `commands` are those that added.
    pub(super) fn added(&mut self, commands: &[Command], answers: &[Value]) -> bool {
        let mut length = self.length;
        for (command, answer) in commands.iter().zip(answers) {
            length = match command.name {
                "HSET" | "SADD" | "ZADD" => length + answer.as_i64().unwrap_or(0),
                "RPUSH" => length + command.args.len() as i64 - 1,
                "XADD" => length + 1,
                "XDEL" => length - answer.as_i64().unwrap_or(0),
                "SET" | "APPEND" => {
                    length + command.args.get(1).and_then(Value::as_bytes).map_or(0, |bytes| bytes.len() as i64)
                }
                _ => length,
            };
        }
        self.length = length;
        answers.last().and_then(Value::as_i64) == Some(length)
    }

    /// Moves what was built to its key; belongs into one transaction. The last answer tells whether it was.
    pub(super) fn moving(&self, key: &Bytes, expires_at: Option<UnixMillis>, replace: bool) -> Vec<Command> {
        let timing = match expires_at {
            Some(at) => Command::new("PEXPIREAT", [self.name(), at.to_string().into()]),
            None => Command::new("PERSIST", [self.name()]),
        };
        let rename = if replace { "RENAME" } else { "RENAMENX" };
        vec![timing, Command::new(rename, [self.name(), Value::Bytes(key.clone())])]
    }

    /// Takes away what is there of it.
    pub(super) fn leaving(&self) -> Command {
        Command::new("UNLINK", [self.name()])
    }

    /// Commands that add packed items, none of them much longer than a megabyte. `fields`: when those of a hash expire;
    /// those whose time is past by `now` are left out.
    pub(super) fn adding(&self, packed: &Bytes, fields: Option<&FieldExpiries>, now: UnixMillis) -> Vec<Command> {
        match self.redis_type {
            RedisType::Hash => self.fields(packed, fields, now),
            RedisType::List => self.grouped("RPUSH", Items::of(packed).map(|item| vec![item]), packed),
            RedisType::Set => self.grouped("SADD", Items::of(packed).map(|item| vec![item]), packed),
            RedisType::Zset => {
                self.grouped("ZADD", Items::of(packed).pairs().map(|(member, score)| vec![score, member]), packed)
            }
            RedisType::Stream => self.entries(packed),
            RedisType::String if self.length == 0 => {
                vec![Command::new("SET", [self.name(), Value::Bytes(packed.clone())])]
            }
            RedisType::String => vec![Command::new("APPEND", [self.name(), Value::Bytes(packed.clone())])],
            // Those have no form but their dump.
            RedisType::Json | RedisType::Module => Vec::new(),
        }
    }

    fn fields(&self, packed: &Bytes, fields: Option<&FieldExpiries>, now: UnixMillis) -> Vec<Command> {
        let expiry = |place| fields.and_then(|fields| fields.field(place)).map(|expiry| expiry.at);
        let left = || Items::of(packed).pairs().enumerate().filter(|(place, _)| expiry(*place).is_none_or(|at| at > now));
        let mut commands = self.grouped("HSET", left().map(|(_, (field, value))| vec![field, value]), packed);
        let mut by_time: BTreeMap<UnixMillis, Vec<Value>> = BTreeMap::new();
        for (place, (field, _)) in left() {
            if let Some(at) = expiry(place) {
                by_time.entry(at).or_default().push(Value::Bytes(packed.slice_ref(field)));
            }
        }
        for (at, names) in by_time {
            for names in names.chunks(ARGS) {
                let head = [self.name(), at.to_string().into(), "FIELDS".into(), names.len().to_string().into()];
                commands.push(Command::new("HPEXPIREAT", head.into_iter().chain(names.iter().cloned())));
            }
        }
        commands
    }

    /// One command for many items.
    fn grouped<'a>(
        &self,
        name: &'static str,
        items: impl Iterator<Item = Vec<&'a [u8]>>,
        packed: &'a Bytes,
    ) -> Vec<Command> {
        let (mut commands, mut args, mut bytes) = (Vec::new(), vec![self.name()], 0);
        for item in items {
            bytes += item.iter().map(|part| part.len()).sum::<usize>();
            args.extend(item.into_iter().map(|part| Value::Bytes(packed.slice_ref(part))));
            if args.len() > ARGS || bytes > BYTES {
                commands.push(Command::new(name, std::mem::replace(&mut args, vec![self.name()])));
                bytes = 0;
            }
        }
        if args.len() > 1 {
            commands.push(Command::new(name, args));
        }
        commands
    }

    fn entries(&self, packed: &Bytes) -> Vec<Command> {
        let (mut items, mut commands) = (Items::of(packed), Vec::new());
        while let (Some(id), Some(count)) = (items.next(), items.next()) {
            let count = std::str::from_utf8(count).ok().and_then(|count| count.parse::<usize>().ok()).unwrap_or(0);
            let mut args = vec![self.name(), Value::Bytes(packed.slice_ref(id))];
            args.extend(items.by_ref().take(2 * count).map(|part| Value::Bytes(packed.slice_ref(part))));
            commands.push(Command::new("XADD", args));
        }
        commands
    }
}

fn length_of(redis_type: RedisType) -> &'static str {
    match redis_type {
        RedisType::Hash => "HLEN",
        RedisType::List => "LLEN",
        RedisType::Set => "SCARD",
        RedisType::Zset => "ZCARD",
        RedisType::Stream => "XLEN",
        RedisType::String | RedisType::Json | RedisType::Module => "STRLEN",
    }
}
