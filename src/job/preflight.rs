//! What must be true before the first row: read from both ends, said all at once.

use super::link::Trouble;
use super::setup;
use crate::config::Settings;
use crate::mapping::{Comparison, Lineage, Mapping, MappingSpec, OnConflict, Plan, RunStamp};
use crate::model::{ColumnType, Exit, Failure, Finding, MappingId, Side, Table, TableName};
use crate::postgres::{ForeignKey, TableFacts, estimate_rows, failure, query, read_table, table_ident, table_is_empty};
use crate::sink::{Compare, Conflict, LoadColumn, LoadTable, ParentCheck, ProbeGauge};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Error, Row};
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;

/// The target as it was found, and the plan that fits it.
pub(super) struct Checked {
    pub(super) plan: Plan,
    pub(super) tables: Vec<LoadTable>,
    /// Rows in each table, in the order of the plan's mappings.
    pub(super) rows: Vec<i64>,
    pub(super) warnings: Vec<Finding>,
    pub(super) server: Server,
}

/// How far a check goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    /// A dry run: rights to write are not needed, and nothing is left behind.
    Dry,
    /// Everything that a run needs is looked at, and nothing is left behind.
    Rehearsal,
    /// The preset's tables are made where they are missing.
    Real,
}

/// What the server says of itself.
#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) version: String,
    pub(super) may_make_temporary: bool,
    /// Whether the schema of the ledger can be used or made.
    pub(super) ledger: bool,
    /// Whether tables can be made in that schema, for staging where there are no temporary ones.
    pub(super) stage: bool,
}

/// Looks at the server: a target that cannot be written is refused before anything is read.
///
/// # Errors
/// It is read-only, or does not answer.
pub(super) async fn look(connection: &mut PgConnection) -> Result<Server, Failure> {
    let said = |error| failure("looking at the server", error);
    let mut transaction = connection.begin().await.map_err(said)?;
    let row = query(
        "SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS standby, \
         current_setting('transaction_read_only') = 'on' AS read_only, \
         has_database_privilege(current_database(), 'TEMP') AS temporary, \
         CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'redis2pg') \
              THEN has_schema_privilege('redis2pg', 'USAGE') \
              ELSE has_database_privilege(current_database(), 'CREATE') END AS ledger, \
         CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'redis2pg') \
              THEN has_schema_privilege('redis2pg', 'CREATE') \
              ELSE has_database_privilege(current_database(), 'CREATE') END AS stage, \
         current_setting('server_encoding') AS encoding",
    )
    .fetch_one(&mut *transaction)
    .await
    .map_err(said)?;
    transaction.commit().await.map_err(said)?;
    let get = |error: Error| failure("looking at the server", error);
    if row.try_get("standby").map_err(get)? {
        let hint = "Point target.url / --to at the primary.";
        return Err(Failure::postgres("the server is a read-only standby", hint));
    }
    if row.try_get("read_only").map_err(get)? {
        let hint = "Unset default_transaction_read_only for this role and database, or point --to elsewhere.";
        return Err(Failure::postgres("the server takes no writes: transactions are read-only", hint));
    }
    let encoding: String = row.try_get("encoding").map_err(get)?;
    if encoding != "UTF8" {
        let message = format!("the database's encoding is {encoding}; JSON text can hold what it cannot");
        return Err(Failure::usage(Side::Postgres, message, "Use a database with encoding UTF8."));
    }
    Ok(Server {
        version: row.try_get("version").map_err(get)?,
        may_make_temporary: row.try_get("temporary").map_err(get)?,
        ledger: row.try_get("ledger").map_err(get)?,
        stage: row.try_get("stage").map_err(get)?,
    })
}

/// Reads the tables and compiles the plan. Tables that the preset would make are made in a transaction that is rolled
/// back, unless the check is for real.
///
/// # Errors
/// Every finding that forbids the run.
pub(super) async fn check(
    connection: &mut PgConnection,
    settings: &Settings,
    specs: &[MappingSpec],
    run: &str,
    server: Server,
    check: Check,
) -> Result<Checked, Trouble> {
    let dry = check == Check::Dry;
    let mut transaction = connection.begin().await?;
    let names = table_names(specs)?;
    make_missing(&mut transaction, settings, &names).await?;
    let (facts, mut findings) = find_tables(&mut transaction, specs, &names, dry).await?;
    if !dry {
        findings.extend(judge_server(&server));
    }
    let tables: HashMap<TableName, Table> =
        facts.iter().map(|(name, facts)| (name.clone(), facts.table.clone())).collect();
    let plan = if tables.len() == names.iter().collect::<std::collections::HashSet<_>>().len() {
        Plan::compile(specs, &tables, RunStamp { run_id: run.to_owned(), rehearsal: dry })
            .map_err(|more| findings.extend(more))
            .ok()
    } else {
        None
    };
    let critical = findings.iter().any(|finding| finding.severity == crate::model::Severity::Critical);
    let (Some(plan), false) = (plan, critical) else { return Err(Failure::findings(findings).into()) };
    let (mut loads, mut rows) = (Vec::new(), Vec::new());
    for (id, mapping) in plan.mappings() {
        let empty = table_is_empty(&mut transaction, &table_ident(mapping.table())).await?;
        rows.push(if empty { 0 } else { estimate_rows(&mut transaction, mapping.table()).await? });
        loads.push(load_table(&plan, (id, mapping), &facts, empty && !setup::always_merge(settings)));
    }
    let end = if check == Check::Real { transaction.commit().await } else { transaction.rollback().await };
    end?;
    let warnings = plan.warnings().to_vec();
    Ok(Checked { plan, tables: loads, rows, warnings, server })
}

/// Reads the tables that there are. What is wrong with them, or that they are not there, is a finding each.
async fn find_tables(
    connection: &mut PgConnection,
    specs: &[MappingSpec],
    names: &[TableName],
    dry: bool,
) -> Result<(HashMap<TableName, TableFacts>, Vec<Finding>), Error> {
    let mut facts = HashMap::new();
    let mut findings = Vec::new();
    for (spec, name) in specs.iter().zip(names) {
        match read_table(connection, name, &spec.key).await? {
            Some(found) => {
                findings.extend(judge(spec, &found, dry));
                facts.insert(name.clone(), found);
            }
            None => findings.push(Finding::critical(
                Side::Postgres,
                name.to_string(),
                "there is no such table",
                "Create it, or leave target.create_schema on with a preset that brings its tables.",
            )),
        }
    }
    if !dry {
        for spec in specs {
            findings.extend(find_audit(connection, spec).await?);
        }
    }
    Ok((facts, findings))
}

/// Whether the application's audit log, where it is there, takes rows: else a run would find out after all the work.
async fn find_audit(connection: &mut PgConnection, spec: &MappingSpec) -> Result<Option<Finding>, Error> {
    let Ok(Some(audit)) = spec.audit_table() else { return Ok(None) };
    let may: Option<bool> =
        query("SELECT has_table_privilege(c.oid, 'INSERT') FROM pg_catalog.pg_class c WHERE c.oid = to_regclass($1)")
            .bind(table_ident(&audit))
            .fetch_optional(connection)
            .await?
            .map(|row| row.try_get(0))
            .transpose()?;
    Ok((may == Some(false)).then(|| {
        let hint = format!("GRANT INSERT ON {audit} TO the role, or take `audit` out of the mapping.");
        Finding::critical(Side::Postgres, audit.to_string(), "the role may not INSERT into the audit log", hint)
    }))
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

/// Makes the preset's tables where one is missing.
async fn make_missing(connection: &mut PgConnection, settings: &Settings, names: &[TableName]) -> Result<(), Trouble> {
    let schema = settings.run.preset.as_deref().and_then(setup::preset_schema);
    let Some(schema) = schema.filter(|_| settings.target.create_schema) else { return Ok(()) };
    let idents: Vec<String> = names.iter().map(table_ident).collect();
    let missing: bool = query("SELECT EXISTS (SELECT 1 FROM unnest($1::text[]) n WHERE to_regclass(n) IS NULL)")
        .bind(idents)
        .fetch_one(&mut *connection)
        .await?
        .try_get(0)?;
    if missing {
        sqlx::raw_sql(AssertSqlSafe(schema)).execute(connection).await.map_err(|error| {
            Trouble::said(error, |error| {
                let mut failure = failure("making the preset's tables", error);
                if failure.exit == Exit::Usage {
                    failure.hint = "GRANT CREATE ON DATABASE … TO the role, or create the tables first.".to_owned();
                }
                failure
            })
        })?;
    }
    Ok(())
}

/// What the role lacks beside its rights on the tables.
fn judge_server(server: &Server) -> Option<Finding> {
    let (message, hint) = if !server.ledger {
        (
            "the role may neither use nor create it; the ledger lives there",
            "GRANT CREATE ON DATABASE … TO the role, or let a superuser run once and GRANT USAGE.",
        )
    } else if !server.may_make_temporary && !server.stage {
        (
            "the role may make no temporary tables, and no tables in this schema, where staging tables go then",
            "GRANT TEMPORARY ON DATABASE … TO the role, or GRANT CREATE ON SCHEMA redis2pg TO the role.",
        )
    } else {
        return None;
    };
    Some(Finding::critical(Side::Postgres, "schema redis2pg", message, hint))
}

fn judge(spec: &MappingSpec, facts: &TableFacts, dry: bool) -> Vec<Finding> {
    let name = facts.table.name.to_string();
    let mut findings = Vec::new();
    let rights = facts.privileges;
    let needed = [("SELECT", rights.select), ("INSERT", rights.insert), ("UPDATE", rights.update)];
    let missing: Vec<&str> = needed.iter().filter(|(_, has)| !has).map(|(right, _)| *right).collect();
    if !missing.is_empty() && !dry {
        let rights = missing.join(", ");
        findings.push(Finding::critical(
            Side::Postgres,
            name.clone(),
            format!("the role lacks {rights}"),
            format!("GRANT {rights} ON {name} TO the role in target.url / --to."),
        ));
    }
    if !facts.key_is_unique {
        let key = spec.key.join(", ");
        findings.push(Finding::critical(
            Side::Postgres,
            name.clone(),
            format!("no unique index is on exactly ({key}): a second run would store every row twice"),
            format!("Create one that is neither partial nor deferrable: ALTER TABLE {name} ADD PRIMARY KEY ({key})."),
        ));
    }
    findings
}

fn load_table(
    plan: &Plan,
    (id, mapping): (MappingId, &Mapping),
    facts: &HashMap<TableName, TableFacts>,
    empty: bool,
) -> LoadTable {
    let mine = facts.get(mapping.table());
    let lineage = match mapping.lineage() {
        Lineage::Column(index) => Some(index),
        Lineage::Ledger => None,
    };
    let columns: Vec<LoadColumn> = (mapping.columns().iter().enumerate())
        .map(|(index, column)| LoadColumn {
            name: column.name.clone(),
            compare: compare(mapping, index),
            cast: column.column_type.cast().map(|cast| cast.sql.clone()),
            equality: column.column_type.equality().to_owned(),
        })
        .collect();
    let parents = (mapping.parents().iter())
        .filter_map(|parent| {
            let table = plan.mapping(parent.mapping).table().clone();
            let key = plan.mapping(parent.mapping).columns().first()?.name.clone();
            let column = columns.get(parent.column)?;
            let foreign_key = mine.is_some_and(|facts| {
                let refers = |found: &ForeignKey| found.parent == table && found.parent_column == key;
                facts.foreign_keys.iter().any(|found| found.column == column.name && refers(found))
            });
            Some(ParentCheck { mapping: parent.mapping, column: parent.column, table, key, foreign_key })
        })
        .collect::<Vec<_>>();
    // COPY cannot look for parents, cannot go through row-level security, and has no staging table for lineage.
    let checked = parents.iter().all(|parent| parent.foreign_key);
    // Nor can it cast.
    let cast = |columns: &[LoadColumn]| columns.iter().any(|column| column.cast.is_some());
    let secured = mine.is_some_and(|facts| facts.row_security);
    let straight = empty && checked && lineage.is_some() && !secured && !cast(&columns);
    // Whether a row is as it would be made is known from key, value and time of expiry, unless this holds.
    let volatile =
        |index| mapping.comparison(index) == Comparison::WithinSecond && compare(mapping, index) != Compare::Expiry;
    let keys = columns.get(..mapping.key_columns()).unwrap_or_default();
    let knowable = checked && !(0..columns.len()).any(volatile) && !cast(keys);
    LoadTable {
        id,
        mapping: mapping.name().to_owned(),
        name: mapping.table().clone(),
        columns,
        key_columns: mapping.key_columns(),
        lineage,
        conflict: match mapping.on_conflict() {
            OnConflict::UpdateOwn => Conflict::UpdateOwn,
            OnConflict::Update => Conflict::Update,
            OnConflict::Skip => Conflict::Skip,
            OnConflict::Error => Conflict::Error,
        },
        parents,
        fingerprint: mapping.fingerprint().to_owned(),
        probe: knowable.then(ProbeGauge::default),
        straight: AtomicBool::new(straight),
    }
}

fn compare(mapping: &Mapping, index: usize) -> Compare {
    let is =
        |what: fn(&ColumnType) -> bool| mapping.columns().get(index).is_some_and(|column| what(&column.column_type));
    match mapping.comparison(index) {
        Comparison::WithoutLineage => Compare::Lineage,
        Comparison::Ignored => Compare::Never,
        Comparison::WithinSecond if is(ColumnType::is_moment) => Compare::Expiry,
        // As text or as a number a time of expiry is compared as it stands.
        Comparison::WithinSecond | Comparison::Exact if is(ColumnType::compares_as_text) => Compare::Text,
        Comparison::WithinSecond | Comparison::Exact => Compare::Value,
    }
}
