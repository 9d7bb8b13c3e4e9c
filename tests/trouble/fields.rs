//! Records whose fields go into columns of every type.

use crate::columns::{Column, columns};
use crate::expected::{Lineage, Table};
use crate::json::{Members, object, replaced};
use crate::keyspace::{Entry, Held, Keyspace, Row};

pub(crate) const TABLES: [Table; 1] = [Table {
    name: "fields",
    target: "public.fields",
    key: &["id"],
    columns: &["t.*"],
    lineage: Lineage::Ledger,
    whole: true,
}];

pub(crate) fn sql() -> String {
    let columns: Vec<String> = columns().map(|column| format!("\"{}\" {}", column.name, column.sql)).collect();
    format!(
        "CREATE TYPE mood AS ENUM ('ok', 'so, so', 'Ünwohl');
         CREATE DOMAIN percent AS numeric(5,2) CONSTRAINT is_percent CHECK (VALUE BETWEEN 0 AND 100);
         CREATE TABLE fields (id text PRIMARY KEY, {});",
        columns.join(", ")
    )
}

pub(crate) fn mappings() -> String {
    let column = |column: &Column| {
        let comma = if column.settings.is_empty() { "" } else { ", " };
        format!("  {{ name = \"{0}\", from = \"$.{0}\"{comma}{1} }},\n", column.name, column.settings)
    };
    let columns: String = columns().map(column).collect();
    format!(
        "[[mapping]]\nname = \"fields\"\nmatch = \"fields:{{id..}}\"\ninto = \"public.fields\"\nkey = \"id\"\n\
         column = [\n  {{ name = \"id\", from = \"{{id}}\" }},\n{columns}]\n"
    )
}

/// A record that is fine: its members, its row and its repairs.
fn record(space: &mut Keyspace, id: &str) -> (Members, Row, Vec<&'static str>) {
    let mut members: Members = vec![("unused", b"{\"a\":[1,2]}".to_vec())];
    let (mut fields, mut repairs) = (vec![Some(id.to_owned())], Vec::new());
    // Few sets of members that are there: each is loaded by statements of its own.
    let set = space.random.below(5);
    for (place, column) in columns().enumerate() {
        let random = &mut space.random;
        let (json, shown, repair) = (column.fit)(random);
        let (needed, default) = (column.sql.contains("NOT NULL"), column.sql.ends_with("DEFAULT 7"));
        if (!needed || default) && place % 6 == set {
            fields.push(default.then(|| "7".to_owned()));
            continue;
        }
        if !needed && random.once_in(10) {
            members.push((column.name, b"null".to_vec()));
            fields.push(None);
            continue;
        }
        members.push((column.name, json.into_bytes()));
        fields.push(shown);
        repairs.extend(repair);
    }
    (members, Row::new("fields", fields), repairs)
}

pub(crate) fn fill(space: &mut Keyspace, good: usize) {
    for _ in 0..good {
        let id = space.id();
        let (members, row, repairs) = record(space, &id);
        let held = Held::Text(object(&mut space.random, &members));
        space.put(Entry::new("fields", format!("fields:{id}"), held).loaded(row).altered(repairs));
    }
}

pub(crate) fn trouble(space: &mut Keyspace, times: usize) {
    for _ in 0..times {
        for column in columns() {
            for (bad, reasons) in column.bad {
                let another = columns().nth(space.random.below(columns().len())).unwrap();
                let second = (space.random.once_in(8) && another.name != column.name).then_some(another);
                broken(space, column, (bad, reasons), second);
            }
        }
    }
}

/// A record with a value that does not fit, and maybe a second one.
fn broken(space: &mut Keyspace, column: &Column, bad: (&str, &[&'static str]), second: Option<&Column>) {
    let id = space.id();
    let (mut members, row, repairs) = record(space, &id);
    let present = |members: &Members, name: &str| members.iter().any(|(member, _)| *member == name);
    let fine = object(&mut space.random, &members);
    let mut reasons = bad.1.to_vec();
    let spoil = |members: &mut Members, name: &'static str, json: &str| {
        if !present(members, name) {
            members.push((name, Vec::new()));
        }
        *members = replaced(members, name, Some(json.as_bytes()).filter(|json| !json.is_empty()));
    };
    spoil(&mut members, column.name, bad.0);
    if let Some(second) = second {
        let (json, more) = space.random.pick(second.bad);
        spoil(&mut members, second.name, json);
        reasons.extend(more);
    }
    let broken = object(&mut space.random, &members);
    let entry = Entry::new("fields", format!("fields:{id}"), Held::Text(broken)).rejected(&reasons);
    space.put(entry.mended(Held::Text(fine), row).altered(repairs));
}
