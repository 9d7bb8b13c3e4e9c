//! What this user may do: commands are found out by a harmless try each, the keys by the user's own patterns.
//!
//! Only commands that read are tried. About those that write the server is asked what it would say.

use super::acl::{KeyRights, rights_of};
use super::connect::{PROBE_KEY, another};
use super::errors::{self, is_command_refused, is_transient};
use super::expiry::numbers;
use super::wire::Wire;
use super::{RedisSource, bytes_of};
use crate::model::{Failure, RedisKey};
use fred::error::Error;
use fred::types::{Resp3Frame, Value};
use futures::future::try_join_all;
use std::collections::BTreeMap;

/// What the server says to a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// This user may run it.
    Granted,
    /// This user may not.
    Refused,
    /// The server has no such command, or it is not known what it would say.
    Unknown,
}

/// What a user lacks that may not run a command on a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// The command.
    Command,
    /// A pattern that takes the key.
    Key,
}

/// The words after a command that make it read little and change nothing; `KEY` stands for a key that is not there.
const TRIALS: &[(&str, &[&str])] = &[
    ("asking", &[]),
    ("dbsize", &[]),
    ("dump", &["KEY"]),
    ("eval_ro", &["return 1", "0"]),
    ("exec", &[]),
    ("exists", &["KEY"]),
    ("get", &["KEY"]),
    ("getrange", &["KEY", "0", "0"]),
    ("hgetall", &["KEY"]),
    ("hpexpiretime", &["KEY", "FIELDS", "1", "field"]),
    ("hscan", &["KEY", "0"]),
    ("info", &["server"]),
    ("json.get", &["KEY"]),
    ("lrange", &["KEY", "0", "0"]),
    ("memory|usage", &["KEY"]),
    ("mget", &["KEY"]),
    ("object|idletime", &["KEY"]),
    ("multi", &[]),
    ("pexpiretime", &["KEY"]),
    ("pttl", &["KEY"]),
    ("scan", &["0", "COUNT", "1"]),
    ("smembers", &["KEY"]),
    ("sscan", &["KEY", "0"]),
    ("strlen", &["KEY"]),
    ("time", &[]),
    ("type", &["KEY"]),
    ("watch", &["KEY"]),
    ("xinfo", &["STREAM", "KEY"]),
    ("xpending", &["KEY", "group"]),
    ("xrange", &["KEY", "-", "+", "COUNT", "1"]),
    ("zrange", &["KEY", "0", "0"]),
    ("zscan", &["KEY", "0"]),
];

/// Those that change what the next commands of their connection do: they are tried on one of their own, in this order. What
/// comes behind MULTI would only be queued.
const ON_THEIR_OWN: [&str; 4] = ["asking", "exec", "watch", "multi"];

/// Asks what the server would say to each command of ARGV, words apart by a space, with a key behind it where one is
/// given. Read-only.
const MAY_SCRIPT: &str = "local r = {} for i, command in ipairs(ARGV) do local words = {} \
    for word in string.gmatch(command, '%S+') do words[#words + 1] = word end \
    for j, word in ipairs(words) do if word == 'KEY' then words[j] = KEYS[1] end end \
    local ok, may = pcall(redis.acl_check_cmd, unpack(words)) \
    if not ok then r[i] = -1 elseif may then r[i] = 1 else r[i] = 0 end end return r";

impl RedisSource {
    /// The user as ACL commands name it.
    pub fn user(&self) -> &str {
        self.inner.target.username.as_deref().unwrap_or("default")
    }

    /// Whether this user may run each of these commands, as ACL names them; of reading ones only. One that is not known
    /// here is `Unknown`.
    ///
    /// # Errors
    /// The server is gone.
    pub async fn permissions(&self, commands: &[&str]) -> Result<Vec<Permission>, Failure> {
        let mut retry = self.retry("the commands that are needed");
        loop {
            match self.try_all(commands).await {
                Ok(permissions) => return Ok(permissions),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    async fn try_all(&self, commands: &[&str]) -> Result<Vec<Permission>, Error> {
        let mut alone = BTreeMap::new();
        if commands.iter().any(|command| ON_THEIR_OWN.contains(command)) {
            let own = Wire::new(another(&self.inner.settings, &self.inner.target).await?, false);
            for command in ON_THEIR_OWN.into_iter().filter(|command| commands.contains(command)) {
                alone.insert(command, try_out(&own, command).await?);
            }
            own.close().await;
        }
        let tried = commands.iter().map(|command| async {
            match alone.get(command) {
                Some(permission) => Ok(*permission),
                None => try_out(&self.inner.wire, command).await,
            }
        });
        try_join_all(tried).await
    }

    /// Whether this user might run commands that write, on this key where they say `KEY`. None is run. `Unknown` where
    /// the server does not tell.
    ///
    /// # Errors
    /// The server is gone.
    pub async fn might(&self, commands: &[&str], key: Option<&RedisKey>) -> Result<Vec<Permission>, Failure> {
        let named = key.map_or_else(|| PROBE_KEY.into(), |key| Value::Bytes(key.bytes()));
        let mut args = vec![MAY_SCRIPT.into(), "1".into(), named];
        args.extend(commands.iter().map(|command| Value::from(*command)));
        if let Some(reply) = self.told("EVAL_RO", args).await?
            && let Ok(answers) = numbers(reply)
            && !answers.contains(&-1)
        {
            let permission = |may| if may == 1 { Permission::Granted } else { Permission::Refused };
            return Ok(answers.into_iter().map(permission).collect());
        }
        let mut permissions = Vec::new();
        for command in commands {
            permissions.push(match self.told("ACL", self.rehearsal(command, key)).await?.and_then(bytes_of) {
                None => Permission::Unknown,
                Some(said) if said.as_ref() == b"OK" => Permission::Granted,
                Some(_) => Permission::Refused,
            });
        }
        Ok(permissions)
    }

    /// What is missing where a command that writes is refused on this key; `None` where the server does not tell.
    ///
    /// # Errors
    /// The server is gone.
    pub async fn lack(&self, command: &str, key: Option<&RedisKey>) -> Result<Option<Lack>, Failure> {
        let told = self.told("ACL", self.rehearsal(command, key)).await?.and_then(bytes_of);
        let told = told.map(|told| String::from_utf8_lossy(&told).into_owned());
        Ok(told.as_deref().and_then(|told| match told {
            told if told.contains("permissions to access") => Some(Lack::Key),
            told if told.contains("permissions to run") => Some(Lack::Command),
            _ => None,
        }))
    }

    /// ACL DRYRUN of a command, words apart by a space, on this key where it says `KEY`.
    fn rehearsal(&self, command: &str, key: Option<&RedisKey>) -> Vec<Value> {
        let key = key.map_or_else(|| PROBE_KEY.into(), |key| Value::Bytes(key.bytes()));
        let words = command.split(' ').map(|word| if word == "KEY" { key.clone() } else { word.into() });
        ["DRYRUN".into(), Value::from(self.user())].into_iter().chain(words).collect()
    }

    /// The keys that this user may read, by its own patterns; `None` where it may not ask.
    ///
    /// # Errors
    /// The server is gone.
    pub async fn key_rights(&self) -> Result<Option<KeyRights>, Failure> {
        let reply = self.told("ACL", vec!["GETUSER".into(), self.user().into()]).await?;
        Ok(reply.as_ref().and_then(rights_of))
    }

    /// An answer, or `None` where there is none for this user.
    pub(super) async fn told(&self, command: &'static str, args: Vec<Value>) -> Result<Option<Resp3Frame>, Failure> {
        let mut retry = self.retry(command);
        loop {
            match self.once(command, args.clone()).await {
                Err(error) if is_transient(&error) => retry.after(error).await?,
                answer => return Ok(answer.ok()),
            }
        }
    }
}

async fn try_out(wire: &Wire, name: &str) -> Result<Permission, Error> {
    let Some((name, words)) = TRIALS.iter().find(|(known, _)| *known == name) else {
        return Ok(Permission::Unknown);
    };
    let (command, sub) = name.split_once('|').map_or((*name, None), |(command, sub)| (command, Some(sub)));
    let words = sub.into_iter().chain(words.iter().copied());
    let args = words.map(|word| if word == "KEY" { PROBE_KEY.into() } else { Value::from(word) }).collect();
    judged(wire.send(command, args).await)
}

/// What an answer to a trial says of the right to the command.
pub(super) fn judged(answer: Result<Resp3Frame, Error>) -> Result<Permission, Error> {
    match answer {
        Err(error) if is_transient(&error) => Err(error),
        Err(error) if is_command_refused(&error) => Ok(Permission::Refused),
        Err(error) if errors::is_unavailable(&error) => Ok(Permission::Unknown),
        // Whatever else is wrong, such as the key: the command is this user's.
        _ => Ok(Permission::Granted),
    }
}
