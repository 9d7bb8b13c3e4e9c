//! The slices of a large string, put together in a file: the string is never in memory as a whole.

use crate::decode::MAX_TEXT_BYTES;
use crate::flow::StoredWriter;
use crate::model::{Failure, Fetched, Record};
use bytes::Bytes;
use std::sync::Arc;

/// Takes the slices of one key, in order.
#[derive(Debug, Default)]
pub struct Collector {
    writer: Option<StoredWriter>,
}

impl Collector {
    /// Takes what the next slice is. Gives what the key holds once that is known; `None`: there is more to come.
    ///
    /// A string that came in one slice is small after all, and stays in memory. One that is longer than any column holds
    /// is given up.
    ///
    /// # Errors
    /// As [`StoredWriter`].
    pub async fn push(&mut self, fetched: Fetched) -> Result<Option<Fetched>, Failure> {
        let Fetched::Record(record) = fetched else { return Ok(Some(fetched)) };
        let (first, last) = record.slice.map_or((true, true), |slice| (slice.first, slice.last));
        if first {
            self.writer = None;
            if last {
                return Ok(Some(Fetched::Record(Record { slice: None, ..record })));
            }
        }
        let writer = append(self.writer.take(), record.value.clone()).await?;
        if writer.len() > MAX_TEXT_BYTES as u64 {
            return Ok(Some(too_large(record, writer.len())));
        }
        if !last {
            self.writer = Some(writer);
            return Ok(None);
        }
        let stored = Some(Arc::new(writer.finish()));
        Ok(Some(Fetched::Record(Record { value: Bytes::new(), stored, slice: None, ..record })))
    }
}

/// Writes to the disk, which may take its time, where nobody else waits for it.
async fn append(writer: Option<StoredWriter>, bytes: Bytes) -> Result<StoredWriter, Failure> {
    let write = move || {
        let mut writer = writer.map_or_else(StoredWriter::new, Ok)?;
        writer.push(&bytes).map(|()| writer)
    };
    let written = tokio::task::spawn_blocking(write).await;
    written.unwrap_or_else(|error| Err(Failure::internal("writing a large value broke off").because(error)))
}

fn too_large(record: Record, read: u64) -> Fetched {
    let detail = format!("the value has more than {read} bytes, and a column holds {MAX_TEXT_BYTES}");
    let Record { key, redis_type, .. } = record;
    Fetched::Unreadable { key, redis_type, reason: "value_too_large", detail }
}

#[cfg(test)]
mod tests {
    use super::Collector;
    use crate::model::{Fetched, Record, RedisKey, RedisType, Slice, sha256_hex};
    use bytes::Bytes;

    fn slice(value: &'static str, first: bool, last: bool) -> Fetched {
        Fetched::Record(Record {
            facts: None,
            key: RedisKey::new("k"),
            redis_type: RedisType::String,
            value: Bytes::from_static(value.as_bytes()),
            stored: None,
            slice: Some(Slice { from: 0, first, last }),
            expires_at: Some(5),
        })
    }

    #[tokio::test]
    async fn a_reading_that_began_anew_leaves_nothing_of_the_one_before() {
        let mut collector = Collector::default();
        for (value, first) in [("old", true), ("older", false), ("new", true), ("er", false)] {
            assert!(collector.push(slice(value, first, false)).await.unwrap().is_none());
        }
        let Some(Fetched::Record(record)) = collector.push(slice("!", false, true)).await.unwrap() else { panic!() };
        let stored = record.stored.unwrap();
        assert_eq!(stored.withheld().sha256, sha256_hex(b"newer!"));
        assert_eq!((stored.len, record.value.len(), record.slice, record.expires_at), (6, 0, None, Some(5)));
    }

    #[tokio::test]
    async fn what_comes_at_once_stays_in_memory_and_what_is_no_value_is_passed_on() {
        let mut collector = Collector::default();
        let Some(Fetched::Record(record)) = collector.push(slice("all", true, true)).await.unwrap() else { panic!() };
        assert_eq!((record.value.as_ref(), record.stored.is_none(), record.slice), (&b"all"[..], true, None));
        assert!(collector.push(slice("some", true, false)).await.unwrap().is_none());
        let gone = collector.push(Fetched::Gone(RedisKey::new("k"))).await.unwrap();
        assert!(matches!(gone, Some(Fetched::Gone(_))));
    }
}
