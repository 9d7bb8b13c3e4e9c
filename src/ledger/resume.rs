//! Which run a resume goes on with, and how it is taken over.

use super::rollback::{HELD, take_from_sleepers};
use super::runs::{NewRun, Started, abandon_others, run_id};
use super::shards::holder_name;
use crate::postgres::query;
use serde_json::value::RawValue;
use sqlx::postgres::PgConnection;
use sqlx::{Error, Row};
use std::collections::BTreeMap;
use uuid::Uuid;

/// What a resume can go on with.
pub(super) enum Resumable {
    /// There is nothing.
    Nothing,
    /// This run.
    Run(Uuid),
    /// A rollback of the last run of the same source and mappings has begun, and is not at its end.
    HalfUndone(Uuid),
    /// The last run that did not end had other mappings.
    Other { run: Uuid, differing: Vec<String> },
}

/// The last run of the same source and mappings that did not end as done; retries of rejects are none, nor runs
/// that are rolled back.
pub(super) async fn resumable(connection: &mut PgConnection, new: &NewRun) -> Result<Resumable, Error> {
    let last = query(
        "SELECT id::text, state, rollback IS NOT NULL OR coalesce(rollback_lease_expires_at > pg_catalog.clock_timestamp(), \
         false) AS is_half_undone FROM redis2pg.runs \
         WHERE source = $1 AND mapping_hash = $2 AND retry_of IS NULL AND rolled_back_at IS NULL \
         ORDER BY started_at DESC LIMIT 1",
    )
    .bind(&new.source)
    .bind(&new.mapping_hash)
    .fetch_optional(&mut *connection)
    .await?;
    if let Some(row) = last {
        // A new run would find the rows that are left, and the rest of the rollback delete them.
        if row.try_get("is_half_undone")? {
            return Ok(Resumable::HalfUndone(run_id(&row)?));
        }
        let state: String = row.try_get("state")?;
        return Ok(if state == "done" { Resumable::Nothing } else { Resumable::Run(run_id(&row)?) });
    }
    let other = query(
        "SELECT id::text, mappings::text AS mappings FROM redis2pg.runs WHERE source = $1 AND state <> 'done' AND retry_of IS NULL \
         AND rollback IS NULL AND coalesce(rollback_lease_expires_at <= pg_catalog.clock_timestamp(), true) ORDER BY started_at DESC LIMIT 1",
    )
    .bind(&new.source)
    .fetch_optional(connection)
    .await?;
    other.map_or(Ok(Resumable::Nothing), |row| {
        let theirs: String = row.try_get("mappings")?;
        let theirs: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&theirs).unwrap_or_default();
        Ok(Resumable::Other { run: run_id(&row)?, differing: differing(&new.mappings, &theirs) })
    })
}

/// The run that a resume of these mappings would go on with.
///
/// # Errors
/// The server's.
pub async fn to_resume(connection: &mut PgConnection, new: &NewRun) -> Result<Option<Uuid>, Error> {
    Ok(match resumable(connection, new).await? {
        Resumable::Run(run) => Some(run),
        Resumable::Nothing | Resumable::HalfUndone(_) | Resumable::Other { .. } => None,
    })
}

/// The names of mappings that differ, were added or are gone.
pub(super) fn differing(ours: &BTreeMap<String, String>, theirs: &BTreeMap<String, Box<RawValue>>) -> Vec<String> {
    let mut names = Vec::new();
    for (name, hash) in ours {
        match theirs.get(name) {
            None => names.push(format!("{name} (new)")),
            Some(other) if other.get().trim_matches('"') != hash => names.push(format!("{name} (changed)")),
            Some(_) => {}
        }
    }
    names.extend(theirs.keys().filter(|name| !ours.contains_key(*name)).map(|name| format!("{name} (gone)")));
    names
}

/// Goes on with a run, once the transactions of whoever had it are over. `None`: a rollback of it has begun.
pub(super) async fn take_over(
    connection: &mut PgConnection,
    new: &NewRun,
    run: Uuid,
) -> Result<Option<Started>, Error> {
    abandon_others(connection, new, run).await?;
    // One that did nothing yet may only be suspended: it must not wake up under the run.
    take_from_sleepers(connection, &[run.to_string()]).await?;
    // A process that was suspended in mid-transaction would hold its shard for as long as its connection lives; in a
    // COPY no timeout of the server ends that. Its batch is not lost: nobody had committed it.
    let former: Option<String> = query("SELECT lease::text FROM redis2pg.runs WHERE id = $1::text::uuid")
        .bind(run.to_string())
        .fetch_one(&mut *connection)
        .await?
        .try_get(0)?;
    if let Some(former) = former.and_then(|text| Uuid::parse_str(&text).ok()) {
        query(
            "SELECT pg_catalog.count(pg_catalog.pg_terminate_backend(pid)) FROM pg_catalog.pg_stat_activity WHERE application_name = $1 \
             AND datname = pg_catalog.current_database() AND usename = current_user AND pid <> pg_catalog.pg_backend_pid()",
        )
        .bind(holder_name(former))
        .execute(&mut *connection)
        .await?;
    }
    // What a retry that died has left waiting waits for this run again, which counts it.
    query(
        "UPDATE redis2pg.rejects SET counted_by = NULL WHERE run_id = $1::text::uuid AND state = 'pending' \
         AND counted_by IS NOT NULL AND found_by IS NULL",
    )
    .bind(run.to_string())
    .execute(&mut *connection)
    .await?;
    // Waits for the transactions of the former holder, which hold FOR KEY SHARE on their shard, and locks out its later
    // ones.
    query("UPDATE redis2pg.shards SET lease = $2::text::uuid WHERE run_id = $1::text::uuid")
        .bind(run.to_string())
        .bind(new.lease.to_string())
        .execute(&mut *connection)
        .await?;
    let taken = query(format!(
        "UPDATE redis2pg.runs SET state = 'running', lease = $2::text::uuid, finished_at = NULL, exit_code = NULL, \
         error = NULL, lease_expires_at = pg_catalog.clock_timestamp() + pg_catalog.make_interval(secs => $3), settings = $4::text::jsonb, \
         version = $5 WHERE id = $1::text::uuid AND rollback IS NULL AND ({HELD}) IS NOT TRUE"
    ))
    .bind(run.to_string())
    .bind(new.lease.to_string())
    .bind(new.lease_time.as_secs_f64())
    .bind(&new.settings)
    .bind(&new.version)
    .execute(connection)
    .await?;
    Ok((taken.rows_affected() == 1).then_some(Started { run, resumed: true }))
}
