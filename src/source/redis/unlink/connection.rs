//! Connections that are not made again when they break, and how they are kept for the next piece of work.

use super::super::RedisSource;
use super::super::collections::{Identity, identity};
use super::super::connect::unrenewed;
use super::super::wire::Wire;
use fred::error::{Error, ErrorKind};
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::task::AbortHandle;

/// A connection of its own. When it breaks, everything that was asked of it and not answered fails, and so does all that is
/// asked later: nothing is sent again over another one. It is closed at once when it is dropped.
pub(super) struct Connection {
    pub(super) wire: Wire,
    identity: Identity,
    asks_run_id: bool,
    ended: Shared<BoxFuture<'static, ()>>,
    task: AbortHandle,
}

impl Connection {
    pub(super) async fn open(source: &RedisSource) -> Result<Self, Error> {
        // What goes on within is large, and would be part of all that uses connections.
        let (client, task) = Box::pin(unrenewed(&source.inner.settings, &source.inner.target)).await?;
        let (wire, abort) = (Wire::new(client, false), task.abort_handle());
        let ended = task.map(|_| ()).boxed().shared();
        // Whatever fails from here on closes it.
        let asks_run_id = source.inner.abilities.run_id.is_some();
        let nobody = Identity::default();
        let mut connection = Self { wire, identity: nobody, asks_run_id, ended, task: abort };
        connection.identity = connection.until_it_ends(identity(&connection.wire, asks_run_id)).await?;
        if source.inner.abilities.no_touch {
            let untouched = connection.wire.send("CLIENT", vec!["NO-TOUCH".into(), "ON".into()]);
            // Where it fails the next command will say why.
            let _ = connection.until_it_ends(untouched).await;
        }
        Ok(connection)
    }

    /// What some work on it comes to. A command that is sent to a connection that has ended would only fail by its timeout.
    pub(super) async fn until_it_ends<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        tokio::select! {
            // What was answered before the end counts.
            biased;
            done = work => done,
            () = self.ended.clone() => Err(Error::new(ErrorKind::IO, "the connection was closed")),
        }
    }

    fn has_ended(&self) -> bool {
        self.task.is_finished()
    }

    /// Asks whether it is still the connection that was opened, and with the same server.
    pub(super) async fn is_the_same(&self) -> Result<bool, Error> {
        Ok(identity(&self.wire, self.asks_run_id).await? == self.identity)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // The task holds the socket.
        self.task.abort();
    }
}

/// Connections for one piece of work each at a time.
#[derive(Default)]
pub(super) struct Idle(Mutex<Vec<Connection>>);

impl Idle {
    /// One that is idle, or a new one.
    pub(super) async fn take(&self, source: &RedisSource) -> Result<Connection, Error> {
        match self.idle() {
            Some(connection) => Ok(connection),
            None => Connection::open(source).await,
        }
    }

    fn idle(&self) -> Option<Connection> {
        let mut idle = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|connection| !connection.has_ended());
        idle.pop()
    }

    /// Keeps one that has nothing left over from its work.
    pub(super) fn keep(&self, connection: Connection) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
    }
}

/// A connection for several pieces of work at once, none of which changes what the next command of another one does.
#[derive(Default)]
pub(super) struct Common(tokio::sync::Mutex<Option<Arc<Connection>>>);

impl Common {
    /// The connection, which is opened where there is none.
    pub(super) async fn get(&self, source: &RedisSource) -> Result<Arc<Connection>, Error> {
        let mut open = self.0.lock().await;
        if let Some(connection) = open.as_ref().filter(|connection| !connection.has_ended()) {
            return Ok(connection.clone());
        }
        let connection = Arc::new(Connection::open(source).await?);
        *open = Some(connection.clone());
        Ok(connection)
    }

    /// Gives up a connection that failed; the next piece of work gets another one.
    pub(super) async fn give_up(&self, failed: &Arc<Connection>) {
        self.0.lock().await.take_if(|open| Arc::ptr_eq(open, failed));
    }
}
