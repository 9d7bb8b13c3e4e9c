//! The keys of a checked file, page by page, in the order of the file.

use super::left::LeftKeys;
use super::notices::{Seen, notices};
use super::page::{PAGE, Page};
use super::parts::FileParts;
use super::{Backup, Checked, Chosen, Progress, RestoreRequest, Restored, Standing, built, is_same_kind};
use crate::backup::{Entry, Found, Lost, Reader};
use crate::config::Settings;
use crate::flow::{RateLimit, Stop};
use crate::model::{Exit, Failure, LeftKey, NotWritten, RedisKey, RestoreAccount, RestoreFault, RestoreOutcome, Side};
use crate::source::Source;
use crate::source::redis::{RedisSource, RestoreOptions, Restorer};
use std::collections::BTreeMap;
use std::fs::File;

/// A restore at work.
pub(super) struct Work<'a> {
    backup: &'a Backup<'a>,
    checked: &'a Checked,
    chosen: Chosen<'a>,
    redis: RedisSource,
    into: Option<u8>,
    options: RestoreOptions,
    rate: RateLimit,
    /// By the number of the database that is restored into.
    restorers: BTreeMap<u8, Restorer>,
    page: Page,
    /// Keys that have begun so far, as the check counted them.
    begun: u64,
    /// The key in parts that has its outcome already: more of its parts may follow.
    settled: Option<(u8, RedisKey)>,
    account: RestoreAccount,
    left: LeftKeys,
    logical: bool,
}

impl<'a> Work<'a> {
    pub(super) fn new(
        settings: &Settings,
        request: &RestoreRequest,
        (backup, checked, chosen): (&'a Backup<'a>, &'a Checked, Chosen<'a>),
        (redis, into): (RedisSource, Option<u8>),
        left: LeftKeys,
    ) -> Self {
        let same_kind = is_same_kind(&checked.header, &redis);
        let options = RestoreOptions {
            replace: request.replace,
            dumps: same_kind && !request.logical,
            dry: settings.run.dry_run,
            built: built(checked),
            field_expiry: checked.field_expiry,
        };
        let limit = |most: u64| Some(most).filter(|most| *most > 0);
        let flow = &settings.flow;
        Self {
            backup,
            checked,
            chosen,
            redis,
            into,
            options,
            rate: RateLimit::new(limit(flow.max_keys_per_second), limit(flow.max_bytes_per_second.0)),
            restorers: BTreeMap::new(),
            page: Page::default(),
            begun: 0,
            settled: None,
            account: RestoreAccount::default(),
            left,
            logical: !same_kind,
        }
    }

    /// Goes through the file.
    ///
    /// # Errors
    /// What ends it before the file does; keys that have an outcome are counted.
    pub(super) async fn run(&mut self, stop: &Stop, tell: &mut dyn FnMut(&Progress)) -> Result<(), Failure> {
        let before = self.redis.answering().await?;
        let evicted = self.redis.evicted().await?;
        // Also where no key goes there: whether it takes keys at all.
        self.restorer(self.redis.database()).await?;
        self.all(stop, tell).await?;
        let after = self.redis.answering().await?;
        let told = before.run_id.is_some() && after.run_id.is_some();
        if told && before.token != after.token && !self.options.dry {
            return Err(self.restarted());
        }
        let evicted =
            self.redis.evicted().await?.zip(evicted).map_or(0, |(after, before)| after.saturating_sub(before));
        if evicted > 0 && !self.options.dry {
            return Err(self.evicted(evicted));
        }
        Ok(())
    }

    async fn all(&mut self, stop: &Stop, tell: &mut dyn FnMut(&Progress)) -> Result<(), Failure> {
        let mut reader = self.backup.reader()?;
        while let Some(found) = self.read(&mut reader)? {
            if stop.requested() {
                return Err(stopped());
            }
            match found {
                Found::Lost(lost) => self.lost(&lost)?,
                Found::Entry { entry, .. } if !self.chosen.has(entry.database, &entry.key) => {}
                Found::Entry { offset, entry } if entry.part.is_first() => {
                    self.key(&mut reader, (offset, entry), stop).await?;
                }
                // Its key has its outcome.
                Found::Entry { .. } => {}
            }
            tell(&Progress::Restoring { keys: self.account.total().settled(), of: self.checked.matched() });
        }
        self.flush().await
    }

    fn restarted(&self) -> Failure {
        Failure::redis(
            format!(
                "{} was restarted or replaced while keys were restored: what it had not saved by then is gone again",
                self.target()
            ),
            "Run the same command again: what is there counts as equal, and what was lost is restored.",
        )
    }

    fn evicted(&self, keys: u64) -> Failure {
        Failure::redis(
            format!(
                "{} evicted {keys} keys while keys were restored, since its memory was full: what was restored may be among them",
                self.target()
            ),
            "Raise its maxmemory, or set its maxmemory-policy to noeviction; then run the same command again: what is there counts \
             as equal, and what was lost is restored.",
        )
    }

    /// The server, and the database where all keys go into one.
    fn target(&self) -> String {
        let mut databases = self.checked.keys.0.keys();
        let only = databases.next().copied().unwrap_or(self.redis.database());
        self.redis.display_of(self.into.or(databases.next().is_none().then_some(only)))
    }

    fn read(&self, reader: &mut Reader<File>) -> Result<Option<Found>, Failure> {
        tokio::task::block_in_place(|| reader.read()).map_err(|error| self.backup.failure(&error))
    }

    /// A key, of which this is all or the first part; and where its block begins.
    async fn key(
        &mut self,
        reader: &mut Reader<File>,
        (block, entry): (u64, Entry),
        stop: &Stop,
    ) -> Result<(), Failure> {
        self.begun += 1;
        if self.checked.superseded.has(self.begun - 1) {
            return self.count(entry.database, &entry.key, &RestoreOutcome::Kept(NotWritten::Superseded));
        }
        if entry.part.is_whole() {
            return self.whole(entry, block).await;
        }
        self.flush().await?;
        self.in_parts(reader, entry, stop).await
    }

    /// Puts a key into the page, which is restored once it is full.
    async fn whole(&mut self, entry: Entry, block: u64) -> Result<(), Failure> {
        let other = self.page.database().is_some_and(|database| database != entry.database);
        if other {
            self.flush().await?;
        }
        let most = self.rate.keys_at_once().unwrap_or(PAGE).clamp(1, PAGE);
        self.page.add(entry, block);
        if self.page.is_full(most) {
            self.flush().await?;
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Failure> {
        let Some(database) = self.page.database() else { return Ok(()) };
        let (page, bytes) = self.page.take();
        self.rate.take(page.len() as u64, bytes as u64).await;
        let outcomes = self.restorer(database).await?.restore(&page).await?;
        for (entry, outcome) in page.iter().zip(&outcomes) {
            self.count(database, &entry.key, outcome)?;
        }
        Ok(())
    }

    async fn in_parts(&mut self, reader: &mut Reader<File>, first: Entry, stop: &Stop) -> Result<(), Failure> {
        let (database, key) = (first.database, first.key.clone());
        self.restorer(database).await?;
        self.rate.take(1, first.bytes() as u64).await;
        let mut parts = FileParts::new(self.backup, reader, first, (&self.rate, stop));
        let number = self.into.unwrap_or(database);
        let restorer = self.restorers.get_mut(&number);
        let restorer = restorer.ok_or_else(|| Failure::internal("a restore has lost its connection"))?;
        let outcome = restorer.restore_parts(&mut parts).await?;
        self.count(database, &key, &outcome)?;
        self.settled = Some((database, key));
        Ok(())
    }

    /// A key of which parts are missing from the beginning on.
    fn lost(&mut self, lost: &Lost) -> Result<(), Failure> {
        let Some((database, key)) = lost.torn.clone().filter(|torn| self.settled.as_ref() != Some(torn)) else {
            return Ok(());
        };
        if !self.chosen.has(database, &key) {
            return Ok(());
        }
        self.count(database, &key, &RestoreOutcome::Failed(RestoreFault::Damaged, String::new()))
    }

    fn count(&mut self, database: u8, key: &RedisKey, outcome: &RestoreOutcome) -> Result<(), Failure> {
        self.account.count(database, outcome);
        match LeftKey::of(database, key, outcome) {
            Some(left) => self.left.add(left),
            None => Ok(()),
        }
    }

    /// What restores the keys of a database of the file.
    async fn restorer(&mut self, database: u8) -> Result<&mut Restorer, Failure> {
        let number = self.into.unwrap_or(database);
        if !self.restorers.contains_key(&number) {
            let source = match number == self.redis.database() {
                true => self.redis.clone(),
                false => self.redis.with_database(number).await?,
            };
            self.restorers.insert(number, source.restorer(self.options).await?);
        }
        self.restorers.get_mut(&number).ok_or_else(|| Failure::internal("a restore has lost its connection"))
    }

    /// Closes all connections, and says what it came to.
    pub(super) async fn end(mut self, end: Result<(), Failure>) -> Result<Restored, Failure> {
        let mut seen = Seen::default();
        for restorer in self.restorers.values_mut() {
            seen.dumps_refused += restorer.dumps_refused();
            seen.lost_pending += restorer.lost_pending();
            seen.hashes_built += restorer.hashes_built();
            restorer.close().await;
        }
        self.redis.close().await;
        let mut failure = end.err();
        let (settled, matched) = (self.account.total().settled(), self.checked.matched());
        if failure.is_none() && settled != matched {
            failure = Some(Failure::internal(format!("{matched} keys were asked for, and {settled} have an outcome")));
        }
        let standing = match (&failure, self.options.dry) {
            (Some(_), _) => Standing::Stopped,
            (None, true) => Standing::Planned,
            (None, false) => Standing::Done,
        };
        Ok(Restored {
            file: self.backup.path.display().to_string(),
            target: self.target(),
            standing,
            matched,
            account: self.account,
            damage: Vec::new(),
            notices: notices(self.checked, self.logical, &self.redis, &seen),
            left: self.left.end()?,
            failure,
        })
    }
}

/// A stop between keys, or between the parts of one.
pub(super) fn stopped() -> Failure {
    let hint = "Run the same command again: what is there already counts as equal.";
    Failure::new(Exit::Stopped, Side::Redis, "stopped before the end of the restore", hint)
}
