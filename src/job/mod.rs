//! The jobs: wiring only. The one place that knows both ends and starts tasks. Uses every other room but `cli`.

mod analyze;
mod audit;
mod backup;
mod begin;
mod check;
mod cleanup;
mod close;
mod databases;
mod delete_gone;
pub mod demo;
mod design;
mod dry_parents;
mod expiry;
mod keeper;
mod key_list;
pub mod ledger;
mod limit;
mod link;
mod look;
mod mapping_parse;
mod mapping_specs;
mod migrate;
mod named;
mod overwritten;
mod parents;
mod pipeline;
mod preflight;
mod restore;
mod retried;
mod retry;
mod rollback;
mod run;
mod run_tables;
mod sequences;
mod setup;
mod upkeep;
mod validate;

pub use crate::backup::Entry as BackupEntry;
pub use crate::mapping::presets;
pub use backup::{BackedUp, BackupDatabases, BackupProgress, BackupRequest, backup};
pub use check::{Checked, check};
pub use cleanup::{Cleaned, CleanupRequest, cleanup};
pub use design::create_statements;
pub use mapping_specs::{check_mappings, mapping_warnings};
pub use restore::{
    BackupContents, Progress as RestoreProgress, RestoreRequest, Restored, Standing as RestoreStanding, contents,
    restore,
};
pub use retry::RetryRequest;
pub use rollback::{Progress, RollbackRequest, RolledBack, Standing as RollbackStanding, rollback};
pub use run::{Finished, retry, run};
pub use validate::{ValidateRequest, Validated, validate};

#[cfg(test)]
mod tests;
