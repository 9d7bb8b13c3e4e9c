//! What the load is told of a table: how its columns compare, which parents it checks, and how its rows get in.

use crate::mapping::{Comparison, Lineage, Mapping, OnConflict, ParentRef, Plan};
use crate::model::{Column, ColumnType, MappingId, TableName};
use crate::postgres::{ColumnSql, ForeignKey, TableFacts};
use crate::sink::{
    Compare, Conflict, Exact, LoadColumn, LoadTable, ParentCheck, ProbeGauge, Provenance, SelfReference,
    SelfReferenceColumn,
};
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;

/// `earlier`: the tables with rows under other ids, each with its column of lineage. `empty`: nothing is in the table, and its
/// rows may be copied straight into it.
pub(super) fn load_table(
    plan: &Plan,
    (id, mapping): (MappingId, &Mapping),
    (facts, earlier): (&HashMap<TableName, TableFacts>, &HashMap<TableName, String>),
    empty: bool,
) -> LoadTable {
    let mine = facts.get(mapping.table());
    let provenance = match mapping.lineage() {
        Lineage::Column(index) => Provenance::Object(index),
        Lineage::Columns { key, digest, database, run } => Provenance::Columns { key, digest, database, run },
        Lineage::Ledger => Provenance::Ledger,
        Lineage::None => Provenance::Nowhere,
    };
    let columns = columns(mapping, mine);
    let parents = parents(plan, mapping, &columns, (facts, earlier));
    // COPY by itself cannot look for parents, and has no staging table by which the ledger's lineage would be written.
    let checked = parents.iter().all(|parent| parent.foreign_key);
    let straight = empty && checked && provenance != Provenance::Ledger && takes_copies(&columns, mine);
    let knowable = checked && provenance != Provenance::Nowhere && is_knowable(mapping, &columns);
    LoadTable {
        id,
        mapping: mapping.name().to_owned(),
        name: mapping.table().clone(),
        columns,
        key_columns: mapping.key_columns(),
        looks_again: mine.is_some_and(|facts| facts.insert_triggers),
        overrides_identity: mine.is_some_and(|facts| overrides_identity(mapping, facts)),
        provenance,
        conflict: match mapping.on_conflict() {
            OnConflict::UpdateOwn => Conflict::UpdateOwn,
            OnConflict::Update => Conflict::Update,
            OnConflict::Skip => Conflict::Skip,
            OnConflict::Error => Conflict::Error,
        },
        own_references: own_references(mapping, &parents, mine),
        parents,
        fingerprint: mapping.fingerprint().to_owned(),
        exact: mine.map(|facts| Exact::among(&facts.table.columns)).unwrap_or_default(),
        explodes: mapping.explodes(),
        deletes_removed: mapping.deletes_removed(),
        moves_rows: mapping.may_move_rows(),
        loose_key: has_loose_key(mapping, mine),
        referrers: mine.map(|facts| facts.incoming_keys.clone()).unwrap_or_default(),
        partitioned: mine.is_some_and(|facts| facts.partitioning.is_some()),
        probe: knowable.then(ProbeGauge::default),
        out_of_order: AtomicBool::new(false),
        straight: AtomicBool::new(straight),
        lineage_is_new: AtomicBool::new(true),
    }
}

fn columns(mapping: &Mapping, facts: Option<&TableFacts>) -> Vec<LoadColumn> {
    let column = |(index, column): (usize, &Column)| LoadColumn {
        name: column.name.clone(),
        compare: compare(mapping, index, folds(column, facts)),
        value_beside: mapping.value_beside(index).map(str::to_owned),
        of_expiry: mapping.comparison(index) == Comparison::WithinSecond,
        base_type: sql_of(column, facts).map(|sql| sql.base_type.clone()).unwrap_or_default(),
        // A lineage object that is not whole is none that a domain has to judge.
        staged_type: (mapping.is_compared() && mapping.lineage() == Lineage::Column(index))
            .then_some("pg_catalog.jsonb"),
        cast: column.column_type.cast().map(|cast| cast.sql.clone()),
        folds: folds(column, facts),
        equality: column.column_type.equality().to_owned(),
        has_default: column.has_default,
        stands_apart: facts.is_some_and(|facts| facts.columns_apart.contains(&column.name)),
    };
    mapping.columns().iter().enumerate().map(column).collect()
}

/// Whether keys that are the same to the table need not be spelled alike.
fn has_loose_key(mapping: &Mapping, facts: Option<&TableFacts>) -> bool {
    let keys = mapping.columns().iter().take(mapping.key_columns());
    keys.into_iter().any(|key| key.column_type.is_loose() || folds(key, facts))
}

fn sql_of<'f>(column: &Column, facts: Option<&'f TableFacts>) -> Option<&'f ColumnSql> {
    facts.and_then(|facts| facts.column_sql(&column.name))
}

/// Whether the column's collation takes texts for equal that are not the same.
fn folds(column: &Column, facts: Option<&TableFacts>) -> bool {
    sql_of(column, facts).is_some_and(|sql| sql.folds)
}

/// The parents that the mapping names, and which of them the table's own foreign keys look for.
fn parents(
    plan: &Plan,
    mapping: &Mapping,
    columns: &[LoadColumn],
    (facts, earlier): (&HashMap<TableName, TableFacts>, &HashMap<TableName, String>),
) -> Vec<ParentCheck> {
    let mine = facts.get(mapping.table());
    let check = |parent: &ParentRef| {
        let of = plan.mapping(parent.mapping);
        let (table, key) = (of.table().clone(), of.columns().first()?.name.clone());
        let column = columns.get(parent.column)?;
        let refers =
            |found: &ForeignKey| found.column == column.name && found.parent == table && found.parent_column == key;
        let foreign_key = mine.is_some_and(|facts| facts.foreign_keys.iter().any(refers));
        let lineage = earlier.get(&table).cloned();
        let sides =
            (mine.and_then(|own| own.column_sql(&column.name)), facts.get(&table).and_then(|of| of.column_sql(&key)));
        let equality = across(sides, &column.equality);
        Some(ParentCheck { mapping: parent.mapping, column: parent.column, table, key, equality, foreign_key, lineage })
    };
    mapping.parents().iter().filter_map(check).collect()
}

/// The operator between a column that is referred to, before it, and the one that refers to it: where they have different collations, by that of
/// the former, whose index the row is looked up by.
fn across((own, of): (Option<&ColumnSql>, Option<&ColumnSql>), equality: &str) -> String {
    let collation = |side: Option<&ColumnSql>| side.and_then(|side| side.collation.clone());
    match (collation(own), collation(of)) {
        (Some(own), Some(of)) if own != of => format!("COLLATE {of} {equality}"),
        _ => equality.to_owned(),
    }
}

/// Whether COPY may write into the table. It cannot cast or go through row-level security, it does not obey the table's rules, and it does not
/// look for what triggers made of a row.
fn takes_copies(columns: &[LoadColumn], facts: Option<&TableFacts>) -> bool {
    let minds = |facts: &TableFacts| {
        let ruled = facts.rules.iter().any(|rule| rule.enabled && rule.event == "INSERT");
        facts.row_security.applies || facts.insert_triggers || ruled
    };
    !facts.is_some_and(minds) && !columns.iter().any(|column| column.cast.is_some())
}

/// Whether it is known from key, value and time of expiry alone whether a row is as it would be made.
fn is_knowable(mapping: &Mapping, columns: &[LoadColumn]) -> bool {
    let volatile = |index: usize| {
        mapping.comparison(index) == Comparison::WithinSecond
            && columns.get(index).is_some_and(|column| column.compare != Compare::Expiry)
    };
    let keys = columns.get(..mapping.key_columns()).unwrap_or_default();
    !(0..columns.len()).any(volatile) && !keys.iter().any(|column| column.cast.is_some())
}

/// The references of the mapping's rows to rows of its own table: those that `parents` names, and all other foreign keys.
/// One with a column that the mapping does not write cannot be looked through.
fn own_references(mapping: &Mapping, parents: &[ParentCheck], facts: Option<&TableFacts>) -> Vec<SelfReference> {
    let index = |name: &String| mapping.columns().iter().position(|column| column.name == *name);
    let sql = |name: &str| facts.and_then(|facts| facts.column_sql(name));
    let refer = |from: usize, to: &String| {
        let own = mapping.columns().get(from)?;
        let equality = across((sql(&own.name), sql(to)), own.column_type.equality());
        Some(SelfReferenceColumn { from, to: to.clone(), equality, to_index: index(to) })
    };
    let own = |(place, parent): (usize, &ParentCheck)| {
        let columns = vec![refer(parent.column, &parent.key)?];
        (parent.table == *mapping.table()).then_some(SelfReference { columns, parent: Some(place) })
    };
    let mut found: Vec<SelfReference> = parents.iter().enumerate().filter_map(own).collect();
    let keys = facts.into_iter().flat_map(|facts| &facts.incoming_keys).filter(|key| key.table == *mapping.table());
    for key in keys {
        let column = |(from, to, _): &(String, String, String)| refer(index(from)?, to);
        let Some(columns) = key.columns.iter().map(column).collect::<Option<Vec<_>>>() else { continue };
        if !found.iter().any(|known| known.columns == columns) {
            found.push(SelfReference { columns, parent: None });
        }
    }
    found
}

fn overrides_identity(mapping: &Mapping, facts: &TableFacts) -> bool {
    let always = facts.fed_columns.iter().filter(|fed| fed.always);
    always.into_iter().any(|fed| mapping.columns().iter().any(|column| column.name == fed.column))
}

/// `folds`: by its collation, what is equal need not be the same.
fn compare(mapping: &Mapping, index: usize, folds: bool) -> Compare {
    let is =
        |what: fn(&ColumnType) -> bool| mapping.columns().get(index).is_some_and(|column| what(&column.column_type));
    match mapping.comparison(index) {
        Comparison::WithoutLineage => Compare::Lineage,
        Comparison::Dump => Compare::Dump,
        Comparison::Ignored => Compare::Never,
        Comparison::WithinSecond if is(ColumnType::is_moment) => Compare::Expiry,
        // As text or as a number a time of expiry is compared as it stands.
        Comparison::WithinSecond | Comparison::Exact if folds || is(ColumnType::compares_as_text) => Compare::Text,
        Comparison::WithinSecond | Comparison::Exact => Compare::Value,
    }
}
