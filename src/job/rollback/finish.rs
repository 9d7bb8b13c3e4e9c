//! The end of a rollback: tables that the run made, the audit log, the ledger, the report.

use super::books::Books;
use super::lease::{self, Keeper};
use super::plan::Plan;
use super::{Held, RolledBack, Standing, notices};
use crate::config::Settings;
use crate::job::audit::{UndoEntry, write_undone};
use crate::job::close::report_unwritable;
use crate::job::link::{Link, Trouble};
use crate::job::setup;
use crate::ledger;
use crate::model::{Audited, DROPPED, Exit, Failure, RollbackAccount, TableName};
use crate::postgres::{Verdict, failure, query, table_ident, verdict};
use crate::report::write_rollback;
use crate::sink::LoadOptions;
use crate::sink::undo::prepare;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error, Row};
use uuid::Uuid;

/// Closes it; `end` is how the work ended.
///
/// # Errors
/// What ended the work before anything was done, and what keeps the report from being written.
pub(super) async fn finish(
    settings: &Settings,
    mut link: Link,
    (plan, run, keeper): (&Plan, Uuid, &Keeper),
    mut books: Books,
    end: Result<(), Failure>,
) -> Result<RolledBack, Failure> {
    let held = keeper.held();
    let mut done = RolledBack {
        run: run.to_string(),
        standing: if held.is_some() { Standing::Done } else { Standing::Planned },
        account: RollbackAccount::default(),
        samples: books.samples(),
        notices: plan.notices.iter().cloned().chain(books.notices()).collect(),
        failure: None,
    };
    let options = setup::load_options(settings);
    match held {
        None => {
            books.enter(&mut done.account, true);
            end?;
        }
        Some(held) => {
            if let Err(failure) = end {
                done.standing = Standing::Stopped;
                done.failure = Some(failure);
            }
            match keeper.beside(close(&mut link, (&options, held), plan, &books, &mut done)).await {
                Ok(()) => {}
                Err(failure) => {
                    done.standing = Standing::Stopped;
                    done.failure.get_or_insert(failure);
                    // The same command has to go on at once. Whoever else has it by now has another token.
                    lease::give_back(&mut link, held).await;
                    // What was done is told, whoever has the rollback now.
                    let read = async |connection: &mut PgConnection| ledger::undoable(connection, &done.run).await;
                    match link.read("reading what was done", read).await {
                        Ok(Some(found)) => done.account = found.account,
                        Ok(None) | Err(_) => books.enter(&mut done.account, true),
                    }
                }
            }
        }
    }
    if done.failure.is_none() {
        done.notices.extend(notices::missing(&mut link, (plan, run), (&done.account, held.is_none())).await?);
    }
    if let Some(dir) = &settings.run.report {
        books.write_kept()?;
        write_rollback(dir, &done.run, done.standing.name(), &done.account)
            .map_err(|error| report_unwritable(dir, &error))?;
    }
    Ok(done)
}

/// Writes the end into the ledger. The audit log may refuse its rows: then the end is written without them, and it is said.
async fn close(
    link: &mut Link,
    (options, held): (&LoadOptions, Held),
    plan: &Plan,
    books: &Books,
    done: &mut RolledBack,
) -> Result<(), Failure> {
    let complete = done.failure.is_none();
    let mut audited = true;
    let what = match plan.audits.is_empty() {
        true => "closing the rollback in the ledger",
        false => "closing the rollback in the ledger and in the audit log",
    };
    loop {
        let write = async |connection: &mut PgConnection| {
            end(connection, (options, held), plan, books, (complete, audited)).await
        };
        match link.call(what, write).await? {
            Ok((account, notices)) => {
                done.account = account;
                done.notices.extend(notices);
                return Ok(());
            }
            Err(refused) => {
                done.notices.push(format!("no row was written into the audit log: {}", refused.message));
                audited = false;
            }
        }
    }
}

type Ended = Result<(RollbackAccount, Vec<String>), Failure>;

async fn end(
    connection: &mut PgConnection,
    (options, held): (&LoadOptions, Held),
    plan: &Plan,
    books: &Books,
    (complete, audited): (bool, bool),
) -> Result<Ended, Trouble> {
    let mut transaction = connection.begin().await?;
    prepare(&mut transaction, options, &ledger::holder_name(held.1)).await?;
    if !ledger::is_rollback_held(&mut transaction, held).await? {
        return Err(Trouble::Final(ledger::taken_over()));
    }
    let mut dropped = Vec::new();
    for (table, oid) in plan.created.iter().filter(|_| complete) {
        dropped.push((table, drop_table(&mut transaction, table, *oid).await?));
    }
    // What may wait for others is done.
    let Some(mut account) = ledger::hold_rollback(&mut transaction, held).await? else {
        return Err(Trouble::Final(ledger::taken_over()));
    };
    let mut notices = Vec::new();
    let run = held.0.to_string();
    if complete {
        books.enter(&mut account, false);
        for (table, what) in dropped {
            notices.extend(what.as_ref().err().map(|why| format!("{table}, which the run made, is kept: {why}")));
            account.table(&table.to_string()).table = Some(what.map_or_else(|why| why, str::to_owned));
        }
        account.tables.values_mut().for_each(|table| table.left_out = false);
        plan.left_out.iter().for_each(|table| account.table(&table.to_string()).left_out = true);
        if audited && let Err(error) = write_undone(&mut transaction, &entries(plan, &account, &run)).await {
            if verdict(&error) == Verdict::Transient {
                return Err(error.into());
            }
            transaction.rollback().await?;
            return Ok(Err(failure("writing the audit log", error)));
        }
        if audited {
            note_audited(plan, &mut account);
        }
    }
    let (deleted, restored, _) = account.totals();
    // A run of which no row was taken back is none that is half undone.
    if complete || deleted + restored > 0 {
        ledger::save_rollback(&mut transaction, held.0, &account).await?;
    }
    ledger::release_rollback(&mut transaction, (held.0, held.1), complete).await?;
    transaction.commit().await?;
    if !complete {
        // It is told, and not kept: rows that it did not come to may have been kept by an attempt before it, and are to be looked at again.
        books.enter(&mut account, false);
    }
    Ok(Ok((account, notices)))
}

/// What the audit log has is not written there again by an attempt that takes what was kept.
fn note_audited(plan: &Plan, account: &mut RollbackAccount) {
    for table in plan.audits.keys() {
        let table = account.table(&table.to_string());
        table.audited = Some(Audited { deleted: table.deleted, restored: table.restored });
    }
}

/// One for each table and operation.
fn entries<'a>(plan: &'a Plan, account: &RollbackAccount, run: &'a str) -> Vec<UndoEntry<'a>> {
    let mut entries = Vec::new();
    for (table, audit) in &plan.audits {
        let Some(of) = account.tables.get(&table.to_string()) else { continue };
        // A ledger of an earlier version has no more than what was done when all was.
        let before = of.audited.unwrap_or_else(|| {
            let (deleted, restored) =
                plan.audited.tables.get(&table.to_string()).map_or((0, 0), |of| (of.deleted, of.restored));
            Audited { deleted, restored }
        });
        for (operation, rows, before) in
            [("delete", of.deleted, before.deleted), ("restore", of.restored, before.restored)]
        {
            let rows = rows.saturating_sub(before);
            if rows > 0 {
                entries.push(UndoEntry { audit, table, run, operation, rows });
            }
        }
    }
    entries
}

/// Drops a table that the run made, where it is still that one, has no row left, and nothing hangs on it.
async fn drop_table(
    connection: &mut PgConnection,
    table: &TableName,
    oid: i64,
) -> Result<Result<&'static str, String>, Error> {
    let mut savepoint = connection.begin().await?;
    let tried = async {
        let name = table_ident(table);
        query(format!("LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE")).execute(&mut *savepoint).await?;
        let same: bool = query("SELECT coalesce(pg_catalog.to_regclass($1)::oid::bigint = $2, false)")
            .bind(&name)
            .bind(oid)
            .fetch_one(&mut *savepoint)
            .await?
            .try_get(0)?;
        if !same {
            return Ok::<_, Error>(Err("it is another one of that name".to_owned()));
        }
        let hidden: bool = query("SELECT pg_catalog.row_security_active($1::oid)")
            .bind(oid)
            .fetch_one(&mut *savepoint)
            .await?
            .try_get(0)?;
        if hidden {
            return Ok(Err("row-level security may hide rows of it".to_owned()));
        }
        let empty: bool =
            query(format!("SELECT NOT EXISTS (SELECT FROM {name})")).fetch_one(&mut *savepoint).await?.try_get(0)?;
        if !empty {
            return Ok(Err("it has rows".to_owned()));
        }
        query(format!("DROP TABLE {name}")).execute(&mut *savepoint).await?;
        Ok(Ok(DROPPED))
    };
    match tried.await {
        Ok(what) => {
            savepoint.commit().await?;
            Ok(what)
        }
        Err(error) => {
            let Some(message) = error.as_database_error().map(|database| database.message().to_owned()) else {
                return Err(error);
            };
            // A table that somebody is at is not worth the rest.
            savepoint.rollback().await?;
            Ok(Err(message))
        }
    }
}

impl RolledBack {
    /// What to exit with: rows that were kept on purpose are no failure.
    pub fn exit(&self) -> Exit {
        self.failure.as_ref().map_or(Exit::Done, |failure| failure.exit)
    }
}
