//! What keeps rows apart: the index that a mapping's key goes by, and others in which two keys can collide.

use super::Check;
use crate::mapping::{MappingSpec, always_has_value};
use crate::model::{Finding, Side};
use crate::postgres::{Partitioning, TableFacts, UniqueIndex, shown_ident, shown_list, shown_table};

/// What is wrong with the indexes, for this mapping's `key`.
pub(super) fn judge(spec: &MappingSpec, facts: &TableFacts, check: Check) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !facts.is_unique(&spec.key) {
        findings.push(unsupported(spec, facts, check));
    }
    // The others are of rows that are stored.
    if check == Check::Compare {
        return findings;
    }
    findings.extend(nullable(spec, facts));
    let written = |index: &&UniqueIndex| {
        index.reads.iter().any(|column| spec.columns.iter().any(|written| written.name == *column))
    };
    let further = facts.indexes.iter().filter(|index| !index.follows_from(&spec.key)).filter(written);
    findings.extend(further.map(|index| collides(facts, index)));
    findings
}

/// No index for the key: why each that comes near does not do, and what would.
fn unsupported(spec: &MappingSpec, facts: &TableFacts, check: Check) -> Finding {
    let (name, key) = (facts.table.name.to_string(), spec.key.join(", "));
    let why = match check {
        Check::Compare => "no row can be looked for by it",
        _ => "a second run would store every row twice",
    };
    let mut message = format!("`key`: no unique index is on exactly ({key}): {why}");
    let near = |index: &&UniqueIndex| index.reads.iter().any(|column| spec.key.contains(column));
    for index in facts.indexes.iter().filter(near) {
        let why = match index.unfit() {
            Some(why) if index.is_on(&spec.key) => why,
            Some(why) => format!("is on ({}) and {why}", index.columns()),
            None => format!("is on ({})", index.columns()),
        };
        message.push_str(&format!("; {} {why}", index.name));
    }
    Finding::critical(Side::Postgres, name, message, how_to_support(spec, facts))
}

fn how_to_support(spec: &MappingSpec, facts: &TableFacts) -> String {
    let table = shown_table(&facts.table.name);
    if let Some(Partitioning { by, columns, .. }) = &facts.partitioning {
        let lacking: Vec<&String> = columns.iter().filter(|column| !spec.key.contains(column)).collect();
        if !lacking.is_empty() {
            let whole: Vec<String> = spec.key.iter().chain(lacking).map(|column| format!("{column:?}")).collect();
            return format!(
                "The table is partitioned by {by}: a unique index must have those columns as well. Write `key = [{}]`, which \
                 has to be what identifies a row.",
                whole.join(", ")
            );
        }
    }
    let broken = facts.indexes.iter().find(|index| index.is_on(&spec.key) && !index.valid && !index.exclusion);
    if let Some(index) = broken {
        return format!("Build it anew: REINDEX INDEX {}.", shown_index(facts, index));
    }
    let primary = "ADD PRIMARY KEY";
    format!(
        "Create one that is neither partial nor deferrable: ALTER TABLE {table} {primary} ({0}), or \
         CREATE UNIQUE INDEX ON {table} ({0}) where there is a primary key.",
        shown_list(&spec.key)
    )
}

fn shown_index(facts: &TableFacts, index: &UniqueIndex) -> String {
    format!("{}.{}", shown_ident(&facts.table.name.schema), shown_ident(&index.name))
}

/// Key columns that may be NULL, in the table and by what the mapping reads: a unique index lets any number of those in, and no
/// run finds them.
fn nullable(spec: &MappingSpec, facts: &TableFacts) -> Vec<Finding> {
    let table = &facts.table;
    let takes_null = |name: &&String| table.column(name).is_some_and(|column| !column.not_null && !column.generated);
    let finding = |name: &String| {
        Finding::warning(
            Side::Postgres,
            format!("{}.{name}", table.name),
            "the column is part of `key` and may be NULL: rows that have NULL there are never met, and a key of Redis that \
             would make one is rejected (`key_null`)",
            format!("ALTER TABLE {} ALTER COLUMN {} SET NOT NULL.", shown_table(&table.name), shown_ident(name)),
        )
    };
    let may_be_null = spec.key.iter().filter(takes_null).filter(|name| !always_has_value(spec, name));
    may_be_null.map(finding).collect()
}

/// A further index.
fn collides(facts: &TableFacts, index: &UniqueIndex) -> Finding {
    let name = facts.table.name.to_string();
    let kind = if index.exclusion { "the exclusion constraint" } else { "the unique index" };
    let code = if index.exclusion { "exclusion" } else { "unique" };
    let condition = index.condition.as_ref().map(|condition| format!(" WHERE {condition}")).unwrap_or_default();
    let message = format!(
        "two keys of Redis can collide in {kind} {} on ({}){condition}: the second one is rejected (`{code}`)",
        index.name,
        index.columns()
    );
    let hint = "Where Redis holds no two such values nothing is to be done. `rejects list` shows what collided.";
    Finding::warning(Side::Postgres, name, message, hint)
}
