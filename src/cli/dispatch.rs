//! From the command line to an exit code: settings, the job, and what is printed of it.

use super::backup::run_backup;
use super::cleanup::run_cleanup;
use super::outlet::Outlet;
use super::rejects::run_rejects;
use super::restore::run_restore;
use super::rollback::run_rollback;
use super::{
    CheckView, CleanupView, Cli, Command, ConfigCommand, DemoArgs, RejectForm, RejectView, RejectsCommand, RunView,
    RunsCommand, ValidateArgs, ValidationView, check, preset_text, presets, show, write_failure, write_rejects,
    write_run, write_runs,
};
use crate::config::{FlagValues, Raw, Settings, default_toml};
use crate::flow::Stop;
use crate::job::ledger::{RejectFilter, RunEntry, ValidationEntry};
use crate::job::{self, Finished, RetryRequest, demo::Demo};
use crate::model::{Exit, Failure, Finding, Reject};
use crate::report::{
    LogGate, Renderer, cleanup_text, init_log, report_json, retried, summary, tables_made, validation_report,
    validation_text,
};
use std::ffi::OsString;
use std::future::Future;
use std::io::{self, IsTerminal, Write};

/// Does what the command line says and gives what to exit with. Everything that a person reads was written when it
/// returns: the result to `out`, all else to `err`.
pub fn main(args: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> Exit {
    let cli = match super::parse(args) {
        Ok(cli) => cli,
        Err(end) => {
            let _ = if end.to_stdout { out.write_all(end.text.as_bytes()) } else { err.write_all(end.text.as_bytes()) };
            return end.exit;
        }
    };
    let mut outlet = Outlet::new(out);
    let ended = match says_what_came_of_it(&cli.command) {
        true => dispatch(&cli, &mut outlet, err),
        false => dispatch(&cli, outlet.to(), err),
    };
    match ended {
        Ok(exit) => match outlet.failed {
            // Whoever read it has gone, and need not be told; but `redis2pg run … | head` exits with what the run came to.
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                let _ = writeln!(
                    err,
                    "redis2pg: not all of the output could be written ({error}). The command itself came to exit code {}.",
                    exit.code()
                );
                if exit == Exit::Done { Exit::Internal } else { exit }
            }
            _ => exit,
        },
        Err(Ended::Failed(failure)) => {
            let _ = write_failure(err, &failure);
            failure.exit
        }
        // Whoever read our output has gone: `redis2pg … | head` is no error.
        Err(Ended::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
        Err(Ended::Output(error)) => {
            let _ = writeln!(err, "redis2pg: the output cannot be written: {error}");
            Exit::Internal
        }
    }
}

/// Whether the exit code says what came of the command. Others only show something.
fn says_what_came_of_it(command: &Command) -> bool {
    match command {
        Command::Run(_) | Command::Validate(_) | Command::Cleanup(_) | Command::Demo(_) | Command::Rollback(_) => true,
        Command::Backup(_) | Command::Restore(_) => true,
        Command::Runs(_) => false,
        Command::Rejects(args) => matches!(args.command, RejectsCommand::Retry(_)),
        Command::Config(args) => matches!(args.command, ConfigCommand::Check(_)),
    }
}

/// Why a command did not do.
pub(super) enum Ended {
    Failed(Failure),
    Output(io::Error),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

fn dispatch(cli: &Cli, out: &mut dyn Write, err: &mut dyn Write) -> Result<Exit, Ended> {
    let load = |flags: FlagValues| Settings::load(flags, std::env::vars_os(), job::presets(), &job::check_mappings);
    let loaded = || load(cli.command.flags().clone()).map_err(Failure::findings);
    match &cli.command {
        Command::Run(args) => run(args.json, &loaded()?, None, out, err),
        Command::Validate(args) => validate(args, &loaded()?, out, err),
        Command::Cleanup(args) => run_cleanup(args, &loaded()?, out, err),
        Command::Demo(args) => demo(args, out, err),
        Command::Rollback(args) => run_rollback(args, &loaded()?, out, err),
        Command::Backup(args) => run_backup(args, &loaded()?, out, err),
        Command::Restore(args) => {
            let settings = load(args.flags()).map_err(|findings| Failure::findings(args.named(findings)))?;
            run_restore(args, &settings, out, err)
        }
        Command::Runs(args) => {
            let settings = loaded()?;
            match &args.command {
                RunsCommand::List { json, .. } => {
                    let runs = block_on(job::ledger::runs(&settings, 100))??;
                    write_runs(out, &runs.iter().map(run_view).collect::<Vec<_>>(), *json)?;
                }
                RunsCommand::Show { id, json, .. } => {
                    let mut run = run_view(&block_on(job::ledger::run(&settings, id.as_deref()))??);
                    run.validation = block_on(job::ledger::last_validation(&settings, &run.id))??.map(validation_view);
                    let cleanups = block_on(job::ledger::cleanups(&settings, &run.id))??;
                    run.cleanups = Some(cleanups.into_iter().map(CleanupView::from).collect());
                    run.rejects = Some(block_on(job::ledger::reject_counts(&settings, &run.id))??.into());
                    write_run(out, &run, *json)?;
                }
            }
            Ok(Exit::Done)
        }
        Command::Rejects(args) => match &args.command {
            RejectsCommand::Retry(args) => run(args.json, &loaded()?, Some(&args.request()), out, err),
            command => run_rejects(command, &loaded()?, out),
        },
        Command::Config(args) => match &args.command {
            ConfigCommand::Show(args) if args.defaults => {
                out.write_all(default_toml().as_bytes())?;
                Ok(Exit::Done)
            }
            ConfigCommand::Show(args) => {
                let settings = loaded()?;
                // A mapping that is wrong is shown as it is; `config check` says what is wrong.
                show(out, &settings, &job::create_statements(&settings).unwrap_or_default(), args)?;
                Ok(Exit::Done)
            }
            ConfigCommand::Check(args) => {
                let findings = match load(args.settings.values.clone()) {
                    Ok(settings) => return look(args.json, &settings, out),
                    Err(findings) => findings,
                };
                let view =
                    CheckView { findings: &findings, exit: Exit::Usage, ends: &[], ledger: None, dry_run: false };
                check(out, &view, args.json)?;
                Ok(Exit::Usage)
            }
            ConfigCommand::Presets { name: Some(name), .. } => {
                out.write_all(preset_text(job::presets(), name)?.as_bytes())?;
                Ok(Exit::Done)
            }
            ConfigCommand::Presets { name: None, json } => {
                presets(out, job::presets(), *json)?;
                Ok(Exit::Done)
            }
        },
    }
}

/// `config check` with settings that are sound by themselves.
fn look(json: bool, settings: &Settings, out: &mut dyn Write) -> Result<Exit, Ended> {
    let renderer = Renderer::new(settings.log.progress, io::stderr().is_terminal(), &LogGate::default());
    let checked = block_on(async {
        let stop = Stop::new();
        // Without a handler a signal ends the process at once: nothing is left behind.
        let _signals = stop.listen_for_signals();
        job::check(settings, renderer, stop).await
    })?;
    let findings: Vec<Finding> = job::mapping_warnings(settings).into_iter().chain(checked.findings).collect();
    let view = CheckView {
        findings: &findings,
        exit: checked.exit,
        ends: &checked.ends,
        ledger: checked.ledger.as_deref(),
        dry_run: settings.run.dry_run,
    };
    check(out, &view, json)?;
    Ok(checked.exit)
}

fn run(
    json: bool,
    settings: &Settings,
    retry: Option<&RetryRequest>,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<Exit, Ended> {
    let gate = LogGate::default();
    init_log(&settings.log, &gate, true)?;
    let renderer = Renderer::new(settings.log.progress, io::stderr().is_terminal(), &gate);
    let finished = block_on(async {
        let stop = Stop::new();
        // Without a handler a signal ends the process at once, which the ledger survives.
        let _signals = stop.listen_for_signals();
        match retry {
            Some(request) => job::retry(settings, request, renderer, stop).await,
            None => job::run(settings, renderer, stop).await,
        }
    })?;
    if json {
        serde_json::to_writer_pretty(&mut *out, &report_json(&finished.facts, &finished.books))
            .map_err(io::Error::from)?;
        writeln!(out)?;
    } else if finished.books.run().is_some() {
        write_result(out, &finished)?;
    } else if finished.failure.is_none() && finished.state == "done" {
        writeln!(out, "There was nothing to retry.")?;
        write!(out, "{}", retried(&finished.facts))?;
    }
    if let Some(failure) = &finished.failure {
        let _ = write_failure(err, failure);
    }
    Ok(finished.exit)
}

fn validate(args: &ValidateArgs, settings: &Settings, out: &mut dyn Write, err: &mut dyn Write) -> Result<Exit, Ended> {
    let gate = LogGate::default();
    init_log(&settings.log, &gate, true)?;
    let renderer = Renderer::new(settings.log.progress, io::stderr().is_terminal(), &gate);
    let validated = block_on(async {
        let stop = Stop::new();
        let _signals = stop.listen_for_signals();
        job::validate(settings, &args.request(), renderer, stop).await
    })?;
    if args.json {
        let report = validation_report(&validated.facts, validated.validation.as_ref());
        serde_json::to_writer_pretty(&mut *out, &report).map_err(io::Error::from)?;
        writeln!(out)?;
    } else if let Some(validation) = &validated.validation {
        write!(out, "{}", validation_text(validation))?;
    }
    if let Some(failure) = &validated.failure {
        let _ = write_failure(err, failure);
    }
    Ok(validated.exit)
}

fn write_result(out: &mut dyn Write, finished: &Finished) -> io::Result<()> {
    let dry = finished.facts.dry_run;
    write!(out, "{}", summary(&finished.books, finished.state, dry))?;
    write!(out, "{}{}", tables_made(&finished.facts), retried(&finished.facts))?;
    if let Some(validation) = &finished.facts.validation {
        write!(out, "\n{}", validation_text(validation))?;
    }
    if let Some(cleanup) = &finished.facts.cleanup {
        write!(out, "\n{}", cleanup_text(cleanup))?;
    }
    for (mapping, samples) in &finished.samples {
        for sample in samples {
            let columns = sample.columns.join(", ");
            writeln!(out, "would load {} into {mapping}: {} bytes ({columns})", sample.key, sample.bytes)?;
        }
    }
    if !finished.rejects.is_empty() {
        let shown = finished.rejects.iter().take(20);
        let view = |(mapping, reject): &(String, Reject)| RejectView {
            mapping: mapping.clone(),
            reject: reject.clone(),
            withheld: reject.withheld.clone(),
            names_database: finished.facts.source_databases.len() > 1,
            standing: None,
        };
        let views: Vec<_> = shown.map(view).collect();
        writeln!(out)?;
        write_rejects(out, &views, RejectForm::Lines, false)?;
    }
    Ok(())
}

fn demo(args: &DemoArgs, out: &mut dyn Write, err: &mut dyn Write) -> Result<Exit, Ended> {
    writeln!(err, "Starting a private Redis and a private PostgreSQL, and making up a cache …")?;
    let demo = Demo::start(args.documents)?;
    let megabytes = demo.cache.bytes as f64 / 1e6;
    writeln!(err, "The cache holds {} keys ({megabytes:.1} MB). Moving it:\n", demo.cache.keys())?;
    writeln!(err, "  redis2pg run --from redis://… --to postgres://… --preset contract-reviewer\n")?;
    let mut flags = FlagValues::default();
    flags.values.insert("source.url", Raw::Text(demo.source()));
    flags.values.insert("target.url", Raw::Text(demo.target().to_owned()));
    flags.values.insert("run.preset", Raw::Text("contract-reviewer".to_owned()));
    // The environment is not looked at: the demo must not reach anybody's servers.
    let settings =
        Settings::load(flags, std::iter::empty(), job::presets(), &job::check_mappings).map_err(Failure::findings)?;
    let exit = run(false, &settings, None, out, err)?;
    if !matches!(exit, Exit::Done | Exit::Rejects) {
        return Ok(exit);
    }
    writeln!(out, "\nWhat could not be moved (redis2pg rejects list --keys):")?;
    let filter = RejectFilter { limit: 20, ..RejectFilter::default() };
    let mut views = Vec::new();
    let take = |kept| {
        views.push(RejectView::from(kept));
        Ok::<_, Failure>(())
    };
    block_on(job::ledger::rejects(&settings, &filter, take))??;
    write_rejects(out, &views, RejectForm::Lines, false)?;
    writeln!(out, "\nOne of the rows, with where it came from:")?;
    let row = "SELECT filename, file_size, mime_type, upload_timestamp, jsonb_pretty(metadata) \
               FROM document_hub.documents ORDER BY id LIMIT 1";
    writeln!(out, "{}", demo.look(row)?.trim_end())?;
    writeln!(out, "\nThe servers are stopped and removed now. Next, on your own data, writing nothing:")?;
    writeln!(out, "  redis2pg run --from redis://HOST --to postgres://HOST/DB --preset contract-reviewer --dry-run")?;
    writeln!(out, "Settings: docs/configuration.md. How it works: docs/design.md.")?;
    Ok(Exit::Done)
}

fn run_view(entry: &RunEntry) -> RunView {
    RunView {
        id: entry.id.clone(),
        state: entry.state.clone(),
        version: entry.version.clone(),
        started: entry.started_at.clone(),
        ended: entry.finished_at.clone(),
        source: entry.source.clone(),
        exit_code: entry.exit_code,
        error: entry.error.clone(),
        tally: entry.tally.clone(),
        retry_of: entry.retry_of.clone(),
        rolled_back_at: entry.rolled_back_at.clone(),
        rollback: entry.rollback.as_deref().and_then(|text| serde_json::from_str(text).ok()),
        rejects: None,
        validation: None,
        cleanups: None,
    }
}

fn validation_view(entry: ValidationEntry) -> ValidationView {
    ValidationView {
        ended: entry.finished_at,
        passed: entry.passed,
        complete: entry.complete,
        parts: entry.parts,
        sample: entry.sample,
        keys: entry.keys,
        counts: serde_json::from_str(&entry.counts).unwrap_or_default(),
        validations: entry.validations,
    }
}

/// Runs a job on a runtime of its own.
pub(super) fn block_on<T>(job: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::internal(format!("the runtime does not start: {error}")))?;
    Ok(runtime.block_on(job))
}
