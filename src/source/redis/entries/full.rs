//! A stream as XINFO STREAM … FULL tells it.

use super::super::{bytes_of, number_of};
use crate::backup::{Logical, Pending, StreamFacts, StreamGroup};
use crate::model::Packer;
use bytes::Bytes;
use fred::types::Resp3Frame;

/// All of a stream; `None` where that is not what the answer is.
pub(super) fn stream(reply: Resp3Frame) -> Option<Logical> {
    let parts = named(reply)?;
    let mut entries = Packer::default();
    for entry in list(find(&parts, &["entries"])?.clone())? {
        push_entry(entry, &mut entries)?;
    }
    let groups = list(find(&parts, &["groups"])?.clone())?;
    let groups = groups.into_iter().map(group).collect::<Option<_>>()?;
    Some(Logical::Stream { entries: entries.finish(), facts: Some(facts(&parts)?), groups })
}

/// What XINFO STREAM tells beside entries and groups.
pub(super) fn facts(parts: &[Named]) -> Option<StreamFacts> {
    Some(StreamFacts {
        last_id: text(find(parts, &["last-generated-id"])?)?,
        max_deleted_id: find(parts, &["max-deleted-entry-id"]).and_then(text),
        entries_added: find(parts, &["entries-added"]).and_then(count),
    })
}

/// A group without its consumers and what is pending.
pub(super) fn bare(parts: &[Named]) -> Option<StreamGroup> {
    Some(StreamGroup {
        name: bytes_of(find(parts, &["name"])?.clone())?,
        last_id: text(find(parts, &["last-delivered-id"])?)?,
        entries_read: find(parts, &["entries-read"]).and_then(count),
        consumers: Vec::new(),
        pending: Vec::new(),
    })
}

/// A name and what is told under it.
pub(super) type Named = (Bytes, Resp3Frame);

/// Names and values in turn.
pub(super) fn named(reply: Resp3Frame) -> Option<Vec<Named>> {
    let mut parts = list(reply)?.into_iter();
    std::iter::from_fn(|| parts.next().zip(parts.next())).map(|(name, value)| Some((bytes_of(name)?, value))).collect()
}

/// What is told under the first of these names that there is.
pub(super) fn find<'a>(parts: &'a [Named], names: &[&str]) -> Option<&'a Resp3Frame> {
    parts.iter().find(|(name, _)| names.iter().any(|known| name == known.as_bytes())).map(|(_, value)| value)
}

pub(super) fn list(reply: Resp3Frame) -> Option<Vec<Resp3Frame>> {
    match reply {
        Resp3Frame::Array { data, .. } => Some(data),
        _ => None,
    }
}

pub(super) fn text(frame: &Resp3Frame) -> Option<String> {
    String::from_utf8(bytes_of(frame.clone())?.to_vec()).ok()
}

fn count(frame: &Resp3Frame) -> Option<u64> {
    number_of(frame).and_then(|number| u64::try_from(number).ok())
}

fn push_entry(entry: Resp3Frame, packer: &mut Packer) -> Option<()> {
    let [id, fields] = <[Resp3Frame; 2]>::try_from(list(entry)?).ok()?;
    let fields = list(fields)?;
    packer.push(&bytes_of(id)?);
    packer.push((fields.len() / 2).to_string().as_bytes());
    fields.into_iter().try_for_each(|field| bytes_of(field).map(|field| packer.push(&field)))
}

fn group(reply: Resp3Frame) -> Option<StreamGroup> {
    let parts = named(reply)?;
    let mut group = bare(&parts)?;
    for consumer in list(find(&parts, &["consumers"])?.clone())? {
        group.consumers.push(bytes_of(find(&named(consumer)?, &["name"])?.clone())?);
    }
    // Redis 7 says `pel`, those before it `pending`.
    for pending in list(find(&parts, &["pel", "pending"])?.clone())? {
        let [id, consumer, at, deliveries] = <[Resp3Frame; 4]>::try_from(list(pending)?).ok()?;
        group.pending.push(Pending {
            id: text(&id)?,
            consumer: bytes_of(consumer)?,
            delivered_at: number_of(&at)?,
            deliveries: count(&deliveries)?,
        });
    }
    Some(group)
}
