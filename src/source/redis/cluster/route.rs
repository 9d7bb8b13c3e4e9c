//! Reading: each key from the node that serves its slot, or from the one that its slot is being moved to.

use super::attempts::{Attempts, is_redirected};
use super::slots::slot_of;
use super::topology::{Node, Topology};
use super::{Address, Cluster};
use crate::model::{Failure, Fetched, RedisKey, SkipReason, Wanted};
use crate::source::redis::RedisSource;
use crate::source::redis::errors::{is_redirect, is_transient};
use crate::source::redis::fetch::{PerKey, size_of};
use crate::source::{Answering, FetchedPage};
use fred::error::Error;
use futures::future::try_join_all;
use std::sync::PoisonError;

/// Keys that are asked for in one place: whom, and their places in the page.
type Part<T> = (T, Vec<usize>);

impl Cluster {
    /// Reads a run of keys from their front.
    pub(in crate::source::redis) async fn fetch_some(
        &self,
        keys: &[RedisKey],
        wanted: Wanted,
        max_bytes: usize,
    ) -> Result<FetchedPage, Failure> {
        let mut attempts = Attempts::new(self);
        loop {
            // Where keys move from under the reading, fewer are read at once.
            let count = (keys.len() >> attempts.failed().min(16)).max(1).min(keys.len());
            match self.read(keys.get(..count).unwrap_or(keys), wanted, max_bytes).await {
                Ok(mut page) => {
                    self.name_orphans(&mut page.records);
                    return Ok(page);
                }
                Err(failure) => attempts.after(self, failure).await?,
            }
        }
    }

    /// The keys that cannot be had, each with why.
    pub(in crate::source::redis) async fn missing(
        &self,
        keys: &[RedisKey],
    ) -> Result<Vec<(RedisKey, SkipReason)>, Failure> {
        let mut attempts = Attempts::new(self);
        loop {
            match self.look_for(keys).await {
                Ok(missing) => return Ok(missing),
                Err(failure) => attempts.after(self, failure).await?,
            }
        }
    }

    /// Which nodes answer now, all primaries together.
    pub(in crate::source::redis) async fn answering(&self) -> Result<Answering, Failure> {
        let mut attempts = Attempts::new(self);
        loop {
            match self.all_answering().await {
                Ok(answering) => return Ok(answering),
                Err(failure) => attempts.after(self, failure).await?,
            }
        }
    }

    async fn all_answering(&self) -> Result<Answering, Failure> {
        let mut tokens = Vec::new();
        for node in self.primaries().await? {
            tokens.push(node.answering_here().await?.token);
        }
        tokens.sort_unstable();
        Ok(Answering { run_id: None, token: tokens.join(" ") })
    }

    /// Which of these keys the user may not read; of one that is on its way that is found out when it is read.
    pub(in crate::source::redis) async fn unreadable(&self, keys: &[RedisKey]) -> Result<Vec<bool>, Failure> {
        let topology = self.topology();
        let mut unreadable = vec![false; keys.len()];
        for (node, places) in self.parts(&topology, keys)? {
            match Box::pin(self.node(node).await?.unreadable(&picked(keys, &places))).await {
                Err(failure) if is_redirected(&failure) => {}
                told => {
                    for (place, is) in places.into_iter().zip(told?) {
                        if let Some(entry) = unreadable.get_mut(place) {
                            *entry = is;
                        }
                    }
                }
            }
        }
        Ok(unreadable)
    }

    /// The connection over which a key is to be had.
    pub(in crate::source::redis) async fn source_of(&self, key: &RedisKey) -> Result<RedisSource, Failure> {
        let topology = self.topology();
        let source = self.node(self.owner(&topology, key)?).await?;
        let parts = self.split(&source, std::slice::from_ref(key)).await?;
        Ok(parts.into_iter().next().map_or(source, |(source, _)| source))
    }

    async fn read(&self, keys: &[RedisKey], wanted: Wanted, max_bytes: usize) -> Result<FetchedPage, Failure> {
        let topology = self.topology();
        let parts = self.parts(&topology, keys)?;
        if let [(node, _)] = parts.as_slice() {
            return Box::pin(self.read_at(node, keys, wanted, max_bytes)).await;
        }
        let room = max_bytes / parts.len().max(1);
        let pages = parts.iter().map(|(node, places)| {
            let keys = picked(keys, places);
            async move { Box::pin(self.read_at(node, &keys, wanted, room)).await }
        });
        let pages = try_join_all(pages).await?;
        Ok(front(keys.len(), parts.into_iter().map(|(_, places)| places).zip(pages)))
    }

    /// Reads keys that a node serves, those on their way to another one included.
    async fn read_at(
        &self,
        node: &Node,
        keys: &[RedisKey],
        wanted: Wanted,
        max_bytes: usize,
    ) -> Result<FetchedPage, Failure> {
        let source = self.node(node).await?;
        let read = tokio::select! {
            read = Box::pin(source.fetch_here(keys, wanted, max_bytes)) => read,
            () = self.deposed(&node.id) => Err(lost(node)),
        };
        match read {
            Err(failure) if is_redirected(&failure) => {
                let parts = self.split(&source, keys).await?;
                let room = max_bytes / parts.len().max(1);
                let mut pages = Vec::new();
                for (source, places) in parts {
                    pages.push((
                        places.clone(),
                        Box::pin(source.fetch_here(&picked(keys, &places), wanted, room)).await?,
                    ));
                }
                Ok(front(keys.len(), pages.into_iter()))
            }
            read => read,
        }
    }

    async fn look_for(&self, keys: &[RedisKey]) -> Result<Vec<(RedisKey, SkipReason)>, Failure> {
        let topology = self.topology();
        let mut missing = Vec::new();
        for (node, places) in self.parts(&topology, keys)? {
            let (source, keys) = (self.node(node).await?, picked(keys, &places));
            match source.missing(&keys).await {
                Err(failure) if is_redirected(&failure) => {
                    for (source, places) in self.split(&source, &keys).await? {
                        missing.extend(source.missing(&picked(&keys, &places)).await?);
                    }
                }
                found => missing.extend(found?),
            }
        }
        Ok(missing)
    }

    /// Which keys a node is to be asked for, by node.
    fn parts<'t>(&self, topology: &'t Topology, keys: &[RedisKey]) -> Result<Vec<Part<&'t Node>>, Failure> {
        let mut parts: Vec<Part<&Node>> = Vec::new();
        for (place, key) in keys.iter().enumerate() {
            let node = self.owner(topology, key)?;
            match parts.iter_mut().find(|(known, _)| std::ptr::eq(*known, node)) {
                Some((_, places)) => places.push(place),
                None => parts.push((node, vec![place])),
            }
        }
        Ok(parts)
    }

    fn owner<'t>(&self, topology: &'t Topology, key: &RedisKey) -> Result<&'t Node, Failure> {
        let slot = slot_of(key.as_bytes());
        topology.owner(slot).ok_or_else(|| Failure::redis(format!("no node serves slot {slot}"), ""))
    }

    /// Asks a node where each of these keys is now: with itself, or on its way to another node.
    ///
    /// # Errors
    /// One has moved altogether; who serves what has to be asked anew.
    async fn split(&self, source: &RedisSource, keys: &[RedisKey]) -> Result<Vec<Part<RedisSource>>, Failure> {
        let replies = match source.each_alone(keys, PerKey::Type).await {
            Ok(replies) => replies,
            Err(error) => return Err(source.refused(&error, "TYPE")),
        };
        let (mut here, mut moving): (Vec<usize>, Vec<Part<Address>>) = (Vec::new(), Vec::new());
        for (place, reply) in replies.iter().enumerate() {
            match reply {
                Err(error) if is_redirect(error) || is_transient(error) => {
                    let address = self.asked(source, error).ok_or_else(|| source.refused(error, "TYPE"))?;
                    match moving.iter_mut().find(|(known, _)| *known == address) {
                        Some((_, places)) => places.push(place),
                        None => moving.push((address, vec![place])),
                    }
                }
                // What else there is to say of a key is said when it is read.
                _ => here.push(place),
            }
        }
        let mut parts = Vec::new();
        if !here.is_empty() {
            parts.push((source.clone(), here));
        }
        for (address, places) in moving {
            parts.push((self.at(address, true).await?, places));
        }
        Ok(parts)
    }

    /// Where to ask for a key that is on its way: `ASK 3999 10.0.0.7:6379`.
    fn asked(&self, source: &RedisSource, error: &Error) -> Option<Address> {
        let (_, place) = error.details().strip_prefix("ASK ")?.split_once(' ')?;
        let (host, port) = place.trim().rsplit_once(':')?;
        let (host, port) = (host.trim_start_matches('[').trim_end_matches(']'), port.parse().ok()?);
        let topology = self.topology();
        if let Some(node) = topology.at(host, port) {
            return Some(self.address(node));
        }
        let Address::Tcp { host: own, tls, .. } = &source.inner.target.address else { return None };
        // Without a host it is that of the node which said it.
        let host = if host.is_empty() { own } else { host };
        Some(Address::Tcp { host: host.to_owned(), port, tls: *tls })
    }

    /// Of keys that have gone: those that were listed by a node which does not serve them were left behind there.
    fn name_orphans(&self, records: &mut [Fetched]) {
        for record in records {
            let Fetched::Gone(key) = record else { continue };
            if let Some(node) = self.strays.of(key) {
                self.say_orphan(key, node);
                *record = Fetched::Orphan(key.clone());
            }
        }
    }

    fn say_orphan(&self, key: &RedisKey, node: String) {
        tracing::debug!("orphan: {key} on {node}");
        let text = format!(
            "the cluster's node {node} lists keys of slots that another node serves, and that one does not have them, such \
             as {key}: no client can read them, and they are skipped as orphan"
        );
        if self.told.lock().unwrap_or_else(PoisonError::into_inner).insert(node) {
            self.notice(text);
        }
    }
}

impl RedisSource {
    fn refused(&self, error: &Error, command: &str) -> Failure {
        crate::source::redis::errors::refused(error, command, &self.inner.target)
    }
}

/// The node serves no slots any more.
fn lost(node: &Node) -> Failure {
    Failure::redis(format!("the node {}:{} serves no slots any more", node.ip, node.port), "")
}

fn picked(keys: &[RedisKey], places: &[usize]) -> Vec<RedisKey> {
    places.iter().filter_map(|place| keys.get(*place).cloned()).collect()
}

/// The answers of several nodes in the order of the keys, up to the first key of which there is none.
fn front(count: usize, pages: impl Iterator<Item = (Vec<usize>, FetchedPage)>) -> FetchedPage {
    let mut records: Vec<Option<Fetched>> = vec![None; count];
    for (places, page) in pages {
        for (place, fetched) in places.into_iter().zip(page.records) {
            if let Some(record) = records.get_mut(place) {
                *record = Some(fetched);
            }
        }
    }
    let records: Vec<Fetched> = records.into_iter().map_while(|record| record).collect();
    FetchedPage { bytes: records.iter().map(size_of).sum(), records }
}

#[cfg(test)]
mod tests {
    use super::front;
    use crate::model::{Fetched, RedisKey};
    use crate::source::FetchedPage;

    #[test]
    fn what_several_nodes_gave_is_in_order_up_to_the_first_gap() {
        let gone = |keys: &[&'static str]| FetchedPage {
            records: keys.iter().map(|key| Fetched::Gone(RedisKey::new(*key))).collect(),
            bytes: 0,
        };
        let pages = [(vec![0, 2, 4], gone(&["a", "c"])), (vec![1, 3], gone(&["b", "d"]))];
        let page = front(5, pages.into_iter());
        let keys: Vec<&[u8]> = page.records.iter().map(|fetched| fetched.key().as_bytes()).collect();
        assert_eq!(keys, [b"a", b"b", b"c", b"d"]);
        assert_eq!(page.bytes, 4);
    }
}
