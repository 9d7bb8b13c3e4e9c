//! Tables that mappings ask for are made where they are missing, in the transaction of the check: a check that is not for
//! real leaves nothing behind.

use super::preset::refused;
use super::{locks, rights};
use crate::config::Settings;
use crate::job::design::designs;
use crate::job::link::Trouble;
use crate::mapping::MappingSpec;
use crate::model::{Failure, Finding, Side, TableName};
use crate::postgres::{TableDesign, query, read_table, resolve, statements};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error, Row};
use std::collections::BTreeSet;

/// What a check made, or would have made for real.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::job) struct Created {
    /// The tables.
    pub(in crate::job) tables: Vec<TableName>,
    /// The statements that made them, without semicolons.
    pub(in crate::job) statements: Vec<String>,
    /// What keeps others from being made, or is to be told of it.
    pub(super) findings: Vec<Finding>,
}

impl Created {
    /// Adds what was made beside.
    pub(super) fn append(&mut self, mut more: Self) {
        self.tables.append(&mut more.tables);
        self.statements.append(&mut more.statements);
        self.findings.append(&mut more.findings);
    }
}

/// Makes the tables that are missing and whose mapping has `create`.
///
/// # Errors
/// The server's; what it refuses is a finding of the table.
pub(super) async fn create_missing(
    connection: &mut PgConnection,
    settings: &Settings,
    specs: &[MappingSpec],
) -> Result<Created, Trouble> {
    if !settings.target.create_schema || !specs.iter().any(|spec| spec.create) {
        return Ok(Created::default());
    }
    let designs = designs(specs).map_err(Failure::findings)?;
    let mut missing = Vec::new();
    for (spec, design) in specs.iter().zip(&designs) {
        if let Some(design) = design
            && read_table(connection, &design.name).await?.is_none()
        {
            missing.push((spec, design));
        }
    }
    let all: Vec<&TableDesign> = missing.iter().map(|(_, design)| *design).collect();
    let tables: Vec<TableName> = all.iter().map(|design| design.name.clone()).collect();
    if all.is_empty() {
        return Ok(Created::default());
    }
    let (schemas, mut findings) = look_at_schemas(connection, &tables).await?;
    for (spec, design) in &missing {
        findings.extend(unknown_roles(connection, spec, design).await?);
        findings.extend(unknown_types(connection, design).await?);
        findings.extend(unfit_parents(connection, spec, design, &tables).await?);
    }
    if !findings.is_empty() {
        return Ok(Created { tables, findings, ..Created::default() });
    }
    let statements = statements(&all, &schemas);
    let refused = make(connection, &all, &statements).await?;
    Ok(match refused {
        Some(finding) => Created { tables, findings: vec![finding], ..Created::default() },
        None => Created { tables, statements, findings },
    })
}

/// Makes the tables, all or none; what the server says against it.
async fn make(
    connection: &mut PgConnection,
    all: &[&TableDesign],
    statements: &[String],
) -> Result<Option<Finding>, Trouble> {
    let mut savepoint = connection.begin().await?;
    for statement in statements {
        // Sent as one statement: the server takes no second one with it.
        if let Err(error) = query(statement.as_str()).execute(&mut *savepoint).await {
            savepoint.rollback().await?;
            let first = statement.lines().next().unwrap_or_default().trim_end_matches(" (");
            let keys = all.iter().flat_map(|design| &design.foreign_keys);
            let parents: Vec<TableName> = keys.map(|key| key.parent.clone()).collect();
            let error = locks::given_up(connection, first, &parents, error).await?;
            let lacking = rights::lacking_to_make(connection, &BTreeSet::new(), &parents).await?;
            let mut finding = refused(error, first, rights::grants(&lacking, MEND))?;
            finding.message.push_str(&rights::in_words(&lacking));
            return Ok(Some(finding));
        }
    }
    savepoint.commit().await?;
    Ok(None)
}

/// What to do about a statement that the server refuses.
const MEND: &str = "mend the mapping, grant the role what is missing, or make the table yourself; \
    `redis2pg config show` prints all statements";

/// The schemas that are missing, and the tables that the role may not make in theirs, or not for want of a right on a parent.
async fn look_at_schemas(
    connection: &mut PgConnection,
    tables: &[TableName],
) -> Result<(BTreeSet<String>, Vec<Finding>), Error> {
    let schemas: BTreeSet<&str> = tables.iter().map(|table| table.schema.as_str()).collect();
    let rows = query(
        "SELECT s.name FROM pg_catalog.unnest($1::text[]) s (name) \
         WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname = s.name)",
    )
    .bind(schemas.iter().copied().collect::<Vec<&str>>())
    .fetch_all(&mut *connection)
    .await?;
    let missing = rows.iter().map(|row| row.try_get(0)).collect::<Result<_, Error>>()?;
    let mut findings = Vec::new();
    for schema in schemas {
        let lacking = rights::lacking_to_make(connection, &[schema].into(), &[]).await?;
        if lacking.is_empty() {
            continue;
        }
        let message = format!("the table is missing, and the role may not make it{}", rights::in_words(&lacking));
        let hint = rights::grants(&lacking, "make the table yourself");
        let of_schema = tables.iter().filter(|table| table.schema == schema);
        findings.extend(
            of_schema
                .map(|table| Finding::critical(Side::Postgres, table.to_string(), message.as_str(), hint.as_str())),
        );
    }
    Ok((missing, findings))
}

async fn unknown_roles(
    connection: &mut PgConnection,
    spec: &MappingSpec,
    design: &TableDesign,
) -> Result<Vec<Finding>, Error> {
    let roles: Vec<&str> = design.grants.iter().map(|grant| grant.role.as_str()).collect();
    let unknown = query(
        "SELECT r.name FROM pg_catalog.unnest($1::text[]) r (name) WHERE r.name <> 'public' \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles p WHERE p.rolname = r.name)",
    )
    .bind(roles)
    .fetch_all(connection)
    .await?;
    let finding = |role: String| {
        let subject = format!("mapping {}: grants", spec.name);
        Finding::critical(Side::Postgres, subject, format!("there is no role {role:?}"), "Create it, or take it out.")
    };
    unknown.iter().map(|row| Ok(finding(row.try_get(0)?))).collect()
}

async fn unknown_types(connection: &mut PgConnection, design: &TableDesign) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for column in &design.columns {
        if let Err(why) = resolve(connection, &column.column_type).await? {
            let subject = format!("{}.{}", design.name, column.name);
            findings.push(unknown_type(subject, &column.column_type.sql(), &why));
        }
    }
    Ok(findings)
}

/// A type that a mapping names and the server does not know.
pub(super) fn unknown_type(subject: String, name: &str, why: &str) -> Finding {
    let hint = "Write a type of this server; one that is on no search path with its schema, as in `app.kind`.";
    Finding::critical(Side::Postgres, subject, format!("`type = \"{name}\"`: {why}"), hint)
}

/// Parents that are there and have no key that a foreign key could refer to.
async fn unfit_parents(
    connection: &mut PgConnection,
    spec: &MappingSpec,
    design: &TableDesign,
    made: &[TableName],
) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for key in design.foreign_keys.iter().filter(|key| !made.contains(&key.parent)) {
        // A table that is not there is a finding of its own.
        let parent = read_table(connection, &key.parent).await?;
        if parent.is_some_and(|parent| !parent.is_unique(std::slice::from_ref(&key.parent_column))) {
            findings.push(Finding::critical(
                Side::Postgres,
                format!("mapping {}: foreign_keys", spec.name),
                format!("{} has no unique index on exactly ({})", key.parent, key.parent_column),
                "Create one, or take `foreign_keys` out.",
            ));
        }
    }
    Ok(findings)
}
