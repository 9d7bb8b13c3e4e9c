//! Keys that the backup reads once more: all but strings whose bytes were compared.

use super::held::Held;
use super::saving::{Broken, Saved, unless_cut};
use super::{Backup, broke_off, over};
use crate::backup::{self, Entry, Mark, Writer};
use crate::flow::Stop;
use crate::job::cleanup::rounds::is_alone;
use crate::model::{Failure, RedisKey};
use crate::source::redis::{Candidate, EntryRead, RedisSource, UnlinkOutcome};
use std::collections::HashMap;
use std::time::Instant;
use tokio::sync::OwnedMutexGuard;
use tokio::task::spawn_blocking;

/// Of a document that was compared by its text.
const NO_TEXT: &str = "Redis gave its dump and not its text: whether that is what was compared is not known";

/// Bytes of values that are read at once.
const READ: usize = 16 << 20;

impl Backup {
    /// Reads keys once more, and writes those that hold what was compared.
    pub(super) async fn save_read(
        &self,
        (source, stop): (&RedisSource, &Stop),
        others: Vec<Candidate>,
        saved: &mut Saved,
    ) -> Result<(), Broken> {
        let keys: Vec<RedisKey> = others.iter().map(|candidate| candidate.key.clone()).collect();
        let mut others: HashMap<RedisKey, Candidate> =
            others.into_iter().map(|candidate| (candidate.key.clone(), candidate)).collect();
        let mut rest = keys.as_slice();
        while !rest.is_empty() {
            let read = unless_cut(stop, Box::pin(source.entries(rest, READ))).await?;
            rest = rest.get(read.len().max(1)..).unwrap_or_default();
            let mut entries = Vec::new();
            for read in read {
                let Some(candidate) = others.remove(key_of(&read)) else { continue };
                match read {
                    EntryRead::Entry(entry) => {
                        let mut held = Held::new(&candidate, source.tells_field_expiry());
                        held.push(&entry);
                        if held.is(&candidate) {
                            saved.on_disk.push(held.bind(candidate));
                            entries.push(entry);
                        } else {
                            saved.other(candidate.key, &held);
                        }
                    }
                    EntryRead::Large(_) => self.save_parts((source, stop), candidate, saved).await?,
                    other => saved.left(candidate.key, other),
                }
            }
            self.append(entries, stop).await?;
        }
        Ok(())
    }

    /// Writes a large key part by part. What was written of one that is not as it was compared is taken back: until then no other
    /// key is written.
    async fn save_parts(
        &self,
        (source, stop): (&RedisSource, &Stop),
        candidate: Candidate,
        saved: &mut Saved,
    ) -> Result<(), Broken> {
        let mut parts = source.entry_parts(candidate.key.clone());
        let mut held = Held::new(&candidate, source.tells_field_expiry());
        let mut began = Instant::now();
        let mut guard = self.locked(stop).await?;
        let mark = guard.as_ref().map(Writer::mark);
        loop {
            match unless_cut(stop, Box::pin(parts.next())).await {
                Ok(Some(EntryRead::Entry(entry))) => {
                    if entry.part.is_first() {
                        // Whatever came before it was in vain, and is no writing.
                        began = Instant::now();
                    }
                    held.push(&entry);
                    let begun = mark.clone();
                    guard = on_disk(guard, move |writer| match begun {
                        Some(mark) => append_part(writer, &mark, &entry),
                        None => Err(over()),
                    })
                    .await?;
                }
                Ok(None) if held.is(&candidate) => {
                    if is_alone(&candidate) {
                        // Before others write: the disk may have much left to do.
                        on_disk(guard, |writer| writer.sync().map(drop)).await?;
                        saved.writing += began.elapsed();
                    }
                    saved.on_disk.push(held.bind(candidate));
                    return Ok(());
                }
                other => {
                    if let (Some(writer), Some(mark)) = (guard.as_mut(), mark) {
                        writer.rewind(mark)?;
                    }
                    match other? {
                        Some(other) => saved.left(candidate.key, other),
                        None => saved.other(candidate.key, &held),
                    }
                    return Ok(());
                }
            }
        }
    }
}

/// Does something that blocks on the disk, and gives the file back.
async fn on_disk(
    mut file: OwnedMutexGuard<Option<Writer>>,
    work: impl FnOnce(&mut Writer) -> Result<(), Failure> + Send + 'static,
) -> Result<OwnedMutexGuard<Option<Writer>>, Failure> {
    let done = spawn_blocking(move || file.as_mut().ok_or_else(over).and_then(work).map(|()| file));
    done.await.map_err(broke_off)?
}

/// Appends a part of a key that begins at `mark`; where that cannot be done, nothing of the key is left, since others are appended
/// behind it.
fn append_part(writer: &mut Writer, mark: &Mark, part: &Entry) -> Result<(), Failure> {
    if part.part.is_first() {
        writer.rewind(mark.clone())?;
    }
    let appended = backup::encode(std::slice::from_ref(part))
        .and_then(|blocks| blocks.iter().try_for_each(|block| writer.append(block)));
    if appended.is_err() {
        // Where the disk has failed, nothing is appended any more.
        let _ = writer.rewind(mark.clone());
    }
    appended
}

impl Saved {
    /// What was read, and is not what was compared as far as that can be told.
    fn other(&mut self, key: RedisKey, held: &Held) {
        match held.is_incomparable() {
            true => self.unreadable.push((key, format!("no_text: {NO_TEXT}"))),
            false => self.stayed.push((key, UnlinkOutcome::Changed)),
        }
    }

    /// What could not be written, and why.
    fn left(&mut self, key: RedisKey, read: EntryRead) {
        match read {
            EntryRead::Gone(_) => self.stayed.push((key, UnlinkOutcome::Gone)),
            EntryRead::Forbidden(_) => self.stayed.push((key, UnlinkOutcome::Forbidden)),
            EntryRead::Unreadable { reason, detail, .. } => self.unreadable.push((key, format!("{reason}: {detail}"))),
            EntryRead::Entry(_) | EntryRead::Large(_) => self.stayed.push((key, UnlinkOutcome::Changed)),
        }
    }
}

fn key_of(read: &EntryRead) -> &RedisKey {
    match read {
        EntryRead::Entry(entry) => &entry.key,
        EntryRead::Large(key) | EntryRead::Gone(key) | EntryRead::Forbidden(key) => key,
        EntryRead::Unreadable { key, .. } => key,
    }
}
