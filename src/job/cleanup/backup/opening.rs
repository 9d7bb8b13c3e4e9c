//! The file of a backup, begun or gone on with. What an earlier cleanup wrote may be all that is left of keys: it is gone on with only
//! where it is there as it was.

use super::standing::{advised, keep};
use super::{Backup, broke_off};
use crate::backup::{self, BrokenOff, Header, Resumable, Unbegun, Writer};
use crate::job::link::Link;
use crate::ledger::{self, CleanupFile};
use crate::model::{Failure, Side};
use crate::source::redis::RedisSource;
use sqlx::postgres::PgConnection;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tokio::task::spawn_blocking;

impl Backup {
    /// Begins the file, or goes on with the one that an earlier cleanup of the same Redis left when it broke off. `known`: the backups
    /// that keys of this Redis went by.
    ///
    /// # Errors
    /// It is there already, is another backup's, is not all there, or cannot be made; PostgreSQL's.
    pub(in super::super) async fn begin(
        path: &Path,
        header: Header,
        sources: BTreeMap<u8, RedisSource>,
        (known, link): (&[CleanupFile], &mut Link),
    ) -> Result<Self, Failure> {
        let is_there = backup::partial_of(path).exists() && !path.exists();
        let unbegun = if is_there { unbegun(path, known).await? } else { None };
        let resumed = is_there && unbegun.is_none();
        let writer = match unbegun {
            _ if resumed => resume(path.to_owned(), header, (known, link)).await?,
            Some(unbegun) => spawn_blocking(move || unbegun.begin(&header)).await.map_err(broke_off)??,
            None => create(path, header, known).await?,
        };
        Ok(Self { resumed, ..Self::of(path, writer, sources) })
    }
}

/// Makes the file.
async fn create(path: &Path, header: Header, known: &[CleanupFile]) -> Result<Writer, Failure> {
    if let Some(needed) = needed_at(path, known, None).filter(|_| !path.exists()) {
        return Err(lost(path, "is not there", needed));
    }
    let target = path.to_owned();
    let created = spawn_blocking(move || Writer::create(&target, &header)).await.map_err(broke_off)?;
    // Whatever is under the temporary name by now is not told to be removed.
    let is_left = || !path.exists() && backup::partial_of(path).symlink_metadata().is_ok();
    created.map_err(|failure| if is_left() { advised(failure, || keep(path)) } else { failure })
}

/// The file of a cleanup that broke off before its header was whole, where no key went by it: it is begun anew.
async fn unbegun(path: &Path, known: &[CleanupFile]) -> Result<Option<Unbegun>, Failure> {
    if needed_at(path, known, None).is_some() {
        return Ok(None);
    }
    let target = path.to_owned();
    spawn_blocking(move || Unbegun::open(&target)).await.map_err(broke_off)?
}

/// Goes on with a file that broke off, where it is one of a cleanup of the same keys, and has all by which keys went.
async fn resume(path: PathBuf, header: Header, (known, link): (&[CleanupFile], &mut Link)) -> Result<Writer, Failure> {
    let target = path.clone();
    let opened = spawn_blocking(move || BrokenOff::open(&target)).await.map_err(broke_off)?;
    let broken = opened.map_err(|failure| too_short(&path, known, failure))?;
    is_same(&path, broken.header(), &header)?;
    tells_as_much(&path, broken.header(), &header)?;
    let id = broken.file_id();
    if let Some(needed) = needed_at(&path, known, Some(&id)) {
        return Err(lost(&path, "is another file than the one that was there", needed));
    }
    let noted = known.iter().find(|file| file.id == id);
    let wanted = noted.map(|file| file.extent.clone());
    let read = spawn_blocking(move || broken.read(wanted.as_ref())).await.map_err(broke_off)??;
    match noted.filter(|_| !read.has_wanted()) {
        Some(noted) => Err(lacking(&path, &read, (noted, link)).await?),
        None => Ok(read.go_on()),
    }
}

/// The backup that must be there under the temporary name of `path`, where that is another than the one with this id.
fn needed_at<'f>(path: &Path, known: &'f [CleanupFile], id: Option<&str>) -> Option<&'f CleanupFile> {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned()).display().to_string();
    let is_waited_for = |file: &&CleanupFile| !file.is_whole && !file.is_forgone;
    known.iter().filter(is_waited_for).find(|file| file.path == path && Some(&*file.id) != id)
}

/// Whether a file that broke off is of the same command, and of the same keys as far as it tells.
fn is_same(path: &Path, found: &Header, wanted: &Header) -> Result<(), Failure> {
    let of = |header: &Header| {
        let pattern =
            header.pattern.as_ref().map_or_else(String::new, |pattern| format!(", keys that match {pattern}"));
        let listed = if header.listed { ", keys of a list" } else { "" };
        // Not of the same databases: with `databases = "all"` they are those that have keys, and a cleanup empties them.
        format!("`{}` from {}{pattern}{listed}", header.command, header.source)
    };
    let (found, wanted) = (of(found), of(wanted));
    if found == wanted {
        return Ok(());
    }
    let partial = backup::partial_of(path);
    let message = format!("{} is there: a backup that broke off, of {found}; this is {wanted}", partial.display());
    let hint = "Give another name, or go on with it as it was begun. Do not remove it: keys that it holds may be gone from Redis.";
    Err(Failure::usage(Side::Settings, message, hint))
}

/// Whether a file that broke off says that it lacks times of fields, where what is appended to it does.
fn tells_as_much(path: &Path, found: &Header, wanted: &Header) -> Result<(), Failure> {
    if found.fields_untold || !wanted.fields_untold {
        return Ok(());
    }
    let message = format!(
        "{} says that it has the times of hash fields, and Redis does not tell this user when fields of hashes expire now: a restore \
         would not know that they are missing",
        backup::partial_of(path).display()
    );
    let hint = "Allow HPEXPIRETIME with ACL SETUSER, and run the same command again; or give another name. Do not remove the file: keys \
                that it holds may be gone from Redis.";
    Err(Failure::usage(Side::Redis, message, hint))
}

/// What to do where a file is not as it was.
const PUT_BACK: &str = "Put the file back as it was when the last cleanup ended, and run the same command again. Otherwise give another \
                        name: that begins a new backup, and the entries of those keys are in none but the old one.";

/// That what an earlier cleanup wrote is not where it was; `what` there is of it.
fn lost(path: &Path, what: &str, needed: &CleanupFile) -> Failure {
    let partial = backup::partial_of(path);
    let message = format!(
        "{} {what}, and had {} bytes or more: the entries of {} keys that an earlier cleanup deleted from Redis, or was about to, are not \
         there",
        partial.display(),
        needed.extent.bytes,
        needed.keys
    );
    Failure::usage(Side::Settings, message, PUT_BACK)
}

/// One that cannot be opened: it may be so short that nothing tells what it was.
fn too_short(path: &Path, known: &[CleanupFile], failure: Failure) -> Failure {
    let bytes = std::fs::metadata(backup::partial_of(path)).map_or(u64::MAX, |facts| facts.len());
    match needed_at(path, known, None).filter(|needed| bytes < needed.extent.bytes) {
        Some(needed) => lost(path, &format!("has {bytes} bytes"), needed),
        None => failure,
    }
}

/// That a file is cut, or an older copy of itself.
async fn lacking(path: &Path, read: &Resumable, (noted, link): (&CleanupFile, &mut Link)) -> Result<Failure, Failure> {
    let (partial, there) = (backup::partial_of(path), read.bytes());
    let had = noted.extent.bytes;
    let message = if there < had {
        let of = (noted.id.as_str(), there);
        let count = async |connection: &mut PgConnection| ledger::keys_beyond(connection, of).await;
        let keys = link.call("counting the keys that a backup lacks", count).await?;
        format!(
            "{} is whole up to byte {there}, and had {had} bytes when keys were deleted by it: it was cut, or is an older copy, and lacks \
             the entries of {keys} keys that are gone from Redis, or were about to go",
            partial.display()
        )
    } else {
        format!(
            "the first {had} of the {there} bytes of {} are not those that were there when keys were deleted by it: it may lack the \
             entries of {} keys that are gone from Redis, or were about to go",
            partial.display(),
            noted.keys
        )
    };
    Ok(Failure::usage(Side::Settings, message, PUT_BACK))
}
