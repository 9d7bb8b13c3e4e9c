//! From the empty servers to the last row: the cache is written, moved, moved again, mended, and what was rejected is tried again.

use crate::expected::{Rows, Table, prepare};
use crate::keyspace::{Fate, Keyspace};
use crate::redis::Bulk;
use crate::support::{self, Case, Outcome};
use crate::{
    bags, contracts, contracts_broken, elements, fields, guarded, guards, hashes, names, packed, related, values,
};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;

/// A key in its database, 0 or 1.
pub(crate) type Place = (usize, Vec<u8>);

/// One cache and its target.
pub(crate) struct Story {
    pub(crate) case: Case,
    pub(crate) space: Keyspace,
    pub(crate) tables: Vec<Table>,
    pub(crate) config: String,
    /// The URLs of the two databases, for the test itself.
    urls: [String; 2],
}

impl Story {
    /// Makes a cache of so many keys, every trouble so many times in it; with `lasting`, also what nothing in Redis mends.
    pub(crate) fn begin(seed: u64, keys: usize, times: usize, lasting: bool) -> Self {
        let case = Case::new();
        let urls = [case.source.clone(), support::redis_database()];
        let databases = urls.clone().map(|url| url.rsplit('/').next().unwrap().to_owned());
        let mut space = Keyspace::new(seed, databases);
        trouble(&mut space, times);
        if lasting {
            names::lasting(&mut space, times);
        }
        good(&mut space, keys);
        let (own, other) = (space.databases[0].as_str(), space.databases[1].as_str());
        let config = [
            "[run]\npreset = \"contract-reviewer\"\n",
            values::MAPPINGS,
            &fields::mappings(),
            hashes::MAPPINGS,
            bags::MAPPINGS,
            elements::MAPPINGS,
            packed::MAPPINGS,
            names::MAPPINGS,
            guards::MAPPINGS,
            &related::mappings([own, other]),
        ]
        .concat();
        let mut story = Self { tables: tables(), case, space, config, urls };
        story.set_up();
        story
    }

    /// Makes the tables with what others wrote into them, the user of Redis, and the keys.
    fn set_up(&mut self) {
        let sql = [
            values::SQL,
            &fields::sql(),
            hashes::SQL,
            bags::SQL,
            elements::SQL,
            packed::SQL,
            names::SQL,
            guards::SQL,
            related::SQL,
        ];
        self.case.sql(&sql.concat());
        self.case.sql("GRANT ALL ON ALL TABLES IN SCHEMA public TO redis2pg");
        let foreign = self.space.entries.iter().flat_map(|entry| &entry.rows).filter(|row| row.foreign);
        let mut sql = String::new();
        for row in foreign.chain(&self.space.others) {
            let fields: Vec<String> = row.fields.iter().flatten().map(|field| format!("'{field}'")).collect();
            let _ = writeln!(sql, "INSERT INTO {} VALUES ({});", row.table, fields.join(", "));
        }
        self.case.sql(&sql);
        // Whoever moves the cache may not read all of it.
        let user = format!("mover{}", self.space.databases[0]);
        self.case.redis().say(&format!("ACL SETUSER {user} on >pw +@all resetkeys ~[^l]* ~lease:[^!]* ~lines:*"));
        let place = self.case.source.split('@').next_back().unwrap();
        self.case.source = format!("redis://{user}:pw@{place}");
        for (database, url) in self.urls.iter().enumerate() {
            let mut bulk = Bulk::open(url);
            self.space.entries.iter().filter(|entry| entry.database == database).for_each(|entry| bulk.write(entry));
            bulk.finish();
        }
    }

    /// The whole story, with these arguments for each run.
    pub(crate) fn told(mut self, args: &[&str]) {
        let first = self.case.run_config(&self.config, args).exits(3);
        let rejects = self.rejects(&first);
        self.settle_rivals(&rejects);
        self.check_outcomes(&rejects);
        self.check_books(&first);
        prepare(&self.case, &self.tables, &self.space.databases[0]);
        self.check_rows("after the first run");
        self.check_kept(&first);
        let written = self.fingerprint();
        let second = self.case.run_config(&self.config, args).exits(3);
        assert_eq!(self.rejects(&second), rejects, "another run rejects others");
        assert_eq!((second.total("inserted"), second.total("updated")), (0, 0), "{second}");
        assert_eq!(self.fingerprint(), written, "a second run wrote rows");
        let work = self.mend();
        let left = self.space.entries.iter().filter(|entry| matches!(entry.fate, Fate::Rejected(_))).count();
        let retry = self.case.retry(&self.config, args).exits(if left == 0 { 0 } else { 3 });
        let rejects = self.rejects(&retry);
        self.check_outcomes(&rejects);
        self.check_retry(&retry, &second, &work);
        self.check_rows("after the retry");
    }

    /// The URLs of the two databases.
    pub(crate) fn urls(&self) -> [String; 2] {
        self.urls.clone()
    }

    fn fingerprint(&self) -> String {
        self.tables
            .iter()
            .map(|table| {
                let sql =
                    format!("SELECT md5(string_agg(xmin::text || ctid, ',' ORDER BY ctid)) FROM {}", table.target);
                self.case.sql(&sql)
            })
            .collect()
    }

    /// The rejects of a run by key.
    fn rejects(&self, outcome: &Outcome) -> BTreeMap<Place, (String, String)> {
        let text = |reject: &serde_json::Value, name: &str| reject[name].as_str().unwrap_or_default().to_owned();
        let own = self.space.databases[0].parse().unwrap();
        let mut all = BTreeMap::new();
        for reject in &outcome.rejects {
            let key = match reject["key"].as_str() {
                Some(key) => key.as_bytes().to_vec(),
                None => unhex(&text(reject, "key_hex")),
            };
            let database = usize::from(reject["database"].as_u64() != Some(own));
            let twice = all.insert((database, key), (text(reject, "mapping"), text(reject, "reason")));
            assert!(twice.is_none(), "listed twice: {reject}");
        }
        all
    }

    /// Of each group of rivals just one has its row: the others must be rejected.
    fn settle_rivals(&mut self, rejects: &BTreeMap<Place, (String, String)>) {
        let mut loaded: HashMap<usize, usize> = HashMap::new();
        for entry in &mut self.space.entries {
            if let Fate::Rival(group, reason) = entry.fate {
                let lost = rejects.contains_key(&(entry.database, entry.key.clone()));
                *loaded.entry(group).or_default() += usize::from(!lost);
                (entry.fate, entry.group) = (Fate::Inserted, Some(group));
                if lost {
                    entry.rows.clear();
                    entry.fate = Fate::Rejected(vec![reason]);
                }
            }
        }
        assert!(loaded.values().all(|winners| *winners == 1), "of keys for one row just one is loaded");
    }

    /// The rows of all tables are those that must be there, each from its key.
    pub(crate) fn check_rows(&self, when: &str) {
        let mut rows = Rows::new();
        let databases = [self.space.databases[0].as_str(), self.space.databases[1].as_str()];
        for entry in &self.space.entries {
            rows.add(entry, &entry.held, &entry.rows, databases, &self.tables);
        }
        self.space.others.iter().for_each(|row| rows.add_other(row));
        rows.must_be_all(&self.case, &self.tables, when);
    }
}

fn tables() -> Vec<Table> {
    let mut all = Vec::new();
    all.extend(contracts::TABLES);
    all.extend(values::TABLES);
    all.extend(fields::TABLES);
    all.extend(hashes::TABLES);
    all.extend(bags::TABLES);
    all.extend(elements::TABLES);
    all.extend(packed::TABLES);
    all.extend(names::TABLES);
    all.extend(guards::TABLES);
    all.extend(related::TABLES);
    all
}

/// Every kind of trouble so many times.
fn trouble(space: &mut Keyspace, times: usize) {
    let kinds: [fn(&mut Keyspace, usize); 10] = [
        contracts_broken::trouble,
        values::trouble,
        fields::trouble,
        hashes::trouble,
        bags::trouble,
        elements::trouble,
        packed::trouble,
        names::trouble,
        guarded::trouble,
        related::trouble,
    ];
    kinds.iter().for_each(|kind| kind(space, times));
}

/// Keys that are fine, so that there are `keys` in all, or some more.
fn good(space: &mut Keyspace, keys: usize) {
    let share = keys.saturating_sub(space.entries.len()) / 100;
    values::fill(space, share * 14);
    fields::fill(space, share * 6);
    hashes::fill(space, share * 7);
    bags::fill(space, share * 2);
    elements::fill(space, share * 4);
    packed::fill(space, share * 6);
    names::fill(space, share * 6);
    guarded::fill(space, share * 7);
    related::fill(space, share * 6);
    // A document has two keys more, now and then.
    let missing = keys.saturating_sub(space.entries.len());
    contracts::fill(space, missing * 20 / 41 + 1);
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap()).collect()
}
