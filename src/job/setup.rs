//! Settings become the things that a run works with: the ends, the mappings, the plan.

use super::close::report_unwritable;
use super::key_list::unreadable;
use super::look::Troubles;
use super::{mapping_specs, named};
use crate::config::{Compression, Settings, Staging, UnmatchedKeys};
use crate::ledger::idle_timeout;
use crate::mapping::MappingSpec;
use crate::model::{Failure, Finding, Side};
use crate::postgres::{Limits, Target, TargetOptions};
use crate::report::probe_report_dir;
use crate::sink::{LoadOptions, StagingTables};
use crate::source::redis::SourceSettings;
use std::fs::File;
use std::io;
use std::time::Duration;

/// How long a connection to PostgreSQL may take.
const CONNECT: Duration = Duration::from_secs(10);

/// The statements that make a preset's tables where they are missing.
pub(super) fn preset_schema(name: &str) -> Option<&'static str> {
    match name {
        "contract-reviewer" => Some(include_str!("../../migrations/contract-reviewer/document_hub.sql")),
        _ => None,
    }
}

/// What becomes of a directory that was missing and was made to try whether it can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    /// It stays.
    Made,
    /// It goes again.
    Nothing,
}

/// What a run needs of its settings before it talks to anybody.
pub(super) struct Ends {
    pub(super) specs: Vec<MappingSpec>,
    pub(super) source: SourceSettings,
    pub(super) target: Target,
}

/// Understands the settings of a run. No connection is made; the report's directory is.
///
/// # Errors
/// Everything that is missing or wrong, at once.
pub(super) fn ends(settings: &Settings) -> Result<Ends, Troubles> {
    let mut troubles = Troubles::default();
    let source = troubles.take("source", source_settings(settings));
    let target = troubles.take("target", target(settings));
    let specs = troubles.take("mapping", mappings(settings));
    let files = (
        troubles.take("run.keys_from", key_file(settings)),
        troubles.take("run.report", report_dir(settings, Keep::Made)),
    );
    match (specs, source, target, files) {
        (Some(specs), Some(source), Some(target), (Some(()), Some(()))) => Ok(Ends { specs, source, target }),
        _ => Err(troubles),
    }
}

/// Whether the file of keys can be read, before anything is written. What is no plain file, such as a pipe, is left
/// alone: it can be read once only, and is copied then.
pub(super) fn key_file(settings: &Settings) -> Result<(), Failure> {
    let Some(path) = &settings.run.keys_from else { return Ok(()) };
    let said = |error| unreadable(path, &error);
    let facts = std::fs::metadata(path).map_err(said)?;
    if facts.is_dir() {
        return Err(said(io::ErrorKind::IsADirectory.into()));
    }
    if facts.is_file() {
        File::open(path).map_err(said)?;
    }
    Ok(())
}

/// Whether the report can be written. After a night's load it would be late to learn that it cannot.
pub(super) fn report_dir(settings: &Settings, keep: Keep) -> Result<(), Failure> {
    let Some(dir) = &settings.run.report else { return Ok(()) };
    probe_report_dir(dir, keep == Keep::Made).map_err(|error| report_unwritable(dir, &error))
}

pub(super) fn source_settings(settings: &Settings) -> Result<SourceSettings, Failure> {
    let source = &settings.source;
    let database = match source.database.map(u8::try_from) {
        None => None,
        Some(Ok(database)) => Some(database),
        Some(Err(_)) => {
            return Err(Failure::usage(Side::Settings, "source.database is above 255", "Name a database that exists."));
        }
    };
    let settings = SourceSettings {
        username: source.username.clone(),
        password: source.password.as_ref().map(|password| password.expose().to_owned()),
        database,
        connect_timeout: source.connect_timeout.0,
        command_timeout: source.command_timeout.0,
        reconnect_attempts: u32::try_from(source.reconnect_attempts).unwrap_or(u32::MAX),
        loading_timeout: source.loading_timeout.0,
        scan_count: u32::try_from(source.scan_count).unwrap_or(u32::MAX),
        match_keys: settings.run.keys.clone(),
        ca_file: source.ca_file.clone(),
        cluster_name: source.cluster_name.clone(),
        ..SourceSettings::new(settings.require_source()?.expose())
    };
    settings.check()?;
    Ok(settings)
}

/// The number of the source's own database; 0 where no source is named that can be understood.
pub(super) fn own_database(settings: &Settings) -> u8 {
    source_settings(settings).ok().and_then(|source| source.own_database()).unwrap_or(0)
}

pub(super) fn target(settings: &Settings) -> Result<Target, Failure> {
    Target::new(&TargetOptions {
        url: settings.require_target()?.expose().to_owned(),
        password: settings.target.password.as_ref().map(|password| password.expose().to_owned()),
        connect_timeout: CONNECT,
    })
}

/// What bounds a transaction at the target.
pub(super) fn limits(settings: &Settings) -> Limits {
    Limits {
        statement: settings.target.statement_timeout.0,
        lock: settings.target.lock_timeout.0,
        idle: idle_timeout(settings.flow.lease.0),
    }
}

pub(super) fn load_options(settings: &Settings) -> LoadOptions {
    LoadOptions {
        value_cap: usize::try_from(settings.errors.value_cap.0).unwrap_or(usize::MAX),
        limits: limits(settings),
        compression: compression(settings),
        retry_deadline: settings.target.retry_deadline.0,
        resumed: false,
        staging: StagingTables::default(),
        after_cleanup: false,
    }
}

pub(super) fn compression(settings: &Settings) -> Option<String> {
    let compression = settings.target.compression;
    (compression != Compression::Default).then(|| compression.as_str().to_owned())
}

pub(super) fn always_merge(settings: &Settings) -> bool {
    settings.target.staging == Staging::Always
}

/// The mappings of the settings.
pub(super) fn mappings(settings: &Settings) -> Result<Vec<MappingSpec>, Failure> {
    let mut specs = mapping_specs::read(settings).map_err(Failure::findings)?;
    if settings.run.unmatched == UnmatchedKeys::Archive {
        specs.push(MappingSpec::archive(&settings.archive.table, &specs, own_database(settings)));
    }
    let mut findings = named::unknown(settings, &specs);
    if specs.is_empty() && findings.is_empty() {
        let hint =
            "Use --preset (`redis2pg config presets` lists them), or write [[mapping]] into the file of --config.";
        findings.push(Finding::critical(Side::Settings, "mapping", "there is nothing to migrate", hint));
    }
    if findings.is_empty() { Ok(specs) } else { Err(Failure::findings(findings)) }
}
