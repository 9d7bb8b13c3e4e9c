//! What is learned on the way, that the end needs; and what a person should know before keys go.

use super::account::Account;
use super::backup::Backup;
use super::lease::Lease;
use super::{lost, refuse};
use crate::job::validate::Ready;
use crate::ledger::{self, OtherRun};
use crate::mapping::{Plan, specs_hash};
use crate::model::{EarlierCleanup, Failure, TableName, Unmatched};
use sqlx::postgres::PgConnection;

/// What is learned.
#[derive(Default)]
pub(super) struct Learned {
    pub(super) run: String,
    /// The lease, once keys may be deleted.
    pub(super) lease: Option<Lease>,
    pub(super) account: Option<Account>,
    pub(super) unmatched: Unmatched,
    pub(super) settled: i64,
    /// What other cleanups of the run did before this one.
    pub(super) earlier: Vec<EarlierCleanup>,
    pub(super) backup: Option<Backup>,
    /// The ids of earlier backups of which it was told that they are not there any more, not at their end.
    pub(super) missed: Vec<String>,
    pub(super) pattern: Option<String>,
    pub(super) notes: Vec<String>,
    /// Each mapping's name and table, and its audit log.
    pub(super) tables: Vec<(String, TableName, Option<TableName>)>,
}

impl Learned {
    /// Learns what there is to know beforehand.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub(super) async fn learn(&mut self, ready: &mut Ready) -> Result<(), Failure> {
        self.run = ready.chosen.run.of.run.to_string();
        self.pattern = ready.settings.run.keys.clone();
        self.notes.append(&mut ready.chosen.untold);
        self.notes.extend(refuse::durability(&mut ready.link).await?);
        self.notes.extend(other_mappings(ready).await?);
        self.notes.extend(kept_in_part(&ready.checked.plan));
        self.notes.extend(lost::begun_anew(&ready.checked.plan, &ready.settings.cleanup.positional));
        let mappings = ready.checked.plan.mappings().zip(&ready.specs);
        self.tables = mappings
            .map(|((_, mapping), spec)| {
                let audit = spec.audit_table().ok().flatten();
                (mapping.name().to_owned(), mapping.table().clone(), audit)
            })
            .collect();
        Ok(())
    }

    /// Learns what other cleanups of the run did; what they left is settled by then.
    ///
    /// # Errors
    /// PostgreSQL's.
    pub(super) async fn look_back(&mut self, ready: &mut Ready) -> Result<(), Failure> {
        let run = self.run.clone();
        let read = async |connection: &mut PgConnection| ledger::cleanups_of(connection, &run).await;
        let all = ready.link.call("reading what earlier cleanups deleted", read).await?;
        let own = self.lease.as_ref().map(|lease| lease.held.0.to_string());
        let others =
            all.into_iter().filter(|entry| Some(&entry.id) != own.as_ref() && entry.deleted + entry.unsettled > 0);
        self.earlier = others
            .map(|entry| EarlierCleanup {
                id: entry.id,
                state: entry.state,
                started: entry.started_at,
                deleted: entry.deleted,
                unsettled: entry.unsettled,
            })
            .collect();
        Ok(())
    }
}

/// The mappings of whose values something may be in no column.
fn kept_in_part(plan: &Plan) -> impl Iterator<Item = String> {
    let partly = plan.mappings().filter(|(_, mapping)| !mapping.keeps_whole());
    partly.map(|(_, mapping)| {
        format!(
            "{} keeps no more of a value than its columns take: the rest goes with the key, unless there is a backup",
            mapping.name()
        )
    })
}

/// That a run had other mappings, which may take of the same keys what these do not.
async fn other_mappings(ready: &mut Ready) -> Result<Option<String>, Failure> {
    let (source, hash) = (ready.identity.clone(), specs_hash(&ready.specs));
    let find = async |connection: &mut PgConnection| ledger::other_run(connection, (&source, &hash)).await;
    let other = ready.link.call("looking for runs with other mappings", find).await?;
    Ok(other.map(|OtherRun { id, started_at }| {
        format!(
            "other mappings have loaded from this source too (run {id} of {started_at}): a key that goes by these is gone for those. \
             If two configurations share the cache, clean up when both have loaded"
        )
    }))
}
