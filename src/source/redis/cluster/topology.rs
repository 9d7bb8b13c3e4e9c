//! Which primary serves which slots, as the nodes tell it. Pure.

use super::slots::{SLOTS, SlotSet};
use std::collections::BTreeMap;

/// A slot that nobody serves.
const NOBODY: u16 = u16::MAX;

/// A primary that serves slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// Its id in the cluster, which outlasts a restart.
    pub(super) id: String,
    /// Its address; empty where the node that was asked does not know it, as its own.
    pub(super) ip: String,
    /// Its name, where it gives itself one.
    pub(super) hostname: Option<String>,
    pub(super) port: u16,
    /// Grows whenever it takes over slots.
    pub(super) epoch: u64,
    /// Whether the cluster has given it up.
    pub(super) failed: bool,
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    /// Its id.
    pub(super) id: String,
    /// The slots that it serves; none where it is a replica.
    pub(super) slots: SlotSet,
    /// Those among them whose keys it is giving to another node now.
    pub(super) leaving: SlotSet,
    /// Its epoch: while it stays the same, no slot came to it.
    pub(super) epoch: u64,
}

/// The slots of a cluster and who serves them.
#[derive(Clone, Debug)]
pub(super) struct Topology {
    pub(super) nodes: Vec<Node>,
    /// For each slot the place of its node.
    owners: Vec<u16>,
}

/// One line of an answer to CLUSTER NODES.
struct Line<'a> {
    node: Node,
    myself: bool,
    primary: bool,
    slots: Vec<&'a str>,
}

impl Topology {
    /// From the answers of several nodes to CLUSTER NODES. Where two primaries claim a slot, the later epoch counts, as it
    /// does among the nodes themselves.
    pub(super) fn of(answers: &[String]) -> Self {
        let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
        let mut claims: Vec<Option<(u64, &str)>> = vec![None; usize::from(SLOTS)];
        for line in answers.iter().flat_map(|answer| answer.lines()) {
            let Some(parsed) = Line::parse(line).filter(|parsed| parsed.primary) else { continue };
            let slots = served(&parsed.slots);
            if slots.is_empty() {
                continue;
            }
            let id = line.split(' ').next().unwrap_or_default();
            for slot in (0..SLOTS).filter(|slot| slots.contains(*slot)) {
                if let Some(claim) = claims.get_mut(usize::from(slot))
                    && claim.is_none_or(|(epoch, _)| parsed.node.epoch > epoch)
                {
                    *claim = Some((parsed.node.epoch, id));
                }
            }
            match nodes.get_mut(id) {
                // Failed is what most of them say; who is asked answers, and does not say it of itself.
                Some(known) => {
                    known.failed &= parsed.node.failed;
                    known.epoch = known.epoch.max(parsed.node.epoch);
                }
                None => drop(nodes.insert(id.to_owned(), parsed.node)),
            }
        }
        let serving = |id: &str| claims.iter().flatten().any(|(_, owner)| *owner == id);
        let nodes: Vec<Node> = nodes.into_values().filter(|node| serving(&node.id)).collect();
        let place = |id: &str| nodes.iter().position(|node| node.id == id).and_then(|place| u16::try_from(place).ok());
        let owners = claims.iter().map(|claim| claim.and_then(|(_, id)| place(id)).unwrap_or(NOBODY)).collect();
        Self { nodes, owners }
    }

    /// The node that serves a slot.
    pub(super) fn owner(&self, slot: u16) -> Option<&Node> {
        self.nodes.get(self.place(slot)?)
    }

    /// The place of the node that serves a slot.
    pub(super) fn place(&self, slot: u16) -> Option<usize> {
        self.owners.get(usize::from(slot)).filter(|place| **place != NOBODY).map(|place| usize::from(*place))
    }

    /// The slots that a node serves.
    pub(super) fn slots(&self, id: &str) -> SlotSet {
        self.where_owner(|node| node.is_some_and(|node| node.id == id))
    }

    /// The slots that nobody serves, or only a node that the cluster has given up.
    pub(super) fn unserved(&self) -> SlotSet {
        self.where_owner(|node| node.is_none_or(|node| node.failed))
    }

    fn where_owner(&self, is: impl Fn(Option<&Node>) -> bool) -> SlotSet {
        let mut slots = SlotSet::default();
        (0..SLOTS).filter(|slot| is(self.owner(*slot))).for_each(|slot| slots.insert(slot));
        slots
    }

    /// The node at an address that a redirection names.
    pub(super) fn at(&self, host: &str, port: u16) -> Option<&Node> {
        let is = |node: &&Node| node.port == port && (node.ip == host || node.hostname.as_deref() == Some(host));
        self.nodes.iter().find(is)
    }
}

impl View {
    /// What the node that gave this answer to CLUSTER NODES says of itself.
    pub(super) fn of(answer: &str) -> Option<Self> {
        let own = answer.lines().filter_map(Line::parse).find(|line| line.myself)?;
        let mut leaving = SlotSet::default();
        for slot in own.slots.iter().filter_map(|text| text.strip_prefix('[')?.split_once("->-")) {
            leaving.insert(slot.0.parse().ok()?);
        }
        let slots = if own.primary { served(&own.slots) } else { SlotSet::default() };
        Some(Self { id: own.node.id, slots, leaving, epoch: own.node.epoch })
    }

    /// The slots all of whose keys a scan has listed that began after this view and ended before the other: the node served
    /// them all the while, and none of their keys went to another node.
    pub(super) fn scanned_until(&self, end: &Self) -> SlotSet {
        if self.id != end.id || self.epoch != end.epoch {
            return SlotSet::default();
        }
        self.slots.clone().and(&end.slots).without(&self.leaving).without(&end.leaving)
    }
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (id, address, flags) = (words.next()?, words.next()?, words.next()?);
        let mut rest = words.skip(3);
        let (epoch, _link) = (rest.next()?.parse().ok()?, rest.next()?);
        let (address, names) = address.split_once(',').unwrap_or((address, ""));
        let hostname = names.split(',').next().filter(|name| !name.is_empty() && !name.contains('='));
        let (ip, port) = address.split('@').next()?.rsplit_once(':')?;
        let flag = |name: &str| flags.split(',').any(|flag| flag == name);
        let node = Node {
            id: id.to_owned(),
            ip: ip.trim_start_matches('[').trim_end_matches(']').to_owned(),
            hostname: hostname.map(str::to_owned),
            port: port.parse().ok()?,
            epoch,
            failed: flag("fail"),
        };
        Some(Self { node, myself: flag("myself"), primary: flag("master"), slots: rest.collect() })
    }
}

/// The slots that a line lists, but for those that are on their way.
fn served(words: &[&str]) -> SlotSet {
    let mut slots = SlotSet::default();
    words.iter().filter_map(|word| SlotSet::parse(word)).for_each(|range| slots.add(&range));
    slots
}

#[cfg(test)]
mod tests {
    use super::{Topology, View};

    const A: &str = "aaa 127.0.0.1:7000@17000,a.example myself,master - 0 1 3 connected 0-99 [7->-bbb] [200-<-bbb]\n\
                     bbb 127.0.0.1:7001@17001,,tls-port=0,shard-id=x master - 0 1 2 connected 100-16383\n\
                     ccc 127.0.0.1:7002@17002 slave aaa 0 1 3 connected\n\
                     ddd :0@0 master,noaddr - 0 1 0 disconnected\n";

    #[test]
    fn who_serves_what_is_read_from_the_lines_of_primaries() {
        let topology = Topology::of(&[A.to_owned()]);
        let ids: Vec<&str> = topology.nodes.iter().map(|node| node.id.as_str()).collect();
        assert_eq!(ids, ["aaa", "bbb"]);
        assert_eq!(topology.owner(99).unwrap().hostname.as_deref(), Some("a.example"));
        assert_eq!(topology.owner(100).unwrap().hostname, None);
        assert_eq!(topology.slots("bbb").to_string(), "100-16383");
        assert!(topology.unserved().is_empty());
        assert_eq!(topology.at("a.example", 7000).unwrap().id, "aaa");
        assert_eq!(topology.at("127.0.0.1", 7001).unwrap().id, "bbb");
    }

    #[test]
    fn of_two_claims_the_later_epoch_counts_and_gaps_are_told() {
        let stale = "aaa 127.0.0.1:7000@1 myself,master - 0 1 3 connected 0-99\n";
        let fresh = "ccc 127.0.0.1:7002@1 myself,master - 0 1 4 connected 0-99\n\
                     bbb 127.0.0.1:7001@1 master,fail - 0 1 2 connected 100-199\n";
        for answers in [[stale, fresh], [fresh, stale]] {
            let topology = Topology::of(&answers.map(str::to_owned));
            assert_eq!(topology.owner(5).unwrap().id, "ccc");
            assert_eq!(topology.slots("aaa").to_string(), "-");
            assert_eq!(topology.unserved().to_string(), "100-16383");
        }
    }

    #[test]
    fn a_scan_covers_what_its_node_served_from_beginning_to_end() {
        let view = View::of(A).unwrap();
        assert_eq!((view.id.as_str(), view.epoch), ("aaa", 3));
        assert_eq!((view.slots.to_string().as_str(), view.leaving.to_string().as_str()), ("0-99", "7"));
        assert_eq!(view.scanned_until(&view).to_string(), "0-6,8-99");
        let fewer = View::of(&A.replace("0-99", "0-49")).unwrap();
        assert_eq!(view.scanned_until(&fewer).to_string(), "0-6,8-49");
        let newer = View::of(&A.replace(" 3 connected 0-99", " 4 connected 0-99")).unwrap();
        assert!(view.scanned_until(&newer).is_empty(), "slots may have gone and come back");
        let replica = View::of(&A.replace("myself,master", "myself,slave")).unwrap();
        assert!(replica.slots.is_empty() && view.scanned_until(&replica).is_empty());
    }
}
