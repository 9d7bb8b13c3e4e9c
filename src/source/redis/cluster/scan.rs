//! The scan of a cluster: its primaries one after the other, until of every slot all keys have been listed.
//!
//! A slot is done when a node that served it from the beginning of its scan to the end has been scanned, and gave none of
//! its keys to another node meanwhile. Slots that moved are left over, and the nodes that serve them now are scanned for
//! them. So the scan ends when there is no slot left, whatever becomes of the nodes, and never before.

use super::attempts::Attempts;
use super::cursor::Place;
use super::slots::{SlotSet, slot_of};
use super::topology::{Node, View};
use super::{Cluster, PATIENCE};
use crate::model::Failure;
use crate::source::redis::scan::Scanner;
use crate::source::{Checkpoint, Scan, ScanPage};
use std::sync::Arc;

/// What a checkpoint names instead of a server: which one it was says its cursor.
const SERVER: &str = "cluster";
/// Scans of nodes that left slots over, before it is given up.
const MOST_AGAIN: u32 = 100;

/// A scan of all primaries of a cluster.
pub struct ClusterScan {
    cluster: Arc<Cluster>,
    epoch: u32,
    number: u64,
    /// The slots whose keys have all been listed.
    done: SlotSet,
    at: Option<AtNode>,
    /// Where an earlier scan was.
    resume: Option<Place>,
    attempts: Attempts,
    again: u32,
    finished: bool,
}

/// The node at hand.
struct AtNode {
    node: Node,
    /// What it said of itself before its scan began.
    began: View,
    scan: Scanner,
}

impl ClusterScan {
    /// Starts a scan, or goes on with one.
    pub(in crate::source::redis) fn start(cluster: Arc<Cluster>, from: Option<Checkpoint>) -> Self {
        let attempts = Attempts::new(&cluster);
        let mut scan = Self {
            cluster,
            epoch: 0,
            number: 0,
            done: SlotSet::default(),
            at: None,
            resume: None,
            attempts,
            again: 0,
            finished: false,
        };
        if let Some(from) = from {
            let place = from.server_run_id.as_deref().filter(|id| *id == SERVER).and(Place::parse(&from.cursor));
            match place {
                Some(place) => {
                    (scan.epoch, scan.number) = (from.epoch, from.number);
                    scan.done = place.done.clone();
                    scan.resume = Some(place);
                }
                None => scan.epoch = from.epoch.saturating_add(1),
            }
        }
        scan
    }

    /// Goes to the next node; `false`: there is none left to go to.
    async fn enter(&mut self) -> Result<bool, Failure> {
        self.cluster.refresh().await?;
        let left = SlotSet::all().without(&self.done);
        if left.is_empty() {
            return Ok(false);
        }
        if let Some(at) = self.resumed().await? {
            self.at = Some(at);
            return Ok(true);
        }
        let topology = self.cluster.topology();
        for node in &topology.nodes {
            if topology.slots(&node.id).and(&left).is_empty() {
                continue;
            }
            let began = self.cluster.view(node).await?;
            if began.slots.clone().and(&left).without(&began.leaving).is_empty() {
                continue;
            }
            let scan = Scanner::start(self.cluster.node(node).await?, None);
            self.at = Some(AtNode { node: node.clone(), began, scan });
            return Ok(true);
        }
        Err(unsettled(&left))
    }

    /// The node at which an earlier scan was, if it has the slots that it had.
    async fn resumed(&mut self) -> Result<Option<AtNode>, Failure> {
        let Some(place) = self.resume.clone() else { return Ok(None) };
        let topology = self.cluster.topology();
        let mut at = None;
        if let Some(node) = topology.nodes.iter().find(|node| node.id == place.began.id)
            && self.cluster.view(node).await?.epoch == place.began.epoch
        {
            let from = Checkpoint { server_run_id: Some(place.run_id), cursor: place.cursor, epoch: 0, number: 1 };
            let scan = Scanner::start(self.cluster.node(node).await?, Some(from));
            at = Some(AtNode { node: node.clone(), began: place.began, scan });
        }
        self.resume = None;
        Ok(at)
    }

    /// Notes which slots are done now that the scan of a node has ended.
    async fn leave(&mut self) -> Result<(), Failure> {
        let Some((node, began)) = self.at.as_ref().map(|at| (at.node.clone(), at.began.clone())) else { return Ok(()) };
        let end = self.cluster.view(&node).await?;
        let covered = began.scanned_until(&end);
        let moved = began.slots.without(&covered).without(&self.done);
        self.done.add(&covered);
        let node = self.cluster.address(&node).place();
        self.at = None;
        if !moved.is_empty() {
            let text = format!(
                "slots of the cluster's node {node} moved while it was scanned; they are scanned again: {moved}"
            );
            self.go_again(text).await?;
        }
        Ok(())
    }

    /// Some slots are left over and need another scan.
    async fn go_again(&mut self, text: String) -> Result<(), Failure> {
        self.again += 1;
        if self.again > MOST_AGAIN {
            return Err(unsettled(&SlotSet::all().without(&self.done)));
        }
        self.cluster.notice(text);
        // A cluster that moves slots is not done with it at once.
        tokio::time::sleep(PATIENCE).await;
        Ok(())
    }

    /// Leaves a node that serves nothing any more, whatever of it was scanned.
    async fn abandon(&mut self) -> Result<(), Failure> {
        let Some(at) = self.at.take() else { return Ok(()) };
        let node = self.cluster.address(&at.node).place();
        self.go_again(format!("the cluster's node {node} serves no slots any more, or has moved; the scan goes on at the nodes that serve them now"))
            .await
    }

    /// Whether the node at hand is known to serve nothing any more, or to have gone to another address.
    fn is_deposed(&self) -> bool {
        let topology = self.cluster.topology();
        self.at.as_ref().is_some_and(|at| {
            !topology.nodes.iter().any(|node| {
                let place = |node: &Node| (node.ip.clone(), node.port);
                node.id == at.node.id && place(node) == place(&at.node)
            })
        })
    }

    /// A page of a node, as a page of the cluster.
    fn accept(&mut self, page: ScanPage) -> Option<ScanPage> {
        let at = self.at.as_ref()?;
        let topology = self.cluster.topology();
        let mut name = None;
        for key in &page.keys {
            if topology.owner(slot_of(key.as_bytes())).is_none_or(|owner| owner.id != at.node.id) {
                let name = name.get_or_insert_with(|| self.cluster.address(&at.node).place());
                self.cluster.strays.add(key, name);
            }
        }
        let place = Place {
            done: self.done.clone(),
            began: at.began.clone(),
            run_id: at.scan.server_run_id().unwrap_or("-").to_owned(),
            cursor: page.resume_cursor,
        };
        let page = ScanPage { epoch: self.epoch, number: self.number, keys: page.keys, resume_cursor: place.text() };
        self.number += 1;
        self.attempts = Attempts::new(&self.cluster);
        Some(page)
    }

    /// The next page of the node at hand; `None` after its last, or once it serves nothing any more.
    async fn page(&mut self) -> Result<Option<ScanPage>, Failure> {
        if self.is_deposed() {
            return self.abandon().await.map(|()| None);
        }
        let Some(at) = &mut self.at else { return Ok(None) };
        let page = tokio::select! {
            page = at.scan.next() => page?,
            () = self.cluster.deposed(&at.node.id) => return Ok(None),
        };
        match page {
            Some(page) => Ok(self.accept(page)),
            None => self.leave().await.map(|()| None),
        }
    }
}

impl Scan for ClusterScan {
    async fn next(&mut self) -> Result<Option<ScanPage>, Failure> {
        while !self.finished {
            let step = match &self.at {
                None => self.enter().await.map(|entered| {
                    self.finished = !entered;
                    None
                }),
                Some(_) => self.page().await,
            };
            match step {
                Ok(Some(page)) => return Ok(Some(page)),
                Ok(None) => {}
                Err(failure) => self.attempts.after(&self.cluster, failure).await?,
            }
        }
        Ok(None)
    }

    fn server_run_id(&self) -> Option<&str> {
        Some(SERVER)
    }
}

/// Slots that nobody serves, or whose keys are on their way: of these it cannot be said that all keys were listed.
fn unsettled(left: &SlotSet) -> Failure {
    Failure::redis(
        format!(
            "not all keys of the cluster could be listed: these slots are served by no node, or their keys are being moved: \
             {left}"
        ),
        "Let the move of slots end, or end it (`redis-cli --cluster fix`), then start again.",
    )
}
