//! What comes before a validation: the run that is meant (`chosen`), and a look at both ends for reading alone.

use super::ValidateRequest;
use super::chosen::{Chosen, find_run};
use crate::config::Settings;
use crate::flow::Stop;
use crate::job::databases::{Opened, Reached};
use crate::job::link::{Link, Waits};
use crate::job::look::{self, Looked, Looker, Source, TargetEnd};
use crate::job::named::is_column;
use crate::job::preflight::redis::Found;
use crate::job::preflight::{self, Check, Checked};
use crate::job::setup::{self, Ends};
use crate::ledger::Validatable;
use crate::mapping::MappingSpec;
use crate::model::{Event, EventSender, Failure, Finding};
use crate::postgres::Target;
use crate::sink::Provenance;
use crate::source::ServerClock;
use crate::source::redis::SourceSettings;
use sqlx::postgres::PgConnection;

/// What a validation works with.
pub(in crate::job) struct Ready {
    /// The settings, with what the run itself was limited to.
    pub(in crate::job) settings: Settings,
    /// The source as runs of it are known by.
    pub(in crate::job) identity: String,
    pub(in crate::job) chosen: Chosen,
    pub(in crate::job) databases: Vec<Opened>,
    pub(in crate::job) clock: Option<ServerClock>,
    pub(in crate::job) checked: Checked,
    pub(in crate::job) specs: Vec<MappingSpec>,
    pub(in crate::job) target: Target,
    pub(in crate::job) link: Link,
    stop: Stop,
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
    let mut link = Link::anew(target.clone(), Waits::new(&settings), stop.clone()).telling(events.clone());
    if request.run_before.is_none() {
        link.keep(target.connect().await?);
    }
    let identity = source.identity().unwrap_or_default();
    let asked = settings.run.keys.clone();
    let mut chosen = find_run(&mut link, &mut settings, (request, &specs, &identity)).await?;
    // They list what the run was asked for.
    let reached = reached.filter(|_| settings.run.keys == asked);
    if settings.run.keys.is_some() {
        source = setup::source_settings(&settings)?;
    }
    // A key goes only for what its row holds: then nothing that Redis has is left out of the comparison.
    let all = request.cleans.then(|| comparing_all(&settings, &specs));
    let compared = all.as_deref().unwrap_or(&specs);
    let look = Look { settings: &settings, specs: compared, run: &chosen.run, request, stop, events };
    let ends = match reached {
        Some(reached) => Some(look.at_tables(&mut link, reached).await?),
        None => look.at_both(&source, &target).await?,
    };
    let Some((Reached { databases, clock }, mut checked)) = ends.filter(|_| !stop.requested()) else { return Ok(None) };
    expect_of_the_run(&mut checked, &specs, request.cleans);
    chosen.untold.extend(without_lineage(&checked));
    let stop = stop.clone();
    Ok(Some(Ready { settings, identity, chosen, databases, clock, checked, specs, target, link, stop }))
}

/// What it takes to look at the ends.
struct Look<'a> {
    settings: &'a Settings,
    specs: &'a [MappingSpec],
    run: &'a Validatable,
    request: &'a ValidateRequest,
    stop: &'a Stop,
    events: &'a EventSender,
}

impl Look<'_> {
    /// Looks at the tables alone: the run has reached Redis.
    async fn at_tables(&self, link: &mut Link, reached: Reached) -> Result<(Reached, Checked), Failure> {
        let server = async |connection: &mut PgConnection| preflight::look(connection, self.settings).await;
        let server = link.call("looking at the server", server).await?;
        let stamp = look::stamp(self.settings, &self.run.of.run.to_string());
        let checked = look::check(link, (self.settings, self.specs), &stamp, &server, Check::Compare).await?;
        Ok((reached, checked))
    }

    /// Looks at both ends. `None`: a stop was asked for.
    async fn at_both(&self, source: &SourceSettings, target: &Target) -> Result<Option<(Reached, Checked)>, Failure> {
        let stamp = look::stamp(self.settings, &self.run.of.run.to_string());
        let (settings, stop, events) = (self.settings, self.stop, self.events);
        let looker = Looker { settings, stop, events, stamp: &stamp, how: Check::Compare, ahead: false, seek: false };
        let ends = look::Ends { specs: self.specs, source: Some(source), target: Some(target) };
        let Looked { source, target, troubles } = looker.look(&ends).await;
        let warnings = troubles.verdict(settings, self.specs)?;
        if stop.requested() {
            return Ok(None);
        }
        let (Some(Source { found, .. }), Some(TargetEnd { checked: Some(checked), .. })) = (source, target) else {
            return Err(Failure::internal("an end was not reached, and nothing says why"));
        };
        if self.request.run_before.is_none() {
            self.tell(&warnings).await;
        }
        let Found { databases, clock, .. } = found;
        Ok(Some((Reached { databases, clock }, checked)))
    }

    async fn tell(&self, warnings: &[Finding]) {
        let text = match (self.request.cleans, &self.request.run) {
            (true, _) => {
                let run = self.run.of.run;
                Some(format!("comparing keys before they are deleted: run {run} of {}", self.run.started_at))
            }
            (false, None) => Some(format!("the run that is validated is the latest one, of {}", self.run.started_at)),
            (false, Some(_)) => None,
        };
        if let Some(text) = text {
            let _ = self.events.send(Event::Notice(text)).await;
        }
        for warning in warnings {
            let _ = self.events.send(Event::Notice(warning.to_string())).await;
        }
    }
}

/// The mappings without `ignore_changes`, where that would hide what is lost with a key.
fn comparing_all(settings: &Settings, specs: &[MappingSpec]) -> Vec<MappingSpec> {
    let lossy = &settings.cleanup.lossy;
    let all =
        |spec: &MappingSpec| spec.comparing_all(|column| lossy.iter().any(|name| is_column(name, &spec.name, column)));
    specs.iter().map(all).collect()
}

/// A row that lacks a column has another value there than NULL, where the run gave it one of its own; looked at where all columns are
/// compared.
fn expect_of_the_run(checked: &mut Checked, specs: &[MappingSpec], cleans: bool) {
    for (table, spec) in checked.tables.iter_mut().zip(specs).filter(|_| cleans) {
        let given = spec.columns.iter().filter(|column| column.ignore_changes && column.falls_back_to_the_run());
        for given in given {
            let columns = table.columns.iter_mut().filter(|column| column.name == given.name);
            columns.for_each(|column| column.has_default = true);
        }
    }
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
