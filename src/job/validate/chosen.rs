//! The run that is validated, and what it was limited to.

use super::{LeftOut, ValidateRequest};
use crate::config::Settings;
use crate::job::ledger::{names_one, no_such_run, without_ledger};
use crate::job::link::Link;
use crate::ledger::{self, OtherRun, Validatable};
use crate::mapping::{MappingSpec, specs_hash};
use crate::model::{Failure, Side};
use sqlx::postgres::PgConnection;

/// The run that is meant.
pub(in crate::job) struct Chosen {
    pub(in crate::job) run: Validatable,
    /// The keys that it never read.
    pub(in crate::job) left_out: LeftOut,
    /// Whether the run went to its end.
    pub(super) run_has_ended: bool,
    /// Whether the ledger is as this version has it.
    pub(in crate::job) ledger_is_current: bool,
    /// What cannot be told, and why.
    pub(in crate::job) untold: Vec<String>,
}

/// Finds the run, and takes over into the settings what it was limited to.
///
/// # Errors
/// There is none, or it was rolled back; a server failed.
pub(super) async fn find_run(
    link: &mut Link,
    settings: &mut Settings,
    (request, specs, source): (&ValidateRequest, &[MappingSpec], &str),
) -> Result<Chosen, Failure> {
    skip_others(settings, specs, &request.phases)?;
    let (hash, keys) = (specs_hash(specs), settings.run.keys.clone());
    let run = choose(link, request.run.as_deref(), (source, &hash, keys.as_deref())).await?;
    let left_out = limits(settings, &run);
    let mut untold: Vec<String> = left_out.said(run.of.run).into_iter().collect();
    untold.extend(skip_skipped(settings, specs, &run));
    // At a run's end it is not written yet that it is one.
    let run_has_ended = run.is_done || request.run_before.is_some();
    untold.extend(other_than(&run, run_has_ended, (source, &hash)));
    if request.run.is_none() {
        let other = other_identity(link, (source, &hash)).await?.filter(|other| other.started_at > run.started_at);
        untold.extend(other.map(|OtherRun { id, started_at }| {
            format!("run {id} of {started_at} is later, of the same source and with other mappings: --run {id} takes it. {PART_OF_MAPPINGS}")
        }));
    }
    let ledger_is_current = is_current(link).await;
    if !ledger_is_current {
        untold.push("the ledger could not be brought up to date: what is found is not kept there".to_owned());
    }
    Ok(Chosen { run, left_out, run_has_ended, ledger_is_current, untold })
}

/// Switches off the mappings that are not asked for.
fn skip_others(settings: &mut Settings, specs: &[MappingSpec], phases: &[String]) -> Result<(), Failure> {
    let names = || specs.iter().map(|spec| spec.name.as_str());
    for phase in phases {
        if !names().any(|name| name == phase) {
            let hint = format!("The mappings are {}.", names().collect::<Vec<_>>().join(", "));
            return Err(Failure::usage(Side::Settings, format!("--phase: there is no mapping {phase:?}"), hint));
        }
    }
    if !phases.is_empty() {
        let others = names().filter(|name| !phases.iter().any(|phase| phase == name)).map(str::to_owned);
        settings.phases.skip.extend(others.collect::<Vec<_>>());
    }
    Ok(())
}

/// The run that is meant.
async fn choose(link: &mut Link, id: Option<&str>, of: (&str, &str, Option<&str>)) -> Result<Validatable, Failure> {
    let there = async |connection: &mut PgConnection| ledger::exists(connection).await;
    if !link.read("looking for the ledger", there).await? {
        return Err(without_ledger());
    }
    if let Some(id) = id {
        let named = async |connection: &mut PgConnection| ledger::runs_named(connection, id).await;
        names_one(id, &link.read("looking for the run", named).await?)?;
    }
    let find = async |connection: &mut PgConnection| ledger::to_validate(connection, id, of).await;
    let run = match (link.read("looking for the run", find).await?, id) {
        (Some(run), _) => run,
        (None, Some(id)) => return Err(no_such_run(Some(id))),
        (None, None) => return Err(none_like(other_identity(link, (of.0, of.1)).await?)),
    };
    if run.is_rolled_back {
        let message = format!("run {} was rolled back: there is nothing of it to validate", run.of.run);
        return Err(Failure::usage(Side::Settings, message, "Name another one with --run."));
    }
    Ok(run)
}

/// What makes a run one with other mappings.
const PART_OF_MAPPINGS: &str = "Settings such as --unmatched count among the mappings.";

/// The latest run of this source with other mappings.
async fn other_identity(link: &mut Link, of: (&str, &str)) -> Result<Option<OtherRun>, Failure> {
    let find = async |connection: &mut PgConnection| ledger::other_run(connection, of).await;
    link.read("looking for runs with other mappings", find).await
}

/// That there is no run to validate; `other`: one of the same source with other mappings.
fn none_like(other: Option<OtherRun>) -> Failure {
    let message = "no run of all keys of this source with these mappings has written here";
    let hint = match other {
        Some(OtherRun { id, started_at }) => format!(
            "Run {id} of {started_at} is of this source and had other mappings: give the settings that it had, or --run {id}. \
             {PART_OF_MAPPINGS}"
        ),
        None => format!(
            "Name one with --run, also one that took a part (--keys, --limit, --keys-from) or had another source or other mappings; \
             `redis2pg runs list` has the ids. {PART_OF_MAPPINGS}"
        ),
    };
    Failure::usage(Side::Settings, message, hint)
}

/// Takes over what the run was limited to. Gives which of the keys that are looked at it left out.
fn limits(settings: &mut Settings, run: &Validatable) -> LeftOut {
    let own = settings.run.keys.clone();
    settings.run.keys = own.clone().or_else(|| run.keys.clone());
    match (&run.keys, own) {
        _ if run.is_partial => LeftOut::Some,
        (Some(keys), Some(own)) if *keys != own => LeftOut::ButFor(keys.clone()),
        _ => LeftOut::None,
    }
}

/// Switches off the mappings that the run did not look at. Gives what there is to say of that.
fn skip_skipped(settings: &mut Settings, specs: &[MappingSpec], run: &Validatable) -> Option<String> {
    let is_new = |name: &&String| specs.iter().any(|spec| spec.name == **name) && !settings.phases.skip.contains(name);
    let names: Vec<String> = run.skipped.iter().filter(is_new).cloned().collect();
    let text = names.join(", ");
    settings.phases.skip.extend(names);
    (!text.is_empty()).then(|| format!("run {} skipped {text}: not looked at", run.of.run))
}

/// What is not as it was in the run.
fn other_than(run: &Validatable, has_ended: bool, (source, mapping_hash): (&str, &str)) -> Vec<String> {
    let mut said = Vec::new();
    if run.source != source {
        said.push(format!("run {} read from {}; this compares with {source}", run.of.run, run.source));
    }
    if run.mapping_hash != mapping_hash {
        said.push(format!("run {} had other mappings: what they make of a value may differ", run.of.run));
    }
    if run.is_alive && !has_ended {
        said.push(format!("run {} is still at work: keys that it has not come to count as missing", run.of.run));
    } else if !has_ended {
        said.push(format!(
            "run {} did not go to its end: keys that it has not come to count as missing; `run --resume` goes on with it",
            run.of.run
        ));
    }
    said
}

/// Brings the ledger up to date, where it is not.
async fn is_current(link: &mut Link) -> bool {
    let migrate = async |connection: &mut PgConnection| Ok(ledger::migrate(connection).await.is_ok());
    link.once(migrate).await.unwrap_or(false)
}
