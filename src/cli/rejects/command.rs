//! What the commands of `rejects` that read the ledger do.

use super::print::{cut_list, nothing_found};
use super::{RejectForm, RejectView, RejectsCommand, RejectsFilter, StateArg, write_groups, write_rejects};
use crate::cli::dispatch::{Ended, block_on};
use crate::config::Settings;
use crate::job::ledger::{KeptReject, RejectFilter, reject_count, reject_groups, rejects, run as show_run};
use crate::model::{Exit, Failure, Side};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use tempfile::NamedTempFile;

/// Does what was asked for, but for a retry, which is a run.
pub(in crate::cli) fn run(command: &RejectsCommand, settings: &Settings, out: &mut dyn Write) -> Result<Exit, Ended> {
    match command {
        RejectsCommand::List { keys: true, limit, json, filter } => {
            let wanted = filter.wanted(None, i64::from(*limit));
            let with_state = filter.state == StateArg::All;
            let form = if with_state { RejectForm::LinesWithState } else { RejectForm::Lines };
            print(settings, (filter, &wanted, form), *json, out)?;
        }
        RejectsCommand::List { json, filter, .. } => {
            exists(settings, filter)?;
            let groups = block_on(reject_groups(settings, &filter.wanted(None, i64::MAX)))??;
            if groups.is_empty() && !json {
                writeln!(out, "{}", nothing_found(filter, false))?;
            } else {
                write_groups(out, &groups, *json)?;
            }
        }
        RejectsCommand::Show { key, limit, json, filter } => {
            let wanted = filter.wanted(key.as_ref(), i64::from(*limit));
            print(settings, (filter, &wanted, RejectForm::Full), *json, out)?;
        }
        RejectsCommand::Export { file, overwrite, filter } => {
            exists(settings, filter)?;
            let wanted = filter.wanted(None, i64::MAX);
            match file {
                None => export(settings, &wanted, out).map(|_| ())?,
                Some(path) => {
                    let count = export_to(settings, &wanted, (path, *overwrite))?;
                    writeln!(out, "{count} rejects in {}", path.display())?;
                }
            }
        }
        RejectsCommand::Retry(_) => {}
    }
    Ok(Exit::Done)
}

/// A run that is not there is no run without rejects.
fn exists(settings: &Settings, filter: &RejectsFilter) -> Result<(), Ended> {
    if let Some(run) = &filter.run {
        block_on(show_run(settings, Some(run)))??;
    }
    Ok(())
}

fn print(
    settings: &Settings,
    (filter, wanted, form): (&RejectsFilter, &RejectFilter, RejectForm),
    json: bool,
    out: &mut dyn Write,
) -> Result<(), Ended> {
    exists(settings, filter)?;
    let mut views = Vec::new();
    let take = |kept: KeptReject| {
        views.push(RejectView::from(kept));
        Ok::<_, Failure>(())
    };
    block_on(rejects(settings, wanted, take))??;
    if json {
        write_rejects(out, &views, form, true)?;
        return Ok(());
    }
    let full = i64::try_from(views.len()).is_ok_and(|shown| shown >= wanted.limit);
    let all = if full { block_on(reject_count(settings, wanted))?? } else { views.len() as i64 };
    if all == 0 {
        writeln!(out, "{}", nothing_found(filter, !wanted.keys.is_empty()))?;
    }
    if !views.is_empty() {
        write_rejects(out, &views, form, false)?;
    }
    if all > views.len() as i64 {
        writeln!(out, "{}", cut_list(views.len(), all))?;
    }
    Ok(())
}

/// Writes the rejects one by one.
fn export(settings: &Settings, wanted: &RejectFilter, out: &mut dyn Write) -> Result<u64, Ended> {
    let mut out = BufWriter::new(out);
    let write = |kept: KeptReject| {
        serde_json::to_writer(&mut out, &kept.line().json(usize::MAX)).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
        Ok::<_, Ended>(())
    };
    let count = block_on(rejects(settings, wanted, write))??;
    out.flush()?;
    Ok(count)
}

/// The file holds all of them, or is not there.
fn export_to(settings: &Settings, wanted: &RejectFilter, (path, overwrite): (&Path, bool)) -> Result<u64, Ended> {
    let said = |error: io::Error| Ended::from(unwritable(path, &error));
    if !overwrite && path.symlink_metadata().is_ok() {
        return Err(said(io::ErrorKind::AlreadyExists.into()));
    }
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Its mode is 0600 from the beginning.
    let mut file = NamedTempFile::new_in(dir).map_err(said)?;
    let count = match export(settings, wanted, &mut file) {
        Err(Ended::Output(error)) => return Err(said(error)),
        other => other?,
    };
    file.as_file().sync_all().map_err(said)?;
    let kept = if overwrite { file.persist(path) } else { file.persist_noclobber(path) };
    kept.map_err(|error| said(error.error))?;
    Ok(count)
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let name = path.display();
    if error.kind() == io::ErrorKind::AlreadyExists {
        let hint = "Name another file, or replace it with --overwrite.";
        return Failure::usage(Side::Settings, format!("--file: {name} exists"), hint);
    }
    let message = format!("--file: {name} cannot be written: {error}");
    Failure::usage(Side::Settings, message, "Check the directory and its rights.")
}
