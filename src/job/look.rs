//! The look at both ends before a run: all that is wrong with either is told at once. What one end suffers from does not
//! keep the other from being looked at.

use super::link::{Link, Trouble, Waits};
use super::mapping_specs::place;
use super::preflight::redis::{Found, Look, is_node_of_cluster};
use super::preflight::{self, Check, Checked, Server};
use super::setup;
use crate::config::Settings;
use crate::flow::Stop;
use crate::mapping::{MappingSpec, RunStamp};
use crate::model::{EventSender, Exit, Failure, Finding, Severity};
use crate::postgres::{Target, answered, failure};
use crate::source::redis::{RedisSource, SourceSettings};
use sqlx::postgres::PgConnection;
use std::cmp::Reverse;
use std::error::Error;

/// What is looked at.
pub(super) struct Ends<'a> {
    /// The mappings; none, where the servers alone are looked at.
    pub(super) specs: &'a [MappingSpec],
    pub(super) source: Option<&'a SourceSettings>,
    pub(super) target: Option<&'a Target>,
}

/// The ends as they were found.
pub(super) struct Looked {
    pub(super) source: Option<Source>,
    pub(super) target: Option<TargetEnd>,
    pub(super) troubles: Troubles,
}

/// The source, reached.
pub(super) struct Source {
    pub(super) redis: RedisSource,
    pub(super) found: Found,
}

/// The target, reached.
pub(super) struct TargetEnd {
    pub(super) link: Link,
    pub(super) server: Server,
    /// Where nothing is wrong with its tables, and there are mappings.
    pub(super) checked: Option<Checked>,
}

/// How to look.
#[derive(Clone, Copy)]
pub(super) struct Looker<'a> {
    pub(super) settings: &'a Settings,
    pub(super) stop: &'a Stop,
    pub(super) events: &'a EventSender,
    pub(super) stamp: &'a RunStamp,
    pub(super) how: Check,
    /// Whether it is a look alone, without a run behind it.
    pub(super) ahead: bool,
    /// Whether keys of the mappings are looked for, as far as the settings do not name keys; a retry knows its keys.
    pub(super) seek: bool,
}

impl Looker<'_> {
    /// Looks at both ends, side by side. Nothing is left behind in either.
    pub(super) async fn look(self, ends: &Ends<'_>) -> Looked {
        let mut troubles = Troubles::default();
        let (source, target) = tokio::join!(self.reach_source(ends.source), self.reach_target(ends.target));
        let source = troubles.take("source", source).flatten();
        let target = troubles.take("target", target).flatten();
        let server_version = source.as_ref().and_then(|source| source.version()).map(str::to_owned);
        let stamp = RunStamp { server_version, ..self.stamp.clone() };
        let (source, target) =
            tokio::join!(self.look_at_source(source, ends.specs), self.look_at_target(target, ends.specs, &stamp));
        let (mut target, trouble) = target;
        troubles.failures.extend(trouble.map(|failure| ("target", failure)));
        let mut looked = Looked { source, target: target.take(), troubles };
        looked.look_at_rights(self, ends.specs).await;
        // A retry says itself where its run read from.
        if self.seek {
            looked.look_at_other_source(self.settings, ends.specs).await;
        }
        looked
    }

    async fn reach_source(self, source: Option<&SourceSettings>) -> Result<Option<RedisSource>, Failure> {
        match source {
            Some(source) => {
                let source = SourceSettings { stop: self.stop.clone(), ..source.clone() };
                RedisSource::connect(&source, Some(self.events.clone())).await.map(Some)
            }
            None => Ok(None),
        }
    }

    async fn reach_target(self, target: Option<&Target>) -> Result<Option<(Link, Server)>, Failure> {
        let Some(target) = target else { return Ok(None) };
        let waits = Waits::new(self.settings);
        let mut connection = target.connect().await?;
        let server = answered(waits.silence, preflight::look(&mut connection, self.settings)).await;
        let server = server.map_err(Trouble::Server).flatten().map_err(|trouble| match trouble {
            Trouble::Final(failure) => failure,
            Trouble::Server(error) => failure("looking at the server", error),
        })?;
        Ok(Some((Link::new(target.clone(), connection, waits, self.stop.clone(), self.events.clone()), server)))
    }

    async fn look_at_source(self, source: Option<RedisSource>, specs: &[MappingSpec]) -> Option<Source> {
        let redis = source?;
        let found = self.redis(specs).source(&redis).await;
        Some(Source { redis, found })
    }

    fn redis<'a>(&'a self, specs: &'a [MappingSpec]) -> Look<'a> {
        Look {
            settings: self.settings,
            specs,
            stop: self.stop,
            events: self.events,
            ahead: self.ahead,
            seek: self.seek,
        }
    }

    async fn look_at_target(
        self,
        target: Option<(Link, Server)>,
        specs: &[MappingSpec],
        stamp: &RunStamp,
    ) -> (Option<TargetEnd>, Option<Failure>) {
        let Some((mut link, server)) = target else { return (None, None) };
        if specs.is_empty() {
            return (Some(TargetEnd { link, server, checked: None }), None);
        }
        let (checked, trouble) = match check(&mut link, (self.settings, specs), stamp, &server, self.how).await {
            Ok(checked) => (Some(checked), None),
            Err(failure) => (None, Some(failure)),
        };
        (Some(TargetEnd { link, server, checked }), trouble)
    }
}

/// Reads the tables and compiles the plan.
///
/// # Errors
/// Whatever forbids the run.
pub(super) async fn check(
    link: &mut Link,
    (settings, specs): (&Settings, &[MappingSpec]),
    stamp: &RunStamp,
    server: &Server,
    how: Check,
) -> Result<Checked, Failure> {
    let work = async |connection: &mut PgConnection| {
        preflight::check(connection, settings, specs, stamp, server.clone(), how).await
    };
    link.call("reading the target's tables", work).await
}

impl Looked {
    /// Whether the target has rows of these mappings that were read from somewhere else.
    async fn look_at_other_source(&mut self, settings: &Settings, specs: &[MappingSpec]) {
        let (Some(Source { redis, .. }), Some(TargetEnd { link, checked: Some(_), .. })) =
            (&self.source, &mut self.target)
        else {
            return;
        };
        let source = redis.identity();
        let lock_timeout = settings.target.lock_timeout.0;
        let judge = async |connection: &mut PgConnection| {
            preflight::other_source::judge(connection, specs, &source, lock_timeout).await
        };
        match link.read("reading where earlier runs read from", judge).await {
            Ok(findings) => self.troubles.findings.extend(findings),
            Err(failure) => self.troubles.failures.push(("target", failure)),
        }
    }

    /// What depends on the plan, where there is one.
    async fn look_at_rights(&mut self, looker: Looker<'_>, specs: &[MappingSpec]) {
        let checked = self.target.as_ref().and_then(|target| target.checked.as_ref());
        if let Some(checked) = checked {
            self.troubles.findings.extend(checked.warnings.iter().cloned());
        }
        let Some(Source { redis, found }) = &mut self.source else { return };
        self.troubles.findings.append(&mut found.findings);
        let failures = std::mem::take(&mut found.failures);
        let lost = failures.iter().any(|failure| failure.exit == Exit::Redis);
        self.troubles.failures.extend(failures.into_iter().map(|failure| ("source", failure)));
        // A server that is gone has been waited for already.
        if !lost && !is_node_of_cluster(redis) {
            match looker.redis(specs).rights(redis, found, checked.map(|checked| &checked.plan)).await {
                Ok(findings) => self.troubles.findings.extend(findings),
                Err(failure) => self.troubles.failures.push(("source", failure)),
            }
        }
    }
}

/// What was found, in whatever form.
#[derive(Default)]
pub(super) struct Troubles {
    /// What was found of settings, servers and tables.
    findings: Vec<Finding>,
    /// What ended the look at a side, or forbids the run, by the part of the settings that it is about.
    failures: Vec<(&'static str, Failure)>,
}

/// All that was found, and what to exit with for it.
#[derive(Debug)]
pub(super) struct Sorted {
    /// Critical ones first.
    pub(super) findings: Vec<Finding>,
    /// `Done` where none is critical.
    pub(super) exit: Exit,
}

impl Troubles {
    /// Notes a failure.
    pub(super) fn take<T>(&mut self, part: &'static str, result: Result<T, Failure>) -> Option<T> {
        result.map_err(|failure| self.failures.push((part, failure))).ok()
    }

    /// Adds what was found elsewhere.
    pub(super) fn add(&mut self, more: Self) {
        self.findings.extend(more.findings);
        self.failures.extend(more.failures);
    }

    /// All of it as findings, with the lines that they are about.
    pub(super) fn sorted(&self, settings: &Settings, specs: &[MappingSpec]) -> Sorted {
        let mut findings = self.findings.clone();
        let forbids = |finding: &Finding| finding.severity == Severity::Critical;
        let mut exit = if findings.iter().any(forbids) { Exit::Usage } else { Exit::Done };
        for (part, failure) in &self.failures {
            exit = exit.or_worse(failure.exit);
            findings.extend(as_findings(part, failure));
        }
        for finding in &mut findings {
            place(finding, settings, specs);
        }
        findings.sort_by_key(|finding| Reverse(finding.severity));
        Sorted { findings, exit }
    }

    /// Why settings are refused that nothing at the ends was looked at for.
    pub(super) fn refusal(self, settings: &Settings) -> Failure {
        let refused = self.verdict(settings, &[]).err();
        refused.unwrap_or_else(|| Failure::internal("settings are refused, and nothing says why"))
    }

    /// The warnings, or why there can be no run: one failure as it is, several troubles as findings.
    ///
    /// # Errors
    /// Something is critical.
    pub(super) fn verdict(mut self, settings: &Settings, specs: &[MappingSpec]) -> Result<Vec<Finding>, Failure> {
        if self.findings.is_empty() && self.failures.len() == 1 && self.failures[0].1.findings.is_empty() {
            return Err(self.failures.remove(0).1);
        }
        let Sorted { findings, exit } = self.sorted(settings, specs);
        if exit == Exit::Done {
            return Ok(findings);
        }
        let sides = sides(&findings);
        let failure = Failure::findings(findings);
        let message = match sides.as_slice() {
            [] | [_] => failure.message,
            _ => format!("{} ({})", failure.message, sides.join(", ")),
        };
        Err(Failure { exit, message, ..failure })
    }
}

/// The sides that findings are about, each once, in their order.
fn sides(findings: &[Finding]) -> Vec<String> {
    let mut sides: Vec<String> = Vec::new();
    for side in findings.iter().map(|finding| finding.side.to_string()) {
        if !sides.contains(&side) {
            sides.push(side);
        }
    }
    sides
}

/// A failure as findings: those that it has, or one that says what it says.
pub(super) fn as_findings(part: &str, failure: &Failure) -> Vec<Finding> {
    if !failure.findings.is_empty() {
        return failure.findings.clone();
    }
    // The subject says it.
    let said = failure.message.strip_prefix(part).and_then(|rest| rest.strip_prefix(": "));
    let mut message = said.unwrap_or(&failure.message).to_owned();
    let mut cause = failure.source.as_deref().map(|source| source as &dyn Error);
    while let Some(error) = cause {
        let text = error.to_string();
        if !message.contains(&text) {
            message = format!("{message}: {text}");
        }
        cause = error.source();
    }
    vec![Finding::critical(failure.side, part, message, failure.hint.as_str())]
}

/// The stamp of rows that are only judged.
pub(super) fn stamp(settings: &Settings, run: &str) -> RunStamp {
    RunStamp { run_id: run.to_owned(), database: setup::own_database(settings), ..RunStamp::default() }
}

#[cfg(test)]
mod tests {
    use super::Troubles;
    use crate::config::{FlagValues, Settings};
    use crate::model::{Exit, Failure, Finding, Side};

    fn settings() -> Settings {
        Settings::load(FlagValues::default(), std::iter::empty(), &[], &|_| Vec::new()).unwrap()
    }

    fn warning() -> Finding {
        Finding::warning(Side::Redis, "replica", "is one", "")
    }

    #[test]
    fn what_is_critical_comes_first_and_the_first_exit_that_applies_is_given() {
        let usage = || Failure::findings(vec![warning(), Finding::critical(Side::Postgres, "a.b", "is missing", "")]);
        let (redis, postgres) = (|| Failure::redis("is gone", ""), || Failure::postgres("is gone", ""));
        for (failures, exit) in [
            (vec![redis(), postgres()], Exit::Redis),
            (vec![postgres(), redis()], Exit::Redis),
            (vec![redis(), usage()], Exit::Usage),
            (vec![postgres()], Exit::Postgres),
        ] {
            let failures = failures.into_iter().map(|failure| ("end", failure)).collect();
            let said = Troubles { findings: vec![warning()], failures }.verdict(&settings(), &[]).unwrap_err();
            assert_eq!(said.exit, exit, "{said:?}");
            let severities: Vec<_> = said.findings.iter().map(|finding| finding.severity).collect();
            assert!(severities.is_sorted_by(|one, other| one >= other), "{said:?}");
        }
        let right = Finding::critical(Side::Redis, "user", "may not", "");
        let both = Troubles { findings: vec![right], failures: vec![("target", postgres())] };
        let both = both.verdict(&settings(), &[]).unwrap_err();
        assert_eq!(both.exit, Exit::Usage, "rights come before servers");
        assert_eq!(both.message, "2 findings (redis, postgres)");
        let alone = Troubles {
            findings: vec![warning(), Finding::critical(Side::Redis, "user", "may not", "")],
            failures: vec![],
        };
        assert_eq!(alone.verdict(&settings(), &[]).unwrap_err().message, "2 findings");
    }

    #[test]
    fn one_failure_stays_as_it_is_and_keeps_its_cause_beside_others() {
        let failure = || Failure::redis("is gone", "start it").because(std::io::Error::other("refused"));
        let alone = Troubles { findings: Vec::new(), failures: vec![("source", failure())] };
        let alone = alone.verdict(&settings(), &[]).unwrap_err();
        assert!(alone.source.is_some() && alone.findings.is_empty());
        let beside = Troubles { findings: vec![warning()], failures: vec![("source", failure())] };
        let beside = beside.verdict(&settings(), &[]).unwrap_err();
        assert_eq!(beside.findings[0].message, "is gone: refused");
        let warned = Troubles { findings: vec![warning()], failures: Vec::new() };
        assert_eq!(warned.verdict(&settings(), &[]).unwrap(), [warning()]);
    }
}
