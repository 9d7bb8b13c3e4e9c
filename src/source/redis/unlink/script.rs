//! The script that compares strings and deletes those that are equal, and what its answers mean.
//!
//! Several calls are on their way at once. A script runs as one step, so a call whose answer was lost may be made again:
//! it deletes only what still equals. What it does not find then may have been deleted by the first.

use super::super::errors::{
    in_reply, is_key_refused, is_key_refused_within, is_not_ready, is_refusal, is_transient, unexpected,
};
use super::super::fetch::FOREVER;
use super::super::number_of;
use super::batches::batches;
use super::connection::Connection;
use super::fates::{Fates, One};
use super::warrant::{By, outdated};
use super::{Candidate, Content, UnlinkOutcome, Unlinker};
use crate::model::{Failure, RedisType};
use fred::error::{Error, ErrorKind};
use fred::types::{Resp3Frame, Value};
use futures::stream::{StreamExt, TryStreamExt, iter};
use std::sync::Arc;

/// The longest string that is sent to be compared.
pub(super) const LONGEST: usize = 1 << 20;
/// Keys and bytes of one call: it holds the server up for less than a millisecond.
const KEYS: usize = 256;
const BYTES: u64 = 1 << 20;
/// Calls on their way at once: while the server works at one, the others are sent and their answers read.
const IN_FLIGHT: usize = 4;

/// ARGV: the tolerance, then for each key its value and when it expires (−1: never, empty: that does not matter). The answer
/// has a number for each key, or the error of a command. `AT` stands for what asks when a key expires.
///
/// The values are asked for by one command and the keys that are to go deleted by one: a GET and an UNLINK for each took the server
/// 7.5 µs a key, this takes 5.8, of which 2.2 are for what is sent. A nil of MGET may be a missing key or one of another type, so that it
/// is asked for by itself, and so are all where the user may not run MGET. Where they are not deleted together, since the user may not delete one
/// of them, each is by itself.
const SCRIPT: &str = "local tolerance = tonumber(ARGV[1]) local answers, going, places = {}, {}, {} NOW \
    local values = redis.pcall('MGET', unpack(KEYS)) \
    local function judge(key, held, value, expected) \
    if not held then held = redis.pcall('GET', key) end \
    if type(held) == 'table' then return held.err end \
    if not held then return 4 end \
    if held ~= value then return 2 end \
    if expected ~= '' then \
    local at = AT \
    if type(at) == 'table' then return at.err end \
    expected = tonumber(expected) \
    if (at < 0) ~= (expected < 0) or (at >= 0 and math.abs(at - expected) > tolerance) then return 3 end end \
    return 1 end \
    for i, key in ipairs(KEYS) do \
    answers[i] = judge(key, values[i], ARGV[2 * i], ARGV[2 * i + 1]) \
    if answers[i] == 1 then going[#going + 1] = key places[#going] = i end end \
    if #going == 0 then return answers end \
    local gone = redis.pcall('UNLINK', unpack(going)) \
    for n, key in ipairs(going) do \
    local answer = 5 \
    if gone == #going then answer = 1 elseif type(gone) == 'table' then \
    local alone = redis.pcall('UNLINK', key) \
    if type(alone) == 'table' then answer = alone.err elseif alone == 1 then answer = 1 else answer = 4 end end \
    answers[places[n]] = answer end return answers";

/// The script, for a server that tells when keys expire, or one that only tells how long that is from now.
pub(super) fn script(expire_time: bool) -> String {
    let (now, at) = match expire_time {
        true => ("", "redis.pcall('PEXPIRETIME', key)"),
        false => (
            "local time = redis.call('TIME') local now = time[1] * 1000 + math.floor(time[2] / 1000)",
            "redis.pcall('PTTL', key) if type(at) == 'number' and at >= 0 then at = now + at end",
        ),
    };
    SCRIPT.replace("NOW", now).replace("AT ", &format!("{at} "))
}

/// What a call came to.
enum Called {
    /// What became of each key is told.
    Answered,
    /// The user may not use one of the keys; nothing was run.
    KeyRefused,
}

impl Unlinker {
    /// Whether the script is for this candidate.
    pub(super) fn takes_by_script(&self, candidate: &Candidate) -> bool {
        let fits = matches!(&candidate.content, Content::Exact(value) if value.len() <= LONGEST);
        self.ability.script && fits && candidate.redis_type == RedisType::String
    }

    /// Compares and deletes candidates that the script is for.
    pub(super) async fn unlink_by_script(&self, all: Vec<One<'_>>, by: By<'_>) -> Result<(), Failure> {
        let sizes = all.into_iter().map(|one| (one, size(one.candidate)));
        let calls: Vec<_> = batches(sizes, KEYS, BYTES).into_iter().map(|some| self.call(some, by)).collect();
        iter(calls).buffer_unordered(IN_FLIGHT).try_collect().await
    }

    /// One call, or several, where the user may not use some of the keys: the others are not to stay for them.
    async fn call(&self, some: Vec<One<'_>>, by: By<'_>) -> Result<(), Failure> {
        let mut parts = vec![some];
        while let Some(mut part) = parts.pop() {
            match self.answered(&mut part, by).await? {
                Called::Answered => {}
                Called::KeyRefused if part.len() <= 1 => {
                    part.iter().for_each(|one| by.1.found(one, UnlinkOutcome::Forbidden));
                }
                Called::KeyRefused => {
                    let rest = part.split_off(part.len() / 2);
                    parts.extend([rest, part]);
                }
            }
        }
        Ok(())
    }

    /// One call, with the usual attempts, each of those keys that have no outcome yet.
    async fn answered(&self, some: &mut Vec<One<'_>>, by: By<'_>) -> Result<Called, Failure> {
        let (warrant, fates) = by;
        let mut retry = self.source.retry("EVAL");
        loop {
            // To connect may take longer than the right to delete lasts.
            let connection = match self.scripting.get(&self.source).await {
                Ok(connection) => connection,
                Err(error) => {
                    retry.after(error).await?;
                    continue;
                }
            };
            some.retain(|one| fates.is_open(one));
            warrant.sure().await?;
            if !warrant.is_fresh() {
                return outdated(some, fates).map(|()| Called::Answered);
            }
            match self.attempt_call(&connection, some, fates).await {
                Ok(called) => return Ok(called),
                Err(error) => retry.after(error).await?,
            }
        }
    }

    async fn attempt_call(
        &self,
        connection: &Arc<Connection>,
        some: &[One<'_>],
        fates: &Fates,
    ) -> Result<Called, Error> {
        some.iter().for_each(|one| fates.sent(one));
        match connection.until_it_ends(connection.wire.send("EVAL", self.arguments(some))).await {
            Ok(reply) => tell(reply, some, fates).map(|()| Called::Answered),
            Err(error) => {
                if is_refusal(&error) {
                    some.iter().for_each(|one| fates.refused(one));
                }
                if is_key_refused(&error) {
                    return Ok(Called::KeyRefused);
                }
                if is_transient(&error) && !is_not_ready(&error) {
                    // Nobody knows whether it was run.
                    self.scripting.give_up(connection).await;
                }
                Err(error)
            }
        }
    }

    fn arguments(&self, some: &[One<'_>]) -> Vec<Value> {
        let mut args = Vec::with_capacity(3 + some.len() * 3);
        args.extend([self.script.clone().into(), some.len().to_string().into()]);
        args.extend(some.iter().map(|one| Value::Bytes(one.candidate.key.bytes())));
        args.push(self.tolerance.to_string().into());
        for One { candidate, .. } in some {
            let value = match &candidate.content {
                Content::Exact(value) => value.clone(),
                // Not for the script: it would be compared with nothing.
                Content::Digest(_) | Content::Stream(..) => return Vec::new(),
            };
            args.push(Value::Bytes(value));
            args.push(match candidate.expires_at {
                None => "".into(),
                Some(at) => at.unwrap_or(FOREVER).to_string().into(),
            });
        }
        args
    }
}

/// Bytes that a candidate of the script is sent with.
fn size(candidate: &Candidate) -> u64 {
    let value = match &candidate.content {
        Content::Exact(value) => value.len(),
        Content::Digest(_) | Content::Stream(..) => 0,
    };
    (candidate.key.as_bytes().len() + value) as u64
}

/// Tells what the script answered of each key.
///
/// # Errors
/// A command within it failed for a reason that is not the key's: that key was not deleted, and others may have been.
fn tell(reply: Resp3Frame, some: &[One<'_>], fates: &Fates) -> Result<(), Error> {
    let answers = match reply {
        Resp3Frame::Array { data, .. } if data.len() == some.len() => data,
        _ => return Err(unexpected("EVAL", "something else than an answer a key")),
    };
    let mut told = Ok(());
    for (one, answer) in some.iter().zip(answers) {
        match outcome(answer) {
            Ok(outcome) => fates.answered(one, outcome),
            Err(error) => {
                // What a command within it says: the deletion is the last one. An answer that says nothing is another matter.
                if *error.kind() != ErrorKind::Protocol {
                    fates.refused(one);
                }
                told = told.and(Err(error));
            }
        }
    }
    told
}

fn outcome(answer: Resp3Frame) -> Result<UnlinkOutcome, Error> {
    match number_of(&answer) {
        Some(1) => return Ok(UnlinkOutcome::Deleted),
        Some(2) => return Ok(UnlinkOutcome::Changed),
        Some(3) => return Ok(UnlinkOutcome::Retimed),
        Some(4) => return Ok(UnlinkOutcome::Gone),
        // It is not there now. Of keys that go together only their number is told: one of them was named twice.
        Some(5) => return Ok(UnlinkOutcome::Unconfirmed),
        _ => {}
    }
    let text = match answer {
        Resp3Frame::BlobString { data, .. } | Resp3Frame::SimpleString { data, .. } => {
            in_its_own_words(&String::from_utf8_lossy(&data)).to_owned()
        }
        error => in_reply(error).err().map(|error| error.details().to_owned()).unwrap_or_default(),
    };
    match text.as_str() {
        wrong if wrong.starts_with("WRONGTYPE") => Ok(UnlinkOutcome::Changed),
        _ if is_key_refused_within(&Error::new(ErrorKind::Unknown, text.clone())) => Ok(UnlinkOutcome::Forbidden),
        "" => Err(unexpected("EVAL", "something else than an answer a key")),
        _ => Err(Error::new(ErrorKind::Unknown, text)),
    }
}

/// An error as a command says it by itself. Redis 6 puts the script's place and the sign of an error before it.
fn in_its_own_words(text: &str) -> &str {
    let placed = text.trim().strip_prefix("@user_script: ").and_then(|rest| rest.split_once(": "));
    placed.map_or(text.trim(), |(_line, rest)| rest).trim_start_matches('-')
}

#[cfg(test)]
mod tests {
    use super::{outcome, script};
    use crate::source::redis::UnlinkOutcome;
    use fred::types::Resp3Frame;

    fn said(text: &'static str) -> Resp3Frame {
        Resp3Frame::BlobString { data: bytes::Bytes::from_static(text.as_bytes()), attributes: None }
    }

    #[test]
    fn the_key_s_own_errors_are_outcomes_and_all_others_end_the_work() {
        let of = |text| outcome(said(text)).ok();
        assert_eq!(of("WRONGTYPE Operation against a key"), Some(UnlinkOutcome::Changed));
        let refused = "The user executing the script can't access at least one of the keys mentioned in the command";
        assert_eq!(of(refused), Some(UnlinkOutcome::Forbidden));
        for text in ["-READONLY You can't write against a read only replica.\r\n", "NOREPLICAS x", "MISCONF x", ""] {
            assert!(of(text).is_none(), "{text}");
        }
        for text in ["-READONLY You can't write.\r\n", "@user_script: 1: -READONLY You can't write.", "READONLY x"] {
            let readonly = outcome(said(text)).unwrap_err();
            assert!(readonly.details().starts_with("READONLY"), "as any command says it: {text}");
        }
    }

    #[test]
    fn each_server_is_asked_for_the_expiry_in_words_that_it_knows() {
        assert!(script(true).contains("PEXPIRETIME") && !script(true).contains("PTTL"));
        assert!(script(false).contains("PTTL") && !script(false).contains("PEXPIRETIME"));
        for text in [script(true), script(false)] {
            assert!(!text.contains("NOW") && !text.contains(" AT "), "{text}");
        }
    }
}
