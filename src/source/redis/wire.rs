//! One connection and how commands go over it: one at a time, or many written at once. Where it is for keys that a cluster
//! is moving to its server, each command is preceded by ASKING.

use super::errors::{self, unexpected};
use fred::clients::{Client, Pipeline};
use fred::error::Error;
use fred::interfaces::{ClientLike, FredResult};
use fred::types::{ClusterHash, CustomCommand, Resp3Frame, Value};
use std::sync::Arc;
use tokio::sync::Mutex;

/// A connection. Cheap to clone; clones share it.
#[derive(Clone)]
pub(super) struct Wire {
    pub(super) client: Client,
    /// ASKING is for the very next command of the connection: nobody may come in between.
    asking: Option<Arc<Mutex<()>>>,
}

/// Commands that are written at once.
pub(super) struct Batch<'a> {
    wire: &'a Wire,
    pipeline: Pipeline<Client>,
}

impl Wire {
    /// Over this client. `asking`: each command is preceded by ASKING.
    pub(super) fn new(client: Client, asking: bool) -> Self {
        Self { client, asking: asking.then(Arc::default) }
    }

    /// Whether each command is preceded by ASKING.
    pub(super) fn is_asking(&self) -> bool {
        self.asking.is_some()
    }

    /// One command; error replies are errors.
    pub(super) async fn send(&self, command: &'static str, args: Vec<Value>) -> Result<Resp3Frame, Error> {
        let Some(lock) = &self.asking else { return send(&self.client, command, args).await };
        let _alone = lock.lock().await;
        let asking = send(&self.client, "ASKING", Vec::new());
        let (asked, reply) = tokio::join!(biased; asking, send(&self.client, command, args));
        asked?;
        reply
    }

    /// Closes it. Without it the connection closes with the process.
    pub(super) async fn close(&self) {
        // An error means that it is closed already.
        let _ = self.client.quit().await;
    }

    /// The commands that follow are written at once.
    pub(super) fn batch(&self) -> Batch<'_> {
        Batch { wire: self, pipeline: self.client.pipeline() }
    }
}

impl Batch<'_> {
    /// What takes the next command; it only queues.
    pub(super) async fn next(&self) -> Result<&Pipeline<Client>, Error> {
        if self.wire.is_asking() {
            let command = CustomCommand::new_static("ASKING", ClusterHash::FirstKey, false);
            let () = self.pipeline.custom::<(), Value>(command, Vec::new()).await?;
        }
        Ok(&self.pipeline)
    }

    /// Sends them; the answers to all of `count` commands, in order.
    ///
    /// # Errors
    /// There is another number of answers: the connection broke.
    pub(super) async fn answers(self, count: usize) -> Result<Vec<FredResult<Value>>, Error> {
        let _alone = match &self.wire.asking {
            Some(lock) => Some(lock.lock().await),
            None => None,
        };
        // A pipeline alone writes each command by itself. A command beside it makes the client flush once (a million
        // commands: 2 instead of 8 CPU seconds).
        let ping = self.wire.client.ping::<Value>(None);
        let (mut replies, _pong) = tokio::join!(biased; self.pipeline.try_all::<Value>(), ping);
        let each = if self.wire.is_asking() { 2 } else { 1 };
        if replies.len() != count * each {
            let found = replies.len();
            let error = replies.into_iter().find_map(Result::err);
            return Err(
                error.unwrap_or_else(|| unexpected("a pipeline", &format!("{found} answers to {count} commands")))
            );
        }
        if each == 2 {
            let mut place = 0;
            replies.retain(|_| {
                place += 1;
                place % 2 == 0
            });
        }
        Ok(replies)
    }
}

/// One command as it is; error replies are errors.
pub(super) async fn send(client: &Client, command: &'static str, args: Vec<Value>) -> Result<Resp3Frame, Error> {
    let command = CustomCommand::new_static(command, ClusterHash::FirstKey, false);
    errors::in_reply(client.custom_raw(command, args).await?)
}
