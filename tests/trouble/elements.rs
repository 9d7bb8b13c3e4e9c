//! A row for each element of a collection, or of an array in a value.

use crate::expected::{Lineage, Table};
use crate::json::quoted;
use crate::keyspace::{Entry, Held, Keyspace, Mend, Row};

pub(crate) const TABLES: [Table; 2] = [
    Table {
        name: "elements",
        target: "public.elements",
        key: &["id", "element"],
        columns: &["id", "element", "value"],
        lineage: Lineage::Ledger,
        whole: false,
    },
    Table {
        name: "lines",
        target: "public.lines",
        key: &["id", "sku"],
        columns: &["id", "sku", "place", "amount"],
        lineage: Lineage::Ledger,
        whole: false,
    },
];

pub(crate) const SQL: &str = "
CREATE TABLE elements (id text, element text, value int CONSTRAINT below CHECK (value < 1000000), PRIMARY KEY (id, element));
CREATE TABLE lines (id text, sku varchar(8), place int, amount numeric(8,2), PRIMARY KEY (id, sku));
";

pub(crate) const MAPPINGS: &str = r#"
[[mapping]]
name = "elements"
match = "elements:{id..}"
type = ["hash", "zset", "stream"]
explode = true
into = "public.elements"
key = ["id", "element"]
column = [
  { name = "id", from = "{id}" },
  { name = "element", from = ["$.field", "$.member", "$.id"] },
  { name = "value", from = ["$.score", "$.value", "$.fields.value"] },
]

[[mapping]]
name = "queues"
match = "queue:{id..}"
type = "list"
explode = true
into = "public.elements"
key = ["id", "element"]
column = [
  { name = "id", from = "{id}" },
  { name = "element", from = "element.index" },
  { name = "value", from = "$.value" },
]

[[mapping]]
name = "lines"
match = "lines:{id..}"
explode = "$.lines"
into = "public.lines"
key = ["id", "sku"]
column = [
  { name = "id", from = "{id}" },
  { name = "sku", from = "$.sku" },
  { name = "place", from = "element.index" },
  { name = "amount", from = "$.amount" },
]
"#;

pub(crate) fn fill(space: &mut Keyspace, good: usize) {
    for place in 0..good {
        let id = space.id();
        if place % 2 == 0 {
            let (values, kind) = (numbers(space), space.random.below(4));
            let (held, rows) = elements(&id, kind, &values);
            let mut entry = exploded(&id, kind, held);
            entry.rows = rows;
            space.put(entry);
        } else {
            let (text, rows) = lines(space, &id, None);
            let mut entry = Entry::new("lines", format!("lines:{id}"), Held::text(text));
            entry.rows = rows;
            space.put(entry);
        }
    }
}

pub(crate) fn trouble(space: &mut Keyspace, times: usize) {
    for _ in 0..times {
        for (wrong, reason) in [
            ("two", "integer"),
            ("", "integer"),
            ("2147483648", "number_range"),
            ("1.5", "integer"),
            ("1000000", "check"),
        ] {
            for kind in 0..4 {
                // Redis takes no text for a score.
                if kind != 2 || wrong.parse::<f64>().is_ok() {
                    broken_elements(space, kind, wrong, reason);
                }
            }
        }
        for (wrong, reason) in [
            ("{\"sku\":\"a\",\"amount\":\"x\"}", "number"),
            ("{\"sku\":\"123456789\",\"amount\":1}", "too_long"),
            ("{\"sku\":\"a\",\"amount\":1.234}", "too_precise"),
            ("{\"amount\":1}", "field_missing"),
            ("{\"sku\":null,\"amount\":1}", "key_null"),
            ("[1]", "json_not_object (array)"),
            ("null", "json_not_object (null)"),
        ] {
            broken_line(space, wrong, reason);
        }
        whole_lines(space);
    }
}

/// Numbers as the elements of a collection of this kind, and the rows of those that are numbers.
fn elements(id: &str, kind: usize, values: &[String]) -> (Held, Vec<Row>) {
    let bytes = |text: &str| text.as_bytes().to_vec();
    let name = |place: usize| match kind {
        0 => format!("f{place}"),
        1 => place.to_string(),
        2 => format!("m{place}"),
        _ => format!("{}-0", place + 1),
    };
    let held = match kind {
        0 => Held::Hash(
            values.iter().enumerate().map(|(place, value)| (name(place).into_bytes(), bytes(value))).collect(),
        ),
        1 => Held::List(values.iter().map(|value| bytes(value)).collect()),
        2 => Held::Zset(
            values.iter().enumerate().map(|(place, value)| (value.clone(), name(place).into_bytes())).collect(),
        ),
        _ => Held::Stream(
            values
                .iter()
                .enumerate()
                .map(|(place, value)| (name(place), vec![(bytes("value"), bytes(value))]))
                .collect(),
        ),
    };
    let fine = |value: &&String| value.parse::<i32>().is_ok_and(|number| number < 1_000_000);
    let row = |(place, value): (usize, &String)| Row::full("elements", [id, &name(place), value]);
    (held, values.iter().enumerate().filter(|(_, value)| fine(value)).map(row).collect())
}

/// The key of such a collection: lists have a mapping of their own, since only their elements have places.
fn exploded(id: &str, kind: usize, held: Held) -> Entry {
    match kind {
        1 => Entry::new("queues", format!("queue:{id}"), held),
        _ => Entry::new("elements", format!("elements:{id}"), held),
    }
}

fn numbers(space: &mut Keyspace) -> Vec<String> {
    let many = if space.random.once_in(60) { 400 } else { 1 + space.random.below(9) };
    (0..many).map(|_| space.random.below(1000).to_string()).collect()
}

/// The lines of an order, one of them maybe wrong, and the rows of the others.
fn lines(space: &mut Keyspace, id: &str, wrong: Option<&str>) -> (String, Vec<Row>) {
    let count = 1 + space.random.below(5);
    let bad = wrong.map(|wrong| (space.random.below(count), wrong));
    let (mut texts, mut rows) = (Vec::new(), Vec::new());
    for place in 0..count {
        let (sku, cents) = (format!("{}{place}", space.random.text(3)), space.random.below(100_000));
        let amount = format!("{}.{:02}", cents / 100, cents % 100);
        match bad {
            Some((at, wrong)) if at == place => texts.push(wrong.to_owned()),
            _ => {
                texts.push(format!("{{\"amount\":{amount},\"sku\":{}}}", quoted(&sku)));
                rows.push(Row::full("lines", [id, &sku, &place.to_string(), &amount]));
            }
        }
    }
    (format!("{{\"of\":1,\"lines\":[{}]}}", texts.join(", ")), rows)
}

/// One or two elements are wrong; all others of the key are loaded.
fn broken_elements(space: &mut Keyspace, kind: usize, wrong: &str, reason: &'static str) {
    let id = space.id();
    let values = numbers(space);
    let mut broken = values.clone();
    for _ in 0..1 + space.random.below(2) {
        let place = space.random.below(broken.len());
        broken[place] = wrong.to_owned();
    }
    let (held, rows) = elements(&id, kind, &broken);
    let (mended, all) = elements(&id, kind, &values);
    let mut entry = exploded(&id, kind, held).rejected(&[reason]);
    (entry.rows, entry.mend) = (rows, Some((Mend::Written(mended), all)));
    space.put(entry);
}

fn broken_line(space: &mut Keyspace, wrong: &str, reason: &'static str) {
    let id = space.id();
    let (text, rows) = lines(space, &id, Some(wrong));
    let (mended, all) = lines(space, &id, None);
    let mut entry = Entry::new("lines", format!("lines:{id}"), Held::text(text)).rejected(&[reason]);
    (entry.rows, entry.mend) = (rows, Some((Mend::Written(Held::text(mended)), all)));
    space.put(entry);
}

/// What is wrong with the array as a whole costs all of its lines.
fn whole_lines(space: &mut Keyspace) {
    for (text, reason) in [
        ("{\"lines\":{\"sku\":\"a\"}}", "json_not_array (object)"),
        ("{\"lines\":\"a\"}", "json_not_array (string)"),
        ("{\"lines\":[{\"sku\":\"a\",\"amount\":NaN}]}", "json_nonfinite"),
        ("{\"lines\":[{\"sku\":\"a\"},{\"sku\":\"b\\u0000\"}]}", "json_nul"),
        ("{\"lines\":[{\"sku\":\"a\"}", "json_syntax"),
        ("[]", "json_not_object (array)"),
    ] {
        let id = space.id();
        let (mended, all) = lines(space, &id, None);
        let mut entry = Entry::new("lines", format!("lines:{id}"), Held::text(text)).rejected(&[reason]);
        entry.mend = Some((Mend::Written(Held::text(mended)), all));
        space.put(entry);
    }
    // What is repaired in the value as a whole counts, whichever of its lines is loaded.
    for first in ["{\"sku\":\"too long a name\",\"amount\":1}", "{\"sku\":\"0\",\"amount\":1.00}"] {
        let id = space.id();
        let text = format!("\u{feff}{{\"lines\":[{first},{{\"sku\":\"1\",\"amount\":2}}]}}");
        let rows = [("0", "0", "1.00"), ("1", "1", "2.00")]
            .map(|(sku, place, amount)| Row::full("lines", [&id, sku, place, amount]));
        let mut entry = Entry::new("lines", format!("lines:{id}"), Held::text(text)).altered(["bom"]);
        entry.rows = rows.to_vec();
        if first.contains("too long") {
            entry = entry.rejected(&["too_long"]);
            entry.rows.remove(0);
            let mended = "{\"lines\":[{\"sku\":\"0\",\"amount\":1.00},{\"sku\":\"1\",\"amount\":2}]}";
            entry.mend = Some((Mend::Written(Held::text(mended)), rows.to_vec()));
        }
        space.put(entry);
    }
    // Two lines for one row: the first has it.
    let id = space.id();
    let line = |amount: &str| format!("{{\"sku\":\"a\",\"amount\":{amount}}}");
    let (text, mended) =
        (format!("{{\"lines\":[{},{}]}}", line("1"), line("2")), format!("{{\"lines\":[{}]}}", line("1")));
    let row = Row::full("lines", [&id, "a", "0", "1.00"]);
    let mut entry = Entry::new("lines", format!("lines:{id}"), Held::text(text)).rejected(&["key_collision"]);
    entry.rows = vec![row.clone()];
    space.put(entry.mended(Held::text(mended), row));
}
