//! What must be true of the Redis side before the first key is read, and what a person should know of it: of the server,
//! this user's rights, the keys, and the databases that nobody reads.

mod client_prefix;
mod clock;
mod field_ttl;
mod keys;
mod needs;
mod server;
mod survey;

pub(in crate::job) use server::{is_node_of_cluster, judge_server};

use crate::config::Settings;
use crate::flow::Stop;
use crate::job::databases::{self, Opened};
use crate::mapping::{MappingSpec, Plan};
use crate::model::{EventSender, Failure, Finding};
use crate::source::ServerClock;
use crate::source::redis::{Permission, RedisSource};
use survey::Survey;

/// The source as it was found.
pub(in crate::job) struct Found {
    /// The databases that the mappings read.
    pub(in crate::job) databases: Vec<Opened>,
    /// Redis's clock, where it may be asked for.
    pub(in crate::job) clock: Option<ServerClock>,
    surveys: Vec<Survey>,
    /// What there is to say so far.
    pub(in crate::job) findings: Vec<Finding>,
    /// What ended the look before its end, or forbids a run.
    pub(in crate::job) failures: Vec<Failure>,
}

/// What a look goes by.
#[derive(Clone, Copy)]
pub(in crate::job) struct Look<'a> {
    pub(in crate::job) settings: &'a Settings,
    /// The mappings; none, where the server alone is looked at.
    pub(in crate::job) specs: &'a [MappingSpec],
    pub(in crate::job) stop: &'a Stop,
    pub(in crate::job) events: &'a EventSender,
    /// Whether it is a look alone, without a run behind it: what matters to later work only is noted as well.
    pub(in crate::job) ahead: bool,
    /// Whether keys of the mappings are looked for, as far as the settings do not name keys.
    pub(in crate::job) seek: bool,
}

impl Look<'_> {
    /// Looks at what does not depend on the target.
    pub(in crate::job) async fn source(self, source: &RedisSource) -> Found {
        let mut found = Found {
            databases: Vec::new(),
            clock: None,
            surveys: Vec::new(),
            findings: server::judge(source, self.ahead),
            failures: Vec::new(),
        };
        // Of a part of the keys there is nothing to say that holds for all.
        if !is_node_of_cluster(source)
            && let Err(failure) = self.databases(source, &mut found).await
        {
            found.failures.push(failure);
        }
        found
    }

    async fn databases(self, source: &RedisSource, found: &mut Found) -> Result<(), Failure> {
        found.databases = databases::open(source, self.specs, self.events).await?;
        if self.specs.is_empty() {
            return Ok(());
        }
        let read: Vec<u8> = found.databases.iter().map(|opened| opened.database.number).collect();
        found.findings.extend(server::unread(source, &read));
        found.clock = source.clock().await?;
        if found.clock.is_none() {
            found.findings.extend(clock::least_times(self.specs));
        }
        let may_scan = source.permissions(&["scan"]).await?.first() != Some(&Permission::Refused);
        let run = &self.settings.run;
        if may_scan && self.seek && !run.allow_empty && run.keys_from.is_none() {
            let own = source.database();
            let all = survey::all(
                &found.databases,
                self.settings,
                (self.specs, own),
                self.stop,
                self.events,
                &mut found.surveys,
            );
            if let Err(failure) = all.await {
                found.failures.push(failure);
            }
        }
        Ok(())
    }

    /// Looks at what the mappings want, by the plan where there is one.
    ///
    /// # Errors
    /// Redis is gone.
    pub(in crate::job) async fn rights(
        self,
        source: &RedisSource,
        found: &Found,
        plan: Option<&Plan>,
    ) -> Result<Vec<Finding>, Failure> {
        let mut findings = needs::judge(source, self.specs, plan, self.settings.run.delete_gone).await?;
        findings.extend(keys::judge(source, (self.specs, self.settings), &found.surveys).await?);
        if self.ahead && !self.specs.is_empty() {
            let example = found.surveys.iter().find_map(Survey::example);
            findings.extend(needs::cleanup(source, &keys::all_globs(self.specs, self.settings), example).await?);
        }
        if let Some(plan) = plan {
            findings.extend(field_ttl::judge(&found.databases, plan).await?);
            if found.clock.is_none() {
                findings.extend(clock::times_left(plan));
            }
        }
        Ok(findings)
    }
}
