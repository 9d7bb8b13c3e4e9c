//! Small questions about the keyspace: how many keys, and which families.

use super::errors::unexpected;
use super::{RedisSource, number_of};
use crate::model::{Failure, Family};
use std::collections::HashMap;

/// Pages of the scan that a sample looks at.
const SAMPLE_PAGES: usize = 10;

impl RedisSource {
    /// How many keys the database holds, those that have expired but were not removed yet included.
    ///
    /// # Errors
    /// A [`Failure`] of the Redis side, or a missing right.
    pub async fn dbsize(&self) -> Result<u64, Failure> {
        if let Some(cluster) = &self.cluster {
            let mut count = 0;
            for node in cluster.primaries().await? {
                count += Box::pin(node.dbsize()).await?;
            }
            return Ok(count);
        }
        let reply = self.ask("DBSIZE", Vec::new()).await?;
        let count = number_of(&reply).and_then(|count| u64::try_from(count).ok());
        count.ok_or_else(|| self.failure(&unexpected("DBSIZE", "no number"), "DBSIZE"))
    }

    /// The `count` most common families of keys (`document:*`) in a sample of some thousand keys, with how many keys
    /// of the sample belong to each, the most common first. Of all keys, whatever pattern the scans are limited to.
    ///
    /// # Errors
    /// As [`Self::dbsize`].
    pub async fn key_families(&self, count: usize) -> Result<Vec<(String, u64)>, Failure> {
        let mut families: HashMap<String, u64> = HashMap::new();
        match &self.cluster {
            None => self.sample(&mut families).await?,
            Some(cluster) => {
                for node in cluster.primaries().await? {
                    node.sample(&mut families).await?;
                }
            }
        }
        let mut families: Vec<_> = families.into_iter().collect();
        families.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        families.truncate(count);
        Ok(families)
    }

    /// Counts the families of some thousand keys of one server.
    async fn sample(&self, families: &mut HashMap<String, u64>) -> Result<(), Failure> {
        let mut cursor = "0".to_owned();
        for _ in 0..SAMPLE_PAGES {
            let page = self.page(&cursor, None).await?;
            for key in &page.keys {
                *families.entry(Family::of(key.as_bytes()).to_string()).or_default() += 1;
            }
            cursor = page.cursor;
            if cursor == "0" {
                break;
            }
        }
        Ok(())
    }
}
