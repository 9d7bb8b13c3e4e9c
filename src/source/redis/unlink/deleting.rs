//! The commands that delete what was compared under a watch: a transaction, which the server undoes where a watched key was written to; or,
//! where the server has no memory left to queue one, scripts that find the keys as they were sealed.

use super::super::collections::unwritten;
use super::super::errors::{in_reply, is_key_refused, is_key_refused_within, is_refusal, is_transient, unexpected};
use super::super::wire::Wire;
use super::super::{bytes_of, number_of};
use super::fates::{Fates, One};
use super::watch::{Attempt, Begun};
use super::{UnlinkOutcome, full, stream};
use crate::model::RedisKey;
use bytes::Bytes;
use fred::error::Error;
use fred::types::{Resp3Frame, Value};
use futures::future::join_all;

/// How a key stood before it was read, where a watch does not tell all that becomes of it.
pub(super) enum Seal {
    /// What a stream has beside its entries.
    Stream(Bytes),
    /// All of it; whether the time of expiry is in it.
    Dump { seal: Bytes, expire_time: bool },
}

impl Seal {
    /// What deletes the key if it has this seal, as the words behind EVAL. It answers 2 where the seal is another, else as UNLINK does.
    fn unlink(&self, key: &RedisKey) -> Vec<Value> {
        let (script, seal) = match self {
            Self::Stream(seal) => (stream::deletion(), seal),
            Self::Dump { seal, expire_time } => (full::deletion(*expire_time), seal),
        };
        vec![script.into(), "1".into(), Value::Bytes(key.bytes()), Value::Bytes(seal.clone())]
    }
}

/// What a script that deletes ends with, where `seal` is how the key stands now.
pub(super) const UNLINK: &str = "if seal ~= ARGV[1] then return 2 end return redis.call('UNLINK', KEYS[1])";

/// How a key stands, by a script that tells it; `None` where it is not there, is of another type, or this user may not run all of it.
pub(super) async fn sealed(wire: &Wire, script: String, key: &RedisKey) -> Result<Option<Bytes>, Error> {
    match wire.send("EVAL", vec![script.into(), "1".into(), Value::Bytes(key.bytes())]).await {
        Ok(seal) => Ok(bytes_of(seal)),
        Err(error) if is_transient(&error) || is_key_refused(&error) => Err(error),
        Err(_) => Ok(None),
    }
}

/// A key that is to be deleted.
pub(super) type Doomed<'a> = (One<'a>, &'a Option<Seal>);

/// What came of the deletion.
pub(super) enum Deletion {
    /// It was run, and what became of each key is told.
    Run,
    /// Nothing was deleted, and why; whether nothing is left over on the connection.
    Nothing(Attempt, bool),
}

/// Deletes the keys in a transaction. Whether they may go is asked behind the queued deletions.
pub(super) async fn in_transaction(wire: &Wire, doomed: &[Doomed<'_>], begun: Begun<'_>) -> Result<Deletion, Error> {
    let fates = begun.by.1;
    queue(wire, doomed, fates).await?;
    if let Some(withheld) = begun.withheld().await {
        let discarded = wire.send("DISCARD", Vec::new()).await.is_ok();
        return Ok(Deletion::Nothing(withheld, discarded));
    }
    doomed.iter().for_each(|(one, _)| fates.sent(one));
    let answer = wire.send("EXEC", Vec::new()).await;
    if matches!(&answer, Ok(Resp3Frame::Null)) || answer.as_ref().is_err_and(is_refusal) {
        doomed.iter().for_each(|(one, _)| fates.refused(one));
    }
    let answers = match answer? {
        Resp3Frame::Null => return Ok(Deletion::Nothing(Attempt::Aborted, true)),
        Resp3Frame::Array { data, .. } if data.len() == doomed.len() => data,
        _ => return Err(unexpected("EXEC", "something else than an answer a deletion")),
    };
    all(doomed.iter().zip(answers).map(|((one, _), answer)| tell((one, fates), in_reply(answer))).collect())
}

/// Deletes keys that are sealed with their dumps, each by itself. Whether they may go is asked just before.
pub(super) async fn by_seals(wire: &Wire, doomed: &[Doomed<'_>], begun: Begun<'_>) -> Result<Deletion, Error> {
    // From the seal to the end of the reading nobody wrote to them: it is of what was read.
    if !unwritten(wire).await? {
        return Ok(Deletion::Nothing(Attempt::Aborted, true));
    }
    if let Some(withheld) = begun.withheld().await {
        return Ok(Deletion::Nothing(withheld, true));
    }
    let fates = begun.by.1;
    let sealed = doomed.iter().filter_map(|(one, seal)| Some((one, seal.as_ref()?)));
    let calls = sealed.map(|(one, seal)| async move {
        fates.sent(one);
        tell((one, fates), wire.send("EVAL", seal.unlink(&one.candidate.key)).await)
    });
    all(join_all(calls).await)
}

/// What became of one is told by now, whatever became of another.
fn all(told: Vec<Result<(), Error>>) -> Result<Deletion, Error> {
    told.into_iter().collect::<Result<(), Error>>().map(|()| Deletion::Run)
}

/// Begins a transaction on the connection that watches, and has the server queue the deletions.
async fn queue(wire: &Wire, doomed: &[Doomed<'_>], fates: &Fates) -> Result<(), Error> {
    wire.send("MULTI", Vec::new()).await?;
    let queued = doomed.iter().map(|(one, seal)| async move {
        let answer = match seal {
            Some(seal) => wire.send("EVAL", seal.unlink(&one.candidate.key)).await,
            None => wire.send("UNLINK", vec![Value::Bytes(one.candidate.key.bytes())]).await,
        };
        match answer {
            Ok(answer) if bytes_of(answer.clone()).as_deref() != Some(b"QUEUED") => {
                // It was run: behind a proxy is another server by now, say, that knows of no MULTI. Then so may be all of them, whether or
                // not their answers come.
                doomed.iter().for_each(|(one, _)| fates.sent(one));
                Err(unexpected("UNLINK in a transaction", "something else than QUEUED"))
            }
            answer => answer.map(|_| ()),
        }
    });
    join_all(queued).await.into_iter().collect()
}

/// Tells what an answer to the deletion of a key says.
///
/// # Errors
/// It says nothing of the key.
fn tell((one, fates): (&One<'_>, &Fates), answer: Result<Resp3Frame, Error>) -> Result<(), Error> {
    let outcome = match answer.map(|answer| number_of(&answer)) {
        // It expired behind the watch, where the server does not say so.
        Ok(Some(0)) => UnlinkOutcome::Gone,
        Ok(Some(1)) => UnlinkOutcome::Deleted,
        // It is not as it was sealed.
        Ok(Some(2)) => UnlinkOutcome::Changed,
        Ok(_) => return Err(unexpected("UNLINK", "something else than a count")),
        // Of this one alone: others may be gone by now.
        Err(error) if is_key_refused_within(&error) => UnlinkOutcome::Forbidden,
        Err(error) => {
            if is_refusal(&error) {
                fates.refused(one);
            }
            return Err(error);
        }
    };
    fates.answered(one, outcome);
    Ok(())
}
