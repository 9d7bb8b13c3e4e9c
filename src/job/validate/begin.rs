//! What comes before a validation: the run that is meant, and a look at both ends for reading alone.

use super::ValidateRequest;
use crate::config::Settings;
use crate::flow::Stop;
use crate::job::databases::{Opened, Reached};
use crate::job::ledger::{names_one, no_such_run, without_ledger};
use crate::job::link::{Link, Waits};
use crate::job::look::{self, Looked, Looker, Source, TargetEnd};
use crate::job::preflight::redis::Found;
use crate::job::preflight::{self, Check, Checked};
use crate::job::setup::{self, Ends};
use crate::ledger::{self, Validatable};
use crate::mapping::{MappingSpec, specs_hash};
use crate::model::{Event, EventSender, Failure, Finding, Side};
use crate::postgres::Target;
use crate::sink::Provenance;
use crate::source::ServerClock;
use sqlx::postgres::PgConnection;

/// What a validation works with.
pub(in crate::job) struct Ready {
    /// The settings, with what the run itself was limited to.
    pub(in crate::job) settings: Settings,
    /// The source as runs of it are known by.
    pub(in crate::job) identity: String,
    pub(in crate::job) run: Validatable,
    pub(in crate::job) databases: Vec<Opened>,
    pub(in crate::job) clock: Option<ServerClock>,
    pub(in crate::job) checked: Checked,
    pub(in crate::job) specs: Vec<MappingSpec>,
    pub(in crate::job) target: Target,
    pub(in crate::job) link: Link,
    stop: Stop,
    /// Whether keys without a row may be such as the run never read.
    pub(in crate::job) partial: bool,
    /// What cannot be told, and why.
    pub(in crate::job) untold: Vec<String>,
}

impl Ready {
    /// A connection beside the others, made when it is first used.
    pub(in crate::job) fn beside(&self) -> Link {
        Link::anew(self.target.clone(), Waits::new(&self.settings), self.stop.clone())
    }
}

/// Finds the run and looks at both ends. `None`: a stop was asked for. A Redis that the run has reached is read over the same
/// connections, and PostgreSQL is waited for then as the run waits.
///
/// # Errors
/// Whatever forbids it.
pub(in crate::job) async fn begin(
    settings: &Settings,
    (request, reached): (&ValidateRequest, Option<Reached>),
    stop: &Stop,
    events: &EventSender,
) -> Result<Option<Ready>, Failure> {
    let mut settings = settings.clone();
    // Neither is a thing of validations; a dry run would leave out what rows are known by.
    settings.run.dry_run = false;
    let Ends { specs, mut source, target } = match setup::ends(&settings) {
        Ok(ends) => ends,
        Err(troubles) => return Err(troubles.refusal(&settings)),
    };
    skip_others(&mut settings, &specs, &request.phases)?;
    let mut link = Link::anew(target.clone(), Waits::new(&settings), stop.clone()).telling(events.clone());
    if request.run_before.is_none() {
        link.keep(target.connect().await?);
    }
    let identity = source.identity().unwrap_or_default();
    let asked = settings.run.keys.clone();
    let of = (identity.as_str(), &*specs_hash(&specs), asked.as_deref());
    let run = choose(&mut link, request.run.as_deref(), of).await?;
    let (partial, mut untold) = limits(&mut settings, &run);
    // They list what the run was asked for.
    let reached = reached.filter(|_| settings.run.keys == asked);
    if settings.run.keys.is_some() {
        source = setup::source_settings(&settings)?;
    }
    untold.extend(skip_skipped(&mut settings, &specs, &run));
    untold.extend(other_than(&run, (&identity, &specs_hash(&specs))));
    if !is_current(&mut link).await {
        untold.push("the ledger could not be brought up to date: what is found is not kept there".to_owned());
    }
    let stamp = look::stamp(&settings, &run.of.run.to_string());
    let how = Check::Compare;
    let (reached, checked) = if let Some(reached) = reached {
        let server = async |connection: &mut PgConnection| preflight::look(connection, &settings).await;
        let server = link.call("looking at the server", server).await?;
        (reached, look::check(&mut link, (&settings, &specs), &stamp, &server, how).await?)
    } else {
        let looker = Looker { settings: &settings, stop, events, stamp: &stamp, how, ahead: false, seek: false };
        let ends = look::Ends { specs: &specs, source: Some(&source), target: Some(&target) };
        let Looked { source, target, troubles } = looker.look(&ends).await;
        let warnings = troubles.verdict(&settings, &specs)?;
        if stop.requested() {
            return Ok(None);
        }
        let (Some(Source { found, .. }), Some(TargetEnd { checked: Some(checked), .. })) = (source, target) else {
            return Err(Failure::internal("an end was not reached, and nothing says why"));
        };
        if request.run_before.is_none() {
            tell(events, (&run, request.cleans), &warnings).await;
        }
        let Found { databases, clock, .. } = found;
        (Reached { databases, clock }, checked)
    };
    if stop.requested() {
        return Ok(None);
    }
    untold.extend(without_lineage(&checked));
    let Reached { databases, clock } = reached;
    let stop = stop.clone();
    Ok(Some(Ready { settings, identity, run, databases, clock, checked, specs, target, link, stop, partial, untold }))
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
    if !link.call("looking for the ledger", there).await? {
        return Err(without_ledger());
    }
    if let Some(id) = id {
        let named = async |connection: &mut PgConnection| ledger::runs_named(connection, id).await;
        names_one(id, &link.call("looking for the run", named).await?)?;
    }
    let find = async |connection: &mut PgConnection| ledger::to_validate(connection, id, of).await;
    let run = link.call("looking for the run", find).await?.ok_or_else(|| match id {
        Some(id) => no_such_run(Some(id)),
        None => Failure::usage(
            Side::Settings,
            "no run of all keys of this source with these mappings has written here",
            "Name one with --run, also one that took a part (--keys, --limit, --keys-from) or had other mappings; `redis2pg runs list` \
             has the ids. Settings such as --unmatched count among the mappings.",
        ),
    })?;
    if run.is_rolled_back {
        let message = format!("run {} was rolled back: there is nothing of it to validate", run.of.run);
        return Err(Failure::usage(Side::Settings, message, "Name another one with --run."));
    }
    Ok(run)
}

/// Takes over what the run was limited to. Gives whether it left keys out that cannot be told, and what there is to say of that.
fn limits(settings: &mut Settings, run: &Validatable) -> (bool, Vec<String>) {
    let mut partial = run.is_partial;
    match (&run.keys, &settings.run.keys) {
        (Some(keys), None) => settings.run.keys = Some(keys.clone()),
        (Some(keys), Some(own)) => partial |= keys != own,
        (None, _) => {}
    }
    let said = partial.then(|| {
        format!(
            "run {} took a part of the keys only, and which is not known: keys without a row count as excluded, not as missing",
            run.of.run
        )
    });
    (partial, said.into_iter().collect())
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
fn other_than(run: &Validatable, (source, mapping_hash): (&str, &str)) -> Vec<String> {
    let mut said = Vec::new();
    if run.source != source {
        said.push(format!("run {} read from {}; this compares with {source}", run.of.run, run.source));
    }
    if run.mapping_hash != mapping_hash {
        said.push(format!("run {} had other mappings: what they make of a value may differ", run.of.run));
    }
    if run.is_alive {
        said.push(format!("run {} is still at work: keys that it has not come to count as missing", run.of.run));
    }
    said
}

/// The mappings whose rows do not say what they were made from.
fn without_lineage(checked: &Checked) -> Vec<String> {
    let without = checked.tables.iter().filter(|table| table.provenance == Provenance::Nowhere);
    let said = |table: &crate::sink::LoadTable| {
        format!(
            "{} keeps no lineage: whether a key or its row has changed cannot be told, and rows that differ count as different",
            table.mapping
        )
    };
    without.map(said).collect()
}

/// Brings the ledger up to date, where it is not.
async fn is_current(link: &mut Link) -> bool {
    let migrate = async |connection: &mut PgConnection| Ok(ledger::migrate(connection).await.is_ok());
    link.once(migrate).await.unwrap_or(false)
}

async fn tell(events: &EventSender, (run, cleans): (&Validatable, bool), warnings: &[Finding]) {
    let what = if cleans { "comparing keys before they are deleted:" } else { "validating" };
    let text = format!("{what} run {} of {}", run.of.run, run.started_at);
    let _ = events.send(Event::Notice(text)).await;
    for warning in warnings {
        let _ = events.send(Event::Notice(warning.to_string())).await;
    }
}
