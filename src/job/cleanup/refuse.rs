//! Whether keys may be deleted at all: the run that is meant, and both servers. What is in the way is said plainly.

use crate::job::begin;
use crate::job::link::Link;
use crate::job::validate::Ready;
use crate::ledger::{self, Cleanable};
use crate::mapping::specs_hash;
use crate::model::{Exit, Failure, Side, TableName};
use crate::postgres::query;
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error, Row};

/// Looks at the run, and whether Redis takes deletions.
///
/// # Errors
/// What is in the way.
pub(super) async fn look(ready: &mut Ready, (identity, dry_run): (&str, bool)) -> Result<Cleanable, Failure> {
    if !dry_run && !ready.chosen.ledger_is_current {
        bring_ledger_up(&mut ready.link).await?;
    }
    let run = ready.chosen.run.of.run;
    if ready.chosen.run.is_alive {
        let hint = "Wait for it, or stop it. After a crash its lease ends by itself within flow.lease.";
        return Err(refused(format!("run {run} is still at work"), hint));
    }
    let read = async |connection: &mut PgConnection| ledger::cleanable(connection, run).await;
    let found = ready.link.call("reading whether keys of the run may be deleted", read).await?;
    if let Some((message, hint)) = objection(ready, &found, identity) {
        return Err(refused(message, hint));
    }
    for opened in &ready.databases {
        opened.source.unlink_ability().await?;
    }
    let names: Vec<TableName> = ready.checked.tables.iter().map(|table| table.name.clone()).collect();
    let volatile = async |connection: &mut PgConnection| volatile(connection, &names).await;
    if let Some(name) = ready.link.call("asking whether tables outlast a crash", volatile).await? {
        let message = format!(
            "{name}, or a partition of it, is unlogged, temporary or foreign: nothing tells that its rows outlast a crash"
        );
        let hint = "ALTER TABLE … SET LOGGED makes an ordinary table of an unlogged one; then run this again.";
        return Err(Failure::usage(Side::Postgres, format!("{message}: no key is deleted"), hint));
    }
    Ok(found)
}

/// Brings the ledger up to date: it is written before a key goes, and afterwards.
async fn bring_ledger_up(link: &mut Link) -> Result<(), Failure> {
    let brought = link.call("bringing the ledger up to date", begin::migrate).await;
    brought.map_err(|failure| match failure.exit {
        Exit::Usage => {
            let hint = "Let the owner of schema redis2pg run this version of redis2pg once, and grant the rights on its tables anew.";
            Failure { message: format!("{}: no key is deleted", failure.message), hint: hint.to_owned(), ..failure }
        }
        // Such as a server that is away: it says itself what to do.
        _ => failure,
    })
}

/// Why keys of this run are not deleted, and what to do.
fn objection(ready: &Ready, found: &Cleanable, identity: &str) -> Option<(String, &'static str)> {
    let run = ready.chosen.run.of.run;
    if found.source != identity {
        let hint =
            "Keys are deleted where the run read them, and nowhere else: write source.url / --from as it was then.";
        return Some((format!("run {run} read from {}, and this is {identity}", found.source), hint));
    }
    if ready.chosen.run.mapping_hash != specs_hash(&ready.specs) {
        let hint = "Its rows are judged by its own mappings: use those, or run once more with these.";
        return Some((format!("run {run} had other mappings"), hint));
    }
    if found.is_undone {
        let hint = "A rollback has taken rows of it back. Run again, and validate, before keys go.";
        return Some((format!("run {run} is rolled back, or in part, or is being rolled back"), hint));
    }
    if ready.chosen.run.is_partial {
        let hint = "Keys go after a run that looked at all of them, or at all that match run.keys.";
        return Some((format!("run {run} took a part of the keys only (--limit or --keys-from)"), hint));
    }
    if !found.is_complete {
        let message = format!("run {run} did not come to its end (it is {}): not all keys were looked at", found.state);
        return Some((message, "Go on with it by --resume first."));
    }
    None
}

/// The first of some tables whose rows, or those of a partition, are not written ahead, so that a COMMIT does not put them on disk.
async fn volatile(connection: &mut PgConnection, tables: &[TableName]) -> Result<Option<TableName>, Error> {
    let mut transaction = connection.begin().await?;
    for table in tables {
        let row = query(
            "WITH RECURSIVE parts AS (SELECT c.oid, c.relkind, c.relpersistence FROM pg_catalog.pg_class c \
               JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = $2 \
             UNION SELECT c.oid, c.relkind, c.relpersistence FROM parts p \
               JOIN pg_catalog.pg_inherits i ON i.inhparent = p.oid JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid) \
             SELECT coalesce(pg_catalog.bool_or(p.relpersistence <> 'p' OR p.relkind NOT IN ('r', 'p')), false) FROM parts p",
        )
        .bind(&table.schema)
        .bind(&table.table)
        .fetch_one(&mut *transaction)
        .await?;
        if row.try_get(0)? {
            return Ok(Some(table.clone()));
        }
    }
    transaction.commit().await?;
    Ok(None)
}

fn refused(message: String, hint: &str) -> Failure {
    Failure::usage(Side::Settings, format!("{message}: no key is deleted"), hint)
}

/// What a person should know of PostgreSQL's durability.
///
/// # Errors
/// The server's.
pub(super) async fn durability(link: &mut Link) -> Result<Option<String>, Failure> {
    let ask = async |connection: &mut PgConnection| {
        let mut transaction = connection.begin().await?;
        let fsync: bool = query("SELECT pg_catalog.current_setting('fsync') = 'on'")
            .fetch_one(&mut *transaction)
            .await?
            .try_get(0)?;
        transaction.commit().await?;
        Ok::<_, Error>(fsync)
    };
    let is_safe = link.call("asking how durable PostgreSQL is", ask).await?;
    let warning = "PostgreSQL runs with fsync = off: rows whose keys are deleted are lost with the machine. Take a backup \
                   (--backup), or switch fsync on first";
    Ok((!is_safe).then(|| warning.to_owned()))
}
