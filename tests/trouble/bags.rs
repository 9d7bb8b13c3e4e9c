//! Collections as one row.

use crate::expected::{Lineage, Table};
use crate::json::quoted;
use crate::keyspace::{Entry, Held, Keyspace, Row};

pub(crate) const TABLES: [Table; 1] = [Table {
    name: "bags",
    target: "public.bags",
    key: &["id"],
    columns: &["id", "items"],
    lineage: Lineage::Ledger,
    whole: false,
}];

pub(crate) const SQL: &str = "
CREATE TABLE bags (id text PRIMARY KEY, items jsonb);
";

pub(crate) const MAPPINGS: &str = r#"
[[mapping]]
name = "bags"
match = "bag:{id..}"
type = ["list", "set", "zset", "stream"]
into = "public.bags"
key = "id"
column = [{ name = "id", from = "{id}" }, { name = "items", from = "$" }]
"#;

/// A collection of texts, and the JSON that it is.
fn bag(space: &mut Keyspace) -> (Held, String) {
    let kind = space.random.below(4);
    let mut items: Vec<String> =
        (0..1 + space.random.below(6)).map(|n| format!("{n}{}", space.random.text(3))).collect();
    if space.random.once_in(15) {
        items = (0..300).map(|n| format!("{n:03}")).collect();
    }
    let bytes = |items: &[String]| items.iter().map(|item| item.clone().into_bytes()).collect::<Vec<_>>();
    let list = |items: &[String]| format!("[{}]", items.iter().map(|item| quoted(item)).collect::<Vec<_>>().join(","));
    match kind {
        0 => (Held::List(bytes(&items)), list(&items)),
        1 => {
            let held = Held::Set(bytes(&items));
            items.sort();
            (held, list(&items))
        }
        2 => {
            let scores = ["-2.5", "0", "19.99", "1000000"];
            let mut members: Vec<(String, String)> =
                items.iter().map(|item| (space.random.pick(&scores).to_string(), item.clone())).collect();
            let held = members.iter().map(|(score, member)| (score.clone(), member.clone().into_bytes())).collect();
            members.sort_by_key(|(score, member)| (scores.iter().position(|other| other == score), member.clone()));
            let shown: Vec<String> = members
                .iter()
                .map(|(score, member)| format!("{{\"member\":{},\"score\":{score}}}", quoted(member)))
                .collect();
            (Held::Zset(held), format!("[{}]", shown.join(",")))
        }
        _ => {
            let entry = |(place, item): (usize, &String)| {
                (format!("{}-1", place + 5), vec![(b"text".to_vec(), item.clone().into_bytes())])
            };
            let shown: Vec<String> = items
                .iter()
                .enumerate()
                .map(|(place, item)| format!("{{\"id\":\"{}-1\",\"fields\":{{\"text\":{}}}}}", place + 5, quoted(item)))
                .collect();
            (Held::Stream(items.iter().enumerate().map(entry).collect()), format!("[{}]", shown.join(",")))
        }
    }
}

pub(crate) fn fill(space: &mut Keyspace, good: usize) {
    for _ in 0..good {
        let id = space.id();
        let (held, items) = bag(space);
        space.put(Entry::new("bags", format!("bag:{id}"), held).loaded(Row::full("bags", [&id, &items])));
    }
}

pub(crate) fn trouble(space: &mut Keyspace, times: usize) {
    (0..times).for_each(|_| broken_bags(space));
}

fn broken_bags(space: &mut Keyspace) {
    let field = |value: &[u8]| (b"f".to_vec(), value.to_vec());
    for (held, reason) in [
        (Held::List(vec![b"a".to_vec(), b"\xff".to_vec()]), "invalid_utf8"),
        (Held::Set(vec![b"a".to_vec(), b"x\0".to_vec()]), "json_nul"),
        (Held::Zset(vec![("1".to_owned(), b"a".to_vec()), ("inf".to_owned(), b"b".to_vec())]), "json_nonfinite"),
        (Held::Zset(vec![("-inf".to_owned(), b"a".to_vec())]), "json_nonfinite"),
        (Held::Zset(vec![("1".to_owned(), b"\xe9".to_vec())]), "invalid_utf8"),
        (
            Held::Stream(vec![("5-1".to_owned(), vec![field(b"v")]), ("6-1".to_owned(), vec![field(b"\x80")])]),
            "invalid_utf8",
        ),
        (Held::Stream(vec![("5-1".to_owned(), vec![field(b"v\0")])]), "json_nul"),
        (Held::text("[\"a\"]"), "redis_type (string)"),
        (Held::Hash(vec![field(b"v")]), "redis_type (hash)"),
    ] {
        let id = space.id();
        let (mended, items) = bag(space);
        let entry = Entry::new("bags", format!("bag:{id}"), held).rejected(&[reason]);
        space.put(entry.mended(mended, Row::full("bags", [&id, &items])));
    }
}
