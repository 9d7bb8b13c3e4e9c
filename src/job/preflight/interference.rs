//! What stands between a row that is sent and one that is stored: triggers, rules, row-level security. Where rows are only compared: what
//! hides them.

use super::Check;
use super::server::Server;
use crate::mapping::MappingSpec;
use crate::model::{Finding, Severity, Side};
use crate::postgres::{RowSecurity, RowTrigger, Rule, TableFacts, query, shown_ident, shown_table, table_ident};
use sqlx::postgres::PgConnection;
use sqlx::{Connection, Error};

/// `made`: the statements that make the preset's own tables, whose triggers are known to do no harm.
///
/// # Errors
/// The server's.
pub(super) async fn judge(
    connection: &mut PgConnection,
    spec: &MappingSpec,
    facts: &TableFacts,
    (server, check, made): (&Server, Check, Option<&str>),
) -> Result<Vec<Finding>, Error> {
    if check == Check::Compare {
        return Ok(hidden_rows(facts, server).into_iter().collect());
    }
    let mut findings = Vec::new();
    findings.extend(triggers(facts, made));
    findings.extend(rules(connection, spec, facts).await?);
    let security = row_security(facts, server).map(|mut finding| {
        if check.only_reads() {
            finding.severity = Severity::Warning;
        }
        finding
    });
    findings.extend(security);
    Ok(findings)
}

fn triggers(facts: &TableFacts, made: Option<&str>) -> Option<Finding> {
    let known = |trigger: &RowTrigger| made.is_some_and(|made| made.contains(trigger.source.trim()));
    let table = &facts.table.name;
    let others: Vec<&RowTrigger> = facts.row_triggers.iter().filter(|trigger| !known(trigger)).collect();
    let first = others.first()?;
    let named: Vec<String> = (others.iter())
        .map(|trigger| match trigger.table == *table {
            true => trigger.name.clone(),
            false => format!("{} (of its partition {})", trigger.name, trigger.table),
        })
        .collect();
    let message = format!(
        "a trigger sees each row before it is stored, and may change or drop it: {}. A row that is dropped is rejected \
         (`not_stored`); one that is changed differs from what Redis has, and each run counts it as `updated` again",
        named.join(", ")
    );
    let hint = format!(
        "Where it should not run now: ALTER TABLE {} DISABLE TRIGGER {}, and ENABLE it afterwards.",
        shown_table(&first.table),
        shown_ident(&first.name)
    );
    Some(Finding::warning(Side::Postgres, table.to_string(), message, hint))
}

/// COPY passes by rules, so that a table that has some for INSERT is only loaded by a merge; whether they let it be is asked.
async fn rules(
    connection: &mut PgConnection,
    spec: &MappingSpec,
    facts: &TableFacts,
) -> Result<Option<Finding>, Error> {
    let table = &facts.table.name;
    let inserts: Vec<&Rule> = facts.rules.iter().filter(|rule| rule.enabled && rule.event == "INSERT").collect();
    let names = |rules: &[&Rule]| rules.iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>().join(", ");
    if let Some(rule) = inserts.iter().find(|rule| rule.replaces_all) {
        let message = format!("the rule {} takes the place of every INSERT: no row would be stored", rule.name);
        return Ok(Some(Finding::critical(Side::Postgres, table.to_string(), message, drop_rule(facts, rule))));
    }
    if let Some(first) = facts.rules.first()
        && refuses_merge(connection, spec, facts).await?
    {
        let message = format!(
            "it has rules for INSERT or UPDATE ({}), with which PostgreSQL takes no INSERT … ON CONFLICT",
            names(&facts.rules.iter().collect::<Vec<_>>())
        );
        return Ok(Some(Finding::critical(Side::Postgres, table.to_string(), message, drop_rule(facts, first))));
    }
    let Some(first) = inserts.first() else { return Ok(None) };
    let message = format!(
        "rules may drop rows that are inserted: {}. A row that is dropped is rejected (`not_stored`)",
        names(&inserts)
    );
    Ok(Some(Finding::warning(Side::Postgres, table.to_string(), message, drop_rule(facts, first))))
}

fn drop_rule(facts: &TableFacts, rule: &Rule) -> String {
    let (table, name) = (shown_table(&facts.table.name), shown_ident(&rule.name));
    if rule.event == "UPDATE" {
        return format!("Make a trigger of it: DROP RULE {name} ON {table}. To disable it is not enough.");
    }
    format!("Make a trigger of it, or, for the time of the run: ALTER TABLE {table} DISABLE RULE {name}.")
}

/// Whether the server refuses the statement that a merge inserts by, whatever the rows are.
async fn refuses_merge(connection: &mut PgConnection, spec: &MappingSpec, facts: &TableFacts) -> Result<bool, Error> {
    if !facts.is_unique(&spec.key) {
        return Ok(false);
    }
    let table = table_ident(&facts.table.name);
    let key: Vec<String> = spec.key.iter().map(|column| crate::postgres::ident(column)).collect();
    let key = key.join(", ");
    let mut savepoint = connection.begin().await?;
    let statement = format!(
        "EXPLAIN INSERT INTO {table} ({key}) OVERRIDING SYSTEM VALUE SELECT {key} FROM {table} ON CONFLICT ({key}) DO NOTHING"
    );
    let explained = query(statement).fetch_all(&mut *savepoint).await;
    savepoint.rollback().await?;
    match explained {
        Err(error) => match error.as_database_error().and_then(|error| error.code()) {
            // What else it may say, such as of a right that is missing, is found elsewhere.
            Some(code) => Ok(code == "0A000"),
            None => Err(error),
        },
        Ok(_) => Ok(false),
    }
}

/// Row-level security that hides rows: what is hidden is found missing.
fn hidden_rows(facts: &TableFacts, server: &Server) -> Option<Finding> {
    let RowSecurity { applies: true, hiding, .. } = &facts.row_security else { return None };
    let (table, role) = (shown_table(&facts.table.name), server.shown_role());
    let name = facts.table.name.to_string();
    let seen = format!("to see all rows of it, ALTER ROLE {role} BYPASSRLS");
    let Some(policies) = hiding else {
        let message = format!("row-level security applies to the role {role}, and no policy lets it see any row");
        let hint = format!("CREATE POLICY redis2pg ON {table} FOR SELECT TO {role} USING (true); or, {seen}.");
        return Some(Finding::critical(Side::Postgres, name, message, hint));
    };
    let named = policies.join(", ");
    let message = format!(
        "row-level security applies to the role {role}, and policies may hide rows from it: {named}. A row that is hidden \
         counts as missing"
    );
    let hint = format!("Let these policies show them; or, {seen}.");
    (!policies.is_empty()).then(|| Finding::warning(Side::Postgres, name, message, hint))
}

fn row_security(facts: &TableFacts, server: &Server) -> Option<Finding> {
    let security = &facts.row_security;
    if !security.applies {
        return None;
    }
    if let Some(finding) = restricted(facts, server) {
        return Some(finding);
    }
    let (table, role) = (shown_table(&facts.table.name), server.shown_role());
    let policy = format!("CREATE POLICY redis2pg ON {table} TO {role} USING (true) WITH CHECK (true)");
    let name = facts.table.name.to_string();
    Some(if security.may_insert {
        let message = format!(
            "row-level security applies to the role {role}: a row that a policy refuses is rejected (`row_security`), and one \
             that it hides can neither be compared nor updated (`not_stored`)"
        );
        let hint = format!("Where the role is to see and write all rows: {policy}, or ALTER ROLE {role} BYPASSRLS.");
        Finding::warning(Side::Postgres, name, message, hint)
    } else {
        let message = format!(
            "row-level security applies to the role {role}, and no policy lets it insert: every row would be refused"
        );
        Finding::critical(Side::Postgres, name, message, format!("{policy}, or ALTER ROLE {role} BYPASSRLS."))
    })
}

/// Restrictive policies: what they refuse no other policy allows. Where nothing can be inserted for want of a policy as well, that
/// is said with it.
fn restricted(facts: &TableFacts, server: &Server) -> Option<Finding> {
    let RowSecurity { may_insert, restrictive, .. } = &facts.row_security;
    let first = restrictive.iter().find(|policy| policy.refuses_all).or(restrictive.first())?;
    let (table, role) = (shown_table(&facts.table.name), server.shown_role());
    let named: Vec<String> = (restrictive.iter())
        .map(|policy| format!("{} (for {}: {})", policy.name, policy.command, policy.condition))
        .collect();
    let refuses_all = first.refuses_all || !may_insert;
    let message = format!(
        "row-level security applies to the role {role}, and restrictive policies hold whatever others allow: {}. {}",
        named.join(", "),
        match (first.refuses_all, may_insert) {
            (true, _) => "Every row would be refused",
            (false, false) => "No other policy lets it insert: every row would be refused",
            (false, true) =>
                "A row that one refuses is rejected (`row_security`), and one that it hides can neither be compared \
                 nor updated (`not_stored`)",
        }
    );
    let exempt = format!(
        "ALTER ROLE {role} BYPASSRLS, or name the roles that it is meant for: ALTER POLICY {} ON {table} TO …",
        shown_ident(&first.name)
    );
    let allow = format!("CREATE POLICY redis2pg ON {table} TO {role} USING (true) WITH CHECK (true); and ");
    let hint = format!(
        "A further policy does not help against these. Where the role is to write all rows: {}{exempt}.",
        if *may_insert { "" } else { &allow }
    );
    let finding = Finding::warning(Side::Postgres, facts.table.name.to_string(), message, hint);
    Some(Finding { severity: if refuses_all { Severity::Critical } else { Severity::Warning }, ..finding })
}
