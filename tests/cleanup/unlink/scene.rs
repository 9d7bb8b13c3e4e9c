//! A server behind a proxy that sees each command before the server does, and does what the test wants just then.

use super::talk::Talk;
use super::{items, server, unlinked};
use crate::proxy::{Act, Proxy};
use redis2pg::model::RedisType;
use redis2pg::sandbox::{RedisOptions, RedisServer};
use redis2pg::source::redis::{Candidate, RedisSource, SourceSettings, UnlinkOptions, UnlinkOutcome, Unlinker};
use std::sync::atomic::AtomicU16;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A hash that must hold f: v.
pub(super) fn hash(key: &str) -> Candidate {
    items(key, RedisType::Hash, &["f", "v"])
}

/// Does something once: when the command passes that it is set for.
#[derive(Clone, Default)]
pub(super) struct Trap(Arc<Mutex<Option<&'static str>>>);

impl Trap {
    pub(super) fn set(&self, command: &'static str) {
        *self.0.lock().unwrap() = Some(command);
    }

    pub(super) fn springs(&self, words: &[String]) -> bool {
        self.0.lock().unwrap().take_if(|command| *command == words[0]).is_some()
    }

    pub(super) fn has_sprung(&self) -> bool {
        self.0.lock().unwrap().is_none()
    }
}

/// A server behind a proxy that does something when the trap springs.
pub(super) struct Scene {
    pub(super) server: Arc<Mutex<RedisServer>>,
    pub(super) redis: Talk,
    pub(super) trap: Trap,
    pub(super) unlinker: Unlinker,
}

impl Scene {
    pub(super) async fn new(act: impl Fn(&Mutex<RedisServer>) -> Act + Send + Sync + 'static) -> Self {
        // What was answered is on disk, whatever else the disk has to do.
        let settings = vec!["appendfsync always".to_owned()];
        let server = server(RedisOptions { save_to_disk: true, settings, ..RedisOptions::default() });
        let (port, server, trap) = (server.port(), Arc::new(Mutex::new(server)), Trap::default());
        // The proxy lives as long as the process, the server as long as the scene.
        let (own, hook) = (Arc::downgrade(&server), trap.clone());
        let proxy = Proxy::start(Arc::new(AtomicU16::new(port)), move |words| match hook.springs(words) {
            true => own.upgrade().map_or(Act::Pass, |server| act(&server)),
            false => Act::Pass,
        });
        let settings = SourceSettings { command_timeout: Duration::from_secs(2), ..SourceSettings::new(proxy.url()) };
        let source = RedisSource::connect(&settings, None).await.unwrap();
        let unlinker = source.unlinker(UnlinkOptions::default()).await.unwrap();
        Self { server, redis: Talk::to(port), trap, unlinker }
    }

    /// Unlinks with the trap set for a command, which must spring.
    pub(super) async fn unlink(&self, command: &'static str, candidates: &[Candidate]) -> Vec<UnlinkOutcome> {
        self.trap.set(command);
        let outcomes = unlinked(&self.unlinker, candidates).await;
        assert!(self.trap.has_sprung(), "{command}");
        outcomes
    }
}

pub(super) fn port(server: &Mutex<RedisServer>) -> u16 {
    server.lock().unwrap().port()
}

/// Says commands, each of words without spaces.
pub(super) fn say(port: u16, commands: &[&str]) {
    let mut redis = Talk::to(port);
    for command in commands {
        redis.say(&command.split(' ').collect::<Vec<_>>());
    }
}
