//! What only the table knows: constraints, triggers, policies, rows that somebody else wrote.

use crate::json::quoted;
use crate::keyspace::{Entry, Fate, Held, Keyspace, Mend, Row};

/// A record of the guarded table.
#[derive(Clone)]
struct Record {
    id: String,
    code: String,
    amount: i64,
    span: String,
    region: &'static str,
    note: String,
}

impl Record {
    fn new(space: &mut Keyspace) -> Self {
        let number = space.number();
        let id = space.id();
        Self {
            id,
            code: format!("c{number}"),
            amount: space.random.between(0, 1 << 40),
            span: format!("[{},{})", number * 10, number * 10 + 5),
            region: space.random.pick(&["eu", "us"]),
            note: space.random.word(),
        }
    }

    fn key(&self) -> String {
        format!("guarded:{}", self.id)
    }

    fn held(&self) -> Held {
        let Self { code, amount, span, region, note, .. } = self;
        Held::text(format!(
            "{{\"code\":\"{code}\",\"amount\":{amount},\"span\":\"{span}\",\"region\":\"{region}\",\"note\":{}}}",
            quoted(note)
        ))
    }

    fn row(&self) -> Row {
        let Self { id, code, amount, span, region, note, .. } = self;
        Row::full("guarded", [id, code, &amount.to_string(), span, region, note, "m"])
    }

    fn entry(&self) -> Entry {
        Entry::new("guarded", self.key(), self.held())
    }

    /// Rejected as it is, and mended by this record.
    fn broken(&self, reason: &'static str, fine: &Self) -> Entry {
        self.entry().rejected(&[reason]).mended(fine.held(), fine.row())
    }
}

pub(crate) fn fill(space: &mut Keyspace, good: usize) {
    for place in 0..good {
        let entry = match place % 5 {
            0 | 1 => {
                let record = Record::new(space);
                record.entry().loaded(record.row())
            }
            2 => {
                let (id, tenant, amount) = (space.id(), space.random.word(), space.random.below(1000).to_string());
                let held = Held::text(format!("{{\"tenant\":\"{tenant}\",\"amount\":{amount}}}"));
                Entry::new("secured", format!("secured:{id}"), held)
                    .loaded(Row::full("secured", [&id, &tenant, &amount]))
            }
            3 => {
                let (id, account) = (space.id(), space.random.pick(&["a", "b"]));
                let held = Held::text(format!("{{\"account\":\"{account}\"}}"));
                Entry::new("bills", format!("bill:{id}"), held).loaded(Row::full("bills", [&id, account]))
            }
            _ => {
                let id = space.id();
                shown(&id, "", "").loaded(shown_row(&id))
            }
        };
        space.put(entry);
    }
}

const SHOWN: [(&str, &str); 6] = [
    ("place", "\"(1.25,2)\""),
    ("words", "\"fat:2 cat\""),
    ("page", "\"<a>1</a>\""),
    ("span", "\"[1,3]\""),
    ("bits", "\"101\""),
    ("pair", "\"(1,x)\""),
];

/// A record of the types that the server reads, with one member that is another.
fn shown(id: &str, member: &str, json: &str) -> Entry {
    let members: Vec<String> =
        SHOWN.iter().map(|(name, fine)| format!("\"{name}\":{}", if *name == member { json } else { fine })).collect();
    Entry::new("shown", format!("shown:{id}"), Held::text(format!("{{{}}}", members.join(","))))
}

fn shown_row(id: &str) -> Row {
    Row::full("shown", [id, "(1.25,2)", "fat:2 cat", "<a>1</a>", "[1,3]", "101", "(1,x)"])
}

pub(crate) fn trouble(space: &mut Keyspace, times: usize) {
    for time in 0..times {
        constraints(space, time % 3 == 0);
        rival_records(space);
        for (note, reason) in [
            ("swallow", "not_stored"),
            ("raise", "refused"),
            ("zero", "refused"),
            ("long", "too_long"),
            ("large", "out_of_range"),
            ("nothing", "not_null"),
        ] {
            let fine = Record::new(space);
            space.put(Record { note: note.to_owned(), ..fine.clone() }.broken(reason, &fine));
        }
        policies(space);
        for (member, json, reason) in [
            ("place", "\"(1,\"", "type_input"),
            ("words", "\"'open\"", "type_input"),
            ("page", "\"<a>\"", "type_input"),
            ("span", "\"[3,1]\"", "type_input"),
            ("span", "\"[1.5,)\"", "integer"),
            ("pair", "\"(x,)\"", "type_input"),
            ("bits", "\"1011\"", "refused"),
            ("place", "{\"x\":1}", "type_mismatch"),
        ] {
            let id = space.id();
            let fine = shown(&id, "", "").held;
            space.put(shown(&id, member, json).rejected(&[reason]).mended(fine, shown_row(&id)));
        }
    }
}

/// Rows that a constraint refuses; the value of some is right once the constraint is gone.
fn constraints(space: &mut Keyspace, helped: bool) {
    let fine = Record::new(space);
    let negative = Record { amount: -1 - fine.amount, ..fine.clone() };
    let deleted = space.random.once_in(2);
    space.put(match helped {
        true => negative.entry().rejected(&["check"]).helped(deleted, negative.row()),
        false => negative.broken("check", &fine),
    });
    let fine = Record::new(space);
    space.put(Record { region: "atlantis", ..fine.clone() }.broken("foreign_key", &fine));
    // Codes and spans that rows of somebody else have.
    let there = Record::new(space);
    space.others.push(there.row().foreign());
    let fine = Record::new(space);
    space.put(Record { code: there.code.clone(), ..fine.clone() }.broken("unique", &fine));
    let fine = Record::new(space);
    space.put(Record { span: there.span.clone(), ..fine.clone() }.broken("exclusion", &fine));
    // A row that fails at COMMIT.
    let id = space.id();
    let entry =
        Entry::new("bills", format!("bill:{id}"), Held::text("{\"account\":\"zz\"}")).rejected(&["foreign_key"]);
    let deleted = space.random.once_in(2);
    space.put(match helped {
        true => entry.helped(deleted, Row::full("bills", [&id, "zz"])),
        false => entry.mended(Held::text("{\"account\":\"a\"}"), Row::full("bills", [&id, "a"])),
    });
    // Rows of somebody else: equal, different, and different where that is an error.
    for (mapping, prefix) in [("theirs", "theirs"), ("owned", "owned")] {
        let (same, other) = (space.id(), space.id());
        let rows = [&same, &other].map(|id| Row::full(mapping, [id, "1"]).foreign());
        let key = |id: &str| format!("{prefix}:{id}");
        let equal = Entry::new(mapping, key(&same), Held::text("{\"n\":1}")).loaded(rows[0].clone());
        space.put(equal.ends(Fate::Unchanged));
        let differs = Entry::new(mapping, key(&other), Held::text("{\"n\":2}")).loaded(rows[1].clone());
        space.put(match mapping {
            "theirs" => differs.ends(Fate::Skipped("exists_newer")),
            _ => differs.rejected(&["exists"]).mended(Held::text("{\"n\":1}"), rows[1].clone()),
        });
    }
}

/// Two keys with one code, and two with one span: whichever comes first has it.
fn rival_records(space: &mut Keyspace) {
    for reason in ["unique", "exclusion"] {
        let (group, first) = (space.rivalry(), Record::new(space));
        for _ in 0..2 {
            let fine = Record::new(space);
            let rival = match reason {
                "unique" => Record { code: first.code.clone(), ..fine.clone() },
                _ => Record { span: first.span.clone(), ..fine.clone() },
            };
            let entry = rival.entry().loaded(rival.row()).mended(fine.held(), fine.row());
            space.put(entry.ends(Fate::Rival(group, reason)));
        }
    }
}

/// Rows that a policy refuses, or that are behind one which it hides.
fn policies(space: &mut Keyspace) {
    for (tenant, amount) in [("foreign", "5"), ("x", "1000")] {
        let id = space.id();
        let held = Held::text(format!("{{\"tenant\":\"{tenant}\",\"amount\":{amount}}}"));
        let entry = Entry::new("secured", format!("secured:{id}"), held).rejected(&["row_security"]);
        space.put(entry.mended(Held::text("{\"tenant\":\"y\",\"amount\":1}"), Row::full("secured", [&id, "y", "1"])));
    }
    let id = space.id();
    let hidden = Row::full("secured", [&id, "hidden", "3"]).foreign();
    let held = Held::text("{\"tenant\":\"x\",\"amount\":1}");
    let row = Row::full("secured", [&id, "x", "1"]);
    let mut entry = Entry::new("secured", format!("secured:{id}"), held).loaded(hidden).rejected(&["not_stored"]);
    entry.mend = Some((Mend::Left, vec![row]));
    space.put(entry);
}
