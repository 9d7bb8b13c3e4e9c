//! Rows that refer to one another, several databases, keys that expire, and columns that functions fill.

use crate::expected::{Lineage, Table};
use crate::json::quoted;
use crate::keyspace::{Entry, Fate, Held, Keyspace, Row};

pub(crate) const TABLES: [Table; 6] = [
    table("customers", "public.customers", &["id"], &["id", "name"]),
    table("orders", "public.orders", &["id"], &["id", "customer", "total"]),
    table("nodes", "public.nodes", &["id"], &["id", "parent", "n"]),
    table("items", "public.items", &["db", "id"], &["db", "id", "n"]),
    table("leases", "public.leases", &["id"], &["id", "n"]),
    table("derived", "public.derived", &["id"], &["id", "note", "raw", "total", "first", "slug"]),
];

const fn table(
    name: &'static str,
    target: &'static str,
    key: &'static [&'static str],
    columns: &'static [&'static str],
) -> Table {
    Table { name, target, key, columns, lineage: Lineage::Ledger, whole: true }
}

pub(crate) const SQL: &str = "
CREATE TABLE customers (id text PRIMARY KEY, name varchar(20));
CREATE TABLE orders (id text PRIMARY KEY, customer text REFERENCES customers DEFERRABLE INITIALLY DEFERRED, total int);
CREATE TABLE nodes (id text PRIMARY KEY, parent text REFERENCES nodes, n int);
CREATE TABLE items (db int, id text, n int, PRIMARY KEY (db, id));
CREATE TABLE leases (id text PRIMARY KEY, n int);
CREATE TABLE derived (id text PRIMARY KEY, note text, raw jsonb, total int, first text, slug text);
";

/// The mappings, with the numbers of the two databases.
pub(crate) fn mappings([own, other]: [&str; 2]) -> String {
    MAPPINGS.replace("DATABASES", &format!("[{own}, {other}]")).replace("OTHER", other)
}

const MAPPINGS: &str = r#"
[[mapping]]
name = "customers"
match = "customer:{id..}"
into = "public.customers"
key = "id"
column = [{ name = "id", from = "{id}" }, { name = "name", from = "$.name" }]

[[mapping]]
name = "orders"
match = "order:{id..}"
into = "public.orders"
key = "id"
parents = [{ mapping = "customers", column = "customer" }]
column = [
  { name = "id", from = "{id}" },
  { name = "customer", from = "$.customer" },
  { name = "total", from = "$.total" },
]

[[mapping]]
name = "nodes"
match = "node:{id..}"
into = "public.nodes"
key = "id"
parents = [{ mapping = "nodes", column = "parent" }]
column = [
  { name = "id", from = "{id}" },
  { name = "parent", from = "$.parent" },
  { name = "n", from = "$.n" },
]

[[mapping]]
name = "items"
match = "item:{id..}"
databases = DATABASES
into = "public.items"
key = ["db", "id"]
column = [
  { name = "db", from = "redis.db" },
  { name = "id", from = "{id}" },
  { name = "n", from = "$.n" },
]

[[mapping]]
name = "leases"
match = "lease:{id..}"
into = "public.leases"
key = "id"
min_ttl = "1h"
column = [{ name = "id", from = "{id}" }, { name = "n", from = "$.n" }]

[[mapping]]
name = "derived"
match = "derived:{id..}"
databases = OTHER
into = "public.derived"
key = "id"
column = [
  { name = "id", from = "{id}" },
  { name = "note", from = { source = "$.note", with = "base64_decode" } },
  { name = "raw", from = { source = "$.raw", with = "json" } },
  { name = "total", from = [{ jq = ".items // [] | map(.price) | add" }, { value = 0 }] },
  { name = "first", from = { jq = ".names[]?" } },
  { name = "slug", from = "{id}-{$.lang}" },
]
"#;

fn customer(id: &str, name: &str) -> Entry {
    Entry::new("customers", format!("customer:{id}"), Held::text(format!("{{\"name\":{}}}", quoted(name))))
}

fn order(id: &str, customer: &str, total: &str) -> Entry {
    let value = format!("{{\"customer\":{},\"total\":{total}}}", quoted(customer));
    Entry::new("orders", format!("order:{id}"), Held::text(value))
}

fn node(id: &str, parent: Option<&str>) -> Entry {
    let parent = parent.map_or("null".to_owned(), quoted);
    Entry::new("nodes", format!("node:{id}"), Held::text(format!("{{\"n\":1,\"parent\":{parent}}}")))
}

fn node_row(id: &str, parent: Option<&str>) -> Row {
    Row::new("nodes", [Some(id.to_owned()), parent.map(str::to_owned), Some("1".to_owned())])
}

fn numbered(mapping: &'static str, key: String, number: usize) -> Entry {
    Entry::new(mapping, key, Held::text(format!("{{\"n\":{number}}}")))
}

pub(crate) fn fill(space: &mut Keyspace, good: usize) {
    let mut above: Option<String> = None;
    for place in 0..good {
        let id = space.id();
        match place % 4 {
            0 => {
                let (name, order_id) = (space.random.text(8), space.id());
                space.put(customer(&id, &name).loaded(Row::full("customers", [&id, &name])));
                space.put(order(&order_id, &id, "5").loaded(Row::full("orders", [&order_id, &id, "5"])));
            }
            1 => {
                // Chains of any depth, and trees.
                let mut entry = node(&id, above.as_deref()).loaded(node_row(&id, above.as_deref()));
                if let Held::Text(value) = &mut entry.held
                    && space.random.once_in(4)
                {
                    // Counted once, however often it is read until its parent is there.
                    value.splice(..0, *b"\xef\xbb\xbf");
                    entry = entry.altered(["bom"]);
                }
                space.put(entry);
                above = if space.random.once_in(12) {
                    None
                } else {
                    Some(id).filter(|_| !space.random.once_in(4)).or(above)
                };
            }
            2 => {
                // The same key in both databases.
                for database in 0..2 {
                    let number = space.number();
                    let row = Row::full("items", [&space.databases[database], &id, &number.to_string()]);
                    space.put(numbered("items", format!("item:{id}"), number).in_database(database).loaded(row));
                }
            }
            _ => {
                let (entry, row) = derived(space, &id);
                space.put(entry.loaded(row));
            }
        }
    }
}

fn derived(space: &mut Keyspace, id: &str) -> (Entry, Row) {
    let price = space.random.below(1000);
    let value = format!(
        "{{\"note\":\"w6k=\",\"raw\":\"{{\\\"n\\\":1.50}}\",\"items\":[{{\"price\":{price}}},{{\"price\":1}}],\"names\":[\"x\"],\"lang\":\"de\"}}"
    );
    let slug = format!("{id}-de");
    let row = Row::full("derived", [id, "é", "{\"n\":1.50}", &(price + 1).to_string(), "x", &slug]);
    (Entry::new("derived", format!("derived:{id}"), Held::text(value)).in_database(1), row)
}

pub(crate) fn trouble(space: &mut Keyspace, times: usize) {
    for _ in 0..times {
        families(space);
        trees(space);
        databases(space);
        for (value, reason) in [
            ("{\"note\":\"*\"}", "base64"),
            ("{\"note\":\"/w==\"}", "invalid_utf8"),
            ("{\"raw\":\"{\"}", "json_syntax"),
            ("{\"raw\":\"{\\\"a\\\":Infinity}\"}", "json_nonfinite"),
            ("{\"items\":5}", "jq"),
            ("{\"names\":[\"a\",\"b\"]}", "jq_outputs"),
            ("{\"lang\":[1]}", "type_mismatch"),
        ] {
            let id = space.id();
            let (fine, row) = derived(space, &id);
            let entry = Entry::new("derived", format!("derived:{id}"), Held::text(value)).in_database(1);
            space.put(entry.rejected(&[reason]).mended(fine.held, row));
        }
    }
}

/// A customer that is wrong, with orders, one that is nowhere, and an order that is itself wrong.
fn families(space: &mut Keyspace) {
    let (parent, first, second) = (space.id(), space.id(), space.id());
    let fine = customer(&parent, "Ann");
    let entry = customer(&parent, &"long ".repeat(5)).rejected(&["too_long"]);
    space.put(entry.mended(fine.held, Row::full("customers", [&parent, "Ann"])));
    for (id, deleted) in [(&first, false), (&second, true)] {
        let entry = order(id, &parent, "7").rejected(&["missing_parent"]);
        space.put(entry.helped(deleted, Row::full("orders", [id, &parent, "7"])));
    }
    let (nowhere, id) = (space.id(), space.id());
    let mut entry = order(&id, &nowhere, "9").rejected(&["missing_parent"]);
    let row = Row::full("customers", [&nowhere, "Bob"]);
    entry.parent = Some(Box::new(customer(&nowhere, "Bob").loaded(row)));
    space.put(entry.helped(false, Row::full("orders", [&id, &nowhere, "9"])));
    let (there, id) = (space.id(), space.id());
    space.put(customer(&there, "Cy").loaded(Row::full("customers", [&there, "Cy"])));
    let row = Row::full("orders", [&id, &there, "1"]);
    let entry = order(&id, &there, "\"many\"").rejected(&["integer"]);
    space.put(entry.mended(order(&id, &there, "1").held, row));
    // Two things wrong: no parent, and a field that does not fit.
    let id = space.id();
    let row = Row::full("orders", [&id, &there, "1"]);
    let entry = order(&id, "nobody at all", "\"many\"").rejected(&["integer", "missing_parent"]);
    space.put(entry.mended(order(&id, &there, "1").held, row));
}

/// A branch whose root is wrong, one whose root is nowhere, a row below itself, and a circle with something on it.
fn trees(space: &mut Keyspace) {
    let root = space.id();
    let entry = Entry::new("nodes", format!("node:{root}"), Held::text("{\"n\":\"x\",\"parent\":null}"));
    space.put(entry.rejected(&["integer"]).mended(node(&root, None).held, node_row(&root, None)));
    let mut above = root;
    for _ in 0..2 + space.random.below(9) {
        let id = space.id();
        let entry = node(&id, Some(&above)).rejected(&["missing_parent"]);
        space.put(entry.helped(false, node_row(&id, Some(&above))));
        above = id;
    }
    let (nowhere, id) = (space.id(), space.id());
    let mut entry = node(&id, Some(&nowhere)).rejected(&["missing_parent"]);
    entry.parent = Some(Box::new(node(&nowhere, None).loaded(node_row(&nowhere, None))));
    space.put(entry.helped(false, node_row(&id, Some(&nowhere))));
    let own = space.id();
    space.put(node(&own, Some(&own)).loaded(node_row(&own, Some(&own))));
    let ring: Vec<String> = (0..5).map(|_| space.id()).collect();
    for (place, id) in ring.iter().enumerate() {
        let next = &ring[(place + 1) % 5];
        space.put(node(id, Some(next)).loaded(node_row(id, Some(next))));
    }
    let hanger = space.id();
    space.put(node(&hanger, Some(&ring[3])).loaded(node_row(&hanger, Some(&ring[3]))));
}

/// The same key, wrong in one database or in both; a key that has too little time left; one that may not be read.
fn databases(space: &mut Keyspace) {
    for wrong in [[true, false], [false, true], [true, true]] {
        let id = space.id();
        for (database, wrong) in wrong.into_iter().enumerate() {
            let row = Row::full("items", [&space.databases[database], &id, "3"]);
            let fine = numbered("items", format!("item:{id}"), 3).in_database(database);
            space.put(if wrong {
                let entry = Entry::new("items", format!("item:{id}"), Held::text("{\"n\":3")).in_database(database);
                entry.rejected(&["json_syntax"]).mended(fine.held, row)
            } else {
                fine.loaded(row)
            });
        }
    }
    let (short, long) = (space.id(), space.id());
    let now = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap();
    let mut entry = numbered("leases", format!("lease:{short}"), 1).ends(Fate::Skipped("short_lived"));
    entry.expires = Some(now + 1_800_000);
    space.put(entry);
    let mut entry = numbered("leases", format!("lease:{long}"), 1).loaded(Row::full("leases", [&long, "1"]));
    entry.expires = Some(now + 36_000_000);
    space.put(entry);
    let forbidden = space.id();
    space.put(numbered("leases", format!("lease:!{forbidden}"), 1).ends(Fate::Skipped("forbidden")));
    // Keys of nobody in the other database.
    let number = space.number();
    space.put(Entry::new("", format!("document:{number}"), Held::text("{}")).in_database(1));
}
