//! The compiled plan of a run: its mappings, which keys they take, and in which phases they are loaded.

use super::candidate::Candidate;
use super::collection::ItemForms;
use super::compile::conflict::Doubt;
use super::expiry::ExpiryPolicy;
use super::explode::Explode;
use super::lineage::Lineage;
use super::pattern::{KeySet, Miss};
use super::source::Source;
use super::spec::databases::Databases;
use super::top::Top;
use super::{Expect, OnConflict};
use crate::decode::Decoder;
use crate::encode::Encoder;
use crate::model::{Column, Database, Finding, MappingId, TableName, Wanted};
use std::sync::Arc;

/// What the lineage says about the run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunStamp {
    /// The run's id.
    pub run_id: String,
    /// What becomes of the rows.
    pub purpose: Purpose,
    /// The number of the source's own database, which mappings read that name no other.
    pub database: u8,
    /// The version of the Redis server, where it tells.
    pub server_version: Option<String>,
}

/// What becomes of the rows that a plan makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// They are loaded.
    #[default]
    Load,
    /// They are only judged and then dropped: what would be said of where they came from is left out, and they name the
    /// keys of their parents.
    Rehearsal,
    /// They are held against those that are there: of the lineage object they have what is compared, the key, its
    /// database and its expiry. The rest says who loaded the row and when, and takes the server longer to read than
    /// many a value.
    Comparison,
}

/// The mappings of a run, checked against the tables that they write to.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(super) mappings: Vec<Mapping>,
    pub(super) phases: Vec<Vec<MappingId>>,
    pub(super) warnings: Vec<Finding>,
    pub(super) doubts: Vec<Doubt>,
}

impl Plan {
    /// The mapping that takes a key. It is the only one, unless [`Self::dispute`] says otherwise.
    #[inline]
    pub fn classify(&self, key: &[u8]) -> Option<MappingId> {
        let takes = |mapping: &Mapping| mapping.here && mapping.pattern.matches(key);
        self.mappings.iter().position(takes).map(|index| MappingId(index as u16))
    }

    /// The plan for the keys of one database: those of the mappings that read it.
    pub fn within(&self, database: Database) -> Self {
        let mut plan = self.clone();
        let text: Arc<str> = database.number.to_string().into();
        for mapping in &mut plan.mappings {
            mapping.here = mapping.reads(database.number);
            mapping.database = database;
            mapping.database_text = text.clone();
        }
        plan
    }

    /// The mappings that a key looks like one of, although none takes it, and why they do not.
    pub fn misses(&self, key: &[u8]) -> impl Iterator<Item = (MappingId, Miss)> {
        let here = self.mappings().filter(|(_, mapping)| mapping.here);
        here.filter_map(move |(id, mapping)| Some((id, mapping.pattern.miss(key)?)))
    }

    /// The mapping of an id that this plan gave; the first one for any other id.
    pub fn mapping(&self, id: MappingId) -> &Mapping {
        self.mappings.get(usize::from(id.0)).unwrap_or(&self.mappings[0])
    }

    /// All mappings, in the order of the configuration.
    pub fn mappings(&self) -> impl Iterator<Item = (MappingId, &Mapping)> {
        self.mappings.iter().enumerate().map(|(index, mapping)| (MappingId(index as u16), mapping))
    }

    /// The phases: parents before children, and what comes `after` after it.
    pub fn phases(&self) -> &[Vec<MappingId>] {
        &self.phases
    }

    /// What a person should know and a run can live with, such as an optional column that the table lacks.
    pub fn warnings(&self) -> &[Finding] {
        &self.warnings
    }
}

/// One compiled mapping.
#[derive(Clone, Debug)]
pub struct Mapping {
    pub(super) name: String,
    pub(super) table: TableName,
    pub(super) pattern: KeySet,
    pub(super) databases: Databases,
    /// The number of the source's own database.
    pub(super) own: u8,
    pub(super) columns: Vec<Column>,
    /// One for each column, in the same order.
    pub(super) targets: Vec<Target>,
    pub(super) key_columns: usize,
    pub(super) lineage: Lineage,
    pub(super) expiry: ExpiryPolicy,
    pub(super) explode: Option<Explode>,
    pub(super) deletes_removed: bool,
    pub(super) items: ItemForms,
    /// Whether an infinite score is given as text to the columns, which all can take it.
    pub(super) takes_infinity: bool,
    pub(super) lineage_id: Option<Source>,
    pub(super) top: Top,
    pub(super) decoder: Decoder,
    pub(super) unwrap_json_string: bool,
    pub(super) wanted: Wanted,
    /// Whether values are taken as they are: no source reads what would have to be decoded.
    pub(super) undecoded: bool,
    /// Whether it takes keys that are no text.
    pub(super) any_key: bool,
    pub(super) purpose: Purpose,
    pub(super) on_conflict: OnConflict,
    pub(super) parents: Vec<ParentRef>,
    pub(super) parent_patterns: Vec<KeySet>,
    pub(super) fingerprint: String,
    pub(super) run_id: Arc<str>,
    /// The run's id as JSON text.
    pub(super) run_json: Arc<str>,
    /// The database that it reads in this plan.
    pub(super) database: Database,
    /// The number of that.
    pub(super) database_text: Arc<str>,
    /// Whether its keys come from that database.
    pub(super) here: bool,
    pub(super) server_version: Option<Arc<str>>,
}

/// How one column gets its value.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) encoder: Encoder,
    pub(super) candidates: Vec<Candidate>,
    pub(super) default: Option<String>,
    pub(super) null_as: Option<String>,
    pub(super) required: bool,
    /// Whether the mapping says so itself: then null is no value either.
    pub(super) wants_value: bool,
    pub(super) unwrap_json_string: bool,
    pub(super) expect: Option<Expect>,
    pub(super) lineage: bool,
    /// Whether a value that is not in memory goes into it.
    pub(super) streams: bool,
    /// Whether it has all of the value wherever it is not NULL; looked at only where losses are told.
    pub(super) has_all: bool,
    pub(super) comparison: Comparison,
}

/// A reference to the row of another mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParentRef {
    /// The parent's mapping.
    pub mapping: MappingId,
    /// The referring column, an index into [`Mapping::columns`].
    pub column: usize,
}

/// How a column is compared when a row is judged unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// By meaning.
    Exact,
    /// As a dump of Redis, which is not always the same of the same key.
    Dump,
    /// By meaning, without [`super::LINEAGE_KEYS`] at the top level of the object.
    WithoutLineage,
    /// Within one second: a time of expiry is worked out from a time to live.
    WithinSecond,
    /// Not at all: it says something about the run, not about the record.
    Ignored,
}

impl Mapping {
    /// The mapping's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The target table.
    pub fn table(&self) -> &TableName {
        &self.table
    }

    /// The columns that it writes, key columns first: bit `i` of a row's shape stands for column `i`.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// How many of the columns are the key.
    pub fn key_columns(&self) -> usize {
        self.key_columns
    }

    /// Where the lineage is kept.
    pub fn lineage(&self) -> Lineage {
        self.lineage
    }

    /// Whether its rows are only compared: their lineage objects are not whole then, see [`Purpose::Comparison`].
    pub fn is_compared(&self) -> bool {
        self.purpose == Purpose::Comparison
    }

    /// Whether its keys come from the database of this number.
    pub fn reads(&self, number: u8) -> bool {
        self.databases.has(number, self.own)
    }

    /// The number of the database, where what comes from it names it.
    #[inline]
    pub(super) fn named_database(&self) -> Option<&str> {
        (!self.database.own).then_some(&*self.database_text)
    }

    /// What must be read of its keys.
    pub fn wanted(&self) -> Wanted {
        self.wanted
    }

    /// What happens to a row that is there already.
    pub fn on_conflict(&self) -> OnConflict {
        self.on_conflict
    }

    /// The mappings that its rows refer to.
    pub fn parents(&self) -> &[ParentRef] {
        &self.parents
    }

    /// How column `index` is compared.
    pub fn comparison(&self, index: usize) -> Comparison {
        self.targets.get(index).map_or(Comparison::Exact, |target| target.comparison)
    }

    /// What makes its rows: the mapping as written, the columns of the table and the tool's version. Mappings with the
    /// same fingerprint make the same row of the same key and value, but for lineage and time of expiry.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}
