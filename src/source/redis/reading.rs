//! Scans and readings of large values: of one server, or of a cluster.

use super::cluster::{ClusterScan, ClusterSlices};
use super::collections::SliceReader;
use super::scan::Scanner;
use crate::model::{Failure, Fetched};
use crate::source::{Scan, ScanPage, Slices};

/// A scan of a server or of a cluster.
pub enum RedisScan {
    /// Of one server and database.
    Server(Scanner),
    /// Of all primaries of a cluster.
    Cluster(Box<ClusterScan>),
}

impl Scan for RedisScan {
    async fn next(&mut self) -> Result<Option<ScanPage>, Failure> {
        match self {
            Self::Server(scan) => scan.next().await,
            Self::Cluster(scan) => Box::pin(scan.next()).await,
        }
    }

    fn server_run_id(&self) -> Option<&str> {
        match self {
            Self::Server(scan) => scan.server_run_id(),
            Self::Cluster(scan) => scan.server_run_id(),
        }
    }
}

/// A reading of a large value, from a server or wherever in a cluster it is.
pub enum RedisSlices {
    /// From one server.
    Server(Box<SliceReader>),
    /// From the node that has it.
    Cluster(Box<ClusterSlices>),
}

impl Slices for RedisSlices {
    async fn next(&mut self) -> Result<Option<Fetched>, Failure> {
        match self {
            Self::Server(slices) => slices.next().await,
            Self::Cluster(slices) => Box::pin(slices.next()).await,
        }
    }
}
