//! Making the connection: bounded in time, with a clear failure, and learning what the server can do.

use super::address::Address;
use super::cluster::Cluster;
use super::errors;
use super::loading::{LastTold, Teller, Waiting};
use super::retry::Retry;
use super::server::ServerFacts;
use super::settings::SourceSettings;
use super::target::Target;
use super::wire::{Wire, send};
use super::{Hearer, Inner, RedisSource, bytes_of, tls};
use crate::model::{EventSender, Failure};
use fred::clients::Client;
use fred::error::{Error, ErrorKind};
use fred::interfaces::ClientLike;
use fred::types::config::{
    Config, ConnectionConfig, CredentialProvider, PerformanceConfig, ReconnectPolicy, Server, ServerConfig, TcpConfig,
    UnresponsiveConfig,
};
use fred::types::{ConnectHandle, Resp3Frame, Value};
use futures::FutureExt;
use futures::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;

/// Commands in flight at most; a page and its times of expiry are some thousands.
const MAX_IN_FLIGHT: usize = 100_000;
/// Further attempts at a command on one node of a cluster, before it is asked which node has the key now.
const NODE_ATTEMPTS: u32 = 1;
/// The key that is asked for to learn whether a command may be run. Any key does; this one is unlikely to be there.
pub(super) const PROBE_KEY: &str = "redis2pg:probe";

/// What the server can do and is, learned once.
#[derive(Clone, Debug, Default)]
pub(super) struct Abilities {
    /// What INFO tells, where it is not refused.
    pub(super) server: Option<ServerFacts>,
    pub(super) run_id: Option<String>,
    /// Whether CLIENT ID works, for telling connections apart where INFO is refused.
    pub(super) client_id: bool,
    /// Whether TYPE works.
    pub(super) types: bool,
    /// Whether PEXPIRETIME works (Redis 7).
    pub(super) expire_time: bool,
    /// Whether a read-only script may ask for the times of expiry of a whole page (Redis 7).
    pub(super) read_script: bool,
    /// Whether a read-only script may ask for type, size and time of expiry of a whole page (Redis 7).
    pub(super) facts_script: bool,
    /// Whether reading leaves idle times alone (Redis 7.2).
    pub(super) no_touch: bool,
}

impl RedisSource {
    /// Connects, and learns what the server can do. Notices of what happens later go to `events`, as long as somebody else
    /// keeps that open.
    ///
    /// # Errors
    /// A usage [`Failure`] for a bad URL, refused credentials or a missing database; one of the Redis side for an
    /// unreachable server, within `connect_timeout` and a moment, or one that is not ready after all attempts.
    pub async fn connect(settings: &SourceSettings, events: Option<EventSender>) -> Result<Self, Failure> {
        let target = Target::parse(settings)?;
        let hearer = events.as_ref().map(EventSender::downgrade);
        if target.cluster.is_some() {
            return Box::pin(Cluster::connect(settings, target, hearer)).await;
        }
        let client = open(settings, &target, hearer.as_ref()).await?;
        let abilities = learn(&client, &target, settings, hearer.as_ref()).await?;
        Ok(Self::of(Inner::new(Wire::new(client, false), target, settings.clone(), abilities, hearer)))
    }

    /// Connects to one node of a cluster. `asking`: for keys that the cluster is moving to it.
    pub(super) async fn connect_node(
        settings: &SourceSettings,
        target: Target,
        events: Option<Hearer>,
        (first, asking): (bool, bool),
    ) -> Result<Self, Failure> {
        let client = open(settings, &target, events.as_ref()).await?;
        // Where the node does not answer, another one may have taken its place: that is found out above this. The first node is
        // waited for, since nobody else can be asked.
        let hasty =
            SourceSettings { reconnect_attempts: NODE_ATTEMPTS, loading_timeout: Duration::ZERO, ..settings.clone() };
        let patience = if first { settings } else { &hasty };
        let mut abilities = learn(&client, &target, patience, events.as_ref()).await?;
        // The keys of a page are of many slots; scripts as they are for one server take those of one.
        (abilities.read_script, abilities.facts_script) = (false, false);
        let inner = Inner::new(Wire::new(client, asking), target, hasty, abilities, events);
        let mut node = Self::of(Inner { clustered: true, ..inner });
        if !asking {
            let (read, facts) = node.may_run_scripts().await;
            if let Some(inner) = Arc::get_mut(&mut node.inner) {
                (inner.abilities.read_script, inner.abilities.facts_script) = (read, facts);
            }
        }
        Ok(node)
    }

    /// Whether a node lets a script look at keys of several of its slots, for times of expiry and for facts.
    async fn may_run_scripts(&self) -> (bool, bool) {
        let Some(keys) = self.probes().await else { return (false, false) };
        let may = async |script| self.once("EVAL_RO", self.script(script, &keys)).await.is_ok();
        if !may(super::expiry::EXPIRY_SCRIPT).await {
            return (false, false);
        }
        (true, may(super::collections::facts::FACTS_SCRIPT).await)
    }
}

/// One more connection to the same server.
pub(super) async fn another(settings: &SourceSettings, target: &Target) -> Result<Client, Error> {
    one_more(client(settings, target).await, errors::is_refused_for_good)
}

/// One more that is not made again when it breaks: it is over then, and so is the task that comes with it. What it is asked
/// from then on would not be answered before `command_timeout`.
pub(super) async fn unrenewed(settings: &SourceSettings, target: &Target) -> Result<(Client, ConnectHandle), Error> {
    one_more(made(settings, target, None).await, errors::is_refused_for_good)
}

/// One like [`unrenewed`], for who waits by himself until the server is ready.
pub(super) async fn for_writing(settings: &SourceSettings, target: &Target) -> Result<Client, Error> {
    let says = |error: &Error| errors::is_refused_for_good(error) || errors::is_not_ready(error);
    one_more(made(settings, target, None).await, says).map(|(client, _task)| client)
}

/// `says`: whether the server's error is given as it is; any other counts as a connection that was lost.
fn one_more<T>(made: Result<Result<T, Error>, Failure>, says: impl Fn(&Error) -> bool) -> Result<T, Error> {
    let lost = |why: String| Error::new(ErrorKind::IO, why);
    match made {
        Ok(Ok(made)) => Ok(made),
        // The first connection was made with these settings; they may have been refused since.
        Ok(Err(error)) if says(&error) => Err(error),
        Ok(Err(error)) => Err(lost(error.details().to_owned())),
        Err(failure) => Err(lost(failure.message)),
    }
}

/// The first connection.
async fn open(settings: &SourceSettings, target: &Target, events: Option<&Hearer>) -> Result<Client, Failure> {
    ready(settings, target, events, errors::at_connect).await
}

/// A connection with another database of a server that has been reached.
pub(super) async fn another_database(
    settings: &SourceSettings,
    target: &Target,
    events: Option<&Hearer>,
) -> Result<Client, Failure> {
    ready(settings, target, events, errors::no_database).await
}

/// A server that cannot be reached fails at once; one that says that it is not ready yet is waited for.
async fn ready(
    settings: &SourceSettings,
    target: &Target,
    events: Option<&Hearer>,
    refused: fn(&Error, &Target) -> Failure,
) -> Result<Client, Failure> {
    let told = LastTold::default();
    let mut retry =
        Retry::new("PING", Waiting { settings, target, teller: Teller { events, ..Teller::silent(&told) } }, 0);
    loop {
        match client(settings, target).await? {
            Ok(client) => return Ok(client),
            Err(error) if errors::is_not_ready(&error) => retry.after(error).await?,
            Err(error) => return Err(refused(&error, target)),
        }
    }
}

/// A connection, or the server's reason against it.
///
/// # Errors
/// It takes longer than it may.
pub(super) async fn client(settings: &SourceSettings, target: &Target) -> Result<Result<Client, Error>, Failure> {
    // How long to go on is decided a command at a time (`Retry`); the connection itself never gives up.
    let policy = ReconnectPolicy::new_exponential(0, 50, 2_000, 2);
    Ok(made(settings, target, Some(policy)).await?.map(|(client, _task)| client))
}

/// What the client asks for a password, and gets none. It sends no PING then, as it would without one.
#[derive(Debug)]
struct NoPassword;

impl CredentialProvider for NoPassword {
    fn fetch<'a, 'b, 'c>(
        &'a self,
        _server: Option<&'b Server>,
    ) -> BoxFuture<'c, Result<(Option<String>, Option<String>), Error>>
    where
        'a: 'c,
        'b: 'c,
    {
        std::future::ready(Ok((None, None))).boxed()
    }
}

/// A connection that is made again by this policy, or never; with the task that serves it. A server whose last save failed refuses a PING as
/// it refuses writes, and can be read all the same.
async fn made(
    settings: &SourceSettings,
    target: &Target,
    policy: Option<ReconnectPolicy>,
) -> Result<Result<(Client, ConnectHandle), Error>, Failure> {
    let config = config(settings, target)?;
    match made_by(settings, target, (config.clone(), policy.clone())).await? {
        Err(error) if errors::is_unsaved(&error) => {
            let config = Config { credential_provider: Some(Arc::new(NoPassword)), ..config };
            made_by(settings, target, (config, policy)).await
        }
        made => Ok(made),
    }
}

async fn made_by(
    settings: &SourceSettings,
    target: &Target,
    (config, policy): (Config, Option<ReconnectPolicy>),
) -> Result<Result<(Client, ConnectHandle), Error>, Failure> {
    let mut connection = connection(settings);
    if policy.is_none() {
        connection.max_command_attempts = 1;
    }
    let performance =
        PerformanceConfig { default_command_timeout: settings.command_timeout, ..PerformanceConfig::default() };
    let client = Client::new(config, Some(performance), Some(connection), policy);
    match tokio::time::timeout(settings.connect_timeout, client.init()).await {
        Ok(Ok(task)) => Ok(Ok((client, task))),
        Ok(Err(error)) => Ok(Err(error)),
        Err(_) => {
            // Stops the attempts that go on behind our back; bounded, since it may wait for them.
            let _ = tokio::time::timeout(Duration::from_secs(1), client.quit()).await;
            let why = format!("no answer within {:?} (source.connect_timeout)", settings.connect_timeout);
            Err(errors::unreachable(&why, target))
        }
    }
}

fn config(settings: &SourceSettings, target: &Target) -> Result<Config, Failure> {
    let (server, tls) = match &target.address {
        Address::Tcp { host, port, tls } => {
            let tls = if *tls { Some(tls::config(settings.ca_file.as_deref())?) } else { None };
            (ServerConfig::new_centralized(host.clone(), *port), tls)
        }
        Address::Unix(path) => (ServerConfig::Unix { path: path.clone() }, None),
    };
    Ok(Config {
        server,
        tls,
        username: target.username.clone(),
        password: target.password.clone(),
        // Database 0 needs no SELECT, which some services and ACLs refuse.
        database: Some(target.database).filter(|database| *database != 0),
        fail_fast: true,
        ..Config::default()
    })
}

fn connection(settings: &SourceSettings) -> ConnectionConfig {
    ConnectionConfig {
        connection_timeout: settings.connect_timeout,
        internal_command_timeout: settings.connect_timeout,
        max_command_buffer_len: MAX_IN_FLIGHT,
        // A connection that has gone silent is closed, so that it can be made again.
        unresponsive: UnresponsiveConfig {
            max_timeout: Some(settings.command_timeout),
            interval: Duration::from_secs(1).min(settings.command_timeout),
        },
        tcp: TcpConfig { nodelay: Some(true), ..TcpConfig::default() },
        ..ConnectionConfig::default()
    }
}

async fn learn(
    client: &Client,
    target: &Target,
    settings: &SourceSettings,
    events: Option<&Hearer>,
) -> Result<Abilities, Failure> {
    let told = LastTold::default();
    let teller = Teller { events, client: Some(client), told: &told };
    let ask = Questions { client, waiting: Waiting { settings, target, teller } };
    let mut abilities = Abilities::default();
    match ask.info().await? {
        Ok(text) => {
            let server = ServerFacts::read(&text);
            abilities.run_id.clone_from(&server.run_id);
            abilities.server = Some(server);
        }
        Err(error) => tracing::debug!("INFO: {}", target.scrub(error.details())),
    }
    if !target.is_node && abilities.server.as_ref().is_some_and(|server| server.cluster) {
        // It answers for a part of the keys, which the probe may not be in.
        return Ok(abilities);
    }
    if abilities.run_id.is_none() {
        abilities.client_id = ask.works("CLIENT", vec!["ID".into()]).await?;
    }
    abilities.types = match ask.once("TYPE", vec![PROBE_KEY.into()]).await? {
        Ok(_) => true,
        Err(error) => !errors::is_unavailable(&error),
    };
    abilities.expire_time = match ask.once("PEXPIRETIME", vec![PROBE_KEY.into()]).await? {
        Ok(_) => true,
        Err(error) => !errors::is_unavailable(&error),
    };
    // EVAL_RO and PEXPIRETIME came with the same version; scripts may be forbidden all the same.
    let probe = vec![super::expiry::EXPIRY_SCRIPT.into(), "1".into(), PROBE_KEY.into()];
    abilities.read_script = abilities.expire_time && ask.works("EVAL_RO", probe).await?;
    let probe = vec![super::collections::facts::FACTS_SCRIPT.into(), "1".into(), PROBE_KEY.into()];
    abilities.facts_script = abilities.read_script && ask.works("EVAL_RO", probe).await?;
    abilities.no_touch = ask.works("CLIENT", vec!["NO-TOUCH".into(), "ON".into()]).await?;
    Ok(abilities)
}

/// Questions to a server that has answered once: one that goes away now is asked again.
struct Questions<'a> {
    client: &'a Client,
    waiting: Waiting<'a>,
}

impl Questions<'_> {
    /// The answer, or why the server gives none. An error that passes is waited for: it must not be taken for a server
    /// that cannot do something.
    async fn once(&self, command: &'static str, args: Vec<Value>) -> Result<Result<Resp3Frame, Error>, Failure> {
        let mut retry = Retry::new(command, self.waiting, 0);
        loop {
            match send(self.client, command, args.clone()).await {
                Err(error) if errors::is_transient(&error) => retry.after(error).await?,
                answer => return Ok(answer),
            }
        }
    }

    async fn works(&self, command: &'static str, args: Vec<Value>) -> Result<bool, Failure> {
        Ok(self.once(command, args).await?.is_ok())
    }

    async fn info(&self) -> Result<Result<String, Error>, Failure> {
        let reply = self.once("INFO", Vec::new()).await?;
        let text = reply.and_then(|reply| bytes_of(reply).ok_or_else(|| errors::unexpected("INFO", "no text")));
        Ok(text.map(|text| String::from_utf8_lossy(&text).into_owned()))
    }
}
