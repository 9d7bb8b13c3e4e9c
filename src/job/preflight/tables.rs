//! The tables as they are: what is missing, and what is wrong with them.

use super::locks;
use super::server::Server;
use super::types::judge_types;
use super::{Check, earlier_ids, interference, partitions, sequences, uniqueness};
use crate::job::design::without_quotes;
use crate::job::link::Trouble;
use crate::mapping::MappingSpec;
use crate::model::{Finding, Side, TableName};
use crate::postgres::{Privilege, TableFacts, read_table, shown_table};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error};
use std::collections::HashMap;

/// What the tables are looked at for.
#[derive(Clone, Copy)]
pub(super) struct Judging<'a> {
    pub(super) server: &'a Server,
    pub(super) check: Check,
    /// Whether rows are deleted whose keys are gone.
    pub(super) deletes_gone: bool,
    /// The statements that make the preset's own tables.
    pub(super) preset: Option<&'a str>,
}

/// What is said of a table that is not there.
pub(super) const NO_TABLE: &str = "there is no such table";

/// What is said of a table that is not there, where its rows are to be compared.
const NO_TABLE_ANY_MORE: &str = "the table is not there, and with it all rows that a run has loaded into it";

/// The tables as they are.
#[derive(Default)]
pub(super) struct Found {
    pub(super) facts: HashMap<TableName, TableFacts>,
    /// Those with rows that an older script left under other ids, each with its column of lineage.
    pub(super) earlier: HashMap<TableName, String>,
    pub(super) findings: Vec<Finding>,
}

/// Reads those of the tables that there are. What is wrong with them, or that they are not there, is a finding each.
///
/// Each is looked at behind a savepoint that is taken back at once: no lock is held while the others are looked at.
pub(super) async fn find_tables<'a>(
    connection: &mut PgConnection,
    tables: impl Iterator<Item = (&'a MappingSpec, &'a TableName)>,
    judging: Judging<'_>,
    found: &mut Found,
) -> Result<(), Trouble> {
    for (spec, name) in tables {
        let mut savepoint = connection.begin().await?;
        let looked = find_table(&mut savepoint, (spec, name), judging, found).await;
        savepoint.rollback().await?;
        if let Err(error) = looked {
            let locked = std::slice::from_ref(name);
            return Err(locks::given_up(connection, name, locked, error).await?.into());
        }
    }
    Ok(())
}

async fn find_table(
    connection: &mut PgConnection,
    (spec, name): (&MappingSpec, &TableName),
    judging: Judging<'_>,
    Found { facts, earlier, findings }: &mut Found,
) -> Result<(), Error> {
    if !facts.contains_key(name)
        && let Some(found) = read_table(connection, name).await?
    {
        facts.insert(name.clone(), found);
    }
    let mut told = match facts.get(name) {
        Some(found) => judge(connection, spec, found, judging).await?,
        None if judging.check == Check::Compare => {
            let (message, hint) = (NO_TABLE_ANY_MORE, how_to_have_again(spec));
            vec![Finding::critical(Side::Postgres, name.to_string(), message, hint)]
        }
        None => vec![Finding::critical(Side::Postgres, name.to_string(), NO_TABLE, how_to_have(name))],
    };
    if let Some(found) = facts.get(name)
        && let Some((column, finding)) = earlier_ids::judge(connection, spec, found).await?
    {
        earlier.insert(name.clone(), column);
        told.extend((judging.check != Check::Compare).then_some(finding));
    }
    // What is said of a table, several of its mappings would say.
    told.retain(|finding| !findings.contains(finding));
    findings.append(&mut told);
    Ok(())
}

/// What to do about a table that is not there.
fn how_to_have(name: &TableName) -> String {
    if let Some(meant) = name.unquoted() {
        return without_quotes(&meant);
    }
    match name.table.contains('.') {
        true => {
            "Write schema.table: what stands before the first point is the schema. The database is that of target.url."
        }
        false => "Create it, or have it made: `create = true` in the mapping, with target.create_schema left on.",
    }
    .to_owned()
}

/// The same where rows that were loaded are to be compared.
fn how_to_have_again(spec: &MappingSpec) -> &'static str {
    if spec.create || spec.unmatched {
        return "A run makes it and loads it again: redis2pg run. --phase names the mappings that are to be validated without it.";
    }
    "Restore it, or create it and load it again: redis2pg run. --phase names the mappings that are to be validated without it."
}

async fn judge(
    connection: &mut PgConnection,
    spec: &MappingSpec,
    facts: &TableFacts,
    judging: Judging<'_>,
) -> Result<Vec<Finding>, Error> {
    let Judging { server, check, deletes_gone, preset } = judging;
    let name = facts.table.name.to_string();
    if let Some(kind) = facts.no_table {
        let message = format!("it is {kind}, and rows are loaded into tables alone");
        return Ok(vec![Finding::critical(Side::Postgres, name, message, "Name a table of this database in `into`.")]);
    }
    let dry = check.only_reads();
    let mut findings = judge_rights((spec, deletes_gone), facts, (server, check));
    let whole = spec.with_lineage_columns();
    findings.extend(uniqueness::judge(&whole, facts, check));
    if check != Check::Compare {
        findings.extend(sequences::judge(&whole, facts, (server, dry)));
    }
    findings.extend(interference::judge(connection, spec, facts, (server, check, preset)).await?);
    findings.extend(partitions::judge(facts, check));
    findings.extend(judge_types(connection, spec, &facts.table.name).await?);
    Ok(findings)
}

/// What the role may not do with the table, its schema, and the tables that refer to it. A dry run and a comparison read only.
///
/// Rights on single columns do not do: the right to read is used on whole rows, and the others go with it.
fn judge_rights(
    (spec, deletes_gone): (&MappingSpec, bool),
    facts: &TableFacts,
    (server, check): (&Server, Check),
) -> Vec<Finding> {
    let (dry, compares) = (check.only_reads(), check == Check::Compare);
    let deletes_gone = deletes_gone && !compares;
    let deletes = !compares && (spec.deletes_rows() || deletes_gone);
    let (table, role) = (&facts.table.name, server.shown_role());
    let mut findings = Vec::new();
    if !facts.schema_usage {
        let schema = crate::postgres::shown_ident(&table.schema);
        let message =
            format!("the role {role} lacks USAGE on its schema, without which it may do nothing with the table");
        let hint = format!("GRANT USAGE ON SCHEMA {schema} TO {role}.");
        findings.push(Finding::critical(Side::Postgres, table.to_string(), message, hint));
    }
    let rights = facts.privileges;
    let mut needed = vec![("SELECT", rights.select)];
    if !dry {
        needed.extend([("INSERT", rights.insert), ("UPDATE", rights.update)]);
    }
    if deletes && !dry {
        needed.push(("DELETE", rights.delete));
    }
    findings.extend(lacking(table, &role, &needed));
    if deletes_gone && dry && rights.delete != Privilege::Table {
        let message = format!("the role {role} lacks DELETE: a run that is not dry would end here with exit 2");
        let hint = format!("GRANT DELETE ON {} TO {role}.", shown_table(table));
        findings.push(Finding::warning(Side::Postgres, table.to_string(), message, hint));
    }
    if deletes {
        findings.extend(facts.incoming_keys.iter().filter(|key| !key.readable).map(|key| {
            Finding::warning(
                Side::Postgres,
                table.to_string(),
                format!(
                    "{} refers to it and cannot be read, or not all of its rows: rows whose {} are gone from Redis are kept",
                    key.table,
                    if deletes_gone { "keys" } else { "elements" }
                ),
                format!(
                    "GRANT SELECT ON {} TO {role}, and let row-level security show all of its rows, to have those deleted that nothing refers to.",
                    shown_table(&key.table)
                ),
            )
        }));
    }
    findings
}

fn lacking(table: &TableName, role: &str, needed: &[(&str, Privilege)]) -> Option<Finding> {
    let having = |wanted: &[Privilege]| {
        let names: Vec<&str> = needed.iter().filter(|(_, has)| wanted.contains(has)).map(|(name, _)| *name).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let short = having(&[Privilege::None, Privilege::Columns])?;
    let missing = having(&[Privilege::None]).map(|rights| format!("the role lacks {rights}"));
    let partly = having(&[Privilege::Columns]).map(|rights| {
        format!(
            "the role has {rights} on single columns only, which does not do: who wrote a row last, and how it was before \
             it is overwritten, is read from whole rows, so the rights are asked for on the table"
        )
    });
    let message: Vec<String> = missing.into_iter().chain(partly).collect();
    let hint = format!("GRANT {short} ON {} TO {role}.", shown_table(table));
    Some(Finding::critical(Side::Postgres, table.to_string(), message.join("; "), hint))
}
