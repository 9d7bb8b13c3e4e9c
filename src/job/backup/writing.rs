//! The thread that writes: whatever the disk does, the lanes go on reading.

use super::take::{Shared, locked};
use crate::backup::{Block, Mark, Writer};
use crate::model::Failure;
use tokio::sync::mpsc;

/// What it is told.
pub(super) enum Message {
    /// Entries to append.
    Blocks(Vec<Block>),
    /// A key in parts begins here; where one has begun already, what came of it is void.
    Begin,
    /// The key in parts is whole.
    Keep,
    /// The key in parts cannot be had after all.
    Undo,
    /// A database begins here.
    Mark,
    /// The database begins anew.
    Rewind,
}

/// Writes until nobody tells it anything any more; a key in parts that is not whole by then is taken out again.
///
/// # Errors
/// The disk is full, or fails.
pub(super) fn run(
    mut writer: Writer,
    mut messages: mpsc::Receiver<Message>,
    account: &Shared,
) -> Result<Writer, Failure> {
    let (mut key, mut database): (Option<Mark>, Option<Mark>) = (None, None);
    while let Some(message) = messages.blocking_recv() {
        match message {
            Message::Blocks(blocks) => blocks.iter().try_for_each(|block| writer.append(block))?,
            Message::Begin => match &key {
                Some(begun) => writer.rewind(begun.clone())?,
                None => key = Some(writer.mark()),
            },
            Message::Keep => key = None,
            Message::Undo => undo(&mut writer, key.take())?,
            Message::Mark => database = Some(writer.mark()),
            Message::Rewind => {
                key = None;
                undo(&mut writer, database.clone())?;
            }
        }
        note(&writer, account);
    }
    undo(&mut writer, key)?;
    note(&writer, account);
    Ok(writer)
}

fn undo(writer: &mut Writer, mark: Option<Mark>) -> Result<(), Failure> {
    mark.map_or(Ok(()), |mark| writer.rewind(mark))
}

fn note(writer: &Writer, account: &Shared) {
    let mut account = locked(account);
    account.written.clone_from(&writer.keys().0);
    account.bytes = writer.raw_bytes();
    account.file_bytes = writer.bytes();
}
