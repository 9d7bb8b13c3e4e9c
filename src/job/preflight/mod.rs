//! What must be true before the first row: read from both ends, said all at once.

mod archive;
mod connections;
mod create;
mod earlier_ids;
mod interference;
mod ledger_version;
mod load_table;
mod locks;
pub(super) mod other_source;
mod own_parents;
mod partitions;
mod preset;
pub(super) mod redis;
mod rights;
mod room;
mod search_path;
mod sequences;
mod server;
mod tables;
mod types;
mod uniqueness;

pub(super) use create::Created;
pub(super) use server::{Server, look};

use super::link::Trouble;
use super::{audit, setup};
use crate::config::Settings;
use crate::mapping::{MappingSpec, Plan, Purpose, RunStamp};
use crate::model::{Exit, Failure, Finding, Severity, Side, Table, TableName};
use crate::postgres::{TableFacts, estimate_rows, missing_tables, table_ident, table_is_empty};
use crate::sink::LoadTable;
use load_table::load_table;
use own_parents::name_own_parents;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use std::collections::{HashMap, HashSet};
use tables::{Found, Judging, NO_TABLE, find_tables};

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
    /// Rows are read and compared: rights to write are not needed, and no table is made.
    Compare,
    /// Everything that a run needs is looked at, and nothing is left behind: what it would write into the audit log is
    /// written and taken back.
    Rehearsal,
    /// Tables of the preset, and of mappings with `create`, are made where they are missing.
    Real,
}

impl Check {
    /// Whether no table of anybody's will be written.
    fn only_reads(self) -> bool {
        matches!(self, Self::Dry | Self::Compare)
    }
}

/// Reads the tables and compiles the plan. Tables that a run would make are made in a transaction that is rolled
/// back, unless the check is for real.
///
/// # Errors
/// Every finding, where one forbids the run: first what is wrong with the server, then with the tables, then with the mappings.
pub(super) async fn check(
    connection: &mut PgConnection,
    settings: &Settings,
    specs: &[MappingSpec],
    stamp: &RunStamp,
    server: Server,
    check: Check,
) -> Result<Checked, Trouble> {
    let names = table_names(specs)?;
    let mut transaction = connection.begin().await?;
    // Whoever waits for a lock holds up all that ask for one after it: the application's writers. What the role has set for itself does
    // not count: it may be 0, which is for ever, or too little.
    setup::limits(settings).set(&mut transaction).await?;
    let (deletes_gone, preset) = (settings.run.delete_gone, preset::statements(settings));
    let judging = Judging { server: &server, check, deletes_gone, preset };
    let absent = missing_tables(&mut transaction, &names).await?;
    let (mut created, found) = make_and_find(&mut transaction, settings, (specs, &names, &absent), judging).await?;
    let mut findings: Vec<Finding> = server.judge_writes(check).into_iter().collect();
    findings.extend(server.judge_encoding());
    if !check.only_reads() && !server.takes_no_writes() {
        findings.extend(server.judge_ledger());
    } else if check == Check::Compare {
        findings.extend(server.judge_stage());
    }
    let Found { facts, earlier, findings: of_tables } = found;
    findings.extend(of_tables);
    findings
        .extend(beside_tables(&mut transaction, settings, (specs, &names), (&stamp.run_id, &created), judging).await?);
    // Why a table could not be made is told; that it is missing says nothing more.
    let unmade = |finding: &Finding| created.tables.iter().any(|table| finding.subject == table.to_string());
    findings.retain(|finding| finding.message != NO_TABLE || !unmade(finding));
    findings.append(&mut created.findings);
    let plan = compile(specs, &facts, stamp, check).map_err(|more| {
        let missing = names.iter().filter(|name| !facts.contains_key(name)).map(TableName::to_string);
        let missing: HashSet<String> = missing.collect();
        // They are found missing already.
        findings.extend(more.into_iter().filter(|finding| !missing.contains(&finding.subject)));
    });
    let critical = findings.iter().any(|finding| finding.severity == Severity::Critical);
    let (Ok(plan), false) = (plan, critical) else { return Err(refusal(findings, &server, check).into()) };
    let (mut loads, mut rows) = (Vec::new(), Vec::new());
    for (id, mapping) in plan.mappings() {
        let empty = absent.contains(mapping.table()) || is_empty(&mut transaction, mapping.table()).await?;
        rows.push(if empty { 0 } else { estimate_rows(&mut transaction, mapping.table()).await? });
        loads.push(load_table(&plan, (id, mapping), (&facts, &earlier), empty && !setup::always_merge(settings)));
    }
    let end = if check == Check::Real { transaction.commit().await } else { transaction.rollback().await };
    end?;
    let warnings = findings.into_iter().chain(plan.warnings().iter().cloned()).collect();
    Ok(Checked { plan, tables: loads, rows, warnings, created, server })
}

/// Makes the tables that are missing, and reads all. What is made is looked at before all else: where the check is not for real, it
/// is taken back then, and with it the locks that making it took, on parents too.
async fn make_and_find(
    connection: &mut PgConnection,
    settings: &Settings,
    (specs, names, absent): (&[MappingSpec], &[TableName], &[TableName]),
    judging: Judging<'_>,
) -> Result<(Created, Found), Trouble> {
    let (new, old): (Vec<_>, Vec<_>) = specs.iter().zip(names).partition(|(_, name)| absent.contains(name));
    let mut found = Found::default();
    let mut savepoint = connection.begin().await?;
    let created = make(&mut savepoint, settings, (specs, names), (judging.server, judging.check)).await?;
    find_tables(&mut savepoint, new.into_iter(), judging, &mut found).await?;
    let end = if judging.check == Check::Real { savepoint.commit().await } else { savepoint.rollback().await };
    end?;
    find_tables(connection, old.into_iter(), judging, &mut found).await?;
    Ok((created, found))
}

/// A server that takes no writes is no mistake of whoever runs this, unless something else is.
fn refusal(findings: Vec<Finding>, server: &Server, check: Check) -> Failure {
    let of_server = server.judge_writes(check);
    let others = |finding: &&Finding| finding.severity == Severity::Critical && Some(*finding) != of_server.as_ref();
    let exit = if findings.iter().any(|finding| others(&finding)) { Exit::Usage } else { Exit::Postgres };
    Failure { exit, ..Failure::findings(findings) }
}

/// The plan, as far as the tables are there.
fn compile(
    specs: &[MappingSpec],
    facts: &HashMap<TableName, TableFacts>,
    stamp: &RunStamp,
    check: Check,
) -> Result<Plan, Vec<Finding>> {
    let tables: HashMap<TableName, Table> =
        facts.iter().map(|(name, facts)| (name.clone(), facts.table.clone())).collect();
    let purpose = match check {
        Check::Dry => Purpose::Rehearsal,
        Check::Compare => Purpose::Comparison,
        Check::Rehearsal | Check::Real => Purpose::Load,
    };
    let stamp = RunStamp { purpose, ..stamp.clone() };
    Plan::compile(&name_own_parents(specs, facts), &tables, stamp)
}

/// Makes the tables that are missing and that a run makes. Where nothing can be written they are only named.
async fn make(
    connection: &mut PgConnection,
    settings: &Settings,
    (specs, names): (&[MappingSpec], &[TableName]),
    (server, check): (&Server, Check),
) -> Result<Created, Trouble> {
    if check == Check::Compare {
        return Ok(Created::default());
    }
    // A dry run can do without what cannot be written, not without the tables.
    if server.takes_no_writes() && check == Check::Dry {
        return Ok(Created::default());
    }
    if server.takes_no_writes() {
        let of_preset = preset::statements(settings).is_some();
        let made = |spec: &MappingSpec| settings.target.create_schema && (of_preset || spec.create || spec.unmatched);
        let made = specs.iter().zip(names).filter(|(spec, _)| made(spec)).map(|(_, name)| name.clone());
        return Ok(Created { tables: made.collect(), ..Created::default() });
    }
    let mut created = preset::make_missing(connection, settings, names).await?;
    created.append(create::create_missing(connection, settings, specs).await?);
    created.append(archive::make_missing(connection, settings, specs, check).await?);
    Ok(created)
}

/// Whether a table has no row that we can see. The lock that looking takes is given back.
async fn is_empty(connection: &mut PgConnection, table: &TableName) -> Result<bool, Trouble> {
    let mut savepoint = connection.begin().await?;
    let empty = table_is_empty(&mut savepoint, &table_ident(table)).await;
    savepoint.rollback().await?;
    match empty {
        Ok(empty) => Ok(empty),
        Err(error) => Err(locks::given_up(connection, table, std::slice::from_ref(table), error).await?.into()),
    }
}

/// What is wrong with the audit logs, the limits on connections, the search path, and the room that there is.
async fn beside_tables(
    connection: &mut PgConnection,
    settings: &Settings,
    (specs, names): (&[MappingSpec], &[TableName]),
    (run, created): (&str, &Created),
    judging: Judging<'_>,
) -> Result<Vec<Finding>, Trouble> {
    let mut findings = connections::judge(connection, settings.flow.writers).await?;
    findings.extend(search_path::judge(connection).await?);
    if judging.check != Check::Compare {
        findings.extend(audit::find_missing(connection, specs, &created.tables).await?);
    }
    if judging.server.takes_no_writes() {
        return Ok(findings);
    }
    if !judging.check.only_reads() {
        findings.extend(room::judge(connection, names).await?);
    }
    if judging.check == Check::Rehearsal {
        let lock_timeout = settings.target.lock_timeout.0;
        findings.extend(audit::rehearse(connection, specs, run, lock_timeout).await?);
    }
    Ok(findings)
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
