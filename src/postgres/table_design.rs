//! Tables that are to be made, as statements. Every name is quoted, and a type is what [`TypeName`] lets through.

use super::catalog::ForeignKey;
use super::sql::{ident, table_ident};
use super::type_name::TypeName;
use crate::model::TableName;
use std::collections::BTreeSet;

/// A column to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ColumnDesign {
    /// Its name.
    pub name: String,
    /// Its type.
    pub column_type: TypeName,
    /// Whether it is NOT NULL.
    pub not_null: bool,
}

/// Rights of a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The role; `public` stands for all, as it does in SQL.
    pub role: String,
    /// The rights by their names in SQL.
    pub rights: Vec<&'static str>,
}

/// A table to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDesign {
    /// Its name.
    pub name: TableName,
    /// Its columns.
    pub columns: Vec<ColumnDesign>,
    /// The columns of its primary key.
    pub key: Vec<String>,
    /// Its foreign keys.
    pub foreign_keys: Vec<ForeignKey>,
    /// Columns that get an index each.
    pub indexes: Vec<String>,
    /// Who may do what with it.
    pub grants: Vec<Grant>,
}

/// The statements that make these tables, in their order, and the schemas that are missing. One statement each, to be sent as
/// one: without a semicolon.
pub fn statements(designs: &[&TableDesign], missing_schemas: &BTreeSet<String>) -> Vec<String> {
    let mut all: Vec<String> =
        missing_schemas.iter().map(|schema| format!("CREATE SCHEMA {}", ident(schema))).collect();
    all.extend(designs.iter().map(|design| design.create()));
    // A table may refer to one that comes after it.
    all.extend(designs.iter().flat_map(|design| design.references()));
    all.extend(designs.iter().flat_map(|design| design.make_indexes()));
    let mut usage = BTreeSet::new();
    for design in designs.iter().filter(|design| missing_schemas.contains(&design.name.schema)) {
        usage.extend(design.grants.iter().map(|grant| (design.name.schema.as_str(), grant.role.as_str())));
    }
    all.extend(
        usage.into_iter().map(|(schema, role)| format!("GRANT USAGE ON SCHEMA {} TO {}", ident(schema), ident(role))),
    );
    all.extend(designs.iter().flat_map(|design| design.give_rights()));
    all
}

impl TableDesign {
    fn create(&self) -> String {
        let mut lines: Vec<String> = (self.columns.iter())
            .map(|column| {
                let not_null = if column.not_null { " NOT NULL" } else { "" };
                format!("{} {}{not_null}", ident(&column.name), column.column_type.sql())
            })
            .collect();
        lines.push(format!("PRIMARY KEY ({})", idents(&self.key)));
        format!("CREATE TABLE {} (\n    {}\n)", table_ident(&self.name), lines.join(",\n    "))
    }

    fn references(&self) -> impl Iterator<Item = String> {
        self.foreign_keys.iter().map(|key| {
            format!(
                "ALTER TABLE {} ADD FOREIGN KEY ({}) REFERENCES {} ({})",
                table_ident(&self.name),
                ident(&key.column),
                table_ident(&key.parent),
                ident(&key.parent_column)
            )
        })
    }

    fn make_indexes(&self) -> impl Iterator<Item = String> {
        self.indexes.iter().map(|column| format!("CREATE INDEX ON {} ({})", table_ident(&self.name), ident(column)))
    }

    fn give_rights(&self) -> impl Iterator<Item = String> {
        self.grants.iter().map(|grant| {
            format!("GRANT {} ON TABLE {} TO {}", grant.rights.join(", "), table_ident(&self.name), ident(&grant.role))
        })
    }
}

fn idents(names: &[String]) -> String {
    names.iter().map(|name| ident(name)).collect::<Vec<_>>().join(", ")
}
