//! What a stream has beside its entries, and its consumer groups. Ids are text such as `1526919030474-55`.

use super::input::number;
use crate::model::{Items, Packer, UnixMillis};
use bytes::Bytes;

/// What a stream has beside its entries and groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamFacts {
    /// The highest id that was ever given.
    pub last_id: String,
    /// The highest id that was deleted; `None` before Redis 7.
    pub max_deleted_id: Option<String>,
    /// How many entries were ever added; `None` before Redis 7.
    pub entries_added: Option<u64>,
}

/// A consumer group of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamGroup {
    /// Its name.
    pub name: Bytes,
    /// The last id that it handed out.
    pub last_id: String,
    /// How many entries it has read; `None` where Redis does not know, or before Redis 7.
    pub entries_read: Option<u64>,
    /// The names of its consumers, those with nothing pending among them.
    pub consumers: Vec<Bytes>,
    /// What was handed out and not acknowledged.
    pub pending: Vec<Pending>,
}

/// An entry that a consumer was given and has not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The entry's id.
    pub id: String,
    /// Who was given it last.
    pub consumer: Bytes,
    /// When that was.
    pub delivered_at: UnixMillis,
    /// How often it was handed out.
    pub deliveries: u64,
}

impl StreamFacts {
    pub(super) fn pack(&self, packer: &mut Packer) {
        packer.push(self.last_id.as_bytes());
        packer.push(self.max_deleted_id.as_deref().unwrap_or_default().as_bytes());
        push_number(packer, self.entries_added);
    }

    pub(super) fn unpack(packed: &[u8]) -> Option<Self> {
        let mut items = Items::of(packed);
        let facts = Self {
            last_id: text(items.next()?)?,
            max_deleted_id: Some(text(items.next()?)?).filter(|id| !id.is_empty()),
            entries_added: optional(items.next()?)?,
        };
        items.rest().is_empty().then_some(facts)
    }
}

impl StreamGroup {
    /// Bytes of it, about.
    pub fn bytes(&self) -> usize {
        let pending = |pending: &Pending| pending.id.len() + pending.consumer.len() + 56;
        let consumers: usize = self.consumers.iter().map(|name| name.len() + 4).sum();
        self.name.len() + 100 + consumers + self.pending.iter().map(pending).sum::<usize>()
    }

    /// Name, last id, entries read, how many consumers, their names, and in fours what is pending.
    pub(super) fn pack(&self, packer: &mut Packer) {
        packer.push(&self.name);
        packer.push(self.last_id.as_bytes());
        push_number(packer, self.entries_read);
        packer.push(self.consumers.len().to_string().as_bytes());
        self.consumers.iter().for_each(|consumer| packer.push(consumer));
        for pending in &self.pending {
            packer.push(pending.id.as_bytes());
            packer.push(&pending.consumer);
            packer.push(pending.delivered_at.to_string().as_bytes());
            packer.push(pending.deliveries.to_string().as_bytes());
        }
    }

    /// Bytes that it takes in memory, about: more than it has where names are short.
    pub(super) fn memory(&self) -> usize {
        let places = size_of::<Self>() + self.consumers.len() * size_of::<Bytes>();
        self.bytes() + places + self.pending.len() * size_of::<Pending>()
    }

    /// Copies what it refers to, so that it does not keep the block that it came from.
    pub(super) fn detach(&mut self) {
        let names = self.consumers.iter_mut().chain(self.pending.iter_mut().map(|pending| &mut pending.consumer));
        names.chain([&mut self.name]).for_each(|name| *name = Bytes::copy_from_slice(name));
    }

    /// `most`: consumers and pending entries together that it may have.
    pub(super) fn unpack(packed: &Bytes, most: usize) -> Option<Self> {
        let mut items = Items::of(packed);
        let name = packed.slice_ref(items.next()?);
        let last_id = text(items.next()?)?;
        let entries_read = optional(items.next()?)?;
        let count = number(items.next()?).filter(|count: &usize| *count <= most)?;
        let consumers = items.by_ref().take(count).map(|name| packed.slice_ref(name)).collect::<Vec<_>>();
        let mut group = Self { name, last_id, entries_read, consumers, pending: Vec::new() };
        if group.consumers.len() != count {
            return None;
        }
        while let Some(id) = items.next() {
            if group.consumers.len() + group.pending.len() >= most {
                return None;
            }
            group.pending.push(Pending {
                id: text(id)?,
                consumer: packed.slice_ref(items.next()?),
                delivered_at: number(items.next()?)?,
                deliveries: number(items.next()?)?,
            });
        }
        items.rest().is_empty().then_some(group)
    }
}

fn text(bytes: &[u8]) -> Option<String> {
    Some(std::str::from_utf8(bytes).ok()?.to_owned())
}

/// A number as text; empty where it is not known.
fn push_number(packer: &mut Packer, number: Option<u64>) {
    packer.push(number.map(|number| number.to_string()).unwrap_or_default().as_bytes());
}

fn optional(bytes: &[u8]) -> Option<Option<u64>> {
    if bytes.is_empty() { Some(None) } else { number(bytes).map(Some) }
}
