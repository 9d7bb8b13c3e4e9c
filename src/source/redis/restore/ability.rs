//! Whether keys can be restored here: the kind of server, its role, and the user's rights.

use super::super::RedisSource;
use super::super::rights::Permission;
use super::build::BUILDING;
use super::{RestoreOptions, Restorer};
use crate::model::{Failure, RedisKey, RedisType, RedisTypes, Side, UnixMillis};
use crate::source::ServerClock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// What every value takes that is built under another name.
const ON_NAMES: [&str; 6] = ["multi", "exec", "pexpire KEY 1", "persist KEY", "renamenx KEY KEY", "unlink KEY"];

/// What a type takes.
fn commands(redis_type: RedisType) -> &'static [&'static str] {
    match redis_type {
        RedisType::String => &["set KEY v", "append KEY v", "strlen KEY"],
        RedisType::Hash => &["hset KEY f v", "hlen KEY"],
        RedisType::List => &["rpush KEY v", "llen KEY"],
        RedisType::Set => &["sadd KEY v", "scard KEY"],
        RedisType::Zset => &["zadd KEY 1 v", "zcard KEY"],
        RedisType::Stream => {
            &["xadd KEY * f v", "xlen KEY", "xgroup create KEY g 0", "xsetid KEY 1-1", "xclaim KEY g c 0 1-1"]
        }
        RedisType::Json => &["json.set KEY $ 1"],
        RedisType::Module => &[],
    }
}

impl RedisSource {
    /// What restores keys into this database. Nothing is changed by this.
    ///
    /// # Errors
    /// A usage [`Failure`] for a cluster or a node of one, and for a user who may not run TYPE, or not write the names under which
    /// values are built; one of the Redis side for a replica, and for a server that is gone.
    pub async fn restorer(&self, options: RestoreOptions) -> Result<Restorer, Failure> {
        self.may_be_written()?;
        self.may_be_compared()?;
        if let Some(types) = options.built.filter(|_| !options.dry) {
            self.may_build(types, options.field_expiry).await?;
        }
        // Learns it: keys that are there are compared with their fields' times only where the server has any.
        let _ = self.hides_field_expiry().await?;
        let clock = match self.clock().await? {
            Some(clock) => clock,
            None => ServerClock::new(own_time(), Instant::now()),
        };
        let source = self.clone();
        let (line, restores, strays) = (None, true, Vec::new());
        let (dumps_refused, lost_pending, hashes_built) = (0, 0, 0);
        Ok(Restorer { source, options, clock, line, restores, dumps_refused, lost_pending, hashes_built, strays })
    }

    fn may_be_written(&self) -> Result<(), Failure> {
        let place = self.inner.target.place();
        if self.is_cluster() || self.server().is_some_and(|server| server.cluster) {
            let message =
                format!("Redis at {place} is a cluster, or a node of one, and keys cannot be restored there yet");
            return Err(Failure::usage(Side::Redis, message, "Name a single primary with redis:// or rediss://."));
        }
        if let Some(replica) = self.server().and_then(|server| server.replica.as_ref()) {
            let message = format!("Redis at {place} is a replica of {} and takes no writes", replica.of);
            return Err(Failure::redis(message, "Restore into its primary."));
        }
        Ok(())
    }

    /// Without TYPE nothing but a string could be told from what the file has.
    fn may_be_compared(&self) -> Result<(), Failure> {
        if self.inner.abilities.types {
            return Ok(());
        }
        let (place, user) = (self.inner.target.place(), self.user());
        let message = format!(
            "Redis at {place} does not let user {user} run TYPE, or does not know it: keys that are there cannot be compared"
        );
        Err(Failure::usage(Side::Redis, message, format!("Grant it: ACL SETUSER {user} +type")))
    }

    async fn may_build(&self, types: RedisTypes, field_expiry: bool) -> Result<(), Failure> {
        let name = RedisKey::new(format!("{BUILDING}0"));
        let timed = field_expiry.then_some("hpexpireat KEY 1 FIELDS 1 f");
        let asked = ON_NAMES.into_iter().chain(types.iter().flat_map(commands).copied()).chain(timed);
        let asked: Vec<&str> = asked.collect();
        let may = self.might(&asked, Some(&name)).await?;
        let Some((command, _)) = asked.iter().zip(may).find(|(_, may)| *may == Permission::Refused) else {
            return Ok(());
        };
        let command = command.split(' ').next().unwrap_or_default();
        let message = format!(
            "Redis at {} does not let user {} run {} on names such as {name}, under which values are built",
            self.inner.target.place(),
            self.user(),
            command.to_uppercase()
        );
        let hint = format!("Grant it: ACL SETUSER {} +{command} ~{BUILDING}*", self.user());
        Err(Failure::usage(Side::Redis, message, hint))
    }
}

/// This machine's clock, for a server that does not tell its own.
fn own_time() -> UnixMillis {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
