//! Rows that refer to rows of their own mapping: the dry run follows the references up to a row that is there, to one that
//! refers to nothing, or to where they lead nowhere.

use super::{DryParents, Lost, PAGE, would_be, would_be_skipped};
use crate::model::{Failure, MappingId, RedisKey, Row, Wanted};
use crate::sink::Families;
use crate::source::Source;
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Keys that are followed up at most for one batch, some hundred bytes each. What is above them is taken to be there.
const FOLLOWED: usize = 100_000;
/// Why a row would be rejected whose parent would not be one.
const ORPHAN: &str = "missing_parent";

/// The keys that some rows lead to, by numbers in the order in which they were met.
#[derive(Default)]
struct Kin {
    numbers: HashMap<RedisKey, i32>,
    keys: Vec<RedisKey>,
    /// For a key's reference at a place: the keys that the parent may have.
    references: Vec<(i32, usize, Vec<i32>)>,
    /// Keys that would be no row whatever becomes of the others, and why.
    no_row: BTreeMap<i32, String>,
    /// Keys that are still to be read.
    due: Vec<RedisKey>,
}

impl Kin {
    /// The number of a key, and whether it is new.
    fn number(&mut self, key: &RedisKey) -> (i32, bool) {
        if let Some(number) = self.numbers.get(key) {
            return (*number, false);
        }
        let (number, key) = (self.keys.len() as i32, key.detached());
        self.keys.push(key.clone());
        self.numbers.insert(key, number);
        (number, true)
    }

    /// The keys that lack a parent, each with the place of the reference.
    fn orphans(&self) -> BTreeMap<i32, usize> {
        let without: BTreeSet<i32> = self.no_row.keys().copied().collect();
        let mut families = Families::default();
        for (child, place, parents) in &self.references {
            families.add(*place, *child, None);
            for parent in parents.iter().filter(|parent| !without.contains(parent)) {
                families.add(*place, *child, Some(*parent));
            }
        }
        families.without_parent(&without)
    }

    /// A parent's key at a key's reference, and why it would be no row.
    fn why(&self, child: i32, place: usize) -> Option<(RedisKey, String)> {
        let (_, _, parents) = self.references.iter().find(|(of, at, _)| (*of, *at) == (child, place))?;
        let parent = parents.first()?;
        let why = self.no_row.get(parent).cloned().unwrap_or_else(|| would_be(ORPHAN));
        Some((self.keys.get(usize::try_from(*parent).ok()?)?.clone(), why))
    }
}

impl<S: Source> DryParents<S> {
    /// The rows that lack a parent of their own mapping, which may lack one in its turn.
    pub(super) async fn without_own_parent(&mut self, mapping: MappingId, rows: &[Row]) -> Result<Lost, Failure> {
        let plan = self.shared.plan.clone();
        let refers = plan.mapping(mapping).parents().iter().any(|parent| parent.mapping == mapping);
        // Of a key of several rows it is not known which of them a reference means, and a parent in another database that is
        // read later has not been seen.
        let elsewhere = refers && self.shared.bases_of(mapping).len() > 1;
        if !refers || elsewhere || plan.mapping(mapping).explodes() {
            return Ok(Lost::new());
        }
        let mut kin = Kin::default();
        for row in rows {
            kin.number(&row.key);
        }
        let known = kin.keys.len();
        self.refer(mapping, rows, &mut kin).await?;
        while !kin.due.is_empty() && kin.keys.len() - known < FOLLOWED {
            let due = std::mem::take(&mut kin.due);
            self.read_kin(mapping, &due, &mut kin).await?;
        }
        let orphans = kin.orphans();
        if kin.due.is_empty() {
            self.remember(mapping, &kin, (known, &orphans));
        }
        let lost = rows.iter().enumerate().filter_map(|(at, row)| {
            let number = kin.numbers.get(&row.key)?;
            Some((at, kin.why(*number, *orphans.get(number)?)?))
        });
        Ok(lost.collect())
    }

    /// What was found of the keys behind the first `known`, which were no rows of the batch.
    fn remember(&self, mapping: MappingId, kin: &Kin, (known, orphans): (usize, &BTreeMap<i32, usize>)) {
        let (mut loadable, mut rejected) = (Vec::new(), Vec::new());
        for (number, key) in (0..).zip(&kin.keys).skip(known) {
            if orphans.contains_key(&number) {
                rejected.push(key.clone());
            } else if !kin.no_row.contains_key(&number) {
                loadable.push(key.clone());
            }
        }
        self.dry.remember((mapping, self.shared.database), &loadable, (&rejected, ORPHAN));
    }

    /// Reads keys, maps them, and notes what they refer to in their turn.
    async fn read_kin(&mut self, mapping: MappingId, due: &[RedisKey], kin: &mut Kin) -> Result<(), Failure> {
        let plan = self.shared.plan.clone();
        let wanted = plan.mapping(mapping).wanted();
        let wanted = Wanted { expiry: plan.mapping(mapping).has_min_ttl(), slices: false, ..wanted };
        let mut read = 0;
        while let Some(rest) = due.get(read..).filter(|rest| !rest.is_empty()) {
            let page = rest.get(..PAGE).unwrap_or(rest);
            let records = self.read(&self.shared, mapping, page, wanted).await?;
            read += records.len();
            let made = self.transformer.transform(plan.mapping(mapping), records);
            let passed_over = made.passed_over.iter().map(|(key, reason)| (key, would_be_skipped(*reason)));
            let rejected = made.rejects.iter().map(|reject| (&reject.key, would_be(&reject.reason)));
            for (key, why) in passed_over.chain(rejected) {
                let (number, _) = kin.number(key);
                kin.no_row.insert(number, why);
            }
            for place in 0..plan.mapping(mapping).parents().len() {
                for (at, _) in self.without_other_parent(mapping, &made.rows, place).await? {
                    let Some(row) = made.rows.get(at) else { continue };
                    let (number, _) = kin.number(&row.key);
                    kin.no_row.insert(number, would_be(ORPHAN));
                }
            }
            self.refer(mapping, &made.rows, kin).await?;
        }
        Ok(())
    }

    /// Notes what rows refer to, unless it is a row already.
    async fn refer(&mut self, mapping: MappingId, rows: &[Row], kin: &mut Kin) -> Result<(), Failure> {
        let plan = self.shared.plan.clone();
        for (place, parent) in plan.mapping(mapping).parents().iter().enumerate() {
            if parent.mapping != mapping {
                continue;
            }
            let keys = |at: &usize| rows.get(*at)?.parent_keys.get(place).filter(|keys| !keys.is_empty());
            let mut open: Vec<usize> = (0..rows.len()).filter(|at| keys(at).is_some()).collect();
            match self.with_row(mapping, rows, (parent.column, &open)).await? {
                Some(there) => open.retain(|at| !there.contains(at)),
                None => continue,
            }
            let mut new = Vec::new();
            for (row, keys) in open.iter().filter_map(|at| Some((rows.get(*at)?, keys(at)?))) {
                let (child, _) = kin.number(&row.key);
                let mut parents = Vec::new();
                for key in keys {
                    let (number, is_new) = kin.number(key);
                    parents.push(number);
                    new.extend(is_new.then(|| key.clone()));
                }
                kin.references.push((child, place, parents));
            }
            self.sort_out(mapping, new, kin);
        }
        Ok(())
    }

    /// What is known of keys that were met already; the others are to be read.
    fn sort_out(&self, mapping: MappingId, new: Vec<RedisKey>, kin: &mut Kin) {
        let mut unknown: Vec<((), RedisKey)> = new.into_iter().map(|key| ((), key)).collect();
        self.dry.retain_unknown((mapping, self.shared.database), &mut unknown);
        let mut unknown: Vec<RedisKey> = unknown.into_iter().map(|(_, key)| key).collect();
        for (key, reason) in self.dry.rejected((mapping, self.shared.database), &unknown).unwrap_or_default() {
            let (number, _) = kin.number(&key);
            kin.no_row.insert(number, would_be(&reason));
        }
        unknown.retain(|key| kin.numbers.get(key).is_none_or(|number| !kin.no_row.contains_key(number)));
        kin.due.extend(unknown);
    }
}
