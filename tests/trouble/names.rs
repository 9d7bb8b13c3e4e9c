//! Keys: those that only look like a mapping's own, those of no mapping, and those of which no id can be taken.

use crate::expected::{Lineage, Table};
use crate::json::quoted;
use crate::keyspace::{Entry, Fate, Held, Keyspace, Mend, Row};

pub(crate) const TABLES: [Table; 3] = [
    table("shapes", "public.shapes", &["id", "n"]),
    table("globs", "public.globs", &["id", "n"]),
    Table {
        name: "tagged",
        target: "public.tagged",
        key: &["tenant", "day", "id"],
        columns: &["tenant", "day", "id", "n"],
        lineage: Lineage::Ledger,
        whole: true,
    },
];

const fn table(name: &'static str, target: &'static str, columns: &'static [&'static str]) -> Table {
    Table { name, target, key: &["id"], columns, lineage: Lineage::Ledger, whole: true }
}

pub(crate) const SQL: &str = "
CREATE TABLE shapes (id varchar(60) PRIMARY KEY, n int);
CREATE TABLE globs (id text PRIMARY KEY, n int);
CREATE TABLE tagged (tenant text, day date, id bigint, n int, PRIMARY KEY (tenant, day, id));
";

pub(crate) const MAPPINGS: &str = r#"
[[mapping]]
name = "shapes"
match = "shape:{id}"
exclude = "shape:tmp-{name..}"
into = "public.shapes"
key = "id"
column = [{ name = "id", from = "{id}" }, { name = "n", from = "$.n" }]

[[mapping]]
name = "globs"
match = 'gl[o]b*?\-^:{id..}'
into = "public.globs"
key = "id"
column = [{ name = "id", from = "{id}" }, { name = "n", from = "$.n" }]

[[mapping]]
name = "tagged"
match = '{{{tenant}}}:{day:/\d{4}-\d{2}-\d{2}/}:{id:int}'
into = "public.tagged"
key = ["tenant", "day", "id"]
column = [
  { name = "tenant", from = "{tenant}" },
  { name = "day", from = "{day}" },
  { name = "id", from = "{id}" },
  { name = "n", from = "$.n" },
]
"#;

fn value(number: usize) -> Held {
    Held::text(format!("{{\"n\":{number}}}"))
}

pub(crate) fn fill(space: &mut Keyspace, good: usize) {
    for place in 0..good {
        let (number, id) = (space.number(), space.id());
        let n = number.to_string();
        let entry = match place % 3 {
            0 => {
                let id = id.replace(':', "");
                Entry::new("shapes", format!("shape:{id}"), value(number)).loaded(Row::full("shapes", [&id, &n]))
            }
            1 => Entry::new("globs", format!("gl[o]b*?\\-^:{id}"), value(number)).loaded(Row::full("globs", [&id, &n])),
            _ => {
                let (tenant, day) = (space.random.word(), space.random.moment().day);
                let row = Row::full("tagged", [&tenant, &day, &n, &n]);
                Entry::new("tagged", format!("{{{tenant}}}:{day}:{number}"), value(number)).loaded(row)
            }
        };
        space.put(entry);
    }
}

/// Keys that no mapping takes, of any type, with any bytes.
fn unmatched(space: &mut Keyspace) {
    let number = space.number();
    for key in [
        format!("shape:{number}:meta"),
        format!("shape:tmp-{number}"),
        format!("shapes:{number}"),
        format!("Shape:{number}"),
        format!(" shape:{number}"),
        format!("laravel_database_document:{number}"),
        format!("app::app:analysis:{number}"),
        format!("globb:{number}"),
        format!("gl[o]bxx\\-^:{number}"),
        format!("{{t}}:2024-1-2:{number}"),
        format!("{{t}}:2024-01-02:{number}x"),
        format!("{number}"),
    ] {
        let held = match space.random.below(4) {
            0 => Held::Hash(vec![(b"f".to_vec(), b"\xff".to_vec())]),
            1 => Held::List(vec![b"\xff".to_vec()]),
            2 => Held::text("{not json"),
            _ => Held::text("{}"),
        };
        space.put(Entry::new("", key, held));
    }
    let binary = [&b"\xff\x00\xfe"[..], number.to_string().as_bytes()].concat();
    space.put(Entry::new("", binary, Held::text("x")));
}

/// Keys that no id can be taken of; renaming them makes other keys, so they stay rejected.
fn nameless(space: &mut Keyspace) {
    let number = space.number().to_string();
    for (prefix, mapping) in
        [("document:", "documents"), ("strict:", "strict"), ("shape:", "shapes"), ("fields:", "fields")]
    {
        for (id, reason) in
            [(&b"\xff"[..], "key_not_utf8"), (b"a\xc3", "key_not_utf8"), (b"\0", "text_nul"), (b"a\0b", "text_nul")]
        {
            let key = [prefix.as_bytes(), id, number.as_bytes()].concat();
            let held = Held::text("{\"n\":1,\"file_path\":\"a\",\"file_size\":1,\"must\":\"x\"}");
            space.put(Entry::new(mapping, key, held).rejected(&[reason]));
        }
    }
    let long = format!("shape:{}", number.repeat(61));
    space.put(Entry::new("shapes", long, value(1)).rejected(&["too_long"]));
    // In a regular expression and a number no byte but those of the pattern.
    let day = format!("{{t}}:2024-02-30:{number}");
    space.put(Entry::new("tagged", day, value(1)).rejected(&["timestamp_range"]));
    let large = format!("{{t}}:2024-02-28:{number}99999999999999999999");
    space.put(Entry::new("tagged", large, value(1)).rejected(&["number_range"]));
}

/// Troubles that can be mended in Redis.
pub(crate) fn trouble(space: &mut Keyspace, times: usize) {
    for _ in 0..times {
        unmatched(space);
        let id = space.id();
        let row = Row::full("globs", [&id, "7"]);
        let entry =
            Entry::new("globs", format!("gl[o]b*?\\-^:{id}"), Held::text("{\"n\":\"x\"}")).rejected(&["integer"]);
        space.put(entry.mended(value(7), row));
        // The same number in two spellings: one row.
        let (group, number) = (space.rivalry(), space.number());
        for spelling in [format!("{number}"), format!("00{number}")] {
            let row = Row::full("tagged", ["t", "2024-05-05", &number.to_string(), &number.to_string()]);
            let entry = Entry::new("tagged", format!("{{t}}:2024-05-05:{spelling}"), value(number)).loaded(row.clone());
            let mut entry = entry.ends(Fate::Rival(group, "key_collision"));
            entry.mend = Some((Mend::InPlaceOfRival, vec![row]));
            space.put(entry);
        }
    }
}

/// Troubles of keys, which no value mends.
pub(crate) fn lasting(space: &mut Keyspace, times: usize) {
    for _ in 0..times {
        nameless(space);
    }
    for (key, mapping) in [
        ("document:", "documents"),
        ("analysis:", "analyses"),
        ("session:", "sessions"),
        ("strict:", "strict"),
        ("shape:", "shapes"),
        ("user:", "users"),
        ("elements:", "elements"),
    ] {
        let held = if mapping == "users" || mapping == "elements" {
            Held::Hash(vec![(b"name".to_vec(), b"1".to_vec())])
        } else {
            Held::text(format!("{{\"n\":1,\"file_path\":{},\"file_size\":1}}", quoted("a")))
        };
        space.put(Entry::new(mapping, key, held).rejected(&["key_empty_id"]));
    }
    // The empty key is no mapping's own.
    space.put(Entry::new("", "", Held::text("x")));
    let huge = Entry::new("strict", "strict:huge", Held::Zeros((64 << 20) + 1)).rejected(&["value_too_large"]);
    space.put(huge);
}
