//! What a run tells the ledger of its tables, so that it can be undone or judged without its configuration.

use super::begin::Claim;
use super::link::Link;
use super::preflight::Checked;
use crate::config::Settings;
use crate::ledger::{self, LineagePlace, RunTable};
use crate::mapping::{LineageSpec, Mapping, MappingSpec};
use crate::model::{Failure, Side, TableName};
use crate::sink::{Compare, LoadTable, Provenance};
use sqlx::postgres::PgConnection;

/// Writes them.
///
/// # Errors
/// A run is being rolled back in one of them; the server's, once it is none that passes.
pub(super) async fn write(
    link: &mut Link,
    settings: &Settings,
    claim: Claim,
    (checked, specs): (&Checked, &[MappingSpec]),
) -> Result<(), Failure> {
    let tables = of(checked, specs);
    let asked: Vec<TableName> =
        specs.iter().filter(|spec| spec.create).filter_map(|spec| spec.table_name().ok()).collect();
    let made: Vec<TableName> = checked.created.tables.iter().filter(|made| asked.contains(made)).cloned().collect();
    let held = (claim.run, claim.lease, settings.flow.lease.0);
    let write = async |connection: &mut PgConnection| ledger::write_run_tables(connection, held, &tables, &made).await;
    match link.call("writing the run's tables into the ledger", write).await? {
        None => Ok(()),
        Some(run) => {
            let hint = "Wait for that, or stop it. After a crash its lease ends by itself within flow.lease.";
            Err(Failure::usage(Side::Postgres, format!("run {run} is being rolled back in the same tables"), hint))
        }
    }
}

/// The table of each mapping, in order.
pub(super) fn of(checked: &Checked, specs: &[MappingSpec]) -> Vec<RunTable> {
    let loads = checked.plan.mappings().zip(&checked.tables).zip(specs);
    loads.map(|(((_, mapping), load), spec)| run_table(mapping, load, spec)).collect()
}

/// A mapping's table as the ledger keeps it.
pub(super) fn run_table(mapping: &Mapping, load: &LoadTable, spec: &MappingSpec) -> RunTable {
    let name = |index: usize| load.columns.get(index).map(|column| column.name.clone()).unwrap_or_default();
    let lineage = match (load.provenance, &spec.lineage) {
        (Provenance::Object(index), _) => LineagePlace::Object { column: name(index) },
        (Provenance::Columns { .. }, Some(LineageSpec::Columns { columns })) => LineagePlace::Columns {
            key: columns.key.clone(),
            digest: columns.digest.clone(),
            database: columns.database.clone(),
            run: columns.run.clone(),
            expires_at: columns.expires_at.clone(),
        },
        (Provenance::Columns { key, digest, database, .. }, _) => LineagePlace::Columns {
            key: name(key),
            digest: name(digest),
            database: database.map(name),
            run: None,
            expires_at: None,
        },
        (Provenance::Ledger, _) => LineagePlace::Ledger,
        (Provenance::Nowhere, _) => LineagePlace::Nowhere,
    };
    RunTable {
        mapping: mapping.name().to_owned(),
        table: mapping.table().clone(),
        key_columns: load.columns.iter().take(load.key_columns).map(|column| column.name.clone()).collect(),
        lineage,
        expiry: load.columns.iter().find(|column| column.compare == Compare::Expiry).map(|column| column.name.clone()),
        explodes: load.explodes,
        created_oid: None,
        audit: spec.audit_table().ok().flatten(),
    }
}
