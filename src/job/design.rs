//! The tables that mappings ask to be made, worked out from the mappings alone: what can be said without a server.

use super::setup;
use crate::config::Settings;
use crate::mapping::{CandidateSpec, ColumnSpec, MappingSpec, ParentSpec, Right};
use crate::model::{Failure, Finding, Side, TableName};
use crate::postgres::{ColumnDesign, ForeignKey, Grant, TableDesign, TypeName, statements};
use std::collections::BTreeSet;

/// The longest name that PostgreSQL does not cut, in bytes.
const MAX_NAME: usize = 63;

/// What is said of a longer one.
const CUT: &str = "the name has more than 63 bytes: PostgreSQL would cut it";

/// The sources that say when a row's key or element expires.
const EXPIRIES: [&str; 2] = ["redis.expires_at", "element.expires_at"];

/// The statements that would make all tables of mappings with `create`, were none of them there. Each without its
/// semicolon.
///
/// # Errors
/// Every finding in the mappings.
pub fn create_statements(settings: &Settings) -> Result<Vec<String>, Failure> {
    if settings.mappings.is_empty() || !settings.target.create_schema {
        return Ok(Vec::new());
    }
    let designs = designs(&setup::mappings(settings)?).map_err(Failure::findings)?;
    let designs: Vec<&TableDesign> = designs.iter().flatten().collect();
    let schemas = designs.iter().map(|design| design.name.schema.clone()).filter(|schema| schema != "public");
    Ok(statements(&designs, &schemas.collect()))
}

/// The names of rights, each once. `ALL` has the others in it, and stands alone in SQL.
fn names(rights: &[Right]) -> Vec<&'static str> {
    if rights.contains(&Right::All) {
        return vec![Right::All.sql()];
    }
    let mut seen = BTreeSet::new();
    rights.iter().map(|right| right.sql()).filter(|name| seen.insert(*name)).collect()
}

/// The table of each mapping that asks for it, in the order of the mappings.
///
/// # Errors
/// Settings that contradict each other, and what cannot be a name.
pub(super) fn designs(specs: &[MappingSpec]) -> Result<Vec<Option<TableDesign>>, Vec<Finding>> {
    let mut check = Check { findings: Vec::new() };
    let designs: Vec<Option<TableDesign>> = specs.iter().map(|spec| check.mapping(spec, specs)).collect();
    let mut made = BTreeSet::new();
    for (spec, design) in specs.iter().zip(&designs) {
        if let Some(design) = design
            && !made.insert(&design.name)
        {
            let message = format!("`create`: another mapping would make {} as well", design.name);
            check.critical(&subject(spec), message, "Leave `create` on one of them, with all columns.");
        }
    }
    if check.findings.is_empty() { Ok(designs) } else { Err(check.findings) }
}

/// What to do about a table's name that is written as in SQL; `meant`: without its quotes.
pub(super) fn without_quotes(meant: &TableName) -> String {
    format!("Names are written without quotes: {:?}.", meant.to_string())
}

fn subject(spec: &MappingSpec) -> String {
    format!("mapping {}", spec.name)
}

struct Check {
    findings: Vec<Finding>,
}

impl Check {
    fn critical(&mut self, subject: &str, message: impl Into<String>, hint: &str) {
        self.findings.push(Finding::critical(Side::Settings, subject, message, hint));
    }

    fn mapping(&mut self, spec: &MappingSpec, specs: &[MappingSpec]) -> Option<TableDesign> {
        let whole = spec.with_lineage_columns();
        let columns: Vec<ColumnDesign> =
            whole.columns.iter().filter_map(|column| self.column(&whole, column)).collect();
        // What is wrong with the name is found elsewhere.
        let name = spec.table_name().ok()?;
        if !spec.create {
            self.without_create(spec);
            self.cut_names(&whole, &name);
            return None;
        }
        if name.table.contains('.') {
            let message = format!(
                "`into`: a table by the name of \"{}\" would be made in a schema \"{}\"",
                name.table, name.schema
            );
            let hint = "Write schema.table; the database is that of target.url. A table with a point in its name must be there.";
            self.critical(&subject(spec), message, hint);
        }
        if let Some(meant) = name.unquoted() {
            let message = format!("`into`: the quotes would be a part of the name of the table that is made: {name}");
            self.critical(&subject(spec), message, &without_quotes(&meant));
        }
        [&name.schema, &name.table].into_iter().for_each(|name| self.name(&format!("{}: into", subject(spec)), name));
        let grants = self.grants(spec);
        Some(TableDesign {
            name,
            columns,
            key: spec.key.clone(),
            foreign_keys: self.foreign_keys(&whole, specs),
            indexes: self.indexes(&whole),
            grants,
        })
    }

    /// Names that no table or column can have, whoever made it: a statement with one would be about another.
    fn cut_names(&mut self, spec: &MappingSpec, table: &TableName) {
        let of_table = [&table.schema, &table.table].map(|name| (format!("{}: into", subject(spec)), name));
        let of_columns = spec.columns.iter().map(|column| (format!("{}.{}", spec.into, column.name), &column.name));
        for (subject, _) in of_table.into_iter().chain(of_columns).filter(|(_, name)| name.len() > MAX_NAME) {
            self.critical(&subject, CUT, "Write the name that it has in the database.");
        }
    }

    fn without_create(&mut self, spec: &MappingSpec) {
        for (setting, given) in [
            ("expiry_index", spec.expiry_index),
            ("foreign_keys", spec.foreign_keys),
            ("grants", !spec.grants.is_empty()),
        ] {
            if given {
                let message = format!("`{setting}` is about a table that is made, and `create` is off");
                self.critical(&subject(spec), message, "Add `create = true`, or take it out.");
            }
        }
    }

    fn column(&mut self, spec: &MappingSpec, column: &ColumnSpec) -> Option<ColumnDesign> {
        let subject = format!("{}.{}", spec.into, column.name);
        if spec.create {
            self.name(&subject, &column.name);
        }
        let Some(text) = &column.sql_type else {
            if spec.create {
                let hint = "Add it as PostgreSQL writes it, such as `type = \"varchar(40)\"`.";
                self.critical(&subject, "`create` makes the column, and it has no `type`", hint);
            }
            return None;
        };
        match TypeName::parse(text) {
            Ok(column_type) => Some(ColumnDesign { name: column.name.clone(), column_type, not_null: column.required }),
            Err(error) => {
                self.critical(&subject, format!("`type`: {error}"), "Write it as PostgreSQL does: `numeric(10,2)[]`.");
                None
            }
        }
    }

    fn grants(&mut self, spec: &MappingSpec) -> Vec<Grant> {
        let mut grants = Vec::new();
        for (role, rights) in &spec.grants {
            let subject = format!("{}: grants", subject(spec));
            self.name(&subject, role);
            if rights.is_empty() {
                self.critical(&subject, format!("{role:?} gets no right"), "Name one, such as \"SELECT\".");
            }
            grants.push(Grant { role: role.clone(), rights: names(rights) });
        }
        grants
    }

    fn indexes(&mut self, spec: &MappingSpec) -> Vec<String> {
        if !spec.expiry_index {
            return Vec::new();
        }
        let of_expiry = |candidate: &CandidateSpec| match candidate {
            CandidateSpec::Source(source) => EXPIRIES.contains(&source.as_str()),
            CandidateSpec::Table(table) => table.source.as_deref().is_some_and(|source| EXPIRIES.contains(&source)),
        };
        let fed = spec.columns.iter().filter(|column| column.from.iter().any(of_expiry));
        let fed: Vec<String> = fed.map(|column| column.name.clone()).collect();
        if fed.is_empty() {
            let hint = "Add a column with `from = [\"redis.expires_at\"]`, or take it out.";
            let message = "`expiry_index`: no column comes from `redis.expires_at` or `element.expires_at`";
            self.critical(&subject(spec), message, hint);
        }
        fed
    }

    fn foreign_keys(&mut self, spec: &MappingSpec, specs: &[MappingSpec]) -> Vec<ForeignKey> {
        if !spec.foreign_keys {
            return Vec::new();
        }
        if spec.parents.is_empty() {
            self.critical(&subject(spec), "`foreign_keys`: the mapping has no `parents`", "Name them, or take it out.");
        }
        spec.parents.iter().filter_map(|parent| self.foreign_key(spec, parent, specs)).collect()
    }

    fn foreign_key(&mut self, spec: &MappingSpec, parent: &ParentSpec, specs: &[MappingSpec]) -> Option<ForeignKey> {
        // A column that is not mapped, or a parent that is no mapping, is found when the plan is made.
        spec.columns.iter().find(|column| column.name == parent.column)?;
        let of = specs.iter().find(|other| other.name == parent.mapping)?;
        let [key] = of.key.as_slice() else {
            let message = format!("`foreign_keys`: the key of `{}` is of several columns", parent.mapping);
            self.critical(&subject(spec), message, "Make the foreign key yourself, and take `foreign_keys` out.");
            return None;
        };
        let table: TableName = of.table_name().ok()?;
        Some(ForeignKey { column: parent.column.clone(), parent: table, parent_column: key.clone() })
    }

    fn name(&mut self, subject: &str, name: &str) {
        let fault = if name.is_empty() {
            "the name is empty"
        } else if name.len() > MAX_NAME {
            CUT
        } else if name.chars().any(char::is_control) {
            "the name has control characters"
        } else {
            return;
        };
        self.critical(subject, fault, "Choose another name.");
    }
}
