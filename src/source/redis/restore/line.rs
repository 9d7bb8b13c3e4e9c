//! The connection that writes. It is not made again by itself: half a transaction would go on without its beginning. After any
//! loss it is thrown away, and what it was at is looked at anew.

use super::super::connect;
use super::super::errors::{is_transient, unexpected};
use super::super::settings::SourceSettings;
use super::super::target::Target;
use super::super::wire::Wire;
use fred::error::Error;
use fred::interfaces::{ClientLike, FredResult};
use fred::types::{ClusterHash, CustomCommand, Value};
use std::time::Duration;

/// How long a connection that is given up may take to close.
const CLOSE: Duration = Duration::from_secs(1);

/// A command and its arguments.
#[derive(Clone, Debug)]
pub(super) struct Command {
    pub(super) name: &'static str,
    pub(super) args: Vec<Value>,
}

impl Command {
    pub(super) fn new(name: &'static str, args: impl IntoIterator<Item = Value>) -> Self {
        Self { name, args: args.into_iter().collect() }
    }

    /// One without arguments.
    pub(super) fn bare(name: &'static str) -> Self {
        Self { name, args: Vec::new() }
    }
}

/// An open connection, used by one at a time.
pub(super) struct Line(Wire);

impl Line {
    pub(super) async fn open(settings: &SourceSettings, target: &Target) -> Result<Self, Error> {
        Ok(Self(Wire::new(connect::for_writing(settings, target).await?, false)))
    }

    /// Sends commands at once. An answer may be an error of its own; one that says that the connection was lost, or that the
    /// server is not ready, is an error of all: nothing is known of any of them then.
    pub(super) async fn send(&self, commands: &[Command]) -> Result<Vec<FredResult<Value>>, Error> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let batch = self.0.batch();
        for Command { name, args } in commands {
            let command = CustomCommand::new_static(name, ClusterHash::FirstKey, false);
            // Only queues: the answers come all together.
            let () = batch.next().await?.custom(command, args.clone()).await?;
        }
        let answers = batch.answers(commands.len()).await?;
        match answers.iter().find_map(|answer| answer.as_ref().err().filter(|error| is_transient(error))) {
            Some(error) => Err(error.clone()),
            None => Ok(answers),
        }
    }

    /// Runs commands as one transaction, and gives the answer to each.
    pub(super) async fn transact(&self, commands: Vec<Command>) -> Result<FredResult<Vec<Value>>, Error> {
        let mut all = vec![Command::bare("MULTI")];
        all.extend(commands);
        all.push(Command::bare("EXEC"));
        let answers = self.send(&all).await?;
        outcome(answers)
    }

    /// Closes it, whatever state it is in.
    pub(super) async fn close(self) {
        let _ = tokio::time::timeout(CLOSE, self.0.close()).await;
    }
}

/// What came of a transaction: the answers within EXEC's, or the first error that any of its commands was told.
pub(super) fn outcome(answers: Vec<FredResult<Value>>) -> Result<FredResult<Vec<Value>>, Error> {
    let mut last = None;
    for answer in answers {
        match answer {
            // EXEC would only say that there was one.
            Err(error) => return Ok(Err(error)),
            Ok(answer) => last = Some(answer),
        }
    }
    match last {
        Some(Value::Array(answers)) => Ok(Ok(answers)),
        _ => Err(unexpected("EXEC", "something else than answers")),
    }
}
