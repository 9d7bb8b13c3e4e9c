//! Small values of all types: dump, items and time of expiry of a page by one script, so that they are of one moment.

use super::super::errors::unexpected;
use super::super::{RedisSource, bytes_of, number_of};
use super::{EntryRead, full, undumped};
use crate::backup::Logical;
use crate::model::{Failure, Packer, RedisKey, RedisType, UnixMillis};
use crate::source::redis::collections::NONE;
use bytes::Bytes;
use fred::error::Error;
use fred::types::{Resp3Frame, Value};
use std::sync::atomic::Ordering;

/// Type, time of expiry, dump, content, and of a hash when its fields expire. Read-only. A dump that is refused is an empty
/// string, and so are times of fields that are; a document that the module does not print is none. `FIELDS` says whether fields
/// are asked for. Where the user may not run one of the other commands, the answer is a refusal that names it: Redis itself names
/// none to a script, or says so in other words in each version.
const SCRIPT: &str = "local r, bad = {}, false \
    local function ask(name, ...) local a = redis.pcall(name, ...) \
    if type(a) == 'table' and a.err and not bad then bad = a.err \
    if string.find(bad, 'run this command', 1, true) or string.find(bad, 'permissions to run', 1, true) then \
    bad = 'NOPERM this user has no permissions to run the \\'' .. string.lower(name) .. '\\' command' end end return a end \
    for i, key in ipairs(KEYS) do \
    local t = ask('TYPE', key).ok local d, c, x = false, false, false \
    if t == 'hash' then c = ask('HGETALL', key) \
    elseif t == 'list' then c = ask('LRANGE', key, 0, -1) \
    elseif t == 'set' then c = ask('SMEMBERS', key) \
    elseif t == 'zset' then c = ask('ZRANGE', key, 0, -1, 'WITHSCORES') \
    elseif t == 'stream' then c = ask('XINFO', 'STREAM', key, 'FULL', 'COUNT', 0) \
    elseif t == 'string' then c = ask('GET', key) \
    elseif t == 'ReJSON-RL' then c = redis.pcall('JSON.GET', key) if type(c) ~= 'string' then c = false end end \
    if t ~= 'none' and t ~= 'string' then d = redis.pcall('DUMP', key) if type(d) ~= 'string' then d = '' end end \
    if FIELDS and t == 'hash' then x = {} for j = 1, #c, 2000 do local f = {} \
    for k = j, math.min(j + 1998, #c), 2 do f[#f + 1] = c[k] end \
    local a = redis.pcall('HPEXPIRETIME', key, 'FIELDS', #f, unpack(f)) \
    if a.err then x = '' if string.find(string.lower(a.err), 'unknown') then x = false end break end \
    for _, at in ipairs(a) do x[#x + 1] = at end end end \
    r[i] = {t, ask('PEXPIRETIME', key), d, c, x} if bad then return redis.error_reply(bad) end end return r";

impl RedisSource {
    /// Reads all of these keys. What has become large meanwhile is read all the same.
    pub(super) async fn small_entries(&self, keys: &[RedisKey]) -> Result<Vec<EntryRead>, Failure> {
        let mut retry = self.retry("EVAL_RO");
        loop {
            match self.small_once(keys).await {
                Ok(read) => return Ok(read),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    async fn small_once(&self, keys: &[RedisKey]) -> Result<Vec<EntryRead>, Error> {
        let fields = if self.inner.fields_untold.load(Ordering::Relaxed) { "false" } else { "true" };
        let mut args =
            vec![SCRIPT.replace("FIELDS and", &format!("{fields} and")).into(), keys.len().to_string().into()];
        args.extend(keys.iter().map(|key| Value::Bytes(key.bytes())));
        let wrong = || unexpected("EVAL_RO", "something else than five facts a key");
        let Resp3Frame::Array { data, .. } = self.once("EVAL_RO", args).await? else { return Err(wrong()) };
        if data.len() != keys.len() {
            return Err(wrong());
        }
        keys.iter().zip(data).map(|(key, five)| self.small_entry(key, five).ok_or_else(wrong)).collect()
    }

    /// What the script says of one key; `None` where that is not what it can say.
    fn small_entry(&self, key: &RedisKey, five: Resp3Frame) -> Option<EntryRead> {
        let Resp3Frame::Array { data, .. } = five else { return None };
        let [type_name, expiry, dump, content, fields] = <[Resp3Frame; 5]>::try_from(data).ok()?;
        let type_name = String::from_utf8(bytes_of(type_name)?.to_vec()).ok()?;
        if type_name == NONE {
            return Some(EntryRead::Gone(key.clone()));
        }
        let expires_at = Some(number_of(&expiry)?).filter(|at| *at >= 0);
        if matches!(&fields, Resp3Frame::BlobString { .. }) {
            self.say_fields_hidden();
        }
        let logical = match content {
            Resp3Frame::Null => None,
            content => Some(logical(RedisType::named(&type_name), content, fields)?),
        };
        // All fields of a hash may have expired, and the key is still there.
        if logical.as_ref().is_some_and(Logical::is_void) {
            return Some(EntryRead::Gone(key.clone()));
        }
        let dump = bytes_of(dump);
        if dump.as_ref().is_some_and(Bytes::is_empty) {
            self.say_undumped();
        }
        let dump = dump.filter(|dump| !dump.is_empty());
        if dump.is_none() && logical.is_none() {
            return Some(undumped(key, &type_name));
        }
        Some(EntryRead::Entry(self.entry(key.clone(), type_name, expires_at, dump, logical)))
    }

    /// Says once that when fields of hashes expire is not told any more, as it was at the beginning.
    fn say_fields_hidden(&self) {
        if !self.inner.fields_untold.swap(true, Ordering::Relaxed) {
            let text = "Redis does not tell when fields of hashes expire (HPEXPIRETIME): of those that do, the time is in their dump alone";
            self.notice(text.to_owned());
        }
    }

    /// Says once that there are no dumps.
    pub(super) fn say_undumped(&self) {
        if !self.inner.told_undumped.swap(true, Ordering::Relaxed) {
            let text = "Redis does not let this user DUMP: a backup holds the logical form of keys alone, and no values of modules";
            self.notice(text.to_owned());
        }
    }

    /// Says once that collections have no dumps, since one may be of any size.
    pub(super) fn say_unmeasured(&self) {
        if !self.inner.told_unmeasured.swap(true, Ordering::Relaxed) {
            let text = "Redis does not tell this user how much memory keys take (MEMORY USAGE): of hashes, lists, sets, sorted sets and \
                        streams the logical form is read, and no dump";
            self.notice(text.to_owned());
        }
    }
}

fn logical(redis_type: RedisType, content: Resp3Frame, fields: Resp3Frame) -> Option<Logical> {
    match redis_type {
        RedisType::String | RedisType::Json => bytes_of(content).map(Logical::Bytes),
        RedisType::Hash => Some(Logical::Hash { items: packed(content)?, expiries: expiries(fields)? }),
        RedisType::List | RedisType::Set | RedisType::Zset => packed(content).map(Logical::Items),
        RedisType::Stream => full::stream(content),
        RedisType::Module => None,
    }
}

/// The items in the order in which they came: times of fields are in the same.
fn packed(items: Resp3Frame) -> Option<Bytes> {
    let Resp3Frame::Array { data, .. } = items else { return None };
    let mut packer = Packer::default();
    for item in data {
        packer.push(&bytes_of(item)?);
    }
    Some(packer.finish())
}

/// When the fields expire; `None` within where none does, or it is not known.
fn expiries(times: Resp3Frame) -> Option<Option<Vec<UnixMillis>>> {
    match times {
        Resp3Frame::Null | Resp3Frame::BlobString { .. } => Some(None),
        Resp3Frame::Array { data, .. } => {
            let times = data.iter().map(number_of).collect::<Option<Vec<_>>>()?;
            Some(Some(times).filter(|times| times.iter().any(|at| *at >= 0)))
        }
        _ => None,
    }
}
