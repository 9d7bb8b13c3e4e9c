//! What was wrong is put right, and what the retry makes of it.

use crate::keyspace::{Fate, Mend};
use crate::redis::Bulk;
use crate::story::Story;
use crate::support::Outcome;
use std::collections::{BTreeMap, HashMap};

/// What is put right in the target.
const TARGET: &str = "ALTER TABLE guarded DROP CONSTRAINT amount_is_sane; INSERT INTO accounts VALUES ('zz');
    DELETE FROM secured WHERE tenant = 'hidden';";

/// What a retry has to do.
#[derive(Default)]
pub(crate) struct Work {
    /// Rejects before it.
    rejected: i64,
    /// Of these, the ones that are loaded.
    mended: i64,
    /// Keys beside them that are loaded since they are referred to.
    parents: i64,
    /// Keys that were deleted.
    deleted: i64,
    altered: BTreeMap<&'static str, i64>,
}

impl Story {
    /// Mends whatever can be mended: afterwards the entries say what must be there once it was tried again.
    pub(crate) fn mend(&mut self) -> Work {
        let mut bulks = self.urls().map(|url| Bulk::open(&url));
        let mut sql = TARGET.to_owned();
        let mut work = Work::default();
        let mut winners: HashMap<usize, usize> = HashMap::new();
        for (place, entry) in self.space.entries.iter().enumerate() {
            if let Some(group) = entry.group.filter(|_| entry.fate == Fate::Inserted) {
                winners.insert(group, place);
            }
        }
        let mut parents = Vec::new();
        for place in 0..self.space.entries.len() {
            let entry = &mut self.space.entries[place];
            if !matches!(entry.fate, Fate::Rejected(_)) {
                continue;
            }
            work.rejected += 1;
            let Some((mend, rows)) = entry.mend.take() else { continue };
            let (bulk, winner) = (&mut bulks[entry.database], entry.group.map(|group| winners[&group]));
            work.mended += 1;
            // What some rows of it have is counted already.
            if entry.rows.iter().all(|row| row.foreign) {
                entry.altered.iter().for_each(|repair| *work.altered.entry(repair).or_default() += 1);
            }
            match mend {
                Mend::Written(held) => {
                    bulk.hold(&entry.key, &held);
                    entry.held = held;
                }
                Mend::Left => {}
                Mend::Deleted => {
                    bulk.delete(&entry.key);
                    work.deleted += 1;
                }
                Mend::InPlaceOfRival => {
                    let rival = &mut self.space.entries[winner.unwrap()];
                    bulk.delete(&rival.key);
                    for row in rival.rows.drain(..) {
                        let table = self.tables.iter().find(|table| table.name == row.table).unwrap();
                        let same = table.key.iter().zip(&row.fields);
                        let same: Vec<String> =
                            same.map(|(column, field)| format!("{column} = '{}'", field.as_deref().unwrap())).collect();
                        sql.push_str(&format!("DELETE FROM {} WHERE {};\n", table.target, same.join(" AND ")));
                    }
                }
            }
            let entry = &mut self.space.entries[place];
            (entry.fate, entry.rows) = (Fate::Inserted, rows);
            parents.extend(entry.parent.take());
        }
        for parent in parents {
            work.parents += 1;
            parent.altered.iter().for_each(|repair| *work.altered.entry(repair).or_default() += 1);
            bulks[parent.database].write(&parent);
            self.space.entries.push(*parent);
        }
        bulks.iter_mut().for_each(Bulk::finish);
        self.case.sql(&sql);
        work
    }

    /// The retry took the rejects alone, loaded what was mended, and closed just that.
    pub(crate) fn check_retry(&self, retry: &Outcome, of: &Outcome, work: &Work) {
        let loaded = ["inserted", "updated", "unchanged"].iter().map(|name| retry.total(name)).sum::<i64>();
        let left = work.rejected - work.mended;
        assert_eq!(
            (retry.total("matched"), loaded, retry.rejects.len() as i64),
            (work.rejected + work.parents, work.mended + work.parents, left),
            "{}",
            retry.stdout
        );
        let mut altered = work.altered.clone();
        if work.deleted > 0 {
            altered.insert("stored_value", work.deleted);
        }
        assert_eq!(retry.report["tally"]["altered"], serde_json::to_value(&altered).unwrap());
        let run = of.report["run"].as_str().unwrap();
        let open = format!("SELECT count(*) FROM redis2pg.rejects WHERE state <> 'closed' AND run_id = '{run}'");
        assert_eq!(self.case.number(&open), left, "open rejects");
    }
}
