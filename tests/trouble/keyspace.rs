//! What the cache holds, and for each key what must become of it, before and after it was mended.

use crate::random::Random;
use redis2pg::model::sha256_hex;

/// Fields with their values.
pub(crate) type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// A value in Redis.
#[derive(Clone, Debug)]
pub(crate) enum Held {
    Text(Vec<u8>),
    Hash(Fields),
    List(Vec<Vec<u8>>),
    Set(Vec<Vec<u8>>),
    /// Scores and members.
    Zset(Vec<(String, Vec<u8>)>),
    /// Ids, and fields with values.
    Stream(Vec<(String, Fields)>),
    /// A string of so many bytes 0, made by the server.
    Zeros(usize),
}

impl Held {
    pub(crate) fn text(value: impl Into<Vec<u8>>) -> Self {
        Self::Text(value.into())
    }

    /// The digest that lineage has of a string.
    pub(crate) fn digest(&self) -> Option<String> {
        match self {
            Self::Text(bytes) => sha256_hex(bytes).get(..32).map(str::to_owned),
            _ => None,
        }
    }
}

/// A row of a table, as the texts that PostgreSQL reads its fields from.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The table's name among [`crate::expected::Table`]s.
    pub(crate) table: &'static str,
    pub(crate) fields: Vec<Option<String>>,
    /// Whether somebody else wrote it: then it has no lineage.
    pub(crate) foreign: bool,
}

impl Row {
    pub(crate) fn new(table: &'static str, fields: impl IntoIterator<Item = Option<String>>) -> Self {
        Self { table, fields: fields.into_iter().collect(), foreign: false }
    }

    /// A row without NULL.
    pub(crate) fn full<const N: usize>(table: &'static str, fields: [&str; N]) -> Self {
        Self::new(table, fields.map(|field| Some(field.to_owned())))
    }

    pub(crate) fn foreign(mut self) -> Self {
        self.foreign = true;
        self
    }
}

/// What must become of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Inserted,
    Unchanged,
    Skipped(&'static str),
    /// For one of these reasons: several where two things are wrong with it.
    Rejected(Vec<&'static str>),
    /// No mapping takes it.
    Unmatched,
    /// Of the keys with this number one is loaded, and all others are rejected for this reason.
    Rival(usize, &'static str),
}

/// How a key's trouble ends.
#[derive(Clone, Debug)]
pub(crate) enum Mend {
    /// It is written anew.
    Written(Held),
    /// It stays as it is: what was wrong is elsewhere.
    Left,
    /// It is deleted: what was stored with the reject is loaded.
    Deleted,
    /// The rival that was loaded is deleted, and its row too.
    InPlaceOfRival,
}

/// A key.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    /// The mapping that takes it.
    pub(crate) mapping: &'static str,
    /// 0 for the source's own database, 1 for the other one.
    pub(crate) database: usize,
    pub(crate) key: Vec<u8>,
    pub(crate) held: Held,
    /// Milliseconds since 1970.
    pub(crate) expires: Option<u64>,
    pub(crate) fate: Fate,
    /// The rows that there are of it after the run.
    pub(crate) rows: Vec<Row>,
    /// The repairs that are counted when it is loaded, be it once it was mended.
    pub(crate) altered: Vec<&'static str>,
    /// How it is mended where it was rejected, and the rows that there are then.
    pub(crate) mend: Option<(Mend, Vec<Row>)>,
    /// Its rivals have the same number.
    pub(crate) group: Option<usize>,
    /// A key that is written when things are mended: what it refers to.
    pub(crate) parent: Option<Box<Entry>>,
}

impl Entry {
    pub(crate) fn new(mapping: &'static str, key: impl Into<Vec<u8>>, held: Held) -> Self {
        let (key, rows, altered) = (key.into(), Vec::new(), Vec::new());
        let fate = if mapping.is_empty() { Fate::Unmatched } else { Fate::Inserted };
        Self {
            mapping,
            database: 0,
            key,
            held,
            expires: None,
            fate,
            rows,
            altered,
            mend: None,
            group: None,
            parent: None,
        }
    }

    pub(crate) fn loaded(mut self, row: Row) -> Self {
        self.rows.push(row);
        self
    }

    pub(crate) fn altered(mut self, repairs: impl IntoIterator<Item = &'static str>) -> Self {
        self.altered.extend(repairs);
        self
    }

    pub(crate) fn ends(mut self, fate: Fate) -> Self {
        self.fate = fate;
        self
    }

    /// Rejected for one of these reasons.
    pub(crate) fn rejected(self, reasons: &[&'static str]) -> Self {
        self.ends(Fate::Rejected(reasons.to_vec()))
    }

    /// Mended by another value, which is loaded as this row.
    pub(crate) fn mended(mut self, held: Held, row: Row) -> Self {
        self.mend = Some((Mend::Written(held), vec![row]));
        self
    }

    /// Mended elsewhere: what it holds is loaded as this row, also where the key was deleted.
    pub(crate) fn helped(mut self, deleted: bool, row: Row) -> Self {
        self.mend = Some((if deleted { Mend::Deleted } else { Mend::Left }, vec![row]));
        self
    }

    pub(crate) fn in_database(mut self, database: usize) -> Self {
        self.database = database;
        self
    }
}

/// All keys.
pub(crate) struct Keyspace {
    pub(crate) entries: Vec<Entry>,
    pub(crate) random: Random,
    /// Rows that somebody wrote before the run, and no key touches.
    pub(crate) others: Vec<Row>,
    /// The numbers of the two databases.
    pub(crate) databases: [String; 2],
    next: usize,
    rivals: usize,
}

impl Keyspace {
    pub(crate) fn new(seed: u64, databases: [String; 2]) -> Self {
        let (entries, random, others) = (Vec::new(), Random::new(seed), Vec::new());
        Self { entries, random, others, databases, next: 0, rivals: 0 }
    }

    /// A number that was not given before.
    pub(crate) fn number(&mut self) -> usize {
        self.next += 1;
        self.next
    }

    /// An id of a shape that any pattern takes: a number, with or without something behind it.
    pub(crate) fn id(&mut self) -> String {
        let number = self.number();
        match self.random.below(6) {
            0 => format!("{number}-é"),
            1 => format!("{number} 日本"),
            2 => format!("*{number}[x]?"),
            _ => format!("{number:06}"),
        }
    }

    /// The number of a new group of rivals.
    pub(crate) fn rivalry(&mut self) -> usize {
        self.rivals += 1;
        self.rivals
    }

    pub(crate) fn put(&mut self, entry: Entry) {
        self.entries.push(entry);
    }
}
