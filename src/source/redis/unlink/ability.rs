//! Whether keys can be deleted here at all, and how: the kind of server, and the user's rights.

use super::super::connect::PROBE_KEY;
use super::super::rights::{Permission, judged};
use super::super::server::ServerFacts;
use super::super::{RedisSource, bytes_of, number_of};
use super::connection::Connection;
use super::script::script;
use crate::model::{Failure, Side};
use fred::error::Error;
use fred::types::Resp3Frame;
use uuid::Uuid;

/// How keys can be compared and deleted. At least one of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnlinkAbility {
    /// By a script. Where that is refused, strings are watched like all else, and that takes longer.
    pub script: bool,
    /// Under a watch. Where that is refused, only strings of up to a megabyte can be deleted, and every other key ends as
    /// [`super::UnlinkOutcome::Forbidden`].
    pub watch: bool,
}

/// What a server says of itself.
struct Kind {
    /// The first number of its version.
    release: u64,
    primary: bool,
    cluster: bool,
}

/// What this user may run of what deleting takes.
struct Rights {
    unlink: Permission,
    /// Those of the script and those of the watch that it may not, as ACL names them.
    script_lacks: Vec<&'static str>,
    watch_lacks: Vec<&'static str>,
}

impl RedisSource {
    /// Whether keys of this database can be compared and deleted, and how. To be asked before a cleanup begins; nothing is
    /// changed by it.
    ///
    /// # Errors
    /// A usage [`Failure`] that says what is in the way: it is a cluster or a node of one, a replica, older than Redis 6, does not
    /// tell what it is, or the user lacks a right, which is named. One of the Redis side where the server is gone.
    pub async fn unlink_ability(&self) -> Result<UnlinkAbility, Failure> {
        self.must_be_a_single_primary().await?;
        let mut retry = self.retry("UNLINK");
        let rights = loop {
            match self.unlink_rights().await {
                Ok(rights) => break rights,
                Err(error) => retry.after(error).await?,
            }
        };
        if rights.unlink != Permission::Granted {
            return Err(self.lacks("UNLINK, which deletes keys", "+unlink"));
        }
        let ability = UnlinkAbility { script: rights.script_lacks.is_empty(), watch: rights.watch_lacks.is_empty() };
        if !ability.script && !ability.watch {
            let named = |lacks: &[&str]| lacks.join(", ").to_uppercase();
            let lacks = format!(
                "what comparing and deleting in one step takes: neither EVAL and GET (lacking: {}) nor WATCH, MULTI and \
                 EXEC (lacking: {})",
                named(&rights.script_lacks),
                named(&rights.watch_lacks)
            );
            let time = if rights.script_lacks.contains(&"time") { " +time" } else { "" };
            return Err(self.lacks(&lacks, &format!("+eval +get{time} +watch +unwatch +multi +exec")));
        }
        Ok(ability)
    }

    async fn must_be_a_single_primary(&self) -> Result<(), Failure> {
        let refused = |what: &str, hint: &str| {
            Err(Failure::usage(Side::Redis, format!("Redis at {}{what}", self.inner.target.place()), hint))
        };
        if self.is_cluster() || self.inner.clustered {
            return refused(" is a cluster: keys of a cluster are not deleted", SINGLE);
        }
        let Some(kind) = self.kind().await? else {
            return refused(
                " tells neither by INFO nor by HELLO what version and what role it has: keys are deleted only where that is known",
                "Grant the user INFO with ACL SETUSER (such as +info).",
            );
        };
        if kind.cluster {
            return refused(" is a node of a cluster: keys of a cluster are not deleted", SINGLE);
        }
        if !kind.primary {
            return refused(
                " is a replica: keys are deleted on its primary",
                "Point source.url / --from at its primary.",
            );
        }
        if kind.release < 6 {
            return refused(
                &format!(" is of version {}: keys are deleted from Redis 6 on", kind.release),
                "Delete the keys by other means, or update Redis.",
            );
        }
        Ok(())
    }

    /// What the server says of itself now; `None` where it does not say all of it.
    async fn kind(&self) -> Result<Option<Kind>, Failure> {
        if let Some(text) = self.told("INFO", Vec::new()).await?.and_then(bytes_of) {
            let facts = ServerFacts::read(&String::from_utf8_lossy(&text));
            if let (Some((release, _)), Some(role)) = (facts.release(), &facts.role) {
                return Ok(Some(Kind { release, primary: role == "master", cluster: facts.cluster }));
            }
        }
        // It came with Redis 6.
        Ok(self.told("HELLO", Vec::new()).await?.as_ref().and_then(greeting))
    }

    async fn unlink_rights(&self) -> Result<Rights, Error> {
        let eval = judged(self.once("EVAL", vec![script(true).into(), "0".into(), "0".into()]).await)?;
        let get = judged(self.once("GET", vec![PROBE_KEY.into()]).await)?;
        // What the script asks where the server tells only how long keys have left.
        let time = match self.inner.abilities.expire_time {
            true => Permission::Granted,
            false => judged(self.once("TIME", Vec::new()).await)?,
        };
        // A name that nobody has: it deletes nothing.
        let nobodys = format!("{PROBE_KEY}:{}", Uuid::new_v4());
        let unlink = judged(self.once("UNLINK", vec![nobodys.into()]).await)?;
        // On a connection of its own, which is closed in the middle of the transaction.
        let own = Connection::open(self).await?;
        let trial = async |command, args| judged(own.until_it_ends(own.wire.send(command, args)).await);
        let exec = trial("EXEC", Vec::new()).await?;
        let watch = trial("WATCH", vec![PROBE_KEY.into()]).await?;
        let multi = trial("MULTI", Vec::new()).await?;
        let lacking = |rights: &[(&'static str, Permission)]| {
            let lacks = rights.iter().filter(|(_, permission)| *permission != Permission::Granted);
            lacks.map(|(name, _)| *name).collect::<Vec<_>>()
        };
        Ok(Rights {
            unlink,
            script_lacks: lacking(&[("eval", eval), ("get", get), ("time", time)]),
            watch_lacks: lacking(&[("watch", watch), ("multi", multi), ("exec", exec)]),
        })
    }

    fn lacks(&self, what: &str, rights: &str) -> Failure {
        Failure::usage(
            Side::Redis,
            format!("Redis at {} does not let this user run {what}", self.inner.target.place()),
            format!("Grant it with ACL SETUSER {} {rights}.", self.user()),
        )
    }
}

const SINGLE: &str = "A single primary is what keys can be deleted from; delete those of a cluster by other means.";

/// What an answer to HELLO tells; names and values in turn.
fn greeting(reply: &Resp3Frame) -> Option<Kind> {
    let Resp3Frame::Array { data, .. } = reply else { return None };
    let value = |name: &str| {
        let named = |pair: &&[Resp3Frame]| pair.first().cloned().and_then(bytes_of).is_some_and(|known| known == name);
        data.chunks_exact(2).find(named)?.get(1)
    };
    let text = |name| value(name).cloned().and_then(bytes_of).map(|text| String::from_utf8_lossy(&text).into_owned());
    let release = text("version")?.split('.').next()?.parse().ok()?;
    let (role, mode) = (text("role")?, text("mode")?);
    // The protocol's number stands among them: what is not so is no such answer.
    value("proto").and_then(number_of)?;
    Some(Kind { release, primary: role == "master", cluster: mode == "cluster" })
}

#[cfg(test)]
mod tests {
    use super::greeting;
    use fred::types::Resp3Frame;

    fn bulk(text: &str) -> Resp3Frame {
        Resp3Frame::BlobString { data: text.to_owned().into(), attributes: None }
    }

    #[test]
    fn a_greeting_tells_what_info_would() {
        let hello = |mode: &str, role: &str| Resp3Frame::Array {
            data: vec![
                bulk("server"),
                bulk("redis"),
                bulk("version"),
                bulk("6.2.14"),
                bulk("proto"),
                Resp3Frame::Number { data: 2, attributes: None },
                bulk("mode"),
                bulk(mode),
                bulk("role"),
                bulk(role),
            ],
            attributes: None,
        };
        let kind = greeting(&hello("standalone", "master")).unwrap();
        assert!(kind.primary && !kind.cluster && kind.release == 6);
        assert!(greeting(&hello("cluster", "master")).unwrap().cluster);
        assert!(!greeting(&hello("standalone", "replica")).unwrap().primary);
        assert!(greeting(&bulk("OK")).is_none());
    }
}
