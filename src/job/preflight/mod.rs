//! What must be true before the first row: read from both ends, said all at once.

mod archive;
mod connections;
mod create;
mod load_table;
mod own_parents;
pub(super) mod redis;
mod server;
mod tables;
mod types;

pub(super) use create::Created;
pub(super) use server::{Server, look};

use super::link::Trouble;
use super::{audit, setup};
use crate::config::Settings;
use crate::ledger;
use crate::mapping::{MappingSpec, Plan, RunStamp};
use crate::model::{Exit, Failure, Finding, Severity, Side, Table, TableName};
use crate::postgres::{TableFacts, estimate_rows, failure, query, table_ident, table_is_empty};
use crate::sink::LoadTable;
use load_table::load_table;
use own_parents::name_own_parents;
use server::judge_server;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Error, Row};
use std::collections::{HashMap, HashSet};
use tables::find_tables;

/// The target as it was found, and the plan that fits it.
pub(super) struct Checked {
    pub(super) plan: Plan,
    pub(super) tables: Vec<LoadTable>,
    /// Rows in each table, in the order of the plan's mappings.
    pub(super) rows: Vec<i64>,
    pub(super) warnings: Vec<Finding>,
    /// The tables that were made, or would be.
    pub(super) created: Created,
    pub(super) server: Server,
}

/// How far a check goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// A dry run: rights to write are not needed, and nothing is left behind.
    Dry,
    /// Everything that a run needs is looked at, and nothing is left behind: what it would write into the audit log is
    /// written and taken back.
    Rehearsal,
    /// Tables of the preset, and of mappings with `create`, are made where they are missing.
    Real,
}

/// Reads the tables and compiles the plan. Tables that a run would make are made in a transaction that is rolled
/// back, unless the check is for real.
///
/// # Errors
/// Every finding that forbids the run.
pub(super) async fn check(
    connection: &mut PgConnection,
    settings: &Settings,
    specs: &[MappingSpec],
    stamp: &RunStamp,
    server: Server,
    check: Check,
) -> Result<Checked, Trouble> {
    let dry = check == Check::Dry;
    let mut transaction = connection.begin().await?;
    ledger::end_where_idle(&mut transaction, ledger::idle_timeout(settings.flow.lease.0)).await?;
    let names = table_names(specs)?;
    let of_preset = make_missing(&mut transaction, settings, &names).await?;
    let mut created = create::create_missing(&mut transaction, settings, specs).await?;
    created.tables.splice(0..0, of_preset);
    let made = archive::make_missing(&mut transaction, settings, specs, check).await?;
    let (facts, mut findings) = find(&mut transaction, settings, (specs, &names), &stamp.run_id, check).await?;
    findings.extend(made);
    if !created.findings.is_empty() {
        // Why a table could not be made is told; that it is missing says nothing more.
        let missing = |finding: &Finding| created.tables.iter().any(|table| finding.subject == table.to_string());
        findings.retain(|finding| !missing(finding));
    }
    findings.append(&mut created.findings);
    if !dry {
        findings.extend(judge_server(&server));
    }
    let tables: HashMap<TableName, Table> =
        facts.iter().map(|(name, facts)| (name.clone(), facts.table.clone())).collect();
    let plan = if tables.len() == names.iter().collect::<HashSet<_>>().len() {
        Plan::compile(&name_own_parents(specs, &facts), &tables, RunStamp { rehearsal: dry, ..stamp.clone() })
            .map_err(|more| findings.extend(more))
            .ok()
    } else {
        None
    };
    let critical = findings.iter().any(|finding| finding.severity == Severity::Critical);
    let (Some(plan), false) = (plan, critical) else { return Err(Failure::findings(findings).into()) };
    let (mut loads, mut rows) = (Vec::new(), Vec::new());
    for (id, mapping) in plan.mappings() {
        let empty = table_is_empty(&mut transaction, &table_ident(mapping.table())).await?;
        rows.push(if empty { 0 } else { estimate_rows(&mut transaction, mapping.table()).await? });
        loads.push(load_table(&plan, (id, mapping), &facts, empty && !setup::always_merge(settings)));
    }
    let end = if check == Check::Real { transaction.commit().await } else { transaction.rollback().await };
    end?;
    let warnings = findings.into_iter().chain(plan.warnings().iter().cloned()).collect();
    Ok(Checked { plan, tables: loads, rows, warnings, created, server })
}

/// What is wrong with the tables, the audit logs and the limits on connections.
async fn find(
    connection: &mut PgConnection,
    settings: &Settings,
    (specs, names): (&[MappingSpec], &[TableName]),
    run: &str,
    check: Check,
) -> Result<(HashMap<TableName, TableFacts>, Vec<Finding>), Error> {
    let (facts, mut findings) = find_tables(connection, specs, names, check == Check::Dry).await?;
    findings.extend(connections::judge(connection, settings.flow.writers).await?);
    findings.extend(audit::find_missing(connection, specs).await?);
    if check == Check::Rehearsal {
        findings.extend(audit::rehearse(connection, specs, run, settings.target.lock_timeout.0).await?);
    }
    Ok((facts, findings))
}

fn table_names(specs: &[MappingSpec]) -> Result<Vec<TableName>, Failure> {
    let mut findings = Vec::new();
    let names = specs
        .iter()
        .filter_map(|spec| {
            spec.table_name()
                .map_err(|why| {
                    let subject = format!("mapping {}: into", spec.name);
                    findings.push(Finding::critical(Side::Settings, subject, why, "Write schema.table."));
                })
                .ok()
        })
        .collect();
    if findings.is_empty() { Ok(names) } else { Err(Failure::findings(findings)) }
}

/// Makes the preset's tables where one is missing; gives those that it made.
async fn make_missing(
    connection: &mut PgConnection,
    settings: &Settings,
    names: &[TableName],
) -> Result<Vec<TableName>, Trouble> {
    let schema = settings.run.preset.as_deref().and_then(setup::preset_schema);
    let Some(schema) = schema.filter(|_| settings.target.create_schema) else { return Ok(Vec::new()) };
    let idents: Vec<String> = names.iter().map(table_ident).collect();
    let missing: bool = query("SELECT EXISTS (SELECT 1 FROM unnest($1::text[]) n WHERE to_regclass(n) IS NULL)")
        .bind(idents)
        .fetch_one(&mut *connection)
        .await?
        .try_get(0)?;
    if !missing {
        return Ok(Vec::new());
    }
    let before = tables_beside(connection, names).await?;
    sqlx::raw_sql(AssertSqlSafe(schema)).execute(&mut *connection).await.map_err(|error| {
        Trouble::said(error, |error| {
            let mut failure = failure("making the preset's tables", error);
            if failure.exit == Exit::Usage {
                failure.hint = "GRANT CREATE ON DATABASE … TO the role, or create the tables first.".to_owned();
            }
            failure
        })
    })?;
    let after = tables_beside(connection, names).await?;
    Ok(after.into_iter().filter(|table| !before.contains(table)).collect())
}

/// All tables of the schemas that these are in.
async fn tables_beside(connection: &mut PgConnection, names: &[TableName]) -> Result<Vec<TableName>, Error> {
    let schemas: Vec<&str> = names.iter().map(|name| name.schema.as_str()).collect();
    let rows = query(
        "SELECT n.nspname::text, c.relname::text FROM pg_catalog.pg_class c \
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
         WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'p') ORDER BY c.oid",
    )
    .bind(schemas)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok(TableName { schema: row.try_get(0)?, table: row.try_get(1)? })).collect()
}
