//! Puts keys of a backup back: each as a whole or not at all, never over another key unless that is asked for, and each with
//! one outcome.
//!
//! A page of keys is looked at first. What is there is compared; what is not is written: strings by SET, others by their dump
//! where the server takes it, else by ordinary commands under a name of their own (`build`), from which they are moved. Whatever
//! goes wrong on the way, the keys without an outcome are looked at anew.

mod ability;
mod awaited;
mod batch;
mod build;
mod large;
mod line;
mod same;
mod stream;
#[cfg(test)]
mod tests;
mod verdict;

pub use large::{NextPart, Parts};

use super::RedisSource;
use crate::model::{Failure, RedisTypes};
use crate::source::ServerClock;
use fred::error::Error;
use fred::types::Value;
use line::{Command, Line};

/// So often a key is looked at anew because somebody else wrote it in between.
const ROUNDS: u32 = 5;

/// How keys are restored.
#[derive(Clone, Copy, Debug, Default)]
pub struct RestoreOptions {
    /// Whether keys that are there with something else are replaced.
    pub replace: bool,
    /// Whether dumps are used, where a key has one. What has nothing else goes by its dump all the same.
    pub dumps: bool,
    /// Whether nothing is written: the outcomes are those that there would be.
    pub dry: bool,
    /// The types that may have to be made by commands; `None` where there are none.
    pub built: Option<RedisTypes>,
    /// Whether fields of hashes among them expire.
    pub field_expiry: bool,
}

/// Restores keys into one database of a server. Opens a connection of its own for writing, once it writes.
pub struct Restorer {
    source: RedisSource,
    options: RestoreOptions,
    clock: ServerClock,
    line: Option<Line>,
    /// Whether the server takes RESTORE at all, as far as is known.
    restores: bool,
    dumps_refused: u64,
    lost_pending: u64,
    hashes_built: u64,
    /// Names under which values were built, of which it is not known whether they are there.
    strays: Vec<Value>,
}

/// Why a piece of work did not come to its end.
enum Trouble {
    /// The connection was lost, or the server is not ready.
    Lost(Error),
    /// No further attempt mends it.
    Final(Failure),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Lost(error)
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Final(failure)
    }
}

impl Restorer {
    /// Values whose dump the server did not take, and that were made by commands.
    pub fn dumps_refused(&self) -> u64 {
        self.dumps_refused
    }

    /// Pending entries of streams that could not be made again, since the stream has not got them any more.
    pub fn lost_pending(&self) -> u64 {
        self.lost_pending
    }

    /// Hashes that were made by commands.
    pub fn hashes_built(&self) -> u64 {
        self.hashes_built
    }

    /// Takes away what is left of values that were being built, as far as that can be done at once, and closes its connection.
    pub async fn close(&mut self) {
        // What is left goes by itself.
        let _ = self.sweep().await;
        self.hang_up().await;
    }

    async fn hang_up(&mut self) {
        if let Some(line) = self.line.take() {
            line.close().await;
        }
    }

    /// Takes away what was being built when a connection was lost.
    async fn sweep(&mut self) -> Result<(), Error> {
        if !self.strays.is_empty() {
            let strays = self.strays.clone();
            self.line().await?.send(&[Command::new("UNLINK", strays)]).await?;
            self.strays.clear();
        }
        Ok(())
    }

    /// The connection for writing.
    async fn line(&mut self) -> Result<&Line, Error> {
        match &mut self.line {
            Some(line) => Ok(line),
            none => Ok(none.insert(Line::open(&self.source.inner.settings, &self.source.inner.target).await?)),
        }
    }

    /// Gives up the connection: what is left of it is not known.
    async fn give_up(&mut self, trouble: Trouble) -> Result<Error, Failure> {
        self.hang_up().await;
        match trouble {
            Trouble::Lost(error) => Ok(error),
            Trouble::Final(failure) => Err(failure),
        }
    }

    fn release(&self) -> Option<(u64, u64)> {
        self.source.server()?.release()
    }
}
