//! The one place that counts, and every rendering of what it counted: bars, lines, JSON, tables, files.
//!
//! Takes [`crate::model::Event`]s and gives [`Books`]. Spawns nothing. The only room that knows indicatif.

mod backup;
mod bars;
mod books;
mod cleanup;
mod differences;
mod files;
mod findings;
mod json_lines;
mod log;
mod rejects;
mod render;
mod restore;
mod rollback;
mod table;
mod validation;

pub use backup::{BackupFacts, backup_json, backup_text};
pub use books::{Books, Phase, Stage, Work};
pub use cleanup::{CleanupFacts, KeptKeysFile, cleanup_json, cleanup_report, cleanup_text, write_cleanup};
pub use differences::DifferencesFile;
pub use files::{
    RetryFacts, RunFacts, TableCount, peak_memory, probe_report_dir, report_json, retried, script, tables_made,
    write_report,
};
pub use findings::finding_json;
pub use json_lines::JsonLines;
pub use log::{LogGate, init_log};
pub use rejects::{RejectLine, RejectsFile, Standing, key_json};
pub use render::{Renderer, drive};
pub use restore::{
    ContentsFacts, RestoreFacts, contents_json, contents_text, entry_json, entry_line, left_json, restore_json,
    restore_summary, write_restore,
};
pub use rollback::{kept_json, rollback_json, rollback_summary, write_rollback};
pub use table::{cell, named_family, plain_table, reasons, row_counts, summary, tally_table};
pub use validation::{ValidationFacts, counted, validation_json, validation_report, validation_text, write_validation};
