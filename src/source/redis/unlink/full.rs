//! Deleting from a server that has no memory left: it queues no command behind MULTI, so that nothing that is watched could go, and
//! memory would never get free. There a key is sealed with its dump under the watch, before it is read; an empty transaction tells that
//! nobody wrote to it until it was read; and a script deletes it that finds the same seal. What was compared are its contents, as ever: a dump
//! may only keep a key that is equal.

use super::super::wire::Wire;
use super::Candidate;
use super::deleting::{Seal, UNLINK, sealed};
use super::fates::One;
use fred::error::Error;
use futures::future::try_join_all;

/// The longest value of which dumps are made within the server: it is held up by them.
const LONGEST: u64 = 16 << 20;

/// `GONE` is for a key that is not there, `AT` asks when it expires, `REST` is what follows.
const SEAL: &str = "local dump = redis.call('DUMP', KEYS[1]) if not dump then return GONE end \
    local at = redis.call('AT', KEYS[1]) \
    local seal = redis.sha1hex(dump) .. ':' .. string.format('%.0f', at) REST";
/// Where only the time that is left is told, it is another one in each moment: that there is any must do.
const LEFT: &str = "if at > 0 then at = 0 end ";

fn script(expire_time: bool, gone: &str, rest: &str) -> String {
    let (command, left) = if expire_time { ("'PEXPIRETIME'", "") } else { ("'PTTL'", LEFT) };
    SEAL.replace("'AT'", command)
        .replace("GONE", gone)
        .replace("local seal", &format!("{left}local seal"))
        .replace("REST", rest)
}

/// Whether a key is not too large for this way.
pub(super) fn takes(candidate: &Candidate) -> bool {
    candidate.bytes() <= LONGEST
}

/// The seals of these keys; none of one that is too large or is not there, or where this user may not run such a script.
pub(super) async fn seals(wire: &Wire, some: &[One<'_>], expire_time: bool) -> Result<Vec<Option<Seal>>, Error> {
    let script = script(expire_time, "false", "return seal");
    let seals = some.iter().map(|one| async {
        if !takes(one.candidate) {
            return Ok(None);
        }
        let seal = sealed(wire, script.clone(), &one.candidate.key).await?;
        Ok(seal.map(|seal| Seal::Dump { seal, expire_time }))
    });
    try_join_all(seals).await
}

/// The script that deletes a key that has its seal.
pub(super) fn deletion(expire_time: bool) -> String {
    script(expire_time, "0", UNLINK)
}

#[cfg(test)]
mod tests {
    use super::script;

    #[test]
    fn nothing_is_left_of_what_stands_for_something() {
        for (expire_time, asks) in [(true, "'PEXPIRETIME'"), (false, "'PTTL'")] {
            let text = script(expire_time, "0", "return seal");
            assert!(
                text.contains(asks) && text.ends_with("return seal") && text.contains("then return 0 end"),
                "{text}"
            );
            assert_eq!(text.contains("if at > 0 then at = 0 end local seal"), !expire_time, "{text}");
        }
    }
}
