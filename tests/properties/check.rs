//! What must be true after a run, by the rows and the ledger themselves.

use crate::cache::{Cache, Key};
use crate::support::{Case, Outcome};
use std::collections::{BTreeMap, BTreeSet};

/// Mapping, table, and the column that shows the number of the value that was loaded.
const TABLES: [(&str, &str, &str); 3] = [
    ("documents", "documents", "file_size::text"),
    ("analyses", "analysis_results", "analysis_data ->> 'summary'"),
    ("sessions", "sessions", "user_id"),
];

/// A row of the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    /// The transaction that wrote it.
    xmin: String,
    /// The key that it was made of.
    key: Key,
    number: String,
}

/// The rows of all tables, by mapping and primary key.
pub(crate) type Rows = BTreeMap<(&'static str, String), Row>;

/// What is in the database after a run.
pub(crate) struct Books {
    pub(crate) rows: Rows,
    /// Rejects of the run: mapping, key, reason. A list, so that a key listed twice is seen.
    pub(crate) rejects: Vec<(String, Key, String)>,
}

impl Books {
    /// Reads them.
    pub(crate) fn of(case: &Case, outcome: &Outcome) -> Self {
        let run = outcome.report["run"].as_str().unwrap_or_else(|| panic!("{outcome}"));
        let rejects = lines(
            case,
            &format!(
                "SELECT mapping, encode(key, 'hex'), reason FROM redis2pg.rejects WHERE run_id = '{run}' AND state = 'open' \
             ORDER BY mapping, key"
            ),
        );
        let rejects = rejects.into_iter().map(|[mapping, key, reason]| (mapping, unhex(&key), reason)).collect();
        let mut rows = Rows::new();
        for (mapping, table, number) in TABLES {
            let sql = format!(
                "SELECT encode(convert_to(id::text, 'UTF8'), 'hex'), xmin, \
                 encode(convert_to(metadata ->> 'redis_key', 'UTF8'), 'hex'), {number} FROM document_hub.{table}"
            );
            for [id, xmin, key, number] in lines(case, &sql) {
                rows.insert((mapping, id), Row { xmin, key: unhex(&key), number });
            }
        }
        Self { rows, rejects }
    }

    fn rejected(&self) -> BTreeSet<&Key> {
        self.rejects.iter().map(|(_, key, _)| key).collect()
    }
}

fn lines<const N: usize>(case: &Case, sql: &str) -> Vec<[String; N]> {
    let fields = |line: &str| line.split('|').map(str::to_owned).collect::<Vec<_>>().try_into().unwrap();
    case.sql(sql).lines().map(fields).collect()
}

fn unhex(text: &str) -> Key {
    let digits: Vec<u8> =
        text.bytes().map(|digit| u8::try_from(char::from(digit).to_digit(16).unwrap()).unwrap()).collect();
    Key(digits.chunks(2).map(|pair| pair[0] * 16 + pair[1]).collect())
}

/// Every new row is counted as inserted and every other row that was written as updated; none is lost.
pub(crate) fn rows_are_what_was_counted(before: &Rows, books: &Books, outcome: &Outcome) {
    for (mapping, ..) in TABLES {
        let rows: Vec<_> = books.rows.iter().filter(|((of, _), _)| *of == mapping).collect();
        let new = rows.iter().filter(|(id, _)| !before.contains_key(id)).count();
        let written = rows.iter().filter(|(id, row)| before.get(id).is_some_and(|old| old.xmin != row.xmin)).count();
        let counted = ["inserted", "updated"].map(|field| outcome.count(mapping, field));
        assert_eq!(counted, [new, written].map(|rows| i64::try_from(rows).unwrap()), "{mapping}: {outcome}");
    }
    assert!(before.keys().all(|id| books.rows.contains_key(id)), "a row is gone: {outcome}");
}

/// Each rejected key is listed once, under its mapping, and counted once.
pub(crate) fn rejects_are_what_was_counted(books: &Books, outcome: &Outcome) {
    assert_eq!(books.rejected().len(), books.rejects.len(), "a key is listed twice: {outcome}");
    for (mapping, key, reason) in &books.rejects {
        assert_eq!(key.mapping(), Some(mapping.as_str()), "{reason}: {outcome}");
    }
    for (mapping, ..) in TABLES {
        let mut listed = BTreeMap::<String, i64>::new();
        for (_, _, reason) in books.rejects.iter().filter(|(of, ..)| of == mapping) {
            *listed.entry(reason.clone()).or_default() += 1;
        }
        assert_eq!(outcome.reasons(mapping), listed, "{mapping}: {outcome}");
    }
}

/// Each key that a mapping takes is rejected, or has a row with the value that it holds now.
pub(crate) fn every_key_has_an_outcome(cache: &Cache, books: &Books, outcome: &Outcome) {
    let rejected = books.rejected();
    let rows: BTreeMap<&Key, &Row> = books.rows.values().map(|row| (&row.key, row)).collect();
    for (key, held) in cache.0.iter().filter(|(key, _)| key.mapping().is_some() && !rejected.contains(key)) {
        let number = rows.get(key).map(|row| row.number.as_str());
        assert_eq!(number, Some(held.number.to_string().as_str()), "{key:?} has no row of its own: {outcome}");
    }
    for (_, key, _) in books.rejects.iter().filter(|(.., reason)| reason == "key_collision") {
        let other = rows.keys().any(|other| *other != key && other.row() == key.row());
        assert!(other, "{key:?} collides with a row that is not there: {outcome}");
    }
}

/// After the first run: no key has both a row and a reject.
pub(crate) fn new_rows_are_of_keys_without_reject(cache: &Cache, books: &Books) {
    let rejected = books.rejected();
    for row in books.rows.values() {
        assert!(cache.0.contains_key(&row.key) && !rejected.contains(&row.key), "{row:?}");
    }
}
