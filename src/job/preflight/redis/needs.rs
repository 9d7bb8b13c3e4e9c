//! Which commands the mappings take, and what there is to say where this user may not run one.

use crate::mapping::{MappingSpec, Plan, wanted_of};
use crate::model::{Failure, Finding, RedisKey, RedisType, Side, ValueWanted, Wanted};
use crate::source::redis::{Lack, Permission, RedisSource};
use std::collections::{BTreeMap, BTreeSet};

/// Commands that something takes: those of one of the groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Need {
    groups: &'static [&'static [&'static str]],
    /// What is lost without them; `None`: a run cannot do without.
    lost: Option<&'static str>,
}

const fn must(groups: &'static [&'static [&'static str]]) -> Need {
    Need { groups, lost: None }
}

const fn may(groups: &'static [&'static [&'static str]], lost: &'static str) -> Need {
    Need { groups, lost: Some(lost) }
}

const SCAN: Need = must(&[&["scan"]]);
/// What it takes to tell which keys are gone.
const GONE: Need = must(&[&["type"]]);
const SCRIPTS: Need =
    may(&[&["eval_ro"]], "times of expiry, types and lengths are asked for key by key, which is slower");

const WATCHED: Need = may(
    &[&["watch", "multi", "exec"]],
    "a large value that changes while it is read may be read in part as it was and in part as it is",
);
const ASKING: Need =
    may(&[&["asking"]], "a key that is being moved to another node cannot be read there: a run that meets one ends");

/// What a mapping that wants this takes. The nodes of a cluster are asked for strings one by one.
fn needs(wanted: Wanted, cluster: bool) -> Vec<Need> {
    let mut needs = vec![SCRIPTS];
    if cluster {
        needs.push(ASKING);
    }
    if wanted.streams || wanted.value != ValueWanted::Never && wanted.types.iter().any(is_read_in_slices) {
        needs.push(WATCHED);
    }
    if wanted.types.only() == Some(RedisType::String) && !wanted.has_facts() {
        needs.extend([must(if cluster { &[&["get"]] } else { &[&["mget"]] }), must(&[&["strlen"]])]);
        needs.push(may(&[&["type"]], "it is not told which other type a key has that holds no string"));
        needs.push(may(&[&["type"], &["exists"]], "a key that has gone is taken for an empty string"));
    } else {
        needs.push(must(&[&["type"]]));
        needs.push(may(&[&["memory|usage"]], "no value is known to be small: each is read by itself, which is slower"));
    }
    if wanted.expiry {
        needs.push(must(&[&["pexpiretime"], &["pttl", "time"]]));
    }
    if wanted.dump {
        needs.push(must(&[&["dump"]]));
    }
    if wanted.idle {
        needs.push(may(&[&["object|idletime"]], "redis.idle is null"));
    }
    if wanted.streams {
        needs.push(must(&[&["getrange", "exists"]]));
    }
    if wanted.value != ValueWanted::Never {
        needs.extend(wanted.types.iter().filter_map(|redis_type| of_type(redis_type, wanted)));
    }
    needs
}

/// Whether a large value of a type is read in slices, under a watch.
fn is_read_in_slices(redis_type: RedisType) -> bool {
    use RedisType::{Hash, List, Set, Stream, Zset};
    matches!(redis_type, Hash | Set | Zset | List | Stream)
}

/// What values of a type are read by.
fn of_type(redis_type: RedisType, wanted: Wanted) -> Option<Need> {
    Some(match redis_type {
        RedisType::String if wanted.types.only().is_some() && !wanted.has_facts() => return None,
        RedisType::String => must(&[&["get"]]),
        RedisType::Hash => must(&[&["hgetall", "hscan"]]),
        RedisType::Set => must(&[&["smembers", "sscan"]]),
        RedisType::Zset => must(&[&["zrange", "zscan"]]),
        RedisType::List => must(&[&["lrange"]]),
        RedisType::Stream => must(&[&["xrange"]]),
        RedisType::Json if wanted.types.only().is_some() => must(&[&["json.get"]]),
        RedisType::Json => may(&[&["json.get"]], "documents of RedisJSON cannot be read"),
        RedisType::Module => return None,
    })
}

/// Finds out what this user may not run that the mappings take. They go by the plan where there is one; without it, by
/// what they say themselves.
///
/// # Errors
/// Redis is gone.
pub(super) async fn judge(
    source: &RedisSource,
    specs: &[MappingSpec],
    plan: Option<&Plan>,
    deletes_gone: bool,
) -> Result<Vec<Finding>, Failure> {
    let wants: Vec<(&str, Wanted)> = match plan {
        Some(plan) => plan.mappings().map(|(_, mapping)| (mapping.name(), mapping.wanted())).collect(),
        None => specs.iter().filter_map(|spec| Some((spec.name.as_str(), wanted_of(spec)?))).collect(),
    };
    let mut needed: BTreeMap<Need, Vec<&str>> = BTreeMap::from([(SCAN, Vec::new())]);
    if deletes_gone {
        needed.insert(GONE, Vec::new());
    }
    for (mapping, wanted) in wants {
        needs(wanted, source.is_cluster()).into_iter().for_each(|need| needed.entry(need).or_default().push(mapping));
    }
    let commands: BTreeSet<&str> = needed.keys().flat_map(|need| need.groups.concat()).collect();
    let commands: Vec<&str> = commands.into_iter().collect();
    let permissions: BTreeMap<&str, Permission> =
        commands.iter().copied().zip(source.permissions(&commands).await?).collect();
    Ok(findings(&needed, &permissions, source.user()))
}

fn findings(needed: &BTreeMap<Need, Vec<&str>>, permissions: &BTreeMap<&str, Permission>, user: &str) -> Vec<Finding> {
    let mut missing: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut findings = Vec::new();
    for (need, mappings) in needed {
        let refused = refused(need, permissions);
        match need.lost {
            _ if refused.is_empty() => {}
            None => refused.iter().for_each(|command| missing.entry(*command).or_default().extend(mappings)),
            Some(lost) => {
                let message = format!("may not run {}: {lost}", spoken(&refused));
                findings.push(Finding::warning(Side::Redis, format!("user {user}"), message, grant(user, &refused)));
            }
        }
    }
    if !missing.is_empty() {
        let named = missing.iter().map(|(command, mappings)| {
            let mappings: Vec<&str> = mappings.iter().copied().collect();
            let of = if mappings.is_empty() { String::new() } else { format!(" (for {})", mappings.join(", ")) };
            format!("{}{of}", spoken(&[command]))
        });
        let message = format!("may not run {}, which reading takes", named.collect::<Vec<_>>().join(", "));
        let commands: Vec<&str> = missing.keys().copied().collect();
        findings.push(Finding::critical(Side::Redis, format!("user {user}"), message, grant(user, &commands)));
    }
    findings
}

/// The commands without which the need is not met; none where it is, or where the server has none of them.
fn refused(need: &Need, permissions: &BTreeMap<&str, Permission>) -> Vec<&'static str> {
    let is = |command: &str, permission| permissions.get(command) == Some(&permission);
    if need.groups.iter().any(|group| group.iter().all(|command| is(command, Permission::Granted))) {
        return Vec::new();
    }
    let known = need.groups.iter().find(|group| !group.iter().any(|command| is(command, Permission::Unknown)));
    let refused = known.into_iter().copied().flatten();
    refused.copied().filter(|command| is(command, Permission::Refused)).collect()
}

/// Whether a later cleanup could delete keys of these globs: they are compared and deleted by a script, or under a watch.
/// A run needs no such right, so that it is a note.
///
/// # Errors
/// Redis is gone.
pub(super) async fn cleanup(
    source: &RedisSource,
    globs: &[String],
    example: Option<&RedisKey>,
) -> Result<Option<Finding>, Failure> {
    const UNLINK: &str = "unlink KEY";
    const EVAL: &str = "eval x 1 KEY";
    let said = source.might(&[UNLINK, EVAL, "watch KEY", "multi"], example).await?;
    let [unlink, eval, watch, multi] = said.as_slice() else { return Ok(None) };
    let mut refused = Vec::new();
    if *unlink == Permission::Refused {
        refused.push(("unlink", source.lack(UNLINK, example).await?));
    }
    if *eval == Permission::Refused && [watch, multi].contains(&&Permission::Refused) {
        refused.push(("eval", source.lack(EVAL, example).await?));
    }
    Ok((!refused.is_empty()).then(|| undeletable(source.user(), &refused, globs)))
}

/// Commands that are refused on the keys, each with what is missing, where that is known.
fn undeletable(user: &str, refused: &[(&str, Option<Lack>)], globs: &[String]) -> Finding {
    let is = |lack: Lack| move |(_, known): &&(&str, Option<Lack>)| known.is_none_or(|known| known == lack);
    let commands: Vec<&str> = refused.iter().filter(is(Lack::Command)).map(|(command, _)| *command).collect();
    let by_key = refused.iter().any(|refused| is(Lack::Key)(&refused));
    let mut words: Vec<String> = commands.iter().map(|command| format!("+{command}")).collect();
    if by_key {
        words.extend(globs.iter().map(|glob| format!("%W~{glob}")));
    }
    let what = if commands.is_empty() { "write".to_owned() } else { format!("run {} on", spoken(&commands)) };
    let message = format!("may not {what} the keys: a later cleanup could delete none of them");
    let hint = format!("A run needs none of it. Before a cleanup: ACL SETUSER {user} {}", words.join(" "));
    Finding::note(Side::Redis, format!("user {user}"), message, hint)
}

fn spoken(commands: &[&str]) -> String {
    let spoken: Vec<String> = commands.iter().map(|command| command.to_uppercase().replace('|', " ")).collect();
    spoken.join(", ")
}

fn grant(user: &str, commands: &[&str]) -> String {
    let commands: Vec<String> = commands.iter().map(|command| format!("+{command}")).collect();
    format!("ACL SETUSER {user} {}", commands.join(" "))
}

#[cfg(test)]
mod tests {
    use super::{Need, findings, must, needs, undeletable};
    use crate::model::{RedisType, RedisTypes, Severity, Wanted};
    use crate::source::redis::Lack;
    use crate::source::redis::Permission::{Granted, Refused, Unknown};
    use std::collections::BTreeMap;

    #[test]
    fn any_group_will_do_and_what_the_server_lacks_is_nobodys_right() {
        let expiry: Need = must(&[&["pexpiretime"], &["pttl", "time"]]);
        for (pexpiretime, pttl, time, named) in [
            (Granted, Refused, Refused, ""),
            (Refused, Granted, Granted, ""),
            (Refused, Refused, Granted, "+pexpiretime"),
            (Unknown, Granted, Refused, "+time"),
            (Unknown, Unknown, Unknown, ""),
        ] {
            let permissions = BTreeMap::from([("pexpiretime", pexpiretime), ("pttl", pttl), ("time", time)]);
            let found = findings(&BTreeMap::from([(expiry, vec!["m"])]), &permissions, "u");
            let told = found.first().map(|finding| finding.hint.clone()).unwrap_or_default();
            assert_eq!(told.trim_start_matches("ACL SETUSER u "), named);
            assert!(found.iter().all(|finding| finding.severity == Severity::Critical));
        }
    }

    #[test]
    fn each_type_takes_what_reads_it() {
        let commands = |types: &[RedisType], wanted: Wanted| {
            let types: RedisTypes = types.iter().copied().collect();
            let needs = needs(Wanted { types, ..wanted }, false);
            let must = needs.iter().filter(|need| need.lost.is_none());
            must.flat_map(|need| need.groups.concat()).collect::<Vec<_>>().join(" ")
        };
        let plain = Wanted::strings(false);
        assert_eq!(commands(&[RedisType::String], plain), "mget strlen");
        assert_eq!(commands(&[RedisType::String], Wanted { dump: true, ..plain }), "type dump get");
        assert_eq!(commands(&[RedisType::Hash, RedisType::List], plain), "type hgetall hscan lrange");
        assert_eq!(commands(&[RedisType::Json], Wanted::strings(true)), "type pexpiretime pttl time json.get");
        assert_eq!(commands(&[RedisType::String, RedisType::Json], plain), "type get");
    }

    #[test]
    fn what_watches_large_values_and_follows_moving_slots_is_asked_for_where_it_is_taken() {
        let lost = |types: &[RedisType], cluster: bool, streams: bool| {
            let types: RedisTypes = types.iter().copied().collect();
            let needs = needs(Wanted { types, streams, ..Wanted::strings(false) }, cluster);
            let may = needs.iter().filter(|need| need.lost.is_some());
            may.flat_map(|need| need.groups.concat()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(lost(&[RedisType::String], false, false), "eval_ro type type exists");
        assert_eq!(lost(&[RedisType::String], true, false), "eval_ro asking type type exists");
        assert_eq!(lost(&[RedisType::String], false, true), "eval_ro watch multi exec type type exists");
        assert_eq!(lost(&[RedisType::Hash], false, false), "eval_ro watch multi exec memory|usage");
    }

    #[test]
    fn what_a_cleanup_lacks_is_named_and_what_the_user_has_is_not() {
        let globs = ["note:*".to_owned()];
        for (lack, message, words) in [
            (Some(Lack::Command), "may not run UNLINK on the keys", "+unlink"),
            (Some(Lack::Key), "may not write the keys", "%W~note:*"),
            (None, "may not run UNLINK on the keys", "+unlink %W~note:*"),
        ] {
            let told = undeletable("u", &[("unlink", lack)], &globs);
            assert_eq!(told.severity, Severity::Note);
            assert!(told.message.starts_with(message), "{told}");
            assert!(told.hint.ends_with(&format!("ACL SETUSER u {words}")), "{told}");
        }
    }
}
