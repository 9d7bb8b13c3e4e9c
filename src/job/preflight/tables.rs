//! The tables as they are: what is missing, and what is wrong with them.

use super::types::judge_types;
use crate::mapping::MappingSpec;
use crate::model::{Finding, Side, TableName};
use crate::postgres::{Privilege, Privileges, TableFacts, read_table};
use sqlx::Error;
use sqlx::postgres::PgConnection;
use std::collections::HashMap;

/// Reads the tables that there are. What is wrong with them, or that they are not there, is a finding each.
pub(super) async fn find_tables(
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
                findings.extend(judge_types(connection, spec, name).await?);
                facts.insert(name.clone(), found);
            }
            None => findings.push(Finding::critical(
                Side::Postgres,
                name.to_string(),
                "there is no such table",
                how_to_have(name),
            )),
        }
    }
    Ok((facts, findings))
}

/// What to do about a table that is not there.
fn how_to_have(name: &TableName) -> &'static str {
    match name.table.contains('.') {
        true => {
            "Write schema.table: what stands before the first point is the schema. The database is that of target.url."
        }
        false => "Create it, or have it made: `create = true` in the mapping, with target.create_schema left on.",
    }
}

fn judge(spec: &MappingSpec, facts: &TableFacts, dry: bool) -> Vec<Finding> {
    let name = facts.table.name.to_string();
    if let Some(kind) = facts.no_table {
        let message = format!("it is {kind}, and rows are loaded into tables alone");
        return vec![Finding::critical(Side::Postgres, name, message, "Name a table of this database in `into`.")];
    }
    let mut findings = Vec::new();
    if !dry {
        findings.extend(judge_rights(&name, facts.privileges, spec.deletes_rows()));
    }
    if spec.deletes_rows() {
        findings.extend(facts.incoming_keys.iter().filter(|key| !key.readable).map(|key| {
            Finding::warning(
                Side::Postgres,
                name.clone(),
                format!(
                    "{} refers to it and cannot be read: rows whose elements are gone from Redis are kept",
                    key.table
                ),
                format!("GRANT SELECT ON {} TO the role to have those deleted that nothing refers to.", key.table),
            )
        }));
    }
    if !facts.key_is_unique {
        let key = spec.key.join(", ");
        findings.push(Finding::critical(
            Side::Postgres,
            name.clone(),
            format!("`key`: no unique index is on exactly ({key}): a second run would store every row twice"),
            format!("Create one that is neither partial nor deferrable: ALTER TABLE {name} ADD PRIMARY KEY ({key})."),
        ));
    }
    findings
}

/// Rights on single columns do not do: the right to read is used on whole rows, and the others go with it.
fn judge_rights(table: &str, rights: Privileges, deletes: bool) -> Option<Finding> {
    let mut needed = vec![("SELECT", rights.select), ("INSERT", rights.insert), ("UPDATE", rights.update)];
    if deletes {
        needed.push(("DELETE", rights.delete));
    }
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
    let hint = format!("GRANT {short} ON {table} TO the role in target.url / --to.");
    Some(Finding::critical(Side::Postgres, table, message.join("; "), hint))
}
