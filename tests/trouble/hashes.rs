//! Hashes whose fields are columns, entries of .NET's cache, and values of other types than the mapping takes.

use crate::expected::{Lineage, Table};
use crate::json::quoted;
use crate::keyspace::{Entry, Fields, Held, Keyspace, Row};

pub(crate) const TABLES: [Table; 2] = [
    table("users", "public.users", &["id", "name", "age", "size", "active", "created", "whole"]),
    table("caches", "public.caches", &["id", "data", "expires"]),
];

const fn table(name: &'static str, target: &'static str, columns: &'static [&'static str]) -> Table {
    Table { name, target, key: &["id"], columns, lineage: Lineage::Ledger, whole: false }
}

pub(crate) const SQL: &str = "
CREATE TABLE users (id text PRIMARY KEY, name text NOT NULL, age int, size bigint, active boolean, created timestamptz,
  whole jsonb);
CREATE TABLE caches (id text PRIMARY KEY, data jsonb, expires timestamptz);
";

pub(crate) const MAPPINGS: &str = r#"
[[mapping]]
name = "users"
match = "user:{id..}"
type = ["hash", "string"]
into = "public.users"
key = "id"
column = [
  { name = "id", from = "{id}" },
  { name = "name", from = "$.name", required = true },
  { name = "age", from = "$.age", null_tokens = ["None"] },
  { name = "size", from = "$.size" },
  { name = "active", from = "$.active" },
  { name = "created", from = "$.created_at", assume_timezone = "UTC" },
  { name = "whole", from = "$" },
]

[[mapping]]
name = "caches"
match = "cache:{id..}"
type = "hash"
into = "public.caches"
key = "id"
column = [
  { name = "id", from = "{id}" },
  { name = "data", from = { source = "$.data", with = "json" } },
  { name = "expires", from = "$.absexp", formats = "dotnet_ticks", null_tokens = "-1" },
]
"#;

fn pair(field: &str, value: &str) -> (Vec<u8>, Vec<u8>) {
    (field.as_bytes().to_vec(), value.as_bytes().to_vec())
}

fn whole(fields: &[(Vec<u8>, Vec<u8>)]) -> String {
    let text = |bytes: &[u8]| quoted(std::str::from_utf8(bytes).unwrap());
    let members: Vec<String> = fields.iter().map(|(field, value)| format!("{}:{}", text(field), text(value))).collect();
    format!("{{{}}}", members.join(","))
}

/// A user that is fine: the fields and the row.
fn user(space: &mut Keyspace, id: &str) -> (Fields, Row) {
    let random = &mut space.random;
    // What other writers leave in a text is that text.
    let name =
        if random.once_in(5) { random.pick(&["None", "null", "undefined", ""]).to_string() } else { random.text(7) };
    let (age, size, at) = (random.below(99).to_string(), random.between(0, 1 << 50), random.moment());
    let (age, shown) = if random.once_in(4) { ("None".to_owned(), None) } else { (age.clone(), Some(age)) };
    let mut fields = vec![pair("name", &name), pair("age", &age), pair("quote\"d é", "\\\n\t")];
    let mut row = vec![Some(id.to_owned()), Some(name), shown, Some(size.to_string()), None, None];
    fields.push(pair("size", &format!(" {size} ")));
    if random.once_in(2) {
        fields.extend([pair("active", "True"), pair("created_at", &at.iso())]);
        (row[4], row[5]) = (Some("t".to_owned()), Some(at.shown()));
    }
    if random.once_in(20) {
        // More fields than Redis keeps in one piece.
        fields.extend((0..200).map(|field| pair(&format!("f{field}"), &random.word())));
    }
    random.shuffle(&mut fields);
    row.push(Some(whole(&fields)));
    (fields, Row::new("users", row))
}

pub(crate) fn fill(space: &mut Keyspace, good: usize) {
    for place in 0..good {
        let id = space.id();
        if place % 3 == 0 {
            let (held, row) = cache(space, &id);
            space.put(Entry::new("caches", format!("cache:{id}"), held).loaded(row));
            continue;
        }
        let (fields, row) = user(space, &id);
        space.put(Entry::new("users", format!("user:{id}"), Held::Hash(fields)).loaded(row));
    }
}

/// An entry of .NET's cache, as it is stored.
fn cache(space: &mut Keyspace, id: &str) -> (Held, Row) {
    let data = format!("{{\"id\":{},\"n\":1.10}}", quoted(&space.random.text(4)));
    let (ticks, at) = space.random.pick(&[("-1", None), ("638397614451230000", Some("2024-01-02 03:04:05.123+00"))]);
    let fields = vec![pair("absexp", ticks), pair("sldexp", "200000000"), pair("data", &data)];
    (Held::Hash(fields), Row::new("caches", [Some(id.to_owned()), Some(data), at.map(str::to_owned)]))
}

pub(crate) fn trouble(space: &mut Keyspace, times: usize) {
    for _ in 0..times {
        for (field, value, reason) in [
            ("age", &b"\xff"[..], "invalid_utf8"),
            ("more", b"caf\xe9", "invalid_utf8"),
            ("name", b"a\0b", "json_nul"),
            ("more", b"\0", "json_nul"),
            ("age", b"null", "integer"),
            ("size", b"None", "integer"),
            ("size", b"", "integer"),
            ("active", b"", "boolean"),
            ("active", b"2", "boolean"),
            ("created_at", b"null", "timestamp_format"),
            ("created_at", b"", "timestamp_empty"),
        ] {
            spoiled(
                space,
                |fields| {
                    fields.retain(|(name, _)| name != field.as_bytes());
                    fields.push((field.as_bytes().to_vec(), value.to_vec()));
                },
                reason,
            );
        }
        spoiled(space, |fields| fields.push((b"\xfe".to_vec(), b"1".to_vec())), "invalid_utf8");
        spoiled(space, |fields| fields.push((b"a\0".to_vec(), b"1".to_vec())), "json_nul");
        spoiled(space, |fields| fields.retain(|(name, _)| name != b"name"), "field_missing");
        other_types(space);
        caches(space);
    }
}

fn spoiled(space: &mut Keyspace, spoil: impl Fn(&mut Fields), reason: &'static str) {
    let id = space.id();
    let (fields, row) = user(space, &id);
    let mut broken = fields.clone();
    spoil(&mut broken);
    space.random.shuffle(&mut broken);
    let entry = Entry::new("users", format!("user:{id}"), Held::Hash(broken)).rejected(&[reason]);
    space.put(entry.mended(Held::Hash(fields), row));
}

/// Of each type that there is one key that is fine with another type.
fn other_types(space: &mut Keyspace) {
    let one = || b"x".to_vec();
    for (held, reason) in [
        (Held::List(vec![one()]), "redis_type (list)"),
        (Held::Set(vec![one()]), "redis_type (set)"),
        (Held::Zset(vec![("1".to_owned(), one())]), "redis_type (zset)"),
        (Held::Stream(vec![("18446744073709551615-1".to_owned(), vec![pair("a", "b")])]), "redis_type (stream)"),
    ] {
        let id = space.id();
        let (fields, row) = user(space, &id);
        let entry = Entry::new("users", format!("user:{id}"), held.clone()).rejected(&[reason]);
        space.put(entry.mended(Held::Hash(fields), row));
        let id = space.id();
        let row = Row::full("strict", [&id, "[]", "[]"]);
        let entry = Entry::new("strict", format!("strict:{id}"), held).rejected(&[reason]);
        space.put(entry.mended(Held::text("[]"), row));
    }
    // A mapping of hashes that meets a string, and one of strings that meets a hash.
    let id = space.id();
    let (held, row) = cache(space, &id);
    let entry = Entry::new("caches", format!("cache:{id}"), Held::text("{}")).rejected(&["redis_type (string)"]);
    space.put(entry.mended(held, row));
    let id = space.id();
    let row = Row::full("strict", [&id, "{\"a\":\"b\"}", "{\"a\":\"b\"}"]);
    let entry = Entry::new("strict", format!("strict:{id}"), Held::Hash(vec![pair("a", "b")]));
    space.put(entry.rejected(&["redis_type (hash)"]).mended(Held::text("{\"a\":\"b\"}"), row));
}

fn caches(space: &mut Keyspace) {
    for (field, value, reason) in [
        ("data", "{\"a\":NaN}", "json_nonfinite"),
        ("data", "{", "json_syntax"),
        ("data", "", "json_syntax"),
        ("absexp", "soon", "timestamp_format"),
    ] {
        let id = space.id();
        let (held, row) = cache(space, &id);
        let Held::Hash(mut fields) = held.clone() else { unreachable!() };
        fields.retain(|(name, _)| name != field.as_bytes());
        fields.push(pair(field, value));
        let entry = Entry::new("caches", format!("cache:{id}"), Held::Hash(fields)).rejected(&[reason]);
        space.put(entry.mended(held, row));
    }
}
