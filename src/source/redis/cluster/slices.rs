//! A large value, read from whichever node has it: where it moves meanwhile, it is read anew from the beginning.

use super::Cluster;
use super::attempts::Attempts;
use crate::model::{Failure, Fetched, LargeKey, RedisKey};
use crate::source::Slices;
use crate::source::redis::collections::SliceReader;
use std::sync::Arc;

/// A reading of one large value of a cluster.
pub struct ClusterSlices {
    cluster: Arc<Cluster>,
    key: RedisKey,
    large: LargeKey,
    reader: Option<SliceReader>,
    attempts: Attempts,
}

impl ClusterSlices {
    pub(in crate::source::redis) fn new(cluster: Arc<Cluster>, key: RedisKey, large: LargeKey) -> Self {
        let attempts = Attempts::new(&cluster);
        Self { cluster, key, large, reader: None, attempts }
    }

    async fn step(&mut self) -> Result<Option<Fetched>, Failure> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => {
                let source = self.cluster.source_of(&self.key).await?;
                none.insert(SliceReader::new(source, self.key.clone(), self.large.clone()))
            }
        };
        reader.next().await
    }
}

impl Slices for ClusterSlices {
    async fn next(&mut self) -> Result<Option<Fetched>, Failure> {
        loop {
            match self.step().await {
                Ok(slice) => return Ok(slice),
                Err(failure) => {
                    self.reader = None;
                    self.attempts.after(&self.cluster, failure).await?;
                }
            }
        }
    }
}
