//! What is kept is counted, and some of it is told; all of it where a report is written.

use super::Progress;
use crate::job::close::report_unwritable;
use crate::model::{Failure, KeptReason, KeptRow, RollbackAccount};
use crate::report::{JsonLines, kept_json};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Kept rows of a table that are told.
const SAMPLES: usize = 20;

/// The books of one rollback.
pub(super) struct Books {
    report: Option<PathBuf>,
    tables: BTreeMap<String, Table>,
    /// Rows that are put back without values for which their table has no columns: by table and columns.
    left_out: BTreeMap<(String, Vec<String>), usize>,
    /// Whether more rows hang on one another than a dry run can follow.
    falls_short: bool,
}

/// Of one table, since it was gone through last.
#[derive(Default)]
struct Table {
    deleted: u64,
    restored: u64,
    kept: BTreeMap<KeptReason, u64>,
    samples: Vec<KeptRow>,
    spool: Option<BufWriter<File>>,
}

impl Books {
    /// # Errors
    /// The report's directory cannot be written.
    pub(super) fn new(report: Option<&Path>) -> Result<Self, Failure> {
        if let Some(dir) = report {
            crate::report::probe_report_dir(dir, true).map_err(|error| report_unwritable(dir, &error))?;
        }
        Ok(Self {
            report: report.map(Path::to_owned),
            tables: BTreeMap::new(),
            left_out: BTreeMap::new(),
            falls_short: false,
        })
    }

    /// All tables are gone over once more, and nothing was done.
    pub(super) fn restart(&mut self) {
        (self.tables, self.left_out) = (BTreeMap::new(), BTreeMap::new());
    }

    /// What is counted is not all that would be kept.
    pub(super) fn falls_short(&mut self) {
        self.falls_short = true;
    }

    /// A table is gone through, perhaps once more: what was kept of it then is looked at again.
    pub(super) fn begin(&mut self, table: &str, first: bool) -> Result<(), Failure> {
        let spool = match &self.report {
            Some(dir) if first => {
                let file = tempfile::tempfile().map_err(|error| report_unwritable(dir, &error))?;
                Some(BufWriter::new(file))
            }
            _ => None,
        };
        let entry = self.tables.entry(table.to_owned()).or_default();
        if first {
            (entry.kept, entry.samples, entry.spool) = (BTreeMap::new(), Vec::new(), spool);
        }
        Ok(())
    }

    pub(super) fn keep(&mut self, table: &str, row: KeptRow) -> Result<(), Failure> {
        let entry = self.tables.entry(table.to_owned()).or_default();
        *entry.kept.entry(row.reason).or_default() += 1;
        if let (Some(spool), Some(dir)) = (&mut entry.spool, &self.report) {
            let line = kept_json(table, &row);
            writeln!(spool, "{line}").map_err(|error| report_unwritable(dir, &error))?;
        }
        if entry.samples.len() < SAMPLES {
            entry.samples.push(row);
        }
        Ok(())
    }

    pub(super) fn deleted(&mut self, table: &str, rows: usize) {
        self.tables.entry(table.to_owned()).or_default().deleted += rows as u64;
    }

    /// So many rows that were counted as deleted are not.
    pub(super) fn not_deleted(&mut self, table: &str, rows: usize) {
        let entry = self.tables.entry(table.to_owned()).or_default();
        entry.deleted = entry.deleted.saturating_sub(rows as u64);
    }

    pub(super) fn restored(&mut self, table: &str, rows: usize) {
        self.tables.entry(table.to_owned()).or_default().restored += rows as u64;
    }

    /// So many rows are put back without what these columns held, which the table lacks.
    pub(super) fn left_out(&mut self, table: &str, columns: &[String], rows: usize) {
        if !columns.is_empty() && rows > 0 {
            *self.left_out.entry((table.to_owned(), columns.to_vec())).or_default() += rows;
        }
    }

    /// What is to be known of what was put back.
    pub(super) fn notices(&self) -> Vec<String> {
        let said = |((table, columns), rows): (&(String, Vec<String>), &usize)| {
            format!(
                "{table}: {rows} rows are put back without what ({}) held: there are no such columns any more",
                columns.join(", ")
            )
        };
        let short = self.falls_short.then(|| {
            "more rows hang on one another than a dry run can follow: the rollback itself may keep more of them"
                .to_owned()
        });
        self.left_out.iter().map(said).chain(short).collect()
    }

    /// Whether another time through the table might do more.
    pub(super) fn may_go_on(&self, table: &str) -> bool {
        self.tables.get(table).is_some_and(|table| table.kept.keys().any(|reason| reason.may_pass()))
    }

    pub(super) fn progress(&self, table: &str) -> Progress {
        let sum = |of: fn(&Table) -> u64| self.tables.values().map(of).sum();
        Progress {
            table: table.to_owned(),
            deleted: sum(|table| table.deleted),
            restored: sum(|table| table.restored),
            kept: sum(|table| table.kept.values().sum()),
        }
    }

    /// What was kept, put into the account; with `all` what was done too, since no ledger counted it.
    pub(super) fn enter(&self, account: &mut RollbackAccount, all: bool) {
        for (name, table) in &self.tables {
            let entry = account.table(name);
            entry.kept = table.kept.clone();
            if all {
                (entry.deleted, entry.restored) = (table.deleted, table.restored);
            }
        }
    }

    pub(super) fn samples(&self) -> Vec<(String, KeptRow)> {
        let of = |(name, table): (&String, &Table)| {
            table.samples.iter().map(|row| (name.clone(), row.clone())).collect::<Vec<_>>()
        };
        self.tables.iter().flat_map(of).collect()
    }

    /// Writes `kept.jsonl` into the report's directory.
    ///
    /// # Errors
    /// It cannot be written.
    pub(super) fn write_kept(&mut self) -> Result<(), Failure> {
        let Some(dir) = self.report.clone() else { return Ok(()) };
        let said = |error| report_unwritable(&dir, &error);
        let mut file = JsonLines::create(&dir, "kept.jsonl").map_err(said)?;
        for spool in self.tables.values_mut().filter_map(|table| table.spool.take()) {
            let mut spool = spool.into_inner().map_err(|error| said(error.into_error()))?;
            spool.seek(SeekFrom::Start(0)).map_err(said)?;
            std::io::copy(&mut spool, &mut file).map_err(said)?;
        }
        file.finish().map_err(said)
    }
}
